"""Kronecker factors of the curvature, layer by layer.

For a matrix layer with inputs x_it (1 appended where there is a bias) and sensitivities D_imt at T positions, the block of the curvature is
sum_im (sum_t D_imt (x) x_it)(...)^T, and

    B (x) A,   A = (1/b) sum_it x_it x_it^T,   B = (1/T) sum_imt D_imt D_imt^T

approximates it: exactly for one position where inputs and sensitivities are independent over samples (for instance a linear
model with a squared error). Parameters of other layers, and of convolutions in groups, keep their whole block, which is small
for a normalisation.

Source: Martens and Grosse, arXiv 1503.05671; Grosse and Martens, arXiv 1602.01407; the expanding case of Eschenhagen et al.,
arXiv 2311.00636.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...compiler.linear_system import LinearSystem
from ...devicemodel.systems import Kronecker, LowRank
from .batch import all_finite
from .blocks import LayerBlock, LayerRowsBlock, PaddedBlock, ParameterBlock
from .factor import Factor
from .layers.matrix import MatrixUse

MAX_ROW_ENTRIES = 2**27
"""Largest number of entries of M of a parameter without Kronecker factors."""


@dataclass(frozen=True, eq=False)
class KroneckerBlock:
    """The block B (x) A of a layer: over its weight as an (o, q) matrix, with the bias as a last column.

    Attributes:
        weight, bias: positions of the parameters; the bias may be None.
        outputs: B, (o, o).
        inputs: A, (q, q), with a bias (q + 1, q + 1).
    """

    weight: int
    bias: int | None
    outputs: Tensor
    inputs: Tensor

    def system(self, damping: float) -> Kronecker:
        """B (x) A + damping I."""
        return Kronecker(self.outputs, self.inputs, damping)

    def gather(self, values: Sequence[Tensor]) -> Tensor:
        """The block's entries of an N-vector, (o (q + 1),)."""
        W = values[self.weight].reshape(len(self.outputs), -1)
        return (W if self.bias is None else torch.cat([W, values[self.bias].unsqueeze(1)], dim=1)).reshape(-1)

    def scatter(self, x: Tensor, values: list[Tensor]) -> None:
        """Write the block's entries into an N-vector."""
        X = x.reshape(len(self.outputs), -1)
        if self.bias is not None:
            values[self.bias] = X[:, -1].reshape(values[self.bias].shape)
            X = X[:, :-1]
        values[self.weight] = X.reshape(values[self.weight].shape)


@dataclass(frozen=True, eq=False)
class WholeBlock:
    """The exact block of one parameter, by its columns of M.

    Attributes:
        index: position of the parameter.
        rows: M of the parameter, (k, numel).
    """

    index: int
    rows: Tensor

    def system(self, damping: float) -> LinearSystem:
        """M^T M + damping I."""
        return LowRank(self.rows, None, damping)

    def gather(self, values: Sequence[Tensor]) -> Tensor:
        """The parameter's entries of an N-vector."""
        return values[self.index].reshape(-1)

    def scatter(self, x: Tensor, values: list[Tensor]) -> None:
        """Write the parameter's entries into an N-vector."""
        values[self.index] = x.reshape(values[self.index].shape)


def kronecker_blocks(
    factor: Factor, state: MutableMapping[Tensor, dict[str, Any]], ema_decay: float
) -> list[KroneckerBlock | WholeBlock] | None:
    """The blocks of a batch, averaged over batches; None, with the averages left as they were, if one is not finite.

    Args:
        factor: of the batch.
        state: an optimizer's, by parameter; holds the exponential moving averages "inputs" and "outputs", which are updated here.
        ema_decay: decay of the averages in [0, 1); 0 takes the batch alone.

    Raises:
        InputError: ema_decay out of range; a curvature without its sensitivities; sequences of several lengths; a parameter without
            factors whose rows would take too much memory.
    """
    if not 0 <= ema_decay < 1:
        raise InputError(f"ema_decay is {ema_decay}: give a number in [0, 1)")
    pairs = [_factors(block) for block in factor.blocks]
    whole = [_whole(block, factor) if pair is None else [] for block, pair in zip(factor.blocks, pairs, strict=True)]
    if not all_finite(
        *(part for pair in pairs if pair for part in pair), *(one.rows for some in whole for one in some)
    ):
        return None
    found: list[KroneckerBlock | WholeBlock] = []
    for block, pair, rest in zip(factor.blocks, pairs, whole, strict=True):
        if pair is None:
            found += rest
            continue
        assert block.weight is not None
        kept = state[factor.parameters[block.weight]]
        for name, fresh in (("outputs", pair[0]), ("inputs", pair[1])):
            kept[name] = fresh if name not in kept else torch.lerp(fresh, kept[name], ema_decay)
        found.append(KroneckerBlock(block.weight, block.bias, kept["outputs"], kept["inputs"]))
    return found


def _factors(block: ParameterBlock) -> tuple[Tensor, Tensor] | None:
    """(B, A) of a matrix layer without groups; None for any other."""
    if isinstance(block, LayerRowsBlock):
        raise InputError(
            "Kronecker factors need the layers' sensitivities, which were not kept: give Curvature(..., keep_sensitivities=True), "
            "and micro-batches that run the same layers, with as many outputs and images of one size"
        )
    if not isinstance(block, LayerBlock) or block.weight is None:
        return None
    uses = [use for use in block.uses if isinstance(use, MatrixUse)]
    if len(uses) < len(block.uses):
        return None
    if isinstance(block, PaddedBlock):
        raise InputError(
            "the sequences of the micro-batches differ in length, but Kronecker factors are means over positions: give one length"
        )
    positions = 0
    A: Tensor | None = None
    B: Tensor | None = None
    for use, sensitivities in zip(uses, block.D, strict=True):
        x, D = use.patches(), use.by_position(sensitivities)
        if x.shape[1] > 1 or use.transposed:
            return None
        positions += x.shape[2]
        x = x.reshape(-1, x.shape[-1])
        if block.bias is not None:
            x = torch.cat([x, x.new_ones(len(x), 1)], dim=1)
        D = D.transpose(-1, -2).reshape(-1, D.shape[-2])
        A = x.mT @ x if A is None else A + x.mT @ x
        B = D.mT @ D if B is None else B + D.mT @ D
    assert A is not None
    assert B is not None
    return B / positions, A / block.b


def _whole(block: ParameterBlock, factor: Factor) -> list[WholeBlock]:
    found = []
    for i in block.indices:
        entries = factor.cells * factor.parameters[i].numel()
        if entries > MAX_ROW_ENTRIES:
            raise InputError(
                f"a parameter of shape {tuple(factor.parameters[i].shape)} has no Kronecker factors, and its rows would hold {entries:.1e} "
                f"entries (at most {MAX_ROW_ENTRIES:.1e}): freeze it, or use a smaller batch"
            )
    for i, rows in zip(block.indices, block.rows(), strict=True):
        found.append(WholeBlock(i, rows))
    return found
