"""The benchmark tasks: equations at their exact solutions, sizes, points, and which error is printed."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from thermograd.circuits.errors import InputError
from thermograd.optim.tasks.poisson_cube import SETTINGS, poisson_cube
from thermograd.optim.training.train import train

F64 = torch.float64


class Function(nn.Module):
    """A factor times a function of the points, as a network."""

    def __init__(self, function, factor=1.0):
        super().__init__()
        self.function, self.factor = function, nn.Parameter(torch.tensor(factor, dtype=F64))

    def forward(self, points: Tensor) -> Tensor:
        return self.factor * self.function(points)[..., None]


@pytest.mark.parametrize("preset", SETTINGS)
def test_the_exact_solution_satisfies_equation_and_condition(preset):
    """By double backward passes; and in the task's loss, of which a wrong factor is the negative control."""
    task = poisson_cube(preset)
    setting, x = task.setting, torch.rand(20, task.setting.widths[0], dtype=F64, requires_grad=True)
    (slope,) = torch.autograd.grad(setting.exact(x).sum(), x, create_graph=True)
    second = [torch.autograd.grad(slope[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(x.shape[1])]
    torch.testing.assert_close(-sum(second), setting.source(x), rtol=1e-12, atol=1e-12)
    loss, outputs = task.closure(Function(setting.exact), 0, None, 0)()
    assert outputs.shape == (setting.interior + setting.boundary, 1)
    assert float(loss.detach()) < 1e-25
    wrong, _ = task.closure(Function(setting.exact, 1.01), 0, None, 0)()
    assert float(wrong.detach()) > 1e-5


@pytest.mark.parametrize(
    ("preset", "parameters", "inside", "sides"),
    [("2d", 257, 900, 120), ("5d", 449, 3000, 500), ("5d-large", 10065, 3000, 500)],
)
def test_networks_and_points_are_those_of_the_sources(preset, parameters, inside, sides):
    task = poisson_cube(preset, seed=3)
    assert sum(p.numel() for p in task.model().parameters()) == parameters
    x, y = task.points(4, 5)
    assert (len(x), len(y)) == (inside, sides)
    assert float(x.min()) > 0
    assert float(x.max()) < 1
    on_faces = ((y == 0) | (y == 1)).sum(1)
    assert (on_faces == 1).all()
    d = x.shape[1]
    faces = torch.cat([(y == 0).sum(0), (y == 1).sum(0)]).double()
    # binomial counts: five standard deviations
    assert float((faces - sides / (2 * d)).abs().max()) < 5 * math.sqrt(sides / (2 * d))
    again, later = task.points(4, 5), task.points(6, 5)
    assert torch.equal(again[0], x)
    assert torch.equal(again[1], y)
    assert torch.equal(later[0], x) == (preset == "2d")
    assert torch.equal(task.points(4, 6)[0], x) == (preset == "2d")
    assert not torch.equal(poisson_cube(preset, seed=4).points(4, 6)[0], x)


@pytest.mark.parametrize("preset", ["2d", "5d"])
def test_the_score_is_the_absolute_root_mean_square(preset):
    """Of 1.1 u_exact it is 0.1 rms(u_exact): 1/2 in 2D and sqrt(5/2) in 5D. The relative error would be 0.1 in both."""
    task = poisson_cube(preset)
    rms = 0.5 if preset == "2d" else math.sqrt(2.5)
    assert task.setting.rms == pytest.approx(rms, rel=1e-12)
    assert task.evaluate(Function(task.setting.exact, 1.1)) == pytest.approx(0.1 * rms, rel=0.02)


def test_loss_of_a_constant():
    """u = c in 2D: the residual is f, and u - u_exact is c."""
    task = poisson_cube("2d", weight=7.0)
    x, _ = task.points(0, 0)
    loss, _ = task.closure(Function(lambda p: torch.ones_like(p[..., 0]), 0.3), 0, None, 0)()
    wanted = (2 * math.pi**2 * torch.sin(math.pi * x).prod(1)).square().mean() / 2 + 7.0 * 0.09 / 2
    assert float(loss.detach()) == pytest.approx(float(wanted), rel=1e-9)


def test_training_takes_the_plan_and_the_loss_falls():
    history = train(poisson_cube("2d"), "ngd", steps=6, evaluate_every=0)
    assert history.loss[-1] < history.loss[0]


@pytest.mark.parametrize("wrong", [{"preset": "3d"}, {"seed": -1}, {"weight": 0.0}])
def test_wrong_settings_are_errors(wrong):
    with pytest.raises(InputError):
        poisson_cube(**wrong)
    with pytest.raises(InputError, match="batch"):
        poisson_cube().closure(nn.Linear(2, 1), 0, 5, 0)
    with pytest.raises(InputError, match="step"):
        poisson_cube().points(-1, 0)
