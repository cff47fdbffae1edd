"""The exact law of a linear stochastic differential equation over a time t, for any drift.

    dx = (F x + u) dt + dW,  <dW dW^T> = Q dt:    x(t) = E x(0) + m + N(0, S),
    E = exp(F t),   m = int_0^t exp(F s) u ds,   S = int_0^t exp(F s) Q exp(F s)^T ds.

Computed over a short step by Taylor series and then doubled, E <- E E, m <- m + E m, S <- S + E S E^T (no inverse and no growing
exponential, so it holds for singular, non-normal and unstable F; a settled law is what doubling converges to).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

BASE_NORM = 0.25
"""Norm of F h on the base step; the series then need fewer than twelve terms for double precision."""
TERMS = 12
SETTLED = 1e-14
"""Norm of E below which nothing of the start is left."""
MAX_DOUBLINGS = 48
"""Doublings in search of a settled law: 2^48 roundings stay below one, so that they cannot damp a lossless mode."""


@dataclass(frozen=True)
class Transition:
    """x(t) = E x(0) + m + N(0, S). `settled`: whether a law for t = inf converged (False: F has no stable equilibrium)."""

    propagator: Tensor
    mean: Tensor
    covariance: Tensor | None
    settled: bool = True

    def then(self, second: Transition) -> Transition:
        """The transition over both times, this one first; the drifts may differ (a matrix that changes after a delay).

        E = E2 E1, m = E2 m1 + m2, S = E2 S1 E2^T + S2; a covariance that was left out counts as zero.
        """
        e = second.propagator
        mean = (e @ self.mean.unsqueeze(-1)).squeeze(-1) + second.mean
        carried = None if self.covariance is None else e @ self.covariance @ e.mT
        parts = [part for part in (carried, second.covariance) if part is not None]
        covariance = parts[0] + parts[1] if len(parts) == 2 else next(iter(parts), None)
        return Transition(e @ self.propagator, mean, covariance, self.settled and second.settled)


def transition(drift: Tensor, drive: Tensor, duration: float, diffusion: Tensor | None = None) -> Transition:
    """The exact transition of dx = (F x + u) dt + dW.

    Args:
        drift: F, (..., n, n), 1/s (or any unit of time, the one of `duration`).
        drive: u, (..., n).
        duration: t >= 0; math.inf asks for the settled law.
        diffusion: Q, (..., n, n), symmetric; None leaves the covariance out.
    """
    law = integrate(drift, drive.unsqueeze(-1), duration, diffusion)
    return Transition(law.propagator, law.mean.squeeze(-1), law.covariance, law.settled)


def integrate(drift: Tensor, drives: Tensor | None, duration: float, diffusion: Tensor | None = None) -> Transition:
    """As `transition`, for r drives at once: `drives` and the mean are (..., n, r). None is the identity: int_0^t exp(F s) ds."""
    norm = float(torch.linalg.matrix_norm(drift.detach(), ord=1).max())
    if duration == 0 or (norm == 0 and math.isinf(duration)):
        eye = torch.eye(drift.shape[-1], dtype=drift.dtype, device=drift.device).expand_as(drift)
        nothing = None if diffusion is None else torch.zeros_like(diffusion)
        return Transition(eye, torch.zeros_like(eye if drives is None else drives), nothing, settled=duration == 0)
    if math.isinf(duration):
        step, doublings = BASE_NORM / norm, MAX_DOUBLINGS
    else:
        doublings = max(0, math.ceil(math.log2(max(norm * duration / BASE_NORM, 1.0))))
        step = duration / 2**doublings
    e, m, s = _base(drift * step, drives, step, None if diffusion is None else diffusion * step)
    for _ in range(doublings):
        m = m + e @ m
        if s is not None:
            s = s + e @ s @ e.mT
        e = e @ e
        if math.isinf(duration):
            size = float(torch.linalg.matrix_norm(e.detach(), ord=1).max())
            if size < SETTLED:
                return Transition(torch.zeros_like(e), m, s)
            if not size < 1e12:
                break
    return Transition(e, m, s, settled=not math.isinf(duration))


def _base(f: Tensor, u: Tensor | None, step: float, q: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Series of E, m, S for F h = f, h = step, Q h = q."""
    power = torch.eye(f.shape[-1], dtype=f.dtype, device=f.device).expand_as(f)
    e, response = power, power
    term_s, s = q, q
    for k in range(1, TERMS + 1):
        power = power @ f / k
        e = e + power
        response = response + power / (k + 1)
        if term_s is not None and s is not None:
            half = f @ term_s
            term_s = (half + half.mT) / (k + 1)
            s = s + term_s
    m = step * (response if u is None else response @ u)
    return e, m, s
