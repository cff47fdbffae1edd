"""Large stable laws dx = F x dt + dW by products with one resolvent R = (1 - gamma F)^-1, which is formed once.

exp(F t) w, by a rational Krylov space:

    R V = V H + h v e_m^T  (Arnoldi),   exp(F t) w ~ |w| V exp(t G) e_1,   G = (1 - H^-1) / gamma

Some 20 steps reach rounding whatever the spread of the time constants is, with gamma about the geometric mean of the fastest and the
slowest (J. van den Eshof, M. Hochbruck, SIAM J. Sci. Comput. 27:1438, 2006). The approximation obeys the equation up to the residual
h (1 - gamma F) v phi(s) / gamma, phi(s) = |w| e_m^T H^-1 exp(s G) e_1, and what that left at s has decayed as exp(-mu (t - s)) at t.
Iteration ends where the largest of |h phi(s)| exp(-mu (t - s)) over s in [0, t] is below the tolerance; mu is the rate by which every state
is known to decay, so that a slow mode of which w has little is not overlooked.

A draw at rest, with C = 1 - 2 R and <q q^T> = Q, by the alternating-direction series of the Lyapunov equation F S + S F^T + Q = 0:

    S = 2 gamma sum_k R C^k Q C^kT R^T,   x = (2 gamma)^1/2 R (q_0 + C q_1 + ... + C^(m-1) q_(m-1) + alpha C^m q_m)

For any stable F, normal or not, cutting it off leaves C^m (a R Q R^T - S) C^mT of the covariance, a = 2 gamma alpha^2. With
c = (1 - gamma r) / (1 + gamma r) for a mode of rate r, alpha^2 = 1 / (1 - c^2) at the slowest and the fastest rate makes that vanish where
it would be largest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

MAX_STEPS = 60
CHECKS = (5, 8, 12, 16, 20, 25, 30, 36, 43, 51, 60)
"""Steps at which the residual is looked at, of a time that was not asked for before."""
CANCELLED = 0.05
"""Share of an image that is new, below which it is made orthogonal once more."""
AT_ONCE = 64
"""Vectors whose bases are held at a time."""
INSTANTS = 4
"""Parts of [0, t] at whose ends the residual is looked at."""
CUT = 4e-3
"""Relative error of a mode's variance at which the series is cut off."""
MOST_TERMS = 100


