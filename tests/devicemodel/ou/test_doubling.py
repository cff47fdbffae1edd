"""The exact transition against quadrature of its own definition, and as the limit of small steps."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, linalg

from thermograd.devicemodel.ou.doubling import transition
from thermograd.devicemodel.ou.gaussian import sample

from ...systems import spd

SHEAR = np.array([[-1.0, 8.0], [0.0, -1.2]])
"""Stable, but far from normal: a start grows before it decays."""
UNEQUAL = np.diag([1.0, 5.0])


def drift_of(n, seed, kind):
    rng = np.random.default_rng([n, seed])
    if kind == "symmetric":
        return -spd(n, 100.0, seed)
    general = rng.standard_normal((n, n))
    if kind == "stable":
        return general - (np.linalg.eigvals(general).real.max() + 0.3) * np.eye(n)
    if kind == "singular":
        return -((rng.standard_normal((n, 1)) @ rng.standard_normal((1, n))) ** 2)
    return general  # unstable, as a rule


def law(F, u, t, Q=None):
    step = transition(torch.tensor(F), torch.tensor(u), t, None if Q is None else torch.tensor(Q))
    return step.propagator.numpy(), step.mean.numpy(), None if Q is None else step.covariance.numpy()


def by_quadrature(F, u, t, Q):
    """The definition: integrals of matrix exponentials."""
    mean = integrate.quad_vec(lambda s: linalg.expm(F * s) @ u, 0, t, epsrel=1e-11)[0]
    covariance = integrate.quad_vec(lambda s: linalg.expm(F * s) @ Q @ linalg.expm(F * s).T, 0, t, epsrel=1e-11)[0]
    return linalg.expm(F * t), mean, covariance


@settings(max_examples=25)
@given(
    n=st.integers(1, 5),
    seed=st.integers(0, 999),
    kind=st.sampled_from(["symmetric", "stable", "singular", "unstable"]),
    t=st.sampled_from([1e-6, 0.03, 1.0, 4.0]),
)
def test_transition_is_the_integral_of_its_definition(n, seed, kind, t):
    F, rng = drift_of(n, seed, kind), np.random.default_rng(seed)
    u, root = rng.standard_normal(n), rng.standard_normal((n, n))
    Q = root @ root.T
    for found, expected in zip(law(F, u, t, Q), by_quadrature(F, u, t, Q), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_shear_drift_with_unequal_noise_by_quadrature():
    for found, expected in zip(
        law(SHEAR, np.array([1.0, -2.0]), 2.0, UNEQUAL),
        by_quadrature(SHEAR, np.array([1.0, -2.0]), 2.0, UNEQUAL),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_small_euler_steps_converge_to_it_in_first_order():
    # The moments of the Euler-Maruyama scheme, exactly: m <- (1 + F h) m + u h, S <- (1 + F h) S (1 + F h)^T + Q h.
    u, t = np.array([0.5, -1.0]), 1.5
    _, mean, covariance = law(SHEAR, u, t, UNEQUAL)
    errors = []
    for steps in (2000, 4000, 8000):
        h, m, s = t / steps, np.zeros(2), np.zeros((2, 2))
        one = np.eye(2) + SHEAR * h
        for _ in range(steps):
            m, s = one @ m + u * h, one @ s @ one.T + UNEQUAL * h
        errors.append(
            [
                np.linalg.norm(m - mean) / np.linalg.norm(mean),
                np.linalg.norm(s - covariance) / np.linalg.norm(covariance),
            ]
        )
    assert np.max(errors) < 5e-3
    np.testing.assert_allclose(np.array(errors[:-1]) / np.array(errors[1:]), 2.0, rtol=0.02)


@settings(max_examples=30)
@given(n=st.integers(1, 6), seed=st.integers(0, 999), first=st.floats(1e-3, 3), second=st.floats(1e-3, 3))
def test_two_runs_in_a_row_are_one_long_run(n, seed, first, second):
    F, u, Q = drift_of(n, seed, "stable"), np.ones(n), np.diag(np.arange(1.0, n + 1))
    e1, m1, s1 = law(F, u, first, Q)
    e2, m2, s2 = law(F, u, second, Q)
    e, m, s = law(F, u, first + second, Q)
    scale = max(np.abs(e2).max() * np.abs(s1).max(), np.abs(s).max())
    np.testing.assert_allclose(e, e2 @ e1, atol=1e-11 * np.abs(e2).max() * np.abs(e1).max())
    np.testing.assert_allclose(m, e2 @ m1 + m2, atol=1e-11 * (np.abs(e2).max() * np.abs(m1).max() + np.abs(m).max()))
    np.testing.assert_allclose(s, e2 @ s1 @ e2.T + s2, atol=1e-10 * scale * max(1.0, np.abs(e2).max()))


@pytest.mark.parametrize("drift", [SHEAR, -spd(6, 1e4, 3)])
def test_the_settled_law_solves_the_lyapunov_equation(drift):
    n = len(drift)
    u, Q = np.ones(n), np.diag(np.arange(1.0, n + 1))
    e, m, s = law(drift, u, math.inf, Q)
    np.testing.assert_array_equal(e, 0)
    np.testing.assert_allclose(m, np.linalg.solve(-drift, u), rtol=1e-8)
    np.testing.assert_allclose(s, linalg.solve_continuous_lyapunov(drift, -Q), rtol=1e-8, atol=1e-9 * np.abs(s).max())


def test_unequal_noise_is_told_from_equal_noise_and_shear_from_its_symmetric_part():
    # Negative control: the tolerances above would see a law that ignores the direction of noise or the asymmetry.
    _, _, s = law(SHEAR, np.zeros(2), math.inf, UNEQUAL)
    for F, Q in ((SHEAR, 3 * np.eye(2)), ((SHEAR + SHEAR.T) / 2 - 4 * np.eye(2), UNEQUAL)):
        assert np.abs(linalg.solve_continuous_lyapunov(F, -Q) - s).max() > 0.1 * np.abs(s).max()


@pytest.mark.parametrize("drift", [[[0.1]], [[-1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [-1.0, 0.0]], [[0.0]]])
def test_a_law_that_never_settles_says_so(drift):
    F = torch.tensor(drift, dtype=torch.float64)
    assert not transition(F, torch.ones(len(drift), dtype=torch.float64), math.inf).settled
    assert transition(F, torch.ones(len(drift), dtype=torch.float64), 2.0).settled


def test_no_time_changes_nothing():
    e, m, s = law(SHEAR, np.ones(2), 0.0, UNEQUAL)
    np.testing.assert_array_equal(e, np.eye(2))
    assert not m.any()
    assert not s.any()


def test_a_long_run_is_the_settled_one():
    for t in (1e3, 1e12, 1e300):
        for found, expected in zip(
            law(SHEAR, np.ones(2), t, UNEQUAL), law(SHEAR, np.ones(2), math.inf, UNEQUAL), strict=True
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_a_second_transition_with_another_drift_follows_the_first():
    # Quadrature of the path whose drift jumps: the covariance of the first stretch is carried through the second.
    first, second, u = SHEAR, -spd(2, 10.0, 1), np.array([1.0, -2.0])
    both = transition(torch.tensor(first), torch.tensor(u), 0.7, torch.tensor(UNEQUAL)).then(
        transition(torch.tensor(second), torch.tensor(-u), 0.4, torch.eye(2, dtype=torch.float64))
    )
    e1, m1, s1 = by_quadrature(first, u, 0.7, UNEQUAL)
    e2, m2, s2 = by_quadrature(second, -u, 0.4, np.eye(2))
    np.testing.assert_allclose(both.propagator, e2 @ e1, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(both.mean, e2 @ m1 + m2, rtol=1e-9)
    np.testing.assert_allclose(both.covariance, e2 @ s1 @ e2.T + s2, rtol=1e-9)
    quiet = transition(torch.tensor(second), torch.tensor(-u), 0.4)
    assert quiet.then(quiet).covariance is None
    np.testing.assert_allclose(
        transition(torch.tensor(first), torch.tensor(u), 0.7, torch.tensor(UNEQUAL)).then(quiet).covariance,
        e2 @ s1 @ e2.T,
        rtol=1e-9,
    )


def test_a_batch_is_the_same_as_one_by_one():
    F = torch.tensor(np.stack([SHEAR, -np.eye(2)]))
    u = torch.ones(2, 2, dtype=torch.float64)
    both = transition(F, u, 1.3, torch.eye(2, dtype=torch.float64).expand(2, 2, 2))
    for k in range(2):
        one = transition(F[k], u[k], 1.3, torch.eye(2, dtype=torch.float64))
        np.testing.assert_allclose(both.mean[k], one.mean, rtol=1e-12)
        np.testing.assert_allclose(both.covariance[k], one.covariance, rtol=1e-12)


# Samples


def draws(covariance, count=20_000, seed=5):
    generator = torch.Generator().manual_seed(seed)
    many = torch.tensor(covariance).expand(count, *np.shape(covariance))
    return sample(many, generator).numpy()


def misfit(x, covariance):
    """Largest deviation of whitened draws' covariance from 1 in standard errors: 1 / sqrt(m), diagonal sqrt(2/m)."""
    white = np.linalg.solve(np.linalg.cholesky(covariance), x.T)
    n, m = white.shape
    errors = np.full((n, n), 1 / np.sqrt(m)) + np.eye(n) * (np.sqrt(2) - 1) / np.sqrt(m)
    return float(np.abs((white @ white.T / m - np.eye(n)) / errors).max())


