"""Sensitivities of the layers from the backward passes: kept, or turned into rows of M at once.

A layer over many positions, such as a convolution near the image, has no more parameters than outputs for each sample. Its rows of
M then take less memory than its sensitivities D, and serve products and Gram matrix alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from .blocks import MAX_ENTRIES, LayerBlock, LayerRowsBlock, ParameterBlock, by_rows
from .layers.embedding import EmbeddingUse
from .layers.matrix import MatrixUse
from .layers.use import Use


class Sink(ABC):
    """Receives the sensitivities of one layer's calls, a range of directions at a time.

    Args:
        uses: the layer's calls.
        weight, bias: positions of the layer's parameters.
    """

    def __init__(self, uses: Sequence[Use], weight: int | None, bias: int | None) -> None:
        self.uses, self.weight, self.bias = list(uses), weight, bias

    @abstractmethod
    def receive(self, directions: slice, parts: Sequence[Tensor]) -> None:
        """Receive D of each call for these directions, (b, directions, ...)."""

    @abstractmethod
    def block(self) -> ParameterBlock:
        """The block of what was received."""


class KeptSensitivities(Sink):
    """Keeps sensitivities as they are."""

    def __init__(
        self, uses: Sequence[Use], weight: int | None, bias: int | None, directions: int, like: Tensor
    ) -> None:
        super().__init__(uses, weight, bias)
        shapes = [use.call.shape for use in uses]
        self._D = [like.new_empty(shape[0], directions, *shape[1:]) for shape in shapes]

    def receive(self, directions: slice, parts: Sequence[Tensor]) -> None:
        """Copy into place."""
        for D, part in zip(self._D, parts, strict=True):
            D[:, directions] = part

    def block(self) -> LayerBlock:
        """A block by inputs and sensitivities."""
        return LayerBlock(self.uses, self._D, self.weight, self.bias)


class WrittenRows(Sink):
    """Turns sensitivities into rows of M."""

    def __init__(
        self,
        uses: Sequence[Use],
        weight: int | None,
        bias: int | None,
        directions: int,
        parameters: Sequence[Tensor],
        like: Tensor,
    ) -> None:
        super().__init__(uses, weight, bias)
        self.b = uses[0].call.shape[0]
        numbers = [parameters[i].numel() for i in (weight, bias) if i is not None]
        self._M = [like.new_empty(self.b, directions, n) for n in numbers]

    def receive(self, directions: slice, parts: Sequence[Tensor]) -> None:
        """Write the rows, summed over the calls."""
        for i, (use, D) in enumerate(zip(self.uses, parts, strict=True)):
            more, D = D.shape[1] < self._M[0].shape[1], D.to(self._M[0].dtype)
            if more and i == 0:
                targets = iter([M[:, directions] for M in self._M])
                use.write_rows(D, *(None if place is None else next(targets) for place in (self.weight, self.bias)))
                continue
            pair = use.rows(D, self.weight is not None, self.bias is not None, hold=more)
            for M, rows in zip(self._M, [part for part in pair if part is not None], strict=True):
                if i == 0:
                    M[:, directions] = rows
                else:
                    M[:, directions] += rows

    def block(self) -> LayerRowsBlock:
        """A block by rows."""
        return LayerRowsBlock(self.weight, self.bias, [M.flatten(0, 1) for M in self._M], self.b)


def make_sink(
    uses: Sequence[Use],
    weight: int | None,
    bias: int | None,
    directions: int,
    parameters: Sequence[Tensor],
    dtype: torch.dtype,
    keep: bool,
) -> Sink:
    """The sink that takes less memory.

    Args:
        uses, weight, bias: as in `Sink`.
        directions: number of directions m.
        parameters: all parameters.
        dtype: of the parameters.
        keep: whether to keep sensitivities in any case.
    """
    like = torch.empty(0, dtype=dtype, device=parameters[0].device)
    if keep or not _prefers_rows(uses, weight, bias, directions, parameters):
        return KeptSensitivities(uses, weight, bias, directions, like)
    return WrittenRows(uses, weight, bias, directions, parameters, like)


def _prefers_rows(
    uses: Sequence[Use], weight: int | None, bias: int | None, m: int, parameters: Sequence[Tensor]
) -> bool:
    """Whether rows take less memory, or little, and the Gram matrix is made of rows anyway."""
    b = uses[0].call.shape[0]
    numbers = sum(parameters[i].numel() for i in (weight, bias) if i is not None)
    outputs = sum(use.call.shape[1:].numel() for use in uses)
    if any(isinstance(use, EmbeddingUse) for use in uses):
        return False
    first = uses[0]
    if isinstance(first, MatrixUse) and weight is not None:
        o = first.outputs
        if not by_rows(b, m, o // first.groups, outputs // o, first.width + (bias is not None)):
            return False
    return numbers <= max(outputs, MAX_ENTRIES // (b * m))
