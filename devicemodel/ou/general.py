"""Laws of any linear SDE, by matrices of one step: non-normal and singular drifts, noise in any directions.

No eigenvectors are used, since those of a non-normal drift magnify rounding without limit. A step's propagator, response and covariance
come from `integrate`; a time average is one more state, y' = x / window, whose law comes from the same routine; a trajectory is the
recurrence x <- E x + m + R xi.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...circuits.errors import InputError
from ..checks import batch_of
from .doubling import Transition, integrate
from .gaussian import Covariance, DenseCovariance, normal, root, rows
from .recent import Recent
from .recurrence import block_length, matrix_recurrence, power, runs

SWEEPS = 60
FOLLOWED = 1e-12
"""Slowest over fastest eigenvalue of a drift of moderate non-normality down to which doubling reaches rest: `transition.MAX_DOUBLINGS`."""


class GeneralLaw:
    """dx = (u - A x) dt + dW, <dW dW^T> = D dt, in coordinates z = x / scale in which rows and columns of A are alike in size.

    Args:
        drift: A, (..., n, n), float64.
        diffusion: D, (..., n, n), float64, or None for no noise.
    """

    def __init__(self, drift: Tensor, diffusion: Tensor | None) -> None:
        self.scale = balance(drift.detach())
        column, row = self.scale.unsqueeze(-1), self.scale.unsqueeze(-2)
        self.drift = -drift * row / column
        self.diffusion = None if diffusion is None else diffusion / (row * column)
        batches = [self.drift.shape[:-2]] + ([] if diffusion is None else [diffusion.shape[:-2]])
        self.batch = batch_of(*batches)
        self.differentiable = self.drift.requires_grad or (diffusion is not None and diffusion.requires_grad)
        self._transitions: Recent[Transition] = Recent()
        self._steppers: Recent[_Stepper] = Recent()

    def mean(self, x: Tensor, u: Tensor, t: float) -> Tensor:
        """Mean after t from the mean x under the constant drive u."""
        law = self._over(t)
        moved = rows(law.mean, u / self.scale)
        if not math.isinf(t):
            moved = moved + rows(law.propagator, x / self.scale)
        return moved * self.scale

    def average(self, x: Tensor, u: Tensor, window: float) -> Tensor:
        """Mean of the average over the next `window` from the mean x under the constant drive u."""
        law, n = self._averaged(window), self.scale.shape[-1]
        of_start, of_drive = law.propagator[..., n:, :n], law.mean[..., n:, :]
        return (rows(of_start, x / self.scale) + rows(of_drive, u / self.scale)) * self.scale

    def covariance(self, t: float) -> Covariance:
        """What noise adds over t; inf: of the settled state."""
        return self._unscaled(self._gathered(t))

    def average_covariance(self, start: float, window: float) -> Covariance:
        """Of the average over start..start + window, with noise since time 0."""
        law, n = self._averaged(window), self.scale.shape[-1]
        of_start, since = law.propagator[..., n:, :n], law.covariance
        fresh = torch.zeros_like(self.drift) if since is None else since[..., n:, n:]
        return self._unscaled(of_start @ self._gathered(start) @ of_start.mT + fresh)

    def propagator(self, t: float) -> Tensor:
        """exp(-A t), (..., n, n)."""
        return self._over(t).propagator * self.scale.unsqueeze(-1) / self.scale.unsqueeze(-2)

    def walk(self, x: Tensor, u: Tensor, steps: Tensor, generator: torch.Generator | None) -> Tensor:
        """States (..., T, n) after each of the steps, in the type of x."""
        pieces, scale = [], self.scale.to(x.dtype)
        x, u = x / scale, (u / self.scale).to(x.dtype)
        batch = batch_of(self.batch, x.shape[:-1], u.shape[:-1])
        for step, count in runs(steps):
            stepper = self._stepper(step, block_length(count), x.dtype)
            drive = rows(stepper.response, u).unsqueeze(-2)
            if generator is None or stepper.root is None:
                inputs = x.new_zeros(*batch, count, x.shape[-1]) + drive
            else:
                inputs = normal((*batch, count, x.shape[-1]), generator, x) @ stepper.root.mT
                inputs += drive
            pieces.append(matrix_recurrence(inputs, x, stepper.propagator, stepper.leap, stepper.length))
            x = pieces[-1][..., -1, :]
        return torch.cat(pieces, dim=-2) * scale.unsqueeze(-2)

    def _gathered(self, t: float) -> Tensor:
        covariance = self._over(t).covariance
        if covariance is None:
            covariance = torch.zeros_like(self.drift)
        return covariance.expand(*self.batch, *covariance.shape[-2:])

    def _unscaled(self, covariance: Tensor) -> Covariance:
        symmetric = (covariance + covariance.mT) / 2
        return DenseCovariance(symmetric * self.scale.unsqueeze(-1) * self.scale.unsqueeze(-2))

    def _over(self, t: float) -> Transition:
        law = self._kept("run", t, self.drift, None, self.diffusion)
        if not law.settled:
            values = torch.linalg.eigvals(-self.drift.detach())
            raise InputError(f"the drift has {_why_unsettled(values)}; add damping, or ask for a finite time")
        return law

    def _averaged(self, window: float) -> Transition:
        n = self.scale.shape[-1]
        eye = torch.eye(n, dtype=self.drift.dtype, device=self.drift.device)
        zero = torch.zeros_like(self.drift)
        drift = torch.cat([torch.cat([self.drift, zero], -1), torch.cat([eye / window + zero, zero], -1)], -2)
        drives = torch.cat([eye, torch.zeros_like(eye)])
        noise = None if self.diffusion is None else torch.nn.functional.pad(self.diffusion, (0, n, 0, n))
        return self._kept("average", window, drift, drives, noise)

    def _kept(self, kind: str, t: float, drift: Tensor, drives: Tensor | None, diffusion: Tensor | None) -> Transition:
        if self.differentiable:  # a graph is for one backward pass
            return integrate(drift, drives, t, diffusion)
        return self._transitions.get((kind, t), lambda: integrate(drift, drives, t, diffusion))

    def _stepper(self, step: float, length: int, dtype: torch.dtype) -> _Stepper:
        def make() -> _Stepper:
            law = self._over(step)
            noise = None if law.covariance is None else root(law.covariance).to(dtype)
            leap = power(law.propagator, length)
            return _Stepper(law.propagator.to(dtype), law.mean.to(dtype), noise, leap.to(dtype), length)

        return self._steppers.get((step, length, dtype), make)


def _why_unsettled(values: Tensor) -> str:
    """Of a drift's eigenvalues (..., n), why they were not followed to rest."""
    flat = values.reshape(-1, values.shape[-1])
    one = flat[int(flat.real.amin(-1).argmin())]
    slowest, fastest = float(one.real.min()), float(one.abs().max())
    rounding = 4 * len(one) * torch.finfo(torch.float64).eps
    if slowest > FOLLOWED * fastest:
        return f"eigenvalues from {slowest:.3g} to {fastest:.3g}, and too much growth before its decay to be followed to rest"
    beside = f"an eigenvalue of real part {slowest:.3g} beside {fastest:.3g}, a ratio of {abs(slowest) / max(fastest, 1e-300):.1g}"
    if slowest > rounding * fastest:
        return f"{beside}: it is followed to rest in float64 down to {FOLLOWED:.0e}"
    if slowest >= -rounding * fastest and slowest != 0:
        return f"{beside}: float64 does not tell it from 0 below {rounding:.1g}, and there is no settled state unless all are > 0"
    return f"an eigenvalue of real part {slowest:.3g}: there is no settled state unless all are > 0"


