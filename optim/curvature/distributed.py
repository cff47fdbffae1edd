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
from .factor import DetachedFactor, Factor, filled


def gather_factors(factor: Curvature | DetachedFactor, group: Any) -> list[DetachedFactor]:
    """The factors of all processes of a group, in the order of their ranks.

    Args:
        factor: this process's.
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
    sources, remainders = _all_gather(factor.sources, group), _gather_remainder(factor, count, group)
    blocks: list[list[ParameterBlock]] = [[] for _ in range(count)]
    for block in factor.blocks:
        for own, one in zip(blocks, _gather_block(block, count, group), strict=True):
            own.append(one)
    return [
        DetachedFactor(
            factor.parameters,
            factor.dtype,
            own,
            factor.loss,
            s,
            rest,
            [parts[rank] for parts in gradients],
            factor.fallbacks,
        )
        for rank, (own, s, rest) in enumerate(zip(blocks, sources, remainders, strict=True))
    ]


def _gather_remainder(factor: Factor, count: int, group: Any) -> Sequence[list[Tensor] | None]:
    """The remainders of all processes; zeros for one that has none where another has."""
    own = factor.remainder
    if on_all_ranks(own is None, factor.parameters[0].device, group):
        return [None] * count
    parts = filled([None] * len(factor.parameters) if own is None else own, factor.parameters)
    gathered = [_all_gather(part, group) for part in parts]
    return [[of_ranks[rank] for of_ranks in gathered] for rank in range(count)]


def on_all_ranks(holds: bool, device: torch.device, group: Any) -> bool:
    """Whether something holds on every process."""
    flag = torch.tensor([float(holds)], device=device)
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
