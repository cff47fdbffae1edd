"""Whether a mode of a cascade grows: by a numerical range where that decides it, else by all natural frequencies.

With T(s) = prod_t (eps + B_t)^-1 A_t, from cells' voltages to the last stage, modes obey (`cascade_dynamics`)

    P(s) v = { sum_k W_k (K_k T + g_k + s C_k) + eps 2 Y_0 Y_1 / (Y_0 + Y_1) } v = 0.

In coordinates in which the capacitances are 1, |v| = 1, with p_r + i p_i in the numerical range of P(0), |p_i| <= skew, l in that of the
loads, N = sum_t K .. (leak + B_t)^-1 .. A_1, what T loses per lag, and q a bound of its second order in w,

    Re v^H P(i w) v = p_r - w^2 (d + b l + q) + w d skew(N),      Im v^H P(i w) v = w (1 + a - b w^2 + d l - d n) + p_i + ...

Amplifiers without a peak, d^2 >= 2 b (a + B), make |T(s)| for Re s >= 0 no larger than the product c of the norms of what passes at rest,
so that no growing mode is faster than 2 c. Below that, terms beside w of at most w / 2 keep Im from zero but for |w| < 2 skew, where
Re > 0 excludes a crossing on the way from a cascade whose last array is empty. As in `array_dynamics`, rails that differ add
w |m (K_0 - K_1) T|.
"""

from __future__ import annotations

import numpy as np

from ..matrices import is_positive_definite
from .array_dynamics import SLACK
from .cascade_dynamics import CascadeDynamics


def grows(dynamics: CascadeDynamics) -> bool:
    """Whether a mode grows."""
    rest = dynamics.at_rest.matrix
    sign, _ = np.linalg.slogdet(rest)
    if sign <= 0:
        return True
    if _range_excludes_zero(dynamics, rest):
        return False
    return bool(np.linalg.eigvals(dynamics.linear_law().drift).real.max() >= 0)


def _range_excludes_zero(dynamics: CascadeDynamics, rest: np.ndarray) -> bool:
    """Whether the numerical range on the imaginary axis is known to be without zero."""
    leak, lag, second, cells = dynamics.leak, dynamics.lag, dynamics.second, dynamics.cells
    load_0, load_1 = cells.load
    weights = np.stack([load_1, load_0]) / (load_0 + load_1)
    storage = (weights * dynamics.capacitance).sum(axis=0)
    half = 1.0 / np.sqrt(storage)
    slowest = [leak + stage.fed_back for stage in dynamics.stages]
    if any(lag**2 < 2 * second * float(held.max()) for held in slowest):
        return False
    gains = [stage.passed / held[:, None] for stage, held in zip(dynamics.stages, slowest, strict=True)]
    last = half[:, None] * (weights[..., None] * cells.entries).sum(axis=0)
    passed = [np.diag(half)]
    for gain in gains:
        passed.append(gain @ passed[-1])
    lost, sent = np.zeros_like(rest), last
    for held, gain, signal in zip(reversed(slowest), reversed(gains), reversed(passed[1:]), strict=True):
        lost += (sent / held) @ signal
        sent = sent @ gain
    scaled = half[:, None] * rest * half
    through = _norm(last) * float(np.prod([_norm(gain) for gain in gains])) * float(half.max())
    fastest = 2 * through
    slow = sum(1.0 / float(held.min()) for held in slowest)
    curved = through * slow * (second + (lag + second * fastest) ** 2 * slow)
    moved = (dynamics.capacitance[1] * load_0 - dynamics.capacitance[0] * load_1) / (load_0 + load_1) ** 2
    apart = _norm((half * moved)[:, None] * ((cells.entries[0] - cells.entries[1]) @ passed[-1]))
    own = float((cells.load.max(axis=0) / storage).max())
    beside = lag * _norm(lost) + second * fastest**2 + fastest * curved + apart
    if beside > 0.5 or 2 * second * (fastest + own) > lag:
        return False
    span = _norm(scaled - scaled.T)
    taken = span**2 * (lag + second * own + curved) + span * (lag * _norm(lost - lost.T) / 2 + apart)
    return bool(is_positive_definite(scaled - SLACK * taken * np.eye(len(scaled))))


def _norm(matrix: np.ndarray) -> float:
    return float(np.linalg.norm(matrix, 2))
