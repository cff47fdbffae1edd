"""The law of a loss: recognised by its Hessian's products, against autograd's Hessian and the definitions of the Fisher."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.optim.curvature.losses.likelihood_detection import detect_likelihood
from thermograd.optim.curvature.losses.products import LossProducts

F64 = torch.float64


def numbers(seed, *shape):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def labels(seed, high, *shape):
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(seed))


#: name -> (family or None, shape of z, loss of z)
LOSSES = {
    "classes": ("categorical", (5, 4), lambda z: F.cross_entropy(z, labels(1, 4, 5))),
    "classes, sum": ("categorical", (5, 4), lambda z: F.cross_entropy(z, labels(1, 4, 5), reduction="sum")),
    "smoothed": ("categorical", (5, 4), lambda z: F.cross_entropy(z, labels(1, 4, 5), label_smoothing=0.2)),
    "soft": ("categorical", (5, 4), lambda z: F.cross_entropy(z, torch.softmax(numbers(2, 5, 4), -1))),
    "weighted": (
        "categorical",
        (5, 4),
        lambda z: F.cross_entropy(z, labels(1, 4, 5), weight=torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=F64)),
    ),
    "ignored": (
        "categorical",
        (5, 4),
        lambda z: F.cross_entropy(z, torch.tensor([0, -100, 3, 2, -100]), ignore_index=-100),
    ),
    "heads": ("categorical", (3, 2, 4), lambda z: F.cross_entropy(z.flatten(0, 1), labels(1, 4, 6))),
    "classes second": ("categorical", (3, 4, 2), lambda z: F.cross_entropy(z, labels(1, 4, 3, 2))),
    "binary": ("bernoulli", (5, 3), lambda z: F.binary_cross_entropy_with_logits(z, labels(1, 2, 5, 3).double())),
    "binary, sum": (
        "bernoulli",
        (5, 3),
        lambda z: F.binary_cross_entropy_with_logits(z, labels(1, 2, 5, 3).double(), reduction="sum"),
    ),
    "squared": ("gaussian", (5, 3), lambda z: F.mse_loss(z, numbers(3, 5, 3))),
    "squared, one": ("gaussian", (5, 1), lambda z: 0.5 * (z - numbers(3, 5, 1)).square().sum()),
    "Huber": (None, (5, 3), lambda z: F.huber_loss(z, 3 * numbers(3, 5, 3))),
    "positive weights": (
        "bernoulli",
        (5, 3),
        lambda z: F.binary_cross_entropy_with_logits(z, labels(1, 2, 5, 3).double(), pos_weight=torch.tensor(3.0)),
    ),
    "outliers of Huber among targets": (None, (5, 3), lambda z: F.smooth_l1_loss(z, 3 * numbers(3, 5, 3))),
    "a linear term": (None, (5, 4), lambda z: F.cross_entropy(z, labels(1, 4, 5)) + 0.1 * z[:, 0].mean()),
    "a linear term in masked rows": (
        None,
        (5, 4),
        lambda z: F.cross_entropy(z, torch.tensor([0, -100, 3, 2, -100])) + (z[1, 0] - z[1, 1]),
    ),
    "a softplus that is linear above 20": (None, (5, 3), lambda z: F.softplus(20 * z + 5).sum()),
    "a temperature": (None, (5, 4), lambda z: F.cross_entropy(z / 2, labels(1, 4, 5))),
    "margins": (None, (5, 4), lambda z: F.multi_margin_loss(z, labels(1, 4, 5))),
    "quantiles": (None, (5, 3), lambda z: torch.maximum(0.9 * (1 - z), 0.1 * (z - 1)).mean()),
    "L1": (None, (5, 3), lambda z: z.abs().mean()),
    "quartic": (None, (5, 3), lambda z: z.pow(4).sum()),
    "linear": (None, (5, 3), torch.sum),
    "coupled": (None, (4, 3), lambda z: torch.softmax(z.flatten(), 0).square().sum()),
}


def likelihood_of(loss, z):
    z = z.detach().requires_grad_()
    products = LossProducts(loss(z), z)
    return detect_likelihood(products), products.slope.detach().reshape(len(z), -1)


def hessian_blocks(loss, z):
    """(b, c, c), and what is outside of the blocks."""
    b = len(z)
    H = torch.autograd.functional.hessian(lambda v: loss(v.view_as(z)), z.reshape(-1)).view(b, z[0].numel(), b, -1)
    return H[range(b), :, range(b)]


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_recognised(name):
    expected, shape, loss = LOSSES[name]
    found, _ = likelihood_of(loss, numbers(0, *shape))
    assert (found.family if found else None) == expected


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (lambda z: F.binary_cross_entropy_with_logits(z, torch.ones_like(z)), "bernoulli"),
        (lambda z: F.mse_loss(z, torch.ones_like(z)), "gaussian"),
        (lambda z: (z - 0.5).square().sum(), "gaussian"),
        (lambda z: F.poisson_nll_loss(z, torch.ones_like(z)), None),
        (lambda z: torch.cosh(z).log().sum(), None),
    ],
)
def test_laws_are_told_apart_where_all_outputs_are_zero(loss, expected):
    """The same slope and curvature in every row, as of a model whose last layer starts at zero."""
    found, _ = likelihood_of(loss, torch.zeros(5, 3, dtype=F64))
    assert (found.family if found else None) == expected


@given(
    name=st.sampled_from([n for n, (family, _, _) in LOSSES.items() if family]),
    size=st.floats(0.0, 8.0),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_factor_is_the_hessians_and_sources_give_the_slope(name, size, seed):
    _, shape, loss = LOSSES[name]
    z = size * numbers(seed, *shape)
    found, r = likelihood_of(loss, z)
    L, s = found.factor()
    H = hessian_blocks(loss, z)
    torch.testing.assert_close(L @ L.mT, H, rtol=1e-6, atol=1e-9 * float(H.abs().max()))
    torch.testing.assert_close(torch.einsum("bcm,bm->bc", L, s), r, rtol=1e-6, atol=1e-9 * float(r.abs().max() + 1e-30))
    if found.family == "categorical":
        rows = math.prod(shape[1:]) // found.p.shape[-1]
        assert L.shape[-1] == rows * (found.p.shape[-1] - 1)
    if size > 1 and found.family != "gaussian":  # another network's Hessian is told from it
        other = hessian_blocks(loss, z * 0.5)
        assert float((L @ L.mT - other).abs().max()) > 1e-3 * float(H.abs().max())


def fisher(found, z):
    """sum_y p(y | z) (d log p)(d log p)^T of a categorical or Bernoulli row times its weight, by enumeration and autograd."""
    b, rows, C = found.p.shape
    total = torch.zeros(b, rows, C, C, dtype=F64)
    flat = z.reshape(b, rows, C)
    for i in range(b):
        for j in range(rows):
            row = flat[i, j].detach().requires_grad_()
            for y in range(C if found.family == "categorical" else 2):
                log = (
                    F.log_softmax(row, -1)[y]
                    if found.family == "categorical"
                    else F.logsigmoid(row if y else -row).sum()
                )
                (score,) = torch.autograd.grad(log, row)
                total[i, j] += found.w[i, j] * log.detach().exp() * torch.outer(score, score)
    return total


@pytest.mark.parametrize("name", ["classes", "weighted", "heads", "binary"])
def test_the_fisher_of_an_exponential_family_is_the_gauss_newton_matrix(name):
    _, shape, loss = LOSSES[name]
    z = numbers(4, *shape)
    found, _ = likelihood_of(loss, z)
    H, b = hessian_blocks(loss, z), shape[0]
    expected = torch.stack([torch.block_diag(*rows) for rows in fisher(found, z)])
    torch.testing.assert_close(H, expected.view(b, *H.shape[1:]))


@pytest.mark.parametrize("name", ["classes", "ignored", "heads", "classes second", "binary", "squared"])
def test_drawn_labels_have_the_fisher_for_their_mean(name):
    """20,000 draws: every entry within five standard errors of the exact matrix, and not of one for flatter probabilities."""
    _, shape, loss = LOSSES[name]
    z = numbers(5, *shape)
    found, _ = likelihood_of(loss, z)
    H = hessian_blocks(loss, z)
    draws, generator = 20_000, torch.Generator().manual_seed(6)
    columns = found.sampled(draws, generator) * math.sqrt(draws)  # (b, c, draws), each of mean square H
    mean = columns @ columns.mT / draws
    square = torch.einsum("bis,bjs->bij", columns**2, columns**2) / draws
    error = ((square - mean**2).clamp(min=0) / draws).sqrt() + 1e-12
    assert float(((mean - H).abs() / error).max()) < 5
    if found.family != "gaussian":
        other = hessian_blocks(loss, 0.5 * z)
        assert float(((mean - other).abs() / error).max()) > 10


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_empirical_fisher_is_that_of_single_losses(reduction):
    """On the loss's scale: a mean has the mean of g_i g_i^T, a sum their sum."""
    z, y = numbers(7, 6, 4), labels(8, 4, 6)
    found, _ = likelihood_of(lambda v: F.cross_entropy(v, y, reduction=reduction), z)
    L = found.empirical()
    single = torch.softmax(z, -1) - F.one_hot(y, 4)
    scale = 1 / 6 if reduction == "mean" else 1.0
    torch.testing.assert_close(L @ L.mT, scale * torch.einsum("bi,bj->bij", single, single))