@dataclass(frozen=True)
class _Stepper:
    """The matrices of one step in the type of the trajectory; leap is the propagator of `length` steps."""

    propagator: Tensor
    response: Tensor
    root: Tensor | None
    leap: Tensor
    length: int


def balance(matrix: Tensor) -> Tensor:
    """Powers of two d, (..., n), that make rows and columns of D^-1 M D, D = diag(d), alike in their sums of absolute values.

    Osborne's iteration, all states at once with the square root of each correction, so that two coupled states do not swap for
    ever. Without it a drift in SI units (webers and volts, say) has a norm far above its eigenvalues, and doubling would lose digits to it.
    """
    size = matrix.abs() - torch.diag_embed(matrix.abs().diagonal(dim1=-2, dim2=-1))
    exponent = torch.zeros(size.shape[:-1], dtype=size.dtype, device=size.device)
    for _ in range(SWEEPS):
        scaled = size * torch.exp2(exponent.unsqueeze(-2) - exponent.unsqueeze(-1))
        into, out = scaled.sum(-1), scaled.sum(-2)
        coupled = (into > 0) & (out > 0)
        correction = torch.where(coupled, torch.log2(into / out), 0.0) / 4
        exponent = exponent + correction
        if float(correction.abs().max()) < 0.25:
            break
    return torch.exp2(exponent.round())
