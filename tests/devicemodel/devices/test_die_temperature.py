"""Temperature as a state of SPICE, surrogate and batch: the same in all, and by the law of the thermal network."""

import math

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.parts import Thermal
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.thermal import temperature_map, time_constants
from thermograd.circuits.technology.thermal_state import ThermalState
from thermograd.devicemodel.batch.die_batch import DieBatch
from thermograd.devicemodel.devices.die_temperature import NOISE, VALUE
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense
from thermograd.devicemodel.validity import Validity

from ...systems import spd, true_card

DIE = 3
NETWORK = Thermal(
    cells=4, ambient_rms=2.0, to_hot=1e-3, to_ambient=2e-3, to_neighbour=5e-3, heat_capacity=2e-4, dynamic=True
)
MOVING = {"ambient_time": 2.0, "between_runs": 0.05}
A = Dense(torch.tensor(spd(3, 10.0, 1)))
B = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


def technology(**changes):
    """Noise-free parts whose resistances move by 1 % in 10 K, with amplifiers of 4 mW."""
    board = preset("integrated").replace(
        thermal=NETWORK.model_copy(update={"johnson_noise": False}), opamp__power=4e-3, adc__noise=0.0, adc__bits=None
    )
    return board.replace(**{f"thermal__{name}": value for name, value in changes.items()})


def surrogate(board, seed=0):
    return SurrogateDevice(true_card(board), DIE, seed)


def sequence(device, runs=4, duration=20.0):
    """Solutions and temperatures of runs of one program, then of another one."""
    other = Dense(torch.tensor(spd(3, 5.0, 2)))
    seen = []
    for run in range(runs):
        x = device.solve(A if run < runs - 1 else other, B, duration).x
        seen.append((x.numpy(), device.temperatures.copy(), device.ambient))
    return [np.array(column) for column in zip(*seen, strict=True)]


def test_spice_surrogate_and_batch_have_the_same_temperatures_and_solutions():
    board = technology(**MOVING)
    x, cells, ambient = sequence(surrogate(board))
    x_spice, cells_spice, ambient_spice = sequence(SpiceDevice(board, DIE, "crossbar"))
    np.testing.assert_array_equal(ambient_spice, ambient)
    # They differ by the heat of the resistors at slightly other voltages.
    np.testing.assert_allclose(cells_spice, cells, atol=1e-7)
    np.testing.assert_allclose(x_spice, x, atol=3e-3 * np.abs(x).max())
    assert np.abs(np.diff(cells, axis=0)).min(axis=(1, 2)).max() > 0.1
    batch = DieBatch(true_card(board), [5, DIE])
    run = batch.program(A, 20.0, 0)
    start = torch.zeros(2, 3, dtype=torch.float64)
    rows = [run([0, 1], B.expand(2, 3), start)[1].x.numpy()]
    # A run starts where it says; the device's does so by x0.
    device = surrogate(board)
    expected = [device.solve(A, B, 20.0, x0=start[0]).x.numpy() for _ in range(3)]
    rows += [run([1], B[None], start[:1])[0].x.numpy() for _ in range(2)]
    np.testing.assert_allclose(rows, expected, rtol=1e-9)
    assert np.abs(np.diff(expected, axis=0)).max() > 1e-5
    # Another seed of the noise is another ambient.
    assert np.abs(sequence(surrogate(board, 1))[2] - ambient).max() > 0.05


