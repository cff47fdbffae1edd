"""Thermal noise: the laws of the currents themselves, then of node voltages in ngspice."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.constants import k

from thermograd.circuits.errors import InputError
from thermograd.circuits.linear.johnson import NoiseCurrents, johnson_currents
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.analyses import Noise, Transient
from thermograd.circuits.netlist.elements import Capacitor, Inductor, Resistor
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.pool import POOL
from thermograd.circuits.ngspice.run import run

from ..networks import integrators, one_rc, random_rc, random_spd

KT = k * 300.15


@pytest.mark.parametrize("h_rate", [0.05, 1.0, 3.0])
def test_currents_of_passive_rc_have_the_corrected_covariance(h_rate):
    """Q = (2kT/h)(G + (h/2) G C^-1 G)."""
    rc = random_rc(7, 1, spread=1.0)
    h = h_rate / rc.rates[-1]
    currents = johnson_currents(rc.netlist, h)
    assert currents.nodes == tuple(rc.nodes)
    expected = 2 * KT / h * (rc.G + h / 2 * rc.G @ np.diag(1 / rc.C) @ rc.G)
    np.testing.assert_allclose(currents.factor @ currents.factor.T, expected, rtol=0, atol=1e-9 * expected.max())
    assert currents.bias < 1e-9


def stationary(F, B, Q, h, rounds=60):
    """Stationary covariance of the trapezoidal recursion, by doubling the pair (state, last noise) many times."""
    n, m = B.shape
    M = np.linalg.inv(np.eye(n) - h / 2 * F)
    step = np.block([[M @ (np.eye(n) + h / 2 * F), h / 2 * M @ B], [np.zeros((m, n + m))]])
    fresh = np.vstack([h / 2 * M @ B, np.eye(m)])
    P = fresh @ Q @ fresh.T
    for _ in range(rounds):
        P, step = P + step @ P @ step.T, step @ step
    return P[:n, :n]


@pytest.mark.parametrize("gbw", [None, 1e7], ids=["ideal", "pole"])
@pytest.mark.parametrize("h", [1e-9, 1e-7])
def test_trapezoidal_rule_keeps_the_covariance_of_op_amp_circuits(gbw, h):
    """At any step: every state is a charge at some node, so the currents can correct all of them."""
    A, b = random_spd(3, 2)
    netlist = integrators(A, b, gain=1e5, gbw=gbw)
    space = state_space(netlist, {f"x{i}": (f"x{i}", "0") for i in range(3)})
    currents = johnson_currents(netlist, h)
    Q = currents.factor @ currents.factor.T
    found = space.H @ stationary(space.F, space.Bn, Q, h) @ space.H.T
    exact = space.covariance()
    assert np.linalg.norm(found - exact) < 1e-6 * np.linalg.norm(exact)
    assert currents.bias < 1e-6


def tank():
    """LC tank of 5 MHz: the inductor's current is a state that no node current can correct."""
    netlist = Netlist("tank")
    netlist.add(Inductor("L1", "a", "0", 1e-6), Capacitor("C1", "a", "0", 1e-9), Resistor("R1", "a", "0", 1e3))
    return netlist


@pytest.mark.parametrize("phase", [0.05, 0.2])
def test_bias_of_an_oscillator_is_what_the_recursion_gives(phase):
    h = phase * np.sqrt(1e-15)
    space, currents = state_space(tank(), {}), johnson_currents(tank(), h)
    Q = currents.factor @ currents.factor.T
    found, exact = stationary(space.F, space.Bn, Q, h), space.state_covariance()
    assert currents.bias == pytest.approx(np.linalg.norm(found - exact) / np.linalg.norm(exact), rel=1e-6)
    # Cov(phi) goes with 1 / (1 + (omega h)^2 / 4) and Cov(v) the other way; the least squares shares the difference out
    assert phase**2 / 16 < currents.bias < phase**2 / 4


def test_too_long_a_step_is_rejected_and_the_one_named_works():
    with pytest.raises(InputError, match="use step <= ") as error:
        johnson_currents(tank(), 1e-7)
    step = float(str(error.value).split("use step <= ")[1].split()[0])
    assert 1e-9 < step < 1e-7
    assert johnson_currents(tank(), 0.99 * step).bias <= 0.02


