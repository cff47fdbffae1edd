"""State-space extraction against equations written down here, and against ngspice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.constants import k
from scipy.linalg import expm

from thermograd.circuits.errors import InputError, NetlistError
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.analyses import OperatingPoint, Transient
from thermograd.circuits.netlist.elements import CCVS, VCVS, Capacitor, CurrentSource, Inductor, Resistor, VoltageSource
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run import run

from ..networks import C0, R0, differential_array, integrators, one_rc, random_rc, random_spd


@given(n=st.integers(1, 10), seed=st.integers(0, 2**32 - 1), spread=st.floats(0.0, 3.0), volts=st.floats(1e-9, 1e3))
@settings(max_examples=50)
def test_equilibrium_of_random_rc_solves_its_conductance_matrix(n, seed, spread, volts):
    rc = random_rc(n, seed, spread=spread, volts=volts)
    exact = np.linalg.solve(rc.G, rc.current)
    # numpy's own solve is good to about eps * condition
    tolerance = 1e-14 * np.linalg.cond(rc.G)
    np.testing.assert_allclose(
        state_space(rc.netlist).equilibrium(), exact, rtol=0, atol=tolerance * np.abs(exact).max()
    )


def test_transition_of_random_rc_is_the_matrix_exponential():
    rc = random_rc(6, 1, spread=1.5)
    space = state_space(rc.netlist)
    F = -rc.G / rc.C[:, None]
    settled = np.linalg.solve(rc.G, rc.current)
    for time in (0.0, 1e-8, 1e-6, 1e-4):
        exact = settled - expm(F * time) @ settled
        np.testing.assert_allclose(space.transition(time), exact, rtol=0, atol=1e-12 * np.abs(settled).max())
    times = np.array([0.0, 1e-8, 1e-6])
    np.testing.assert_allclose(space.transition(times)[1], space.transition(1e-8), rtol=1e-13)
    np.testing.assert_allclose(np.sort(-space.eigenvalues.real), rc.rates, rtol=1e-10)
    assert space.is_stable


def test_transition_falls_back_to_the_matrix_exponential_for_a_defective_circuit():
    """Two equal buffered RC stages: F is a Jordan block, so it has no basis of eigenvectors."""
    netlist = one_rc()
    netlist.add(
        VCVS("E1", "b", "0", "out", "0", 1.0), Resistor("R2", "b", "end", 1e3), Capacitor("C2", "end", "0", 1e-9)
    )
    space = state_space(netlist, {"end": ("end", "0")})
    s = np.array([0.1, 1.0, 5.0])
    np.testing.assert_allclose(space.transition(s * 1e-6)[:, 0], 1 - (1 + s) * np.exp(-s), rtol=1e-10)


def test_random_rc_against_ngspice():
    rc = random_rc(8, 2, volts=1e-3, spread=1.0)
    space = state_space(rc.netlist)
    point = run(rc.netlist, OperatingPoint())
    np.testing.assert_allclose(list(point.voltages.values()), space.equilibrium(), rtol=1e-11)
    slow = 1 / rc.rates[0]
    curve = run(rc.netlist, Transient(30 * slow))
    exact = space.transition(curve.time)
    for node, column in zip(space.outputs, exact.T, strict=True):
        assert np.abs(curve.voltages[node] - column).max() < 1e-5 * np.abs(column).max()
        assert abs(curve.voltages[node][-1] / space.equilibrium()[space.outputs.index(node)] - 1) < 1e-9


@pytest.mark.parametrize(("gain", "gbw"), [(1e9, None), (1e5, 1e7), (1e9, 1e8)], ids=["ideal", "pole", "fast pole"])
@pytest.mark.parametrize("volts", [1.0, 1e-6])
def test_op_amp_integrators_against_ngspice(gain, gbw, volts):
    A, b = random_spd(5, 3)
    netlist = integrators(A, b, gain=gain, gbw=gbw, volts=volts)
    names = [f"x{i}" for i in range(5)]
    space = state_space(netlist, {name: (name, "0") for name in names})
    assert space.is_stable
    np.testing.assert_allclose(space.equilibrium(), volts * np.linalg.solve(A, b), rtol=100 * 2 / gain)
    point = run(netlist, OperatingPoint(nodes=names))
    np.testing.assert_allclose([point.voltages[name] for name in names], space.equilibrium(), rtol=1e-9)
    slow = -1 / space.eigenvalues[0].real
    curve = run(netlist, Transient(30 * slow, nodes=names))
    found = np.column_stack([curve.voltages[name] for name in names])
    exact = space.transition(curve.time)
    assert np.abs(found - exact).max() < 1e-5 * np.abs(exact).max()
    np.testing.assert_allclose(found[-1], space.equilibrium(), rtol=1e-6)


def test_ideal_integrators_follow_their_matrix():
    """tau x' = -A x + b with tau = R0 C0, and A S + S A^T = 2 (kT/C) D with D = diag(sum_j |A_ij|)."""
    A, b = random_spd(4, 5)
    A[0, 1] *= 0.7  # a matrix that is not symmetric: the covariance is then not a function of A alone
    netlist = integrators(A, b)
    space = state_space(netlist, {f"x{i}": (f"x{i}", "0") for i in range(4)})
    np.testing.assert_allclose(
        np.sort(-space.eigenvalues.real), np.sort(np.linalg.eigvals(A).real) / (R0 * C0), rtol=1e-7
    )
    time = 0.7 * R0 * C0
    exact = (np.eye(4) - expm(-0.7 * A)) @ np.linalg.solve(A, b)
    np.testing.assert_allclose(space.transition(time), exact, rtol=1e-6)
    S = space.covariance()
    D = np.diag(np.abs(A).sum(axis=1))
    np.testing.assert_allclose(A @ S + S @ A.T, 2 * k * netlist.temperature / C0 * D, rtol=1e-6, atol=1e-6 * S.max())
    # Negative control: with D left out the law fails by far more than the tolerance.
    assert np.abs(A @ S + S @ A.T - 2 * k * netlist.temperature / C0 * np.eye(4)).max() > 0.1 * S.max()


