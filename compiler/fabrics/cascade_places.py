"""Where the parts of a cascade are: their numbers among a die's deviates, and their places on it.

A die numbers the entries of arrays by (channel, number), each computed from its place (`Die.deviates_of`), so that arrays too large to be
held can be made block by block. The array J next to the cells is `FIRST`, J^T before the integrators `LAST`, and both have the numbers of
J: the channel counts its rows, the number its cells. Of A (x) B the array 1 (x) B is one copy of B for each row of cells, and A (x) 1 one
copy of A for each column; copies count `SIDE` channels. What is between them has channels of its own, as have feedback resistors and
offsets of the summing amplifiers.

The mean of the two rails has these deviates, and their difference others, `APART` channels later.

On the die array t of T has its strip from t / T to (t + 1) / T of the width, with its summing or integrating amplifiers, and all that these
have for themselves, at its right edge.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

FIRST, LAST = 0, 1
"""The arrays before the summing amplifiers and before the cells."""
SIDE = 2**16
"""Most rows of A or B in A (x) B: channels of one copy."""
ARRAYS = 2**32
"""Channels of one array; places of what is between the first two, and of feedback resistors, come after them."""
APART = 2**40
"""Channels between the deviates of a pair's mean and those of its difference."""


class Numbers(NamedTuple):
    """Channel and number of each entry of an array, (m,) integers; `channel` is within the array, whose own start at `array` * `ARRAYS`."""

    array: int
    channel: np.ndarray
    number: np.ndarray


def numbers_of(array: sparse.csr_array, place: int, count: int, sides: np.ndarray) -> Numbers:
    """Those of the entries of an array in their stored order.

    Args:
        place: of the array, from 0 next to the cells. count: number of arrays.
        sides: (p, q) of A (x) B; empty: the arrays are J, those between, J^T.
    """
    row, column = rows_and_columns(array)
    if len(sides):
        _, q = sides.tolist()
        if place == 0:
            return Numbers(FIRST, row // q * SIDE + row % q, column % q)
        return Numbers(LAST, row % q * SIDE + row // q, column // q)
    if place == 0:
        return Numbers(FIRST, row, column)
    return Numbers(LAST, column, row) if place == count - 1 else Numbers(place + 1, row, column)


def stage_channel(stage: int) -> int:
    """Channel of the feedback resistors, and of the offsets, of a stage of summing amplifiers, from 0."""
    return 2 * ARRAYS + stage


def rows_and_columns(array: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Of each stored entry, in its order."""
    return np.repeat(np.arange(array.shape[0]), np.diff(array.indptr)), np.asarray(array.indices, dtype=np.int64)


def on_strip(array: sparse.csr_array, place: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column on the die, 0 to 1, of each stored entry."""
    row, column = rows_and_columns(array)
    return (row + 0.5) / array.shape[0], (place + (column + 0.5) / array.shape[1]) / count


def at_edge(rows: int, place: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column on the die of what the amplifiers of an array have for themselves."""
    return (np.arange(rows) + 0.5) / rows, np.full(rows, (place + 1) / count)
