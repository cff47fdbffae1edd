"""The exact law of damped oscillators as functions of their stiffness a, an eigenvalue of A:

    x' = v,     v' = b - a x - gamma v + N(0, 2 gamma kappa0 dt)

Each eigenvalue is a law of two states, so that n oscillators are n laws of 2 by 2: by `doubling`, which holds for any a, of either sign or
zero, and at critical damping, where the two roots coincide.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .doubling import Transition, integrate

Scalar = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Oscillation:
    """What becomes of oscillators in a time t.

    Args:
        friction: gamma > 0. t: >= 0, in units in which a unit stiffness swings through one radian; math.inf: at rest.
        kappa0: >= 0; Cov(x) = kappa0 / a and Var(v) = kappa0 at rest, whatever the friction is.
    """

    friction: float
    t: float
    kappa0: float = 0.0
    _known: list[tuple[Tensor, Transition]] = field(default_factory=list, init=False, repr=False)

    def propagator(self, i: int, j: int) -> Scalar:
        """a -> what of state j at first is in state i after t; 0 is x, 1 is v."""
        if math.isinf(self.t):
            # A mode without restoring force coasts, and keeps where it comes to a stop.
            kept = {(0, 0): 1.0, (0, 1): 1.0 / self.friction}.get((i, j), 0.0)
            return lambda a: kept * (a == 0).to(a.dtype)
        return lambda a: self._over(a).propagator[..., i, j]

    def response(self, i: int) -> Scalar:
        """a -> what a drive of 1 makes of state i from rest."""
        if math.isinf(self.t):
            return lambda a: torch.where((a == 0) | (i == 1), 0.0, 1 / a)
        return lambda a: self._over(a).mean[..., i, 0]

    def root(self, i: int, j: int) -> Scalar:
        """a -> entry (i, j) of the lower Cholesky factor of what noise makes of [x, v]; at rest for a > 0."""

        def entry(a: Tensor) -> Tensor:
            xx, xv, vv = self._covariance(a)
            first = xx.clamp(min=0).sqrt()
            mixed = torch.where(first > 0, xv / torch.where(first > 0, first, 1.0), 0.0)
            if (i, j) == (0, 0):
                return first
            return mixed if j == 0 else (vv - mixed.square()).clamp(min=0).sqrt()

        return entry

    def _covariance(self, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if math.isinf(self.t):
            return self.kappa0 / a, torch.zeros_like(a), torch.full_like(a, self.kappa0)
        covariance = self._over(a).covariance
        assert covariance is not None
        return covariance[..., 0, 0], covariance[..., 1, 0], covariance[..., 1, 1]

    def _over(self, a: Tensor) -> Transition:
        for values, found in self._known:
            if values is a:
                return found
        self._known.append((a, self._integrated(a)))
        return self._known[-1][1]

    def _integrated(self, a: Tensor) -> Transition:
        drift, diffusion = a.new_zeros(*a.shape, 2, 2), a.new_zeros(*a.shape, 2, 2)
        drift[..., 0, 1], drift[..., 1, 0], drift[..., 1, 1] = 1.0, -a, -self.friction
        diffusion[..., 1, 1] = 2 * self.friction * self.kappa0
        drive = a.new_tensor([[0.0], [1.0]]).expand(*a.shape, 2, 1)
        return integrate(drift, drive, self.t, diffusion if self.kappa0 > 0 else None)
