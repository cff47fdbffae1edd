"""The two fabrics: what is wired to what, and the laws of the circuit that comes out."""

import numpy as np
import pytest
from scipy.linalg import solve_continuous_lyapunov

from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.elements import Capacitor, CurrentSource, Resistor
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix, lay_out
from thermograd.compiler.fabrics.base import couplings, rails

from ...systems import passive, spd

BOLTZMANN = 1.380649e-23
IDEAL = preset("ideal")
NOISY = IDEAL.replace(thermal__johnson_noise=True)
MIXED = [[2.0, -0.5, 0.3], [-0.5, 1.0, 0.0], [0.3, 0.0, 1.5]]


def wires(netlist):
    """(set of both ends) -> conductance in mS, of every resistor."""
    return {frozenset((part.a, part.b)): 1e3 / part.resistance for part in netlist.of(Resistor)}


def outputs(n):
    return {f"x{i + 1}": rails(i) for i in range(n)}


def covariance(program):
    """Stationary covariance (V^2) of the solution voltages, from the netlist's own state space."""
    zero = np.zeros(program.size)
    return state_space(program.circuit(zero, zero), outputs(program.size)).covariance()


def test_dual_rail_joins_like_rails_for_negative_entries_and_opposite_ones_for_positive():
    # All rows alike, so the scaling is 1; the largest conductance (1 mS) is the one to ground, 2 - 0.5 - 0.5.
    netlist = compile_matrix([[2.0, -0.5, 0.5], [-0.5, 2.0, -0.5], [0.5, -0.5, 2.0]], "dual_rail").netlist()
    expected = {
        ("p1", "p2"): 0.5,
        ("m1", "m2"): 0.5,
        ("p2", "p3"): 0.5,
        ("m2", "m3"): 0.5,
        ("p1", "m3"): 0.5,
        ("m1", "p3"): 0.5,
    }
    expected |= {(f"{rail}{k}", "0"): 1.0 for rail in "pm" for k in (1, 2, 3)}
    found = wires(netlist)
    assert found.keys() == {frozenset(pair) for pair in expected}
    for pair, conductance in expected.items():
        assert found[frozenset(pair)] == pytest.approx(conductance, rel=1e-9)


def test_crossbar_feeds_the_like_input_for_positive_entries_and_the_other_for_negative():
    netlist = compile_matrix(MIXED, "crossbar").netlist()
    expected = {("p1", "ep1"): 1.0, ("p2", "em1"): 0.25, ("p3", "ep1"): 0.15, ("p1", "em2"): 0.25, ("p2", "ep2"): 0.5}
    expected |= {
        ("p1", "ep3"): 0.15,
        ("p3", "ep3"): 0.75,
        ("bm1", "ep1"): 1.0,
        ("bm2", "ep2"): 1.0,
        ("bm3", "ep3"): 1.0,
    }
    mirror = str.maketrans("pm", "mp")
    expected |= {tuple(node.translate(mirror) for node in pair): value for pair, value in expected.items()}
    found = wires(netlist)
    assert found.keys() == {frozenset(pair) for pair in expected}
    for pair, conductance in expected.items():
        assert found[frozenset(pair)] == pytest.approx(conductance, rel=1e-9)


def test_absent_entries_make_no_part():
    assert len(compile_matrix(np.diag([1.0, 2.0, 3.0]), "dual_rail").netlist().of(Resistor)) == 6
    assert len(compile_matrix(np.diag([1.0, 2.0, 3.0]), "crossbar").netlist().of(Resistor)) == 12
    assert len(list(couplings(compile_matrix(MIXED, "crossbar").parts))) == 2 * 7


def test_dual_rail_sources_inject_half_the_current_into_each_rail():
    program = compile_matrix(MIXED, "dual_rail")
    netlist = program.circuit(np.array([2e-3, 0, -4e-3]), np.zeros(3))
    injected = {part.b: part.dc for part in netlist.of(CurrentSource)}
    assert (injected["p1"], injected["m1"], injected["p3"], injected["m3"]) == (1e-3, -1e-3, -2e-3, 2e-3)


