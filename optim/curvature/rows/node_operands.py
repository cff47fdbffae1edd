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

from .convolutions import convolution_rows
from .graph_rows import CHUNK_ENTRIES


@dataclass(frozen=True, eq=False)
class Cut:
    """A node with rows of single samples, of which an operand depends on parameters only.

    Attributes:
        node: of the graph.
        slot: position of the operand.
        output: number of the node's output that the outputs depend on.
        owner: samples of its rows (`owners.owners_of`).
    """

    node: Node
    slot: int
    output: int
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

    @property
    def shape(self) -> torch.Size:
        """Shape of the operand."""
        child, number = self.operand
        return torch.Size(child._input_metadata[number].shape)


class Operands:
    """Rows of the operands of cuts.

    Args:
        b, m: numbers of samples and of directions.
    """

    def __init__(self, b: int, m: int) -> None:
        self.b, self.m = b, m
        self._rows: dict[tuple[Node, int], Tensor] = {}
        self._products: dict[tuple[Node, int], tuple[Tensor, Tensor]] = {}

    def add(self, cuts: Sequence[Cut], D: list[Tensor]) -> bool:
        """Work out the cuts of one node with its sensitivities of the m directions; False if the node cannot be called."""
        try:
            rest = [cut for cut in cuts if not self._add_direct(cut, D)]
            found = _masked_rows(rest, D, self.b) if rest else []
        except (RuntimeError, TypeError):  # of a node that must not be called apart from a whole backward pass
            return False
        self._rows |= {cut.key: rows for cut, rows in zip(rest, found, strict=True)}
        return True

    def _add_direct(self, cut: Cut, D: list[Tensor]) -> bool:
        """Work out a product, a convolution or an elementwise operation; False for any other."""
        A = _product_inputs(cut)
        if A is not None:
            self._products[cut.key] = self._product(cut, A, D)
            return True
        rows = _direct_rows(cut, D, self.b)
        if rows is not None:
            self._rows[cut.key] = rows
        return rows is not None

    def _product(self, cut: Cut, A: Tensor, D: list[Tensor]) -> tuple[Tensor, Tensor]:
        """(left, right), (b, m, rows, ...) each, whose products summed over rows are those of the operand below transpositions."""
        owner = cut.owner.reshape(-1)
        live = torch.stack([one.any(1) for one in D]).any(0)
        if not bool(live.all()):
            A, owner, D = A[live], owner[live], [one[live] for one in D]
        place, count = _places(owner, self.b)
        x = _grouped(A, owner, place, count, self.b).unsqueeze(1).expand(-1, self.m, -1, -1)
        side = torch.stack([_grouped(one, owner, place, count, self.b) for one in D], 1)
        return (side, x) if _below(*cut.operand)[2] else (x, side)

    def rows(self, cuts: Collection[Cut]) -> dict[tuple[Node, int], Tensor]:
        """(b, m, *shape), summed over these cuts, for the operand below transpositions: by its node and the number of its output."""
        found: dict[tuple[Node, int], Tensor] = {}
        pairs: dict[tuple[Node, int], list[tuple[Tensor, Tensor]]] = {}
        for cut in cuts:
            node, number, transposed = _below(*cut.operand)
            key = node, number
            if cut.key in self._products:
                pairs.setdefault(key, []).append(self._products[cut.key])
            else:
                rows = self._rows[cut.key].mT if transposed else self._rows[cut.key]
                found[key] = found[key] + rows if key in found else rows
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


def _direct_rows(cut: Cut, D: list[Tensor], b: int) -> Tensor | None:
    """Rows of one operand, (b, m, *shape), if its node is a convolution or elementwise."""
    if cut.node.name() == "ConvolutionBackward0" and cut.slot > 0 and cut.owner.numel() == len(D[0]):
        images = convolution_rows(cut.node, cut.slot, D)
        if images is not None:
            return images.new_zeros(b, *images.shape[1:]).index_add_(0, cut.owner.reshape(-1), images)
    if not _may_be_elementwise(cut, D[0]):
        return None
    parts = [_called([cut], one)[0] for one in D]
    return _reduced(cut, parts, b) if _is_elementwise(cut, D[0], parts[0]) else None


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
    if count <= 1:
        return torch.zeros_like(owner), count
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


