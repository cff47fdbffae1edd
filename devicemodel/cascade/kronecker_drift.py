"""`KroneckerFlow`: the drift of cells behind arrays of A and B, applied and inverted without writing it out.

At rest of its amplifiers, with L_1 and L_2 the row sums of the arrays, f the stage's feedback and e = 1/A0, the law of `fabrics.factored`
reads for the cells X, in units of tau,

    dv/dt = F v + u + noise,     F = -P [D + G_2 Phi^-1 G_1],     P = tau / (C (1 + e)),     Phi = f + e (L_1 + f),
    D = g_damp + e L,   L = L_2 + g_damp + g_drive,     u = P [I drive + L Vos - G_2 Phi^-1 (L_1 + f) Vos_1],

with G_1 = diag(B^(i)) over rows of cells and G_2 = diag(A^(j)) over columns. F x takes N (p + q) products, after the conductances of all
copies have been made; a pass serves all vectors that are given to it at a time.

No moments of N cells are as few as those of a low-rank system are (`factored_law`), since every copy is another. But F is near to

    F_0 = -p_0 [d_0 + A_0 (x) B_0 / phi_0],

known by the eigenvalues of the factors. A resolvent (z - F)^-1 x is found by GMRES of Y. Saad and M. H. Schultz, SIAM J. Sci. Stat. Comput.
7, 856 (1986), preconditioned from the right by (z - F_0)^-1: some ten passes. What it leaves is known from one more.

Enclosure. With |X| = max_j |A^(j) - A_0|, |Y| = max_i |B^(i) - B_0| and the largest relative deviation d of 1 / Phi,

    |F_S - F_S0| <= E = max |D - d_0| + [(|A_0| + |X|) (1 + d) (|B_0| + |Y|) - |A_0| |B_0|] / phi_0     for F = -P F_S,

so that the numerical range of P^(1/2) F P^(-1/2) lies within max P E of the interval of F_0 stretched by P. The distance from there bounds
resolvents in the norm |P^(-1/2) v|. If it is all to the left of 0, every mode decays. If not, the modes nearest to growth are sought
(E. R. Davidson, J. Comput. Phys. 17, 87 (1975)), an estimate and no proof.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .kronecker_array import KroneckerArray
from .low_rank_array import FIRST, LAST
from .low_rank_law import spectral_bound

RESTART = 10
"""Krylov vectors of each of many resolvents that are held at a time."""
VECTORS = 160
"""Krylov vectors of all resolvents together, if there are few."""
CYCLES = 20
"""Most restarts."""
SEARCHED = 8
"""Modes nearest to growth that are sought together."""
ROUNDS = 20
"""Most passes of the search."""
ROUNDING = 2e-16
"""Relative error of a pass, times sqrt(p + q)."""


class KroneckerFlow:
    """F of one array.

    Args:
        array: the parts.
        leak: 1 / A0.

    Attributes:
        pull: P, (p, q) 1/S. gain: Phi^-1, (p, q) 1/S. load: L, stage_load: L_1 + f, (p, q) S.
        rates: of F_0's modes, (p, q) 1/tau.
        low, high, radius: -F is, in the norm of P, within `radius` of the interval [low, high], 1/tau.
        stable: whether no mode grows, settles: whether all decay; slowest: a rate that all decay with, 1/tau. Proven where
            low > radius; otherwise by an estimate of the modes.
    """

    def __init__(self, array: KroneckerArray, leak: float) -> None:
        self.array, p, q = array, *array.shape
        self.pull = (array.tau / (array.capacitance * (1 + leak))).reshape(p, q)
        sums = {which: np.empty((array.copies(which), len(array.nominal(which)))) for which in (FIRST, LAST)}
        symmetric = {which: (array.nominal(which) + array.nominal(which).T) / 2 for which in (FIRST, LAST)}
        apart = {FIRST: 0.0, LAST: 0.0}
        for which in (FIRST, LAST):
            for copies in array.blocks(which):
                made = array.conductances(which, copies)
                sums[which][copies] = np.abs(made).sum(axis=2)
                if array.mismatch > 0 or copies.start == 0:
                    apart[which] = max(apart[which], float(spectral_bound(made - symmetric[which]).max()))
        feedback, damping, drive = (value.reshape(p, q) for value in (array.feedback, array.damping, array.drive))
        self.stage_load = sums[FIRST] + feedback
        self.gain = 1 / (feedback + leak * self.stage_load)
        self.load = sums[LAST].T + damping + drive
        self._direct = damping + leak * self.load
        a, self._left = np.linalg.eigh(symmetric[LAST])
        b, self._right = np.linalg.eigh(symmetric[FIRST])
        pull, gain, direct = (_middle(value) for value in (self.pull, self.gain, self._direct))
        nominal = direct + gain * a[:, None] * b
        self.rates = pull * nominal
        A, B = float(np.abs(a).max()), float(np.abs(b).max())
        wide = (A + apart[LAST]) * float(self.gain.max()) * (B + apart[FIRST]) - gain * A * B
        self.radius = float(self.pull.max()) * (float(np.abs(self._direct - direct).max()) + wide)
        ends = np.outer([nominal.min(), nominal.max()], [self.pull.min(), self.pull.max()])
        self.low, self.high = float(ends[0].min()), float(ends[1].max())
        self.fastest = max(abs(self.low), abs(self.high)) + self.radius
        least = 1e-12 * self.fastest
        sure = self.low > self.radius or self.radius <= least
        self.slowest = self.low - self.radius if sure else -float(self.modes.real.max())
        self.stable, self.settles = self.slowest >= -least, self.slowest > least

    def apply(self, X: np.ndarray) -> np.ndarray:
        """F X for real or complex X of (s, p, q)."""
        if np.iscomplexobj(X):
            found = self.apply(np.concatenate([X.real, X.imag]))
            return np.asarray(found[: len(X)] + 1j * found[len(X) :])
        return -self.pull * (self._direct * X + self.last(self.gain * self.first(X)))

    def first(self, X: np.ndarray) -> np.ndarray:
        """G_1 X for real X of (s, p, q), A."""
        return np.asarray(self._through(FIRST, X.transpose(1, 0, 2)).transpose(1, 0, 2))

    def last(self, W: np.ndarray) -> np.ndarray:
        """G_2 W for real W of (s, p, q), A."""
        return np.asarray(self._through(LAST, W.transpose(2, 0, 1)).transpose(1, 2, 0))

    def near(self, z: np.ndarray, X: np.ndarray, floor: float = 0.0) -> np.ndarray:
        """(z - F_0)^-1 X for X of (s, p, q), one z for each, (s, 1, 1); no mode is divided by less than the floor."""
        modes = self._turned(X, self._left, self._right)
        return self._turned(modes / _away(z + self.rates, floor), self._left.T, self._right.T)

    def resolve(self, z: np.ndarray, right: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
        """(z - F)^-1 of right sides (s, p, q), one for each z, (s,).

        Returns:
            What was found, (s, p, q), and the Euclidean norm of what it leaves of each right side, (s,).
        """
        z = z[:, None, None]
        found, rest, size = np.zeros(right.shape, complex), right.astype(complex), _sizes(right)
        left = size
        for _ in range(CYCLES):
            step = self._cycle(z, rest, tolerance * size)
            rest = right - z * (found + step) + self.apply(found + step)
            before, left = left, _sizes(rest)
            found += step
            if (left <= tolerance * size).all() or (left > before / 2).all():
                break
        return found, left

    def distance(self, z: np.ndarray) -> np.ndarray:
        """From z to where modes can be; below 0 inside of it."""
        return np.asarray(np.abs(z + np.clip(-z.real, self.low, self.high)) - self.radius)

    @cached_property
    def modes(self) -> np.ndarray:
        """Eigenvalues of F nearest to growth, at most `SEARCHED` of them, 1/tau."""
        p, q = self.array.shape
        slow = np.argsort(self.rates, axis=None)[:SEARCHED]
        fresh = np.einsum("is,js->sij", self._left[:, slow // q], self._right[:, slow % q]).reshape(len(slow), -1)
        basis, moved, least = np.empty((0, p * q)), np.empty((0, p * q)), 1e-12 * self.fastest
        for _ in range(ROUNDS):
            basis = np.concatenate([basis, fresh])
            moved = np.concatenate([moved, self.apply(fresh.reshape(-1, p, q)).reshape(fresh.shape)])
            values, vectors = np.linalg.eig(basis @ moved.T)
            first = np.argsort(-values.real)[:SEARCHED]
            values, vectors = values[first], vectors[:, first]
            rest = vectors.T @ moved - values[:, None] * (vectors.T @ basis)
            if np.linalg.norm(rest[0]) <= 0.05 * abs(values[0].real) or len(basis) == p * q:
                break
            step = self.near(values[:, None, None], rest.reshape(-1, p, q), 0.1 * self.radius + least)
            fresh = _orthonormal(np.concatenate([step.real, step.imag]).reshape(-1, p * q), basis)[:SEARCHED]
            if not len(fresh):
                break
        return np.asarray(values)

    def _through(self, which: int, signals: np.ndarray) -> np.ndarray:
        """Each copy times the signals of (copies, s, columns)."""
        signals, found = np.ascontiguousarray(signals), np.empty(signals.shape)
        for copies in self.array.blocks(which):
            np.matmul(signals[copies], self.array.conductances(which, copies).swapaxes(1, 2), out=found[copies])
        return found

    def _turned(self, X: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """left^T X right."""
        if np.iscomplexobj(X):
            return np.asarray(self._turned(X.real, left, right) + 1j * self._turned(X.imag, left, right))
        return np.asarray(left.T @ (X @ right))

    def _cycle(self, z: np.ndarray, rest: np.ndarray, enough: np.ndarray) -> np.ndarray:
        """What the best vectors of Krylov spaces add to solutions that leave `rest`."""
        count, size = len(rest), _sizes(rest)
        length = max(RESTART, VECTORS // count)
        basis = [rest / _away(size, 1e-300)[:, None, None]]
        H = np.zeros((count, length + 1, length), complex)
        goal = np.zeros((count, length + 1), complex)
        goal[:, 0] = size
        for i in range(length):
            ahead = self.near(z, basis[i])
            ahead = z * ahead - self.apply(ahead)
            for j, vector in enumerate(basis):
                H[:, j, i] = np.einsum("spq,spq->s", vector.conj(), ahead)
                ahead -= H[:, j, i, None, None] * vector
            H[:, i + 1, i] = norm = _sizes(ahead)
            part, wanted = H[:, : i + 2, : i + 1], goal[:, : i + 2]
            best = np.einsum("sij,sj->si", np.linalg.pinv(part), wanted)
            left = np.linalg.norm(wanted - np.einsum("sij,sj->si", part, best), axis=1)
            if (left <= enough / 2).all() or i + 1 == length:
                break
            basis.append(ahead / _away(norm, 1e-300)[:, None, None])
        inner = sum((best[:, j, None, None] * vector for j, vector in enumerate(basis)), np.zeros_like(rest))
        return self.near(z, inner)


def _middle(values: np.ndarray) -> float:
    return float(values.min() + values.max()) / 2


def _sizes(X: np.ndarray) -> np.ndarray:
    """Euclidean norms, (s,)."""
    return np.asarray(np.sqrt(np.einsum("spq,spq->s", X, X.conj()).real))


def _away(values: np.ndarray, floor: float) -> np.ndarray:
    """Values whose magnitudes are no smaller than the floor."""
    return np.where(np.abs(values) < floor, floor, values)


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
