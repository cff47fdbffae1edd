"""The batches of several processes as one: each process gathers the factors of all, and all take the same step.

The layers' inputs and sensitivities are gathered, of which the Gram matrix over all samples is made: b (q + m o) numbers for a
layer and process, or k times its parameters where that is less. Gradients of parameters are never reduced, so that a
DistributedDataParallel model runs under `no_sync()`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ...circuits.errors import InputError
from .blocks import LayerBlock, ParameterBlock, RowsBlock
from .curvature import Curvature
from .factor import DetachedFactor


def gather_factors(factor: Curvature | DetachedFactor, in_range: bool, group: Any) -> list[DetachedFactor]:
    """The factors of all processes of a group, in the order of their ranks.

    Args:
        factor: this process's.
        in_range: whether the factor has sources.
        group: a process group of torch.distributed.

    Raises:
        InputError: the processes' batches differ in size.
    """
    samples = _all_gather(torch.tensor([factor.samples, factor.directions], dtype=torch.int64), group)
    if any(bool((other != samples[0]).any()) for other in samples):
        raise InputError(
            f"the processes have batches of {[tuple(other.tolist()) for other in samples]} (samples, directions): give each the "
            "same number, for instance by a sampler that drops the last incomplete batch"
        )
    count = len(samples)
    gradients = [_all_gather(part, group) for part in factor.gradient()]
    sources: list[Tensor] | list[None] = _all_gather(factor.sources, group) if in_range else [None] * count
    blocks: list[list[ParameterBlock]] = [[] for _ in range(count)]
    for block in factor.blocks:
        for own, one in zip(blocks, _gather_block(block, count, group), strict=True):
            own.append(one)
    return [
        DetachedFactor(
            factor.parameters, factor.dtype, own, factor.loss, s, [parts[rank] for parts in gradients], factor.fallbacks
        )
        for rank, (own, s) in enumerate(zip(blocks, sources, strict=True))
    ]


def all_ranks_finite(finite: bool, device: torch.device, group: Any) -> bool:
    """Whether `finite` holds on every process."""
    flag = torch.tensor([float(finite)], device=device)
    dist.all_reduce(flag, op=dist.ReduceOp.MIN, group=group)
    return bool(flag.item() > 0)


def mean(value: float, device: torch.device, group: Any) -> float:
    """Mean of a number over the processes."""
    total = torch.tensor([value], dtype=torch.float64, device=device)
    dist.all_reduce(total, group=group)
    return float(total) / dist.get_world_size(group)


def _gather_block(block: ParameterBlock, count: int, group: Any) -> Sequence[ParameterBlock]:
    if isinstance(block, RowsBlock):
        parts = zip(*(_all_gather(rows, group) for rows in block.M), strict=True)
        return [type(block)(block.weight, block.bias, rows, block.b) for rows in parts]
    assert isinstance(block, LayerBlock)
    inputs = [_all_gather(use.call.input, group) for use in block.uses]
    D = [_all_gather(part, group) for part in block.D]
    found = []
    for rank in range(count):
        uses = [
            type(use)(dataclasses.replace(use.call, input=own[rank]))
            for use, own in zip(block.uses, inputs, strict=True)
        ]
        found.append(LayerBlock(uses, [part[rank] for part in D], block.weight, block.bias))
    return found


def _all_gather(tensor: Tensor, group: Any) -> list[Tensor]:
    found = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size(group))]
    dist.all_gather(found, tensor.contiguous(), group=group)
    return found
