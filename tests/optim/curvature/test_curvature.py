"""Curvature of a batch against dense automatic differentiation, over layers, losses and uses of a parameter."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from thermograd.circuits.errors import InputError
from thermograd.optim.curvature.batch import evaluate
from thermograd.optim.curvature.curvature import Curvature

from ..oracle import dense_ggn, flat

F64 = torch.float64


def curvature(model, x, loss_of, verify=True):
    def closure():
        z = model(x)
        return loss_of(z), z

    ggn = Curvature(evaluate(closure), list(model.parameters()))
    if verify:
        ggn.verify()
    return ggn


def check(model, x, loss_of, tolerance):
    """Every view of the curvature agrees with the oracle."""
    ggn = curvature(model, x, loss_of)
    G, g = dense_ggn(model, x, loss_of)
    scale = float(G.abs().max())
    rows = ggn.jacobian().double()
    s = ggn.sources
    assert rows.shape == (ggn.cells, len(g))
    torch.testing.assert_close(ggn.dense(), G, rtol=0, atol=tolerance * scale)
    torch.testing.assert_close(ggn.gram(), rows @ rows.T, rtol=0, atol=tolerance * float(ggn.gram().abs().max()))
    for found in (flat(ggn.gradient()).double(), flat(ggn.rmatvec(s)).double(), rows.T @ s):
        torch.testing.assert_close(found, g, rtol=0, atol=tolerance * float(g.abs().max()) * 10)
    torch.testing.assert_close(torch.einsum("bcm,bm->bc", ggn.loss.factor, s.view(len(x), -1)), ggn.loss.residual)
    return ggn


def mlp(widths, activation, bias, seed):
    generator = torch.random.get_rng_state()
    torch.manual_seed(seed)
    layers = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b, bias=bias), activation()]
    torch.random.set_rng_state(generator)
    return nn.Sequential(*layers[:-1])


ACTIVATIONS = {"tanh": nn.Tanh, "relu": lambda: nn.ReLU(inplace=True), "elu": lambda: nn.ELU(inplace=True)}


@given(
    b=st.integers(1, 5),
    widths=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    classes=st.integers(2, 5),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    bias=st.booleans(),
    loss=st.sampled_from(["cross-entropy", "cross-entropy sum", "squared", "binary", "smoothed"]),
    double=st.booleans(),
    seed=st.integers(0, 9999),
)
@settings(max_examples=25, deadline=None)
def test_mlp_against_the_oracle(b, widths, classes, activation, bias, loss, double, seed):
    generator = torch.Generator().manual_seed(seed)
    dtype = F64 if double else torch.float32
    model = mlp([*widths, classes], ACTIVATIONS[activation], bias, seed).to(dtype)
    x = torch.randn(b, widths[0], generator=generator).to(dtype)
    y = torch.randint(0, classes, (b,), generator=generator)
    t = torch.rand(b, classes, generator=generator)
    loss_of = {
        "cross-entropy": lambda z: F.cross_entropy(z, y),
        "cross-entropy sum": lambda z: F.cross_entropy(z, y, reduction="sum"),
        "squared": lambda z: F.mse_loss(z, t.to(z.dtype)),
        "binary": lambda z: F.binary_cross_entropy_with_logits(z, t.to(z.dtype)),
        "smoothed": lambda z: F.cross_entropy(z, y, label_smoothing=0.1),
    }[loss]
    ggn = check(model, x, loss_of, 1e-12 if double else 1e-5)
    assert not ggn.fallbacks, "a plain MLP needs no explicit Jacobian"
    softmax = loss in ("cross-entropy", "cross-entropy sum", "smoothed")
    assert ggn.cells == b * (classes - 1 if softmax else classes)


class Tied(nn.Module):
    """One matrix used twice, once changed outside its layer."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.outer = nn.Linear(4, 3)

    def forward(self, x):
        return self.outer(torch.tanh(self.inner(torch.tanh(self.inner(x))) @ (2 * self.inner.weight)))