@pytest.mark.parametrize("fabric", ["dual_rail", "crossbar"])
def test_capacitors_start_at_the_given_state(fabric):
    technology = IDEAL.replace(opamp__gain=1e3, opamp__gbw=1e8, opamp__offset=1e-3)
    program = lay_out(passive(4, 0.2, 3), fabric, technology).on(Die(technology, 5))
    state = np.array([0.1, -0.2, 0.3, 0.0])
    space = state_space(program.circuit(np.zeros(4), state), outputs(4))
    np.testing.assert_allclose(space.H @ space.initial, state, atol=1e-12)


@pytest.mark.parametrize("fabric", ["dual_rail", "crossbar"])
def test_x_relaxes_by_the_unscaled_problems_law(fabric):
    a = passive(6, 0.2, 4)
    program = compile_matrix(a, fabric)
    b, x0 = np.arange(6.0) - 2, np.linspace(1, -1, 6)
    values, vectors = np.linalg.eigh(a)
    space = state_space(program.netlist(b, x0), outputs(6))
    for t in (0.1, 1.0, 4.0):
        x = vectors @ (np.exp(-values * t) * (vectors.T @ x0) + -np.expm1(-values * t) / values * (vectors.T @ b))
        seen = space.transition(t * program.tau) * program.scaling / program.volts_per_unit
        # The netlist writes 1e8 for an infinite gain: |A^-1 D| / 1e8 is some 1e-6.
        np.testing.assert_allclose(seen, x, atol=5e-6 * np.abs(x).max())


def test_dual_rail_noise_is_twice_ktc_whatever_the_matrix():
    program = compile_matrix(passive(5, 0.2, 6), "dual_rail", NOISY)
    capacitance = np.array([program.netlist()[f"C{i}p"].capacitance for i in range(1, 6)])
    expected = np.diag(2 * BOLTZMANN * 300.15 / capacitance)
    np.testing.assert_allclose(covariance(program), expected, atol=1e-9 * expected.max())


def test_crossbar_noise_solves_its_lyapunov_equation():
    a = spd(5, 20.0, 7)
    program = compile_matrix(a, "crossbar", NOISY)
    scaled = a / np.abs(a).max()  # conductances in units of 1 mS
    d = np.diag(np.abs(scaled).sum(axis=1) + 1.0)
    expected = solve_continuous_lyapunov(scaled, 4 * BOLTZMANN * 300.15 / 1e-9 * d)
    np.testing.assert_allclose(covariance(program), expected, atol=1e-5 * np.abs(expected).max())


def test_crossbar_noise_is_neither_ktc_nor_independent_of_the_row_sums():
    a = spd(5, 20.0, 7)
    found = covariance(compile_matrix(a, "crossbar", NOISY))
    scaled = a / np.abs(a).max()
    wrong = solve_continuous_lyapunov(scaled, 4 * BOLTZMANN * 300.15 / 1e-9 * np.eye(5))
    assert np.linalg.norm(found - wrong) > 0.3 * np.linalg.norm(found)
    assert np.linalg.norm(found - 2 * BOLTZMANN * 300.15 / 1e-9 * np.eye(5)) > 0.3 * np.linalg.norm(found)


@pytest.mark.parametrize("fabric", ["dual_rail", "crossbar"])
def test_a_hotter_die_is_noisier_in_proportion(fabric):
    a = passive(4, 0.2, 8)
    cold, hot = (compile_matrix(a, fabric, NOISY.replace(thermal__ambient=t)) for t in (300.0, 330.0))
    np.testing.assert_allclose(covariance(hot), 1.1 * covariance(cold), rtol=1e-6, atol=1e-6 * covariance(hot).max())


