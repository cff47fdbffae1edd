"""Levenberg and Marquardt's rule: by itself, and on a model that is its own quadratic model."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thermograd.circuits.errors import InputError
from thermograd.optim.optimizers.damping import LevenbergMarquardt
from thermograd.optim.optimizers.kfac import KFAC
from thermograd.optim.optimizers.ngd import NGD, NGDCG


@pytest.mark.parametrize(
    ("change", "predicted", "expected"),
    [
        (-1.0, -1.0, 0.5),
        (-0.9, -1.0, 0.5),
        (-0.5, -1.0, 1.0),
        (-0.1, -1.0, 2.0),
        (1.0, -1.0, 2.0),
        (math.nan, -1.0, 2.0),
        (math.inf, -1.0, 2.0),
        (-1.0, 0.5, 2.0),
    ],
)
def test_rule(change, predicted, expected):
    assert LevenbergMarquardt(1.0, factor=0.5, threshold=0.75).updated(1.0, change, predicted) == expected


def test_bounds():
    policy = LevenbergMarquardt(1.0, factor=0.5, lowest=0.8, highest=1.5)
    assert policy.updated(1.0, -1.0, -1.0) == 0.8
    assert policy.updated(1.0, 1.0, -1.0) == 1.5


@pytest.mark.parametrize("kind", [NGD, NGDCG, KFAC])
def test_a_model_that_is_quadratic_is_trusted(kind):
    """A linear layer with a squared error: rho is 1 whatever the step, and lambda falls by its factor each time."""
    torch.manual_seed(0)
    model, x, t = nn.Linear(4, 2).double(), torch.randn(6, 4).double(), torch.randn(6, 2).double()
    groups = [{"params": [model.weight], "lr": 0.7}, {"params": [model.bias], "lr": 0.4}]
    optimizer = kind(groups, damping=LevenbergMarquardt(0.5, factor=0.8, threshold=0.999))

    def closure():
        z = model(x)
        return F.mse_loss(z, t), z

    for count in range(4):
        optimizer.step(closure)
        assert optimizer.last.damping == pytest.approx(0.5 * 0.8**count)


def test_a_step_that_overshoots_is_not():
    torch.manual_seed(0)
    model, x, y = (
        nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double(),
        torch.randn(9, 4).double(),
        torch.arange(9) % 3,
    )
    optimizer = NGD(model.parameters(), lr=30.0, damping=LevenbergMarquardt(0.01, factor=0.5))

    def closure():
        z = model(x)
        return F.cross_entropy(z, y), z

    optimizer.step(closure)
    optimizer.step(closure)
    assert optimizer.last.damping == 0.02


def test_a_schedule_is_a_function_of_the_steps_done():
    model = nn.Linear(2, 2)
    optimizer = NGD(model.parameters(), damping=lambda step: 1.0 / (1 + step))
    found = []
    for _ in range(3):
        optimizer.step(lambda: ((z := model(torch.ones(2, 2))).square().sum(), z))
        found.append(optimizer.last.damping)
    assert found == [1.0, 0.5, 1 / 3]


@pytest.mark.parametrize(
    "options",
    [{"start": 0.0}, {"factor": 1.0}, {"threshold": 0.5}, {"threshold": 1.0}, {"lowest": 1.0}, {"start": math.nan}],
)
def test_bad_numbers_are_named(options):
    with pytest.raises(InputError, match=next(iter(options))):
        LevenbergMarquardt(**options)


@pytest.mark.parametrize("kind", [NGD, NGDCG])
def test_a_closure_may_differentiate_inside(kind):
    """The loss after the step is taken with gradients enabled: u' + u, whose loss falls as predicted for a linear u."""
    torch.manual_seed(1)
    model = nn.Linear(1, 1).double()
    x = torch.linspace(0, 1, 4, dtype=torch.float64).unsqueeze(1).requires_grad_()

    def closure():
        u = model(x)
        residual = torch.autograd.grad(u.sum(), x, create_graph=True)[0] + u - 1
        return residual.square().mean(), residual

    optimizer = kind(model.parameters(), lr=1.0, damping=LevenbergMarquardt(start=1e-4, lowest=1e-8))
    losses = [optimizer.step(closure) for _ in range(3)]
    assert losses[-1] < 1e-6 * losses[0]
    assert optimizer._adapted == pytest.approx(1e-4 * 0.9**3)