class Sequence(nn.Module):
    """A linear layer over positions, a normalisation and a free parameter."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(2, 4)
        self.norm = nn.LayerNorm(4)
        self.scale = nn.Parameter(torch.ones(4))
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head((self.norm(torch.tanh(self.embed(x.view(len(x), 3, 2)))) * self.scale).mean(dim=1))


class Keywords(nn.Module):
    """Called by keyword, returns a dictionary."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 2, 3)
        self.head = nn.Linear(8, 3)

    def forward(self, *, pixels, flag):
        assert flag
        return {"other": pixels, "logits": self.head(torch.tanh(self.conv(pixels[:, None])).flatten(1))}


def convolution():
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)),
        nn.Conv2d(1, 3, 2),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(6, 4),
        nn.Tanh(),
        nn.Linear(4, 3),
    )


class Curved(nn.Module):
    """Parameters without a direct form, in which the outputs are not linear, beside a layer with one."""

    def __init__(self):
        super().__init__()
        self.rate, self.shift, self.head = nn.Parameter(torch.rand(6)), nn.Parameter(torch.rand(6)), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.rate.exp() * x + self.shift.sin()))


@pytest.mark.parametrize(
    ("build", "rest"), [(convolution, 0), (Sequence, 1), (Curved, 2)], ids=["convolution", "sequence", "curved"]
)
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_other_parameters_fall_back_to_rows_of_their_own(build, rest, dtype):
    torch.manual_seed(1)
    model = build().to(dtype)
    x, y = torch.randn(5, 6, dtype=dtype), torch.tensor([0, 1, 2, 1, 0])
    ggn = check(model, x, lambda z: F.cross_entropy(z, y), 1e-12 if dtype is F64 else 1e-5)
    assert len(ggn.fallbacks) == rest


def test_experts_that_no_sample_or_some_are_routed_to():
    class Experts(nn.ModuleList):
        route: torch.Tensor

        def forward(self, x):
            z = torch.zeros(len(x), 2, dtype=x.dtype)
            for i, expert in enumerate(self):
                chosen = (self.route == i).nonzero().squeeze(-1)
                z = z.index_add(0, chosen, expert(x[chosen]))
            return z

    torch.manual_seed(2)
    model, x = Experts([nn.Linear(4, 2) for _ in range(3)]).double(), torch.randn(5, 4, dtype=F64)
    for route in ([0, 0, 0, 0, 0], [1, 0, 1, 1, 0]):
        model.route = torch.tensor(route)
        check(model, x, lambda z: z.square().mean(), 1e-12)


def test_a_matrix_used_twice_is_not_taken_for_a_plain_layer():
    torch.manual_seed(2)
    model = Tied().double()
    ggn = check(model, torch.randn(5, 4, dtype=F64), lambda z: z.square().sum(), 1e-12)
    assert ggn.fallbacks == [0]  # the bias is its layer's alone


def test_parameters_shared_between_modules():
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    model[2].weight = model[0].weight
    check(model, torch.randn(3, 4, dtype=F64), lambda z: z.square().mean(), 1e-12)


def test_chunks_of_the_fallback_do_not_change_it(monkeypatch):
    torch.manual_seed(1)
    model = Curved().double()
    x = torch.randn(5, 6, dtype=F64)
    whole = curvature(model, x, lambda z: z.square().sum()).gram()
    monkeypatch.setattr("thermograd.optim.curvature.rows.graph_rows.CHUNK_ENTRIES", 100)
    torch.testing.assert_close(curvature(model, x, lambda z: z.square().sum()).gram(), whole)


def test_a_module_called_by_keyword_that_returns_a_dictionary():
    torch.manual_seed(3)
    model = Keywords().double()
    x, y = torch.randn(4, 6, dtype=F64), torch.tensor([0, 1, 2, 1])

    def closure():
        z = model(pixels=x, flag=True)["logits"]
        return F.cross_entropy(z, y), z

    ggn = Curvature(evaluate(closure), list(model.parameters()))
    ggn.verify()
    torch.testing.assert_close(flat(ggn.rmatvec(ggn.sources)), flat(ggn.gradient()))


