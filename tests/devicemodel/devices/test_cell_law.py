"""The surrogate's law with the layout and with a second pole, against the circuits' own state space and against ngspice."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.errors import InputError
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.compiler.fabrics.base import rails
from thermograd.compiler.layout.effect import layout_matrix
from thermograd.compiler.layout.extraction import extract_layout
from thermograd.devicemodel.devices.cell_coefficients import extracted, schematic
from thermograd.devicemodel.devices.cell_law import cell_law
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense

from ...systems import spd, true_card

# Parts without mismatch, since that of the rails against each other is left out of every first-order law.
EVEN = preset("integrated").replace(
    resistors__bits=None,
    resistors__tolerance=0.0,
    capacitors__tolerance=0.0,
    opamp__slew=math.inf,
    opamp__common_mode_gain=math.inf,
    opamp__common_mode_gbw=math.inf,
    opamp__noise_voltage=0.0,
    opamp__noise_voltage_corner=0.0,
)
WIRED = EVEN.replace(
    wires__segment_resistance=20.0,
    wires__segment_capacitance=2e-14,
    wires__crosspoint_capacitance=1e-14,
    switches__on_resistance=200.0,
    switches__leakage=1e-7,
    dac__resistance=500.0,
    dac__capacitance=1e-13,
)
BARE = {"adc__bits": None, "dac__bits": None, "adc__noise": 0.0, "thermal__johnson_noise": False}
DURATIONS = [0.3, 1.0, 5.0, math.inf]


def circuit(technology, n, seed, layout=False, amplifier=None):
    """(program on a die, its drive, its start, the state space of its netlist)."""
    program = lay_out(spd(n, 20.0, seed), "crossbar", technology).on(Die(technology, 3))
    rng = np.random.default_rng([seed, n])
    currents, start = rng.uniform(-0.3, 0.3, n) * program.parts.drive_nominal, rng.uniform(-0.1, 0.1, n)
    netlist = program.circuit(currents, start, amplifier)
    netlist = (extract_layout(netlist, program) if layout else netlist).linearised()
    return program, currents, start, state_space(netlist, {f"x{i}": rails(i) for i in range(n)})


def end(found, program, start, duration):
    step = found.over(duration, program.tau, noisy=False)
    return step.propagator.numpy() @ found.slow_start(start) + step.mean.numpy()


def misses(space, program, start, duration, *laws):
    """Distance of each law's end voltages from the circuit's, relative."""
    truth = space.equilibrium() if math.isinf(duration) else space.transition(duration * program.tau)
    return [float(np.linalg.norm(end(one, program, start, duration) - truth) / np.linalg.norm(truth)) for one in laws]


def covariance(found, program):
    return found.over(math.inf, program.tau, noisy=True).covariance.numpy()


# The layout


@pytest.mark.parametrize("n", [3, 8])
@pytest.mark.parametrize("duration", DURATIONS)
def test_the_layouts_law_is_that_of_the_extracted_netlist(n, duration):
    program, currents, start, space = circuit(WIRED, n, 2, layout=True)
    card = true_card(WIRED)
    wired, plain = (cell_law(program, currents, card, elements(program)) for elements in (extracted, schematic))
    with_layout, without = misses(space, program, start, duration, wired, plain)
    # What is left is how the netlist charges its parasitic capacitances at the start: rows at ground, columns at the driver's voltage.
    assert with_layout < 5e-5
    assert without > 100 * with_layout


def test_at_rest_it_is_the_compilers_layout_matrix():
    program, currents, _, _ = circuit(WIRED, 6, 4, layout=True)
    found = cell_law(program, currents, true_card(WIRED, offset=0.0), extracted(program))
    b = currents / (program.conductance_unit * program.volts_per_unit * program.scaling)
    volts = np.linalg.solve(-found.drift, found.drive) - np.linalg.solve(
        -found.drift, cell_law(program, 0 * currents, true_card(WIRED), extracted(program)).drive
    )
    np.testing.assert_allclose(
        volts * program.scaling / program.volts_per_unit, np.linalg.solve(layout_matrix(program), b), rtol=1e-9
    )


def test_parasitic_capacitances_slow_the_way():
    # Without what the extracted netlist's parasitic capacitances are not charged to at the start: offsets, input voltages, drops.
    heavy = WIRED.replace(
        wires__segment_capacitance=2e-13,
        wires__crosspoint_capacitance=1e-13,
        wires__segment_resistance=1.0,
        opamp__offset=0.0,
        opamp__gain=1e6,
        dac__capacitance=0.0,
    )
    program, currents, start, space = circuit(heavy, 8, 2, layout=True)
    without = {f"wires__{name}_capacitance": 0.0 for name in ("segment", "crosspoint", "input")}
    bare, *_ = circuit(heavy.replace(**without), 8, 2, layout=True)
    card = true_card(heavy)
    laws = [cell_law(item, currents, card, extracted(item)) for item in (program, bare)]
    found, ignorant = misses(space, program, start, 0.3, *laws)
    assert found < 3e-6
    assert ignorant > 50 * found
    assert misses(space, program, start, math.inf, laws[1])[0] < 1e-9


def test_noise_of_the_extracted_netlist():
    technology = WIRED.replace(thermal__to_hot=1e-3, thermal__hot_temperature=400.0)
    program, currents, _, space = circuit(technology, 5, 2, layout=True)
    truth, card = space.covariance(), true_card(technology)
    wired, plain = (
        covariance(cell_law(program, currents, card, one(program)), program) for one in (extracted, schematic)
    )
    np.testing.assert_allclose(wired, truth, rtol=0, atol=2e-3 * np.abs(truth).max())
    assert np.abs(plain - truth).max() > 5e-3 * np.abs(truth).max()
    # At one temperature Nyquist's theorem is exact.
    program, currents, _, space = circuit(WIRED.replace(thermal__to_hot=0.0), 5, 2, layout=True)
    law_alone = covariance(cell_law(program, currents, true_card(WIRED), extracted(program)), program)
    np.testing.assert_allclose(law_alone, space.covariance(), rtol=0, atol=2e-4 * np.abs(truth).max())


@settings(max_examples=20)
@given(n=st.integers(1, 7), seed=st.integers(0, 1000))
def test_without_a_layout_to_speak_of_it_is_the_schematic(n, seed):
    none = preset("ideal")
    program = lay_out(spd(n, 20.0, seed), "crossbar", none.replace(wires__segment_resistance=1e-9))
    plain, wired = schematic(program), extracted(program)
    for name in (
        "conductance",
        "load",
        "drive",
        "capacitance",
        "current_noise",
        "coupled_capacitance",
        "load_capacitance",
    ):
        a, b = getattr(plain, name), getattr(wired, name)
        np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-9 * (np.abs(a).max() or 1.0))


@pytest.mark.parametrize("seed", [11, 12])
def test_held_out_arrays_agree_with_ngspice_on_the_extracted_netlist(seed):
    technology = preset("integrated").replace(wires__segment_resistance=20.0, **BARE)
    a, b = spd(5, 15.0, seed), torch.tensor(np.random.default_rng(seed).standard_normal(5))
    system, card = Dense(torch.tensor(a)), true_card(technology)
    for duration in (2.0, math.inf):
        spice = SpiceDevice(technology, 3, "crossbar", johnson_noise=False, layout=True).solve(system, b, duration).x
        twin, plain = (SurrogateDevice(card, 3, layout=wired).solve(system, b, duration).x for wired in (True, False))
        # Left: the rails' mismatch, 1 %, in second order.
        assert float((twin - spice).norm()) < 1e-3 * float(spice.norm())
        assert float((plain - spice).norm()) > 10 * float((twin - spice).norm())


def test_only_arrays_have_a_layout():
    with pytest.raises(InputError, match=r"layout=True with fabric 'auto'.*use fabric='crossbar'"):
        SpiceDevice(EVEN, layout=True)
    with pytest.raises(InputError, match=r"layout=True with fabric 'dual_rail'"):
        SurrogateDevice(true_card(EVEN, "dual_rail"), layout=True)


# The second pole


@pytest.mark.parametrize("second_pole", [math.inf, 1.5e9, 2e8])
@pytest.mark.parametrize("duration", DURATIONS)
def test_the_amplifiers_own_states_are_not_missed(second_pole, duration):
    technology = EVEN.replace(opamp__second_pole=second_pole)
    program, currents, start, space = circuit(technology, 8, 2, amplifier=Macromodel(technology.opamp))
    card = true_card(technology, pole=1 / (2 * math.pi * second_pole))
    found = cell_law(program, currents, card)
    # Negative control: without the delay, what is left is of first order in the amplifiers' time constants.
    (reduced,) = misses(space, program, start, duration, found)
    assert reduced < 2e-6
    if duration <= 1.0:
        assert misses(space, program, start, duration, found._replace(delay=0 * found.delay))[0] > 50 * reduced


def test_a_second_pole_is_seen_and_is_the_right_one():
    technology = EVEN.replace(opamp__gbw=1e8, opamp__second_pole=3e7)
    program, currents, start, space = circuit(technology, 6, 2, amplifier=Macromodel(technology.opamp))
    poles = [factor / (2 * math.pi * 3e7) for factor in (1.0, 0.0, 0.5, 2.0)]
    laws = [cell_law(program, currents, true_card(technology, pole=pole)) for pole in poles]
    right, *wrong = misses(space, program, start, 1.0, *laws)
    assert right < 1e-4
    assert min(wrong) > 3 * right
    truth = space.covariance()
    right, *wrong = (np.abs(covariance(one, program) - truth).max() / np.abs(truth).max() for one in laws)
    assert right < 1e-3
    assert min(wrong) > 3 * right


@pytest.mark.slow
def test_a_second_pole_in_ngspice_and_in_the_surrogate():
    # Amplifiers that clamp at their rails may end at another level, where offsets would weigh differently.
    technology = EVEN.replace(
        opamp__gbw=1e8, opamp__second_pole=3e7, opamp__offset=0.0, dac__offset=0.0, adc__offset=0.0, **BARE
    )
    system = Dense(torch.tensor(spd(4, 10.0, 5)))
    b = torch.tensor([1.0, -0.4, 0.3, 0.7], dtype=torch.float64)
    board = SpiceDevice(technology, 3, "crossbar", johnson_noise=False, amplifier=Macromodel(technology.opamp))
    spice = board.solve(system, b, 0.5).x
    cards = [true_card(technology, pole=pole) for pole in (1 / (2 * math.pi * 3e7), 0.0)]
    twin, plain = (SurrogateDevice(card, 3).solve(system, b, 0.5).x for card in cards)
    assert float((twin - spice).norm()) < 3e-4 * float(spice.norm())
    assert float((plain - spice).norm()) > 3 * float((twin - spice).norm())


@pytest.mark.parametrize("second_pole", [math.inf, 2e8])
def test_noise_is_that_of_amplifiers_with_their_own_states(second_pole):
    technology = EVEN.replace(opamp__second_pole=second_pole)
    program, currents, _, space = circuit(technology, 6, 2, amplifier=Macromodel(technology.opamp))
    card, truth = true_card(technology, pole=1 / (2 * math.pi * second_pole)), space.covariance()
    found = cell_law(program, currents, card)
    np.testing.assert_allclose(covariance(found, program), truth, rtol=0, atol=1e-5 * np.abs(truth).max())
    # Negative control: white noise into the slowed cells alone, as if the amplifiers heard nothing.
    slow = np.linalg.inv(np.diag(program.behaviour.capacitance) + card.lag.value * np.diag(program.behaviour.load))
    plain = found._replace(diffusion=slow @ program.behaviour.noise @ slow.T)
    assert np.abs(covariance(plain, program) - truth).max() > 1e-4 * np.abs(truth).max()