def test_covariance_of_passive_rc_is_kt_over_c():
    rc = random_rc(6, 4)
    expected = k * rc.netlist.temperature * np.diag(1 / rc.C)
    np.testing.assert_allclose(state_space(rc.netlist).covariance(), expected, rtol=1e-9, atol=1e-9 * expected.max())


def test_covariance_with_a_temperature_gradient():
    """Two nodes at different temperatures: the Lyapunov equation written out here with each resistor's own kT."""
    netlist = Netlist("gradient")
    netlist.add(
        Resistor("R1", "a", "0", 1e3, temperature=600.0),
        Resistor("R2", "b", "0", 2e3, temperature=300.0),
        Resistor("R3", "a", "b", 3e3),
        Resistor("R4", "a", "0", 5e3, noisy=False),
        Capacitor("C1", "a", "0", 1e-9),
        Capacitor("C2", "b", "0", 2e-9),
    )
    ga, gb, gab, quiet = 1 / 1e3, 1 / 2e3, 1 / 3e3, 1 / 5e3
    G = np.array([[ga + gab + quiet, -gab], [-gab, gb + gab]])
    inverse_C = np.diag([1e9, 0.5e9])
    hot = netlist.temperature * gab
    density = 2 * k * np.array([[600 * ga + hot, -hot], [-hot, 300 * gb + hot]])
    F, Q = -inverse_C @ G, inverse_C @ density @ inverse_C
    kron = np.kron(F, np.eye(2)) + np.kron(np.eye(2), F)
    expected = np.linalg.solve(kron, -Q.ravel()).reshape(2, 2)
    np.testing.assert_allclose(state_space(netlist).covariance(), expected, rtol=1e-10)


def lc_oscillators():
    """Two LC cells coupled by an inductor, damped by resistors."""
    netlist = Netlist("LC")
    netlist.add(
        Inductor("L1", "a", "0", 1e-6),
        Inductor("L2", "b", "0", 2e-6),
        Inductor("L3", "a", "c", 3e-6),
        Resistor("R3", "c", "b", 1.0, noisy=False),
        Resistor("R1", "a", "0", 1e3),
        Resistor("R2", "b", "0", 2e3),
        Capacitor("C1", "a", "0", 1e-9, initial=1.0),
        Capacitor("C2", "b", "0", 2e-9),
    )
    return netlist


def test_lc_oscillators_against_ngspice_and_equipartition():
    netlist = lc_oscillators()
    space = state_space(netlist)
    period = 2 * np.pi / np.abs(space.eigenvalues.imag).max()
    curve = run(netlist, Transient(5 * period, step=period / 500, nodes=["a", "b"]))
    exact = space.transition(curve.time)
    for node in ("a", "b"):
        # trapezoidal phase error: (omega h)^2 / 12 of a radian per radian, 5 periods
        column = exact[:, space.outputs.index(node)]
        limit = 2 * (2 * np.pi / 500) ** 2 / 12 * 5 * 2 * np.pi
        assert np.abs(curve.voltages[node] - column).max() < limit
    netlist = Netlist("tank")
    netlist.add(Inductor("L1", "a", "0", 1e-6), Capacitor("C1", "a", "0", 1e-9), Resistor("R1", "a", "0", 1e3))
    np.testing.assert_allclose(state_space(netlist).covariance(), [[k * 300.15 / 1e-9]], rtol=1e-9)


def test_sources_move_the_equilibrium_linearly():
    netlist = one_rc()
    netlist.add(
        CurrentSource("I1", "0", "out", 1e-3), Capacitor("C2", "in", "0", 1e-9), Capacitor("C3", "in", "out", 1e-9)
    )
    space = state_space(netlist, {"y": ("out", "in")})
    assert space.sources == ("V1", "I1")
    assert space.noise_nodes == ("out",)
    np.testing.assert_allclose(space.equilibrium(), [1.0])
    np.testing.assert_allclose(space.equilibrium({"I1": 0.0}), [0.0], atol=1e-15)
    np.testing.assert_allclose(space.equilibrium([5.0, 2e-3]), [2.0])
    # C2 and C3 hang on the voltage source: only C1 + C3 at the node count
    np.testing.assert_allclose(space.eigenvalues, [-1 / (1e3 * 2e-9)])