def _may_be_elementwise(cut: Cut, D: Tensor) -> bool:
    """Whether autograd would sum a gradient of the value's shape over the samples to have the operand's."""
    wide = _padded(cut.shape, D.dim())
    if len(wide) > D.dim() or cut.shape == D.shape:
        return False
    return all(size == 1 for size, own in zip(wide, cut.owner.shape, strict=True) if own != 1)


def _is_elementwise(cut: Cut, D: Tensor, local: Tensor) -> bool:
    """Whether the node's derivative takes each row of D to the same row of a result that autograd sums over the samples then."""
    if local.shape != D.shape:
        return False
    generator = torch.Generator().manual_seed(20240517)
    c = torch.rand(cut.owner.shape, dtype=torch.float64, generator=generator).to(D) + 0.5
    tolerance = 1e-2 if D.dtype.itemsize < 4 else 1e-4
    return bool(torch.allclose(_called([cut], c * D)[0], c * local, rtol=tolerance, atol=0))


def _called(cuts: Sequence[Cut], D: Tensor) -> list[Tensor]:
    """A node's own derivative of operands, before autograd sums what was broadcast."""
    node = cuts[0].node
    given: list[Tensor | None] = [None] * len(node._input_metadata)
    given[cuts[0].output] = D
    whole = cast(Any, node)
    parts = whole(*given) if callable(node) else whole.apply(*given)  # (a Function of Python)
    parts = parts if isinstance(parts, tuple) else (parts,)
    return [parts[cut.slot].to_dense() for cut in cuts]


def _padded(shape: torch.Size, dims: int) -> list[int]:
    """The shape as broadcasting aligns it."""
    return [1] * (dims - len(shape)) + list(shape)


def _reduced(cut: Cut, local: Sequence[Tensor], b: int) -> Tensor:
    """(b, m, *shape): entries summed over those of each sample, as broadcasting sums them."""
    dims = cut.owner.dim()
    rows = [i for i, size in enumerate(cut.owner.shape) if size != 1]
    wide = _padded(cut.shape, dims)
    others = [i for i in range(dims) if i not in rows and wide[i] == 1]
    found = []
    for part in local:
        summed = part.sum(others, keepdim=True) if others else part
        flat = summed.movedim(rows, list(range(len(rows)))).flatten(0, len(rows) - 1) if rows else summed.unsqueeze(0)
        total = flat.new_zeros(b, *flat.shape[1:]).index_add_(0, cut.owner.reshape(-1), flat)
        found.append(total.reshape(b, *cut.shape))
    return torch.stack(found, 1)


def _masked_rows(cuts: Sequence[Cut], D: list[Tensor], b: int) -> list[Tensor]:
    """(b, m, *shape) of each operand of one node: its derivative of the sensitivities of one sample at a time, in batches or one by one."""
    m, owner = len(D), cuts[0].owner
    found = [D[0].new_zeros(b * m, *cut.shape) for cut in cuts]
    step = max(1, CHUNK_ENTRIES // (D[0].numel() + sum(cut.shape.numel() for cut in cuts)))
    start, batched = 0, step > 1
    while start < b * m:
        rows = range(start, min(start + (step if batched else 1), b * m))
        masked = torch.stack([D[i % m] * (owner == i // m) for i in rows])
        try:
            if batched:
                parts = torch.vmap(lambda one: _called(cuts, one))(masked)
            else:
                parts = [part.unsqueeze(0) for part in _called(cuts, masked[0])]
        except RuntimeError:
            if not batched:
                raise
            batched = False
            continue
        for total, part, cut in zip(found, parts, cuts, strict=True):
            summed = part.sum_to_size(len(rows), *_padded(cut.shape, part.dim() - 1))
            total[rows.start : rows.stop] = summed.reshape(len(rows), *cut.shape)
        start = rows.stop
    return [total.reshape(b, m, *cut.shape) for total, cut in zip(found, cuts, strict=True)]
