"""The exact law of a linear stochastic differential equation over a time t, for any drift.

    dx = (F x + u) dt + dW,  <dW dW^T> = Q dt:    x(t) = E x(0) + m + N(0, S),
    E = exp(F t),   m = int_0^t exp(F s) u ds,   S = int_0^t exp(F s) Q exp(F s)^T ds.

Computed over a short step by Taylor series and then doubled, E <- E E, m <- m + E m, S <- S + E S E^T (no inverse and no growing
exponential, so it holds for singular, non-normal and unstable F; a settled law is what doubling converges to).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

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
        return _settled(drift, drives, norm, diffusion)
    *_, whole = doublings(drift, drives, duration, diffusion)
    return whole


def doublings(
    drift: Tensor, drives: Tensor | None, duration: float, diffusion: Tensor | None = None
) -> Iterator[Transition]:
    """Transitions over a base step of duration / 2^k, over twice that, ... and last over a finite duration > 0; else as `integrate`."""
    norm = float(torch.linalg.matrix_norm(drift.detach(), ord=1).max())
    count = max(0, math.ceil(math.log2(max(norm * duration / BASE_NORM, 1.0))))
    law = _base(drift, drives, duration / 2**count, diffusion)
    yield law
    for _ in range(count):
        law = _doubled(law)
        yield law


def _settled(drift: Tensor, drives: Tensor | None, norm: float, diffusion: Tensor | None) -> Transition:
    """What doubling converges to, if it does."""
    law = _base(drift, drives, BASE_NORM / norm, diffusion)
    for _ in range(MAX_DOUBLINGS):
        law = _doubled(law)
        size = float(torch.linalg.matrix_norm(law.propagator.detach(), ord=1).max())
        if size < SETTLED:
            return Transition(torch.zeros_like(law.propagator), law.mean, law.covariance)
        if not size < 1e12:
            break
    return replace(law, settled=False)


def _doubled(law: Transition) -> Transition:
    """The transition over twice the time."""
    e, m, s = law.propagator, law.mean, law.covariance
    return Transition(e @ e, m + e @ m, None if s is None else s + e @ s @ e.mT)


def _base(drift: Tensor, drives: Tensor | None, step: float, diffusion: Tensor | None) -> Transition:
    """By Taylor series over a short step."""
    f, q = drift * step, None if diffusion is None else diffusion * step
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
    return Transition(e, step * (response if drives is None else response @ drives), s)
