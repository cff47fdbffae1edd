"""Resolvents and modes of a drift F that is known by its products, with a preconditioner near to its resolvent.

A product serves many vectors at a time and is the expensive part (for a cascade, the conductances of all copies have to be made for it),
so that both methods work on blocks of vectors, (s, p, q).

Resolvents: GMRES of Y. Saad and M. H. Schultz, SIAM J. Sci. Stat. Comput. 7, 856 (1986), preconditioned from the right.

Modes nearest to growth: the search of E. R. Davidson, J. Comput. Phys. 17, 87 (1975). scipy's `eigs` knows no preconditioner and takes one
vector at a time: for 100 x 100 cells with 2 % of mismatch the search takes 2 products, 0.6 s, `eigs` for the largest real part 692, 32 s,
and around zero, with these resolvents for inverses, 126, 6 s.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

RESTART = 10
"""Krylov vectors of each of many resolvents that are held at a time."""
VECTORS = 160
"""Krylov vectors of all resolvents together, if there are few."""
CYCLES = 20
"""Maximum number of restarts."""
SEARCHED = 8
"""Modes nearest to growth that are sought together."""
ROUNDS = 20
"""Maximum number of passes of the search."""

Product = Callable[[np.ndarray], np.ndarray]
"""F X for X of (s, p, q)."""
Near = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""About (z - F)^-1 X for z of (s, 1, 1) and X of (s, p, q)."""


def resolve(
    apply: Product, near: Near, z: np.ndarray, right: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """(z - F)^-1 of right sides (s, p, q), one for each z, (s,).

    Returns:
        What was found, (s, p, q), and the Euclidean norm of what it leaves of each right side, (s,).
    """
    z = z[:, None, None]
    found, rest, size = np.zeros(right.shape, complex), right.astype(complex), _sizes(right)
    left = size
    for _ in range(CYCLES):
        step = _cycle(apply, near, z, rest, tolerance * size)
        rest = right - z * (found + step) + apply(found + step)
        before, left = left, _sizes(rest)
        found += step
        if (left <= tolerance * size).all() or (left > before / 2).all():
            break
    return found, left


def _cycle(apply: Product, near: Near, z: np.ndarray, rest: np.ndarray, enough: np.ndarray) -> np.ndarray:
    """What the best vectors of Krylov spaces add to solutions that leave `rest`."""
    count, size = len(rest), _sizes(rest)
    length = max(RESTART, VECTORS // count)
    basis = [rest / away(size, 1e-300)[:, None, None]]
    H = np.zeros((count, length + 1, length), complex)
    goal = np.zeros((count, length + 1), complex)
    goal[:, 0] = size
    for i in range(length):
        ahead = near(z, basis[i])
        ahead = z * ahead - apply(ahead)
        for j, vector in enumerate(basis):
            H[:, j, i] = np.einsum("spq,spq->s", vector.conj(), ahead)
            ahead -= H[:, j, i, None, None] * vector
        H[:, i + 1, i] = norm = _sizes(ahead)
        part, wanted = H[:, : i + 2, : i + 1], goal[:, : i + 2]
        best = np.einsum("sij,sj->si", np.linalg.pinv(part), wanted)
        left = np.linalg.norm(wanted - np.einsum("sij,sj->si", part, best), axis=1)
        if (left <= enough / 2).all() or i + 1 == length:
            break
        basis.append(ahead / away(norm, 1e-300)[:, None, None])
    inner = sum((best[:, j, None, None] * vector for j, vector in enumerate(basis)), np.zeros_like(rest))
    return near(z, inner)


def nearest_to_growth(apply: Product, near: Near, start: np.ndarray) -> np.ndarray:
    """Eigenvalues of F of largest real part, `SEARCHED` at most; an estimate and no proof.

    Args:
        apply, near: of F. start: orthonormal vectors to begin with, (s, p, q) real.
    """
    shape, fresh = start.shape[1:], start.reshape(len(start), -1)
    basis, moved = np.empty((0, fresh.shape[1])), np.empty((0, fresh.shape[1]))
    for _ in range(ROUNDS):
        basis = np.concatenate([basis, fresh])
        moved = np.concatenate([moved, apply(fresh.reshape(-1, *shape)).reshape(fresh.shape)])
        values, vectors = np.linalg.eig(basis @ moved.T)
        first = np.argsort(-values.real)[:SEARCHED]
        values, vectors = values[first], vectors[:, first]
        rest = vectors.T @ moved - values[:, None] * (vectors.T @ basis)
        if np.linalg.norm(rest[0]) <= 0.05 * abs(values[0].real) or len(basis) == basis.shape[1]:
            break
        step = near(values[:, None, None], rest.reshape(-1, *shape))
        fresh = _orthonormal(np.concatenate([step.real, step.imag]).reshape(-1, basis.shape[1]), basis)[:SEARCHED]
        if not len(fresh):
            break
    return np.asarray(values)


def away(values: np.ndarray, floor: float) -> np.ndarray:
    """Values whose magnitudes are no smaller than the floor."""
    return np.where(np.abs(values) < floor, floor, values)


def _sizes(X: np.ndarray) -> np.ndarray:
    """Euclidean norms, (s,)."""
    return np.asarray(np.sqrt(np.einsum("spq,spq->s", X, X.conj()).real))


def _orthonormal(rows: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what the rows add to one that is there."""
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1), 1e-300)[:, None]
    for _ in range(2):
        rows = rows - rows @ basis.T @ basis
    values, turned = np.linalg.eigh(rows @ rows.T)
    keep = np.flatnonzero(values > 1e-12)[::-1]
    rows = (turned[:, keep] / np.sqrt(values[keep])).T @ rows
    rows = rows - rows @ basis.T @ basis
    return np.asarray(np.linalg.qr(rows.T)[0].T)
