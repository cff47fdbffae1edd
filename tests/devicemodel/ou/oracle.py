"""Laws of dx = (u - A x) dt + dW, <dW dW^T> = D dt, by quadrature of their definitions: slow, and no formula shared with the code."""

from __future__ import annotations

import numpy as np
from scipy import integrate, linalg

from ...systems import spd

SHEAR = np.array([[1.0, 8.0], [0.0, 1.2]])
"""A stable drift, far from normal: a start grows before it decays."""
UNEQUAL = np.diag([1.0, 5.0])


def drift(n, seed, kind):
    """A of a kind: symmetric, stable, singular, growing, rotating."""
    rng = np.random.default_rng([n, seed])
    if kind == "symmetric":
        return spd(n, 100.0, seed) / 10
    general = rng.standard_normal((n, n))
    if kind == "stable":
        return general - (np.linalg.eigvals(general).real.min() - 0.3) * np.eye(n)
    if kind == "singular":
        return np.outer(rng.uniform(0.1, 1, n), rng.uniform(0.1, 1, n))
    if kind == "rotating":
        return general - general.T + 0.2 * np.eye(n)
    return general  # growing, as a rule


def diffusion(n, seed, kind):
    """D of a kind: equal, unequal, general, singular."""
    rng = np.random.default_rng([n, seed, 1])
    if kind == "equal":
        return 0.7 * np.eye(n)
    if kind == "unequal":
        return np.diag(rng.uniform(0.1, 5, n))
    half = rng.standard_normal((n, n if kind == "general" else max(1, n - 1)))
    return half @ half.T


def quad(function, start, stop):
    return integrate.quad_vec(function, start, stop, epsrel=1e-11, epsabs=1e-14)[0]


def mean(A, u, x0, t):
    """By one exponential of the system extended by the state 1."""
    n = len(u)
    M = np.zeros((n + 1, n + 1))
    M[:n, :n], M[:n, n] = -A, u
    return (linalg.expm(M * t) @ np.append(x0, 1.0))[:n]


def covariance(A, D, t):
    return quad(lambda s: linalg.expm(-A * s) @ D @ linalg.expm(-A * s).T, 0, t)


def average_mean(A, u, x0, start, window):
    return quad(lambda s: mean(A, u, x0, s), start, start + window) / window


def average_covariance(A, D, start, window):
    """Sum over shocks at times r of what each adds to the average."""

    def weight(r):
        return quad(lambda s: linalg.expm(-A * (s - r)), max(start, r), start + window) / window

    def shock(r):
        return weight(r) @ D @ weight(r).T

    early = quad(shock, 0, start) if start > 0 else 0.0
    return early + quad(shock, start, start + window)


def joint_covariance(A, D, step, count):
    """Of (x(step), ..., x(count step)) from a point: (count n, count n)."""
    n, E, S = len(A), linalg.expm(-A * step), covariance(A, D, step)
    now, blocks = np.zeros((n, n)), np.zeros((count, n, count, n))
    for i in range(count):
        now = E @ now @ E.T + S
        later = now
        for j in range(i, count):
            blocks[j, :, i], blocks[i, :, j] = later, later.T
            later = E @ later
    return blocks.reshape(count * n, count * n)


def misfit(x, expected):
    """Largest deviation of the covariance of the whitened rows of x, of known mean zero, from 1, in standard errors."""
    white = np.linalg.solve(np.linalg.cholesky(expected), x.T)
    n, m = white.shape
    errors = np.full((n, n), 1 / np.sqrt(m)) + np.eye(n) * (np.sqrt(2) - 1) / np.sqrt(m)
    return float(np.abs((white @ white.T / m - np.eye(n)) / errors).max())
