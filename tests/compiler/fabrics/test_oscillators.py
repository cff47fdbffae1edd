"""`lc` and `spu`: the inverse is in the fluctuations, whatever the damping is; and the mean flux is the solution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError, UnrealisableError
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.analyses import Transient
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix

from ...systems import passive

IDEAL = preset("ideal")


def m_matrix(n, seed, margin=0.4):
    signed = passive(n, margin, seed)
    return 2 * np.diag(np.diag(signed)) - np.abs(signed)


def decoded(program, netlist=None):
    space = state_space(netlist or program.netlist(), {f"x{i}": pair for i, pair in enumerate(program.readouts)})
    return program.decode_covariance(space.covariance())


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 6),
    seed=st.integers(0, 99),
    fabric=st.sampled_from(["lc", "spu", "lc signed"]),
    ohm=st.floats(50, 2e4),
)
def test_the_covariance_of_johnson_noise_is_the_inverse_whatever_the_damping(n, seed, fabric, ohm):
    a = passive(n, 0.4, seed) if "signed" in fabric else m_matrix(n, seed)
    if np.diag(a).min() <= 0:
        return
    name = fabric.split()[0]
    technology = IDEAL.replace(resistors__unit=ohm) if name == "spu" else IDEAL.replace(inductors__unit=1e-9 * ohm**2)
    program = compile_matrix(a, name, technology)
    found = decoded(program)
    np.testing.assert_allclose(found, np.linalg.inv(a), rtol=1e-6, atol=1e-7 * np.abs(np.linalg.inv(a)).max())


def test_a_hotter_circuit_and_a_wrong_temperature_are_distinguished():
    a = m_matrix(3, 5)
    hot = IDEAL.replace(thermal__ambient=400.0)
    program = compile_matrix(a, "spu", hot)
    np.testing.assert_allclose(decoded(program), np.linalg.inv(a), rtol=1e-6)
    space = state_space(program.netlist(), {f"x{i}": pair for i, pair in enumerate(program.readouts)})
    wrong = program.decode_covariance(space.covariance(), temperature=300.0)
    np.testing.assert_allclose(wrong, np.linalg.inv(a) * 4 / 3, rtol=1e-6)


def test_other_fabrics_do_not_carry_it():
    program = compile_matrix(m_matrix(3, 1), "rc")
    space = state_space(program.netlist(), {f"x{i}": pair for i, pair in enumerate(program.readouts)})
    np.testing.assert_allclose(
        space.covariance(), 1.380649e-23 * 300.15 * np.diag(1 / program.parts.storage[0]), rtol=1e-9, atol=1e-20
    )
    with pytest.raises(InputError, match="lc and spu do"):
        program.decode_covariance(np.eye(3))
    with pytest.raises(InputError, match=r"shape \(2, 2\)"):
        compile_matrix(m_matrix(3, 1), "spu").decode_covariance(np.eye(2))


@pytest.mark.parametrize("signed", [False, True])
def test_the_flux_settles_at_the_solution_in_ngspice(signed):
    a, b = (passive(4, 0.4, 2) if signed else m_matrix(4, 2)), np.array([1.0, -2.0, 0.0, 0.5])
    program = compile_matrix(a, "lc", b=b)
    result = run(program.netlist(b), program.analysis(), timeout=100)
    x = program.decode({node: values[-1] for node, values in result.voltages.items()})
    # twelve slow time constants: e^-12 = 6e-6 of the way is left
    assert np.linalg.norm(x - np.linalg.solve(a, b)) < 1e-4 * np.linalg.norm(x)
    assert program.parts.rails == (2 if signed else 1)


@pytest.mark.parametrize("ratio", [1e-1, 1e-2, 1e-4])
def test_a_mode_that_has_died_out_does_not_set_the_steps(ratio):
    """Of two cells one settles long before the other; rounding at its node must not stop the run."""
    program = compile_matrix(np.diag([1.0, ratio]), "lc", b=np.ones(2))
    result = run(program.netlist(np.ones(2)), program.analysis(), timeout=100)
    x = program.decode({node: values[-1] for node, values in result.voltages.items()})
    np.testing.assert_allclose(x, [1.0, 1 / ratio], rtol=1e-4)


def test_a_covariance_fabric_rejects_what_its_mean_does_not_hold():
    program = compile_matrix(m_matrix(2, 1), "spu")
    for rejected in (
        lambda: program.to_spice([1.0, 1.0]),
        lambda: program.netlist([1.0, 1.0]),
        lambda: program.decode({"p1": 1.0, "p2": 2.0}),
        lambda: compile_matrix(m_matrix(2, 1), "spu", b=[1.0, 1.0]),
    ):
        with pytest.raises(InputError, match=r"spu .*(decode_covariance|leave b out)"):
            rejected()


def test_the_spectrum_that_the_file_asks_for_is_an_entry_of_the_inverse():
    a = m_matrix(3, 4)
    program = compile_matrix(a, "spu")
    total = run(program.netlist(), program.analysis()).total
    covariance = np.zeros((3, 3))
    covariance[0, 0] = total**2
    assert program.decode_covariance(covariance)[0, 0] == pytest.approx(np.linalg.inv(a)[0, 0], rel=5e-3)


def test_oscillators_swing_at_the_roots_of_the_curvature():
    """phi'' + gamma phi' + u A phi / C = 0: the natural frequencies of the netlist, from a state-space model of it."""
    a = m_matrix(3, 7)
    program = compile_matrix(a, "lc")
    gamma = 1 / np.sqrt(IDEAL.inductors.unit * IDEAL.capacitors.unit)
    squares = program.conductance_unit * np.linalg.eigvalsh(a) / IDEAL.capacitors.unit
    expected = np.concatenate([np.roots([1.0, gamma, square]) for square in squares])
    found = state_space(program.netlist(), {}).eigenvalues
    np.testing.assert_allclose(np.sort(found.real), np.sort(expected.real), rtol=1e-6)
    np.testing.assert_allclose(np.sort(found.imag), np.sort(expected.imag), rtol=1e-6, atol=1e-6 * gamma)
    assert program.settling_time == pytest.approx(1 / -expected.real.max(), rel=1e-9)


