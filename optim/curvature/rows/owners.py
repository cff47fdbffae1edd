"""Which output each row of the values in an autograd graph belongs to, proved by backward passes.

The sensitivity of a value in the graph to the cotangent v of the outputs is D(v) = sum_i v_i dz_i/dy. Its row t belongs to sample i if no
other sample's outputs depend on it. Then, for a number c_i for each sample,

    D(c v)_t = c_i D(v)_t,

which holds for random c in no other case, but for rounding: a row on which two samples depend is a mixture. A sample's number is written
in digits, one pass for each, so that its levels stay apart by more than the rounding of the values' type. In half precision rounding is too
large for that: there c is 1 for the samples whose number has a certain bit and 0 for the others, or the reverse, and D(c v)_t is zero in
one of the two passes, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

_TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-4}
"""Relative error of a row of D(c v) that counts as rounding."""
_BASE = {torch.float64: 100_000, torch.float32: 32}
"""Largest number of levels of a digit."""


@dataclass(frozen=True, eq=False)
class Codes:
    """Numbers of b samples in digits.

    Attributes:
        samples: number of samples b.
        factors: c of each pass, (b,).
        levels: of each digit, in ascending order.
        parts: for each level of each digit, what it adds to a sample's number; b where no sample has it.
    """

    samples: int
    factors: list[Tensor]
    levels: list[Tensor]
    parts: list[Tensor]


@lru_cache(maxsize=8)
def codes_for(b: int, dtype: torch.dtype, device: torch.device) -> Codes:
    """Codes of b samples for values of float32 or float64, always the same."""
    passes = 1 if dtype == torch.float64 else 2
    passes = max(passes, math.ceil(math.log(max(b, 2)) / math.log(_BASE[dtype]) - 1e-9))
    base = max(2, math.ceil(b ** (1 / passes) - 1e-9))
    generator = torch.Generator().manual_seed(20240517)
    codes = Codes(b, [], [], [])
    for j in range(passes):
        # (uneven levels, so that no mean of two of them is a third)
        spread = (torch.arange(base) + 0.6 * torch.rand(base, dtype=torch.float64, generator=generator)) / base
        levels = 0.5 + 1.5 * spread
        digits = torch.randperm(base, generator=generator)[torch.arange(b) // base**j % base]
        parts = torch.full((base,), b)
        parts[digits] = torch.arange(b) // base**j % base * base**j
        codes.factors.append(levels[digits].to(device))
        codes.levels.append(levels.to(device))
        codes.parts.append(parts.to(device))
    return codes


def owners_of(D: Tensor, coded: Sequence[Tensor], codes: Codes) -> Tensor | None:
    """The sample of each row of a value; None if a row belongs to more than one.

    Args:
        D: sensitivities D(v).
        coded: D(c v), for each digit.
        codes: of the samples.

    Returns:
        Sample numbers that broadcast against the value: (n, 1, ...) for rows of the first dimension, (n, n', 1, ...) of the first two,
        (1, n) for columns of a matrix.
    """
    if D.dim() == 0 or D.dtype not in _TOLERANCE:
        return None
    for dims in _row_dimensions(D.dim()):
        found = _owners(D, coded, codes, [i for i in range(D.dim()) if i not in dims])
        if found is not None:
            return found
    return None


def _row_dimensions(dims: int) -> list[tuple[int, ...]]:
    """Dimensions that may number the rows."""
    return [(0,)] + ([(0, 1)] if dims > 2 else [(1,)] if dims == 2 else [])


def _owners(D: Tensor, coded: Sequence[Tensor], codes: Codes, rest: list[int]) -> Tensor | None:
    tolerance, floor = _TOLERANCE[D.dtype], 4 * torch.finfo(D.dtype).eps

    def summed(x: Tensor) -> Tensor:
        return x.sum(rest, keepdim=True) if rest else x

    size = summed(D * D)
    top = size.max()
    allowed = tolerance**2 * size + floor**2 * top
    negligible = size <= floor**2 * top
    owner = torch.zeros_like(size, dtype=torch.long)
    for part, levels, numbers in zip(coded, codes.levels, codes.parts, strict=True):
        ratio = (summed(part * D) / size.clamp(min=torch.finfo(size.dtype).tiny)).nan_to_num()
        middle = ((levels[1:] + levels[:-1]) / 2).to(ratio.dtype)
        level = torch.bucketize(ratio.contiguous(), middle)
        off = summed((part - levels.to(part.dtype)[level] * D).square())
        if not bool((off <= allowed).all()):
            return None
        owner += numbers[level]
    owner = torch.where(negligible, _spread(owner, codes.samples), owner)
    return owner if bool((owner < codes.samples).all()) else None


def masks(b: int, device: torch.device) -> list[Tensor]:
    """c of the passes in half precision, (b,): for each bit of a sample's number those of the samples without it, and with it."""
    number = torch.arange(b, device=device)
    bits = max(1, (b - 1).bit_length())
    return [(number >> j & 1 == value).double() for j in range(bits) for value in (0, 1)]


def reached(D: Tensor) -> list[Tensor]:
    """Which rows of a value are not zero, for each choice of its rows."""
    every = range(D.dim())
    return [_any(D != 0, [i for i in every if i not in dims]) for dims in _row_dimensions(D.dim())]


def owners_by_masks(found: Sequence[Sequence[Tensor]], b: int) -> Tensor | None:
    """As `owners_of`, by the rows that are `reached` in each pass of `masks`."""
    for choice in zip(*found, strict=True):
        pairs = list(zip(choice[::2], choice[1::2], strict=True))
        if any(bool((without & having).any()) for without, having in pairs):
            continue
        owner = sum(
            (having.long() << j for j, (_, having) in enumerate(pairs)), torch.zeros_like(choice[0], dtype=torch.long)
        )
        owner = torch.where(sum(choice, torch.zeros_like(choice[0])), owner, _spread(owner, b))
        if bool((owner < b).all()):
            return owner
    return None


def _spread(owner: Tensor, b: int) -> Tensor:
    """Samples for rows that matter to none, by turns."""
    return (torch.arange(owner.numel(), device=owner.device) % b).reshape(owner.shape)


def _any(x: Tensor, dims: list[int]) -> Tensor:
    return x.any(dims, keepdim=True) if dims else x
