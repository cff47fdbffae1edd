"""Offset nulling: what is left of the offsets, what the DAC's steps leave, programs that clip at first, and what it takes."""

import math

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.converters import step_of
from thermograd.devicemodel.host.offset_nulling import NulledBoard
from thermograd.devicemodel.host.readout import ReadOut
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense

from ...systems import spd, true_card

N = 12
OFFSETS = preset("ideal").replace(opamp__offset=2e-3, dac__offset=1e-3, resistors__tolerance=0.002)
"""Offsets, and a little mismatch, so that a step of the search is not exact. Converters do not round."""
NULLED = ReadOut(null_offsets=True)
ZERO = torch.zeros(N, dtype=torch.float64)


def system(condition=30.0, seed=1):
    A = spd(N, condition, seed)
    d = 1 / np.sqrt(np.diag(A))
    A = A * np.outer(d, d)
    return Dense(torch.from_numpy(A), floor=float(np.linalg.eigvalsh(A)[0]) * 0.999)


def surrogate(technology=OFFSETS, die=1, read_out=NULLED):
    return SurrogateDevice(true_card(technology), die=die, extrapolate=True, read_out=read_out)


def drive_error(device, given):
    """What the offsets still drive the cells with after a run of b = 0, (n,) V at the inputs: K v over the input resistors."""
    device.solve(given, ZERO, math.inf)
    parts = device.program.parts
    return device.program.behaviour.conductance @ device.probe.settled / parts.drive.mean(axis=0)


def test_without_steps_nothing_is_left():
    given = system()
    bare, nulled = (drive_error(surrogate(read_out=read_out), given) for read_out in (None, NULLED))
    assert np.abs(bare).max() > 1e-3
    assert np.abs(nulled).max() < 1e-6


@pytest.mark.parametrize("bits", [6, 8, 10])
def test_half_a_step_of_the_dac_is_left(bits):
    """At most, in each cell, and a uniform error over all of them."""
    technology = OFFSETS.replace(dac__bits=bits, opamp__offset=2e-2)
    left = np.concatenate([drive_error(surrogate(technology, die), system(seed=die)) for die in range(1, 9)])
    step = step_of(technology.dac)
    # Gain and mismatch of the input resistor take the step's size with them.
    assert np.abs(left).max() < 0.5 * step * 1.05
    assert left.std() == pytest.approx(step / math.sqrt(12), rel=0.15)


def test_the_bias_of_another_die_nulls_nothing():
    """Negative control."""

    def reading(device):
        return np.abs(device.solve(given, ZERO, math.inf, x0=ZERO).x.numpy()).max()

    given, devices = system(), [surrogate(die=die) for die in (1, 2)]
    own, _ = (reading(device) for device in devices)
    before = reading(surrogate(read_out=None))
    devices[0]._nulling = devices[1]._nulling
    assert reading(devices[0]) > before / 2 > 1e3 * own


def test_where_the_first_reading_clips_more_damping_leads_to_the_bias():
    given, exact = system(3e4), OFFSETS.replace(resistors__tolerance=1e-6)
    bare, nulled = (surrogate(exact, read_out=read_out) for read_out in (None, NULLED))
    b = torch.from_numpy(np.random.default_rng(1).standard_normal(N))
    assert bare.solve(given, b, math.inf).outcome is Outcome.OFFSET_CLIPPED
    assert nulled.solve(given, b, math.inf).outcome is Outcome.EXTRAPOLATED  # a condition that the card does not know
    assert nulled._nulling.programmings >= 2
    found = Refined(nulled, rounds=6, equilibrate=False).solve(given, b, math.inf).refinement
    assert found.residual < 1e-3


def test_runs_that_programming_itself_takes_are_counted_of_each_diagonal():
    """As where a die runs away with its leak compensated, and is programmed again."""

    class Hesitant(SurrogateDevice):
        def _program(self, system):
            board = super()._program(system)
            board.spent_runs = 1
            return board

    exact, b = OFFSETS.replace(resistors__tolerance=1e-6), torch.ones(N, dtype=torch.float64)
    solutions, devices = [], []
    for kind in (SurrogateDevice, Hesitant):
        devices.append(kind(true_card(exact), die=1, extrapolate=True, read_out=NULLED))
        solutions.append(devices[-1].solve(system(3e4), b, math.inf))
    programmings = devices[0]._nulling.programmings
    assert programmings >= 2
    assert solutions[1].attempts == solutions[0].attempts + 1 + programmings


