"""Functions of a drift F by a contour integral, sum over nodes of weight (z - F)^-1, and what such a sum leaves out.

    f(F) = (1 / 2 pi i) int e^{zt} (z - F)^-1 dz

on the hyperbola of J. A. C. Weideman and L. N. Trefethen, Math. Comp. 76, 1341 (2007), by the midpoint rule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

STEP, WIDTH, ANGLE = 1.08179214, 4.49207528, 1.17210423
"""Their hyperbola for one time t with n nodes: h = STEP / n, mu = WIDTH n / t, and its angle."""
INNER = 0.2
"""How much larger the angle of a narrower hyperbola is, along which the error is bounded; at pi/2 it would be the axis."""
ROUNDING = 2e-16
"""Relative error of a resolvent's linear system, times the square root of its size."""


@dataclass(frozen=True)
class Motion:
    """Where the cells are after some time.

    Attributes:
        volts: (N,) V. stages: outputs of the summing amplifiers, one stage after the other, V.
        bound: of the error of `volts`, V in the Euclidean norm; the rounding in it is an estimate.
            inf: mismatch keeps it from being proven.
    """

    volts: np.ndarray
    stages: np.ndarray
    bound: float


def hyperbola(mu: float, angle: float, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z = mu (1 + sin(i theta - angle)) and dz/dtheta."""
    return mu * (1 + np.sin(1j * theta - angle)), 1j * mu * np.cos(1j * theta - angle)


def nodes(t: float, count: int, step: float, width: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes of the upper half plane and weights of e^{zt} dz / (pi i): twice the real part stands for the conjugate nodes."""
    z, slope = hyperbola(width * count / t, angle, (np.arange(count) + 0.5) * step / count)
    return z, slope * np.exp(z * t) * (step / count) / (1j * math.pi)


def left_out(path: np.ndarray, t: float, z: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the sum over nodes differs by from e^{zt} and from (e^{zt} - 1) / z, at points of a path."""
    decay, response = np.exp(path * t), np.expm1(path * t) / path
    for node, w in ((z, weight / 2), (z.conj(), weight.conj() / 2)):
        poles = 1 / (node[None, :] - path[:, None])
        decay, response = decay - poles @ w, response - poles @ (w / node)
    return decay, response


def angle_of(modes: np.ndarray, mu: float) -> float:
    """The smallest angle of a hyperbola of this mu through one of the modes of F; a point is inside where that is larger."""
    return float(np.arcsin(1 - modes / mu + 0j).real.min())


def spectral_bound(X: np.ndarray) -> np.ndarray:
    """Upper bound of the spectral norms of matrices (..., k, k), k^(1/32) too large at most: |X|^16 = |(X^H X)^8|, by Frobenius' norm."""
    size = np.linalg.norm(X, axis=(-2, -1))
    scaled = X / np.where(size > 0, size, 1.0)[..., None, None]
    power = scaled.conj().swapaxes(-1, -2) @ scaled
    for _ in range(3):
        power = power @ power
    return np.asarray(size * np.linalg.norm(power, axis=(-2, -1)) ** (1 / 16))
