"""Blocks of columns of M = L^T J, one for the parameters of each layer: M_p, (k, n_p), k = b m.

The Gram matrix K = sum_p M_p M_p^T is built without M_p where that is cheaper. For a matrix layer with inputs x_it and sensitivities D_imt
at T positions,

    K[im, i'm'] += sum_tt' (x_it . x_i't' + [bias]) (D_imt . D_i'm't'),

elementwise for T = 1; for few positions by pairs of samples, with the T x T products x_i x_i'^T first; else the rows of M_p a range of
columns at a time. Only the blocks on and below the diagonal are computed.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor

from .layers.embedding import EmbeddingUse
from .layers.matrix import MatrixUse
from .layers.use import Use

MAX_ENTRIES = 2**24
"""Entries of M, or of a product of positions, that are held at once: 64 MiB in float32."""
_STRIPES = 4
"""Number of stripes in which a symmetric product is computed, each up to the diagonal: 5/8 of the work of the whole."""
_STRIPED = 256
"""Number of rows above which stripes save more than they cost."""
_AT_ONCE = 4
"""Samples whose positions are multiplied with those of others in one product."""
_PAIR_COST = 1.5
"""Cost of a multiply-add in many small products, relative to that in a large one."""


class ParameterBlock(ABC):
    """The columns of M of up to two parameters.

    Args:
        weight, bias: their positions in the optimizer's list; either may be None.
    """

    b: int

    def __init__(self, weight: int | None, bias: int | None) -> None:
        self.weight, self.bias = weight, bias

    @property
    def indices(self) -> list[int]:
        """Positions of the block's parameters."""
        return [i for i in (self.weight, self.bias) if i is not None]

    @abstractmethod
    def add_gram(self, K: Tensor) -> None:
        """K += M M^T on and below the diagonal, in K's type; K is (k, k)."""

    def add_summed_gram(self, K: Tensor, spare: Tensor) -> None:
        """The same with products in the model's type, where those in double precision take longer; `spare` (k, k) is overwritten."""
        self.add_gram(spare.zero_())
        K += spare

    def gram_product(self, u: Tensor) -> Tensor | None:
        """M_p M_p^T u for u (b, m) float64, where that takes less than M_p^T u and then M_p of it; else None."""
        return None

    @abstractmethod
    def matvec(self, values: Sequence[Tensor]) -> Tensor:
        """M_p v, (b, m), for v as a list over all parameters."""

    @abstractmethod
    def rmatvec(self, u: Tensor) -> list[Tensor]:
        """M_p^T u for u (b, m), one tensor for each of `indices`."""

    @abstractmethod
    def rows(self) -> list[Tensor]:
        """M_p, (k, numel) for each of `indices`."""

    def without_graph(self) -> ParameterBlock:
        """The same block, holding no autograd graph."""
        return self


