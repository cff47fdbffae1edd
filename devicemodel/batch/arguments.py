"""Checked arguments of a batch of dies."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from torch import Tensor

from ...circuits.errors import InputError
from ...compiler.linear_system import LinearSystem
from ...compiler.validate import real_array, validate
from ..checks import check_duration

RealArray: TypeAlias = Tensor | np.ndarray | Sequence[float] | Sequence[Sequence[float]]
"""Numbers on any device, of any real type."""


def checked_seed(seed: int) -> int:
    """An integer >= 0."""
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed is {seed!r}: give an integer >= 0")
    return int(seed)


def seeds_of(dies: Sequence[int]) -> Iterator[int]:
    """The dies' seeds as integers."""
    if not hasattr(dies, "__len__") or isinstance(dies, str | bytes):
        raise InputError(f"dies is {dies!r:.60}: give a sequence of seeds, such as range(1000)")
    if not len(dies):
        raise InputError("dies is empty: give one seed or more, such as range(1000)")
    for place, die in enumerate(dies):
        try:
            yield operator.index(die)
        except TypeError:
            raise InputError(f"dies[{place}] is {die!r:.60}: a die seed must be an integer >= 0") from None


def checked_system(
    system: LinearSystem | RealArray, b: RealArray, x0: RealArray | None, duration: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """A as a symmetric matrix (n, n), b and x0 as vectors (n,), and the duration."""

    def array(name: str, value: RealArray) -> np.ndarray:
        return real_array(
            name, "an array of real numbers", value.detach().cpu() if isinstance(value, Tensor) else value
        )

    matrix = system.dense() if isinstance(system, LinearSystem) else system
    a, drive = array("A", matrix), array("b", b)
    start = np.zeros(drive.shape) if x0 is None else array("x0", x0)
    if a.ndim != 2 or a.shape[0] != a.shape[1] or drive.shape != a.shape[:1] or start.shape != drive.shape:
        raise InputError(f"A has shape {a.shape}, b {drive.shape}, x0 {start.shape}; (n, n), (n,) and (n,) are needed")
    if not (np.isfinite(drive).all() and np.isfinite(start).all()):
        raise InputError("b or x0 holds a value that is not finite")
    # Products in single precision are symmetric up to their rounding.
    return validate((a + a.T) / 2 if np.allclose(a, a.T, rtol=1e-6) else a), drive, start, check_duration(duration)
