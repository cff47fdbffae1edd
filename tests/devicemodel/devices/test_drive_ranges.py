"""Ranges of the drive resistor: what they make of the DAC's errors, that they cost no run, and that a die is the same in every device."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.drive_resistors import available_drives, drive_conductances, drive_range_of
from thermograd.circuits.technology.parts import Resistors
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.compile import lay_out
from thermograd.devicemodel.batch.die_batch import DieBatch
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense

from ...systems import low_rank, spd, true_card

RANGES = 8
INTEGRATED = preset("integrated").replace(opamp__noise_voltage=0.0)
RANGED = INTEGRATED.replace(resistors__drive_ranges=RANGES)


def reading(technology: Technology, a: np.ndarray, b: np.ndarray, die: int | None, duration: float = math.inf):
    device = SurrogateDevice(true_card(technology), die, extrapolate=True)
    solution = device.solve(Dense(torch.from_numpy(a)), torch.from_numpy(b), duration)
    return solution, device.probe


def hard(n: int, condition: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A system whose solution is large for its drive, and b."""
    return spd(n, condition, seed), np.random.default_rng([n, seed]).standard_normal(n)


def test_offsets_of_the_dac_count_in_proportion_to_the_input_conductance():
    """Alone with it, x - A^-1 b = A^-1 (g / u level) offset: at one level, exactly the ratio of the conductances."""
    a, b = hard(6, 100.0, 1)
    errors, chosen = [], []
    for ranges in (1, RANGES):
        technology = preset("ideal").replace(dac__offset=2e-3, resistors__drive_ranges=ranges)
        solution, probe = reading(technology, a, b, die=3)
        errors.append(solution.x.numpy() - np.linalg.solve(a, b))
        chosen.append(probe.drive_range)
    assert chosen[0] == 0
    assert chosen[1] >= 2
    # The last level follows the peak of an attempt that clipped, and with it an offset: to some thousandths the same.
    np.testing.assert_allclose(errors[1], errors[0] / 2.0 ** chosen[1], rtol=0.02)
    # Negative control: one range more or less is another factor.
    assert not np.allclose(errors[1], errors[0] / 2.0 ** (chosen[1] - 1), rtol=0.1)


@pytest.mark.parametrize("seed", range(6))
def test_the_dac_is_used_beyond_half_of_its_scale_and_no_run_is_added(seed):
    a, b = hard(8, 15.0 * (1 + seed), seed)
    (bare, before), (ranged, after) = reading(INTEGRATED, a, b, seed), reading(RANGED, a, b, seed)
    share = float(np.abs(after.requested).max()) / INTEGRATED.dac.full_scale
    assert 0.5 < share <= 1 + 1e-9
    assert share > float(np.abs(before.requested).max())
    assert ranged.attempts <= bare.attempts


def test_the_first_range_is_the_resistor_that_dies_had_before():
    a, b = np.eye(4) + 0.1 * spd(4, 2.0, 1), np.array([1.0, -1.0, 0.5, 0.2])
    found = [reading(technology, a, 2.5 * b, die=5, duration=1.0) for technology in (INTEGRATED, RANGED)]
    assert found[1][1].drive_range == 0
    torch.testing.assert_close(found[0][0].x, found[1][0].x, rtol=0, atol=0)


def test_each_range_has_parts_of_its_own():
    """Of the law's standard deviation, and independent: the correlation over 400 pairs is below four standard errors."""
    n = 400
    nominal, die = lay_out(np.eye(n), "crossbar", RANGED), Die(RANGED, 7)
    drives = [nominal.with_drive(float(g)).on(die).parts.drive for g in drive_conductances(RANGED.resistors)[:3]]
    logs = np.array([np.log(drive / drive.mean()).ravel() for drive in drives])
    np.testing.assert_allclose(logs.std(axis=1), RANGED.resistors.mismatch, rtol=0.12)
    assert np.abs(np.corrcoef(logs)[np.triu_indices(3, 1)]).max() < 4 / math.sqrt(2 * n)
    np.testing.assert_array_equal(drives[0], nominal.on(die).parts.drive)
    # The same parts, whether a program is put on a die or changes its resistors there.
    g = float(drive_conductances(RANGED.resistors)[2])
    np.testing.assert_array_equal(nominal.on(die).with_drive(g, die).parts.drive, drives[2])