def test_runs_and_products_are_counted_once_for_a_program():
    given, device = system(), surrogate()
    plain = surrogate(read_out=None).solve(given, ZERO + 1, 50.0)
    first, second = (device.solve(given, ZERO + 1, 50.0, x0=ZERO) for _ in range(2))
    runs = device._nulling.runs
    assert runs < first.attempts <= runs + 2
    assert second.attempts <= 2
    assert first.products == device._nulling.products
    assert first.products == runs
    assert second.products == plain.products == 0
    assert first.seconds / second.seconds == pytest.approx(first.attempts / second.attempts)
    refined = [Refined(surrogate(read_out=one), rounds=1).solve(given, ZERO + 1, 50.0) for one in (None, NULLED)]
    assert refined[0].refinement.products == 2
    assert refined[1].refinement.products > 2


def test_the_drive_has_room_beside_the_bias():
    """In every range of the input resistors the sum of both is within the DAC's full scale, and the bias drives the same current."""
    technology = OFFSETS.replace(resistors__drive_ranges=4, resistors__bits=8)
    device, given = surrogate(technology), system()
    device.solve(given, ZERO, math.inf)
    board, full_scale = device._board, technology.dac.full_scale
    bias = np.linspace(-0.2, 0.2, N)
    nulled = NulledBoard(board, bias, full_scale)
    # 0.2 V becomes 0.4 V in the second range, and 0.8 V, over half of the scale, in the third.
    assert nulled.drive_gains == board.drive_gains[:2]
    b = np.random.default_rng(0).standard_normal((1, N))
    for place, gain in enumerate(nulled.drive_gains):
        level = full_scale / gain / nulled.strongest(b)[:, None]
        ranged = nulled.in_range(place)
        asked = ranged.requested(b, level)
        assert np.abs(asked).max() <= full_scale
        plain = board.in_range(place)
        np.testing.assert_allclose(
            (asked - plain.requested(b, level)) * plain.amperes_per_volt, bias[None] * board.amperes_per_volt
        )
    assert device.solve(given, ZERO + 1, math.inf).outcome is Outcome.OK


def test_a_board_that_cannot_run_is_not_nulled():
    indefinite = torch.eye(N, dtype=torch.float64)
    indefinite[0, 0] = -1.0
    device = surrogate()
    found = device.solve(Dense(indefinite), ZERO + 1, 10.0)
    assert found.outcome is Outcome.UNSTABLE
    assert (found.attempts, found.products) == (1, 0)
    # At a run of no length there is nothing to see.
    assert surrogate().solve(system(), ZERO + 1, 0.0).products == 0


def test_in_ngspice():
    given = Dense(torch.from_numpy(spd(3, 10.0, 1)))
    zero = torch.zeros(3, dtype=torch.float64)
    left = []
    for read_out in (None, NULLED):
        device = SpiceDevice(OFFSETS, die=1, fabric="crossbar", read_out=read_out)
        left.append(float(device.solve(given, zero, math.inf).x.norm()))
    assert left[1] < 1e-3 * left[0]


def test_auto_zero_excludes_it():
    with pytest.raises(InputError, match="null_offsets"):
        ReadOut(auto_zero=True, null_offsets=True)


@pytest.mark.parametrize("first", [0.0, 0.05, 1.0])
def test_longer_runs_seek_the_bias_again(first):
    """Readings of short runs do not show the slow modes' offsets, and those of no run nothing at all."""
    given = system()
    device = surrogate()
    device.solve(given, ZERO, first)
    assert np.abs(drive_error(device, given)).max() < 1e-6
    again = device.solve(given, ZERO, 1.0)
    assert (again.attempts, again.products) == (1, 0)


def test_a_run_that_goes_on_for_longer_seeks_it_too():
    given = system()
    device = surrogate()
    device.solve(given, ZERO, 0.0)
    found = device.evolve(math.inf)
    assert found.products > 0
    drives = device.program.behaviour.conductance @ device.probe.settled / device.program.parts.drive.mean(axis=0)
    assert np.abs(drives).max() < 1e-6