def test_frozen_and_unused_parameters():
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    spare = nn.Parameter(torch.ones(2, dtype=F64))
    x = torch.randn(5, 4, dtype=F64)
    G, g = dense_ggn(model, x, lambda z: z.square().sum())
    model[0].weight.requires_grad_(False)
    model[2].bias.requires_grad_(False)

    def closure():
        z = model(x)
        return z.square().sum(), z

    ggn = Curvature(evaluate(closure), [*model.parameters(), spare])
    ggn.verify()
    kept = torch.cat([torch.full((p.numel(),), float(p.requires_grad), dtype=F64) for p in model.parameters()])
    expected = torch.zeros(len(g) + 2, len(g) + 2, dtype=F64)
    expected[:-2, :-2] = G * kept[:, None] * kept
    torch.testing.assert_close(ggn.dense(), expected)
    torch.testing.assert_close(flat(ggn.gradient())[:-2], g * kept)
    assert float(flat(ggn.rmatvec(ggn.sources))[-2:].abs().max()) == 0


def test_dropout_in_an_mlp_is_the_recorded_network():
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3)).double()
    x = torch.randn(6, 4, dtype=F64)
    ggn = curvature(model, x, lambda z: z.square().sum())
    rows = ggn.jacobian()
    torch.testing.assert_close(rows.T @ ggn.sources, flat(ggn.gradient()))


@pytest.mark.parametrize(
    "scale", [1.0, 30.0, 300.0, 3000.0], ids=["fresh", "confident", "saturated", "far beyond float32"]
)
@pytest.mark.parametrize("right", [True, False])
def test_a_saturated_softmax_keeps_sources_finite_and_the_gradient_exact(scale, right):
    torch.manual_seed(6)
    model = nn.Sequential(nn.Linear(4, 3))
    x = torch.randn(8, 4)
    with torch.no_grad():
        model[0].weight.mul_(scale)
        y = model(x).argmax(-1) if right else model(x).argmin(-1)
    ggn = curvature(model, x, lambda z: F.cross_entropy(z, y), verify=False)
    s = ggn.sources
    assert torch.isfinite(s).all()
    assert ggn.cells == 16
    g = flat(ggn.gradient())
    torch.testing.assert_close(flat(ggn.rmatvec(s)), g, rtol=1e-4, atol=2e-6)


def batch_norm():
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


@pytest.mark.parametrize(
    ("build", "loss_of", "words"),
    [
        (lambda: nn.Linear(4, 2), lambda z: (z[0] * z[1]).sum() + z.square().sum(), "couples samples"),
        (lambda: nn.Linear(4, 2), lambda z: -z.square().sum(), "not convex"),
        (lambda: nn.Linear(4, 2), lambda z: torch.cos(z).sum(), "not convex"),
        (
            lambda: nn.Linear(4, 2),
            lambda z: z.detach().square().sum() + 0 * z.sum().detach().requires_grad_() * 1,
            "very tensor",
        ),
    ],
    ids=["coupled loss", "concave", "wavy", "detached"],
)
def test_what_has_no_per_sample_curvature_raises(build, loss_of, words):
    torch.manual_seed(8)
    with pytest.raises(InputError, match=words):
        curvature(build(), torch.randn(5, 4), loss_of)


@pytest.mark.parametrize(
    "loss_of",
    [lambda z: z.abs().sum(), torch.sum, lambda z: F.l1_loss(z, torch.ones_like(z)), lambda z: F.relu(1 - z).mean()],
)
def test_a_piecewise_linear_loss_has_its_gradient_as_remainder(loss_of):
    torch.manual_seed(9)
    model = nn.Linear(4, 2)
    ggn = curvature(model, torch.randn(5, 4), loss_of)
    assert ggn.remainder is not None
    assert float(ggn.sources.abs().sum() + ggn.gram().abs().max()) == 0
    torch.testing.assert_close(flat(ggn.remainder), flat(ggn.gradient()))
    assert float(flat(ggn.gradient()).norm()) > 0