@pytest.mark.slow
def test_ngspice_noise_of_an_spu_is_the_inverse_within_its_statistics():
    a = m_matrix(3, 9)
    program = compile_matrix(a, "spu")
    space = state_space(program.netlist(), {f"x{i}": pair for i, pair in enumerate(program.readouts)})
    fastest, slowest = np.abs(space.eigenvalues).max(), 1 / np.abs(space.eigenvalues.real).min()
    step, count = 0.08 / fastest, 150_000
    result = run(program.netlist(), Transient(count * step, step=step, noise=True), seed=4, timeout=300)
    volts = np.array([result.voltages[plus] for plus, _ in program.readouts])[:, int(10 * slowest / step) :]
    found = program.decode_covariance(volts @ volts.T / volts.shape[1])
    inverse = np.linalg.inv(a)
    # squared error (n + 1) tau / T for independent modes of equal decay; a swinging mode has half of that
    expected = np.sqrt((len(a) + 1) * slowest / (volts.shape[1] * step))
    error = np.linalg.norm(found - inverse) / np.linalg.norm(inverse)
    assert error < 3 * expected < 0.4
    assert np.linalg.norm(0.5 * found - inverse) / np.linalg.norm(inverse) > 3 * expected


def test_what_oscillators_reject():
    with pytest.raises(UnrealisableError, match="second rail"):
        compile_matrix([[2.0, 0.5], [0.5, 2.0]], "spu")
    for fabric in ("lc", "spu"):
        with pytest.raises(UnrealisableError, match="no first-order law"):
            _ = compile_matrix(m_matrix(2, 1), fabric).behaviour
