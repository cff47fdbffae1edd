"""`KroneckerDynamics`: the exact motion of cells behind arrays of A and B, for any number of them, by resolvents of `KroneckerDrift`.

Mean. As in `low_rank_dynamics`: x(t) = (1 / 2 pi i) int e^{zt} (z - F)^-1 (x_0 + u / z) dz, on the hyperbola and with the weights of
J. A. C. Weideman and L. N. Trefethen, Math. Comp. 76, 1341 (2007). A settled state is the one node z = 0. The nodes' resolvents are found
together, so that one pass over the arrays serves them all.

Error bound. What GMRES leaves of each resolvent, through the resolvent's bound; and |f - r| of the sum over nodes r against f, through
that bound along a narrower hyperbola, in sampled points; the best of a few. Where mismatch lets modes be outside of all of them
(`KroneckerDrift.distance`), the bound is infinite, and the modes found nearest to growth are what is looked at.

Noise. Every resistor's: 4 k T L a cell (two rails), and that of each summing amplifier, 4 k T (L_1 + f), through what follows, besides that
of the amplifiers' inputs (`input_noise`):

    Q = P [4 k T L + G_2 Phi^-1 4 k T (L_1 + f) Phi^-1 G_2^T] P / tau,     <v v^T> = int_0^t e^{Fs} Q e^{F^T s} ds.

With Gauss's nodes s_k and weights w_k in intervals that double in length, from 1 / |F| on, a draw is sum_k w_k^(1/2) e^{F s_k} y_k, of
independent y_k of covariance Q: nothing is symmetric, diagonal or alike in it. The exponentials of four intervals share one hyperbola, that
of the same paper for times from t / 16 to t, and their right sides add up; those of the first interval are a polynomial of F.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.constants import Boltzmann

from ...circuits.errors import InputError
from .contour import ANGLE, INNER, ROUNDING, STEP, WIDTH, Motion, angle_of, hyperbola, left_out, nodes
from .input_noise import SILENT, InputNoise
from .kronecker_array import KroneckerArray
from .kronecker_drift import KroneckerDrift

NODES = 16
"""Quadrature nodes in the upper half plane."""
LONG_STEP, LONG_WIDTH, LONG_ANGLE = 4.02594584, 0.64394073, 0.99170041
"""STEP, WIDTH and ANGLE for times of a ratio up to 16; 16 nodes leave 5e-7."""
INTERVALS = 4
"""Doublings within that ratio."""
GAUSS = 5
"""Nodes of an interval of time."""
DEGREE = 12
"""Of the polynomial for times up to 1 / |F|: leaves 2e-10."""
INNERS = (0.15, 0.2, 0.25, 0.3)
"""How much larger angles of narrower hyperbolas are: a larger one bounds more closely, if modes are known to be inside of it."""
SAMPLES = 8 * NODES
"""Samples of a narrower hyperbola, along which the error is bounded."""
AT_REST = 40.0
"""Decay rate times t beyond which a run is a settled one; what is left of the start, e^-40 = 4e-18, is in the bound."""
QUIET = 12.0
"""Decay rate times time beyond which noise is forgotten: e^-24 = 4e-11 of its power."""
EXACT, NOISY = 1e-13, 1e-8
"""What GMRES may leave of right sides, of the mean and of noise."""
LEAST = 1e-6
"""Relative residual of GMRES above which a run raises."""


class KroneckerDynamics:
    """Mean and noise of the cells behind one array.

    Args:
        array: the parts.
        leak: 1 / A0.
        noise_power: of Johnson noise, over the law's; 0 is silent. amplifiers: noise of their inputs.

    Attributes:
        drift: F. stable, settles: see `KroneckerDrift`.
    """

    def __init__(
        self, array: KroneckerArray, leak: float, noise_power: float = 0.0, amplifiers: InputNoise = SILENT
    ) -> None:
        self.array, self.noise_power, self.drift = array, noise_power, KroneckerDrift(array, leak)
        self.leak, self.amplifiers = leak, amplifiers
        drift, self._shape = self.drift, array.shape
        self.stable, self.settles = drift.stable, drift.settles
        self._stage_offset = drift.gain * drift.stage_load * array.stage_offsets.reshape(self._shape)
        sent = drift.last(self._stage_offset[None])[0] if self._stage_offset.any() else 0.0
        self._offset = drift.pull * (drift.load * array.offset.reshape(self._shape) - sent)
        self._stretch = math.sqrt(float(drift.pull.max() / drift.pull.min()))

    def motion(self, currents: np.ndarray, start: np.ndarray, t: float) -> Motion:
        """The mean cell voltages after t tau.

        Args:
            currents: differential drive, (N,) A. start: (N,) V. t: tau; inf for the settled state.

        Raises:
            InputError: an unstable law; inf where there is no settled state; oscillatory modes caused by mismatch; GMRES does not
                converge.
        """
        drift, array = self.drift, self.array
        if not self.stable:
            raise InputError("the law has a growing mode: more damping is needed")
        x = start.reshape(self._shape)
        if t == 0:
            return self._motion(x.copy(), 0.0)
        u = drift.pull * (currents * array.drive / array.drive_nominal).reshape(self._shape) + self._offset
        if math.isinf(t) or t * drift.slowest > AT_REST:
            return self._at_rest(x, u, t)
        z, weight = nodes(t, NODES, STEP, WIDTH, ANGLE)
        outside = self._quadrature(t, z, weight, float(np.linalg.norm(x)), float(np.linalg.norm(u)))
        if math.isinf(outside):
            self._require_inside(WIDTH * NODES / t, ANGLE)
        right = x + u / z[:, None, None]
        found, left = self._resolve(z, right, EXACT)
        bound = outside + float((np.abs(weight) * self._resolvent(z) * left).sum())
        return self._motion(np.einsum("s,spq->pq", weight, found).real, bound)

    def fluctuation(self, t: float, rng: np.random.Generator) -> np.ndarray:
        """A draw of what noise has added after t tau, (N,) V."""
        drift, array = self.drift, self.array
        if self.noise_power == 0 or t == 0:
            return np.zeros(array.size)
        times, weights = self._times(min(t, QUIET / drift.slowest) if self.settles else t)
        density, inputs = 4 * Boltzmann * array.die.ambient * self.noise_power, self.amplifiers
        cells, stages = rng.standard_normal((2, len(times), *self._shape))
        cells *= np.sqrt((density * drift.load + inputs.currents(drift.load)) / array.tau)
        sent = (density * drift.stage_load + inputs.currents(drift.stage_load)) / array.tau
        cells += drift.last(drift.gain * np.sqrt(sent) * stages)
        cells *= drift.pull * np.sqrt(weights)[:, None, None]
        return self._carried(times, cells).ravel()

    def direct_deviation(self) -> np.ndarray:
        """See `InputNoise.direct_deviation`; (N,) V."""
        capacitance = self.array.tau / (self.drift.pull * (1 + self.leak))
        return self.amplifiers.direct_deviation(self.drift.load, capacitance, self.leak).ravel()

    def _motion(self, volts: np.ndarray, bound: float) -> Motion:
        stages = self.drift.gain * self.drift.first(volts[None])[0] + self._stage_offset
        return Motion(volts.ravel(), stages.ravel(), bound)

    def _at_rest(self, x: np.ndarray, u: np.ndarray, t: float) -> Motion:
        if not self.settles:
            raise InputError("there is no settled state: damping or 1/A0 must be above 0")
        z = np.zeros(1, dtype=complex)
        found, left = self._resolve(z, u[None], EXACT)
        volts, margin = found[0].real, float(self.drift.distance(z)[0])
        bound = float((self._resolvent(z) * left)[0])
        if margin > 0:
            bound += self._stretch * math.exp(-margin * t) * float(np.linalg.norm(x - volts))
        return self._motion(volts, bound)

    def _resolve(self, z: np.ndarray, right: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
        """`KroneckerDrift.resolve`, what is left with its rounding, (s,)."""
        found, left = self.drift.resolve(z, right, tolerance)
        size, reached = (np.linalg.norm(value.reshape(len(z), -1), axis=1) for value in (right, found))
        if (left > LEAST * size).any():
            raise InputError(
                "the parts' mismatch keeps the law of A (x) B from being solved, GMRES leaves "
                f"{float((left / np.maximum(size, 1e-300)).max()):.1g} of a right side: lower the "
                "mismatch, raise the damping, or give Dense(system.dense()) to a device for dense systems"
            )
        rounding = ROUNDING * math.sqrt(sum(self._shape))
        return found, left + rounding * (size + (np.abs(z) + self.drift.fastest) * reached)

    def _resolvent(self, z: np.ndarray) -> np.ndarray:
        """Bound of |(z - F)^-1|; inf where there can be modes."""
        distance = self.drift.distance(z)
        return np.where(distance > 0, self._stretch / np.maximum(distance, 1e-300), math.inf)

    def _quadrature(self, t: float, z: np.ndarray, weight: np.ndarray, start: float, drive: float) -> float:
        """Bound of what the sum over nodes leaves out, of vectors of these norms."""
        # Out to where the modes are far behind.
        reach, bounds = math.asinh(1e3 * (1 + t * self.drift.fastest)), []
        theta = (np.arange(SAMPLES) + 0.5) * reach / SAMPLES
        for inner in INNERS:
            path, length = hyperbola(WIDTH * NODES / t, ANGLE + inner, theta)
            decay, response = left_out(path, t, z, weight)
            missed = np.abs(decay) * start + np.abs(response) * drive
            bounds.append(float((missed * self._resolvent(path) * np.abs(length)).sum()) * reach / SAMPLES / math.pi)
        return min(bounds)

    def _require_inside(self, mu: float, angle: float) -> None:
        """InputError unless the modes nearest to growth are well inside of the hyperbola."""
        if angle_of(self.drift.modes, mu) < angle + INNER:
            raise InputError(
                "the mismatch of the parts makes modes of this system oscillate too fast for the law of A (x) B: lower the mismatch, "
                "raise the damping, or give Dense(system.dense()) to a device for dense systems"
            )

    def _times(self, t: float) -> tuple[np.ndarray, np.ndarray]:
        """Nodes and weights of an integral over 0 to t, the latest interval first."""
        halvings = max(0, math.ceil(math.log2(t * self.drift.fastest)))
        ends = np.append(t * 0.5 ** np.arange(halvings + 1), 0.0)
        x, w = np.polynomial.legendre.leggauss(GAUSS)
        middle, half = (ends[:-1] + ends[1:]) / 2, (ends[:-1] - ends[1:]) / 2
        return (middle[:, None] + half[:, None] * x).ravel(), (half[:, None] * w).ravel()

    def _carried(self, times: np.ndarray, sources: np.ndarray) -> np.ndarray:
        """sum of e^{F s} y over `_times` and sources (times, p, q)."""
        total, group = np.zeros(self._shape), GAUSS * INTERVALS
        for first in range(0, len(times) - GAUSS, group):
            some = slice(first, min(first + group, len(times) - GAUSS))
            end = times[some].max()
            z, weight = nodes(end, NODES, LONG_STEP, LONG_WIDTH, LONG_ANGLE)
            if (self.drift.distance(z) <= 0).any():
                self._require_inside(LONG_WIDTH * NODES / end, LONG_ANGLE)
            shares = weight[:, None] * np.exp(z[:, None] * (times[some] - end))
            found, _ = self._resolve(z, np.einsum("zs,spq->zpq", shares, sources[some]), NOISY)
            total += found.sum(axis=0).real
        times, sources, polynomial = times[-GAUSS:], sources[-GAUSS:], np.zeros((1, *self._shape))
        for n in range(DEGREE, -1, -1):
            polynomial = np.einsum("s,spq->pq", times**n / math.factorial(n), sources) + self.drift.apply(polynomial)
        return np.asarray(total + polynomial[0])