def test_spice_surrogate_and_batch_are_one_die_in_one_range():
    """Without converters' quantisation, which turns a small difference into a step."""
    quiet = RANGED.replace(
        dac__bits=None,
        adc__bits=None,
        adc__noise=0.0,
        thermal=RANGED.thermal.model_copy(update={"johnson_noise": False}),
    )
    a, b = hard(6, 60.0, 2)
    system, drive, card = Dense(torch.from_numpy(a)), torch.from_numpy(b), true_card(quiet)
    spice, surrogate = SpiceDevice(quiet, 4, "crossbar"), SurrogateDevice(card, 4, extrapolate=True)
    by_spice, alone = (one.solve(system, drive, 200.0) for one in (spice, surrogate))
    assert spice.probe is not None
    assert surrogate.probe is not None
    assert spice.probe.drive_range == surrogate.probe.drive_range >= 2
    batch = DieBatch(card, [4, 9], extrapolate=True).solve(a, b, 200.0)
    torch.testing.assert_close(batch.x[0], alone.x, rtol=1e-9, atol=1e-9)
    scale = float(alone.x.norm())
    assert float((by_spice.x - alone.x).norm()) < 2e-3 * scale
    # Negative control: the same die in the first range has other input resistors.
    first = SurrogateDevice(true_card(quiet.replace(resistors__drive_ranges=1)), 4, extrapolate=True)
    assert float((by_spice.x - first.solve(system, drive, 200.0).x).norm()) > 4e-3 * scale


def test_dies_of_a_batch_choose_their_own_ranges():
    """Dies that clip at different levels are in different ranges, and read what each reads alone."""
    a, b = hard(6, 800.0, 1)
    card = true_card(RANGED)
    devices = [SurrogateDevice(card, die, extrapolate=True) for die in range(12)]
    alone = [device.solve(Dense(torch.from_numpy(a)), torch.from_numpy(b), 20.0) for device in devices]
    together = DieBatch(card, range(12), extrapolate=True).solve(a, b, 20.0)
    assert len({device.probe.drive_range for device in devices if device.probe is not None}) > 1
    for place, one in enumerate(alone):
        assert together.outcomes[place] is one.outcome
        if one.outcome.readable:
            torch.testing.assert_close(together.x[place], one.x, rtol=1e-9, atol=1e-9)


def test_a_circuit_that_currents_drive_has_ranges_of_its_full_scale_current():
    a, b = np.array([[2.0, -0.9], [-0.9, 0.5]]), np.array([0.02, 0.01])
    card = true_card(RANGED, "dual_rail")
    device = SurrogateDevice(card, None, extrapolate=True)
    found = device.solve(Dense(torch.from_numpy(a)), torch.from_numpy(b), math.inf)
    assert device.probe is not None
    assert device.probe.drive_range > 0
    assert np.abs(device.probe.requested).max() > 0.5
    np.testing.assert_allclose(found.x.numpy(), np.linalg.solve(a, b), rtol=0.05)


def test_a_cascade_has_them_too():
    rng = np.random.default_rng(3)
    J = rng.standard_normal((3, 10))
    system, b = low_rank(J, None, 0.02), torch.from_numpy(0.1 * rng.standard_normal(10))
    exact = torch.linalg.solve(system.dense(), b)
    errors = []
    for ranges in (1, RANGES):
        device = CascadeDevice(preset("ideal").replace(dac__bits=5, resistors__drive_ranges=ranges))
        found = device.solve(system, b, math.inf)
        errors.append(float((found.x - exact).norm() / exact.norm()))
        assert device.probe is not None
        assert (device.probe.drive_range > 0) is (ranges > 1)
    assert errors[1] < 0.5 * errors[0]


def test_values_of_a_series_and_their_ranges():
    plain = Resistors(unit=1e3, drive_ranges=4)
    np.testing.assert_allclose(1 / drive_conductances(plain), [1e3, 2e3, 4e3, 8e3])
    np.testing.assert_array_equal(available_drives(plain), drive_conductances(plain))
    coarse = Resistors(unit=1e3, drive_ranges=4, series="E6")
    np.testing.assert_allclose(1 / drive_conductances(coarse), [1e3, 2.2e3, 4.7e3, 6.8e3])
    np.testing.assert_allclose(1 / available_drives(coarse), [1e3, 1.5e3, 2.2e3, 3.3e3, 4.7e3, 6.8e3])
    for series in ("E6", "E12", "E24", "E96", None):
        for unit in (1e3, 1.2e3, 3.9e4, 7.7e2):
            resistors = Resistors(unit=unit, drive_ranges=12, series=series)
            places = [drive_range_of(float(g), resistors) for g in drive_conductances(resistors)]
            assert places == list(range(12)), (series, unit)
