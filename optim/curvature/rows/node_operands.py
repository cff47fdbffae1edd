"""Rows of what a node of the autograd graph takes from parameters, where each row of the node's values belongs to one sample.

product A B        rows A_t (x) D_t, summed over the rows t of each sample
elementwise        the node's own derivative, its entries summed over those of each sample
any other          the node's own derivative, for the sensitivities of one sample at a time
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.graph import Node

from .graph_rows import CHUNK_ENTRIES, sizes


@dataclass(frozen=True, eq=False)
class Cut:
    """A node with rows of single samples, whose operand at `slot` depends on parameters only."""

    node: Node
    slot: int
    owner: Tensor

    @property
    def key(self) -> tuple[Node, int]:
        """What tells it from other cuts."""
        return self.node, self.slot

    @property
    def operand(self) -> tuple[Node, int]:
        """Node and output number of the operand."""
        child, number = self.node.next_functions[self.slot]
        assert child is not None
        return child, number


class Operands:
    """Rows of the operands of cuts.

    Args:
        b, m: numbers of samples and of directions.
    """

    def __init__(self, b: int, m: int) -> None:
        self.b, self.m = b, m
        self._rows: dict[tuple[Node, int], Tensor] = {}
        self._products: dict[tuple[Node, int], tuple[Tensor, Tensor]] = {}

    def add(self, cut: Cut, D: list[Tensor]) -> bool:
        """Work out a cut with its sensitivities of the m directions; False if its node cannot be called."""
        if cut.key in self._rows or cut.key in self._products:
            return True
        _, _, transposed = _below(*cut.operand)
        A = _product_inputs(cut)
        if A is not None:
            owner = cut.owner.reshape(-1)
            place, count = _places(owner, self.b)
            x = _grouped(A, owner, place, count, self.b).unsqueeze(1).expand(-1, self.m, -1, -1)
            side = torch.stack([_grouped(one, owner, place, count, self.b) for one in D], 1)
            self._products[cut.key] = (side, x) if transposed else (x, side)
            return True
        child, number = cut.operand
        rows = _local_rows(cut, D, torch.Size(child._input_metadata[number].shape), self.b)
        if rows is None:
            return False
        self._rows[cut.key] = rows.mT if transposed else rows
        return True

    def rows(self, cuts: Collection[Cut]) -> dict[tuple[Node, int], Tensor]:
        """(b, m, *shape), summed over these cuts, for the operand below transpositions: by its node and the number of its output."""
        found: dict[tuple[Node, int], Tensor] = {}
        pairs: dict[tuple[Node, int], list[tuple[Tensor, Tensor]]] = {}
        for cut in cuts:
            key = _below(*cut.operand)[:2]
            if cut.key in self._products:
                pairs.setdefault(key, []).append(self._products[cut.key])
            else:
                found[key] = found[key] + self._rows[cut.key] if key in found else self._rows[cut.key]
        for key, some in pairs.items():
            left, right = (torch.cat(parts, 2) if len(parts) > 1 else parts[0] for parts in zip(*some, strict=True))
            product = left.mT @ right
            found[key] = found[key] + product if key in found else product
        return found


def _below(node: Node, number: int) -> tuple[Node, int, bool]:
    """The node below a chain of transpositions, its output's number, and whether the chain transposes."""
    transposed = False
    while node.name() == "TBackward0":
        child, number = node.next_functions[0]
        assert child is not None
        node, transposed = child, not transposed
    return node, number, transposed


def _local_rows(cut: Cut, D: list[Tensor], shape: torch.Size, b: int) -> Tensor | None:
    """Rows of one operand, (b, m, *shape); None if its node cannot be called."""
    try:
        parts = [_called(cut.node, one)[cut.slot] for one in D]
    except (RuntimeError, TypeError):
        return None
    live = [part for part in parts if part is not None]
    if len(live) == len(parts) and _is_elementwise(cut, D[0], live[0], shape):
        return _reduced(cut.owner, live, shape, b)
    return _masked_rows(cut, D, shape, b)


def _product_inputs(cut: Cut) -> Tensor | None:
    """A of a product A B with rows of single samples, where B is the operand."""
    A: Tensor | None = None
    node: Any = cut.node
    if cut.owner.dim() == 2 and cut.owner.shape[1] == 1:
        if node.name() == "MmBackward0" and cut.slot == 1:
            A = node._saved_self.detach()
        elif node.name() == "AddmmBackward0" and cut.slot == 2 and node._saved_alpha == 1:
            A = node._saved_mat1.detach()
    return A


