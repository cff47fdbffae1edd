"""Linear laws of the oscillator fabrics against the state space of the emitted netlist, parts of each rail unequal."""

import dataclasses

import numpy as np
import pytest
from scipy.constants import Boltzmann
from scipy.linalg import expm, solve_continuous_lyapunov

from thermograd.circuits.errors import UnrealisableError
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix, compile_system
from thermograd.compiler.fabrics.registry import fabric_named, fabric_names

from ...systems import kronecker, passive

TECHNOLOGY = preset("integrated")
FABRICS = ["lc", "lc signed", "spu"]


def unequal(program, seed, kelvin=True):
    """The program with every part off by some percent, and resistors at temperatures of their own."""
    chance, parts = np.random.default_rng(seed), program.parts
    off = {name: values * np.exp(0.05 * chance.standard_normal(values.shape)) for name, values in parts.rail_values()}
    if kelvin:
        off["ground_temperature"] = chance.uniform(250.0, 500.0, parts.size)
    return dataclasses.replace(program, parts=dataclasses.replace(parts, **off))


def stationary(law):
    """Covariance of the states, solved for in units in which they are alike."""
    unit = np.where(np.diag(law.johnson) > 0, 1.0, 1e-6)
    drift, noise = law.drift * unit / unit[:, None], law.johnson / np.outer(unit, unit)
    return np.outer(unit, unit) * solve_continuous_lyapunov(drift, -noise)


def programs(fabric):
    a = passive(4, 0.3, 3)
    if fabric != "lc signed":
        a = 2 * np.diag(np.diag(a)) - np.abs(a)
    return unequal(compile_matrix(a, fabric.split()[0], TECHNOLOGY), 5)


@pytest.mark.parametrize("fabric", FABRICS)
def test_a_law_moves_as_the_netlist_does(fabric):
    program = programs(fabric)
    law = program.fabric.linear_law(program.parts, program.technology)
    chance = np.random.default_rng(1)
    n, kept = program.size, law.start.shape[1]
    # Velocities are as large as positions where both have the same energy.
    unit = np.sqrt(program.technology.inductors.unit / program.technology.capacitors.unit)
    state = chance.standard_normal(kept) * np.repeat([1.0, unit if fabric != "spu" else 1.0], n)
    currents = chance.standard_normal(n) / (1.0 if fabric != "spu" else unit)
    space = state_space(program.circuit(currents, state), {str(k): pair for k, pair in enumerate(program.readouts)})
    assert kept == program.fabric.states * n
    np.testing.assert_allclose(law.kept @ law.start, np.eye(kept), atol=1e-12)
    for tau in (0.0, 0.3, 2.0, 11.0):
        whole = np.zeros((law.order + 1, law.order + 1))
        whole[:-1, :-1], whole[:-1, -1] = law.drift, law.drive @ currents
        moved = (expm(whole * tau * program.tau) @ np.append(law.start @ state, 1.0))[:-1]
        found = space.transition(tau * program.tau, space.initial)
        np.testing.assert_allclose(law.read @ moved, found, atol=1e-9 * np.abs(found).max())


@pytest.mark.parametrize("fabric", FABRICS)
def test_its_noise_is_the_netlist_s_with_every_resistor_at_its_own_temperature(fabric):
    program = programs(fabric)
    law = program.fabric.linear_law(program.parts, program.technology)
    outputs = {str(k): pair for k, pair in enumerate(program.readouts)}
    expected = state_space(program.netlist(), outputs).covariance()
    found = law.read @ stationary(law) @ law.read.T
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())
    one = dataclasses.replace(program.parts, ground_temperature=np.full(4, 300.15))
    equal = program.fabric.linear_law(one, program.technology)
    wrong = law.read @ stationary(equal) @ law.read.T
    assert np.abs(wrong - expected).max() > 0.05 * np.abs(expected).max()


@pytest.mark.parametrize("q", [0.1, 1.0, 10.0])
def test_equipartition_of_lc_holds_whatever_the_damping(q):
    program = programs("lc")
    parts = dataclasses.replace(program.parts, ground_temperature=np.full(4, 310.0), shunt=program.parts.shunt / q)
    law = program.fabric.linear_law(parts, program.technology)
    covariance, kt = stationary(law), Boltzmann * 310.0
    np.testing.assert_allclose(covariance[:4, :4], kt * np.linalg.inv(parts.node_matrix()), rtol=1e-6)
    np.testing.assert_allclose(
        covariance[4:, 4:], kt * np.diag(1 / parts.storage[0]), atol=1e-6 * kt / parts.storage.min()
    )
    rest = -np.linalg.solve(law.drift, law.drive)
    np.testing.assert_allclose(rest[:4], np.linalg.inv(parts.node_matrix()), rtol=1e-9)


def test_noise_of_an_oscillator_of_equal_loads_is_no_equipartition():
    """2 (k T / C) (L A^-1 + 1 + gamma^2 A^-1) / gamma for the difference of two rails, conductances in units of the link's."""
    ring = np.array([[1.0, -0.4, 0.1, -0.4], [-0.4, 1.0, -0.4, 0.1], [0.1, -0.4, 1.0, -0.4], [-0.4, 0.1, -0.4, 1.0]])
    program = compile_matrix(ring, "oscillator", preset("ideal"))
    parts, technology = program.parts, program.technology
    law, link = program.fabric.linear_law(parts, technology), parts.link.mean()
    found = law.read @ solve_continuous_lyapunov(law.drift, -law.johnson) @ law.read.T
    gamma, load, inverse = parts.friction.mean() / link, parts.row_load.mean() / link, np.linalg.inv(program.matrix)
    size = 2 * Boltzmann * technology.thermal.ambient / technology.capacitors.unit
    expected = size * ((load + gamma**2) * inverse + np.eye(4)) / gamma
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    shape = inverse * np.trace(found) / np.trace(inverse)
    assert np.abs(shape - found).max() > 0.05 * found.max()


def test_a_fabric_without_one_says_where_its_law_is():
    program = compile_matrix(np.eye(2), "crossbar")
    with pytest.raises(UnrealisableError, match=r"behaviour\(parts\)"):
        program.fabric.linear_law(program.parts, program.technology)


@pytest.mark.parametrize("name", fabric_names("has_linear_law"))
def test_a_fabric_says_what_its_law_has(name):
    given = kronecker(np.eye(1), np.eye(2) - 0.1, 0.5) if fabric_named(name).takes_factors else np.eye(2) - 0.1
    program = compile_system(given, name, TECHNOLOGY)
    law = program.fabric.linear_law(program.parts, program.technology)
    assert tuple(one.kind for one in law.slow) == program.fabric.slow_inputs
    assert law.kept.shape == (2 * program.fabric.states, law.order) == law.start.T.shape
    np.testing.assert_allclose(law.read @ law.start, np.eye(2, len(law.kept)), atol=1e-12)
    np.testing.assert_allclose(law.kept @ law.start, np.eye(len(law.kept)), atol=1e-12)
    assert law.is_finite
