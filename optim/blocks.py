"""Blocks of parameters and their part in the curvature: M_p = L^T J restricted to the block's columns, (k, n_p), k = b m.

The Gram matrix K = sum_p M_p M_p^T is built without M_p where that is cheaper. For a matrix layer with inputs x_it and sensitivities D_imt
at T positions,

    K[im, i'm'] += sum_tt' (x_it . x_i't' + [bias]) (D_imt . D_i'm't'),

elementwise for T = 1; for few positions by pairs of them; else the rows of M_p a range of columns at a time. Only the blocks on and below
the diagonal are computed.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from .layers import MatrixUse, Use

ENTRIES = 2**24
"""Entries of M, or of a product of positions, held at once: 64 MiB in float32."""
_STRIPES = 4
"""A symmetric product is computed in so many stripes, each up to the diagonal: 5/8 of the work of the whole."""
_POSITION_COST = 30.0
"""What an entry of the product over pairs of positions costs in memory traffic, in multiply-adds of a matrix product."""


class Block(ABC):
    """Parameters by position in the optimizer's list, (weight, bias), either of which may be None."""

    def __init__(self, weight: int | None, bias: int | None) -> None:
        self.weight, self.bias = weight, bias

    @property
    def indices(self) -> list[int]:
        """Positions of the block's parameters."""
        return [i for i in (self.weight, self.bias) if i is not None]

    @abstractmethod
    def add_gram(self, K: Tensor) -> None:
        """K += M M^T on and below the diagonal, in K's type; K is (k, k)."""

    @abstractmethod
    def push(self, values: Sequence[Tensor]) -> Tensor:
        """M v, (b, m), for v as a list over all parameters."""

    @abstractmethod
    def pull(self, u: Tensor) -> list[Tensor]:
        """M^T u for u (b, m), one tensor for each of `indices`."""

    @abstractmethod
    def rows(self) -> list[Tensor]:
        """M, (k, numel) for each of `indices`."""


class LayerBlock(Block):
    """The parameters of one layer with all its calls.

    Args:
        uses: the calls; more than one where a layer runs several times or shares its parameters.
        sensitivities: D of each, (m, b, ...).
        weight, bias: positions of the parameters.
    """

    def __init__(
        self, uses: Sequence[Use], sensitivities: Sequence[Tensor], weight: int | None, bias: int | None
    ) -> None:
        super().__init__(weight, bias)
        self.uses, self.D = list(uses), list(sensitivities)
        self.m, self.b = self.D[0].shape[:2]

    def add_gram(self, K: Tensor) -> None:
        """By the cheapest of the three ways."""
        matrices = [use for use in self.uses if isinstance(use, MatrixUse)]
        if self.weight is None or len(matrices) < len(self.uses):
            for part in self.rows():
                add_product(K, part)
            return
        D = torch.cat([use.by_position(part) for use, part in zip(matrices, self.D, strict=True)], dim=-1)
        x = torch.cat([use.patches() for use in matrices], dim=-2) if len(matrices) > 1 else matrices[0].patches()
        _, g, _, o, T = D.shape
        q = x.shape[-1]
        k = K.shape[0]
        by_pairs = g * ((k * T) ** 2 * (o + _POSITION_COST) + (self.b * T) ** 2 * q)
        by_rows = g * (k * T * o * q + k**2 * o * q)
        if T == 1 or by_pairs < by_rows:
            for group in range(g):
                _add_pairs(K, x[:, group], D[:, group].transpose(-1, -2), self.bias is not None)
            return
        for part in _row_ranges(x, D):
            add_product(K, part)
        if self.bias is not None:
            add_product(K, D.sum(-1).transpose(1, 2).reshape(k, -1))

    def push(self, values: Sequence[Tensor]) -> Tensor:
        """A tangent of the layer, contracted with D."""
        V = None if self.weight is None else values[self.weight]
        v = None if self.bias is None else values[self.bias]
        total = sum(
            torch.bmm(D.transpose(0, 1).flatten(2), use.tangent(V, v).reshape(self.b, -1, 1)).squeeze(2)
            for use, D in zip(self.uses, self.D, strict=True)
        )
        assert isinstance(total, Tensor)
        return total

    def pull(self, u: Tensor) -> list[Tensor]:
        """The gradient of the layer for the cotangent sum_m u_im D_im."""
        found: list[Tensor] = []
        u = u.to(self.D[0].dtype).unsqueeze(1)
        for use, D in zip(self.uses, self.D, strict=True):
            cotangent = torch.bmm(u, D.transpose(0, 1).flatten(2)).reshape(D.shape[1:])
            pair = use.gradients(cotangent, self.weight is not None, self.bias is not None)
            parts = [part for part in pair if part is not None]
            found = [a + b for a, b in zip(found, parts, strict=True)] if found else parts
        return found

    def rows(self) -> list[Tensor]:
        """Sums over the calls."""
        found = []
        for wanted, of in ((self.weight, "weight_rows"), (self.bias, "bias_rows")):
            if wanted is not None:
                parts = [getattr(use, of)(D) for use, D in zip(self.uses, self.D, strict=True)]
                found.append(sum(parts[1:], parts[0]).reshape(self.b * self.m, -1))
        return found


