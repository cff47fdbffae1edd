"""Dies with a system each are the devices one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset, thermal_preset
from thermograd.devicemodel.batch.own_systems import OwnSystems
from thermograd.devicemodel.calibration.cases import random_system
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense

from ...systems import true_card

QUIET = preset("integrated").replace(
    thermal=thermal_preset("beside a GPU").model_copy(update={"johnson_noise": False}),
    resistors__die_to_die=0.1,
    resistors__gradient=0.02,
    capacitors__die_to_die=0.05,
    opamp__second_pole=1e9,
)
DIES = [0, 3, 11, 3]


def card_of(technology=QUIET) -> DeviceCard:
    return true_card(technology, "crossbar").replace(pole=1 / (2 * math.pi * 1e9))


def systems(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    matrices = [3.0**k * random_system(n, 30.0, False, rng) for k in range(len(DIES))]
    return torch.from_numpy(np.stack(matrices)), torch.from_numpy(rng.standard_normal((len(DIES), n)))


@pytest.mark.parametrize("duration", [0.0, 0.3, 20.0, 300.0, math.inf])
def test_each_die_reads_what_its_own_device_reads(duration):
    """With every deviation on and the ADC's noise, over systems one after another, whose ranging memory goes on."""
    card, seeds = card_of(), [5, 5, 6, 7]
    dies = OwnSystems(card, DIES, seeds, extrapolate=True)
    devices = [SurrogateDevice(card, die, seed, extrapolate=True) for die, seed in zip(DIES, seeds, strict=True)]
    for step, start in enumerate((0.1, 0.0, 40.0)):
        matrices, drives = systems(6, step)
        starts = start * drives
        found = dies.program(matrices, duration).run(drives, starts)
        for k, device in enumerate(devices):
            alone = device.solve(Dense(matrices[k]), drives[k], duration, starts[k])
            assert found[k].outcome is alone.outcome
            assert found[k].attempts == alone.attempts
            assert found[k].seconds == pytest.approx(alone.seconds)
            torch.testing.assert_close(found[k].x, alone.x, rtol=1e-9, atol=1e-9 * float(alone.x.abs().max()))


def test_another_die_reads_something_else():
    """The negative control: a die's own parts are in its reading."""
    matrices, drives = systems(6)
    found = OwnSystems(card_of(), DIES, 5, extrapolate=True).program(matrices, 20.0).run(drives)
    other = SurrogateDevice(card_of(), 1, 5, extrapolate=True).solve(Dense(matrices[0]), drives[0], 20.0)
    assert float((found[0].x - other.x).abs().max()) > 1e-3 * float(other.x.abs().max())


def test_some_dies_run_and_the_others_wait():
    card, (matrices, drives) = card_of(), systems(5)
    programmed = OwnSystems(card, DIES, 2, extrapolate=True).program(matrices, 20.0)
    some = programmed.run(drives, among=[1, 3])
    every = programmed.run(drives)
    again = OwnSystems(card, DIES, 2, extrapolate=True).program(matrices, 20.0).run(drives)
    assert [one.x.tolist() for one in some] == [again[k].x.tolist() for k in (1, 3)]
    assert every[0].x.tolist() == again[0].x.tolist()
    assert programmed.run(drives)[1].attempts <= every[1].attempts <= some[0].attempts


def test_an_unstable_die_leaves_the_others_alone():
    matrices, drives = systems(5)
    whole = OwnSystems(card_of(), DIES, 2, extrapolate=True).program(matrices, 20.0).run(drives)
    matrices[1] = -matrices[1]
    found = OwnSystems(card_of(), DIES, 2, extrapolate=True).program(matrices, 20.0).run(drives)
    assert [one.outcome for one in found] == [Outcome.OK, Outcome.UNSTABLE, Outcome.OK, Outcome.OK]
    assert bool(torch.isnan(found[1].x).all())
    torch.testing.assert_close(found[2].x, whole[2].x)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"thermal__johnson_noise": True}, "johnson_noise"),
        ({"resistors__read_noise": 0.01}, "fluctuate"),
        ({"resistors__conductance_drift": 0.01}, "drift"),
        ({"resistors__slices": 2}, "slices"),
        ({"resistors__drive_ranges": 2}, "drive_ranges"),
        ({"adc__bandwidth": 1e6}, "bandwidth"),
    ],
)
def test_what_is_not_supported_is_named(changes, named):
    with pytest.raises(InputError, match=named):
        OwnSystems(card_of(QUIET.replace(**changes)), DIES)


def test_arguments_are_checked():
    card = card_of()
    with pytest.raises(InputError, match="fabric dual_rail"):
        OwnSystems(true_card(QUIET, "dual_rail"), DIES)
    with pytest.raises(InputError, match="2 entries for 4 dies"):
        OwnSystems(card, DIES, [1, 2])
    dies = OwnSystems(card, DIES)
    with pytest.raises(InputError, match="a system for each die"):
        dies.program(torch.eye(3, dtype=torch.float64), 1.0)
    matrices = torch.eye(3, dtype=torch.float64).repeat(4, 1, 1)
    matrices[2, 0, 0] = math.nan
    with pytest.raises(InputError, match=r"matrices\[2\]"):
        dies.program(matrices, 1.0)
