"""Rows of M = L^T J from the closure's own autograd graph, for any differentiable outputs.

Row (i, j) is the backward pass of the cotangent L_i[:, j] in the outputs of sample i, and zero in those of all others. Nothing is run a
second time: draws, buffers and statistics of the forward pass are those of the loss. Samples may depend on one another, since
C = J^T H J needs only that H is block diagonal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import Node

from ....circuits.errors import InputError
from ..autograd_graph import users

CHUNK_ENTRIES = 2**24
"""Entries of the graph's cotangents that are held at once: 128 MiB in float64."""
TOTAL_ENTRIES = 2**29
"""Entries of M that are kept in all: 2 GiB in float32."""


def graph_rows(outputs: Tensor, factor: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """L^T J for these parameters, by k = b m backward passes.

    They go in batches that fit into memory, and one by one where an operation of the graph cannot be batched.

    Args:
        outputs: (b, ...) with a graph, which is kept.
        factor: L, (b, c, m).
        parameters: P of them; rows are of their types.

    Returns:
        P tensors of shape (b m, numel), rows in the order (sample, direction).
    """
    k = factor.shape[0] * factor.shape[2]
    if not parameters:
        return []
    found = [p.new_zeros(k, p.numel(), requires_grad=False) for p in parameters]
    chunk = max(1, CHUNK_ENTRIES // entries_of(outputs, parameters))
    batched = chunk > 1
    start = 0
    while start < k:
        rows = range(start, min(start + (chunk if batched else 1), k))
        cotangents = _cotangents(outputs, factor, rows)
        try:
            parts = _backward(outputs, parameters, cotangents if batched else cotangents[0], batched)
        except RuntimeError:
            if not batched:
                raise
            batched = False
            continue
        for M, part in zip(found, parts, strict=True):
            if part is not None:
                M[rows.start : rows.stop] = part.to_dense().reshape(len(rows), -1)
        start = rows.stop
    return found


def check_total(k: int, parameters: Sequence[Tensor]) -> None:
    """InputError if k rows of these parameters are more than `TOTAL_ENTRIES`."""
    numel = sum(p.numel() for p in parameters)
    if k * numel > TOTAL_ENTRIES:
        raise InputError(
            f"{k} rows of the Jacobian in {numel} parameters without a direct form would hold {k * numel:.1e} entries (at most "
            f"{TOTAL_ENTRIES:.1e}): use a smaller batch, NGDCG, which needs no rows, or freeze those parameters"
        )


def _backward(
    outputs: Tensor, parameters: Sequence[Tensor], cotangents: Tensor, batched: bool
) -> tuple[Tensor | None, ...]:
    return torch.autograd.grad(
        outputs, parameters, cotangents, retain_graph=True, allow_unused=True, is_grads_batched=batched
    )


def _cotangents(outputs: Tensor, factor: Tensor, rows: range) -> Tensor:
    """(n, *outputs.shape): columns of L at their samples."""
    b, c, m = factor.shape
    at = torch.arange(rows.start, rows.stop, device=outputs.device)
    sample, direction = at // m, at % m
    cotangents = outputs.new_zeros(len(rows), b, c, requires_grad=False)
    cotangents[torch.arange(len(rows), device=outputs.device), sample] = factor[sample, :, direction].to(outputs.dtype)
    return cotangents.reshape(len(rows), *outputs.shape)


def entries_of(outputs: Tensor, parameters: Sequence[Tensor]) -> int:
    """Entries of the cotangents of a backward pass, those of all nodes together."""
    assert outputs.grad_fn is not None
    entries = outputs.numel() + sum(p.numel() for p in parameters)
    return entries + sum(sum(sizes(node)) for node in users(outputs.grad_fn))


def sizes(node: Node) -> Iterator[int]:
    """Numbers of entries of the values that a node made."""
    return (torch.Size(one.shape).numel() for one in node._input_metadata)
