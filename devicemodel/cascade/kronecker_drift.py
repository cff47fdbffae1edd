"""`KroneckerDrift`: the drift of cells behind arrays of A and B, applied and inverted without writing it out.

At rest of its amplifiers, with L_1 and L_2 the row sums of the arrays, f the stage's feedback and e = 1/A0, the law of `fabrics.cascade`
reads for the cells X, in units of tau,

    dv/dt = F v + u + noise,     F = -P [D + G_2 Phi^-1 G_1],     P = tau / (C (1 + e)),     Phi = f + e (L_1 + f),
    D = g_damp + e L,   L = L_2 + g_damp + g_drive,     u = P [I drive + L Vos - G_2 Phi^-1 (L_1 + f) Vos_1],

with G_1 = diag(B^(i)) over rows of cells and G_2 = diag(A^(j)) over columns. F x takes N (p + q) products, after the conductances of all
copies have been made; a pass serves all vectors that are given to it at a time.

No moments of N cells are as few as those of a low-rank system are (`low_rank_dynamics`), since every copy is another. But F is near to

    F_0 = -p_0 [d_0 + A_0 (x) B_0 / phi_0],

known by the eigenvalues of the factors. A resolvent (z - F)^-1 x is found by GMRES, preconditioned by (z - F_0)^-1, in some ten passes
(`krylov`). What it leaves is known from one more.

Enclosure. With |X| = max_j |A^(j) - A_0|, |Y| = max_i |B^(i) - B_0| and the largest relative deviation d of 1 / Phi,

    |F_S - F_S0| <= E = max |D - d_0| + [(|A_0| + |X|) (1 + d) (|B_0| + |Y|) - |A_0| |B_0|] / phi_0     for F = -P F_S,

so that the numerical range of P^(1/2) F P^(-1/2) lies within max P E of the interval of F_0 stretched by P. The distance from there bounds
resolvents in the norm |P^(-1/2) v|. If it is all to the left of 0, every mode decays. If not, the modes nearest to growth are sought, an
estimate and no proof.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ...compiler.fabrics.cascade_places import FIRST, LAST
from .contour import spectral_bound
from .kronecker_array import KroneckerArray
from .krylov import SEARCHED, away, nearest_to_growth, resolve


class KroneckerDrift:
    """The drift matrix F of one array.

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
        return self._turned(modes / away(z + self.rates, floor), self._left.T, self._right.T)

    def resolve(self, z: np.ndarray, right: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
        """(z - F)^-1 of right sides (s, p, q), one for each z, (s,), and what is left of each; see `krylov.resolve`."""
        return resolve(self.apply, self.near, z, right, tolerance)

    def distance(self, z: np.ndarray) -> np.ndarray:
        """From z to where modes can be; below 0 inside of it."""
        return np.asarray(np.abs(z + np.clip(-z.real, self.low, self.high)) - self.radius)

    @cached_property
    def modes(self) -> np.ndarray:
        """Eigenvalues of F nearest to growth, 1/tau; an estimate (see `krylov`)."""
        q, least = self.array.shape[1], 1e-12 * self.fastest
        slow = np.argsort(self.rates, axis=None)[:SEARCHED]
        start = np.einsum("is,js->sij", self._left[:, slow // q], self._right[:, slow % q])
        return nearest_to_growth(self.apply, lambda z, X: self.near(z, X, 0.1 * self.radius + least), start)

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


def _middle(values: np.ndarray) -> float:
    return float(values.min() + values.max()) / 2
