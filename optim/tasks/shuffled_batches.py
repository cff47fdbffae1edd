"""Batches of an endless sequence of shuffled epochs, as a function of the step alone."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from ...circuits.errors import InputError


def batch_indices(name: str, n: int, step: int, size: int | None, seed: int) -> Tensor:
    """Which of n training samples make batch number `step` (the incomplete last batch of each epoch is left out), (size,) int64.

    A function of its arguments alone, so that a resumed run sees the batches that it would have seen.

    Args:
        name: of the task, for errors.
        n: number of training samples.
        step: number of the batch, from 0.
        size: samples of a batch.
        seed: of the epochs' orders.

    Raises:
        InputError: size outside 1..n or None, or step or seed negative.
    """
    if size is None:
        raise InputError(f"batch is None: the task {name} needs a number of samples a step")
    if not 1 <= size <= n:
        raise InputError(f"batch is {size}: the task {name} has {n} training samples, give 1 to {n}")
    if step < 0 or seed < 0:
        raise InputError(f"step is {step}, seed {seed}: both must be >= 0")
    epoch, position = divmod(step, n // size)
    return _order(n, seed, epoch)[position * size : (position + 1) * size]


def held_out_from(name: str, n: int) -> int:
    """Number of training samples before those that a search holds out, the last quarter. InputError for fewer than two."""
    if n < 2:
        raise InputError(f"the task {name} has {n} training samples, of which none can be held out: give at least 2")
    return n - max(1, n // 4)


@functools.lru_cache(maxsize=2)
def _order(n: int, seed: int, epoch: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng((seed, epoch)).permutation(n))
