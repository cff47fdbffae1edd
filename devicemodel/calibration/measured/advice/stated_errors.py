"""Stated errors of tables against the scatter of their residuals; see `suspicions`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from ..likelihood import blocks_of
from ..measurements import Measurements
from ..problem import Problem

Array = NDArray[np.float64]
FEWEST = 10
"""Readings of a table below which its scatter says too little."""
SURE = 1e-5
"""Probability of such a scatter, if the errors were as stated, below which they are doubted."""
LEAST = 1.2
"""Least factor that is worth saying."""
_WHITE = 4.0  # standard deviations of the correlation of neighbours that residuals may have
_STATED = {"trace": "std_v", "covariance": "std_v2", "correlation": "std"}


def stated_errors(problem: Problem, tables: Sequence[Measurements]) -> Iterator[tuple[str, str, float]]:
    """(source, sentence, -ln probability) of each table whose errors are stated wrongly.

    Args:
        problem: at the calibrated values. tables: its tables.
    """
    point = problem.at(problem.origin)
    hat, start = _leverages(point.sensitivity), 0
    for table in tables:
        rows = sum(len(block.labels) for block in blocks_of(table))
        here = slice(start, start + rows)
        start += rows
        residual, free = point.residual[here], rows - float(hat[here].sum())
        if rows < FEWEST or free < rows / 2 or not _white(residual, _series(table, rows)):
            continue
        square = float(residual @ residual) / free
        # Of k^2, relative.
        error = math.sqrt(float(problem.spread[here].mean()) / free)
        sigma = math.log(square) / error
        probability = 2 * float(norm.sf(abs(sigma)))
        factor = math.sqrt(square)
        if probability < SURE and max(factor, 1 / factor) > LEAST:
            yield table.source, _sentence(table, factor, error), -math.log(max(probability, 1e-300))


def _sentence(table: Measurements, factor: float, error: float) -> str:
    spread = math.exp(1.96 * error / 2)
    small = factor > 1
    k = factor if small else 1 / factor
    low, high = k / spread, k * spread
    if table.kind == "spectrum":
        stated = (
            f"averages look about {k**2:.2g} times too {'large' if small else 'small'} ({low**2:.2g} to {high**2:.2g})"
        )
    else:
        stated = f"{_STATED[table.kind]} looks about {k:.2g} times too {'small' if small else 'large'} ({low:.2g} to {high:.2g})"
    return f"{table.source}: {stated}, by the scatter of its readings around the fit, which is white"


def _leverages(factor: Array) -> Array:
    """Diagonal of A (A^T A)^+ A^T."""
    left, strength, _ = np.linalg.svd(factor, full_matrices=False)
    good = strength > 1e-6 * strength.max(initial=1e-300)
    return np.asarray(np.sum(left[:, good] ** 2, axis=1))


def _series(table: Measurements, rows: int) -> Array:
    """A number for each row, the same for rows that follow one another in time."""
    if table.kind == "trace":
        names = table.columns["node"]
        return np.asarray(np.unique(names, return_inverse=True)[1], dtype=float)
    return np.zeros(rows)


def _white(residual: Array, series: Array) -> bool:
    """Whether neighbours of one series are uncorrelated, up to chance."""
    products, squares = [], []
    for one in np.unique(series):
        z = residual[series == one]
        z = z - z.mean() if len(z) > 2 else z
        products.append(float(z[1:] @ z[:-1]))
        squares.append(float(z @ z))
    total = sum(squares)
    return total > 0 and abs(sum(products)) / total < _WHITE / math.sqrt(len(residual))
