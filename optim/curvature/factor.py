"""M with C = M^T M, the curvature of a batch, as blocks of parameters: products, Gram matrix, rows.

N-vectors are lists of tensors shaped as the parameters, k-vectors are ordered (sample, direction), k = b m.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from ...circuits.errors import InputError
from .blocks import ParameterBlock, stripes
from .losses.loss_hessian import LossCurvature

T = TypeVar("T")
DENSE_PARAMETERS = 20_000
"""Largest N for which `Factor.dense` forms the N x N matrix."""


class Factor(ABC):
    """A (k, N) matrix M with C = M^T M, which is formed by `jacobian` only.

    Attributes:
        parameters: the N optimised parameters; unused or frozen ones have zero columns.
        dtype: of the parameters, float32 or float64.
    """

    parameters: list[Tensor]
    dtype: torch.dtype

    @property
    @abstractmethod
    def samples(self) -> int:
        """Number of samples b."""

    @property
    @abstractmethod
    def directions(self) -> int:
        """Number of rows m of M for each sample."""

    @property
    @abstractmethod
    def blocks(self) -> list[ParameterBlock]:
        """Blocks of columns, of the parameters that the outputs depend on."""

    @property
    @abstractmethod
    def sources(self) -> Tensor:
        """Sources s, (k,) float64, with g = M^T s + remainder."""

    @property
    @abstractmethod
    def remainder(self) -> list[Tensor] | None:
        """What of the gradient g the sources do not give, g - M^T s; None where that is zero."""

    @abstractmethod
    def gradient(self) -> list[Tensor]:
        """Gradient of the loss."""

    @property
    def cells(self) -> int:
        """Size k = b m of the dual system."""
        return self.samples * self.directions

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """What `make` returns, made once for this M: a factorisation that several right-hand sides of a step share."""
        made: dict[Hashable, Any] = self.__dict__.setdefault("_made", {})
        if name not in made:
            made[name] = make()
        found: T = made[name]
        return found

    def scaled(self, values: Sequence[Tensor]) -> list[Tensor]:
        """An N-vector of the parameters in the coordinates of M."""
        return list(values)

    def unscaled(self, x: Sequence[Tensor]) -> list[Tensor]:
        """An N-vector in the coordinates of M as one of the parameters."""
        return list(x)

    def gram(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """K = M M^T, (k, k), accumulated in `dtype` from factors in the model's type."""
        K = self.lower_gram(dtype)
        for start, end in stripes(len(K)):
            corner = K[start:end, start:end]
            corner.copy_(corner.tril() + corner.tril(-1).mT)
            K[:start, start:end] = K[start:end, :start].mT
        return K

    def lower_gram(self, dtype: torch.dtype) -> Tensor:
        """K on and below the diagonal, arbitrary above: what Cholesky's factorisation reads."""
        K = torch.zeros(self.cells, self.cells, dtype=dtype, device=self.parameters[0].device)
        for block in self.blocks:
            block.add_gram(K)
        return K

    def summed_gram(self) -> Tensor:
        """K on and below the diagonal, (k, k) float64, from products in the model's type where there are many; arbitrary above."""
        K = torch.zeros(self.cells, self.cells, dtype=torch.float64, device=self.parameters[0].device)
        spare = torch.empty_like(K, dtype=self.dtype)
        for block in self.blocks:
            block.add_summed_gram(K, spare)
        return K

    def matvec(self, values: Sequence[Tensor]) -> Tensor:
        """M v, (k,), in the model's type."""
        total = torch.zeros(self.cells, dtype=self.dtype, device=self.parameters[0].device)
        for block in self.blocks:
            total += block.matvec(values).reshape(-1)
        return total

    def rmatvec(self, u: Tensor) -> list[Tensor]:
        """M^T u for u (k,)."""
        result: list[Tensor | None] = [None] * len(self.parameters)
        u = u.reshape(self.samples, -1)
        for block in self.blocks:
            for i, part in zip(block.indices, block.rmatvec(u), strict=True):
                result[i] = part.reshape(self.parameters[i].shape)
        return filled(result, self.parameters)

    def gram_product(self, u: Tensor) -> Tensor:
        """K u = M M^T u for u (k,), float64, with the error of products with M, not that of K in the model's type."""
        u = u.double().reshape(self.samples, -1)
        total = torch.zeros_like(u)
        for block in self.blocks:
            part = block.gram_product(u)
            if part is None:
                pairs = zip(block.indices, block.rmatvec(u), strict=True)
                values = {i: value.reshape(self.parameters[i].shape) for i, value in pairs}
                part = block.matvec([values.get(i, p) for i, p in enumerate(self.parameters)]).double()
            total += part.reshape(u.shape)
        return total.reshape(-1)

    def product(self, values: Sequence[Tensor]) -> list[Tensor]:
        """C v = M^T (M v), without the sensitivities of k directions where that is possible."""
        return self.rmatvec(self.matvec(values))

    def jacobian(self) -> Tensor:
        """M, (k, N) in the model's type: explicit rows, k N entries."""
        device = self.parameters[0].device
        columns = [torch.zeros(self.cells, p.numel(), dtype=self.dtype, device=device) for p in self.parameters]
        for block in self.blocks:
            for i, part in zip(block.indices, block.rows(), strict=True):
                columns[i] = part
        return torch.cat(columns, dim=1)

    def dense(self) -> Tensor:
        """C, (N, N) float64. InputError above `DENSE_PARAMETERS`."""
        n = sum(p.numel() for p in self.parameters)
        if n > DENSE_PARAMETERS:
            raise InputError(
                f"C of {n} parameters would hold {n * n:.1e} entries (at most {DENSE_PARAMETERS} parameters): use "
                "gram()"
            )
        rows = self.jacobian().double()
        return rows.mT @ rows


