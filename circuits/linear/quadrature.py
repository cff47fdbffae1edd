"""Integrals of smooth matrices over an interval, by a function that takes all of its points in one call.

An interval's integral is Gauss and Legendre's of n points, exact for polynomials up to degree 2 n - 1. Its error is taken to be the
distance from the sum over its halves, which has a far smaller one: intervals whose error is too large give way to their halves. All
intervals of a round are computed together (P. J. Davis, P. Rabinowitz, Methods of Numerical Integration, 2nd ed., 1984, section 6.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["integral"]

Array = NDArray[np.float64]
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_ROUNDS = 40
_MOST = 4000  # intervals in a round; where as many are not enough, the function is not smooth


def integral(function: Callable[[Array], Array], edges: Sequence[float], tolerance: float) -> tuple[Array, float]:
    """(integral, error) of f(x) dx from the first to the last of `edges`.

    Args:
        function: points (P,) to values (P, ...); it is never asked for the ends.
        edges: of the intervals to begin with, ascending, (E,).
        tolerance: the error to be reached, the largest of all entries', and at most this share of the largest entry.

    Returns:
        The integral and its error; above the tolerance where that was not reached, because of rounding for example.
    """
    low, high = np.array(edges[:-1], dtype=float), np.array(edges[1:], dtype=float)
    whole = _gauss(function, low, high)
    total, error = np.zeros_like(whole[0]), 0.0
    for round_ in range(_ROUNDS):
        middle = (low + high) / 2
        begin, end = np.stack([low, middle], axis=1).ravel(), np.stack([middle, high], axis=1).ravel()
        halves = _gauss(function, begin, end)
        pairs = halves.reshape(len(low), 2, *halves.shape[1:]).sum(axis=1)
        errors = np.abs(pairs - whole).reshape(len(low), -1).max(axis=1)
        size = max(1.0, float(np.abs(total + pairs.sum(axis=0)).max()))
        # Rounding is no reason to go on: halves of an interval whose sum differs by less are as good as they get.
        floor = 1e-14 * np.abs(pairs).reshape(len(low), -1).max(axis=1)
        open_ = errors > np.maximum(tolerance * size / (4 * len(low)), floor)
        if round_ == _ROUNDS - 1 or 2 * open_.sum() > _MOST:
            open_[:] = False
        total = total + pairs[~open_].sum(axis=0)
        error += float(errors[~open_].sum())
        if not open_.any():
            return total, error
        both = np.repeat(open_, 2)
        low, high, whole = begin[both], end[both], halves[both]
    raise AssertionError("the last round ends the loop")


def _gauss(function: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """(intervals, ...) by the rule of `_POINTS`."""
    half = (high - low) / 2
    points = (low + high)[:, None] / 2 + half[:, None] * _POINTS
    values = function(points.ravel())
    values = values.reshape(len(low), len(_POINTS), *values.shape[1:])
    return np.asarray(np.einsum("ip...,p->i...", values, _WEIGHTS) * half.reshape(-1, *[1] * (values.ndim - 2)))
