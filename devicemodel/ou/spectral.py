"""Laws of systems whose modes are independent: every law is a function of the drift's eigenvalues.

    dx = (u - A x) dt + dW,   A = V diag(a) V^-1,   <dW dW^T> = rate V V^T dt

holds for symmetric A with the same noise in every state (V orthogonal), and for detailed balance, A D = D A^T with noise D: a network of
resistors and unequal capacitors at one temperature, say (V = D^{1/2} U). Then for one mode, started at a point at time 0,

    mean e^{-a t} x0 + phi(a, t) u,   variance rate phi(a, 2t) / 2,   phi(a, t) = (1 - e^{-a t}) / a.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ...circuits.errors import InputError
from ..checks import batch_of
from .functions import Decay, Function, Response, Spread, average_spread, psi
from .gaussian import Covariance, normal, rows
from .recent import Recent
from .recurrence import Decays, diagonal_recurrence, is_uniform


class SpectralLaw(ABC):
    """What `OU` asks of a drift, for drifts that functions can be taken of. Vectors are float64 but in `walk`."""

    rate: float
    """Noise rate: D = rate V V^T."""
    batch: torch.Size

    @abstractmethod
    def apply(self, terms: list[tuple[Function, Tensor]]) -> Tensor:
        """sum of f(A) v over pairs (f, v), v of (..., n)."""

    @abstractmethod
    def draw(self, deviation: Function, xi: Tensor) -> Tensor:
        """V f(a) xi, (..., n)."""

    @abstractmethod
    def variance(self, deviation: Function) -> Tensor:
        """Diagonal of V f(a)^2 V^T, (..., n)."""

    @abstractmethod
    def outer(self, deviation: Function) -> Tensor:
        """V f(a)^2 V^T, (..., n, n)."""

    @abstractmethod
    def propagator(self, t: float) -> Tensor:
        """exp(-A t), (..., n, n)."""

    @abstractmethod
    def slowest(self) -> float:
        """The smallest eigenvalue of A in the batch; one that is zero up to rounding is 0."""

    @abstractmethod
    def walk(self, x: Tensor, u: Tensor, steps: Tensor, generator: torch.Generator | None) -> Tensor:
        """States (..., T, n) after each of the steps, in the type of x; u and the generator as in `OU`."""

    def why_unsettled(self) -> str:
        """The eigenvalue that no settled state can have, in words."""
        return f"the eigenvalue {self.slowest():.3g}: there is no settled state unless all are > 0"

    def mean(self, x: Tensor, u: Tensor, t: float) -> Tensor:
        """Mean after t from the mean x under the constant drive u."""
        if math.isinf(t):
            self.check_settles()
            return self.apply([(Response(t), u)])
        if t == 0:
            return x
        return self.apply([(Decay(t), x), (Response(t), u)])

    def average(self, x: Tensor, u: Tensor, window: float) -> Tensor:
        """Mean of the average over the next `window` from the mean x under the constant drive u."""
        return self.apply([(Response(window), x / window), (lambda a: psi(a, window), u / window)])

    def covariance(self, t: float) -> Covariance:
        """What noise adds over t; inf: of the settled state."""
        if math.isinf(t):
            self.check_settles()
        return FunctionCovariance(self, Spread(t, self.rate))

    def average_covariance(self, start: float, window: float) -> Covariance:
        """Of the average over start..start + window, with noise since time 0."""
        if math.isinf(start):
            self.check_settles()
        return FunctionCovariance(self, average_spread(start, window, self.rate))

    def check_settles(self) -> None:
        """InputError unless all eigenvalues are positive."""
        if not self.slowest() > 0:
            raise InputError(f"the drift has {self.why_unsettled()}; add damping, or ask for a finite time")


@dataclass(frozen=True, eq=False)
class FunctionCovariance:
    """V f(a)^2 V^T of a spectral law, f the standard deviation of a mode."""

    law: SpectralLaw
    deviation: Function

    def dense(self) -> Tensor:
        """The matrix."""
        return self.law.outer(self.deviation)

    def diagonal(self) -> Tensor:
        """The variances."""
        return self.law.variance(self.deviation)

    def draw(self, xi: Tensor) -> Tensor:
        """V f(a) xi."""
        return self.law.draw(self.deviation, xi)


class Basis(ABC):
    """The eigenvectors V. States are rows: (..., T, n)."""

    @abstractmethod
    def to_modes(self, x: Tensor) -> Tensor:
        """V^-1 x."""

    @abstractmethod
    def to_states(self, y: Tensor) -> Tensor:
        """V y."""

    @abstractmethod
    def squares(self, v: Tensor) -> Tensor:
        """Diagonal of V diag(v) V^T for v of (..., n)."""

    @abstractmethod
    def to(self, dtype: torch.dtype) -> Basis:
        """The same in another type."""


@dataclass(frozen=True, eq=False)
class DenseBasis(Basis):
    """V and its inverse, (..., n, n)."""

    vectors: Tensor
    inverse: Tensor

    def to_modes(self, x: Tensor) -> Tensor:
        """V^-1 x."""
        return x @ self.inverse.mT

    def to_states(self, y: Tensor) -> Tensor:
        """V y."""
        return y @ self.vectors.mT

    def squares(self, v: Tensor) -> Tensor:
        """Diagonal of V diag(v) V^T."""
        return rows(self.vectors**2, v)

    def to(self, dtype: torch.dtype) -> DenseBasis:
        """The same in another type."""
        return DenseBasis(self.vectors.to(dtype), self.inverse.to(dtype))


@dataclass(frozen=True, eq=False)
class KroneckerBasis(Basis):
    """U (x) V of two orthogonal matrices, (..., p, p) and (..., q, q)."""

    left: Tensor
    right: Tensor

    def to_modes(self, x: Tensor) -> Tensor:
        """(U (x) V)^T x."""
        return self._sandwich(x, self.left.mT, self.right.mT)

    def to_states(self, y: Tensor) -> Tensor:
        """(U (x) V) y."""
        return self._sandwich(y, self.left, self.right)

    def squares(self, v: Tensor) -> Tensor:
        """Diagonal of (U (x) V) diag(v) (U (x) V)^T."""
        return self._sandwich(v.unsqueeze(-2), self.left**2, self.right**2).squeeze(-2)

    def to(self, dtype: torch.dtype) -> KroneckerBasis:
        """The same in another type."""
        return KroneckerBasis(self.left.to(dtype), self.right.to(dtype))

    def _sandwich(self, x: Tensor, left: Tensor, right: Tensor) -> Tensor:
        X = x.unflatten(-1, (left.shape[-1], right.shape[-1]))
        if left.dim() > 2:
            left, right = left.unsqueeze(-3), right.unsqueeze(-3)
        return (left @ X @ right.mT).flatten(-2)


class ModeLaw(SpectralLaw):
    """The law by its eigenvalues and eigenvectors.

    Args:
        values: a, (..., n), float64.
        basis: V, float64.
        rate: of the noise in a mode.
        exact: the eigenvalues are without rounding, as those of a diagonal matrix are.
    """

    def __init__(self, values: Tensor, basis: Basis, rate: float, exact: bool = False) -> None:
        # rounding makes of an eigenvalue zero a small one of either sign
        self._found, self._rounding = values, 0.0 if exact else 4 * values.shape[-1] * torch.finfo(values.dtype).eps
        self.values = torch.where(values.abs() <= self._rounding * values.abs().amax(-1, keepdim=True), 0.0, values)
        self.basis, self.rate, self.batch = basis, rate, values.shape[:-1]
        self._bases: dict[torch.dtype, Basis] = {torch.float64: basis}
        self._grids: Recent[_Grid] = Recent()

    def apply(self, terms: list[tuple[Function, Tensor]]) -> Tensor:
        """sum of f(A) v."""
        parts = [f(self.values).unsqueeze(-2) * self.basis.to_modes(v.unsqueeze(-2)) for f, v in terms]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return self.basis.to_states(total).squeeze(-2)

    def draw(self, deviation: Function, xi: Tensor) -> Tensor:
        """V f(a) xi."""
        return self.basis.to_states((deviation(self.values) * xi).unsqueeze(-2)).squeeze(-2)

    def variance(self, deviation: Function) -> Tensor:
        """Diagonal of V f(a)^2 V^T."""
        return self.basis.squares(deviation(self.values) ** 2)

    def outer(self, deviation: Function) -> Tensor:
        """V f(a)^2 V^T."""
        half = self.basis.to_states(torch.diag_embed(deviation(self.values)))
        return half.mT @ half

    def propagator(self, t: float) -> Tensor:
        """exp(-A t)."""
        eye = torch.eye(self.values.shape[-1], dtype=self.values.dtype, device=self.values.device)
        return self.basis.to_states(torch.exp(-self.values * t).unsqueeze(-2) * self.basis.to_modes(eye)).mT

    def slowest(self) -> float:
        """The smallest eigenvalue."""
        return float(self.values.min())

    def why_unsettled(self) -> str:
        """The eigenvalue; one that is taken for zero, with what it is beside and with the rounding."""
        found, kept = (values.reshape(-1, values.shape[-1]) for values in (self._found, self.values))
        worst = int(kept.amin(-1).argmin())
        least, largest = float(found[worst].min()), float(found[worst].abs().max())
        if float(kept[worst].min()) < 0 or least == 0:
            return super().why_unsettled()
        return (
            f"the eigenvalue {least:.3g} beside {largest:.3g}, a ratio of {abs(least) / largest:.1g}: float64 does not tell it from 0 "
            f"below {self._rounding:.1g}, and there is no settled state unless all are > 0"
        )

    def walk(self, x: Tensor, u: Tensor, steps: Tensor, generator: torch.Generator | None) -> Tensor:
        """States after each step: independent first-order autoregressions of the modes, and one product."""
        grid = self._grid(steps, x.dtype)
        shape = (*batch_of(self.batch, x.shape[:-1], u.shape[:-1]), len(steps), self.values.shape[-1])
        if generator is None:
            modes = x.new_zeros(shape)
        else:
            modes = normal(shape, generator, x)
            modes *= grid.spread
        if bool(u.any()):
            modes += grid.response * self.basis.to_modes(u.unsqueeze(-2)).to(x.dtype)
        start = grid.basis.to_modes(x.unsqueeze(-2)).squeeze(-2)
        return grid.basis.to_states(diagonal_recurrence(modes, start, grid.decays))

    def _grid(self, steps: Tensor, dtype: torch.dtype) -> _Grid:
        if dtype not in self._bases:
            self._bases[dtype] = self.basis.to(dtype)
        uniform = is_uniform(steps)

        def make() -> _Grid:
            a, h = (
                self.values.to(dtype).unsqueeze(-2),
                (steps[:1] if uniform else steps).to(self.values.device, dtype).unsqueeze(-1),
            )
            spread, response = Spread(1.0, self.rate)(a * h) * h.sqrt(), Response(1.0)(a * h) * h
            return _Grid(self._bases[dtype], spread, response, Decays.of(self.values, steps, dtype))

        return self._grids.get((float(steps[0]), len(steps), dtype), make) if uniform else make()


@dataclass(frozen=True)
class _Grid:
    """What a path on a grid of steps is made with, in its type; `spread` and `response` are those of each step, (..., T or 1, n)."""

    basis: Basis
    spread: Tensor
    response: Tensor
    decays: Decays
