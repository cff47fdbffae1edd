"""How far coupled oscillators swing after a step of their drive from rest, with ideal amplifiers: what a signal level leaves room for.

With the eigenvalues lambda and eigenvectors q of A, friction gamma, and time in tau, x'' + gamma x' + A x = b has

    x(t) = sum_k q_k (q_k^T b) s_k(t) / lambda_k,      x'(t) = sum_k q_k (q_k^T b) s_k'(t) / lambda_k,

s_k the step response of one mode. Over all b of unit length the largest |x_i(t)| is the norm of row i of sum_k q_k q_k^T s_k(t) / lambda_k.
Larger systems have the bounds that energy gives, whatever the friction: 0 <= s_k <= 2 and |s_k'| <= sqrt(lambda_k), so that over all b

    |x_i| <= 2 |e_i^T A^-1|,    |x_i'| <= (A^-1)_ii^1/2,
and for one
    |x_i - x_i(inf)| <= ((A^-1)_ii b^T A^-1 b)^1/2,    |x_i'| <= (b^T A^-1 b)^1/2.
"""

from __future__ import annotations

import math

import numpy as np

from ...matrices import Matrix, dense, solver

LARGEST = 400
"""Unknowns up to which the step response is worked out: a second's work."""
A_RADIAN = 6
"""Instants in a radian of the fastest mode."""
SLOW = 4.0
"""Radians of the slowest mode after which nothing swings higher."""
MOST = 4000
"""Instants that are looked at, at most."""


def swings(target: Matrix, friction: float, b: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Largest |x_i| and |x_i'| after a step of the drive from rest, (n,) each, problem units and tau.

    Args:
        target: A, symmetric positive definite. friction: gamma.
        b: (n,) right-hand side; None: the largest over all of unit Euclidean norm.
    """
    matrix = dense(target)
    if len(matrix) > LARGEST:
        return _bounds(matrix, b)
    values, vectors = np.linalg.eigh(matrix)
    roots = np.sqrt(values)
    instants = min(math.ceil(A_RADIAN * SLOW * float(roots[-1] / roots[0])), MOST)
    response, rate = _step(values, friction, np.linspace(0.0, SLOW / float(roots[0]), instants + 1)[1:])
    response = np.column_stack([response, np.ones_like(values)])  # at rest
    found = []
    for of in (response, rate):
        if b is None:
            found.append(np.sqrt((vectors**2 @ (of / values[:, None]) ** 2).max(axis=1)))
        else:
            found.append(np.abs(vectors @ ((vectors.T @ b / values)[:, None] * of)).max(axis=1))
    return found[0], found[1]


def _step(values: np.ndarray, friction: float, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """s_k(t) and s_k'(t), (n, instants)."""
    half = friction / 2
    root = np.sqrt((values - half**2).astype(complex))
    # Apart from the double root, where both parts of the response are infinite.
    root = np.where(np.abs(root) < 1e-6 * np.sqrt(values), 1e-6 * np.sqrt(values), root)[:, None]
    falls = np.exp(-half * times)
    turned, across = np.cos(root * times), np.sin(root * times) / root
    response = 1.0 - (falls * (turned + half * across)).real
    return response, (falls * across).real * values[:, None]


def _bounds(matrix: np.ndarray, b: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    solve = solver(matrix)
    inverse = solve(np.eye(len(matrix)))
    own = np.sqrt(np.diag(inverse))
    if b is None:
        return 2 * np.linalg.norm(inverse, axis=1), own
    settled = solve(b)
    energy = math.sqrt(float(b @ settled))
    return np.abs(settled) + own * energy, np.full(len(matrix), energy)
