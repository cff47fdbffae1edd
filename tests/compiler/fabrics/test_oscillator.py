"""What the compiler makes of a matrix as coupled oscillators: friction, series resistors, scaling, and what is left at rest."""

import dataclasses

import numpy as np
import pytest
from scipy.linalg import expm, solve_continuous_lyapunov

from thermograd.circuits.errors import InputError, UnrealisableError
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix, compile_system, lay_out
from thermograd.compiler.fabrics.oscillator import Oscillator
from thermograd.compiler.fabrics.registry import registered_fabric
from thermograd.compiler.programming import CellTable

from ...systems import kronecker, spd

IDEAL = preset("ideal")
# Amplifiers of the preset on parts of any value.
FINITE = IDEAL.replace(opamp__gain=2000.0, opamp__gbw=5e8, resistors__unit=1e4, capacitors__unit=1e-11)


def slowest(program) -> float:
    """Rate of the mode that decays last, 1/tau, of the emitted netlist."""
    return -float(state_space(program.netlist(), {}).eigenvalues.real.max()) * program.tau


def at_rest(program, b) -> np.ndarray:
    """x of the emitted netlist at rest."""
    space = state_space(program.netlist(b), {f"x{k}": pair for k, pair in enumerate(program.readouts)})
    return space.equilibrium() * program.readout_scale / program.volts_per_unit


def without_friction_of_gain(program):
    """The friction that an infinite gain would need."""
    needed = Oscillator().place(program.target, program.scaling, program.technology.replace(opamp__gain=np.inf))[0]
    return dataclasses.replace(program, parts=dataclasses.replace(program.parts, friction=needed.friction))


def test_the_friction_that_finite_gain_adds_is_left_out_of_the_resistors():
    """Of condition 10,000: critical friction within some percent; programmed in full, the slowest mode is over-damped."""
    program = lay_out(spd(6, 1e4, 2) / 1e4, "oscillator", FINITE)
    wanted = np.sqrt(1e-4)
    assert slowest(program) == pytest.approx(wanted, rel=0.05)
    over = slowest(without_friction_of_gain(program))
    assert over < 0.9 * wanted
    # (L + h C_v / C) / A0 for each, L with the friction in it.
    parts, leak = program.parts, 1 / 2000.0
    added = leak * (parts.row_load + parts.link)
    whole = 2 * wanted * np.sqrt(program.conductance_unit * parts.link[0, 0])
    np.testing.assert_allclose(parts.friction + added, whole, rtol=1e-12)


def test_where_finite_gain_makes_all_the_friction_there_is_no_resistor_and_the_reason_says_so():
    a = spd(6, 1e4, 2) / 1e4
    technology = FINITE.replace(opamp__gain=100.0)
    program = compile_matrix(a, "oscillator", technology)
    assert (program.parts.friction == 0).all()
    assert "in 6 of 6 cells, which have no friction resistor" in program.reason
    assert not [part for part in program.netlist() if part.name.startswith("RD")]
    assert "friction" not in compile_matrix(a, "oscillator", IDEAL).reason


@pytest.mark.parametrize(("scale", "code"), [(1.0, 255), (1e-2, 51), (1e-8, 1)])
def test_friction_is_a_code_from_the_smallest_to_the_largest(scale, code):
    """2 sqrt(lambda) of one unit resistor: 2, 0.2 and 2e-4 of it."""
    a = np.diag([scale, 1.0])
    technology = IDEAL.replace(resistors__bits=8)
    program = lay_out(a, "oscillator", technology)
    np.testing.assert_allclose(program.parts.friction, code / 255e3)
    remarks = program.fabric.remarks(program.parts, technology)
    assert any("friction ends at one unit resistor" in each for each in remarks) == (code == 255)


def test_codes_by_measured_cells_keep_the_friction_of_their_unit():
    """Cells of half the nominal conductance halve the unit: tau grows by the root of 2, and friction goes with it, as a code."""
    technology = IDEAL.replace(resistors__bits=12)
    a = spd(3, 100.0, 1) / 100
    plain, table = (
        lay_out(a, "oscillator", technology),
        CellTable(np.full((1, 3, 3), 0.5, dtype="f4"), 0.0, 0, 0.0, 0, 0, 0),
    )
    cells = lay_out(a, "oscillator", technology, cells=table)
    assert cells.conductance_unit == pytest.approx(plain.conductance_unit / 2)
    gammas = [program.parts.friction[0, 0] / np.sqrt(program.conductance_unit * 1e-3) for program in (plain, cells)]
    assert gammas == pytest.approx([0.2, 0.2], rel=2e-3)
    np.testing.assert_allclose(np.round(cells.parts.friction * 4095e3), cells.parts.friction * 4095e3, rtol=1e-9)


