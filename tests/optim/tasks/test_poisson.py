"""The Poisson task: its equation at functions whose Laplacian is known, its points, and that training takes and resumes it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from thermograd.circuits.errors import InputError
from thermograd.optim.tasks.poisson import GRID, RELATIVE_ERROR, poisson, solution, source
from thermograd.optim.tasks.registry import make_task
from thermograd.optim.training.curvature_systems import curvature_systems
from thermograd.optim.training.landscape import landscape
from thermograd.optim.training.train import train
from thermograd.optim.training.trajectory import follow

from ..oracle import flat

SMALL = {"interior": 12, "boundary": 8, "width": 6}


class Function(nn.Module):
    """A function of the points as a network with one parameter, its factor."""

    def __init__(self, function, factor=1.0):
        super().__init__()
        self.function = function
        self.factor = nn.Parameter(torch.tensor(factor, dtype=torch.float64))

    def forward(self, points: Tensor) -> Tensor:
        return self.factor * self.function(points)[..., None]


@pytest.mark.parametrize("form", ["residual", "graph"])
def test_the_solution_has_no_residual_and_another_function_has(form):
    """To rounding of 2 pi^2 = 19.7. Negative control: a factor of 1.001 leaves -0.001 of the source."""
    task = poisson(form=form)
    loss, outputs = task.closure(Function(solution), 0, None, 0)()
    assert outputs.shape == (360, 1)
    assert float(outputs.detach().abs().max()) < 1e-13
    assert float(loss.detach()) < 1e-26
    _, wrong = task.closure(Function(solution, 1.001), 0, None, 0)()
    torch.testing.assert_close(wrong[:200, 0], -0.001 * source(task.interior), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("form", ["residual", "graph"])
def test_loss_of_a_polynomial(form):
    """u = x^2 y has the Laplacian 2 y."""
    task = poisson(weight=7.0, seed=3, form=form)
    loss, outputs = task.closure(Function(lambda p: p[..., 0] ** 2 * p[..., 1]), 0, None, 0)()
    inside = 2 * task.interior[:, 1] + source(task.interior)
    edge = task.boundary[:, 0] ** 2 * task.boundary[:, 1]
    torch.testing.assert_close(outputs[:, 0], torch.cat([inside, edge]), rtol=1e-13, atol=1e-13)
    wanted = (inside**2).mean() / 2 + 7.0 * (edge**2).mean() / 2
    assert float(loss.detach()) == pytest.approx(float(wanted), rel=1e-14)


def test_score_is_the_relative_error_on_the_grid():
    task = poisson()
    assert task.evaluate(Function(solution)) < 1e-15
    assert task.evaluate(Function(solution, 0.0)) == 1
    assert task.evaluate(Function(solution, 1.01)) == pytest.approx(0.01, rel=1e-12)
    # sum sin^2 sin^2 is (GRID - 1)^2 / 4 on this grid, that of a constant c^2 GRID^2
    shifted = task.evaluate(Function(lambda p: solution(p) + 1e-3))
    assert shifted == pytest.approx(1e-3 * GRID / ((GRID - 1) / 2), rel=1e-12)
    assert RELATIVE_ERROR.reaches(1e-5, 1e-4)
    assert not RELATIVE_ERROR.reaches(math.nan, 1e-4)
    assert RELATIVE_ERROR.text(4.172e-5) == "4.17e-05"


def test_points_lie_where_they_belong_and_are_the_seeds():
    task = poisson(seed=2)
    assert task.interior.shape == (200, 2)
    assert bool(((task.interior > 0) & (task.interior < 1)).all())
    x, y = task.boundary.T
    for edge in (y == 0, y == 1, x == 0, x == 1):
        assert int(edge.sum()) == 40
    assert torch.equal(task.interior, poisson(seed=2).interior)
    assert not torch.equal(task.interior, poisson(seed=1).interior)
    assert sum(p.numel() for p in task.model().parameters()) == 1185
    # quasi-random: the mean of x is 1/2 to within some 1 / n, ten times closer than that of independent points
    assert float((task.interior.mean(dim=0) - 0.5).abs().max()) < 3 / 200


@pytest.mark.parametrize("optimizer", ["adam", "ngd", "tngd"])
def test_resume_is_bit_exact(tmp_path, optimizer):
    task, models, histories = poisson(**SMALL), [], []
    for lengths, path in (((6,), None), ((4, 6), tmp_path / "run.pt")):
        for steps in lengths:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                model = task.model()
            history = train(task, optimizer, steps, model=model, evaluate_every=2, checkpoint=path, schedule="constant")
        models.append(model)
        histories.append(history)
    assert torch.equal(flat(models[0].parameters()), flat(models[1].parameters()))
    assert histories[0].loss == histories[1].loss
    assert histories[0].evaluations == histories[1].evaluations
    assert histories[1].score == RELATIVE_ERROR
    with pytest.raises(InputError, match=r"another run: task poisson\(seed=0.*this run: poisson\(seed=1"):
        train(poisson(seed=1, **SMALL), optimizer, 6, checkpoint=path, schedule="constant")


def test_systems_of_its_training_are_those_of_the_residuals():
    """A = lambda I + M M^T and b = s, with M and s by double backward passes."""
    task = poisson(**SMALL)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = task.model()
    [first, _] = curvature_systems(task, [0, 2], None, seed=4, settings={"damping": 0.1})
    _, outputs = poisson(**SMALL, form="graph").closure(model, 0, None, 0)()
    weights = torch.tensor([1 / 12] * 12 + [task.weight / 8] * 8, dtype=torch.float64).sqrt()
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(r, [*model.parameters()], retain_graph=True)])
        for r in outputs[:12]
    ]
    M = torch.stack(rows) * weights[:12, None]
    torch.testing.assert_close(
        torch.from_numpy(first.matrix)[:12, :12], M @ M.T + 0.1 * torch.eye(12).double(), rtol=1e-9, atol=1e-9
    )
    torch.testing.assert_close(torch.from_numpy(first.b), outputs[:, 0].detach() * weights, rtol=1e-9, atol=1e-12)


def test_training_by_name_counts_steps_downwards():
    history = train("poisson", "adam", 2, evaluate_every=1)
    assert [step for step, _ in history.evaluations] == [0, 1, 2]
    assert history.final_score == history.evaluations[-1][1]
    history.evaluations = [(0, 1.0), (10, 0.1), (20, 0.2), (30, 0.01)]
    assert [history.steps_to(error) for error in (1.0, 0.15, 0.1, 0.05, 0.001)] == [0, 10, 10, 30, None]


def test_what_does_not_apply_is_said_in_words():
    task = poisson(**SMALL)
    with pytest.raises(InputError, match=r"batch is 16: every step of the task poisson.* takes all of its points"):
        train(task, "adam", 1, 16)
    with pytest.raises(
        InputError, match=r"0.weight of the model is torch.float32: the task poisson.* is torch.float64"
    ):
        train(task, "adam", 1, model=task.model().float())
    for use in (lambda: follow(task, "adam", 1), lambda: landscape(task, [])):
        with pytest.raises(InputError, match="needs labelled samples; give digits"):
            use()
    for wrong in (
        {"weight": 0.0},
        {"weight": math.inf},
        {"boundary": 10},
        {"interior": 0},
        {"interior": True},
        {"width": 2.5},
        {"weight": "a"},
        {"seed": -1},
        {"form": "rows"},
    ):
        with pytest.raises(InputError, match="give"):
            poisson(**wrong)
    with pytest.raises(InputError, match="batch is None"):
        make_task("digits").closure(nn.Identity(), 0, None, 0)