@pytest.mark.parametrize("fabric", ["dual_rail", "crossbar"])
@pytest.mark.parametrize("quantity", ["drift", "noise"])
def test_the_first_order_law_of_a_die_is_wrong_only_in_second_order(fabric, quantity):
    # Rails of unequal parts couple differential and common mode: both ways, hence mismatch squared.
    a = passive(5, 0.2, 9)

    def error(tolerance):
        technology = NOISY.replace(
            resistors__tolerance=tolerance,
            capacitors__tolerance=tolerance,
            thermal__to_hot=1e-3,
            thermal__hot_temperature=400.0,
        )
        program = lay_out(a, fabric, technology).on(Die(technology, 11))
        law = program.behaviour
        drift = -law.conductance / law.capacitance[:, None]
        if quantity == "noise":
            diffusion = law.noise / np.outer(law.capacitance, law.capacitance)
            wanted, found = solve_continuous_lyapunov(drift, -diffusion), covariance(program)
        else:
            current = np.linspace(-1e-3, 1e-3, 5)
            wanted = np.linalg.solve(law.conductance, law.drive * current)
            found = state_space(program.circuit(current, np.zeros(5)), outputs(5)).equilibrium()
        return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))

    coarse, fine = error(0.08), error(0.02)
    assert coarse < 0.08
    # Four times less mismatch: 16 times less error, against 4 for a law that is wrong in first order.
    assert coarse / fine > 10


def test_the_gradient_of_temperature_reaches_the_parts():
    technology = NOISY.replace(thermal__to_hot=1e-2, thermal__hot_temperature=400.0, resistors__tc1=1e-3)
    program = lay_out(passive(8, 0.2, 10), "crossbar", technology).on(Die(technology, None))
    left, right = program.parts.coupling_temperature[:, 0], program.parts.coupling_temperature[:, -1]
    assert (left > right + 5).all()
    nominal = lay_out(passive(8, 0.2, 10), "crossbar", technology).parts.coupling
    np.testing.assert_allclose(
        nominal[0] / program.parts.coupling[0], 1 + 1e-3 * (program.parts.coupling_temperature - 300.15)
    )
    resistor = program.netlist()["R3_1p"]
    assert resistor.temperature == pytest.approx(program.parts.coupling_temperature[2, 0])


@pytest.mark.parametrize("fabric", ["dual_rail", "crossbar"])
def test_the_parts_of_a_die_scatter_by_the_tolerances(fabric):
    technology = IDEAL.replace(resistors__tolerance=0.01, capacitors__tolerance=0.02, opamp__offset=1e-3)
    n = 60
    nominal = lay_out(passive(n, 0.2, 12), fabric, technology)
    parts = nominal.on(Die(technology, 3)).parts
    upper = np.broadcast_to(np.triu(np.ones((n, n), dtype=bool), 1), (2, n, n))
    for found, expected, count in (
        (np.log(parts.coupling[upper] / nominal.parts.coupling[upper]), 0.01, n * (n - 1)),
        (np.log(parts.capacitance / nominal.parts.capacitance).ravel(), 0.02, 2 * n),
        (parts.offset, 1e-3, n),
    ):
        # The standard deviation of m normal draws has relative error 1 / sqrt(2 m); four of them.
        assert found.std() == pytest.approx(expected, rel=4 / np.sqrt(2 * count))


def test_a_passive_coupling_is_one_part_and_a_crosspoint_is_not():
    technology = IDEAL.replace(resistors__tolerance=0.05)
    for fabric, same in (("dual_rail", True), ("crossbar", False)):
        coupling = lay_out(passive(4, 0.2, 13), fabric, technology).on(Die(technology, 1)).parts.coupling
        assert np.allclose(coupling, coupling.transpose(0, 2, 1), rtol=1e-12) == same
        assert not np.allclose(coupling[0], coupling[1], rtol=1e-6)


def test_a_die_keeps_its_crosspoints_when_the_problem_shrinks():
    technology = IDEAL.replace(resistors__tolerance=0.05)
    die = Die(technology, 1)
    small, large = (lay_out(np.eye(n) + 0.1, "crossbar", technology).on(die).parts.coupling for n in (3, 7))
    np.testing.assert_allclose(small, large[:, :3, :3], rtol=1e-12)


def test_capacitances_grow_with_the_square_of_the_scaling():
    a = np.array([[1.0, -0.9], [-0.9, 4.0]])
    program = compile_matrix(a, "dual_rail")
    found = [program.netlist().of(Capacitor)[k].capacitance for k in (0, 2)]
    np.testing.assert_allclose(found, 1e-9 * program.scaling**2)
    assert program.scaling[1] < 1
