"""The levels of a design point against trainings and solves by hand, and against ngspice."""

import dataclasses
import json
import math

import cloudpickle
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense
from thermograd.optim.codesign.knobs import DesignPoint
from thermograd.optim.codesign.outcomes import Evaluation, SolveLevel, TrainingLevel, in_ngspice, spice_check
from thermograd.optim.codesign.outcomes.evaluation import POINTS, curve_of
from thermograd.optim.codesign.outcomes.spice_check import comparable, spread
from thermograd.optim.tasks.digits import digits
from thermograd.optim.tasks.poisson import poisson
from thermograd.optim.training.curvature_systems import curvature_systems
from thermograd.optim.training.threads import one_thread
from thermograd.optim.training.train import train

CARD = DeviceCard.read("shipped:integrated")
TASK = digits()
SOLVES = SolveLevel(TASK, batch=2, steps=(1, 4))
TRAINING = TrainingLevel(TASK, steps=5, batch=2)
NONE = DesignPoint()


def alike(one, other):
    """Equal, nan included."""
    return json.dumps(one.to_dict(), sort_keys=True) == json.dumps(other.to_dict(), sort_keys=True)


def test_systems_are_those_of_exact_ngd():
    """At step s the matrix and the drive of the dual system, as `curvature_systems` keeps them of a settled ideal device."""
    known = curvature_systems(TASK, (1, 4), 2, settings={"duration": math.inf})
    for found, expected in zip(SOLVES.systems(), known, strict=True):
        assert found.step == expected.step
        np.testing.assert_array_equal(found.matrix.numpy(), expected.matrix)
        np.testing.assert_array_equal(found.b.numpy(), expected.b)
        assert found.floor == pytest.approx(expected.floor)


def test_a_bare_solve_is_a_reading_of_the_die():
    """One after the other on one device, from the start that a training gives; the median of both."""
    device, errors = SurrogateDevice(CARD, 3, 7, extrapolate=True), []
    for one in SOLVES.systems():
        x = device.solve(Dense(one.matrix, floor=one.floor), one.b, 20.0, x0=one.start).x
        exact = torch.from_numpy(np.linalg.solve(one.matrix.numpy(), one.b.numpy()))
        errors.append(float((x - exact).norm() / exact.norm()))
    found = SOLVES.evaluate(CARD, NONE, 3, 7, "bare")
    assert found.scores == {"solve error": pytest.approx(np.mean(errors), rel=1e-6)}
    assert sum(found.outcomes.values()) == 2
    assert found.curve == ()
    assert found.area > 1e-6


def test_refined_solves_are_better_than_bare_ones_and_exact_ngd_is_exact():
    bare, refined = (SOLVES.evaluate(CARD, NONE, 3, 0, way).scores["solve error"] for way in ("bare", "refined"))
    assert refined < bare / 3
    assert SOLVES.evaluate(None, NONE, None, 0, "bare").scores["solve error"] < 1e-6
    worse = SOLVES.evaluate(CARD, DesignPoint({"adc.bits": 3}), 3, 0, "bare").scores["solve error"]
    assert worse > 1.5 * bare


def test_a_reading_that_cannot_be_used_is_an_error_of_one():
    """Offsets as large as the output limit: no reading depends on the drive, and the step is not taken."""
    point = DesignPoint({"opamp.offset": 0.1, "opamp.output_limit": 0.1})
    found = SOLVES.evaluate(CARD, point, 3, 0, "bare")
    assert "clipped by offsets" in found.outcomes
    assert found.scores["solve error"] == pytest.approx(1.0)


def test_settings_of_a_point_change_the_systems():
    more = SOLVES.systems(DesignPoint({"tngd.damping": 3.0, "training.batch": 1}))
    assert len(more[0].b) < len(SOLVES.systems()[0].b)
    assert more[0].floor == pytest.approx(3.0)
    factors = SOLVES.systems(DesignPoint({"tngd.system": "kfac"}))
    assert sorted({len(one.b) for one in factors}) == [10, 32, 33, 65]
    assert {one.step for one in factors} == {1, 4}


@pytest.mark.parametrize(("reading", "values"), [("bare", {}), ("refined", {"refined.rounds": 3, "adc.bits": 5})])
def test_a_training_is_one_by_hand(reading, values):
    """The same die, seed and settings, and what it took."""
    point = DesignPoint(values)
    found = TRAINING.evaluate(CARD, point, 3, 2, reading)
    with one_thread():
        device = SurrogateDevice(point.card_at(CARD), 3, 2, extrapolate=True)
        if values:
            device = Refined(device, rounds=3, tolerance=1e-2)
        own = train(TASK, "tngd", 5, 2, 2, device=device, evaluate_every=0, settings={"reading": reading})
    assert found.scores == {"test accuracy": own.final_score, "training loss": own.loss[-1]}
    assert [loss for _, loss in found.curve] == own.loss
    assert found.seconds == pytest.approx(np.mean(own.hardware_seconds))
    assert found.joules == pytest.approx(np.mean(own.hardware_joules))
    assert sum(found.outcomes.values()) == 5


@pytest.mark.parametrize("reading", ["bare", "refined"])
def test_a_solve_has_the_price_of_the_step_that_it_is_of(reading):
    """The first step of a training meets the system that exact NGD meets, and takes as many runs and products."""
    step = TrainingLevel(TASK, 1, 2).evaluate(CARD, NONE, 3, 0, reading)
    solve = SolveLevel(TASK, 2, (0,)).evaluate(CARD, NONE, 3, 0, reading)
    assert (solve.seconds, solve.joules) == pytest.approx((step.seconds, step.joules), rel=1e-9)
    assert solve.area == step.area


