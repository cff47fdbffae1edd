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
FEWEST = 16
"""Readings of a table below which its scatter says too little."""
SURE = 1e-5
"""Probability of such a scatter, if the errors were as stated, below which they are doubted."""
LEAST = 1.2
"""Least factor that is worth saying."""
_FOLLOWING = 2.0  # standard deviations of the correlation of neighbours from which on residuals follow one another
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
        if rows < FEWEST or free < rows / 2 or _follow_one_another(residual, table):
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


def _follow_one_another(residual: Array, table: Measurements) -> bool:
    """Whether residuals that are next to each other in time or frequency are alike, of the same voltage or entry."""
    if table.kind == "trace":
        names = np.unique(table.columns["node"], return_inverse=True)[1]
        series = [residual[names == one][np.argsort(table.columns["time_s"][names == one])] for one in np.unique(names)]
    elif table.kind == "spectrum":
        series, start = [], 0
        for block in blocks_of(table):
            count = len(block.labels)
            entries = len(np.unique([label.rpartition(" at ")[0] for label in block.labels]))
            series += list(residual[start : start + count].reshape(-1, entries).T)
            start += count
    else:
        return False
    total = sum(float(z @ z) for z in series)
    alike = sum(float(z[1:] @ z[:-1]) for z in series)
    return alike > _FOLLOWING / math.sqrt(len(residual)) * total
