"""`LowRankDynamics`: the exact motion of cells behind three arrays, for any number of them, without an N x N or a stored k x N matrix.

With L_t the row sums of array t, f_t its stage's feedback and e = 1/A0, the law of `fabrics.cascade` at rest of its amplifiers reads, in
units of tau,

    dv/dt = F v + u + Lam q + noise,     F = -(Delta + Lam K R),     R = G_1,   Lam = tau M^-1 G_3,   M = C (1 + e),
    K = Phi_2^-1 G_2 Phi_1^-1  (Phi_1^-1 without H),     Phi_t = f_t + e (L_t + f_t),     Delta = tau M^-1 [g_damp + e L],
    L = L_3 + g_damp + g_drive,     u = tau M^-1 [I drive + L Vos],     q = -Phi_2^-1 [(L_2 + f_2) Vos_2 + G_2 Phi_1^-1 (L_1 + f_1) Vos_1].

Amplifiers are taken to be faster than the cells: there is no gain-bandwidth product in it.

Mean. x(t) = (1 / 2 pi i) int e^{zt} (z - F)^-1 (x_0 + (u + Lam q) / z) dz, on the hyperbola and with the weights of J. A. C. Weideman and
L. N. Trefethen, Math. Comp. 76, 1341 (2007). A resolvent costs a k x k system, (I + H K) y = R Z (..), H = R Z Lam, Z = (z + Delta)^-1.
In Chebyshev polynomials T_p of Delta, scaled to its interval, Z asks for the same few moments at all nodes, R T_p(Delta) Lam and
R T_p(Delta) of x_0 and u: one pass over both arrays to program, one over each to run. A settled state is the one node z = 0.

Error bound. A sum over nodes is a rational function r(F) of poles outside of a second, narrower hyperbola, which holds the spectrum, and
|f(F) x - r(F) x| <= (1 / 2 pi) int |f - r| |(z - F)^-1 x| |dz| along that one. A truncated Z leaves the residual of a resolvent at
max |1 - (z + Delta) p(Delta)| of its right side. That the spectrum is inside: with one array for both, Lam_0 = tau M^-1 R^T, and a
symmetric K_0 >= 0, it would be real and below zero; going from there to the real arrays no eigenvalue gets outside while
|(I + H_0 K_0)^-1 (H K - H_0 K_0)| < 1 on that hyperbola, outside of which that norm falls. Both are looked at in sampled points.

Noise. Every resistor's: 4 k T L a cell (two rails), and that of each stage, 4 k T (L_t + f_t), through what follows; and that of the
amplifiers' inputs (`input_noise`). With the mean of Delta
for its scatter (whose share of the noise it is wrong by), v = d - Lam c with d the noise of the cells alone, and (R d, c) obeys an equation
of its own of 2 k states, known exactly; given R d(t), c(t) is independent of all else of d(t). So d is drawn, then c.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.constants import Boltzmann

from ...circuits.errors import InputError
from ...compiler.fabrics.cascade_places import FIRST, LAST
from ..ou.doubling import transition
from ..ou.recent import Recent
from .cells import KEPT
from .contour import ANGLE, INNER, ROUNDING, STEP, WIDTH, Motion, angle_of, hyperbola, left_out, nodes, spectral_bound
from .input_noise import SILENT, InputNoise
from .low_rank_array import LowRankArray

NODES = 24
"""Quadrature nodes in the upper half plane."""
SAMPLES = 4 * NODES
"""Samples of the narrower hyperbola, along which the error is bounded."""
BATCH = 2**17
"""Entries of k x k matrices on the narrower hyperbola that are held at a time."""
POLYNOMIALS = 64
"""Maximum number of Chebyshev terms of Z."""
RESIDUAL = 1e-13
SPREAD = 8.0
"""Standard deviations of mismatch in the interval of Delta."""
AT_REST = 100.0
"""Decay rate times t beyond which nothing of the start is left, e^-100 = 4e-44."""


class LowRankDynamics:
    """Mean and noise of the cells behind one array.

    Args:
        array: the parts.
        leak: 1 / A0.
        noise_power: of Johnson noise, over the law's; 0 is silent. amplifiers: noise of their inputs.

    Attributes:
        leak_rate: Delta, (N,) 1/tau. effective_capacitance: M = C (1 + leak), (N,) F. load: L, (N,) S.
        core: K, (k, k) 1/S. stage_drive: q, (k,) V.
        stable: whether no mode grows, settles: whether all decay; judged with the middle of Delta's interval for its scatter.
    """

    def __init__(
        self, array: LowRankArray, leak: float, noise_power: float = 0.0, amplifiers: InputNoise = SILENT
    ) -> None:
        self.array, self.leak, self.noise_power, self.amplifiers = array, leak, noise_power, amplifiers
        self.effective_capacitance = array.capacitance * (1 + leak)
        self._proven: dict[float, bool] = {}
        self._kept: dict[bytes, _Resolvents] = {}
        self._bounds: Recent[np.ndarray] = Recent()
        self._stage_laws: Recent[tuple[np.ndarray, np.ndarray]] = Recent()
        self._interval()
        self._gather()
        self.core, self.stage_drive, self._stage_noise = self._stages()
        values, basis = np.linalg.eigh((self.core + self.core.T) / 2)
        self._symmetric = (basis * np.maximum(values, 0.0)) @ basis.T
        self._modes = self._center + np.linalg.eigvals(self._moments[0] @ self.core)
        self._fastest = float(np.abs(self._modes).max())
        self._slowest = min(self._low, float(self._modes.real.min()))
        self.stable = self._slowest >= -1e-12 * self._fastest
        self.settles = self._slowest > 1e-12 * self._fastest

    def motion(self, currents: np.ndarray, start: np.ndarray, t: float) -> Motion:
        """The mean cell voltages after t tau.

        Args:
            currents: differential drive, (N,) A. start: (N,) V. t: tau; inf for the settled state.

        Raises:
            InputError: an unstable law; inf where there is no settled state; oscillatory modes caused by mismatch.
        """
        array = self.array
        pull = array.tau / self.effective_capacitance
        u = pull * (currents * array.drive / array.drive_nominal + self.load * array.offset)
        if not self.stable:
            raise InputError("the law has a growing mode: more damping is needed")
        vectors = np.stack([start, u])
        if t == 0:
            return Motion(start.copy(), self._outputs(self._rows(start[None], 1)[0, 0]), 0.0)
        drawn = self._rows(vectors)
        if math.isinf(t) or t * self._slowest > AT_REST:
            if not self.settles:
                raise InputError("there is no settled state: damping or 1/A0 must be above 0")
            z, weight, scales = np.zeros(1, dtype=complex), np.ones(1, dtype=complex), np.array([[0.0], [1.0]])
            solved = self._solve(z, drawn[:, 1:], np.ones(1))
            resolvent, residual = self._norms(z, solved, scales, vectors)
            bound = float((resolvent * residual).sum())
            return self._sum(vectors, weight, scales, solved, bound)
        self._require_inside(t)
        z, weight = nodes(t, NODES, STEP, WIDTH, ANGLE)
        scales = np.stack([np.ones_like(z), 1 / z])
        solved = self._solve(z, np.einsum("psk,sq->pqk", drawn, scales), 1 / z)
        resolvent, residual = self._norms(z, solved, scales, vectors)
        bound = float((np.abs(weight) * resolvent * residual).sum())
        bound += self._quadrature(t, z, weight, drawn, vectors)
        return self._sum(vectors, weight, scales, solved, bound)

    def fluctuation(self, t: float, rng: np.random.Generator) -> np.ndarray:
        """A draw of what noise has added after t tau, (N,) V."""
        if self.noise_power == 0 or t == 0:
            return np.zeros(self.array.size)
        cells = np.sqrt(_phi(2 * self.leak_rate, t) * self._cell_noise) * rng.standard_normal(self.array.size)
        gain, spread = self._stage_laws.get(t, lambda: self._stage_law(t))
        stage = rng.standard_normal(self.array.rows)
        c = gain @ self._rows(cells[None], 1)[0, 0] + spread @ stage
        for part in self.array.blocks():
            cells[part] -= (c @ self.array.conductances(LAST, part)) * self.array.tau / self.effective_capacitance[part]
        return cells

    def _stage_law(self, t: float) -> tuple[np.ndarray, np.ndarray]:
        """c(t) given R d(t): its mean's factor, and a root of its covariance, (k, k) each."""
        rate, k = float(self.leak_rate.mean()), self.array.rows
        drift = np.block(
            [[-rate * np.eye(k), np.zeros((k, k))], [self.core, -rate * np.eye(k) - self.core @ self._moments[0]]]
        )
        diffusion = np.block([[self._row_noise, np.zeros((k, k))], [np.zeros((k, k)), self._stage_noise]])
        # In balanced units: rows of R d are currents, c are volts.
        scale = np.repeat([1 / self.array.unit, 1.0], k)
        drift, diffusion = drift * scale[:, None] / scale, diffusion * np.outer(scale, scale)
        found = transition(
            torch.from_numpy(drift), torch.zeros(2 * k, dtype=torch.float64), t, torch.from_numpy(diffusion)
        )
        assert found.covariance is not None
        covariance = found.covariance.numpy() / np.outer(scale, scale)
        of_rows, both, of_stage = covariance[:k, :k], covariance[k:, :k], covariance[k:, k:]
        gain = both @ np.linalg.pinv(of_rows, hermitian=True)
        rest = of_stage - gain @ both.T
        values, basis = np.linalg.eigh((rest + rest.T) / 2)
        return gain, basis * np.sqrt(values.clip(min=0.0))

    def _interval(self) -> None:
        """Where Delta can be, from the parts that are known and the nominal row sums."""
        array, slack = self.array, math.exp(SPREAD * self.array.mismatch)
        known = array.damping + self.leak * (array.damping + array.drive)
        rows = self.leak * array.nominal_loads()
        pull = array.tau / self.effective_capacitance
        low, high = float((pull * (known + rows / slack)).min()), float((pull * (known + rows * slack)).max())
        self._low, self._center, self._half = low, (low + high) / 2, (high - low) / 2
        if self._half <= 1e-15 * self._center:
            self._half, self._terms = 0.0, 1
            return
        # The worst node of any t is on the hyperbola's asymptote, or at rest.
        far = self._center * np.geomspace(1e-3, 1e3, 200)
        residual = self._truncation(np.r_[0.0, far * np.exp(1j * (math.pi / 2 + ANGLE))], np.arange(1, POLYNOMIALS + 1))
        enough = np.flatnonzero(residual.max(axis=1) <= RESIDUAL)
        self._terms = int(enough[0]) + 1 if len(enough) else POLYNOMIALS

    def _truncation(self, z: np.ndarray, terms: np.ndarray) -> np.ndarray:
        """Largest |1 - (z + Delta) p(Delta)| over the interval for each number of terms and z."""
        a = (z + self._center) / self._half
        root = np.sqrt(a - 1) * np.sqrt(a + 1)
        rho = np.abs(a + root)
        tail = 2 / np.abs(root) * rho ** (1.0 - terms[:, None]) / np.maximum(rho - 1, 1e-300)
        return np.asarray((np.abs(a) + 1) * tail)

    def _coefficients(self, z: np.ndarray) -> np.ndarray:
        """Of T_p in Z, (terms, nodes)."""
        if self._half == 0:
            return 1 / (z + self._center)[None]
        a = (z + self._center) / self._half
        root = np.sqrt(a - 1) * np.sqrt(a + 1)
        c = 2 / root * (-1 / (a + root)) ** np.arange(self._terms)[:, None] / self._half
        c[0] /= 2
        return np.asarray(c)

    def _polynomials(self, cells: slice) -> np.ndarray:
        """T_p(Delta), (terms, cells)."""
        s = np.zeros(1) if self._half == 0 else (self.leak_rate[cells] - self._center) / self._half
        found = [np.ones_like(self.leak_rate[cells]), s]
        while len(found) < self._terms:
            found.append(2 * s * found[-1] - found[-2])
        return np.stack(found[: self._terms])

    def _gather(self) -> None:
        """One pass over both arrays: loads, moments and noise."""
        array, k, n = self.array, self.array.rows, self.array.size
        self.load, self.leak_rate, self._cell_noise = np.empty(n), np.empty(n), np.empty(n)
        self._moments, self._alike = np.zeros((2, self._terms, k, k))
        self._row_sums, gram_rows, gram_last, self._row_noise = np.zeros(k), *np.zeros((3, k, k))
        density = 4 * Boltzmann * array.die.ambient * self.noise_power
        for part in array.blocks():
            first, last = array.conductances(FIRST, part), array.conductances(LAST, part)
            pull = array.tau / self.effective_capacitance[part]
            load = np.abs(last).sum(axis=0) + array.damping[part] + array.drive[part]
            self.load[part] = load
            self.leak_rate[part] = pull * (array.damping[part] + self.leak * load)
            self._cell_noise[part] = (density * load + self.amplifiers.currents(load)) * pull**2 / array.tau
            last = last * pull
            gram_rows += first @ first.T
            gram_last += last @ last.T
            self._row_sums += np.abs(first).sum(axis=1)
            self._row_noise += (first * self._cell_noise[part]) @ first.T
            for p, polynomial in enumerate(self._polynomials(part)):
                moved = first * polynomial
                self._moments[p] += moved @ last.T
                self._alike[p] += moved @ (first * pull).T

        self._root_rows, self._root_last = _root(gram_rows), _root(gram_last)

    def _stages(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """K, q and the noise of the last stage's outputs, V^2 per tau."""
        array, e = self.array, self.leak
        density = 4 * Boltzmann * array.die.ambient * self.noise_power
        load = self._row_sums + array.feedback[0]
        gain = 1 / (array.feedback[0] + e * load)
        offset, white = gain * load * array.stage_offsets[0], self._white(gain, density, load)
        self._first_stage = gain, offset
        middle = array.middle
        if middle is None:
            return np.diag(gain), -offset, white
        load = np.abs(middle).sum(axis=1) + array.feedback[1]
        second = 1 / (array.feedback[1] + e * load)
        onward = second[:, None] * middle
        offset = onward @ offset + second * load * array.stage_offsets[1]
        return onward * gain, -offset, onward @ white @ onward.T + self._white(second, density, load)

    def _white(self, gain: np.ndarray, density: float, load: np.ndarray) -> np.ndarray:
        """Noise of a stage's outputs of its own, (k, k) V^2 per tau."""
        return np.diag(gain**2 * (density * load + self.amplifiers.currents(load)) / self.array.tau)

    def direct_deviation(self) -> np.ndarray:
        """See `InputNoise.direct_deviation`; (N,) V."""
        return self.amplifiers.direct_deviation(self.load, self.array.capacitance, self.leak)

    def _outputs(self, rows: np.ndarray) -> np.ndarray:
        """Of the summing amplifiers for currents R v."""
        first = self._first_stage[0] * rows + self._first_stage[1]
        return first if self.array.middle is None else np.r_[first, self.core @ rows - self.stage_drive]

    def _rows(self, vectors: np.ndarray, terms: int | None = None) -> np.ndarray:
        """R T_p(Delta) x for vectors (s, N): (terms, s, k)."""
        found = np.zeros((terms or self._terms, len(vectors), self.array.rows))
        for part in self.array.blocks():
            first = self.array.conductances(FIRST, part)
            for p, polynomial in enumerate(self._polynomials(part)[: len(found)]):
                found[p] += (polynomial * vectors[:, part]) @ first.T
        return found

    def _solve(self, z: np.ndarray, drawn: np.ndarray, through: np.ndarray) -> _Solved:
        """Resolvents at nodes z of right sides with R T_p of (terms, nodes, k), plus Lam q `through`."""
        at = self._resolvents(z)
        q = through[:, None] * self.stage_drive
        right = np.einsum("pq,pqk->qk", at.c, drawn) + through[:, None] * at.stage_drive
        y = (at.inverse @ right[..., None])[..., 0]
        return _Solved(at, y, q - y @ self.core.T)

    def _resolvents(self, z: np.ndarray) -> _Resolvents:
        """What resolvents at nodes z have in common for all right sides; kept with the system, if it is not too large."""
        key = z.tobytes()
        if key in self._kept:
            return self._kept[key]
        c = self._coefficients(z)
        h = (c.T @ self._moments.reshape(len(c), -1)).reshape(len(z), *self.core.shape)
        inverse = torch.linalg.inv(torch.from_numpy(np.eye(self.array.rows) + h @ self.core)).numpy()
        found = _Resolvents(c, inverse, h @ self.stage_drive)
        if sum(one.inverse.size for one in self._kept.values()) + inverse.size <= KEPT:
            self._kept[key] = found
        return found

    def _norms(
        self, z: np.ndarray, solved: _Solved, scales: np.ndarray, vectors: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of |(z - F)^-1|, and of each node's residual, V."""
        resolvent = self._bounds.get(z.tobytes(), lambda: self._bound(z, solved.at))
        size = np.abs(scales).T @ np.linalg.norm(vectors, axis=1)
        size = size + np.linalg.norm(self._root_last @ solved.sent.T, axis=0)
        cut = 0.0 if self._half == 0 else self._truncation(z, np.array([self._terms]))[0]
        return resolvent, (cut + ROUNDING * math.sqrt(len(self.core))) * size

    def _bound(self, z: np.ndarray, at: _Resolvents) -> np.ndarray:
        near = 1 / _distance(z, self._low, self._low + 2 * self._half)
        through = self._root_last @ self.core @ at.inverse @ self._root_rows.T
        return np.asarray(near * (1 + near * spectral_bound(through)))

    def _quadrature(self, t: float, z: np.ndarray, weight: np.ndarray, drawn: np.ndarray, vectors: np.ndarray) -> float:
        """Bound of what the sum over nodes leaves out."""
        # Out to where the spectrum is far behind.
        reach = math.asinh(1e3 * (1 + t * self._fastest))
        theta = (np.arange(SAMPLES) + 0.5) * reach / SAMPLES
        path, length = hyperbola(WIDTH * NODES / t, ANGLE + INNER, theta)
        near = 1 / _distance(path, self._low, self._low + 2 * self._half)
        batch = max(1, BATCH // len(self.core) ** 2)
        batches = [slice(first, first + batch) for first in range(0, SAMPLES, batch)]
        if t not in self._proven:
            weigh = self._balance(path)
            self._proven[t] = all(self._stays_inside(path[some], weigh) for some in batches)
        if not self._proven[t]:
            return math.inf
        total, (decay, response) = 0.0, left_out(path, t, z, weight)
        for some in batches:
            for vector, moved, error, through in zip(
                vectors, drawn.swapaxes(0, 1), (decay, response), (0.0, 1.0), strict=True
            ):
                right = np.repeat(moved[:, None], len(near[some]), axis=1)
                solved = self._solve(path[some], right, np.full(right.shape[1], through))
                sent = np.linalg.norm(self._root_last @ solved.sent.T, axis=0)
                size = near[some] * (np.linalg.norm(vector) + sent)
                total += float((np.abs(error[some] * length[some]) * size).sum())
        return total * reach / SAMPLES / math.pi

    def _require_inside(self, t: float) -> None:
        """InputError unless the modes of uniform Delta are inside the narrower hyperbola."""
        if angle_of(-self._modes, WIDTH * NODES / t) < ANGLE + INNER:
            raise InputError(
                "the mismatch of the parts makes modes of this system oscillate too fast for the law of the cascade: lower the mismatch, "
                "raise the damping, or give Dense(system.dense()) to a device for dense systems"
            )

    def _balance(self, path: np.ndarray) -> np.ndarray:
        """A similarity, which leaves determinants as they are, that weighs strong and weak modes alike, (k, k)."""
        values, basis = np.linalg.eig(self._alike[0] @ self._symmetric / (self._center + abs(path[0])))
        if np.linalg.cond(basis) > 1e8:
            return np.eye(len(values))
        return np.asarray(basis * (1 + values) ** -0.5 @ np.linalg.inv(basis))

    def _stays_inside(self, path: np.ndarray, weigh: np.ndarray) -> bool:
        """Whether no eigenvalue passes these points on the way from modes that are known to be inside."""
        c = self._coefficients(path)
        h, alike = (np.einsum("pq,pij->qij", c, moments) for moments in (self._moments, self._alike))
        known = np.eye(len(self.core)) + alike @ self._symmetric
        moved = np.linalg.solve(known, (h @ self.core - alike @ self._symmetric) @ weigh)
        return float(spectral_bound(np.linalg.solve(weigh, moved)).max()) < 1

    def _sum(
        self, vectors: np.ndarray, weight: np.ndarray, scales: np.ndarray, solved: _Solved, bound: float
    ) -> Motion:
        """The motion that nodes of these weights add up to."""
        share = weight * solved.at.c
        alone = np.einsum("pq,sq->ps", share, scales).real
        sent = (share @ solved.sent).real
        volts = np.empty(self.array.size)
        for part in self.array.blocks():
            back = (sent @ self.array.conductances(LAST, part)) * (self.array.tau / self.effective_capacitance[part])
            volts[part] = (self._polynomials(part) * (alone @ vectors[:, part] + back)).sum(axis=0)
        return Motion(volts, self._outputs((weight @ solved.y).real), bound)


@dataclass(frozen=True)
class _Resolvents:
    """Of each node: coefficients of Z, (I + H K)^-1, and H q."""

    c: np.ndarray
    inverse: np.ndarray
    stage_drive: np.ndarray


@dataclass(frozen=True)
class _Solved:
    """Of each node: its resolvent, y, and q through - K y."""

    at: _Resolvents
    y: np.ndarray
    sent: np.ndarray


def _distance(z: np.ndarray, low: float, high: float) -> np.ndarray:
    """From -z to the interval."""
    return np.asarray(np.abs(-z - np.clip(-z.real, low, high)))


def _root(gram: np.ndarray) -> np.ndarray:
    """S with S^T S = gram."""
    values, basis = np.linalg.eigh(gram)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * basis.T)


def _phi(a: np.ndarray, t: float) -> np.ndarray:
    """int_0^t e^{-a s} ds."""
    return 1 / a if math.isinf(t) else np.where(a == 0, t, -np.expm1(-a * t) / np.where(a == 0, 1.0, a))
