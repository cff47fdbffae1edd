"""The law of arrays with each rail's own parts, against the state space of the netlist, which shares no formula with it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.linear.noise_spectra import noise_covariance
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.parts import OpAmp
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.analysis.rest_noise import rest_noise
from thermograd.compiler.compile import compile_matrix, lay_out
from thermograd.compiler.fabrics.array_dynamics import ArrayDynamics

from ...systems import drawn, passive, spd

CASES = {"crossbar": "integrated", "crossbar_single": "breadboard", "dual_rail": "breadboard"}
MODELLED = ("outputs", "gain", "gbw", "second_pole", "output_limit")
NOISY = ("noise_voltage", "noise_voltage_corner", "noise_current", "noise_current_corner")


def netlist_of(program, b=None, figures=MODELLED):
    """With the amplifiers that the law has: gain, bandwidth and second pole."""
    opamp = OpAmp(**{name: getattr(program.technology.opamp, name) for name in figures})
    cell = Macromodel(opamp) if program.fabric.active else None
    return program.netlist(b, amplifier=cell).linearised()


def program_of(fabric: str, condition: float, n: int = 5, **changes):
    fabric, _, amplifiers = fabric.partition(" ")
    matrix = passive(n, 0.3, 1) if fabric == "dual_rail" else spd(n, condition, 1)
    technology = preset(CASES[fabric]).replace(**changes)
    return compile_matrix(matrix, fabric, drawn(technology) if amplifiers else technology, b=np.ones(n))


@pytest.mark.parametrize("fabric", [*CASES, "crossbar drawn", "crossbar_single drawn"])
def test_the_circuit_at_rest_is_that_of_the_netlist(fabric: str) -> None:
    """Exactly; the mean of the rails, which misses products of deviations, is off a thousand times more."""
    program, b = program_of(fabric, 100.0), np.ones(5)
    for seed in range(8):
        die = program.on(Die(program.technology, seed))
        rest = die.fabric.at_rest(die.parts, die.technology)
        space = state_space(netlist_of(die, b), {str(k): pair for k, pair in enumerate(die.readouts)})
        wanted = space.equilibrium()
        found = np.linalg.solve(rest.matrix, rest.drive * die.currents(b) + rest.offset)
        np.testing.assert_allclose(found, wanted, rtol=1e-9)
        if die.parts.rails == 2:
            mean = die.fabric.realised(die.parts, die.technology)
            rough = np.linalg.solve(mean, die.fabric.drive(die.parts) * die.currents(b) + rest.offset)
            assert np.abs(rough - wanted).max() > 1e-6 * np.abs(wanted).max()


@pytest.mark.parametrize("fabric", ["crossbar", "crossbar_single", "crossbar drawn", "crossbar_single drawn"])
def test_natural_frequencies_are_those_of_the_netlist(fabric: str) -> None:
    program = program_of(fabric, 100.0, opamp__second_pole=2e9 if "single" not in fabric else 1e7)
    for seed in range(3):
        die = program.on(Die(program.technology, seed))
        wanted = state_space(netlist_of(die), {}).eigenvalues
        found = ArrayDynamics.of(die.parts, die.technology).modes()
        assert len(found) == len(wanted)
        distance = np.abs(found[:, None] - wanted).min(axis=0) / np.abs(wanted)
        assert distance.max() < 1e-6


@settings(max_examples=60)
@given(
    n=st.integers(1, 6),
    seed=st.integers(0, 10**4),
    condition=st.floats(1.0, 1e4),
    speed=st.floats(0.5, 1e3),
    second=st.floats(0.1, 30.0),
    two_poles=st.booleans(),
    rails=st.integers(1, 2),
)
def test_growing_modes_are_those_of_the_netlist(n, seed, condition, speed, second, two_poles, rails) -> None:
    """Of dies with tolerances of 2 %, and amplifiers from far too slow to fast."""
    technology = preset("ideal").replace(
        opamp__outputs=rails,
        opamp__gain=2e3,
        opamp__gbw=speed / 1e-6 / (2 * np.pi),
        opamp__second_pole=second * speed / 1e-6 / (2 * np.pi) if two_poles else np.inf,
        resistors__tolerance=0.02,
        capacitors__tolerance=0.02,
    )
    program = lay_out(spd(n, condition, seed), "crossbar" if rails == 2 else "crossbar_single", technology)
    die = program.on(Die(technology, seed))
    values = state_space(netlist_of(die), {}).eigenvalues
    # One that is zero to rounding is neither.
    if abs(values[0].real) > 1e-9 * np.abs(values).max():
        assert die.grows() == (values[0].real > 0)


def test_bandwidth_decides_where_the_first_order_law_sees_nothing() -> None:
    """Inverters whose second pole is far below their gain-bandwidth product ring: the first-order law calls it stable."""
    technology = preset("ideal").replace(opamp__outputs=1, opamp__gain=1e4, opamp__gbw=8e5, opamp__second_pole=4e4)
    program = lay_out([[2.0, -1.9], [-1.9, 2.0]], "crossbar_single", technology)
    assert not state_space(netlist_of(program), {}).is_stable
    assert program.grows()
    assert program.is_stable()


@pytest.mark.parametrize("fabric", CASES)
def test_noise_at_rest_is_that_of_the_netlist(fabric: str) -> None:
    """To the 1/f sections' ripple. Without the amplifiers' it is far too small."""
    program = program_of(fabric, 10.0, 3)
    wanted = np.diag(noise_covariance(netlist_of(program, None, MODELLED + NOISY), program.readouts))
    johnson, amplifiers = rest_noise(program)
    np.testing.assert_allclose(johnson + amplifiers, wanted, rtol=0.01)
    assert not program.fabric.active or (johnson < wanted / 3).all()


def test_one_cell_reads_the_noise_of_its_amplifier() -> None:
    """(L + s C) e_n up to the gain-bandwidth product: 5 nV/sqrt(Hz) at 500 MHz is 146 uV, its resistors' noise 40.6 uV."""
    program = compile_matrix([[1.0]], "crossbar", "integrated")
    johnson, amplifiers = rest_noise(program)
    assert 1e6 * np.sqrt(johnson[0]) == pytest.approx(40.6, rel=0.01)
    assert 1e6 * np.sqrt(johnson[0] + amplifiers[0]) == pytest.approx(146.0, rel=0.01)
    narrow = compile_matrix([[1.0]], "crossbar", program.technology.replace(adc__bandwidth=1.6e7))
    assert sum(rest_noise(narrow))[0] < sum(rest_noise(program))[0] / 4
