"""`SamplingLaw` against the circuit's state space, written out here: moments of Gaussian processes by Kronecker products and by sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm, solve_continuous_lyapunov

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.devicemodel.sampling import SamplingLaw

from ...systems import m_matrix

IDEAL = preset("ideal")


def voltages_law(program):
    """F and stationary covariance of (v, i), per k T = 1, and the factors from Cov(v) to A^-1; tau = 1."""
    tau, c, n = program.tau, program.parts.matrix().toarray(), program.size
    g, inductance = np.diag(program.parts.shunt[0]), np.diag(program.parts.storage[0])
    inverse = np.linalg.inv(c)
    f = np.block([[-inverse @ g, -inverse], [np.linalg.inv(inductance), np.zeros((n, n))]])
    q = np.zeros((2 * n, 2 * n))
    q[:n, :n] = 2 * inverse @ g @ inverse
    units = np.concatenate([np.ones(n), np.full(n, 1e3)])  # currents in mA, so that numbers are alike
    f, q = f * units[:, None] / units, q * np.outer(units, units)
    return (
        f * tau,
        solve_continuous_lyapunov(f, -q),
        program.conductance_unit * np.outer(program.scaling, program.scaling),
    )


def by_kronecker(program, b):
    """Variances of S' and of S' b over unit time, read continuously."""
    f, p, unit = voltages_law(program)
    n, eye = program.size, np.eye(len(f))
    # int_0^inf R_ij(t) R_kl(t) dt of R = H exp(F t) P H^T, and the same with t < 0
    both = -np.linalg.inv(np.kron(f, eye) + np.kron(eye, f)) @ np.kron(p[:, :n], p[:, :n])
    pairs = both.reshape(len(f), len(f), n, n)[:n, :n]
    return of_pairs(2 * pairs, unit, b)


def by_sums(program, b, interval):
    """The same of samples."""
    f, p, unit = voltages_law(program)
    n, step = program.size, expm(f * interval)
    slowest = -np.linalg.eigvals(f).real.max()
    lags = [p[:, :n]]
    for _ in range(int(10 / (slowest * interval)) + 1):
        lags.append(step @ lags[-1])
    flat = np.array(lags)[:, :n].reshape(len(lags), -1)
    flat[0] /= np.sqrt(2)
    pairs = 2 * (flat.T @ flat).reshape(n, n, n, n).swapaxes(1, 2)
    return of_pairs(interval * pairs, unit, b)


def of_pairs(pairs, unit, b):
    """Isserlis: <v_i v_j; v_k v_l> = R_ik R_jl + R_il R_jk, with R symmetric; pairs[i, k, j, l] is of R_ij R_kl."""
    inverse = np.einsum("ijij->ij", pairs) + np.einsum("ijji->ij", pairs)
    weights = np.einsum("k,l,ik,il->ikl", b, b, unit, unit)
    solution = np.einsum("ikil,ikl->i", pairs, weights) + np.einsum("ikli,ikl->i", pairs, weights)
    return np.sqrt(solution), unit * np.sqrt(inverse)


@settings(max_examples=10, deadline=None)
@given(n=st.integers(1, 4), seed=st.integers(0, 99), henry=st.floats(1e-5, 1.0), interval=st.sampled_from([0.0, 0.5]))
def test_it_is_that_of_the_state_space_over_and_underdamped(n, seed, henry, interval):
    program = lay_out(m_matrix(n, seed, 0.3), "spu", IDEAL.replace(inductors__unit=henry))
    b = np.random.default_rng(seed).standard_normal(n)
    if interval and henry / 1e3**2 > 5 * program.tau:
        return  # many lags to sum up
    solution, inverse = by_sums(program, b, interval) if interval else by_kronecker(program, b)
    law = SamplingLaw(program, interval)
    np.testing.assert_allclose(law.error_of_solution(b, 100.0), solution / 10, rtol=1e-5)
    np.testing.assert_allclose(law.error_of_inverse(100.0), inverse / 10, rtol=1e-5)
    assert np.diag(SamplingLaw(program).correlation_times()) == pytest.approx(np.linalg.eigvalsh(scaled(program)))


def scaled(program):
    return program.parts.matrix().toarray() / program.conductance_unit


def test_the_identity_takes_n_plus_1_times_the_time_of_one_product():
    program = lay_out(np.eye(5), "spu", IDEAL)
    assert SamplingLaw(program).relative_error(np.eye(5)[2], 600.0) == pytest.approx(0.1)
    assert SamplingLaw(program).duration_for(np.ones(5), 0.1) == pytest.approx(600.0)


def test_what_it_does_not_know_is_rejected():
    program = lay_out(np.eye(2), "spu", IDEAL)
    with pytest.raises(InputError, match="rc: its law of sampling is known for spu"):
        SamplingLaw(lay_out(np.eye(2), "rc", IDEAL))
    with pytest.raises(InputError, match="interval is -1"):
        SamplingLaw(program, -1.0)
    with pytest.raises(InputError, match=r"give .* or more, or 0"):
        SamplingLaw(program, 1e-6).correlation_times()
    with pytest.raises(InputError, match="duration is 0"):
        SamplingLaw(program).error_of_inverse(0)
    with pytest.raises(InputError, match="relative_error is 0"):
        SamplingLaw(program).duration_for([1.0, 1.0], 0)
