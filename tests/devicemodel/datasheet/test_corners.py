"""Corners: what they move, what they leave, and what they do not accept."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thermograd.circuits import preset
from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.die import Die
from thermograd.devicemodel import DeviceCard
from thermograd.devicemodel.card import shipped_card
from thermograd.devicemodel.datasheet import Corner, corners_of
from thermograd.devicemodel.datasheet.corners import CornerDie, card_at, read_corners


def test_a_die_at_a_corner_keeps_what_tells_its_parts_apart() -> None:
    board, slow = preset("gf180mcu"), Corner(resistors=3.0, capacitors=-2.0)
    die, same = CornerDie(board, 7, slow), Die(board, 7)
    middle = np.array(0.5)
    assert die.resistor_shift(middle, middle) == pytest.approx(3 * board.resistors.die_to_die)
    assert die.capacitor_shift(middle, middle) == pytest.approx(-2 * board.capacitors.die_to_die)
    assert np.array_equal(die.deviates("coupling", (2, 4, 4)), same.deviates("coupling", (2, 4, 4)))
    assert die.ambient == same.ambient
    drawn = CornerDie(board, 7, Corner(drawn=True))
    assert drawn.resistor_shift(middle, middle) == same.resistor_shift(middle, middle)
    assert (die.identity == drawn.identity, drawn.identity) == (False, 7)


def test_a_nominal_die_is_at_the_corner_too() -> None:
    board = preset("gf180mcu")
    shift = CornerDie(board, None, Corner(resistors=-1.0)).resistor_shift(np.array(0.2), np.array(0.9))
    assert shift == pytest.approx(-board.resistors.die_to_die)


@pytest.mark.parametrize("name", ["gf180mcu", "sky130"])
def test_the_typical_corner_at_27_degrees_is_the_card(name: str) -> None:
    card, corners = shipped_card(name), corners_of(preset(name))
    assert list(corners) == ["tt", "ff", "ss"]
    same = card_at(card, "tt", corners["tt"], 27.0)
    for parameter in ("leak", "lag", "pole"):
        assert getattr(same, parameter).value == pytest.approx(getattr(card, parameter).value, rel=1e-12)
    slow, fast = (card_at(card, corner, corners[corner], 27.0) for corner in ("ss", "ff"))
    assert fast.lag.value < card.lag.value < slow.lag.value
    assert slow.technology.opamp.power < card.technology.opamp.power < fast.technology.opamp.power
    # What the fit found beyond the record's figure stays.
    ratio = slow.technology.opamp.gbw / card.technology.opamp.gbw
    assert slow.lag.value * ratio == pytest.approx(card.lag.value, rel=1e-12)
    assert card_at(card, "tt", corners["tt"], 85.0).technology.thermal.ambient == 358.15


def test_a_changed_amplifier_has_no_shipped_corners() -> None:
    board = preset("gf180mcu").replace(opamp__gain=100.0)
    assert list(corners_of(board)) == ["typical", "slow", "fast"]
    assert list(corners_of(preset("integrated"))) == ["typical"]


def test_an_ideal_amplifier_takes_a_corners_figure() -> None:
    card = DeviceCard.uncalibrated("paper")
    moved = card_at(card, "slow", Corner(figures={"opamp.gain": 500.0, "opamp.gbw": 1e6}), 27.0)
    assert moved.leak.value == pytest.approx(1 / 500)
    assert moved.lag.value == pytest.approx(1 / (2 * math.pi * 1e6))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"figures": {"opamp.offset": 1e-3}}, "spreads and offsets are the dies'"),
        ({"figures": {"resistors.unit": 1e3}}, "no figure that a corner moves"),
        ({"figures": {"opamp.gian": 1e3}}, "'opamp.gian' is no figure"),
        ({"figures": {"opamp.gain": 1e3}, "at": [{"temperature": 27.0, "figures": {}}]}, "exclude each other"),
        ({"drawn": True, "resistors": 1.0}, "leave resistors and capacitors out"),
        ({"resistors": 60.0}, "resistors"),
        ({"kind": "guessed"}, "kind"),
    ],
)
def test_what_a_corner_does_not_accept(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Corner(**fields)  # type: ignore[arg-type]


def test_a_temperature_without_figures_is_not_guessed(tmp_path) -> None:
    with pytest.raises(InputError, match="known at -40, 27, 85 C, not at 60 C"):
        corners_of(preset("sky130"))["tt"].figures_at(60.0)
    card = DeviceCard.uncalibrated("integrated")
    with pytest.raises(InputError, match=r"corner wide, 27 C: .*output_limit"):
        card_at(card, "wide", Corner(figures={"opamp.output_limit": 5.0}), 27.0)
    path = tmp_path / "corners.toml"
    for text, message in (
        ("x = ", "not valid TOML"),
        ("x = 1", "no table"),
        ("[corners.a]\nresistor = 1", "corner a: "),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_corners(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_corners(tmp_path / "none.toml")