@pytest.mark.parametrize("share", [0.25, 4.0])
def test_a_bound_that_is_not_the_eigenvalue_costs_time(share):
    """Too small a friction: Re = sqrt(bound). Too large a one: 2 sqrt(bound) splits into a slow and a fast root."""
    a = spd(5, 100.0, 1) / 100
    program = compile_matrix(a, "oscillator", IDEAL, floor=share * 0.01)
    half = np.sqrt(share) * 0.1
    expected = half if share < 1 else half - np.sqrt(half**2 - 0.01)
    assert slowest(program) == pytest.approx(expected, rel=1e-3)
    assert program.settling_time == pytest.approx(program.tau / expected, rel=1e-3)
    assert slowest(compile_matrix(a, "oscillator", IDEAL, floor=0.01)) == pytest.approx(0.1, rel=1e-3)


def test_a_floor_is_a_number_that_is_not_negative_and_none_means_the_eigenvalue():
    a = spd(3, 10.0, 1)
    exact = lay_out(a, "oscillator", IDEAL).parts.friction
    for same in (0.0, 1.0):  # nothing known; the eigenvalue itself
        np.testing.assert_allclose(lay_out(a, "oscillator", IDEAL, floor=same).parts.friction, exact, rtol=1e-9)
    system = kronecker(np.eye(2), a, 0.0)
    np.testing.assert_allclose(
        compile_system(system, "oscillator", floor=4.0).parts.friction,
        2 * compile_system(system, "oscillator").parts.friction,
    )
    for floor in (-1.0, np.nan, "1"):
        with pytest.raises(InputError, match="floor is a lower bound of the smallest eigenvalue"):
            lay_out(a, "oscillator", IDEAL, floor=floor)


def test_unknowns_of_any_scale_follow_the_path_of_the_unscaled_problem():
    """x'' + gamma x' + A x = b, from x(0) and x'(0) = 0, whatever the scaling d."""
    a = spd(4, 30.0, 5) * np.outer([1.0, 0.3, 3.0, 1.0], [1.0, 0.3, 3.0, 1.0])
    b, x0 = np.array([1.0, -0.5, 2.0, 0.3]), np.array([0.2, 0.1, -0.1, 0.4])
    program = compile_matrix(a, "oscillator", IDEAL, b=b, equilibrate=True)
    assert np.ptp(program.scaling) > 0.3
    gamma = 2 * np.sqrt(np.linalg.eigvalsh(a)[0])
    flow = np.block([[np.zeros((4, 4)), np.eye(4)], [-a, -gamma * np.eye(4)]])
    rest = np.concatenate([np.linalg.solve(a, b), np.zeros(4)])
    space = state_space(program.netlist(b, x0), {f"x{k}": pair for k, pair in enumerate(program.readouts)})
    for t in (0.1, 1.0, 5.0):
        x = (rest + expm(flow * t) @ (np.concatenate([x0, np.zeros(4)]) - rest))[:4]
        seen = space.transition(t * program.tau) * program.scaling / program.volts_per_unit
        np.testing.assert_allclose(seen, x, atol=2e-6 * np.abs(x).max())


@pytest.mark.parametrize("gain", [300.0, 3000.0])
def test_finite_gain_stiffens_by_the_friction_and_hardly_by_the_load(gain):
    """K + (Gamma + L / A0) / A0; a crossbar's is L / A0, A0 L / (A0 Gamma + L) times as large."""
    a, b = spd(5, 30.0, 3) / 30, np.ones(5)
    program = compile_matrix(a, "oscillator", IDEAL.replace(opamp__gain=gain), b=b)
    parts, x = program.parts, np.linalg.solve(a, b)
    stiffer = (parts.friction[0] + parts.row_load[0] / gain) / gain / program.conductance_unit
    np.testing.assert_allclose(at_rest(program, b), np.linalg.solve(a + np.diag(stiffer), b), rtol=1e-9)
    exact = program.fabric.without_leak(parts, 1 / gain)
    np.testing.assert_allclose(at_rest(dataclasses.replace(program, parts=exact), b), x, rtol=1e-9)
    error = np.linalg.norm(at_rest(program, b) - x)
    crossbar = compile_matrix(a, "crossbar", program.technology, b=b)
    assert np.linalg.norm(at_rest(crossbar, b) - x) > 5 * error > 0


def test_offsets_at_rest_are_those_of_the_load_and_of_the_friction():
    """K v = L Vos + Gamma Vos', with ideal gain; a position amplifier alone is off by Gamma / L times as much."""
    program = compile_matrix(spd(4, 100.0, 4) / 100, "oscillator", IDEAL)
    parts, v = program.parts, np.array([1e-3, -2e-3, 5e-4, 1.5e-3])
    for field, conductance in (("offset", parts.row_load[0]), ("position_offset", parts.friction[0])):
        shifted = dataclasses.replace(program, parts=dataclasses.replace(parts, **{field: v}))
        wanted = np.linalg.solve(parts.matrix(), conductance * v) / program.volts_per_unit
        np.testing.assert_allclose(at_rest(shifted, np.zeros(4)), wanted, rtol=1e-5)
    assert parts.friction.max() < parts.row_load.min() / 5


