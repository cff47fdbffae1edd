"""Ranges of knobs, and what follows from what is searched."""

from __future__ import annotations

import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.card import DeviceCard
from thermograd.optim.codesign.search.space import SearchedKnob, Space, default_space

INTEGRATED = preset("integrated")


def test_ranges() -> None:
    bits = SearchedKnob.parse("adc=3:10")
    assert (bits.name, bits.low, bits.high, bits.whole) == ("adc.bits", 3, 10, True)
    assert SearchedKnob.parse("refined.chopped=off,on").choices == (False, True)
    assert SearchedKnob.of("adc.count", {"choices": [1, 2]}).choices == (1, 2)
    assert SearchedKnob.parse("tngd.damping=0.01:1").log
    assert not SearchedKnob.parse("adc.bits=3:4").log


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("adc.bits", "not NAME=LOW:HIGH"),
        ("adc.bitz=1:3", "unknown"),
        ("adc.bits=8:3", "low < high"),
        ("adc.bits=3.5:8", "whole number"),
        ("adc.bits=8", "two or more"),
        ("adc.bits=3,3,4", "each once"),
        ("tngd.duration=1:inf", "finite"),
    ],
)
def test_what_is_no_range(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        SearchedKnob.parse(text)


def test_what_follows() -> None:
    space = Space(
        (
            SearchedKnob.parse("adc.bits=3:10"),
            SearchedKnob.parse("adc.count=1,4"),
            SearchedKnob.parse("opamp.gbw=1e8:1e9"),
        )
    )
    values = space.design({"adc.bits": 4, "adc.count": 4, "opamp.gbw": 2 * INTEGRATED.opamp.gbw}, INTEGRATED).values
    assert values["link.word"] == 8  # of the DAC and the codes
    assert values["dac.count"] == 4
    assert values["opamp.power"] == pytest.approx(2 * INTEGRATED.opamp.power)
    fixed = Space((SearchedKnob.parse("adc.bits=3:10"),), {"link.word": 16})
    assert fixed.design({"adc.bits": 4}, INTEGRATED).values["link.word"] == 16


def test_bare_designs_have_no_knobs_of_refinement() -> None:
    space = Space((SearchedKnob.parse("refined.rounds=0:4"), SearchedKnob.parse("adc.bits=3:8")))
    found = {"refined.rounds": 2, "adc.bits": 5}
    assert "refined.rounds" in space.design({**found, "reading": "refined"}, INTEGRATED).point
    assert "refined.rounds" not in space.design({**found, "reading": "bare"}, INTEGRATED).point


def test_spaces_that_contradict_themselves() -> None:
    with pytest.raises(InputError, match="searched and fixed"):
        Space((SearchedKnob.parse("adc.bits=3:10"),), {"adc.bits": 4})
    with pytest.raises(InputError, match="no knobs"):
        Space(())
    with pytest.raises(InputError, match="refined, bare"):
        Space((SearchedKnob.parse("adc.bits=3:10"),), {}, ("both",))


@pytest.mark.parametrize("name", ["integrated", "gf180mcu", "breadboard"])
def test_the_default_space_has_prices(name: str) -> None:
    """Six knobs or more, none of which is free, and the middle of all is a device."""
    card = DeviceCard.uncalibrated(name)
    space = default_space(card, {"tngd.damping": 0.3})
    assert len(space.ranges) >= 6
    assert not space.notes()
    assert "tngd.damping" not in [one.name for one in space.ranges]
    found = {
        one.name: one.choices[0] if one.choices else one.knob.check(int(one.high) if one.whole else one.high)
        for one in space.ranges
    }
    design = space.design(found, card.technology)
    assert design.point.card_at(card).technology.adc.bits == 10
    free = Space((SearchedKnob.parse("opamp.gain=100:1000"),))
    assert "opamp.gain" in free.notes()[0]