def test_sampling_is_seeded_and_starts_at_zero():
    rc = random_rc(3, 3)
    currents = johnson_currents(rc.netlist, 1e-8)
    first = currents.sample(20_000, 7)
    np.testing.assert_array_equal(first, currents.sample(20_000, 7))
    assert not np.array_equal(first, currents.sample(20_000, 8))
    assert not first[0].any()
    Q = currents.factor @ currents.factor.T
    # sample covariance: standard error at most sqrt(2 / N) of the geometric mean of the variances; 5 of them
    limit = 5 * np.sqrt(2 / 20_000) * np.sqrt(np.outer(np.diag(Q), np.diag(Q)))
    assert np.all(np.abs(first.T @ first / 20_000 - Q) < limit)


def test_silent_hot_and_unstable_circuits():
    quiet = Netlist("quiet")
    quiet.add(Resistor("R1", "a", "0", 1e3, noisy=False), Capacitor("C1", "a", "0", 1e-9))
    with pytest.raises(InputError, match="no noisy resistor"):
        johnson_currents(quiet, 1e-8)
    hot = Netlist("hot")
    hot.add(Resistor("R1", "a", "0", 1e3, temperature=600.3), Capacitor("C1", "a", "0", 1e-9))
    cold = Netlist("cold")
    cold.add(Resistor("R1", "a", "0", 1e3), Capacitor("C1", "a", "0", 1e-9))
    ratio = johnson_currents(hot, 1e-7).factor / johnson_currents(cold, 1e-7).factor
    np.testing.assert_allclose(np.abs(ratio), np.sqrt(2.0))
    with pytest.raises(InputError, match="stable"):
        johnson_currents(integrators(np.array([[-1.0]]), np.array([1.0])), 1e-8)
    for step in (0.0, -1.0, np.nan):
        with pytest.raises(InputError, match="noise step"):
            johnson_currents(cold, step)
    with pytest.raises(InputError, match="factor"):
        NoiseCurrents(("a",), np.zeros((2, 2)), 1e-8)


@pytest.mark.parametrize("n", [3, 17], ids=["one noise source", "two noise sources"])
def test_ngspice_follows_the_trapezoidal_recursion(n):
    """Sample by sample against the recursion in numpy, started from ngspice's second row (its first step is split)."""
    rc = random_rc(n, 4, volts=1e-6)
    h, steps = 0.5 / rc.rates[-1], 200
    result = run(rc.netlist, Transient(steps * h, step=h, noise=True), seed=5)
    np.testing.assert_allclose(result.time, np.arange(1, steps + 1) * h, rtol=1e-12)
    found = np.column_stack([result.voltages[node] for node in rc.nodes])
    drive = rc.current + johnson_currents(rc.netlist, h).sample(steps + 1, 5)  # row j is t = j h
    left, right = np.diag(rc.C) / h + rc.G / 2, np.diag(rc.C) / h - rc.G / 2
    v = found[1]
    for row in range(2, steps):
        v = np.linalg.solve(left, right @ v + (drive[row] + drive[row + 1]) / 2)
        np.testing.assert_allclose(found[row], v, rtol=0, atol=1e-7 * np.abs(found).max())


def covariance_error(rc, step, steps, seed, currents=None):
    """Relative Frobenius distance of the sampled covariance of the node voltages from kT C^-1."""
    result = run(rc.netlist, Transient(steps * step, step=step, noise=True), seed=seed, timeout=500, currents=currents)
    burn_in = int(np.ceil(10 / (rc.rates[0] * step)))
    settled = np.linalg.solve(rc.G, rc.current)
    v = np.column_stack([result.voltages[node] for node in rc.nodes])[burn_in:] - settled
    found, exact = v.T @ v / len(v), KT * np.diag(1 / rc.C)
    return np.linalg.norm(found - exact) / np.linalg.norm(exact)