def filled(parts: Sequence[Tensor | None], like: Sequence[Tensor]) -> list[Tensor]:
    """The parts, dense, with zeros for missing ones."""
    return [
        torch.zeros_like(p, requires_grad=False) if part is None else part.detach().to_dense()
        for part, p in zip(parts, like, strict=True)
    ]


class DetachedFactor(Factor):
    """A factor that is given by its parts and holds no autograd graph.

    Args:
        parameters, dtype, blocks: as the attributes of `Factor`.
        loss: of the batch.
        sources: s, (k,). remainder: g - M^T s; None where it is zero.
        gradient: of the loss.
        fallbacks: positions of the parameters without a direct form.
    """

    def __init__(
        self,
        parameters: list[Tensor],
        dtype: torch.dtype,
        blocks: list[ParameterBlock],
        loss: LossCurvature,
        sources: Tensor,
        remainder: list[Tensor] | None,
        gradient: list[Tensor],
        fallbacks: list[int],
    ) -> None:
        self.parameters, self.dtype, self.fallbacks = parameters, dtype, fallbacks
        self._blocks, self.loss, self._sources, self._gradient = blocks, loss, sources, gradient
        self._remainder = remainder

    @property
    def samples(self) -> int:
        """Number of samples b."""
        return self.loss.factor.shape[0]

    @property
    def directions(self) -> int:
        """Number of rows m of M for each sample."""
        return self.loss.factor.shape[-1]

    @property
    def blocks(self) -> list[ParameterBlock]:
        """Blocks of columns."""
        return self._blocks

    @property
    def sources(self) -> Tensor:
        """The sources, (k,)."""
        return self._sources

    @property
    def remainder(self) -> list[Tensor] | None:
        """What of the gradient the sources do not give."""
        return self._remainder

    def gradient(self) -> list[Tensor]:
        """Gradient of the loss."""
        return self._gradient


class FlatFactor:
    """M with flat N-vectors in place of lists of tensors (`RowProducts`), for a device that needs products only."""

    def __init__(self, factor: Factor) -> None:
        self.factor = factor
        self._sizes = [p.numel() for p in factor.parameters]

    @property
    def shape(self) -> tuple[int, int]:
        """(k, N)."""
        return self.factor.cells, sum(self._sizes)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the model's parameters."""
        return self.factor.dtype

    @cached_property
    def _gram(self) -> Tensor:
        return self.factor.gram()

    def gram(self) -> Tensor:
        """M M^T."""
        return self._gram

    def matvec(self, v: Tensor) -> Tensor:
        """M v."""
        parts = v.to(self.dtype).split(self._sizes)
        return self.factor.matvec(
            [part.reshape(p.shape) for part, p in zip(parts, self.factor.parameters, strict=True)]
        )

    def rmatvec(self, u: Tensor) -> Tensor:
        """M^T u."""
        return torch.cat([part.reshape(-1) for part in self.factor.rmatvec(u)])