@pytest.mark.parametrize(
    "make", [surrogate, lambda board: SpiceDevice(board, DIE, "crossbar")], ids=["surrogate", "spice"]
)
def test_a_resumed_device_goes_on_bit_for_bit(make):
    board = technology(**MOVING)
    whole, first, second = (make(board) for _ in range(3))
    for device in (whole, first):
        for _ in range(3):
            device.solve(A, B, 20.0)
    second.load_state_dict(first.state_dict())
    for _ in range(2):
        assert torch.equal(second.solve(A, B, 20.0).x, whole.solve(A, B, 20.0).x)
    np.testing.assert_array_equal(second.temperatures, whole.temperatures)
    forgetful = make(board)
    state = first.state_dict()
    forgetful.load_state_dict({**state, "temperature": make(board).state_dict()["temperature"]})
    assert not torch.equal(forgetful.solve(A, B, 20.0).x, make(board).solve(A, B, 1e-9).x)
    assert np.abs(forgetful.temperatures - second.temperatures).max() > 0.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda held: held.pop("moves"), "ambient, cells, made and moves"),
        (lambda held: held.update(moves=-1), "integer >= 0"),
        (lambda held: held.update(cells=300.0), "tensor of temperatures"),
        (lambda held: held.update(cells=torch.zeros(4, 4)), "above 0 K"),
    ],
)
def test_a_damaged_state_is_rejected(change, message):
    device = surrogate(technology())
    device.solve(A, B, 5.0)
    state = device.state_dict()
    change(state["temperature"])
    with pytest.raises(InputError, match=message):
        device.load_state_dict(state)


def test_the_steady_state_is_the_map_of_amplifiers_and_resistors():
    # Runs of many thermal time constants, which a real array's are not.
    board = technology(to_ambient=2e-3).replace(resistors__unit=1e3, capacitors__unit=1e-3)
    device = surrogate(board)
    for _ in range(3):
        device.solve(A, 10 * B, 50.0)
    program, thermal = device.program, board.thermal
    volts = device.probe.settled
    heat = program.parts.dissipation(volts, device.probe.driven * program.parts.drive_nominal, board.opamp.gain)
    assert heat.total > 5e-5
    outward = thermal.to_ambient * (device.temperatures - device.ambient).sum()
    outward += thermal.to_hot * (device.temperatures[:, 0] - thermal.hot_temperature).sum()
    assert outward == pytest.approx(3 * 4e-3 + heat.total, rel=1e-6)
    assert abs(outward / (3 * 4e-3) - 1) > 0.003
    device.idle(1e6)
    amplifiers = program.parts.amplifier_heat(device.die)
    np.testing.assert_allclose(device.temperatures, temperature_map(thermal, device.ambient, amplifiers), rtol=1e-12)


def test_a_cold_start_warms_up_with_the_time_constants():
    device = surrogate(technology(to_hot=0.0))
    device.solve(A, B, 20.0)
    cold = device.die.temperatures
    warm = device.program.parts.supplied(device.die).temperatures
    device.set_temperatures(cold)
    slowest = time_constants(device.technology.thermal)[0]
    left = []
    for _ in range(5):
        device.idle(3 * slowest)
        left.append((warm - device.temperatures).mean())
    np.testing.assert_allclose(np.array(left[1:3]) / left[:2], np.exp(-3), rtol=1e-6)
    assert (warm - cold).min() > 0.1


def test_temperatures_that_hardly_move_are_steady_ones_bit_for_bit():
    """The runs' own microseconds change no value by more than the tolerance, and the law is not made anew."""
    still, moving = (surrogate(technology(dynamic=dynamic)) for dynamic in (False, True))
    for _ in range(5):
        assert torch.equal(still.solve(A, B, 20.0).x, moving.solve(A, B, 20.0).x)
    assert np.abs(moving.temperatures - still.temperatures).max() > 0
    assert np.abs(moving.temperatures - still.temperatures).max() < VALUE / 1e-3
    law = moving._laws[moving.program]
    moving.idle(1e-5)
    moving.solve(A, B, 20.0)
    assert moving._laws[moving.program] is law


