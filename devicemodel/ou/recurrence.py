"""Linear recurrences over a time axis of T steps in about 2 sqrt(T) tensor operations instead of T.

The steps are cut into blocks. What a block makes of a zero start is computed for all blocks at once, then the blocks are joined one
after the other by the propagator of a whole block. The sums are those of the plain loop in another order.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def diagonal_recurrence(inputs: Tensor, start: Tensor, rates: Tensor, steps: Tensor) -> Tensor:
    """x_j = e^{-rates h_j} x_{j-1} + inputs_j for j = 1..T, written over `inputs`.

    Args:
        inputs: (..., T, d), overwritten by the result.
        start: x_0, (..., d), of any type.
        rates: (..., d) or (..., 1).
        steps: h, (T,), float64, on the CPU.

    Blocks are joined by exponentials of their whole time, not by products of rounded factors, so that slow modes keep their law in float32.
    """
    count, uniform, exponents = inputs.shape[-2], is_uniform(steps), -rates.to(inputs.dtype).unsqueeze(-2)
    length = max(1, math.isqrt(count))
    times = steps.cumsum(0)

    def decay(durations: Tensor) -> Tensor:
        return torch.exp(exponents * durations.to(exponents).unsqueeze(-1))

    factors = decay(steps[:1] if uniform else steps)
    across = decay(times[:length])
    carried, whole = start.to(inputs.dtype).unsqueeze(-2), count // length * length
    for first, last, size in ((0, whole, length), (whole, count, count - whole)):
        if first == last:
            continue
        blocks = inputs[..., first:last, :].unflatten(-2, (-1, size))
        columns = blocks.unbind(-2)
        ratios = [factors] * size if uniform else factors[..., first:last, :].unflatten(-2, (-1, size)).unbind(-2)
        # each block from zero, all blocks at a time; then each from where the one before it ended
        for j in range(1, size):
            columns[j].addcmul_(ratios[j], columns[j - 1])
        for b, block in enumerate(blocks.unbind(-3)):
            here = first + b * size
            if not uniform and here:
                across = decay(times[here : here + size] - times[here - 1])
            block.addcmul_(across[..., :size, :], carried)
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
