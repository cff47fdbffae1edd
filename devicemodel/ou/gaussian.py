"""Normal laws N(mean, covariance) whose covariance need not be a matrix, and draws of them.

The laws of a linear SDE are normal. A low-rank or Kronecker drift of N states gives covariances that nobody wants as N x N numbers;
`Gaussian` asks its covariance for what is wanted: the variances, a draw, or, while N is small, the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Protocol

import torch
from torch import Tensor

from ...circuits.errors import InputError

DENSE_LIMIT = 20_000
"""Largest N for which an (N, N) covariance or propagator is formed (3.2 GB in float64)."""


class Covariance(Protocol):
    """A positive semi-definite operator S on R^n, perhaps in batches; float64."""

    def dense(self) -> Tensor:
        """S, (..., n, n)."""

    def diagonal(self) -> Tensor:
        """The variances, (..., n)."""

    def draw(self, xi: Tensor) -> Tensor:
        """R xi with R R^T = S, for standard normal xi of shape (..., n)."""


@dataclass(frozen=True, eq=False)
class Gaussian:
    """N(mean, covariance) on R^n, in batches.

    Attributes:
        mean: (..., n), in the type of the process.
        law: the covariance as an operator; `covariance` and `variance` give its numbers.
    """

    mean: Tensor
    law: Covariance

    @property
    def covariance(self) -> Tensor:
        """S, (..., n, n). InputError above `DENSE_LIMIT` states."""
        if self.mean.shape[-1] > DENSE_LIMIT:
            raise InputError(
                f"the covariance of {self.mean.shape[-1]} states would hold {self.mean.shape[-1] ** 2:.1e} entries (at "
                f"most {DENSE_LIMIT} states): use variance, or sample"
            )
        return self.law.dense().to(self.mean.dtype)

    @property
    def variance(self) -> Tensor:
        """The diagonal of S, (..., n)."""
        return self.law.diagonal().to(self.mean.dtype)

    def sample(self, generator: torch.Generator, count: int | None = None) -> Tensor:
        """One draw, (..., n), or `count` independent ones, (count, ..., n); differentiable in the mean and in a dense S.

        Raises:
            InputError: no generator; a count that is no whole number >= 0.
        """
        if not isinstance(generator, torch.Generator):
            raise InputError(
                f"generator is {generator!r}: give a generator, torch.Generator().manual_seed(0), so that draws can be repeated"
            )
        if count is not None and not (isinstance(count, Integral) and count >= 0):
            raise InputError(f"count is {count!r}: give a whole number >= 0, or None for one draw")
        shape = self.mean.shape if count is None else (count, *self.mean.shape)
        xi = normal(shape, generator, self.mean)
        return self.mean + self.law.draw(xi.double()).to(self.mean.dtype)


@dataclass(frozen=True, eq=False)
class DenseCovariance:
    """S as its matrix, (..., n, n)."""

    matrix: Tensor

    def dense(self) -> Tensor:
        """S."""
        return self.matrix

    def diagonal(self) -> Tensor:
        """The variances."""
        return self.matrix.diagonal(dim1=-2, dim2=-1)

    def draw(self, xi: Tensor) -> Tensor:
        """R xi, R the Cholesky factor of S."""
        return rows(root(self.matrix), xi)


def sample(covariance: Tensor, generator: torch.Generator) -> Tensor:
    """One draw of N(0, S), (..., n); S, (..., n, n), positive semi-definite up to rounding."""
    return rows(root(covariance), normal(covariance.shape[:-1], generator, covariance))


def root(covariance: Tensor) -> Tensor:
    """R with R R^T = S, (..., n, n); S positive semi-definite up to rounding.

    The Cholesky factor of S + 1e-13 diag S, or by eigenvalues, negative ones taken as zero, where S is more singular than that. Taken
    of the correlations, so that states may have any units.
    """
    deviation = covariance.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt().unsqueeze(-1)
    scale = torch.where(deviation > 0, deviation, 1.0)
    correlation = (covariance + covariance.mT) / 2 / (scale * scale.mT)
    eye = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
    factor, info = torch.linalg.cholesky_ex(correlation + 1e-13 * eye)
    if bool((info > 0).any()):
        values, vectors = torch.linalg.eigh(correlation)
        factor = vectors * values.clamp(min=0.0).sqrt().unsqueeze(-2)
    return deviation * factor


def normal(shape: torch.Size | tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Standard normal numbers of the type and device of `like`.

    They are drawn where the generator lives: a CPU generator gives the same numbers on every device, a CUDA generator draws at speed.
    """
    return torch.randn(shape, generator=generator, dtype=like.dtype, device=generator.device).to(like.device)


def rows(matrix: Tensor, vectors: Tensor) -> Tensor:
    """M x for each vector x of (..., n): M is (n', n), one product for all, or (..., n', n), one matrix for each."""
    if matrix.dim() == 2:
        return vectors @ matrix.mT
    return (vectors.unsqueeze(-2) @ matrix.mT).squeeze(-2)
