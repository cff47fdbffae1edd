"""Margins of scores whose limits are known."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import PRESETS
from thermograd.devicemodel.card import DeviceCard
from thermograd.optim.codesign.knobs import DesignPoint
from thermograd.optim.codesign.yields import Limit, figure_at, joint_margin, margins

POINT = DesignPoint({"opamp.gain": 1e4, "adc.bits": 8, "resistors.tolerance": 0.01, "adc.noise": 0.0})
MET = Limit(0.1, more_is_better=False)


def error(point):
    """10 / gain + 2^-bits + tolerance + noise: 0.01 of rounding, tolerance and gain at the point."""
    return 10 / point["opamp.gain"] + 2.0 ** -point["adc.bits"] + point["resistors.tolerance"] + point["adc.noise"]


def test_each_figure_is_followed_to_where_the_target_is_missed():
    found = {one.knob: one for one in margins(error, POINT, list(POINT), MET, scales={"adc.noise": 1e-3})}
    rest = error(POINT)
    gain, bits, tolerance, noise = (found[name] for name in POINT)
    limit = 10 / (0.1 - rest + 1e-3)
    assert limit <= gain.worst <= 1.1 * limit
    assert gain.factor == pytest.approx(1e4 / gain.worst)
    assert gain.low == gain.worst
    assert gain.low_misses < limit
    assert math.isnan(gain.high_misses)
    assert (bits.worst, bits.low_misses, bits.factor) == (4.0, 3.0, 2.0)
    limit = 0.1 - rest + 0.01
    assert limit / 1.1 <= tolerance.worst <= limit <= tolerance.high_misses
    assert noise.worst <= 0.1 - rest <= noise.high_misses
    assert noise.high_misses / noise.worst <= 1.1
    assert math.isnan(noise.factor)


@settings(max_examples=40)
@given(st.floats(1e2, 1e6), st.floats(1.001, 90.0), st.floats(1.001, 90.0))
def test_a_window_is_found_on_both_sides_and_its_ends_meet_the_target(value, below, above):
    low, high = value / below, value * above

    def score(point):
        return 0.0 if low <= point["opamp.gain"] <= high else 1.0

    (found,) = margins(score, DesignPoint({"opamp.gain": value}), ["opamp.gain"], MET)
    assert low <= found.low <= min(1.1 * low, value)
    assert max(high / 1.1, value) <= found.high <= high
    assert found.low_misses < low
    assert found.high_misses > high
    assert found.factor == pytest.approx(min(value / found.low, found.high / value))
    assert found.worst in (found.low, found.high)


def test_what_nothing_limits_has_no_worst_value_and_says_how_far_it_was_followed():
    (found,) = margins(lambda point: 0.0, POINT, ["opamp.gain"], MET, span=50.0)
    assert math.isnan(found.worst)
    assert found.factor == math.inf
    assert (found.low, found.high) == pytest.approx((200.0, 5e5))
    (bits,) = margins(lambda point: 0.0, POINT, ["adc.bits"], MET)
    assert bits.low == 1.0  # the end of its range


def test_a_figure_of_either_sign():
    point = DesignPoint({"resistors.tc1": -1e-3})
    (found,) = margins(lambda at: abs(at["resistors.tc1"]), point, ["resistors.tc1"], Limit(2e-3, False))
    assert found.low == pytest.approx(-2e-3, abs=2e-4)
    assert found.high == pytest.approx(2e-3, abs=2e-4)
    assert found.worst == found.low
    assert found.factor == pytest.approx(2.0, rel=0.1)


def test_a_score_that_is_not_finite_misses_and_figures_that_exclude_each_other_end_the_search():
    def score(point):
        if point["opamp.gain"] > 1e5:
            raise InputError("too much")
        return math.nan if point["opamp.gain"] < 1e3 else 0.0

    (found,) = margins(score, POINT, ["opamp.gain"], MET)
    assert 1e3 <= found.worst <= 1.1e3
    assert found.high < 1e5
    assert math.isnan(found.high_misses)


def test_single_margins_cannot_be_used_up_together():
    names = ["opamp.gain", "adc.bits", "resistors.tolerance"]
    found = margins(error, POINT, names, MET)
    joint = joint_margin(error, POINT, found, MET)
    assert 0.2 < joint.share < 1.0
    assert MET(error(joint.point))
    assert not MET(error(POINT | {one.knob: one.worst for one in found}))
    assert joint_margin(error, POINT, found[:1], MET).share == 1.0


def test_figures_of_the_card_and_the_host():
    card = DeviceCard.uncalibrated(PRESETS["integrated"], "dual_rail")
    assert figure_at(DesignPoint(), "adc.bits", card) == card.technology.adc.bits
    assert figure_at(DesignPoint({"adc": 3}), "adc.bits", card) == 3
    assert figure_at(DesignPoint(), "readout.reads") == 1
    (found,) = margins(lambda point: 0.0, DesignPoint(), ["opamp.gain"], MET, card=card)
    assert found.value == card.technology.opamp.gain
    with pytest.raises(InputError, match="or give the card"):
        figure_at(DesignPoint(), "adc.bits")
    with pytest.raises(InputError, match="set it in the point"):
        figure_at(DesignPoint(), "training.steps")


@pytest.mark.parametrize(
    ("point", "knob", "said"),
    [
        ({"resistors.tolerance": 0.3}, "resistors.tolerance", "misses the target already, with 0.3 where <= 0.1"),
        ({"adc.bits": None}, "adc.bits", "an ideal part"),
        ({"resistors.tc1": 0.0}, "resistors.tc1", "in scales"),
        ({"refined.chopped": True}, "refined.chopped", "margins are of numbers"),
    ],
)
def test_what_has_no_margin(point, knob, said):
    with pytest.raises(InputError, match=said):
        margins(lambda at: at.get("resistors.tolerance", 0.0), DesignPoint(point), [knob], MET)
