"""Every figure of a technology is a knob of the record's own range: what it takes the record takes, and the other way round."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import PRESETS
from thermograd.circuits.technology.technology import UNMODELLED
from thermograd.devicemodel.card import DeviceCard
from thermograd.optim.codesign.knobs import KNOBS, DesignPoint
from thermograd.optim.codesign.knobs.design_point import _PARAMETERS
from thermograd.optim.codesign.knobs.heeded import not_of_a_card
from thermograd.optim.codesign.knobs.technology_knobs import _kinds, first_sentence, technology_fields
from thermograd.optim.codesign.knobs.units import LEVELS, UNITS

CARD = DeviceCard.uncalibrated("integrated")
NAMES = [name for name, knob in KNOBS.items() if knob.part == "technology"]
NUMBERS = [name for name in NAMES if KNOBS[name].allowed.kind in ("number", "whole")]
NOT_OF_A_CONVERTER = {f"{kind}.{name}" for kind, names, *_ in UNMODELLED for name in names}
BESIDE = {
    "resistors.pelgrom_coefficient": {"resistors.area": 1.0},
    "capacitors.pelgrom_coefficient": {"capacitors.area": 1.0},
    "inductors.pelgrom_coefficient": {"inductors.area": 1.0},
    "resistors.area": {"resistors.pelgrom_coefficient": 1e-9},
    "capacitors.area": {"capacitors.pelgrom_coefficient": 1e-9},
    "inductors.area": {"inductors.pelgrom_coefficient": 1e-9},
    "opamp.offset_pelgrom_coefficient": {"opamp.input_area": 1.0},
    "opamp.input_area": {"opamp.offset_pelgrom_coefficient": 1e-9},
    "opamp.output_limit": {"opamp.supply": 0.0},
    "opamp.outputs": {"opamp.supply": 0.0},
    "resistors.slices": {"resistors.bits": 1},
    "opamp.supply": {"opamp.output_limit": 1e-3},
    "resistors.on_off": {"resistors.bits": 4},
    "thermal.ambient_time": {"thermal.dynamic": True},
    "thermal.between_runs": {"thermal.dynamic": True},
}
"""Knobs that a figure needs beside it."""
WITHIN = {
    **{f"{kind}.pelgrom_coefficient": (1e-9, 0.7) for kind in ("resistors", "capacitors", "inductors")},
    **{f"{kind}.area": (1e-12, 1.0) for kind in ("resistors", "capacitors", "inductors")},
    "opamp.offset_pelgrom_coefficient": (1e-9, 0.1),
    "opamp.input_area": (1e-12, 1.0),
    "opamp.supply": (1e-2, 100.0),
}
"""Ranges of figures that others bound: an area law is no mismatch beyond the tolerances' range, an output no higher than its supply."""


def test_each_number_truth_value_and_choice_of_a_technology_is_a_knob():
    """A new field must be named in units.py, and is then a knob."""
    wanted = {
        name
        for name, field in technology_fields()
        if any(kind in (int, float, bool) for kind in _kinds(field)) or "Literal" in str(field.annotation)
    }
    assert set(NAMES) == wanted
    assert set(UNITS) - set(NAMES) == set()
    assert set(LEVELS) <= set(NAMES)
    assert len(NAMES) > 120
    assert all(KNOBS[name].meaning.endswith(".") for name in NAMES)


def test_titles_and_meanings_of_a_few():
    assert KNOBS["opamp.gbw"].title == "Amplifiers: gain-bandwidth product"
    assert KNOBS["adc.noise"].meaning == "Input-referred noise of one conversion of an ADC, V rms."
    assert first_sentence("Ratio; G. Cell of e.g. 3 V.\n\nMore.") == "Ratio; G. Cell of e.g. 3 V."
    assert str(KNOBS["thermal.to_hot"].allowed) == "a number from 0"
    assert str(KNOBS["opamp.gbw"].allowed) == "a number above 0 or inf"


@st.composite
def values(draw):
    name = draw(st.sampled_from([one for one in NAMES if one not in NOT_OF_A_CONVERTER]))
    knob = KNOBS[name]
    if knob.choices:
        return name, knob.parse(draw(st.sampled_from(knob.choices)))
    low, high = WITHIN.get(name, (knob.allowed.low, min(knob.allowed.high, 1e12)))
    if knob.allowed.kind == "whole":
        return name, draw(st.integers(int(low), int(min(high, 64))))
    return name, draw(st.floats(low, high, exclude_min=knob.allowed.above, allow_subnormal=False))


@settings(max_examples=60, deadline=None)
@given(values())
def test_a_value_in_range_is_taken_and_is_in_the_record(drawn):
    name, value = drawn
    point = DesignPoint({**BESIDE.get(name, {}), name: value})
    technology = point.technology_at(CARD.technology)
    part, _, field = name.partition(".")
    found = getattr(getattr(technology, part), field)
    assert getattr(found, "value", found) == value
    if not_of_a_card(name, CARD.fabric) or (name, value) == ("opamp.outputs", 1):
        with pytest.raises(InputError, match=f"{name.partition('.')[0]}.* = |{name} = "):
            point.card_at(CARD)
        return
    card = point.card_at(CARD)
    assert card.technology == technology
    parameters = {_PARAMETERS[one] for one in point if one in _PARAMETERS}
    stated = DeviceCard.uncalibrated(technology, CARD.fabric)
    assert all(getattr(card, one) == getattr(stated, one) for one in parameters)


@st.composite
def beyond(draw):
    name = draw(st.sampled_from(NUMBERS))
    allowed = KNOBS[name].allowed
    sides = [("low", allowed.low)] * math.isfinite(allowed.low) + [("high", allowed.high)] * math.isfinite(allowed.high)
    side, limit = draw(st.sampled_from(sides))
    step = draw(st.integers(1, 5)) if allowed.kind == "whole" else draw(st.floats(1e-9, 10.0)) * max(abs(limit), 1e-9)
    if side == "low":
        return name, limit - step
    return name, limit + step


@settings(max_examples=60, deadline=None)
@given(beyond())
def test_a_value_out_of_range_is_rejected_by_knob_and_record_alike(drawn):
    name, value = drawn
    with pytest.raises(InputError, match=rf"{name} is .*: give ") as caught:
        DesignPoint({name: value})
    assert str(KNOBS[name].allowed) in str(caught.value)
    part, _, field = name.partition(".")
    if part != "area":
        beside = {key.replace(".", "__"): other for key, other in BESIDE.get(name, {}).items()}
        with pytest.raises(InputError):
            CARD.technology.replace(**beside, **{f"{part}__{field}": value})


def test_numbers_that_are_none_are_rejected():
    for name in NUMBERS:
        for value in (math.nan, "1", True):
            with pytest.raises(InputError, match=f"{name} is"):
                DesignPoint({name: value})


def test_ranges_end_where_the_record_s_do():
    """Control: the limits themselves are taken, or not, by both."""
    for name in ("resistors.tolerance", "opamp.gain", "adc.max_gain", "thermal.to_ambient"):
        allowed, (part, _, field) = KNOBS[name].allowed, name.partition(".")
        for limit in (allowed.low, allowed.high):
            if not math.isfinite(limit):
                continue
            try:
                PRESETS["ideal"].replace(**{f"{part}__{field}": limit})
                taken = True
            except InputError:
                taken = False
            assert (limit in allowed) is taken, (name, limit)