def test_states_from_voltages_and_initial_values():
    space = state_space(one_rc(initial=0.25), {"out": ("out", "0")})
    np.testing.assert_allclose(space.transition(0.0), [0.25])
    x0 = space.state_from({"out": 0.5, "in": 1.0})
    np.testing.assert_allclose(space.transition([0.0, 1e-6], x0)[:, 0], [0.5, 1 - 0.5 / np.e])
    with pytest.raises(InputError, match="no node 'zz'"):
        space.state_from({"zz": 1.0})
    with pytest.raises(InputError, match="1 states"):
        space.transition(0.0, [1.0, 2.0])
    with pytest.raises(InputError, match=">= 0 s"):
        space.transition(-1.0)


def test_a_resistive_circuit_has_no_states():
    netlist = Netlist("divider")
    netlist.add(VoltageSource("V1", "in", "0", 3.0), Resistor("R1", "in", "out", 1e3), Resistor("R2", "out", "0", 2e3))
    space = state_space(netlist)
    assert space.size == 0
    assert space.is_stable
    np.testing.assert_allclose(space.equilibrium(), [3.0, 2.0])
    np.testing.assert_allclose(space.transition([0.0, 1.0]), [[3.0, 2.0]] * 2)


def test_unstable_circuits_are_told():
    netlist = integrators(np.array([[-1.0]]), np.array([1.0]))
    space = state_space(netlist)
    assert not space.is_stable
    with pytest.raises(InputError, match="does not decay"):
        space.covariance()


def test_singular_and_high_index_circuits_are_rejected():
    loop = Netlist("E follows a capacitor, and carries one")
    loop.add(
        Resistor("R1", "a", "0", 1.0),
        Inductor("L1", "a", "b", 1.0),
        CurrentSource("I1", "0", "b", 1.0),
        Resistor("R2", "b", "c", 1.0),
        Inductor("L2", "c", "0", 1.0),
        Inductor("L3", "b", "d", 1.0),
        Resistor("R3", "d", "0", 1.0),
    )
    with pytest.raises(NetlistError, match="index 2"):
        state_space(without_resistor(loop))
    twin = one_rc()
    twin.add(VCVS("E1", "x", "0", "x", "0", 1.0), Resistor("R2", "x", "0", 1.0))
    with pytest.raises(NetlistError, match="gain 1"):
        state_space(twin)


def test_a_pure_integrator_ramps():
    """F is singular to nine digits here, and no formula may divide by it."""
    netlist = Netlist("ramp")
    netlist.add(
        VoltageSource("V1", "in", "0", 1.0),
        Resistor("R1", "in", "s", R0),
        Capacitor("C1", "s", "x", C0),
        VCVS("E1", "x", "0", "0", "s", 1e9),
    )
    space = state_space(netlist, {"x": ("x", "0")})
    times = np.array([0.0, 1.0, 10.0]) * R0 * C0
    np.testing.assert_allclose(space.transition(times)[:, 0], [0.0, -1.0, -10.0], rtol=1e-7, atol=1e-8)


def without_resistor(netlist):
    """b joins inductors and a current source only: a cutset, index 2."""
    other = Netlist(netlist.title)
    other.add(*(e for e in netlist if e.name != "R2"), Inductor("L9", "b", "c", 1.0))
    return other


def test_unknown_outputs_are_rejected():
    with pytest.raises(InputError, match="no node 'zz'"):
        state_space(one_rc(), {"y": ("zz", "0")})
    with pytest.raises(InputError, match="pair"):
        state_space(one_rc(), {"y": "out"})
    with pytest.raises(InputError, match="no source 'V7'"):
        state_space(one_rc()).equilibrium({"V7": 1.0})


@pytest.mark.slow
def test_a_large_array_is_extracted_and_settles_where_ngspice_says():
    netlist = differential_array(24)
    names = [f"{side}{i}" for side in ("xp", "xm") for i in range(24)]
    space = state_space(netlist, {name: (name, "0") for name in names})
    point = run(netlist, OperatingPoint(nodes=names))
    np.testing.assert_allclose([point.voltages[name] for name in names], space.equilibrium(), rtol=1e-7)


def test_a_slow_loop_that_only_noise_drives_is_no_conserved_one():
    """An inductor and a milliohm beside a fast node: kT/L of its own, however weak its noise looks against the other's."""
    netlist = Netlist("slow loop")
    netlist.add(Resistor("R1", "a", "0", 1e3), Capacitor("C1", "a", "0", 1e-12))
    netlist.add(Inductor("L1", "b", "c", 1.0), Resistor("R2", "c", "0", 1e-3), VoltageSource("V1", "b", "0", 0.0))
    netlist.add(CCVS("H1", "x", "0", "V1", 1.0))
    covariance = state_space(netlist, {"x": ("x", "0")}).covariance()
    assert covariance[0, 0] == pytest.approx(1.380649e-23 * 300.15 / 1.0, rel=1e-6)