def test_what_is_left_out_between_two_programs_is_within_the_tolerance():
    board = technology()
    device = surrogate(board)
    device.solve(A, B, 20.0)
    program, cells = device.program, device.temperatures.copy()
    device.set_temperatures(cells + 0.9 * VALUE / board.resistors.tc1)
    device.solve(A, B, 20.0)
    assert device.program is program
    device.set_temperatures(cells + 1.5 * VALUE / board.resistors.tc1)
    device.solve(A, B, 20.0)
    assert device.program is not program
    noisy = surrogate(board.replace(thermal__johnson_noise=True, resistors__tc1=0.0))
    noisy.solve(A, B, 20.0)
    program = noisy.program
    for share, remade in ((0.9, False), (1.1, True)):
        noisy.set_temperatures(program.parts.supplied(noisy.die).temperatures * (1 + share * NOISE))
        noisy.solve(A, B, 20.0)
        assert (noisy.program is not program) == remade


def test_a_program_knows_nothing_of_the_temperature_and_its_die_does():
    """Settled, without converters' steps: the solution of the matrix that parts at these temperatures make, large programs too."""
    board = technology().replace(
        adc__bits=None, dac__bits=None, adc__gain_error=0.0, dac__gain_error=0.0, adc__offset=0.0, dac__offset=0.0
    )
    slope = 300 + 30 * np.linspace(0, 1, 4)[None, :] * np.ones((4, 1))
    for n in (3, 140):
        rng = np.random.default_rng(n)
        system, b = Dense(torch.tensor(spd(n, 10.0, 1))), torch.tensor(rng.standard_normal(n))
        device = SurrogateDevice(true_card(board, offset=0.0), DIE, extrapolate=True)
        cold = device.solve(system, b, math.inf).x
        device.set_temperatures(slope)
        hot = device.solve(system, b, math.inf).x.numpy()
        nominal = device._nominal
        made = nominal.on(device.die.at(slope), offset=0.0)
        assert np.abs(made.parts.coupling_temperature - slope.min()).max() > 20
        np.testing.assert_allclose(hot, np.linalg.solve(made.matrix, b.numpy()), rtol=1e-7, atol=1e-9)
        assert np.abs(hot - cold.numpy()).max() > 1e-3 * np.abs(hot).max()


@pytest.mark.parametrize("name", ["integrated", "breadboard"])
def test_within_a_run_the_temperature_is_constant(name):
    """A run of 50 tau with all cells at their limit moves no resistance by more than the tolerance."""
    board = preset(name).replace(thermal__dynamic=True, thermal__ambient_time=60.0, thermal__ambient_rms=0.0)
    n = 8
    device = SurrogateDevice(true_card(board, "crossbar_single" if name == "breadboard" else "crossbar"), None)
    device.solve(Dense(torch.eye(n, dtype=torch.float64) * 2), torch.ones(n, dtype=torch.float64), 50.0)
    before = device.temperatures.copy()
    most = device.program.parts.dissipation_bound(board.opamp.output_limit, board.dac.full_scale)
    state = ThermalState(board.thermal, device.ambient, before)
    spot = np.zeros_like(before)
    spot[0] = most / len(spot)  # all of it in one row of cells
    state.advance(50 * device.program.tau, spot + device.program.parts.amplifier_heat(device.die))
    assert np.abs(state.temperatures - before).max() * board.resistors.tc1 < VALUE
    assert 50 * device.program.tau < 0.1 * time_constants(board.thermal)[-1]


def test_a_cards_range_of_temperature_is_that_of_the_present_one():
    validity = Validity(unknowns=(1, 8), condition_number=(1.0, 100.0), temperature=(290.0, 315.0))
    card = true_card(technology()).model_copy(update={"validity": validity})
    device = SurrogateDevice(card, DIE)
    device.solve(A, B, 20.0)
    device.set_temperatures(320.0)
    with pytest.raises(InputError, match="320 K"):
        device.solve(A, B, 20.0)
    device.idle(10.0)  # cools down
    device.solve(A, B, 20.0)


def test_refined_readings_go_on_with_the_temperature():
    device = surrogate(technology(**MOVING))
    Refined(device).solve(A, B, 20.0)
    ambient = device.ambient
    Refined(device).solve(A, B, 20.0)
    assert device.ambient != ambient
