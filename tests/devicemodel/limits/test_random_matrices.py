"""Spectra of A^-1 E: textbook cases, drawn matrices, and the mean factor of a few readings."""

import math

import numpy as np
import pytest

from thermograd.devicemodel.limits.random_matrices import (
    elliptic_edge,
    independent_radius,
    inverse,
    perron_root,
    spectral_edge,
    symmetric_edge,
)

from ...systems import spd

N = 150


def profiled(seed):
    """(A, A^-1, V): of condition number 30, with variances that differ, in proportion to A_ij^2 and a constant."""
    A = spd(N, 30.0, seed)
    V = 1e-6 + (0.003 * A) ** 2
    return A, np.linalg.inv(A), V


def drawn(V, symmetric, seed):
    z = np.random.default_rng([seed, 5]).standard_normal(V.shape)
    return np.sqrt(V) * (np.triu(z) + np.triu(z, 1).T if symmetric else z)


def test_textbook_cases():
    s, a = 0.01, 0.7
    V = np.full((N, N), s**2)
    A = a * np.eye(N)
    np.testing.assert_allclose(independent_radius(np.linalg.inv(A), V), s * math.sqrt(N) / a, rtol=1e-3)
    np.testing.assert_allclose(symmetric_edge(A, np.linalg.inv(A), V), 2 * s * math.sqrt(N) / a, rtol=5e-3)
    values = np.geomspace(0.1, 10, N)
    np.testing.assert_allclose(independent_radius(np.diag(1 / values), V), s * np.linalg.norm(1 / values), rtol=1e-3)
    assert elliptic_edge(0.0, 0.3) == pytest.approx(0.3)
    assert elliptic_edge(0.3, 0.0) == pytest.approx(0.3)
    assert elliptic_edge(0.0, 0.0) == 0.0
    assert symmetric_edge(A, np.linalg.inv(A), 0 * V) == 0.0


def test_a_slow_mode_orthogonal_to_equal_entries():
    # A's mode of eigenvalue 1 - c is (1, -1). E is s times a Gaussian symmetric matrix with unit diagonal variance.
    s, c = 1e-3, 0.9
    A = np.array([[1.0, c], [c, 1.0]])
    inverted, V = np.linalg.inv(A), np.full((2, 2), s**2)
    found = symmetric_edge(A, inverted, V)
    edges = [np.abs(np.linalg.eigvals(inverted @ drawn(V, True, k))).max() for k in range(200)]
    # Of two unknowns the law of large numbers says little more than the size.
    assert 0.5 < found / np.sqrt(np.mean(np.square(edges))) < 2
    assert elliptic_edge(math.inf, 0.1) == elliptic_edge(0.1, math.inf) == math.inf


def test_columns_that_err_as_a_whole():
    """C diag(z) for a C whose entries have no common sign: as independent entries of variance C_ij^2."""
    _, inverted, V = profiled(1)
    C = 0.01 * np.random.default_rng(2).standard_normal((N, N))
    draws = [np.random.default_rng([k, 6]).standard_normal(N) for k in range(8)]
    radii = [np.abs(np.linalg.eigvals(inverted @ (C * z))).max() for z in draws]
    law = independent_radius(inverted, 0 * V, columns=C)
    assert np.mean(radii) == pytest.approx(law, rel=0.2)
    assert independent_radius(inverted, C**2) == pytest.approx(law, rel=0.2)
    assert independent_radius(inverted, V, columns=C) == pytest.approx(
        math.hypot(law, independent_radius(inverted, V)), rel=0.1
    )
    assert independent_radius(inverted, 0 * V, columns=1.5 * C) > 1.3 * np.mean(radii)


def test_semicircle_of_a_matrix_with_a_spectrum():
    # Without a profile, z^2 = s^2 u^2 sum a / (u - a) with a the eigenvalues of A^-1, least over u > max a.
    s, a = 0.01, 1 / np.geomspace(0.1, 10, N)
    u = a.max() * (1 + np.geomspace(1e-3, 1e3, 4000))
    expected = s * np.sqrt((u[:, None] ** 2 * a / (u[:, None] - a)).sum(axis=1).min())
    found = symmetric_edge(np.diag(1 / a), np.diag(a), np.full((N, N), s**2))
    np.testing.assert_allclose(found, expected, rtol=5e-3)


def test_drawn_matrices_and_laws_that_are_not_theirs():
    A, inverted, V = profiled(1)
    V = V * (1 - np.eye(N))
    symmetric = [np.abs(np.linalg.eigvals(inverted @ drawn(V, True, k))).max() for k in range(8)]
    independent = [np.abs(np.linalg.eigvals(inverted @ drawn(V, False, k))).max() for k in range(8)]
    for edges, law, other in (
        (symmetric, symmetric_edge(A, inverted, V), independent_radius(inverted, V)),
        (independent, independent_radius(inverted, V), symmetric_edge(A, inverted, V)),
    ):
        error = np.std(edges, ddof=1) / math.sqrt(len(edges))
        # The law is that of large n: at 150 it is off by some n^-2/3.
        assert abs(np.mean(edges) - law) < 3 * error + N ** (-2 / 3) * law
        assert abs(np.mean(edges) - other) > 6 * error + N ** (-2 / 3) * law


@pytest.mark.parametrize("symmetric", [True, False])
def test_mean_factor_of_a_few_readings(symmetric):
    A, inverted, V = profiled(2)
    V = V * (1 - np.eye(N))
    scale = 0.3 / (symmetric_edge(A, inverted, V) if symmetric else independent_radius(inverted, V))
    V, readings = V * scale**2, 8
    growth = []
    for k in range(12):
        X = inverted @ drawn(V, symmetric, k)
        power = np.linalg.matrix_power(np.linalg.solve(np.eye(N) + X, X), readings)
        growth.append(float((power**2).sum()) / N)
    measured = np.mean(growth) ** (0.5 / readings)

    def law(count):
        e = symmetric_edge(A, inverted, V, count) if symmetric else independent_radius(inverted, V, count)
        return e / (1 - e)

    assert law(readings) == pytest.approx(measured, rel=0.1)
    assert law(None) > 1.05 * measured
    assert law(4000) == pytest.approx(law(None), rel=0.01)


def test_a_diagonal_counts_as_symmetric():
    A, inverted, V = profiled(3)
    edges = [np.abs(np.linalg.eigvals(inverted @ drawn(V, False, k))).max() for k in range(8)]
    law, error = spectral_edge(A, inverted, 0 * V, V), np.std(edges, ddof=1) / math.sqrt(len(edges))
    assert abs(np.mean(edges) - law) < 3 * error + 2 * N ** (-2 / 3) * law
    assert np.mean(edges) > 1.5 * independent_radius(inverted, V)


def test_small_helpers():
    np.testing.assert_allclose(inverse(spd(6, 20.0, 3)), np.linalg.inv(spd(6, 20.0, 3)), rtol=1e-9)
    assert inverse(np.diag([1.0, -1.0])) is None
    assert perron_root(np.zeros((3, 3)))[0] == 0.0
    np.testing.assert_allclose(perron_root(np.array([[2.0, 1.0], [1.0, 2.0]]))[0], 3.0, rtol=1e-3)
