"""The line search: its minimum, what it never does, and the noise floor, below which a loss's own digits say nothing."""

import itertools
import math
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import thermograd as tg
from thermograd.circuits.errors import InputError
from thermograd.optim.optimizers.options.line_search import search
from thermograd.optim.optimizers.options.reevaluation import Evaluation
from thermograd.optim.optimizers.step import Direction

F64 = torch.float64


def flat(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def problem(loss, seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    x, y = torch.randn(9, 3, dtype=F64), torch.arange(9) % 3
    t = F.one_hot(y).double() if loss is F.mse_loss else y

    def closure():
        z = model(x)
        return loss(z, t), z

    return model, closure


@pytest.mark.parametrize("last", [1.0, 0.25, 2.0**-20])
@pytest.mark.parametrize("best", [1.5, 0.7, 0.1, 1e-3, 1e-6])
def test_the_length_is_the_best_power_of_two(best, last):
    lengths = [2.0**-j for j in range(31)]
    losses = {t: (t - best) ** 2 - best**2 for t in lengths}
    asked = []
    found = search(lambda t: asked.append(t) or losses[t], last)
    assert found.length == min(lengths, key=losses.__getitem__)
    assert found.change == losses[found.length]
    assert len(asked) == len(set(asked))


def test_no_length_is_taken_of_a_path_that_ascends():
    asked = []
    assert search(lambda t: asked.append(t) or (math.nan if t > 0.5 else t), 1.0).length == 0
    assert min(asked) == 2.0**-30
    assert len(asked) <= 17


@pytest.mark.parametrize("loss", [F.mse_loss, F.cross_entropy])
def test_no_step_raises_the_loss(loss):
    """At 30 times the natural gradient's step; without the search it rises in the first step (the control)."""
    model, closure = problem(loss)
    optimizer = tg.NGD(model.parameters(), lr=30.0, damping=1e-3, line_search=True)
    losses = [optimizer.step(closure) for _ in range(6)]
    assert all(after < before for before, after in itertools.pairwise(losses))
    model, closure = problem(loss)
    optimizer = tg.NGD(model.parameters(), lr=30.0, damping=1e-3)
    assert optimizer.step(closure) < optimizer.step(closure)


def test_a_direction_that_ascends_leaves_the_parameters_and_raises_the_damping():
    model, closure = problem(F.mse_loss)

    class Ascent(tg.NGD):
        def _direction(self, factor, damping):
            found = super()._direction(factor, damping)
            return Direction(None if found.x is None else [-part for part in found.x], found.outcome, found.cells)

    policy = tg.LevenbergMarquardt(0.1, factor=0.5)
    optimizer = Ascent(model.parameters(), lr=1.0, damping=policy, line_search=True, spring=0.5)
    before = flat(model)
    optimizer.step(closure)
    assert torch.equal(flat(model), before)
    assert (optimizer.last.length, optimizer.last.applied) == (0.0, False)
    optimizer.step(closure)
    assert optimizer.last.damping == 0.2


def test_an_error_on_the_way_leaves_the_parameters():
    model, closure = problem(F.mse_loss)
    before, calls = flat(model), []

    def fails():
        calls.append(0)
        if len(calls) == 4:
            raise RuntimeError("at a trial")
        return closure()

    with pytest.raises(RuntimeError, match="at a trial"):
        tg.NGD(model.parameters(), lr=30.0, line_search=True).step(fails)
    assert torch.equal(flat(model), before)


def test_whole_steps_lower_the_damping_and_short_ones_leave_it():
    """The ratio of a short step is near 1 whatever lambda is."""
    model, closure = problem(F.mse_loss)
    policy = tg.LevenbergMarquardt(1e-4, factor=0.5)
    optimizer = tg.NGD(model.parameters(), lr=1.0, damping=policy, line_search=True)
    changed = set()
    for _ in range(12):
        optimizer.step(closure)
        changed.add((optimizer.last.length == 1, optimizer.state_dict()["adapted"] != optimizer.last.damping))
    assert (False, True) not in changed
    assert {(False, False), (True, True)} <= changed


def test_changes_below_the_rounding_of_the_loss_come_from_the_outputs():
    """In exact arithmetic: right to 1e-6 where the difference of the losses (the control) has no right digit."""
    generator = torch.Generator().manual_seed(0)
    f = torch.randn(50, 1, dtype=F64, generator=generator)
    later = f + 1e-14 * torch.randn(50, 1, dtype=F64, generator=generator)

    def loss(z):
        return float((z + 3e3).square().sum() / 2)

    exact = float(
        sum(
            (Fraction(float(b)) + 3000) ** 2 - (Fraction(float(a)) + 3000) ** 2
            for a, b in zip(f.flatten(), later.flatten(), strict=True)
        )
        / 2
    )
    first, second = Evaluation(loss(f), f, f + 3e3), Evaluation(loss(later), later, later + 3e3)
    assert first.change(second) == pytest.approx(exact, rel=1e-6)
    assert abs(second.loss - first.loss - exact) > 0.5 * abs(exact)


def test_runs_go_down_to_rounding():
    """Nine points and 59 parameters can be fitted exactly: the loss ends at the square of the outputs' rounding, without a stall."""
    model, closure = problem(F.mse_loss)
    optimizer = tg.NGD(model.parameters(), lr=1.0, damping=1e-8, line_search=True)
    for _ in range(14):
        loss = optimizer.step(closure)
    assert loss < 1e-29
    model, closure = problem(F.mse_loss)
    plain = tg.NGD(model.parameters(), lr=1.0, damping=tg.LevenbergMarquardt(0.1))
    for _ in range(14):
        loss = plain.step(closure)
    assert loss > 1e-6


def test_a_closure_that_differentiates_the_model():
    """The trials run with gradients enabled, also for Levenberg and Marquardt's ratio."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 1)).double()
    x = torch.linspace(0, 1, 7, dtype=F64)[:, None].requires_grad_()

    def closure():
        (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
        return (slope - 1).square().mean(), slope

    optimizer = tg.NGD(model.parameters(), lr=1.0, damping=tg.LevenbergMarquardt(0.1), line_search=True, geodesic=0.75)
    losses = [optimizer.step(closure) for _ in range(4)]
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"line_search": 1}, "line_search is 1: give True or False"),
        ({"line_search": True, "update": "adam"}, 'line_search needs update="sgd"'),
        ({"line_search": True, "momentum": 0.5}, r"momentum is 0\.5 with line_search: .*spring"),
        ({"geodesic": 0.5, "weight_decay": 0.1}, r"weight_decay is 0\.1 with geodesic"),
        ({"geodesic": 0.0}, r"geodesic is 0\.0: give a finite number > 0"),
        ({"geodesic": True}, r"geodesic is True: give a number"),
        ({"geodesic": 0.5, "curvature": "empirical"}, 'with curvature="empirical"'),
        ({"spring": 1.0}, r"spring is 1\.0: give a number >= 0 and < 1"),
        ({"spring": 0.5, "momentum": 0.5}, "spring is 0.5 with momentum: give one"),
        ({"spring": 0.5, "curvature": "hessian"}, "may be indefinite"),
    ],
)
def test_options_that_do_not_go_together(options, words):
    with pytest.raises(InputError, match=words):
        tg.NGD(nn.Linear(2, 2).parameters(), **options)


def test_those_of_a_group():
    groups = [{"params": nn.Linear(2, 2).parameters(), "momentum": 0.5}]
    with pytest.raises(InputError, match=r"momentum is 0\.5 with line_search"):
        tg.NGD(groups, line_search=True)
    with pytest.raises(InputError, match=r"momentum 0\.5, and spring is 0\.3"):
        tg.NGD([{"params": nn.Linear(2, 2).parameters(), "momentum": 0.5}], spring=0.3)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (tg.KFAC, {"spring": 0.5}, "take NGD"),
        (tg.NGDCG, {"geodesic": 0.5}, "needs the rows of M: take NGD"),
        (tg.TNGD, {"spring": 0.5, "system": "kfac"}, 'need system="dual" or "primal"'),
        (tg.TNGD, {"geodesic": 0.5, "system": "primal", "reset": False}, "reset=True"),
    ],
)
def test_optimizers_that_have_them_not(kind, options, words):
    with pytest.raises(InputError, match=words):
        kind(nn.Linear(2, 2).parameters(), **options)
