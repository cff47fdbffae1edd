"""The curvature of several batches as that of the one that holds all their samples: micro-batches, or the batches of several processes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from .blocks import LayerBlock, LayerRowsBlock, PaddedBlock, ParameterBlock, RowsBlock
from .factor import Factor, filled
from .layers.matrix import ConvolutionUse
from .layers.use import Use


class StackedFactor(Factor):
    """The factor of several batches as one: rows M_j are stacked, the loss is sum_j w_j loss_j.

    Args:
        parts: factors of one model, with the same parameters. Where they have different numbers of directions, as masked micro-batches
            do, or ran different layers, rows are written out, each the one direction of a sample of its own.
        weights: w_j > 0, one for each part.
        scales: c_i > 0, one for each parameter, whose columns are multiplied by sqrt c_i; None: 1.
    """

    def __init__(
        self, parts: Sequence[Factor], weights: Sequence[float], scales: Sequence[float] | None = None
    ) -> None:
        first = parts[0]
        self.parts, self.weights = list(parts), list(weights)
        self.parameters, self.dtype = first.parameters, first.dtype
        self.scales = [1.0] * len(self.parameters) if scales is None else list(scales)

    @cached_property
    def _alike(self) -> bool:
        """Whether all parts have as many rows for each sample."""
        return len({part.directions for part in self.parts}) == 1

    @property
    def samples(self) -> int:
        """Number of samples of all parts together, or of their rows where those of a sample differ in number."""
        return sum(part.samples if self._alike else part.cells for part in self.parts)

    @property
    def directions(self) -> int:
        """Number of rows for each sample."""
        return self.parts[0].directions if self._alike else 1

    @cached_property
    def blocks(self) -> list[ParameterBlock]:
        """The parts' blocks, stacked."""
        roots = [math.sqrt(weight) for weight in self.weights]
        layers = [[block.indices for block in part.blocks] for part in self.parts]
        if not self._alike or any(own != layers[0] for own in layers):
            return self._rows(roots)
        found: list[ParameterBlock] = []
        for group in zip(*(part.blocks for part in self.parts), strict=True):
            found += _stacked(group, roots, self.scales)
        return found

    def _rows(self, roots: list[float]) -> list[ParameterBlock]:
        """A block of rows for each parameter, zero in parts that do not use it."""
        found: list[ParameterBlock] = []
        known: list[dict[int, Tensor]] = []
        by_layers: set[int] = set()
        for part in self.parts:
            known.append({})
            for block in part.blocks:
                known[-1].update(zip(block.indices, block.rows(), strict=True))
                by_layers.update(block.indices if type(block) is not RowsBlock else [])
        for i in sorted(set().union(*known)):
            n = self.parameters[i].numel()
            parts = [
                own[i] * (root * math.sqrt(self.scales[i])) if i in own else self.parameters[i].new_zeros(part.cells, n)
                for own, root, part in zip(known, roots, self.parts, strict=True)
            ]
            kind = LayerRowsBlock if i in by_layers else RowsBlock
            found.append(kind(i, None, [torch.cat(parts).detach()], self.samples))
        return found

    def product(self, values: Sequence[Tensor]) -> list[Tensor]:
        """S (sum_j w_j C_j) S v, with S = diag(sqrt c)."""
        values = [v * math.sqrt(c) for v, c in zip(values, self.scales, strict=True)]
        return self._summed([part.product(values) for part in self.parts])

    @property
    def sources(self) -> Tensor:
        """sqrt(w_j) s_j, stacked."""
        return torch.cat([math.sqrt(w) * part.sources for w, part in zip(self.weights, self.parts, strict=True)])

    @property
    def remainder(self) -> list[Tensor] | None:
        """S sum_j w_j remainder_j."""
        found = [part.remainder for part in self.parts]
        if all(parts is None for parts in found):
            return None
        return self._summed([filled(parts or [None] * len(self.parameters), self.parameters) for parts in found])

    def gradient(self) -> list[Tensor]:
        """S sum_j w_j g_j, with S = diag(sqrt c)."""
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


def _stacked(group: tuple[ParameterBlock, ...], roots: list[float], scales: list[float]) -> list[ParameterBlock]:
    """The blocks of one layer or parameter in all parts, as one; as two where weight and bias differ in scale.

    Rows are written out where the parts' inputs cannot be stacked, such as images of several sizes.
    """
    first = group[0]
    samples = sum(block.b for block in group)
    layers = [block for block in group if isinstance(block, LayerBlock)]
    uses = None
    if len(layers) == len(group) and len({len(block.uses) for block in layers}) == 1:
        uses = [_stacked_use([block.uses[j] for block in layers]) for j in range(len(layers[0].uses))]
    if uses is None or any(use is None for use in uses):
        rows = [
            torch.cat([part * (root * math.sqrt(scales[i])) for part, root in zip(parts, roots, strict=True)])
            for i, parts in zip(first.indices, zip(*(block.rows() for block in group), strict=True), strict=True)
        ]
        kind = RowsBlock if type(first) is RowsBlock else LayerRowsBlock
        return [kind(first.weight, first.bias, rows, samples)]
    whole = [use for use in uses if use is not None]
    D = [
        torch.cat([_padded(block.D[j], use.call.shape) * root for block, root in zip(layers, roots, strict=True)])
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


def _stacked_use(uses: list[Use]) -> Use | None:
    """One use of all samples, sequences padded to the longest; None for images of several sizes, and for inputs of several dimensions."""
    if len(uses) == 1:
        return uses[0]
    calls = [use.call for use in uses]
    if len({(type(use), len(use.call.shape), use.call.input.dim()) for use in uses}) > 1:
        return None
    shape = torch.Size(max(sizes) for sizes in zip(*(call.shape[1:] for call in calls), strict=True))
    if any(call.shape[1:] != shape for call in calls) and isinstance(uses[0], ConvolutionUse):
        return None
    inside = torch.Size(max(sizes) for sizes in zip(*(call.input.shape[1:] for call in calls), strict=True))
    whole = dataclasses.replace(
        calls[0],
        input=torch.cat([_padded(call.input, torch.Size((0, *inside))) for call in calls]),
        shape=torch.Size((sum(call.shape[0] for call in calls), *shape)),
    )
    return type(uses[0])(whole)


def _padded(values: Tensor, shape: torch.Size) -> Tensor:
    """The values padded with zeros to the last dimensions of the shape; zero sensitivities add nothing to what is linear in them."""
    missing = [n - own for n, own in zip(shape[1:], values.shape[-len(shape) + 1 :], strict=True)]
    if not any(missing):
        return values
    return F.pad(values, [side for n in reversed(missing) for side in (0, n)])
