"""Losses with slope where they have no curvature: the step of every optimizer is (C + lambda I)^-1 g, against dense float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thermograd.circuits.errors import InputError
from thermograd.optim.curvature.batch import evaluate
from thermograd.optim.curvature.curvature import Curvature
from thermograd.optim.curvature.stacked_factor import StackedFactor
from thermograd.optim.optimizers.dual_solve import solve_dual
from thermograd.optim.optimizers.ngd import NGD, NGDCG, NGDWoodbury
from thermograd.optim.optimizers.tngd import TNGD

from ..oracle import dense_ggn, flat

F64 = torch.float64
LAMBDA = 0.1


LABELS = 3 * torch.randn(6, 2, dtype=F64, generator=torch.Generator().manual_seed(3))


#: losses of outputs (b, 2), in the type of the outputs
LOSSES = {
    "L1": lambda z: F.l1_loss(z, LABELS.to(z)),
    "squares of one output, slope of the other": lambda z: (z[:, 0].square() + z[:, 1]).mean(),
    "hinge and a square": lambda z: F.relu(1 - z).mean() + (z[:, :1] + 2 * z[:, 1:]).square().mean(),
}
LOSSES["Huber"] = lambda z: F.huber_loss(z, LABELS.to(z))
OPTIMIZERS = {
    "NGD": (NGD, {}),
    "CG": (NGDCG, {"tolerance": 1e-13, "max_iter": 200}),
    "Woodbury": (NGDWoodbury, {}),
    "TNGD": (TNGD, {"duration": math.inf}),
    "refined": (TNGD, {"duration": 100.0}),
    "primal": (TNGD, {"duration": math.inf, "system": "primal"}),
}


def model_and_data(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    return model, torch.randn(6, 3)


def step_of(kind, options, model, closure):
    before = flat(model.parameters()).clone()
    kind(model.parameters(), lr=1.0, damping=LAMBDA, **options).step(closure)
    return before - flat(model.parameters())


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_step_is_the_damped_natural_gradient(name, optimizer):
    model, x = model_and_data()
    model, x = model.double(), x.double()
    C, g = dense_ggn(model, x, LOSSES[name])
    expected = torch.linalg.solve(C + LAMBDA * torch.eye(len(g), dtype=F64), g)
    kind, options = OPTIMIZERS[optimizer]

    def closure():
        z = model(x)
        return LOSSES[name](z), z

    found = step_of(kind, options, model, closure)
    refined = optimizer == "refined"
    assert float((found - expected).norm()) < (2e-2 if refined else 1e-10) * float(expected.norm())
    # without the remainder, or with the gradient alone, the step is another
    in_range = torch.linalg.solve(C + LAMBDA * torch.eye(len(g), dtype=F64), C @ torch.linalg.pinv(C) @ g)
    assert float((in_range - expected).norm()) > 0.1 * float(expected.norm())


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS])
def test_an_outlier_at_zero_is_no_certain_class(optimizer):
    """X = 1, 2, 3, y = 0.5, 0.3, 9 from zero: with (C + 0.1 I) x = g of the slopes (-0.5, -0.3, -1) / 3 and curvatures (1, 1, 0) / 3."""
    model = nn.Linear(1, 1).double()
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    x = torch.tensor([[1.0], [2.0], [3.0]], dtype=F64)
    y = torch.tensor([[0.5], [0.3], [9.0]], dtype=F64)
    kind, options = OPTIMIZERS[optimizer]

    def closure():
        z = model(x)
        return F.huber_loss(z, y), z

    found = -step_of(kind, options, model, closure)
    A = torch.tensor([[5 / 3, 1.0], [1.0, 2 / 3]], dtype=F64) + LAMBDA * torch.eye(2, dtype=F64)
    expected = torch.linalg.solve(A, torch.tensor([4.1, 1.8], dtype=F64) / 3)
    torch.testing.assert_close(expected, torch.tensor([1.2633, -0.8652], dtype=F64), rtol=0, atol=5e-5)
    assert float((found - expected).norm()) < (2e-2 if optimizer == "refined" else 1e-10) * float(expected.norm())


@pytest.mark.parametrize(
    "loss_of",
    [
        lambda z: 0 * z.sum(),
        lambda z: F.relu(z - 1e9).mean(),
        lambda z: F.cross_entropy(z, torch.full((6,), -100), reduction="sum"),
    ],
)
@pytest.mark.parametrize("optimizer", [*OPTIMIZERS])
@pytest.mark.parametrize("outputs", [1, 2])
def test_a_flat_batch_is_a_step_of_zero(loss_of, optimizer, outputs):
    model = nn.Linear(3, outputs)
    kind, options = OPTIMIZERS[optimizer]

    def closure():
        z = model(torch.ones(6, 3))
        return loss_of(z), z

    assert not step_of(kind, options, model, closure).any()


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("damping", [1e-8, 1e-4])
def test_terms_that_cancel_lose_no_digits(dtype, damping):
    """g_r in steep directions of C, over a damping far below C: what is left is as exact as the products' type."""
    torch.manual_seed(1)
    model = nn.Linear(3, 1).to(dtype)
    x = torch.randn(8, 3, dtype=dtype)

    def loss_of(z):
        return z[:4].square().sum() + 5 * z[4:].sum()

    def closure():
        z = model(x)
        return loss_of(z), z

    C, g = dense_ggn(model, x, loss_of)
    expected = torch.linalg.solve(C + damping * torch.eye(len(g), dtype=F64), g)
    found = solve_dual(Curvature(evaluate(closure), list(model.parameters())), damping)
    assert found is not None
    tolerance = 1e-4 if dtype == torch.float32 else 1e-7 if damping < 1e-6 else 1e-10
    assert float((flat(found).double() - expected).norm()) < tolerance * float(expected.norm())


