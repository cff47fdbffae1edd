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
    """Sum over shocks at times r of what each adds to the average, int expm(-A (s - r)) ds / window, by a block exponential."""
    n = len(A)
    block = np.block([[-A, np.eye(n)], [np.zeros((n, 2 * n))]])

    def weight(r):
        first = max(start, r)
        return linalg.expm(-A * (first - r)) @ linalg.expm(block * (start + window - first))[:n, n:] / window

    def shock(r):
        return weight(r) @ D @ weight(r).T

    early = quad(shock, 0, start) if start > 0 else 0.0
    return early + quad(shock, start, start + window)


def joint_covariance(A, D, steps):
    """Of the states (x_1, .., x_T) after each of the steps, from a point: (T n, T n)."""
    n, count = len(A), len(steps)
    laws = {h: (linalg.expm(-A * h), covariance(A, D, h)) for h in set(steps)}
    now, blocks = np.zeros((n, n)), np.zeros((count, n, count, n))
    for i, h in enumerate(steps):
        now = laws[h][0] @ now @ laws[h][0].T + laws[h][1]
        later = now
        for j in range(i, count):
            blocks[j, :, i], blocks[i, :, j] = later, later.T
            if j + 1 < count:
                later = laws[steps[j + 1]][0] @ later
    return blocks.reshape(count * n, count * n)


def driven_mean(A, values, switches, x0, t):
    """The mean under a drive that jumps, piece by piece."""
    x, now = x0, 0.0
    for value, end in zip(values, (*switches, np.inf), strict=True):
        if t > now:
            x = mean(A, value, x, min(end, t) - now)
            now = min(end, t)
    return x


def eigenbasis_covariance(A, D, t):
    """What thermox 0.0.6 takes for the covariance: as if D^-1/2 A D^1/2 were normal, by the eigenvalues of its symmetric part."""
    L = np.linalg.cholesky(D)
    whitened = np.linalg.solve(L, A @ L)
    w, V = np.linalg.eigh((whitened + whitened.T) / 2)
    return L @ (V * ((1 - np.exp(-2 * w * t)) / (2 * w))) @ V.T @ L.T


def misfit(x, expected):
    """Largest deviation of the covariance of the whitened rows of x, of known mean zero, from 1, in standard errors."""
    white = np.linalg.solve(np.linalg.cholesky(expected), x.T)
    n, m = white.shape
    errors = np.full((n, n), 1 / np.sqrt(m)) + np.eye(n) * (np.sqrt(2) - 1) / np.sqrt(m)
    return float(np.abs((white @ white.T / m - np.eye(n)) / errors).max())