def test_samples_have_the_covariance_asked_for():
    S = spd(4, 100.0, 2)
    x = draws(S)
    # The largest of ten standard normals passes 4 once in 1500 seeds.
    assert misfit(x, S) < 4
    assert np.abs(x.mean(axis=0) / np.sqrt(np.diag(S) / len(x))).max() < 4


def test_the_test_above_rejects_ten_percent_more_noise_and_independent_noise():
    S = spd(4, 100.0, 2)
    assert misfit(draws(1.1 * S), S) > 6
    assert misfit(draws(np.diag(np.diag(S))), S) > 6


def test_states_of_very_different_units_are_drawn_with_their_own_covariance():
    # Webers and volts of an LC node: variances 22 decades apart, and correlated.
    units = np.diag([1e-11, 1.0])
    S = np.array([[1.0, 0.6], [0.6, 2.0]])
    assert misfit(draws(units @ S @ units) @ np.linalg.inv(units), S) < 4


def test_singular_covariances_are_drawn_within_their_range():
    direction = np.array([1.0, -2.0, 0.5])
    x = draws(np.outer(direction, direction), count=500)
    along = x @ direction / (direction @ direction)
    np.testing.assert_allclose(x, along[:, None] * direction, atol=1e-5)
    assert along.var() == pytest.approx(1.0, rel=4 * np.sqrt(2 / 500))
    assert not draws(np.zeros((3, 3)), count=3).any()
