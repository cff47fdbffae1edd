"""Programming beyond the nearest codes: the leak of the amplifiers taken off the diagonal."""

import math

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.compiler.fabrics.registry import fabric_named
from thermograd.compiler.programming import Programming
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense

from ...systems import spd, true_card

LEAKY = preset("ideal").replace(opamp__gain=200.0)
"""Leak alone: no mismatch, no codes, no offsets."""
COMPENSATED = Programming(compensate_leak=True)


@pytest.mark.parametrize("fabric", ["crossbar", "crossbar_single"])
def test_with_ideal_conductances_nothing_of_the_leak_is_left(fabric):
    A = spd(8, 50.0, 1)
    bare, compensated = (lay_out(A, fabric, LEAKY, leak).matrix for leak in (0.0, 1 / 200))
    np.testing.assert_allclose(compensated, A, rtol=1e-12, atol=1e-12)
    # Bare, it is the row load: what leaves the diagonal is sum_j |K_ij| + g_in, over the gain; and what inverters lose, twice as much.
    expected = np.diag((np.abs(A).sum(axis=1) + np.abs(A).max()) / 200)
    if fabric == "crossbar_single":
        expected += np.where(A < 0, -A * (1 - 1 / (1 + 2 / 200)), 0.0)
    np.testing.assert_allclose(bare - A, expected, atol=1e-12)


def test_another_gain_leaves_its_part_of_the_leak():
    """Negative control: compensated for twice the gain, half of the leak stays, to first order in it."""
    A = spd(8, 50.0, 1)
    left = np.diag(lay_out(A, "crossbar", LEAKY, 1 / 400).matrix - A)
    whole = np.diag(lay_out(A, "crossbar", LEAKY, 0.0).matrix - A)
    np.testing.assert_allclose(left / whole, 0.5, atol=0.01)


def test_no_entry_is_taken_below_zero():
    fabric = fabric_named("crossbar")
    parts = lay_out(np.array([[1.0, 0.9], [0.9, 0.001]]), "crossbar", LEAKY).parts
    found = fabric.without_leak(parts, 0.1)
    assert (found.coupling >= 0).all()
    assert (found.coupling[:, 1, 1] == 0).all()
    np.testing.assert_array_equal(found.coupling[:, 0, 1], parts.coupling[:, 0, 1])
    # Passive fabrics have no leak.
    passive = lay_out(np.eye(3), "dual_rail", LEAKY).parts
    assert fabric_named("dual_rail").without_leak(passive, 0.1) is passive


@pytest.mark.parametrize("kind", ["surrogate", "spice"])
def test_readings_with_the_leak_compensated(kind):
    """x = (A + L / A0)^-1 b without it; within the reading's own precision of A^-1 b with it."""
    A, b = spd(4, 10.0, 2), np.random.default_rng(0).standard_normal(4)
    found = []
    for programming in (None, COMPENSATED):
        if kind == "surrogate":
            device = SurrogateDevice(true_card(LEAKY), extrapolate=True, programming=programming)
        else:
            device = SpiceDevice(LEAKY, fabric="crossbar", programming=programming)
        found.append(device.solve(Dense(torch.from_numpy(A)), torch.from_numpy(b), math.inf).x.numpy())
    leak = np.diag((np.abs(A).sum(axis=1) + np.abs(A).max()) / 200)
    np.testing.assert_allclose(found[0], np.linalg.solve(A + leak, b), rtol=1e-5)
    np.testing.assert_allclose(found[1], np.linalg.solve(A, b), rtol=1e-5)


def test_an_unstable_board_is_programmed_without_compensation():
    """Codes of 4 bits leave a mode that only the leak holds back: compensated it runs away, which costs one run, and is done without."""
    coarse = LEAKY.replace(resistors__bits=4)
    for seed in range(200):
        A = spd(6, 60.0, seed)
        bare, compensated = (lay_out(A, "crossbar", coarse, leak) for leak in (0.0, 1 / 200))
        if bare.is_stable() and not compensated.is_stable():
            break
    system, b = Dense(torch.from_numpy(A)), torch.ones(6, dtype=torch.float64)
    devices = [
        SurrogateDevice(true_card(coarse), extrapolate=True, programming=programming)
        for programming in (None, COMPENSATED)
    ]
    plain, guarded = (device.solve(system, b, 50.0) for device in devices)
    assert guarded.outcome is not Outcome.UNSTABLE
    assert guarded.attempts == plain.attempts + 1
    assert torch.equal(guarded.x, plain.x)
    again = [device.solve(system, b, 50.0, x0=torch.zeros_like(b)).attempts for device in devices]
    assert again[1] == again[0]


def test_what_is_no_programming_raises():
    with pytest.raises(InputError, match="compensate_leak"):
        Programming(compensate_leak=1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="programming"):
        SurrogateDevice(true_card(LEAKY), programming=True)  # type: ignore[arg-type]