def test_without_a_card_it_is_exact_ngd():
    found = TRAINING.evaluate(None, NONE, None, 1, "bare")
    with one_thread():
        own = train(TASK, "ngd", 5, 2, 1, evaluate_every=0)
    np.testing.assert_allclose([loss for _, loss in found.curve], own.loss, rtol=1e-4)
    exact = SolveLevel(TASK, 2, (0,)).evaluate(None, NONE, None, 0, "bare")
    assert math.isnan(found.area)
    assert (found.seconds, found.joules) == (exact.seconds, exact.joules)
    assert found.seconds == pytest.approx(np.mean(own.hardware_seconds))
    assert found.joules == pytest.approx(np.mean(own.hardware_joules))


def test_a_task_without_batches():
    """Physics-informed: its steps take all points, and its score is an error."""
    level = TrainingLevel(poisson(width=4, interior=12, boundary=8), 3)
    assert not level.score.more_is_better
    assert level.evaluate(CARD, DesignPoint({"tngd.damping": 0.1}), 1, 0, "refined").scores[level.score.name] > 0
    with pytest.raises(InputError, match="takes all of its points"):
        level.check(CARD, DesignPoint({"training.batch": 4}), "bare")


def test_evaluations_are_the_same_in_another_process_and_again():
    for level in (SOLVES, TRAINING):
        sent = cloudpickle.loads(cloudpickle.dumps(level))
        first, second = (one.evaluate(CARD, NONE, 2, 5, "refined") for one in (level, sent))
        assert alike(first, second)
        assert not alike(first, level.evaluate(CARD, NONE, 2, 6, "refined"))


def test_solves_agree_with_ngspice_on_the_same_die_and_with_no_other():
    """The check of a solve and of a training, within 1e-3; a die with other parts is further off by far, and scores do not change."""
    quick = DesignPoint({"training.batch": 1})
    plain, found = (SOLVES.evaluate(CARD, quick, 3, 0, "bare", in_spice=n) for n in (0, 2))
    assert plain.scores == found.scores
    assert (found.spice["solves"], found.spice["uncompared"]) == (2, 0)
    assert found.spice["difference"] < 1e-3
    assert found.spice["std"] < found.spice["difference"]
    refined, checked = (TRAINING.evaluate(CARD, quick, 3, 0, "refined", in_spice=n) for n in (0, 1))
    assert alike(dataclasses.replace(checked, spice={}), refined)
    assert checked.spice["solves"] == 1
    assert checked.spice["difference"] < 1e-3
    die, met = (
        SurrogateDevice(CARD, 3, extrapolate=True),
        [dataclasses.replace(SOLVES.systems(quick)[0], duration=20.0)],
    )
    wrong = die.card.replace(gain=1.01)
    assert (
        in_ngspice(SurrogateDevice(wrong, 3, extrapolate=True), met)["difference"]
        > 5 * in_ngspice(die, met)["difference"]
    )


def test_large_systems_are_compared_where_they_settle_and_cut_to_a_block(monkeypatch):
    """The leading block of a dual system is that of the batch's first samples, but for the mean over more of them."""
    system = SOLVES.systems()[0]
    assert comparable(system) is system
    monkeypatch.setattr(spice_check, "FOLLOWED", 8)
    monkeypatch.setattr(spice_check, "BLOCK", 9)
    found = comparable(system)
    assert found.duration == math.inf
    assert found.floor == system.floor
    np.testing.assert_array_equal(found.matrix, system.matrix[:9, :9])
    assert in_ngspice(SurrogateDevice(CARD, 3, extrapolate=True), [system])["difference"] < 1e-3


def test_what_cannot_be_evaluated_is_said():
    with pytest.raises(InputError, match="in_spice is 1 without a card"):
        SOLVES.evaluate(None, NONE, None, 0, "bare", in_spice=1)
    with pytest.raises(InputError, match="give 'refined' or 'bare'"):
        TRAINING.check(CARD, NONE, "auto")
    with pytest.raises(InputError, match="bare readings do not heed"):
        SOLVES.check(CARD, DesignPoint({"refined.rounds": 2}), "bare")
    with pytest.raises(InputError, match="steps of the solves are"):
        SolveLevel(TASK, steps=(3, 3))
    with pytest.raises(InputError, match="give a Task, or the name of one"):
        TrainingLevel(lambda device, seed: 0.0)
    with pytest.raises(InputError, match="no evaluation"):
        Evaluation.of_dict({"scores": {"a": "b"}})


_NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
_WORDS = st.dictionaries(st.text(max_size=8), _NUMBERS, max_size=3)


@settings(max_examples=25)
@given(_WORDS, st.lists(st.tuples(st.integers(0, 999), _NUMBERS), max_size=4), _NUMBERS, _WORDS)
def test_an_evaluation_comes_back_from_json(scores, curve, number, spice):
    one = Evaluation(scores, tuple(curve), {"ok": 3}, 1, number, 2 * number, number, spice)
    assert alike(Evaluation.of_dict(json.loads(json.dumps(one.to_dict()))), one)


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=200))
def test_a_curve_keeps_the_mean_of_all_steps(losses):
    curve = curve_of(losses)
    counts = np.diff([0, *(step for step, _ in curve)])
    assert len(curve) <= POINTS
    assert counts.min() >= 1
    assert curve[-1][0] == len(losses)
    assert np.dot(counts, [loss for _, loss in curve]) == pytest.approx(sum(losses), abs=1e-9)


@given(st.integers(0, 30), st.integers(1, 200))
def test_places_are_spread_over_all(count, among):
    found = spread(count, among)
    assert len(set(found)) == len(found) == min(count, among)
    assert all(0 <= place < among for place in found)