class LayerBlock(ParameterBlock):
    """The parameters of one layer, by the inputs and sensitivities of its calls.

    Args:
        uses: the calls; more than one where a layer runs several times or shares its parameters.
        sensitivities: D of each, (b, m, ...).
        weight, bias: positions of the parameters.
    """

    def __init__(
        self, uses: Sequence[Use], sensitivities: Sequence[Tensor], weight: int | None, bias: int | None
    ) -> None:
        super().__init__(weight, bias)
        self.uses, self.D = list(uses), list(sensitivities)
        self.b, self.m = self.D[0].shape[:2]

    def without_graph(self) -> LayerBlock:
        """The same block, its calls without their graph edges."""
        return LayerBlock([use.without_graph() for use in self.uses], self.D, self.weight, self.bias)

    def add_gram(self, K: Tensor) -> None:
        """K += M_p M_p^T by the cheapest of the three ways (`by_rows`)."""
        embeddings = [use for use in self.uses if isinstance(use, EmbeddingUse)]
        if len(embeddings) == len(self.uses):
            for part in _token_ranges(embeddings, self.D):
                add_product(K, part)
            return
        matrices = [use for use in self.uses if isinstance(use, MatrixUse)]
        alike = len({(use.groups, use.width, use.transposed) for use in matrices}) == 1
        if self.weight is None or len(matrices) < len(self.uses) or not alike:
            for rows in self.rows():
                add_product(K, rows)
            return
        if self._overlaps is not None:
            overlaps, D = self._overlaps
            _add_elementwise(K, overlaps, D.to(K.dtype))
            return
        bias = self.bias is not None
        D = _concatenated([use.by_position(part) for use, part in zip(matrices, self.D, strict=True)], -1)
        b, _, m, o, T = D.shape
        if by_rows(b, m, o, T, matrices[0].width + bias):
            for part in _row_ranges(matrices, D, bias):
                add_product(K, part)
            return
        _add_pairs(K, _concatenated([use.patches(bias) for use in matrices], -2), D)

    def add_summed_gram(self, K: Tensor, spare: Tensor) -> None:
        """Of a matrix layer with one position with overlaps in double precision."""
        if self._overlaps is not None:
            _add_elementwise(K, *self._overlaps)
        else:
            super().add_summed_gram(K, spare)

    def gram_product(self, u: Tensor) -> Tensor | None:
        """M_p M_p^T u of a matrix layer with one position: by the samples' overlaps, in float64."""
        if self._overlaps is None:
            return None
        overlaps, D = self._overlaps
        cotangents = (u.to(D.dtype)[:, None, None] @ D).squeeze(2)
        mixed = (overlaps @ cotangents.transpose(0, 1).double()).to(D.dtype)
        return (D @ mixed.transpose(0, 1).unsqueeze(3)).sum((1, 3)).double()

    @cached_property
    def _overlaps(self) -> tuple[Tensor, Tensor] | None:
        """x_i . x_j + [bias], (g, b, b) float64, and D, (b, g, m, o), of the one call of a matrix layer with one position; else None."""
        use = self.uses[0]
        if len(self.uses) > 1 or self.weight is None or not isinstance(use, MatrixUse):
            return None
        D = use.by_position(self.D[0])
        if D.shape[-1] > 1:
            return None
        x = use.patches()[..., 0, :].transpose(0, 1).double()
        overlaps = x @ x.mT
        return (overlaps + 1 if self.bias is not None else overlaps), D[..., 0]

    def matvec(self, values: Sequence[Tensor]) -> Tensor:
        """M_p v: the layer's tangent, contracted with D."""
        V = None if self.weight is None else values[self.weight]
        v = None if self.bias is None else values[self.bias]
        total = sum(
            torch.bmm(D.flatten(2), use.jvp(V, v).reshape(self.b, -1, 1)).squeeze(2)
            for use, D in zip(self.uses, self.D, strict=True)
        )
        assert isinstance(total, Tensor)
        return total

    def rmatvec(self, u: Tensor) -> list[Tensor]:
        """M_p^T u: the layer's gradient for the cotangent sum_m u_im D_im."""
        found: list[Tensor] = []
        u = u.to(self.D[0].dtype).unsqueeze(1)
        for use, D in zip(self.uses, self.D, strict=True):
            cotangent = torch.bmm(u, D.flatten(2)).reshape(use.call.shape)
            pair = use.vjp(cotangent, self.weight is not None, self.bias is not None)
            parts = [part for part in pair if part is not None]
            found = [a + b for a, b in zip(found, parts, strict=True)] if found else parts
        return found

    def rows(self) -> list[Tensor]:
        """M_p, summed over the calls."""
        found: list[Tensor] = []
        for use, D in zip(self.uses, self.D, strict=True):
            pair = use.rows(D, self.weight is not None, self.bias is not None)
            parts = [part.reshape(self.b * self.m, -1) for part in pair if part is not None]
            found = [a + b for a, b in zip(found, parts, strict=True)] if found else parts
        return found


class PaddedBlock(LayerBlock):
    """A block of sequences of several lengths, padded: sensitivities at the padding are zero, inputs there mean nothing."""


class RowsBlock(ParameterBlock):
    """Parameters with M_p written out.

    Args:
        weight, bias: positions of the parameters.
        rows: M, (k, numel) for each of them.
        batch: b.
    """

    def __init__(self, weight: int | None, bias: int | None, rows: Sequence[Tensor], batch: int) -> None:
        super().__init__(weight, bias)
        self.M, self.b = list(rows), batch

    def add_gram(self, K: Tensor) -> None:
        """K += M_p M_p^T."""
        for part in self.M:
            add_product(K, part)

    def gram_product(self, u: Tensor) -> Tensor | None:
        """M_p M_p^T u by the rows."""
        total = torch.zeros_like(u)
        for part in self.M:
            total += (part @ (u.reshape(-1).to(part.dtype) @ part)).reshape(u.shape)
        return total

    def matvec(self, values: Sequence[Tensor]) -> Tensor:
        """M_p v."""
        total = sum(part @ values[i].reshape(-1).to(part.dtype) for i, part in zip(self.indices, self.M, strict=True))
        assert isinstance(total, Tensor)
        return total.reshape(self.b, -1)

    def rmatvec(self, u: Tensor) -> list[Tensor]:
        """M_p^T u."""
        return [u.reshape(-1).to(part.dtype) @ part for part in self.M]

    def rows(self) -> list[Tensor]:
        """M_p."""
        return self.M


