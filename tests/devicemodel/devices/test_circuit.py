"""The host's routine around a circuit: ranging, state, outcomes. The circuit is a surrogate."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError, UnrealisableError
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.devicemodel.batch.die_batch import DieBatch
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.device import Device, Outcome
from thermograd.devicemodel.devices.circuit import ProgramBoard
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.board import Voltages
from thermograd.devicemodel.systems import Dense, LowRank

from ...systems import passive, spd, true_card

IDEAL = preset("ideal")
INTEGRATED = preset("integrated")


def vector(*values):
    return torch.tensor(values, dtype=torch.float64)


def dense(matrix):
    return Dense(torch.tensor(np.asarray(matrix), dtype=torch.float64))


def perfect(fabric="crossbar"):
    return SurrogateDevice(true_card(IDEAL, fabric), None)


A, B = dense(spd(3, 10.0, 1)), vector(1.0, -2.0, 0.5)
SLOW = dense(np.diag([0.01, 1.0, 1.0]))
"""Its first unknown is a hundred times its drive."""
RUNS_AWAY = dense([[1.0, 0.9, 0.0], [0.9, 1.0, 0.42], [0.0, 0.42, 1.0]])
"""Definite by a hair, and not after rounding to two bits."""


def test_it_is_a_device():
    assert isinstance(perfect(), Device)


@settings(max_examples=25)
@given(scale=st.floats(1e-9, 1e9), small=st.floats(1e-4, 1.0), seed=st.integers(0, 99))
def test_ranging_finds_a_level_for_any_drive_and_any_curvature(scale, small, seed):
    # x exceeds b by up to 1e4, so the first level overdrives the rails; in a linear circuit one correction is enough.
    system, b = (
        dense(spd(4, 1 / small, seed) * small),
        scale * torch.tensor(np.random.default_rng(seed).standard_normal(4)),
    )
    device = perfect()
    solution = device.solve(system, b, math.inf)
    assert solution.outcome is Outcome.OK
    assert solution.attempts <= 2
    np.testing.assert_allclose(
        solution.x, torch.linalg.solve(system.A, b), rtol=1e-6, atol=1e-9 * float(solution.x.abs().max())
    )
    assert np.abs(device.probe.settled).max() <= IDEAL.opamp.output_limit
    assert np.abs(device.probe.requested).max() <= IDEAL.dac.full_scale * (1 + 1e-9)


def test_each_attempt_costs_its_time():
    device = perfect()
    solution = device.solve(SLOW, B, 500.0)
    assert solution.attempts == 2
    assert solution.seconds == pytest.approx(2 * 500.0 * device.program.tau)


def test_the_level_that_worked_is_remembered():
    device = perfect()
    assert device.solve(SLOW, B, 500.0).attempts == 2
    assert device.solve(SLOW, B, 500.0, x0=torch.zeros(3, dtype=torch.float64)).attempts == 1


def test_a_start_beyond_the_rail_is_scaled_into_it():
    device = perfect()
    x0 = 1e6 * vector(1.0, 1.0, -1.0)
    solution = device.solve(A, B, 0.0, x0=x0)
    assert solution.outcome is Outcome.OK
    np.testing.assert_allclose(solution.x, x0, rtol=1e-9)
    np.testing.assert_allclose(device.solve(A, B, 0.5, x0=x0).x, IdealDevice().solve(A, B, 0.5, x0=x0).x, rtol=1e-7)


def test_a_device_that_cannot_find_a_level_says_clipped():
    class Stuck(SurrogateDevice):
        """Its amplifiers sit at their rails, whatever the drive."""

        def _relax(self, program, currents, state, spans, rng, places):
            return Voltages(np.full((len(currents), len(spans), program.size), 3.0))

    solution = Stuck(true_card(IDEAL), None).solve(A, B, 1.0)
    assert solution.outcome is Outcome.OFFSET_CLIPPED
    assert solution.attempts == 5 + 1  # and one without drive, to see whose fault it is
    assert torch.isfinite(solution.x).all()


def test_time_goes_on_between_calls():
    device, ideal = perfect(), IdealDevice()
    device.solve(A, B, 0.3)
    ideal.solve(A, B, 0.3)
    np.testing.assert_allclose(device.evolve(0.4).x, ideal.evolve(0.4).x, rtol=1e-7)
    # Another matrix and drive, the same charges.
    np.testing.assert_allclose(
        device.solve(dense(np.eye(3)), -B, 0.2).x, ideal.solve(dense(np.eye(3)), -B, 0.2).x, rtol=1e-7
    )


def test_another_size_starts_from_zero():
    device = perfect()
    device.solve(A, B, 1.0)
    np.testing.assert_allclose(device.solve(dense(np.eye(2)), vector(1.0, 2.0), 0.0).x, 0.0)


def test_a_restored_state_continues_bit_for_bit():
    def fresh():
        return SurrogateDevice(true_card(INTEGRATED), 3)

    one, two = fresh(), fresh()
    for step in range(3):
        one.solve(A, (step + 1) * B, 0.7)
    two.load_state_dict(one.state_dict())
    again = [device.solve(A, B, 0.7) for device in (one, two)]
    assert torch.equal(again[0].x, again[1].x)


def test_the_noise_is_the_seeds_and_the_parts_are_the_dies():
    def reading(die, seed, technology=INTEGRATED):
        return SurrogateDevice(true_card(technology), die, seed).solve(A, B, 3.0).x

    assert torch.equal(reading(3, 0), reading(3, 0))
    assert not torch.equal(reading(3, 0), reading(3, 1))
    silent = INTEGRATED.replace(adc__noise=0.0, thermal__johnson_noise=False)
    assert torch.equal(reading(3, 0, silent), reading(3, 1, silent))
    assert not torch.equal(reading(3, 0, silent), reading(4, 0, silent))
    with pytest.raises(InputError, match="seed is -1"):
        SurrogateDevice(true_card(IDEAL), None, seed=-1)


def test_what_is_no_card_raises_with_the_remedy():
    for kind in (SurrogateDevice, lambda card: DieBatch(card, range(2))):
        with pytest.raises(InputError, match=r"card is 'integrated': give a DeviceCard, from calibrate"):
            kind("integrated")
    with pytest.raises(InputError, match="read_out is 4: give a ReadOut"):
        SpiceDevice(IDEAL, read_out=4)
    with pytest.raises(InputError, match="timeout is 0: give seconds > 0"):
        SpiceDevice(IDEAL, timeout=0)
    with pytest.raises(InputError, match=r"read_out is 4: give a ReadOut, such as ReadOut\(reads=4\)"):
        SpiceDevice(IDEAL, read_out=4)


def test_a_state_is_plain_enough_for_torch_load(tmp_path):
    device = perfect()
    device.solve(A, B, 1.0)
    torch.save(device.state_dict(), tmp_path / "state.pt")
    restored = torch.load(tmp_path / "state.pt", weights_only=True)
    device.load_state_dict(restored)
    np.testing.assert_allclose(device.solve(A, B, 0.0).x, restored["state"], rtol=1e-12)


def test_a_state_is_one_of_its_fabric():
    """Four voltages are four cells of a crossbar, or two of oscillators."""
    device, floor = SpiceDevice(INTEGRATED, fabric="oscillator"), 0.9
    device.solve(Dense(torch.eye(2, dtype=torch.float64), floor), vector(1.0, 2.0), 0.0)
    with pytest.raises(InputError, match="fabric oscillator, and this one is of fabric crossbar"):
        SpiceDevice(INTEGRATED, fabric="crossbar").load_state_dict(device.state_dict())


def test_no_drive_and_no_charge_read_zero():
    np.testing.assert_array_equal(perfect().solve(A, torch.zeros(3, dtype=torch.float64), math.inf).x, 0.0)


def test_low_rank_systems_are_programmed_as_their_matrix():
    J = torch.tensor(np.random.default_rng(0).standard_normal((2, 4)))
    b = vector(1.0, 2.0, 3.0, 4.0)
    low = LowRank(J, None, 0.5)
    np.testing.assert_allclose(perfect().solve(low, b, 2.0).x, perfect().solve(Dense(low.dense()), b, 2.0).x, rtol=1e-9)


def test_single_precision_rounding_of_a_gram_matrix_is_no_asymmetry():
    a = torch.tensor(spd(3, 10.0, 1), dtype=torch.float32)
    a[0, 1] += 1e-6
    solution = perfect().solve(Dense(a), B.float(), math.inf)
    assert solution.x.dtype == torch.float32
    np.testing.assert_allclose(solution.x, torch.linalg.solve(a, B.float()), rtol=1e-4)


def test_a_runaway_is_an_outcome_and_the_device_stays_usable():
    device = SurrogateDevice(true_card(IDEAL.replace(resistors__bits=2)), None)
    for solution in (device.solve(RUNS_AWAY, B, 1.0), device.evolve(1.0)):
        assert solution.outcome is Outcome.UNSTABLE
        assert torch.isnan(solution.x).all()
    assert device.solve(dense(np.eye(3)), B, 1.0).outcome is Outcome.OK


def test_a_law_without_a_settled_state_is_a_runaway_not_a_number():
    # The technology's amplifiers hold the rounded matrix, a card without their leak does not.
    technology = IDEAL.replace(resistors__bits=2, opamp__gain=10.0)
    assert SurrogateDevice(true_card(technology), None).solve(RUNS_AWAY, B, math.inf).outcome is Outcome.OK
    solution = SurrogateDevice(true_card(technology, leak=0.0), None).solve(RUNS_AWAY, B, math.inf)
    assert solution.outcome is Outcome.UNSTABLE


@pytest.mark.parametrize("matrix", [[[1.0, 2.0], [2.0, 1.0]], [[-1.0, 0.0], [0.0, -1.0]]])
def test_an_indefinite_matrix_is_an_outcome(matrix):
    assert perfect().solve(dense(matrix), vector(1.0, 1.0), 1.0).outcome is Outcome.UNSTABLE
    assert SpiceDevice(IDEAL).solve(dense(matrix), vector(1.0, 1.0), 1.0).outcome is Outcome.UNSTABLE


def test_a_matrix_that_the_fabric_cannot_hold_is_rejected():
    with pytest.raises(InputError, match=r"lambda\*"):
        perfect("dual_rail").solve(dense(np.full((3, 3), 0.9) + 0.1 * np.eye(3)), B, 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": vector(1.0, 2.0)}, "b is"),
        ({"b": vector(1.0, math.nan, 2.0)}, r"b\[1\]"),
        ({"b": B.float()}, "b is"),
        ({"x0": vector(1.0)}, "x0 is"),
        ({"duration": -1.0}, "duration"),
        ({"duration": math.nan}, "duration"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(change, message):
    device = perfect()
    device.solve(dense(passive(2, 0.5, 1)), vector(1.0, 2.0), 1.0)
    before = device.evolve(0.0).x
    with pytest.raises(InputError, match=message):
        device.solve(**({"system": A, "b": B, "duration": 1.0} | change))
    np.testing.assert_allclose(device.evolve(0.0).x, before, rtol=1e-12)


def test_evolving_an_empty_device_is_rejected():
    with pytest.raises(InputError, match="call solve first"):
        perfect().evolve(1.0)


def test_amplifiers_that_hold_their_rail_are_scaled_down_further_than_they_show():
    class Clamped(SurrogateDevice):
        """Its amplifiers hold their rail, some percent beyond, as real ones do; a linear board would be at several rails."""

        def _relax(self, program, currents, state, spans, rng, places):
            return Voltages(np.clip(super()._relax(program, currents, state, spans, rng, places).cells, -1.02, 1.02))

    device = Clamped(true_card(IDEAL), None)
    solution = device.solve(SLOW, B, 500.0)
    assert solution.outcome is Outcome.OK
    assert 3 <= solution.attempts <= 5
    assert np.abs(device.probe.settled).max() < 1.0


def test_an_adc_that_clips_within_the_rail_is_asked_again_at_a_lower_level():
    # Its offsets carry voltages near the rail beyond its range.
    technology = IDEAL.replace(adc__offset=0.1)
    device = SurrogateDevice(true_card(technology), 3)
    level = 1.0
    for _ in range(3):
        solution = device.solve(A, B, math.inf)
        offset = 0.1 * device.die.deviates("adc_offset", (1, 3))[0]
        assert solution.outcome is Outcome.OK
        assert np.abs(device.probe.settled + offset).max() <= technology.adc.full_scale
        level = min(level, float(np.abs(device.probe.settled).max()))
    assert level > 0.1


@pytest.mark.parametrize(
    "make",
    [
        lambda: SpiceDevice("breadboard", fabric="crossbar"),
        lambda: CascadeDevice("breadboard"),
        lambda: SpiceDevice(preset("integrated").replace(resistors__slices=2), fabric="crossbar_single"),
    ],
)
def test_a_fabric_that_the_parts_do_not_make_raises_before_a_system_is_programmed(make):
    with pytest.raises(UnrealisableError, match="cannot be built: it"):
        make()


def test_a_volt_of_a_flux_is_taken_for_what_nominal_inductors_make_of_it_and_velocities_are_seen_by_no_probe():
    nominal = lay_out(passive(3, 0.5, 1), "lc", INTEGRATED)
    other = lay_out(2.0 * passive(3, 0.5, 1) + np.eye(3), "lc", INTEGRATED)
    board = ProgramBoard(other, True, None, None, read_scale=nominal.readout_scale)
    assert board.kept == 6
    assert not board.takes_start
    state, level = np.arange(1.0, 7.0), 0.3
    volts = board.volts(state, level)
    np.testing.assert_allclose(volts[:3] * nominal.readout_scale / level, state[:3])
    np.testing.assert_allclose(volts[3:] * other.scaling / level, state[3:])
    np.testing.assert_allclose(board.values(volts, level), state)
    np.testing.assert_allclose(board.values(volts[:3], level), state[:3])
    assert np.abs(other.readout_scale / nominal.readout_scale - 1).min() > 0.1
