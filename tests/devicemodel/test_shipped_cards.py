"""The cards that come with the package: of the present format, of the present presets, and true to a run of ngspice."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import PRESETS
from thermograd.devicemodel.calibration.cases import random_system
from thermograd.devicemodel.card import FORMAT, DeviceCard, shipped_card
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.shipped_cards import shipped_names
from thermograd.devicemodel.systems import Dense
from thermograd.optim.training.device_choice import DeviceChoice
from thermograd.tools.cards import differences, foreign

DIE = 57
"""None that a card was fitted to or tested on."""


def test_each_preset_has_a_card() -> None:
    assert set(shipped_names()) == set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_the_card_is_of_the_present_format_and_preset(name: str) -> None:
    card = shipped_card(name)
    assert card.format == FORMAT
    assert foreign(card, name) == []
    assert {"simulator", "thermograd", "numpy", "torch", "seed", "dies", "new_dies", "command"} <= set(card.provenance)
    assert card.held_out.systems >= 8
    assert card.held_out.explained_variance > 0.95
    assert card.held_out.explained_variance_new_dies > 0.95


@cache
def _system() -> tuple[Dense, torch.Tensor]:
    rng = np.random.default_rng(3)
    return Dense(torch.from_numpy(random_system(4, 5.0, False, rng))), torch.from_numpy(rng.standard_normal(4))


@pytest.mark.parametrize("name", ["breadboard", "integrated", "gf180mcu"])
def test_its_law_is_that_of_ngspice(name: str) -> None:
    """On a die and a system that it has not seen: of the error that SPICE's solution has, a tenth at most is left unexplained. Another
    die's error is another one."""
    system, b = _system()
    exact = torch.linalg.solve(system.A, b)
    spice = SpiceDevice(name, DIE, shipped_card(name).fabric, johnson_noise=False).solve(system, b, 200.0).x - exact
    card = shipped_card(name)

    def explained(die: int) -> float:
        predicted = SurrogateDevice(card, die).solve(system, b, 200.0).x - exact
        return 1 - float((spice - predicted).square().sum() / spice.square().sum())

    assert explained(DIE) > 0.9
    assert explained(DIE + 1) < 0.5


def test_a_card_of_another_technology_or_with_other_figures_is_seen() -> None:
    card = shipped_card("integrated")
    assert foreign(card, "sky130")
    assert differences(card, card) == []
    assert differences(card, card.replace(mismatch=0.02))


def test_a_shipped_card_is_named_apart_from_a_presets_own_figures(tmp_path) -> None:
    """Experiments that were recorded with the bare name go on meaning what they meant."""
    assert DeviceCard.read("shipped:integrated") == shipped_card("integrated")
    calibrated = DeviceChoice(kind="surrogate", card="shipped:integrated").read(tmp_path)
    stated = DeviceChoice(kind="surrogate", card="integrated").read(tmp_path)
    assert calibrated.make(1, 0).card == shipped_card("integrated")
    assert stated.make(1, 0).card == DeviceCard.uncalibrated("integrated")
    assert calibrated.identity() != stated.identity()


def test_names_that_are_not_there_name_those_that_are() -> None:
    with pytest.raises(
        InputError, match=r"'shipped:nmos' is shipped; there are: shipped:breadboard, .*`thermograd calibrate`"
    ):
        shipped_card("nmos")
    with pytest.raises(
        InputError, match="'integrated' is no file; the card that comes with the package is shipped:integrated"
    ):
        DeviceCard.read("integrated")
