"""Conductances that drift after programming: the law, the clock, and one die in SPICE and surrogate."""

import math

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.devicemodel.devices.conductance_drift import aged
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense

from ...systems import passive, spd, true_card

IDEAL = preset("ideal")
UNIFORM = IDEAL.replace(resistors__conductance_drift=0.05, resistors__conductance_drift_time=20.0)
SPREAD = UNIFORM.replace(resistors__conductance_drift_spread=0.02)
HOUR = 3600.0
A, B = torch.tensor(spd(4, 10.0, 2)), torch.tensor([1.0, -0.5, 0.2, 0.7], dtype=torch.float64)


def read(device, duration=math.inf):
    """From rest, with the system that is loaded."""
    return device.solve(device.system, B, duration, x0=torch.zeros_like(B)).x


def programmed(technology, die=3, kind=SurrogateDevice):
    device = (
        kind(true_card(technology), die)
        if kind is SurrogateDevice
        else kind(technology, die, "crossbar", johnson_noise=False)
    )
    device.system = Dense(A)
    read(device)
    return device


def test_drift_is_a_power_of_time_with_the_exponents_of_the_die():
    program, die = lay_out(spd(40, 10.0, 1), "crossbar", SPREAD), Die(SPREAD, 7)
    lost = [-np.log(aged(program, die, t).parts.coupling / program.parts.coupling) for t in (HOUR, 100 * HOUR)]
    exponents = [loss / math.log1p(t / 20.0) for loss, t in zip(lost, (HOUR, 100 * HOUR), strict=True)]
    np.testing.assert_allclose(*exponents, rtol=1e-9)
    # 3200 parts.
    assert exponents[0].mean() == pytest.approx(0.05, abs=4 * 0.02 / math.sqrt(3200))
    assert exponents[0].std() == pytest.approx(0.02, rel=4 / math.sqrt(2 * 3200))
    # Far beyond t_0 a decade of time costs the same share each.
    decades = [aged(program, die, 20.0 * 10.0**k).parts.coupling for k in (4, 5, 6)]
    np.testing.assert_allclose(decades[2] / decades[1], decades[1] / decades[0], rtol=1e-4)
    # Negative control: a spread that is 10 % larger.
    assert abs(exponents[0].std() / 0.022 - 1) > 4 / math.sqrt(2 * 3200)


def test_parts_that_are_not_programmed_do_not_drift():
    program = lay_out(A.numpy(), "crossbar", SPREAD)
    later = aged(program, Die(SPREAD, 7), HOUR)
    np.testing.assert_array_equal(later.parts.drive, program.parts.drive)
    np.testing.assert_array_equal(later.parts.capacitance, program.parts.capacitance)
    assert (later.parts.coupling < program.parts.coupling).all()


def test_one_part_of_a_passive_network_drifts_as_one():
    program, die = lay_out(passive(6, 0.3, 1), "dual_rail", SPREAD), Die(SPREAD, 7)
    later = aged(program, die, HOUR)
    np.testing.assert_allclose(later.parts.coupling, later.parts.coupling.transpose(0, 2, 1), rtol=1e-12)
    exponent = -np.log(later.parts.ground / program.parts.ground) / math.log1p(HOUR / 20.0)
    assert exponent.std() > 0.005
    assert aged(program, die, 0.0) is program
    assert aged(lay_out(A.numpy(), "crossbar", IDEAL), die, HOUR).technology is IDEAL


@pytest.mark.parametrize("kind", [SurrogateDevice, SpiceDevice])
def test_all_conductances_alike_scale_the_solution(kind):
    device = programmed(UNIFORM, kind=kind)
    fresh = read(device)
    device.idle(HOUR)
    # Input resistors stay as they are: A falls by the power of time, and x grows by it.
    np.testing.assert_allclose(read(device), fresh * (1 + HOUR / 20.0) ** 0.05, rtol=1e-6)
    np.testing.assert_allclose(fresh, torch.linalg.solve(A, B), rtol=1e-6)


def test_programming_again_is_as_good_as_new():
    device = programmed(SPREAD)
    fresh = read(device)
    device.idle(HOUR)
    assert float((read(device) - fresh).norm()) > 0.1 * float(fresh.norm())
    device.system = Dense(A)
    assert torch.equal(read(device), fresh)
    assert device.age == 0.0


def test_the_clock_counts_runs_and_waiting():
    device = programmed(SPREAD)
    assert device.age == 0.0  # a run to rest has no length
    spent = device.solve(device.system, B, 3.0).seconds
    assert device.age == spent > 0
    device.idle(5.0)
    assert device.age == spent + 5.0
    later = device.evolve(2.0).seconds
    assert device.age == spent + 5.0 + later


def test_waiting_in_parts_is_waiting():
    whole, parts = programmed(SPREAD), programmed(SPREAD)
    whole.idle(HOUR)
    for _ in range(4):
        parts.idle(HOUR / 4)
        late = read(parts)
    np.testing.assert_allclose(read(whole), late, rtol=1e-12)


def test_an_aged_die_is_the_same_in_spice_and_in_the_surrogate():
    found = []
    for kind, die in ((SpiceDevice, 3), (SurrogateDevice, 3), (SurrogateDevice, 4)):
        device = programmed(SPREAD, die, kind)
        device.idle(HOUR)
        found.append(read(device))
    spice, twin, stranger = found
    # What the law leaves out is of second order in the difference between the rails' parts.
    aged_by = float((spice - torch.linalg.solve(A, B)).norm())
    assert float((spice - twin).norm()) < 0.05 * aged_by
    assert float((spice - stranger).norm()) > 0.1 * aged_by


def test_a_technology_without_drift_never_ages():
    device = programmed(IDEAL)
    fresh = read(device)
    device.idle(1e9)
    assert torch.equal(read(device), fresh)


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_impossible_waiting_is_named(seconds):
    with pytest.raises(InputError, match="idle for"):
        programmed(IDEAL).idle(seconds)