class RowsBlock(Block):
    """A parameter with explicit rows.

    Args:
        index: position of the parameter.
        rows: (k, numel).
        shape: of the parameter.
        batch: b.
    """

    def __init__(self, index: int, rows: Tensor, shape: torch.Size, batch: int) -> None:
        super().__init__(index, None)
        self.index, self.M, self.shape, self.b = index, rows, shape, batch

    def add_gram(self, K: Tensor) -> None:
        """The product."""
        add_product(K, self.M)

    def push(self, values: Sequence[Tensor]) -> Tensor:
        """M v."""
        return (self.M @ values[self.index].reshape(-1).to(self.M.dtype)).reshape(self.b, -1)

    def pull(self, u: Tensor) -> list[Tensor]:
        """M^T u."""
        return [(u.reshape(-1).to(self.M.dtype) @ self.M).reshape(self.shape)]

    def rows(self) -> list[Tensor]:
        """As given."""
        return [self.M]


def add_product(K: Tensor, M: Tensor) -> None:
    """K += M M^T on and below the diagonal, in K's type."""
    for columns in M.split(max(1, ENTRIES // M.shape[0]), dim=1):
        columns = columns.to(K.dtype)
        for start, end in stripes(K.shape[0]):
            K[start:end, :end].addmm_(columns[start:end], columns[:end].mT)


def stripes(k: int) -> list[tuple[int, int]]:
    """Ranges of rows, for work that stops at the diagonal."""
    step = math.ceil(k / _STRIPES) if k >= 128 else k
    return [(start, min(start + step, k)) for start in range(0, k, step)]


def _add_pairs(K: Tensor, x: Tensor, D: Tensor, bias: bool) -> None:
    """By pairs of positions: x (b, T, q), D (b, m, T, o)."""
    b, m, T, _ = D.shape
    x, D = x.to(K.dtype), D.to(K.dtype).contiguous()
    overlap = x.reshape(b * T, -1) @ x.reshape(b * T, -1).mT
    if bias:
        overlap += 1.0
    flat = D.reshape(b * m * T, -1)
    step = max(1, min(math.ceil(b / _STRIPES) if b * m >= 128 else b, ENTRIES // max(1, m * T * b * m * T)))
    for start in range(0, b, step):
        end = min(start + step, b)
        product = flat[start * m * T : end * m * T] @ flat[: end * m * T].mT
        product = product.view(end - start, m, T, end, m, T)
        product.mul_(overlap[start * T : end * T, : end * T].view(end - start, 1, T, end, 1, T))
        part = product if T == 1 else product.sum((2, 5))
        K[start * m : end * m, : end * m] += part.reshape((end - start) * m, end * m)


def _row_ranges(x: Tensor, D: Tensor) -> Iterator[Tensor]:
    """The rows of M_p, (k, some columns) at a time, for x (b, g, T, q) and D (b, g, m, o, T)."""
    b, g, m, _, T = D.shape
    q = x.shape[-1]
    step = max(1, ENTRIES // (b * m * q))
    for group in range(g):
        for some in D[:, group].split(step, dim=2):
            yield (some.reshape(b, -1, T) @ x[:, group]).reshape(b * m, -1)
