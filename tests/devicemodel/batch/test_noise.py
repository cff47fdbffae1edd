"""Amplifiers' noise in a batch of dies: that of each die's own device, draw by draw, and of the size that the circuit has."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.fabrics.registry import fabric_named
from thermograd.devicemodel.batch.die_batch import DieBatch
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense

from ...systems import spd

NOISY = preset("integrated").replace(
    # Nothing is rounded off, so that every share of the noise shows.
    adc__bits=None,
    adc__noise=0.0,
    opamp__noise_voltage=1e-7,
    opamp__noise_current=1e-11,
    opamp__noise_current_corner=1e6,
)
DIES = [0, 3, 11]


def test_time_between_runs_passes_for_the_noise_too() -> None:
    dynamic = NOISY.replace(thermal__dynamic=True, thermal__between_runs=1e-3)
    system, b = Dense(torch.from_numpy(spd(4, 10.0, 1))), torch.linspace(-1.0, 0.8, 4, dtype=torch.float64)
    found = {}
    for technology in (dynamic, dynamic.replace(thermal__between_runs=0.0)):
        card = DeviceCard.uncalibrated(technology, "crossbar")
        batch = DieBatch(card, DIES, extrapolate=True).program(system, 5.0, seed=5)
        device = SurrogateDevice(card, DIES[1], seed=5, extrapolate=True)
        for _ in range(3):
            one = batch(range(3), b.expand(3, 4), torch.zeros(3, 4, dtype=torch.float64))[1]
            alone = device.solve(system, b, 5.0, x0=torch.zeros_like(b))
            torch.testing.assert_close(one.x, alone.x, rtol=1e-9, atol=1e-11)
        found[technology.thermal.between_runs] = one.x
    assert not torch.equal(found[0.0], found[1e-3])


@pytest.mark.parametrize("bandwidth", [math.inf, 2e6])
@pytest.mark.parametrize("fabric", ["crossbar", "crossbar_single"])
@pytest.mark.parametrize("duration", [0.3, 20.0, math.inf])
def test_each_die_draws_what_its_own_device_draws_run_by_run(fabric: str, duration: float, bandwidth: float) -> None:
    card = DeviceCard.uncalibrated(NOISY.replace(adc__bandwidth=bandwidth), fabric)
    system, b = Dense(torch.from_numpy(spd(5, 10.0, 0))), torch.linspace(-1.0, 0.8, 5, dtype=torch.float64)
    batch = DieBatch(card, DIES, extrapolate=True).program(system, duration, seed=5)
    starts = 0.1 * torch.arange(5.0, dtype=torch.float64)
    devices = [SurrogateDevice(card, die, seed=5, extrapolate=True) for die in DIES]
    for scale in (1.0, 0.3, -0.7):
        together = batch(range(3), (scale * b).expand(3, 5), starts.expand(3, 5))
        for one, device in zip(together, devices, strict=True):
            alone = device.solve(system, scale * b, duration, x0=starts)
            torch.testing.assert_close(one.x, alone.x, rtol=1e-9, atol=1e-11)


def spread(technology: Technology, duration: float = 20.0, count: int = 1000) -> float:
    """Standard deviation of what as many equal dies read of one cell of A = 1, V, at a level of one volt for a problem unit."""
    level = technology.opamp.output_limit / 4
    exact = technology.replace(
        resistors__tolerance=0.0,
        resistors__bits=None,
        resistors__tc1=0.0,
        capacitors__tolerance=0.0,
        opamp__offset=0.0,
        adc__bits=None,
        adc__noise=0.0,
        adc__gain_error=0.0,
        adc__offset=0.0,
        dac__bits=None,
        dac__full_scale=level,
        dac__gain_error=0.0,
        dac__offset=0.0,
        thermal__ambient_rms=0.0,
    )
    fabric = "crossbar" if exact.opamp.outputs == 2 else "crossbar_single"
    assert fabric_named(fabric).active
    card = DeviceCard.uncalibrated(exact, fabric)
    found = DieBatch(card, range(count), extrapolate=True).solve(np.eye(1), np.array([level]), duration)
    return float(found.x[:, 0].std())


@pytest.mark.parametrize(
    ("name", "volts", "without"), [("integrated", 146e-6, 40.6e-6), ("breadboard", 39.3e-6, 0.91e-6)]
)
def test_one_cell_fluctuates_as_in_ngspice(name: str, volts: float, without: float) -> None:
    """Of ngspice's `.noise`: 146 and 39.3 uV with the preset's white noise; without it the resistors' alone, sqrt(2 k T / C) a rail."""
    technology, count = preset(name).replace(opamp__noise_voltage_corner=0.0, opamp__noise_current_corner=0.0), 1000
    low, high = (np.sqrt(stats.chi2.ppf(p, count - 1) / (count - 1)) for p in (0.001, 0.999))
    assert low * 0.99 < spread(technology) / volts < high * 1.01
    old = spread(technology.replace(opamp__noise_voltage=0.0))
    assert low * 0.99 < old / without < high * 1.01
    assert not low * 0.99 < old / volts < high * 1.01
