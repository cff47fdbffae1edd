"""M with C = M^T M, the curvature of a batch, as blocks of parameters: products, Gram matrix, rows; and several batches as one.

N-vectors are lists of tensors shaped as the parameters, k-vectors are ordered (sample, direction), k = b m.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from ...circuits.errors import InputError
from .blocks import Block, LayerBlock, PaddedBlock, RowsBlock, WrittenBlock, stripes
from .layers import ConvolutionUse, Use
from .loss_hessian import LossCurvature

DENSE_PARAMETERS = 20_000
"""Largest N for which `Factor.dense` forms the N x N matrix."""


class Factor(ABC):
    """M, (k, N), never formed unless asked for.

    Attributes:
        parameters: the N optimised parameters; unused or frozen ones have zero columns.
        dtype: of the model.
    """

    parameters: list[Tensor]
    dtype: torch.dtype

    @property
    @abstractmethod
    def samples(self) -> int:
        """b."""

    @property
    @abstractmethod
    def directions(self) -> int:
        """m."""

    @property
    @abstractmethod
    def blocks(self) -> list[Block]:
        """Of the parameters that the outputs use."""

    @property
    @abstractmethod
    def sources(self) -> Tensor:
        """s, (k,) float64, with M^T s the gradient. InputError where the gradient is not in the range of the curvature."""

    @abstractmethod
    def gradient(self) -> list[Tensor]:
        """Of the loss."""

    @property
    def cells(self) -> int:
        """k, the size of the dual system."""
        return self.samples * self.directions

    def scaled(self, values: Sequence[Tensor]) -> list[Tensor]:
        """From the parameters' coordinates to those of M."""
        return list(values)

    def unscaled(self, x: Sequence[Tensor]) -> list[Tensor]:
        """From the coordinates of M to the parameters'."""
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
        """K on and below the diagonal, anything above: what Cholesky's factorisation reads."""
        K = torch.zeros(self.cells, self.cells, dtype=dtype, device=self.parameters[0].device)
        for block in self.blocks:
            block.add_gram(K)
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
    """With zeros for what is missing."""
    return [
        torch.zeros_like(p, requires_grad=False) if part is None else part.detach()
        for part, p in zip(parts, like, strict=True)
    ]


class Stored(Factor):
    """A factor by its parts, without a graph.

    Args:
        parameters, dtype, blocks: as the attributes of `Factor`.
        loss: of the batch.
        sources: s, (b, m), None where the gradient is not in the curvature's range.
        gradient: of the loss.
        fallbacks: positions of the parameters without a direct form.
    """

    def __init__(
        self,
        parameters: list[Tensor],
        dtype: torch.dtype,
        blocks: list[Block],
        loss: LossCurvature,
        sources: Tensor | None,
        gradient: list[Tensor],
        fallbacks: list[int],
    ) -> None:
        self.parameters, self.dtype, self.fallbacks = parameters, dtype, fallbacks
        self._blocks, self.loss, self._sources, self._gradient = blocks, loss, sources, gradient

    @property
    def samples(self) -> int:
        """b."""
        return self.loss.factor.shape[0]

    @property
    def directions(self) -> int:
        """m."""
        return self.loss.factor.shape[-1]

    @property
    def blocks(self) -> list[Block]:
        """As given."""
        return self._blocks

    @property
    def sources(self) -> Tensor:
        """As given; InputError where there are none."""
        return (self.loss.require_sources() if self._sources is None else self._sources).reshape(-1)

    def gradient(self) -> list[Tensor]:
        """As given."""
        return self._gradient


class FactorRows:
    """M as a (k, N) matrix with flat vectors (`RowProducts`), for a device that needs none of its elements."""

    def __init__(self, factor: Factor) -> None:
        self.factor = factor
        self._sizes = [p.numel() for p in factor.parameters]

    @property
    def shape(self) -> tuple[int, int]:
        """(k, N)."""
        return self.factor.cells, sum(self._sizes)

    @property
    def dtype(self) -> torch.dtype:
        """Of the model."""
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