def expected_error(rc, step, steps):
    """Root mean square of `covariance_error` that sampling alone causes.

    For a Gaussian process with covariance R(t) at lag t, cov(S_ij, S_ij) of N correlated samples is
    (1/N) sum over lags of [R_ii R_jj + R_ij^2]. Summed over i, j: tr(R)^2 + tr(R R). In the modes of
    C^-1/2 G C^-1/2 = V diag(lambda) V^T,  R(t) = kT C^-1/2 V exp(-lambda |t|) V^T C^-1/2, so with
    W = V^T C^-1 V both traces are sums over pairs of modes, and the sum over lags of
    exp(-(lambda_a + lambda_b) |t|) is coth((lambda_a + lambda_b) h / 2). For equal rates 1/tau and small h this is
    (n + 1) tau / T for the squared relative error.
    """
    root = np.sqrt(rc.C)
    rates, V = np.linalg.eigh(rc.G / np.outer(root, root))
    W = V.T @ np.diag(1 / rc.C) @ V
    lags = 1 / np.tanh((rates[:, None] + rates) * step / 2)
    weight = np.outer(np.diag(W), np.diag(W)) + W**2
    return np.sqrt((lags * weight).sum() / steps / (1 / rc.C**2).sum())


def network():
    """The random network of both tests below, and the longest step at which no mode of it overshoots."""
    rc = random_rc(8, 6, spread=0.3, coupled=2.0)
    return rc, 2 / rc.rates[-1]


@pytest.mark.slow
def test_node_voltages_of_passive_rc_have_covariance_kt_over_c():
    """n = 8, within 3 %; the run is so long that 3 % is more than three standard errors."""
    rc, h = network()
    steps = 110_000
    assert 3 * expected_error(rc, h, steps) < 0.03
    assert covariance_error(rc, h, steps, seed=11) < 0.03


def test_independent_noise_at_each_node_is_rejected():
    """Negative control: the right variance 2kT G_ii / h at each node, but independent, fails by ten standard errors."""
    rc, h = network()
    steps = 8_000
    deviation = expected_error(rc, h, steps)
    assert covariance_error(rc, h, steps, seed=11) < 4 * deviation
    independent = NoiseCurrents(tuple(rc.nodes), np.diag(np.sqrt(2 * KT * np.diag(rc.G) / h)), h)
    assert covariance_error(rc, h, steps, seed=11, currents=independent) > 0.03 + 10 * deviation


def test_noise_is_bit_identical_in_two_processes():
    rc = random_rc(8, 7)
    analysis = Transient(500e-8, step=1e-8, noise=True)
    first = run(rc.netlist, analysis, seed=3)
    before = POOL.pids()
    POOL.close()
    second = run(rc.netlist, analysis, seed=3)
    assert not set(POOL.pids()) & set(before)
    for node in rc.nodes:
        np.testing.assert_array_equal(first.voltages[node], second.voltages[node])
    other = run(rc.netlist, analysis, seed=4)
    assert not np.array_equal(first.voltages["n00"], other.voltages["n00"])


def test_small_signal_noise_of_one_rc_is_kt_over_c():
    netlist = one_rc(ac=1.0)
    corner = 1 / (2 * np.pi * 1e-6)
    result = run(netlist, Noise("out", "V1", corner * 1e-4, corner * 1e4))
    assert result.total**2 == pytest.approx(KT / 1e-9, rel=5e-3)
    np.testing.assert_allclose(result.density[0], np.sqrt(4 * KT * 1e3), rtol=1e-6)
    assert len(result.frequency) == len(result.density)
    differential = run(netlist, Noise(("out", "in"), "V1", corner * 1e-4, corner * 1e4))
    assert differential.total == pytest.approx(result.total, rel=1e-9)


def test_temperature_and_noisy_reach_small_signal_noise():
    """A resistor's own temperature and its silence must survive the text (ngspice 39 ignores ``temp=`` here)."""
    for resistor, expected in (
        (Resistor("R2", "a", "0", 1e3, temperature=600.3), np.sqrt(4 * k * 600.3 * 1e3)),
        (Resistor("R2", "a", "0", 1e3, noisy=False), 0.0),
    ):
        netlist = one_rc(ac=1.0)
        netlist.add(resistor, Capacitor("C9", "a", "0", 1e-15))
        density = run(netlist, Noise("a", "V1", 1.0, 1e3)).density
        np.testing.assert_allclose(density, expected, rtol=1e-6, atol=1e-13)