def test_the_series_resistor_is_two_over_the_unity_gain_frequency():
    """64 ohm in `integrated`; with infinite bandwidth there is none, nor in the other construction."""
    a = spd(3, 10.0, 1)
    integrated = compile_matrix(a, "oscillator", "integrated")
    np.testing.assert_allclose(integrated.parts.series, 63.66, rtol=1e-4)
    assert not compile_matrix(a, "oscillator", IDEAL).parts.series.any()
    with registered_fabric(Oscillator(compensated=False)) as bare:
        program = compile_matrix(a, bare.name, "integrated")
        assert not [part for part in program.netlist() if part.name.startswith("RZ")]
        assert not program.parts.series.any()


def test_row_loads_are_an_inertia_that_slows_the_slowest_mode():
    """1 + L / (w C), with L = 13.4 of w C = 62.8 unit resistors; friction is that of none, so that the mode swings a little."""
    program = lay_out(0.05 * np.eye(12) + 0.95, "oscillator", FINITE.replace(opamp__gain=np.inf, opamp__gbw=1e8))
    load = program.parts.row_load[0] / program.parts.link[0, 0]
    np.testing.assert_allclose(load, 12 * 0.95 + 0.05 + 1 + 2 * np.sqrt(0.05), rtol=1e-9)
    inertia = 1 + load[0] / (2 * np.pi * 1e8 * 1e-7)
    assert slowest(program) == pytest.approx(np.sqrt(0.05) / inertia, rel=0.02)
    assert slowest(program) < 0.85 * np.sqrt(0.05)


def test_a_matrix_of_unit_diagonal_is_stable_with_the_series_resistors_alone():
    """omega_t tau = 314, lambda 0.022 and 83: bare, the fastest mode grows."""
    a = 0.022 * np.eye(85) + 0.978
    technology = preset("integrated").replace(resistors__bits=None)
    program = lay_out(a, "oscillator", technology, floor=0.022)
    assert program.is_stable()
    bare = dataclasses.replace(program, parts=dataclasses.replace(program.parts, series=0 * program.parts.series))
    assert not bare.is_stable()
    with registered_fabric(Oscillator(compensated=False)) as fabric, pytest.raises(UnrealisableError, match="too slow"):
        compile_matrix(a, fabric.name, technology, check=False)


def test_a_die_has_the_crosspoints_of_a_crossbar_on_it():
    # Whose heat is not felt: there are twice as many.
    technology = preset("integrated").replace(opamp__power=0.0)
    oscillator, crossbar = (
        lay_out(spd(4, 10.0, 1), name, technology).on(Die(technology, 7)).parts for name in ("oscillator", "crossbar")
    )
    for field in ("coupling", "capacitance", "offset"):
        np.testing.assert_array_equal(getattr(oscillator, field), getattr(crossbar, field))
    assert not np.array_equal(oscillator.offset, oscillator.position_offset)
    assert not np.allclose(oscillator.link[0], oscillator.link[1])


def test_auto_weighs_oscillators_against_the_array_that_it_takes():
    """The figures of the reason, against the netlists' slowest modes and the stationary covariances of both laws."""
    a = spd(8, 300.0, 2) / 300
    program = compile_matrix(a, "auto", IDEAL)
    other = compile_matrix(a, "oscillator", IDEAL)
    assert program.fabric_name == "crossbar"
    said = program.reason.split("oscillator would be within 1e-3 after ")[1]
    time, resistors, amplifiers, noise, margin = (
        float(word) for word in said.replace(",", "").split() if word.replace(".", "").isdigit()
    )
    ratio = 9.234 * slowest(program) / (6.908 * slowest(other)) * other.tau / program.tau
    assert time == pytest.approx(ratio, rel=0.06)
    assert (resistors, amplifiers, margin) == (1.2, 2.0, 1.0)
    law, first = other.fabric.linear_law(other.parts, IDEAL), program.behaviour
    seen = law.read @ solve_continuous_lyapunov(law.drift, -law.johnson) @ law.read.T
    rates = first.conductance / first.capacitance[:, None]
    small = solve_continuous_lyapunov(rates, first.noise / np.outer(first.capacitance, first.capacitance))
    assert noise == pytest.approx(np.trace(seen) / np.trace(small), rel=0.15)
    slow = FINITE.replace(opamp__gbw=1e7, opamp__second_pole=1e6)
    assert "oscillator would be unstable with these amplifiers" in compile_matrix(a, "auto", slow).reason
    assert "oscillator" not in compile_matrix(a, "auto", "breadboard").reason
