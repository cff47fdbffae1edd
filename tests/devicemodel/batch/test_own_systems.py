"""Dies with a system each are the devices one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset, thermal_preset
from thermograd.compiler.compile import lay_out
from thermograd.devicemodel.batch.own_systems import OwnSystems
from thermograd.devicemodel.calibration.cases import random_system
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices.cell_law import propagate
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


def draws_of(card: DeviceCard, duration: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Readings of one die, (count, n), with as many seeds of the noise; and its system."""
    matrices, drives = systems(4)
    a, b = matrices[0].repeat(count, 1, 1), drives[0].repeat(count, 1)
    found = OwnSystems(card, [3] * count, range(count), extrapolate=True).program(a, duration).run(b, b)
    return torch.stack([one.x for one in found]).numpy(), matrices[0].numpy()


def test_thermal_noise_has_the_distribution_of_a_device():
    """Against the covariance over as many runs of single devices: the sum of whitened squares, by its standard error; 60 % more power is
    told from it."""
    technology = preset("integrated").replace(adc__noise=0.0, adc__bits=None, dac__bits=None, opamp__noise_voltage=2e-8)
    card, count, alone, duration = DeviceCard.uncalibrated(technology), 800, 150, 20.0
    found, matrix = draws_of(card, duration, count)
    system, b = Dense(torch.from_numpy(matrix)), systems(4)[1][0]
    devices = [SurrogateDevice(card, 3, seed, extrapolate=True) for seed in range(alone)]
    single = np.stack([device.solve(system, b, duration, b).x.numpy() for device in devices])
    spread = np.cov(found.T)
    whitened = np.linalg.solve(np.linalg.cholesky(spread), (single - single.mean(0)).T)
    n = len(matrix)
    # Both covariances are estimates: 2 / (n m) each of the mean square of n whitened entries.
    error = math.sqrt(2 / n * (1 / alone + 1 / count))
    power = float((whitened**2).sum() / (n * (alone - 1)))
    assert abs(power - 1) < 4.5 * error
    assert abs(1.6 * power - 1) > 4.5 * error
    off = np.linalg.solve(np.linalg.cholesky(spread * (1 / alone + 1 / count)), single.mean(0) - found.mean(0))
    assert float(np.abs(off).max()) < 4.5
    # Entries go together as they do on a device: no whitened direction has much more or less than its share.
    shares = np.linalg.eigvalsh(np.cov(whitened))
    assert 1 - 6 * math.sqrt(2 / alone) < shares.min() < shares.max() < 1 + 6 * math.sqrt(2 / alone)


def test_white_noise_is_that_of_the_law():
    """Against the covariance that doubling integrates, but for one factor, by its eigenvalues."""
    technology = preset("integrated").replace(
        adc__noise=0.0, adc__bits=None, dac__bits=None, opamp__noise_voltage_corner=0.0
    )
    card = DeviceCard.uncalibrated(technology)
    found, matrix = draws_of(card, 5.0, 1500)
    program = card.on(lay_out(matrix, "crossbar", technology), Die(technology, 3))
    _, covariance = propagate(program, np.zeros(4), np.zeros(4), 5.0, card, True)
    assert covariance is not None
    # Volts are problem units at one level, which is the same in all runs.
    ratio = np.cov(found.T) @ np.linalg.inv(covariance.numpy())
    scale = np.trace(ratio) / 4
    error = 4.5 * math.sqrt(2 / 1500)
    assert np.abs(np.linalg.eigvals(ratio / scale) - 1).max() < 2 * error


def test_noise_needs_a_run_that_ends():
    card = DeviceCard.uncalibrated(preset("integrated"))
    with pytest.raises(InputError, match="duration is inf"):
        OwnSystems(card, DIES, extrapolate=True).program(systems(4)[0], math.inf)