class LayerRowsBlock(RowsBlock):
    """The parameters of one layer with M_p written out, its inputs and sensitivities not kept."""


def by_rows(b: int, m: int, o: int, T: int, q: int) -> bool:
    """Whether the Gram matrix of a layer of o outputs, q inputs and T positions is cheapest by the rows of M."""
    pairs = b**2 / 2 * T * (T * q + m * T * o + m**2 * o)
    rows = b * m * T * o * q + (b * m) ** 2 * (1 + 1 / _STRIPES) / 2 * o * q
    return T > 1 and _PAIR_COST * pairs >= rows


def add_product(K: Tensor, M: Tensor) -> None:
    """K += M M^T on and below the diagonal, in K's type."""
    for columns in M.split(max(1, MAX_ENTRIES // M.shape[0]), dim=1):
        columns = columns.to(K.dtype)
        for start, end in stripes(K.shape[0]):
            K[start:end, :end].addmm_(columns[start:end], columns[:end].mT)


def stripes(k: int, size: int = 1) -> list[tuple[int, int]]:
    """Ranges of k groups of `size` rows, for work that stops at the diagonal."""
    step = math.ceil(k / _STRIPES) if k >= 2 * _STRIPES and k * size >= _STRIPED else k
    return [(start, min(start + step, k)) for start in range(0, k, step)]


def _concatenated(parts: list[Tensor], dim: int) -> Tensor:
    """torch.cat, which would copy even a single part."""
    return torch.cat(parts, dim) if len(parts) > 1 else parts[0]


def _add_elementwise(K: Tensor, overlaps: Tensor, D: Tensor) -> None:
    """One position: overlaps (g, b, b), D (b, g, m, o), of which products are in its own type."""
    b, groups, m, _ = D.shape
    overlaps = overlaps.to(K.dtype)
    for g in range(groups):
        overlap = overlaps[g]
        rows = D[:, g].reshape(b * m, -1)
        for start, end in stripes(b, m):
            product = (rows[start * m : end * m] @ rows[: end * m].mT).to(K.dtype)
            part = K.view(b, m, b, m)[start:end, :, :end]
            part.addcmul_(product.view(end - start, m, end, m), overlap[start:end, None, :end, None])


def _add_pairs(K: Tensor, x: Tensor, D: Tensor) -> None:
    """Few positions: x (b, g, T, q), D (b, g, m, o, T). For each sample i and all i' <= i: D_i (x_i x_i'^T) against D_i'."""
    b, groups, m, o, T = D.shape
    x, D = x.to(K.dtype), D.to(K.dtype)
    for g in range(groups):
        inputs, sides = x[:, g].flatten(0, 1), D[:, g].contiguous()
        flat = sides.reshape(b, m, o * T)
        for first in range(0, b, _AT_ONCE):
            some = range(first, min(first + _AT_ONCE, b))
            overlaps = inputs[first * T : some.stop * T] @ inputs[: some.stop * T].mT
            for i, overlap in zip(some, overlaps.split(T), strict=True):
                own = overlap[:, : (i + 1) * T].unflatten(1, (i + 1, T)).transpose(0, 1)
                mixed = (sides[i].reshape(m * o, T) @ own).reshape(i + 1, m, o * T)
                part = mixed @ flat[: i + 1].mT
                K[i * m : (i + 1) * m, : (i + 1) * m] += part.transpose(0, 1).reshape(m, -1)


def _row_ranges(uses: Sequence[MatrixUse], D: Tensor, bias: bool) -> Iterator[Tensor]:
    """Ranges of columns of M_p, (k, some columns), for D (b, g, m, o, T)."""
    b, groups, m, o, T = D.shape
    sides = [D[:, g].reshape(b, m * o, T) for g in range(groups)]
    parts = uses[0].ranges(T * groups, MAX_ENTRIES // (b * m * o))
    for part in parts:
        x = _concatenated([use.patches(bias and part is parts[-1], part) for use in uses], -2)
        for g, side in enumerate(sides):
            yield (side @ x[:, g]).reshape(b * m, -1)


def _token_ranges(uses: Sequence[EmbeddingUse], D: Sequence[Tensor]) -> Iterator[Tensor]:
    """Ranges of columns of M_p for the tokens that occur."""
    b, m, o = D[0].shape[0], D[0].shape[1], D[0].shape[-1]
    tokens = torch.unique(torch.cat([use.call.input.reshape(-1) for use in uses]))
    for some in tokens.split(max(1, MAX_ENTRIES // (b * m * o))):
        rows = [use.token_rows(part, some) for use, part in zip(uses, D, strict=True)]
        yield sum(rows[1:], rows[0]).reshape(b * m, -1)
