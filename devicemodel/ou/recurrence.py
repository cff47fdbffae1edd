"""Linear recurrences over a time axis of T steps in about 2 sqrt(T) tensor operations instead of T.

The steps are cut into blocks. What a block makes of a zero start is computed for all blocks at once, then the blocks are joined one
after the other by the propagator of a whole block. The sums are those of the plain loop in another order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Decays:
    """The factors e^{-rates h} of a grid of steps, in blocks of `length` and a shorter last one.

    Attributes:
        each: of every step, (..., T, d), or (..., 1, d) where all steps are one number.
        since: from the start of its block to each state, (..., T, d), or (..., length, d) where the blocks are alike.
        length: of a block.
        uniform: whether all steps are one number.
    """

    each: Tensor
    since: Tensor
    length: int
    uniform: bool

    @classmethod
    def of(cls, rates: Tensor, steps: Tensor, dtype: torch.dtype) -> Decays:
        """For rates (..., d) and steps (T,), float64 on the CPU.

        Blocks are joined by exponentials of their whole time, not by products of rounded factors, so that slow modes keep their law in
        float32.
        """
        length, uniform = max(1, math.isqrt(len(steps))), is_uniform(steps)
        times, exponents = steps.cumsum(0), -rates.to(dtype).unsqueeze(-2)
        if uniform:
            each, since = steps[:1], times[:length]
        else:
            starts = torch.cat([torch.zeros_like(times[:1]), times[length - 1 : -1 : length]])
            each, since = steps, times - starts.repeat_interleave(length)[: len(times)]
        factors, joints = (torch.exp(exponents * h.to(exponents).unsqueeze(-1)) for h in (each, since))
        return cls(factors, joints, length, uniform)


def diagonal_recurrence(inputs: Tensor, start: Tensor, decays: Decays) -> Tensor:
    """x_j = e^{-rates h_j} x_{j-1} + inputs_j for j = 1..T, written over `inputs`.

    Args:
        inputs: (..., T, d), overwritten by the result.
        start: x_0, (..., d).
        decays: of the grid, in the type of the inputs.
    """
    count, length, uniform = inputs.shape[-2], decays.length, decays.uniform
    carried, whole = start.unsqueeze(-2), count // length * length
    for first, last, size in ((0, whole, length), (whole, count, count - whole)):
        if first == last:
            continue
        # each block from zero, all blocks at a time; then each from where the one before it ended
        blocks = inputs[..., first:last, :].unflatten(-2, (-1, size))
        columns = blocks.unbind(-2)
        if uniform:
            each, since = [decays.each] * size, [decays.since[..., :size, :]] * (count // size)
        else:
            parts = (part[..., first:last, :].unflatten(-2, (-1, size)) for part in (decays.each, decays.since))
            each, since = next(parts).unbind(-2), next(parts).unbind(-3)
        for j in range(1, size):
            columns[j].addcmul_(each[j], columns[j - 1])
        for b, block in enumerate(blocks.unbind(-3)):
            block.addcmul_(since[b], carried)
            carried = block[..., -1:, :]
    return inputs


def matrix_recurrence(inputs: Tensor, start: Tensor, propagator: Tensor, leap: Tensor, length: int) -> Tensor:
    """x_j = E x_{j-1} + inputs_j for j = 1..T, written over `inputs`.

    Args:
        inputs: (..., T, n), overwritten by the result.
        start: x_0, (..., n).
        propagator: E, (..., n, n).
        leap: E^length, (..., n, n).
        length: of a block.

    All products but one in `length` act on whole blocks of vectors, and the work is twice that of the plain loop.
    """
    count = inputs.shape[-2]
    blocks = math.ceil(count / length)
    ends = torch.zeros_like(inputs[..., : blocks - 1, :])
    if blocks > 1:
        for j in range(length):
            ends = ends @ propagator.mT + inputs[..., j::length, :][..., : blocks - 1, :]
    starts = [start.to(inputs.dtype).expand(inputs[..., 0, :].shape)]
    for b in range(blocks - 1):
        starts.append((starts[-1].unsqueeze(-2) @ leap.mT).squeeze(-2) + ends[..., b, :])
    state = torch.stack(starts, dim=-2)
    for j in range(min(length, count)):
        here = inputs[..., j::length, :]
        here += state[..., : here.shape[-2], :] @ propagator.mT
        state = here
    return inputs


def block_length(count: int) -> int:
    """The power of two nearest to sqrt(count), by ratio."""
    return 1 << round(math.log2(max(count, 1)) / 2)


def power(matrix: Tensor, exponent: int) -> Tensor:
    """M^exponent for a power of two."""
    for _ in range(exponent.bit_length() - 1):
        matrix = matrix @ matrix
    return matrix


def is_uniform(steps: Tensor) -> bool:
    """Whether all steps are the same number."""
    return bool((steps == steps[0]).all())


def runs(steps: Tensor) -> list[tuple[float, int]]:
    """Equal steps in a row as (step, count)."""
    values, counts = torch.unique_consecutive(steps, return_counts=True)
    return list(zip(values.tolist(), counts.tolist(), strict=True))


def merged(steps: Tensor, rounding: float) -> Tensor:
    """Steps that are one number up to rounding as their mean; those that shade into others over a wider range stay as they are."""
    values, order = steps.sort()
    group = torch.cat([torch.zeros_like(order[:1]), (values.diff() > rounding).cumsum(0)])
    sizes = torch.bincount(group)
    means = torch.zeros(len(sizes), dtype=steps.dtype, device=steps.device).scatter_add_(0, group, values) / sizes
    last = sizes.cumsum(0) - 1
    narrow = values[last] - values[last - sizes + 1] <= 2 * rounding
    result = torch.empty_like(steps)
    result[order] = torch.where(narrow[group], means[group], values)
    return result