def test_a_penalty_in_the_loss_raises():
    model = nn.Linear(4, 2)
    with pytest.raises(InputError, match="other than through the outputs"):
        curvature(model, torch.randn(5, 4), lambda z: z.square().sum() + model.weight.square().sum())


def test_an_input_changed_in_place_is_noticed():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))

    def closure():
        h = model[0](torch.ones(3, 4))
        z = model[1](h)
        with torch.no_grad():
            h.mul_(2)
        return z.square().sum(), z

    with pytest.raises(InputError, match="in place"):
        Curvature(evaluate(closure), list(model.parameters())).verify()


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm])
def test_an_input_that_was_changed_before_the_layer_ran_is_right(norm):
    """AlphaDropout makes its result in place; the normalisation's input has a history, and does not change any more."""
    torch.manual_seed(1)
    model, x = nn.Sequential(nn.AlphaDropout(0.2), norm(4), nn.Linear(4, 2)).double(), torch.randn(3, 4).double()
    found = Curvature(evaluate(lambda: (lambda z: (z.square().sum(), z))(model(x))), list(model.parameters()))
    found.verify()
    assert found.fallbacks == []


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda z: z.sum(), "return \\(loss, outputs\\)"),
        (lambda z: (z, z), "scalar"),
        (lambda z: (z.sum().detach(), z), "no autograd graph"),
        (lambda z: (z.sum(), z.sum()), "shape"),
        (lambda z: (z.sum(), z.long()), "int64"),
        (lambda z: (z.sum(), {"logits": z}), r"returned \(Tensor, dict\): .*both tensors"),
    ],
)
def test_what_a_closure_may_return(result, words):
    model = nn.Linear(2, 2)
    with pytest.raises(InputError, match=words):
        evaluate(lambda: result(model(torch.ones(3, 2))))


def test_hooks_are_gone_after_an_error():
    from torch.nn.modules import module

    before = len(module._global_forward_hooks), len(module._global_forward_pre_hooks)
    with pytest.raises(ZeroDivisionError):
        evaluate(lambda: 1 / 0)
    assert (len(module._global_forward_hooks), len(module._global_forward_pre_hooks)) == before


def test_dense_of_a_large_model_raises():
    model = nn.Linear(30_000, 1)
    ggn = curvature(model, torch.ones(2, 30_000), lambda z: z.square().sum(), verify=False)
    with pytest.raises(InputError, match="use gram"):
        ggn.dense()
    assert ggn.gram().shape == (2, 2)


def test_outputs_masked_with_infinity_are_an_error_in_words():
    model, mask = nn.Linear(3, 4), torch.tensor([False, True, False, False])
    for value, right in ((-torch.inf, False), (-1e4, True)):

        def closure(value=value):
            z = model(torch.ones(2, 3)).masked_fill(mask, value)
            return F.cross_entropy(z, torch.tensor([0, 2])), z

        if right:
            evaluate(closure)
            continue
        with pytest.raises(InputError, match="2 of 8 outputs are -inf, but the loss is finite"):
            evaluate(closure)
    diverged = evaluate(lambda: (lambda z: (z.square().sum(), z))(model(torch.full((2, 3), torch.inf))))
    assert not diverged.finite


def test_a_hook_on_the_outputs_is_an_error_in_words():
    """It would scale the slope of the loss, and then the model's backward pass once more."""
    model = nn.Linear(3, 2)

    def closure():
        z = model(torch.ones(2, 3))
        z.register_hook(lambda gradient: 0.3 * gradient)
        return z.square().sum(), z

    with pytest.raises(InputError, match="outputs have a hook"):
        evaluate(closure)
