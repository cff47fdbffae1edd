"""The linear system of the dual cells, A = M M^T + damping I, with M known by its products."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ..circuits.errors import InputError


@runtime_checkable
class GramProducts(Protocol):
    """A matrix M of k rows, known by its Gram matrix K = M M^T and by products with it."""

    @property
    def cells(self) -> int:
        """Number of rows k."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of the entries of M, in which products of them are cheap."""

    def lower_gram(self, dtype: torch.dtype) -> Tensor:
        """K on and below the diagonal, (k, k), with the rounding of `dtype`; arbitrary above. A new tensor in each call."""

    def summed_gram(self) -> Tensor:
        """K on and below the diagonal, (k, k) float64, summed from products in the type of M; arbitrary above. A new tensor."""

    def gram_product(self, u: Tensor) -> Tensor:
        """K u for u (k,), float64, with the rounding of products with M."""


@dataclass(frozen=True, eq=False)
class ImplicitGram:
    """A = M M^T + damping I, for devices that need no element of it.

    Args:
        M: of k rows.
        damping: lambda > 0.

    Raises:
        InputError: damping not positive or not finite.
    """

    M: GramProducts
    damping: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.damping) and self.damping > 0):
            raise InputError(
                f"damping is {self.damping}: give a finite number > 0, or write the matrix out as Dense(A)"
            )

    @property
    def size(self) -> int:
        """Number of unknowns k."""
        return self.M.cells

    @property
    def batch(self) -> torch.Size:
        """No leading axes."""
        return torch.Size()

    @property
    def dtype(self) -> torch.dtype:
        """Of drives and states: float64, whatever the type of M is."""
        return torch.float64

    def matvec(self, x: Tensor) -> Tensor:
        """A x for x of shape (k,)."""
        return self.M.gram_product(x) + self.damping * x

    def diagonal(self) -> Tensor:
        """The diagonal of A, (k,)."""
        return self.dense().diagonal()

    def dense(self) -> Tensor:
        """The matrix, (k, k) float64."""
        lower = self.M.lower_gram(torch.float64).tril()
        A = lower + lower.tril(-1).mT
        A.diagonal().add_(self.damping)
        return A
