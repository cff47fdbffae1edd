"""Whether what was found about a model in one batch holds for another: the nodes of its graph, and whether they can mix samples anew.

With the same operations on the same shapes, the same samples meet, but for operations that take samples by values (an index, a drawn
order) or bring samples together at all, since a factor of zero may have hidden that (mixup with a weight of 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch.autograd.graph import Node

_BY_VALUES = frozenset(
    f"{name}Backward0"
    for name in (
        "Index",
        "IndexPut",
        "IndexPutImpl",
        "MaskedSelect",
        "MaskedScatter",
        "Take",
        "Put",
        "Cdist",
        "Sum",
        "Mean",
        "Prod",
    )
)
"""Operations with an index, or over all entries."""
_FIXED = (
    "Select",
    "Split",
    "SplitWithSizes",
    "Unbind",
    "Unsqueeze",
    "Squeeze",
    "Permute",
    "Transpose",
    "Expand",
    "Repeat",
)
"""Operations that take apart and rearrange, at places that the signature has."""
_OWN = frozenset({"torch::autograd::AccumulateGrad", "_NormalisedBackward"})
_HIGH = 2**63


@dataclass(frozen=True)
class Signature:
    """Of one autograd graph.

    Attributes:
        nodes: hash of the operations, in order, with the dimensions and places that they name.
        mixes: whether one of them can bring samples together that were apart in another graph of this hash.
    """

    nodes: int
    mixes: bool


def signature(root: Node) -> Signature:
    """The signature of what is below a node."""
    names: list[Any] = []
    mixes = False
    seen, stack = {root}, [root]
    while stack:
        node = stack.pop()
        name = node.name()
        dim = getattr(node, "_saved_dim", None)
        if dim is None:
            dim = getattr(node, "_saved_dims", None)
        index = getattr(node, "_saved_index", None) if name == "SelectBackward0" else None
        names.append((name, dim, index))
        mixes = mixes or _mixes(node, name, dim)
        for child, _ in node.next_functions:
            if child is not None and child not in seen:
                seen.add(child)
                stack.append(child)
    return Signature(hash(tuple(names)), mixes)


def _mixes(node: Node, name: str, dim: int | tuple[int, ...] | None) -> bool:
    if name in _OWN or name.partition("Backward")[0] in _FIXED:
        return False
    if not name[-1].isdigit() or name in _BY_VALUES:  # (a user's own function has no number)
        return True
    if name == "MmBackward0":
        return not any(_is_parameter(child) for child, _ in node.next_functions)
    if dim is None:
        return False
    # (dimensions from the end are stored modulo 2^64; the last one is no dimension of samples where there are two)
    return any(one == 0 or _HIGH <= one < 2 * _HIGH - 1 for one in ((dim,) if isinstance(dim, int) else dim))


def _is_parameter(node: Node | None) -> bool:
    """Whether it is a leaf, transposed or cast, or a constant."""
    while node is not None and node.name() in ("TBackward0", "ToCopyBackward0", "TransposeBackward0"):
        node = node.next_functions[0][0]
    return node is None or node.name() == "torch::autograd::AccumulateGrad"