def test_micro_batches_and_groups_carry_the_remainder():
    model, x = model_and_data()
    model, x = model.double(), x.double()
    parameters = list(model.parameters())
    loss_of = LOSSES["hinge and a square"]

    def closure(part):
        return lambda: (loss_of(z := model(part)), z)

    scales = [1.0, 4.0, 1.0, 0.25]
    halves = [Curvature(evaluate(closure(part)), parameters) for part in (x[:3], x[3:])]
    stacked = StackedFactor(halves, [0.5, 0.5], scales)
    C, g = dense_ggn(model, x, loss_of)
    root = torch.cat(
        [torch.full((p.numel(),), math.sqrt(s), dtype=F64) for p, s in zip(parameters, scales, strict=True)]
    )
    assert stacked.remainder is not None
    torch.testing.assert_close(flat(stacked.rmatvec(stacked.sources)) + flat(stacked.remainder), root * g)
    found = solve_dual(stacked, LAMBDA)
    assert found is not None
    torch.testing.assert_close(
        flat(found), torch.linalg.solve(root[:, None] * C * root + LAMBDA * torch.eye(len(g), dtype=F64), root * g)
    )


def test_the_empirical_fisher_of_rows_with_weights_of_their_own():
    """Rows whose weights differ by rounding have one source; of others, what it does not give is the remainder: in both, against dense.

    C = sum_i h_i h_i^T with h_i = sum_j J_ij^T r_ij / sqrt(w_ij) over the rows j of a sample.
    """
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(3, 6), nn.Unflatten(1, (2, 3))).double()
    x, y = torch.randn(5, 3, dtype=F64), torch.randint(0, 3, (5, 2))
    for weights in (torch.ones(5, 2, dtype=F64), torch.tensor([[0.3, 1.0]], dtype=F64).expand(5, 2)):
        weights = weights / 7 * (1 + 1e-16)

        def closure(weights=weights):
            z = model(x)
            each = F.cross_entropy(z.view(10, 3), y.reshape(-1), reduction="none").view(5, 2)
            return (weights * each).sum(), z

        loss, z = closure()
        scores = torch.softmax(z.view(5, 2, 3), -1) - F.one_hot(y, 3)
        columns = (weights.sqrt().unsqueeze(-1) * scores).reshape(5, 6).detach()
        h = torch.cat([torch.einsum("bi,bj->bij", columns, x).reshape(5, -1), columns], dim=1)
        g = flat(torch.autograd.grad(loss, list(model.parameters())))
        expected = torch.linalg.solve(h.T @ h + LAMBDA * torch.eye(24, dtype=F64), g)
        factor = Curvature(evaluate(closure), list(model.parameters()), "empirical")
        found = solve_dual(factor, LAMBDA)
        assert found is not None
        torch.testing.assert_close(flat(found), expected, rtol=1e-10, atol=1e-12)
        assert (factor.remainder is None) == bool((weights[0, 0] - weights[0, 1]).abs() < 1e-9)


def test_drawn_labels_on_the_dual_cells_take_the_digital_step():
    model, x = model_and_data()
    y = torch.tensor([0, 1, 1, 0, 1, 0])
    start = {name: part.clone() for name, part in model.state_dict().items()}

    def closure():
        z = model(x)
        return F.cross_entropy(z, y), z

    steps = []
    for kind, options in (
        (NGD, {}),
        (TNGD, {"duration": math.inf}),
        (TNGD, {"duration": math.inf, "system": "primal"}),
    ):
        model.load_state_dict(start)
        steps.append(step_of(kind, {"curvature": "mc-fisher", "seed": 5, **options}, model, closure))
    torch.testing.assert_close(steps[1], steps[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(steps[2], steps[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "options", "damping", "words"),
    [
        (TNGD, {"duration": 3.0}, 0.1, 'system="primal"'),
        (TNGD, {"duration": 100.0, "reading": "bare"}, 0.1, 'reading="refined"'),
        (TNGD, {"duration": math.inf}, 0.0, "give damping > 0"),
        (NGD, {}, 0.0, "give damping > 0"),
    ],
)
def test_what_has_no_such_step_raises(kind, options, damping, words):
    model, x = model_and_data()

    def closure():
        z = model(x)
        return LOSSES["L1"](z), z

    with pytest.raises(InputError, match=words):
        kind(model.parameters(), damping=damping, **options).step(closure)