@dataclass(frozen=True, eq=False)
class ShiftInvert:
    """Products with exp(F t), and draws at rest.

    Args:
        resolvent: R = (1 - gamma F)^-1, (n, n). gamma: > 0, in the unit of time of F.
        decay: mu >= 0 with |exp(F t) w| <= exp(-mu t) |w|; 0: no mode grows.
    """

    resolvent: Tensor
    gamma: float
    decay: float = 0.0
    _steps: dict[float, int] = field(default_factory=dict)

    def exponential(self, vectors: Tensor, times: Tensor, tolerance: Tensor) -> Tensor | None:
        """exp(F t_k) w_k for the rows w_k of `vectors`, (k, n), with times (k,) > 0.

        None: not to `tolerance`, (k,) absolute, in `MAX_STEPS`.
        """
        if len(vectors) > AT_ONCE:
            pieces = zip(vectors.split(AT_ONCE), times.split(AT_ONCE), tolerance.split(AT_ONCE), strict=True)
            parts = [self.exponential(*piece) for piece in pieces]
            known = [part for part in parts if part is not None]
            return torch.cat(known) if len(known) == len(parts) else None
        vectors = vectors.to(self.resolvent.dtype)
        count, n = vectors.shape
        sizes = vectors.norm(dim=1)
        bases = vectors.new_empty(count, min(MAX_STEPS, n) + 1, n)
        bases[:, 0] = vectors / torch.where(sizes > 0, sizes, 1.0).unsqueeze(1)
        H, done = np.zeros((count, MAX_STEPS + 1, MAX_STEPS)), [size == 0 for size in sizes.tolist()]
        found, checks = torch.zeros_like(vectors), self._checks(times)
        for m in range(1, min(MAX_STEPS, n) + 1):
            images = self.image(bases[:, m - 1])
            check = m == n or m in checks
            for k in range(count):
                if done[k]:
                    continue
                H[k, : m + 1, m - 1] = _orthogonalised(images[k], bases[k], m)
                if check:
                    time, size, limit = float(times[k]), float(sizes[k]), float(tolerance[k])
                    weights = self._weights(H[k, : m + 1, :m], time, limit / size)
                    if weights is not None:
                        found[k] = size * (torch.from_numpy(weights).to(found.dtype) @ bases[k, :m])
                        done[k] = True
                        self._steps[time] = m
            if all(done):
                return found.to(torch.float64)
        return None

    def _checks(self, times: Tensor) -> set[int]:
        """At first by and by; then about where it ended the last time."""
        known = [self._steps.get(time) for time in set(times.tolist())]
        if None in known:
            return set(CHECKS)
        return {m for last in known if last is not None for m in range(last - 1, MAX_STEPS + 1, 2)}

    def _weights(self, H: np.ndarray, time: float, tolerance: float) -> np.ndarray | None:
        """exp(t G) e_1, (m,), or None where the residual says no."""
        m = H.shape[1]
        try:
            inverse = np.linalg.inv(H[:m])
        except np.linalg.LinAlgError:
            return None
        step = scipy.linalg.expm((np.eye(m) - inverse) * (time / INSTANTS / self.gamma))
        last, state, worst = H[m, m - 1] * inverse[-1], np.eye(m)[0], 0.0
        for instant in range(INSTANTS + 1):
            state = step @ state if instant else state
            left = math.exp(-self.decay * time * (1 - instant / INSTANTS))
            worst = max(worst, abs(float(last @ state)) * left)
        return state if worst <= tolerance and np.isfinite(state).all() else None

    def left_over(self, m: int, n: int) -> float:
        """The m-th root of |C^m w|^2 / |w|^2 for a random w, (n,); of a normal F at most c^2."""
        w = torch.randn(1, n, dtype=self.resolvent.dtype, generator=torch.Generator().manual_seed(1))
        size = float(w.norm())
        for _ in range(m):
            w = w - 2 * self.image(w)
        return (float(w.norm()) / size) ** (2 / m)

    def at_rest(self, pushes: Tensor, alpha: float) -> Tensor:
        """Draws (r, n) of the law at rest from pushes (m + 1, r, n) of covariance Q."""
        pushes = pushes.to(self.resolvent.dtype)
        x = alpha * pushes[-1]
        for k in range(len(pushes) - 2, -1, -1):
            x = x - 2 * self.image(x) + pushes[k]
        return math.sqrt(2 * self.gamma) * self.image(x).double()

    def image(self, vectors: Tensor) -> Tensor:
        """R w for the rows w of `vectors`."""
        return vectors @ self.resolvent.mT


@dataclass(frozen=True, eq=False)
class Followed(ShiftInvert):
    """The law of [x, s], ds/dt = w (x - s): states and what filters of one pole hold of them, by the resolvent of x alone.

    Args:
        pole: w > 0, the inverse of a time.
    """

    pole: float = 0.0

    def image(self, vectors: Tensor) -> Tensor:
        """See `ShiftInvert`; rows [x, s]."""
        states, held = vectors.tensor_split(2, dim=-1)
        image, share = states @ self.resolvent.mT, self.gamma * self.pole
        return torch.cat([image, (held + share * image) / (1 + share)], dim=-1)


def terms(gamma: float, slowest: float, fastest: float) -> tuple[int, float] | None:
    """m and alpha of draws at rest for rates between two, 1 / time; None: more than `MOST_TERMS`."""
    c = max(abs((1 - gamma * rate) / (1 + gamma * rate)) for rate in (slowest, fastest)) ** 2
    for m in range(1, MOST_TERMS + 1):
        # The largest of x^m (c - x) / (1 - c) over x up to c is at c m / (m + 1).
        inner = c * m / (m + 1)
        if inner**m * (c - inner) / (1 - c) <= CUT:
            return m, 1 / math.sqrt(1 - c)
    return None


def _orthogonalised(image: Tensor, basis: Tensor, m: int) -> np.ndarray:
    """Coefficients (m + 1,) of an image in the basis, to which what is new in it is appended, of unit length."""
    held = basis[:m]
    size, shares = float(torch.linalg.vector_norm(image)), torch.mv(held, image)
    image = torch.addmv(image, held.mT, shares, alpha=-1)
    length = float(torch.linalg.vector_norm(image))
    if length < CANCELLED * size:
        # Twice is enough (W. Kahan, in B. Parlett, The Symmetric Eigenvalue Problem, 1980).
        more = torch.mv(held, image)
        image, shares = torch.addmv(image, held.mT, more, alpha=-1), shares + more
        length = float(torch.linalg.vector_norm(image))
    torch.mul(image, 1 / length if length > 0 else 0.0, out=basis[m])
    return np.append(shares.numpy(), length)
