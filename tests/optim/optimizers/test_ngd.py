"""The digital natural gradient against a dense solution by automatic differentiation."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thermograd.circuits.errors import InputError
from thermograd.devicemodel.device import Outcome
from thermograd.optim.optimizers.ngd import NGD, NGDWoodbury
from thermograd.optim.optimizers.tngd import TNGD
from thermograd.optim.tasks.digits import digits

from ..oracle import dense_ggn, flat


def digits_problem(dtype, seed=0, train_steps=0):
    """The digits network with one batch of 16, fresh or after some steps of SGD."""
    task = digits(seed)
    torch.manual_seed(seed)
    model = task.model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for step in range(train_steps):
        x, y = task.batch(step, 32, seed)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    x, y = task.batch(train_steps, 16, seed)
    return model.to(dtype), x.to(dtype), y


def closure_of(model, x, y):
    def closure():
        z = model(x)
        return F.cross_entropy(z, y), z

    return closure


def step_of(optimizer, model, closure):
    """The change of the parameters by one step, (N,) float64."""
    before = flat(model.parameters()).double()
    loss = optimizer.step(closure)
    assert math.isfinite(loss)
    return flat(model.parameters()).double() - before


@pytest.mark.parametrize("damping", [0.01, 0.1])
@pytest.mark.parametrize("train_steps", [0, 60], ids=["fresh", "trained"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-8)])
@pytest.mark.parametrize("kind", [NGD, TNGD])
def test_exact_step_on_digits(kind, dtype, tolerance, train_steps, damping):
    """NGD, and the ideal device settled, take the step of the dense solution in float64 (issue: 1e-5 in float32, 1e-8
    in float64)."""
    model, x, y = digits_problem(dtype, train_steps=train_steps)
    G, g = dense_ggn(model, x, lambda z: F.cross_entropy(z, y))
    expected = -torch.linalg.solve(G + damping * torch.eye(len(g), dtype=torch.float64), g)
    options = {} if kind is NGD else {"duration": math.inf}
    # a large learning rate, so that float32 rounding of the parameters themselves does not hide the step
    found = step_of(kind(model.parameters(), lr=64.0, damping=damping, **options), model, closure_of(model, x, y)) / 64
    assert float((found - expected).norm() / expected.norm()) < tolerance


def test_groups_have_their_own_learning_rate_and_damping():
    model, x, y = digits_problem(torch.float64)
    G, g = dense_ggn(model, x, lambda z: F.cross_entropy(z, y))

    def spread(first, second):
        return torch.cat(
            [torch.full((p.numel(),), first if i < 2 else second) for i, p in enumerate(model.parameters())]
        ).double()

    optimizer = NGD(
        [{"params": model[0].parameters(), "lr": 0.2, "damping": 0.4}, {"params": model[2].parameters()}],
        lr=0.05,
        damping=0.1,
    )
    expected = -spread(0.2, 0.05) * torch.linalg.solve(G + torch.diag(spread(0.4, 0.1)), g)
    wrong = -spread(0.2, 0.05) * torch.linalg.solve(G + torch.diag(spread(0.1, 0.4)), g)
    found = step_of(optimizer, model, closure_of(model, x, y))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
    assert float((found - wrong).norm() / expected.norm()) > 0.1
    optimizer.param_groups[0]["damping"] = 0.0
    with pytest.raises(InputError, match="give each group damping > 0"):
        optimizer.step(closure_of(model, x, y))


def test_without_damping_the_singular_matrix_raises():
    model, x, y = nn.Linear(2, 3), torch.ones(4, 2), torch.tensor([0, 1, 2, 0])
    with pytest.raises(InputError, match=r"singular in float64 and damping is 0\.0: give damping > 0"):
        NGD(model.parameters(), damping=0.0).step(closure_of(model, x, y))


@pytest.mark.parametrize("kind", [NGD, TNGD])
def test_a_loss_that_is_not_finite_changes_nothing(kind):
    model, x, y = digits_problem(torch.float32)
    optimizer = kind(model.parameters())
    before = flat(model.parameters())
    loss = optimizer.step(closure_of(model, x * math.nan, y))
    assert math.isnan(loss)
    assert torch.equal(flat(model.parameters()), before)
    assert optimizer.last.outcome is Outcome.NOT_FINITE
    assert not optimizer.last.applied
    optimizer.step(closure_of(model, x, y))
    assert optimizer.last.applied


@pytest.mark.parametrize("options", [{"lr": -1.0}, {"lr": math.nan}, {"damping": -0.1}, {"damping": math.inf}])
def test_bad_arguments(options):
    with pytest.raises(InputError):
        NGD(nn.Linear(2, 2).parameters(), **options)


def test_mixed_types_raise():
    with pytest.raises(InputError, match="float64"):
        NGD([nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1, dtype=torch.float64))])


def test_learning_rate_scheduler_and_record():
    model, x, y = digits_problem(torch.float32)
    optimizer = NGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.0)
    assert float(step_of(optimizer, model, closure_of(model, x, y)).norm()) > 0
    scheduler.step()
    assert float(step_of(optimizer, model, closure_of(model, x, y)).norm()) == 0
    assert optimizer.last.cells == 16 * 9
    assert optimizer.last.digital_seconds > 0
    assert optimizer.last.analog_seconds == 0


@pytest.mark.parametrize("curvature", ["ggn", "mc-fisher", "empirical"])
def test_a_diverged_network_keeps_its_law(curvature):
    """Every softmax certain, and every one wrong: no curvature to detect_likelihood the loss by, but a gradient to follow."""
    model, x, y = digits_problem(torch.float32)
    optimizer = NGD(model.parameters(), lr=1e-3, damping=0.1, curvature=curvature)
    optimizer.step(closure_of(model, x, y))
    with torch.no_grad():
        model[2].weight.mul_(1e6)
        wrong = model(x).argmin(-1)
    gradient = torch.autograd.grad(F.cross_entropy(model(x), wrong), list(model.parameters()))
    found = step_of(optimizer, model, closure_of(model, x, wrong))
    assert optimizer.last.applied
    cosine = float(F.cosine_similarity(found, -flat(gradient).double(), dim=0))
    assert cosine > {"mc-fisher": 0.99, "ggn": 0.1, "empirical": 0.0}[curvature]


def test_woodbury_in_single_precision_falls_to_the_dual_system_where_its_terms_cancel():
    """Inputs of 300 and a damping of 1e-3: the identity alone, corrected once, is 80 times the step off."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 40), nn.ReLU(), nn.Linear(40, 3))
    x, y = 300 * torch.randn(20, 30), torch.randn(20, 3)
    exact = copy.deepcopy(model).double()

    def moved(model, x, y):
        before = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
        NGDWoodbury(model.parameters(), lr=1.0, damping=1e-3).step(lambda: (F.mse_loss(z := model(x), y), z))
        return torch.cat([p.detach().reshape(-1) for p in model.parameters()]) - before

    true, found = moved(exact, x.double(), y.double()), moved(model, x, y).double()
    assert float((found - true).norm() / true.norm()) < 1e-2
