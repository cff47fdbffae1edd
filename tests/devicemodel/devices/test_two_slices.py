"""Two slices on a die: one die in SPICE, surrogate and batches, and what verified codes make of the second slice."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.constants import Boltzmann

from thermograd.circuits.linear.noise_spectra import noise_covariance
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.compiler.programming import Programming
from thermograd.devicemodel.batch.die_batch import DieBatch
from thermograd.devicemodel.devices.cell_law import propagate
from thermograd.devicemodel.devices.cell_measurement import measure_cells
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense

from ...systems import spd, true_card

ONE = preset("integrated").replace(opamp__noise_voltage=0.0)
TWO = ONE.replace(resistors__slices=2)


@pytest.mark.parametrize(("n", "layout"), [(4, False), (8, False), (4, True)])
def test_spice_and_surrogate_are_one_die(n, layout):
    quiet = TWO.replace(
        dac__bits=None, adc__bits=None, adc__noise=0.0, thermal=TWO.thermal.model_copy(update={"johnson_noise": False})
    )
    a, b = spd(n, 8.0, n), np.random.default_rng(n).standard_normal(n)
    system, drive = Dense(torch.from_numpy(a)), torch.from_numpy(b)
    card = true_card(quiet)
    devices = [
        SpiceDevice(quiet, 5, "crossbar", layout=layout),
        SurrogateDevice(card, 5, layout=layout, extrapolate=True),
    ]
    by_spice, alone = (device.solve(system, drive, 60.0).x for device in devices)
    assert devices[1].program.parts.slices == 2
    scale = float(alone.norm())
    assert float((by_spice - alone).norm()) < 1e-3 * scale
    # Negative control: one slice on the same die is farther off.
    single = true_card(quiet.replace(resistors__slices=1))
    other = SurrogateDevice(single, 5, layout=layout, extrapolate=True).solve(system, drive, 60.0).x
    assert float((by_spice - other).norm()) > 2e-3 * scale


def test_a_batch_reads_what_each_device_reads():
    a, b = spd(5, 8.0, 1), np.random.default_rng(1).standard_normal(5)
    drifting = TWO.replace(resistors__die_to_die=0.05, resistors__gradient=0.02)
    card = true_card(drifting)
    together = DieBatch(card, [0, 7], extrapolate=True).solve(a, b, 3.0, seed=2)
    for place, die in enumerate((0, 7)):
        device = SurrogateDevice(card, die, seed=2, extrapolate=True)
        alone = device.solve(Dense(torch.from_numpy(a)), torch.from_numpy(b), 3.0)
        torch.testing.assert_close(together.x[place], alone.x, rtol=1e-9, atol=1e-9)


def test_the_noise_of_both_slices_is_the_netlists():
    """Codes of one bit, so that the second slice is half of the unit: K = [[1, 1/2], [1/2, 1]]."""
    coarse = TWO.replace(resistors__bits=1)
    program = lay_out(np.array([[1.0, 0.3], [0.3, 0.8]]), "crossbar", coarse).on(Die(coarse, 3))
    assert np.count_nonzero(program.parts.second) == 4
    zero = np.zeros(2)
    circuit = noise_covariance(program.circuit(zero, zero), program.readouts)
    _, law = propagate(program, zero, zero, math.inf, true_card(coarse), noisy=True)
    assert law is not None
    np.testing.assert_allclose(law.numpy(), circuit, rtol=0, atol=5e-3 * circuit.max())
    # Negative control: the first slice's and the input resistors' noise alone is too little.
    silent = program.behaviour.noise - np.diag(4 * Boltzmann * 300 * program.parts.second.mean(axis=0).sum(axis=1))
    assert np.trace(silent) < 0.85 * np.trace(program.behaviour.noise)


def contraction(slices: int, verified: bool) -> float:
    """||I - A M^-1|| of the matrix M that a die holds, by which a round of refinement multiplies the error."""
    n = 10
    a = spd(n, 200.0, 1)
    d = 1 / np.sqrt(np.diag(a))
    a = d[:, None] * a * d
    card = true_card(ONE.replace(resistors__slices=slices))
    cells = measure_cells(SurrogateDevice(card, 3, extrapolate=True), n) if verified else None
    programming = Programming(compensate_leak=True, cells=cells)
    device = SurrogateDevice(card, 3, extrapolate=True, programming=programming)
    device.solve(Dense(torch.from_numpy(a)), torch.ones(n, dtype=torch.float64), math.inf)
    assert device.program is not None
    return float(np.linalg.norm(np.eye(n) - a @ np.linalg.inv(device.program.matrix), 2))


def test_measured_through_the_devices_own_readings_it_pays():
    blind, verified = ([contraction(slices, known) for slices in (1, 2)] for known in (False, True))
    assert verified[0] < 0.4 * blind[0]
    assert verified[1] < 0.3 * verified[0]
    # Negative control: without measuring, the second slice brings as good as nothing.
    assert blind[1] > 0.7 * blind[0]