def _places(owner: Tensor, b: int) -> tuple[Tensor, int]:
    """The number of each row among those of its sample, and the largest number of rows of a sample."""
    counts = torch.bincount(owner, minlength=b)
    count = int(counts.max())
    if count == 1:
        return torch.zeros_like(owner), 1
    order = torch.argsort(owner, stable=True)
    first = torch.cumsum(counts, 0) - counts
    place = torch.empty_like(owner)
    place[order] = torch.arange(len(owner), device=owner.device) - first[owner[order]]
    return place, count


def _grouped(values: Tensor, owner: Tensor, place: Tensor, count: int, b: int) -> Tensor:
    """Rows (T, n) as (b, count, n), with zeros where a sample has fewer."""
    found = values.new_zeros(b, count, values.shape[-1])
    found[owner, place] = values
    return found


def _is_elementwise(cut: Cut, D: Tensor, local: Tensor | None, shape: torch.Size) -> bool:
    """Whether the node's derivative takes each row of D to the same row of a result that autograd sums over the samples then."""
    if local is None or local.shape != D.shape or local.shape == shape:
        return False
    if any(size != 1 for size, own in zip(_padded(shape, D.dim()), cut.owner.shape, strict=True) if own != 1):
        return False
    generator = torch.Generator().manual_seed(20240517)
    c = torch.rand(cut.owner.shape, dtype=torch.float64, generator=generator).to(D) + 0.5
    (again,) = (part for i, part in enumerate(_called(cut.node, c * D)) if i == cut.slot)
    return again is not None and bool(
        torch.allclose(again, c * local, rtol=1e-2 if D.dtype.itemsize < 4 else 1e-4, atol=0)
    )


def _called(node: Node, D: Tensor) -> tuple[Tensor | None, ...]:
    """The node's own derivative of its operands, before autograd sums what was broadcast."""
    parts = cast(Any, node)(D)
    return parts if isinstance(parts, tuple) else (parts,)


def _padded(shape: torch.Size, dims: int) -> list[int]:
    return [1] * (dims - len(shape)) + list(shape)


def _reduced(owner: Tensor, local: Sequence[Tensor], shape: torch.Size, b: int) -> Tensor:
    """(b, m, *shape): entries summed over those of each sample, as broadcasting sums them."""
    rows = [i for i, size in enumerate(owner.shape) if size != 1]
    dims = owner.dim()
    wide = _padded(shape, dims)
    found = []
    for part in local:
        others = [i for i in range(dims) if i not in rows and wide[i] == 1 and part.shape[i] != 1]
        summed = part.sum(others, keepdim=True) if others else part
        flat = summed.movedim(rows, list(range(len(rows)))).flatten(0, len(rows) - 1) if rows else summed.unsqueeze(0)
        total = flat.new_zeros(b, *flat.shape[1:]).index_add_(0, owner.reshape(-1), flat)
        found.append(total.reshape(b, *shape))
    return torch.stack(found, 1)


def _masked_rows(cut: Cut, D: list[Tensor], shape: torch.Size, b: int) -> Tensor | None:
    """(b, m, *shape): the node's derivative of the sensitivities of one sample at a time, in batches, or one by one."""
    m = len(D)
    found = D[0].new_zeros(b * m, *shape)
    step = max(1, CHUNK_ENTRIES // (D[0].numel() + shape.numel() + max(sizes(cut.node))))
    start, batched = 0, step > 1
    while start < b * m:
        rows = range(start, min(start + (step if batched else 1), b * m))
        masked = torch.stack([D[i % m] * (cut.owner == i // m) for i in rows])
        try:
            if batched:
                part = torch.vmap(lambda one: _called(cut.node, one)[cut.slot])(masked)
            else:
                one = _called(cut.node, masked[0])[cut.slot]
                assert one is not None
                part = one.unsqueeze(0)
        except RuntimeError:
            if not batched:
                return None
            batched = False
            continue
        found[rows.start : rows.stop] = part.sum_to_size(len(rows), *_padded(shape, part.dim() - 1)).reshape(
            len(rows), *shape
        )
        start = rows.stop
    return found.reshape(b, m, *shape)
