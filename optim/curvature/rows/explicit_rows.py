"""Rows of M = L^T J for the parameters without a direct form: through the nodes that use them where that is proved and worth it, else by
a backward pass each."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .graph_rows import check_total, entries_of, graph_rows
from .node_rows import node_rows

_SMALL = 2**19
"""Entries of the graph's cotangents for all rows, below which plain passes take less time than the proof."""


def explicit_rows(
    outputs: Tensor, factor: Tensor, parameters: Sequence[Tensor], through_nodes: bool = True
) -> list[Tensor]:
    """L^T J for these parameters.

    Args:
        outputs: (b, ...) with a graph, which is kept.
        factor: L, (b, c, m).
        parameters: P of them, of one type.
        through_nodes: whether the nodes that use them may serve; False: plain passes only.

    Returns:
        P tensors of shape (b m, numel), rows in the order (sample, direction).

    Raises:
        InputError: too many entries.
    """
    k = factor.shape[0] * factor.shape[2]
    check_total(k, parameters)
    found: list[Tensor | None] = [None] * len(parameters)
    if through_nodes and k * entries_of(outputs, parameters) > _SMALL:
        found = node_rows(outputs, factor, parameters)
    rest = iter(graph_rows(outputs, factor, [p for p, part in zip(parameters, found, strict=True) if part is None]))
    return [next(rest) if part is None else part for part in found]
