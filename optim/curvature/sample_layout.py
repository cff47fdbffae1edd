"""Where the samples are among the leading dimensions of a layer's output, proved by backward passes.

Rows of a call are the entries of its leading dimensions in order: (b, T) with the batch first, (T, b) in a sequence-first model, R = T b
where a product flattened them. Row r belongs to sample (r // inner) mod b, with `inner` the number of rows between a sample and the
next. The sensitivities of rows to the outputs of one half of the samples are exactly zero where the rows belong to the other half.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .batch import Batch
from .hooks import Call
from .layers.registry import row_dimensions
from .losses.loss_hessian import fixed_probe

Layouts = dict[int, int | None]
"""`inner` of each call by its number; None for one whose rows are not samples."""


def sample_layouts(batch: Batch, calls: Sequence[Call], known: Mapping[int, int | None]) -> tuple[Layouts, Layouts]:
    """(layouts of the calls, those of them that are proved), by two backward passes where one is not known.

    A call that no output depends on (before a layer of zeros, say) takes the first layout that its shape admits, without proof.
    """
    b = batch.outputs.shape[0]
    admitted = [_admitted(call, b) for call in calls]
    proved: Layouts = {i: None for i, some in enumerate(admitted) if not some}
    proved |= {i: known[i] for i, some in enumerate(admitted) if i in known and known[i] in [None, *some]}
    if b == 1:
        proved |= {i: some[0] for i, some in enumerate(admitted) if some}
    open_ = [i for i in range(len(calls)) if i not in proved]
    layouts = dict(proved)
    if not open_:
        return layouts, proved
    edges = [edge for i in open_ if (edge := calls[i].edge) is not None]
    evidence: dict[int, bool] = dict.fromkeys(open_, False)
    left = {i: list(admitted[i]) for i in open_}
    half = torch.zeros(b, dtype=torch.bool)
    half[torch.randperm(b, generator=torch.Generator().manual_seed(20240517))[: b // 2]] = True
    half = half.to(batch.outputs.device)
    for chosen in (half, ~half):
        found = torch.autograd.grad(
            batch.outputs, edges, _cotangent(batch.outputs, chosen), retain_graph=True, allow_unused=True
        )
        for i, D in zip(open_, found, strict=True):
            if D is not None and bool(D.nan_to_num().any()):
                evidence[i] = True
                left[i] = [inner for inner in left[i] if not _reaches(D, calls[i], inner, ~chosen)]
    for i in open_:
        layouts[i] = left[i][0] if left[i] else None
        if evidence[i]:
            proved[i] = layouts[i]
    return layouts, proved


def _admitted(call: Call, b: int) -> list[int]:
    """The layouts that a call's shape admits, the likeliest first."""
    leading, flat = row_dimensions(call)
    sizes = call.shape[: max(leading, 0)]
    if not sizes or call.input.shape[: len(sizes)] != sizes:
        return []
    rows = math.prod(sizes)
    found = [math.prod(sizes[i + 1 :]) for i, size in enumerate(sizes) if size == b]
    if flat and not found and rows % b == 0:
        found = [rows // b, 1]
    return list(dict.fromkeys(found))


def _cotangent(outputs: Tensor, chosen: Tensor) -> Tensor:
    probe = fixed_probe(outputs.numel()).to(outputs).reshape(outputs.shape)
    return probe * chosen.to(probe.dtype).reshape(-1, *[1] * (outputs.dim() - 1))


def _reaches(D: Tensor, call: Call, inner: int, others: Tensor) -> bool:
    """Whether rows of the other samples have sensitivities."""
    rows = math.prod(call.shape[: row_dimensions(call)[0]])
    split = D.reshape(rows // (len(others) * inner), len(others), -1)
    return bool(split[:, others].nan_to_num().any())
