"""A curvature of an earlier step: which one is served, the step against formulas written out, resumed trainings, prices."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from thermograd.circuits.errors import InputError
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.optim.optimizers.readings.old_curvature import OldCurvature
from thermograd.optim.optimizers.tngd import TNGD
from thermograd.optim.tasks.digits import digits
from thermograd.optim.training.train import train

LR, DAMPING = 0.3, 0.5


@given(st.integers(0, 6), st.integers(1, 5), st.integers(1, 30))
def test_the_latest_that_is_old_enough_is_served(age, every, steps):
    kept = OldCurvature(age, every)
    for step in range(steps):
        old_enough = [one for one in range(0, step + 1, every) if one <= step - age]
        assert kept.serve(step) == max(old_enough, default=0)
        assert kept.fresh == (step % every == 0)


def trained(age, every, steps=7):
    """A linear model with a squared loss on batches of two points, by TNGD; and by the formula, with matrices written out."""
    random = torch.Generator().manual_seed(3)
    inputs = torch.randn(steps, 2, 3, generator=random, dtype=torch.float64)
    targets = torch.randn(steps, 2, 1, generator=random, dtype=torch.float64)
    model = nn.Linear(3, 1, bias=False, dtype=torch.float64)
    weights = model.weight.detach().clone().flatten()
    options = {"system": "primal", "curvature_age": age, "curvature_every": every}
    optimizer = TNGD(model.parameters(), LR, DAMPING, math.inf, device=IdealDevice(), reading="bare", **options)
    for step in range(steps):
        x, y = inputs[step], targets[step]

        def closure(x=x, y=y):
            outputs = model(x)
            return nn.functional.mse_loss(outputs, y), outputs

        optimizer.step(closure)
        past = max((one for one in range(0, step + 1, every) if one <= step - age), default=0)
        old = inputs[past]
        C = 2 * old.T @ old / 2 + DAMPING * torch.eye(3, dtype=torch.float64)
        weights = weights - LR * torch.linalg.solve(C, 2 * x.T @ (x @ weights - y.flatten()) / 2)
    return model.weight.detach().flatten(), weights


@pytest.mark.parametrize(("age", "every"), [(0, 1), (1, 1), (3, 1), (0, 3), (1, 2)])
def test_a_step_takes_the_old_curvature_and_the_new_gradient(age, every):
    found, wanted = trained(age, every)
    assert torch.allclose(found, wanted, rtol=1e-10, atol=0)


def test_the_formula_with_another_age_is_rejected():
    found, _ = trained(1, 1)
    assert not torch.allclose(found, trained(0, 1)[1], rtol=1e-3)


def test_a_resumed_training_is_that_without_a_stop(tmp_path):
    options = {"settings": {"system": "primal", "duration": math.inf, "curvature_age": 1, "curvature_every": 2}}
    options |= {"batch": 4, "evaluate_every": 0, "checkpoint_every": 3}
    whole = train(digits(hidden=4), "tngd", 8, checkpoint=tmp_path / "whole.pt", **options)
    train(digits(hidden=4), "tngd", 5, checkpoint=tmp_path / "torn.pt", **options)
    torn = train(digits(hidden=4), "tngd", 8, checkpoint=tmp_path / "torn.pt", **options)
    assert torn.loss[:5] == whole.loss[:5]
    again = train(digits(hidden=4), "tngd", 8, checkpoint=tmp_path / "again.pt", **options)
    assert again.loss == whole.loss


def test_only_steps_that_form_a_curvature_pay_for_it():
    settings = {"system": "primal", "duration": 0.2, "curvature_every": 3, "reading": "bare"}
    history = train(digits(hidden=4), "tngd", 6, 4, evaluate_every=0, settings=settings)
    for taken in (history.hardware_seconds, history.hardware_joules):
        assert taken[0] == pytest.approx(taken[3])
        assert taken[1] == pytest.approx(taken[2]) == pytest.approx(taken[4])
        assert taken[1] < 0.2 * taken[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"curvature_age": -1}, "curvature_age is -1: give a number of steps >= 0"),
        ({"curvature_age": 1.5}, "curvature_age is 1.5"),
        ({"curvature_every": 0}, "curvature_every is 0"),
        ({"curvature_age": 1}, 'system="dual": dual cells stand for the outputs of one batch'),
        ({"curvature_age": 1, "system": "kfac"}, "factors are moving averages already"),
        ({"curvature_age": 1, "system": "primal", "geodesic": 0.5}, "leave one out"),
        ({"curvature_every": 2, "system": "primal", "program_every": 2, "duration": 50.0}, "leave one out"),
    ],
)
def test_where_it_has_no_meaning_an_error_says_so(options, message):
    with pytest.raises(InputError, match=message):
        TNGD(nn.Linear(2, 1).parameters(), damping=0.3, **options)