class Joined(Factor):
    """Several batches as the one that holds all their samples: M is stacked, the loss is sum_j w_j loss_j.

    Args:
        parts: of the same model, with the same parameters and number of directions.
        weights: w_j > 0, one for each part.
        scales: c_i > 0 for each parameter: columns are multiplied by sqrt c_i; None is 1.

    Raises:
        InputError: parts that do not fit together.
    """

    def __init__(
        self, parts: Sequence[Factor], weights: Sequence[float], scales: Sequence[float] | None = None
    ) -> None:
        first = parts[0]
        self.parts, self.weights = list(parts), list(weights)
        self.parameters, self.dtype = first.parameters, first.dtype
        self.scales = [1.0] * len(self.parameters) if scales is None else list(scales)

    @property
    def samples(self) -> int:
        """Of all parts."""
        return sum(part.samples for part in self.parts)

    @property
    def directions(self) -> int:
        """Of each part."""
        return self.parts[0].directions

    @cached_property
    def blocks(self) -> list[Block]:
        """Stacked. InputError for parts that do not fit together."""
        first = self.parts[0]
        if any(part.directions != first.directions or len(part.blocks) != len(first.blocks) for part in self.parts):
            raise InputError(
                f"the parts have {[part.directions for part in self.parts]} directions and "
                f"{[len(part.blocks) for part in self.parts]} blocks: micro-batches must run the same layers and have as many outputs"
            )
        roots = [math.sqrt(weight) for weight in self.weights]
        found: list[Block] = []
        for group in zip(*(part.blocks for part in self.parts), strict=True):
            found += _stacked(group, roots, self.scales)
        return found

    def product(self, values: Sequence[Tensor]) -> list[Tensor]:
        """sum_j w_j C_j v, between the scales."""
        values = [v * math.sqrt(c) for v, c in zip(values, self.scales, strict=True)]
        return self._summed([part.product(values) for part in self.parts])

    @property
    def sources(self) -> Tensor:
        """sqrt(w_j) s_j, stacked."""
        return torch.cat([math.sqrt(w) * part.sources for w, part in zip(self.weights, self.parts, strict=True)])

    def gradient(self) -> list[Tensor]:
        """sum_j w_j g_j, scaled as the columns are."""
        return self._summed([part.gradient() for part in self.parts])

    def _summed(self, found: list[list[Tensor]]) -> list[Tensor]:
        total = [torch.zeros_like(p, requires_grad=False) for p in self.parameters]
        for weight, parts in zip(self.weights, found, strict=True):
            for sum_, part in zip(total, parts, strict=True):
                sum_.add_(part, alpha=weight)
        return [part * math.sqrt(c) for part, c in zip(total, self.scales, strict=True)]

    def scaled(self, values: Sequence[Tensor]) -> list[Tensor]:
        """v_i / sqrt c_i."""
        return [part / math.sqrt(c) for part, c in zip(values, self.scales, strict=True)]

    def unscaled(self, x: Sequence[Tensor]) -> list[Tensor]:
        """x_i sqrt c_i."""
        return [part * math.sqrt(c) for part, c in zip(x, self.scales, strict=True)]


def _stacked(group: tuple[Block, ...], roots: list[float], scales: list[float]) -> list[Block]:
    """The blocks of one layer or parameter in all parts, as one; as two where weight and bias differ in scale.

    Rows stand for layers of which the parts have not the same to say, such as images of several sizes.
    """
    first = group[0]
    if any(block.indices != first.indices for block in group):
        raise InputError("micro-batches must run the same layers: the parts' blocks are of different parameters")
    samples = sum(block.b for block in group)
    layers = [block for block in group if isinstance(block, LayerBlock)]
    uses = None
    if len(layers) == len(group) and len({len(block.uses) for block in layers}) == 1:
        uses = [_joined_use([block.uses[j] for block in layers]) for j in range(len(layers[0].uses))]
    if uses is None or any(use is None for use in uses):
        rows = [
            torch.cat([part * (root * math.sqrt(scales[i])) for part, root in zip(parts, roots, strict=True)])
            for i, parts in zip(first.indices, zip(*(block.rows() for block in group), strict=True), strict=True)
        ]
        kind = RowsBlock if type(first) is RowsBlock else WrittenBlock
        return [kind(first.weight, first.bias, rows, samples)]
    whole = [use for use in uses if use is not None]
    D = [
        torch.cat([_longer(block.D[j], use.call.shape) * root for block, root in zip(layers, roots, strict=True)])
        for j, use in enumerate(whole)
    ]
    padded = any(len({use.call.shape[1:] for use in some}) > 1 for some in zip(*(b.uses for b in layers), strict=True))
    made = PaddedBlock if padded else LayerBlock
    pair = (layers[0].weight, layers[0].bias)
    found = {scales[i] for i in layers[0].indices}
    if len(found) == 1:
        root = math.sqrt(found.pop())
        return [made(whole, [d * root for d in D] if root != 1 else D, *pair)]
    assert pair[0] is not None
    assert pair[1] is not None
    return [
        made(whole, [d * math.sqrt(scales[pair[0]]) for d in D], pair[0], None),
        made(whole, [d * math.sqrt(scales[pair[1]]) for d in D], None, pair[1]),
    ]


def _joined_use(uses: list[Use]) -> Use | None:
    """One use of all samples, sequences padded to the longest; None for images of several sizes."""
    if len(uses) == 1:
        return uses[0]
    calls = [use.call for use in uses]
    shape = torch.Size(max(sizes) for sizes in zip(*(call.shape[1:] for call in calls), strict=True))
    if any(call.shape[1:] != shape for call in calls) and isinstance(uses[0], ConvolutionUse):
        return None
    inside = torch.Size(max(sizes) for sizes in zip(*(call.input.shape[1:] for call in calls), strict=True))
    whole = dataclasses.replace(
        calls[0],
        input=torch.cat([_longer(call.input, torch.Size((0, *inside))) for call in calls]),
        shape=torch.Size((sum(call.shape[0] for call in calls), *shape)),
    )
    return type(uses[0])(whole)


def _longer(values: Tensor, shape: torch.Size) -> Tensor:
    """With zeros at further positions, up to the last dimensions of the shape; what is linear in the sensitivities does not see them."""
    missing = [n - own for n, own in zip(shape[1:], values.shape[-len(shape) + 1 :], strict=True)]
    if not any(missing):
        return values
    return F.pad(values, [side for n in reversed(missing) for side in (0, n)])