def test_the_divergence_between_two_models_is_half_the_fisher_to_second_order():
    """KL(theta, theta + d) - d.F d / 2 falls as the third power of d; with twice the Fisher only as the second."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3)).double()
    x = numbers(1, 10, 3)
    from thermograd.optim.curvature.batch import evaluate
    from thermograd.optim.curvature.curvature import Curvature

    y = torch.arange(10) % 3

    def closure():
        z = model(x)
        return F.cross_entropy(z, y), z

    parameters = list(model.parameters())
    step = [torch.randn_like(p) for p in parameters]
    curved = Curvature(evaluate(closure), parameters, "fisher").product(step)
    half = sum(float((d * c).sum()) for d, c in zip(step, curved, strict=True)) / 2
    before = F.log_softmax(model(x), -1).detach()

    def divergence(size):
        with torch.no_grad():
            for p, d in zip(parameters, step, strict=True):
                p.add_(d, alpha=size)
            after = F.log_softmax(model(x), -1)
            for p, d in zip(parameters, step, strict=True):
                p.sub_(d, alpha=size)
        return float((before.exp() * (before - after)).sum(-1).mean())

    sizes = [1e-2, 1e-3]
    right = [abs(divergence(size) - half * size**2) for size in sizes]
    wrong = [abs(divergence(size) - 2 * half * size**2) for size in sizes]
    assert math.log10(right[0] / right[1]) == pytest.approx(3, abs=0.1)
    assert math.log10(wrong[0] / wrong[1]) == pytest.approx(2, abs=0.1)


CERTAIN = {
    "classes, wrong and right": (lambda z, y: F.cross_entropy(z, y), "categorical"),
    "squares": (lambda z, y: F.mse_loss(z, torch.full_like(z, 3.0)), "gaussian"),
    "binary": (
        lambda z, y: F.binary_cross_entropy_with_logits(z, F.one_hot(y, z.shape[-1]).to(z)),
        "bernoulli",
    ),
    "classes and a penalty": (lambda z, y: F.cross_entropy(z, y) + 0.1 * z.square().mean(), "gaussian"),
    "Poisson": (lambda z, y: F.poisson_nll_loss(0.1 * z, F.one_hot(y, z.shape[-1]).to(z)), None),
}


@pytest.mark.parametrize("gap", [5.0, 7.5, 9.0, 12.0, 30.0, 300.0])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("name", CERTAIN)
def test_outputs_far_apart_hide_no_law(name, dtype, gap):
    """A softmax that is certain in every row, right and wrong, after a batch that was cross-entropy: the curvature is the loss's own.

    Its entries count against the weight of a row, of which a certain row shows next to nothing. (Where the softmax is certain, a penalty is
    all the curvature that is left, and that of a squared error.)
    """
    loss, family = CERTAIN[name]
    z = gap * F.one_hot(torch.arange(6) % 3, 3).to(dtype) + 0.1 * numbers(9, 6, 3).to(dtype)
    y = torch.tensor([0, 1, 2, 0, 1, 2])
    for labels_ in (y, torch.tensor([0, 1, 2, 1, 1, 2])):
        found, slope = likelihood_of(lambda v, own=labels_: loss(v, own), z)
        assert found is None or found.family == family
        if family == "categorical":
            assert found is not None
        if found is not None:
            L, s = found.factor()
            H = hessian_blocks(lambda v, own=labels_: loss(v, own), z.detach().double())
            top = max(float(found.w.max()), 1e-3)
            assert float((L @ L.mT - H).abs().max()) < (1e-5 if dtype == torch.float32 else 1e-10) * top
            off = float((torch.einsum("bcm,bm->bc", L, s) - slope.double()).abs().max())
            assert off < 1e-6 * top
            if found.family == "categorical" and bool(slope.any()):
                assert top == pytest.approx(1 / 6, rel=0.02)
