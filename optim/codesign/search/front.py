"""Fronts of several costs, all of which are to be small."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ....circuits.errors import InputError

Costs = Sequence[Sequence[float]] | NDArray[np.float64]


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether it is nowhere worse and somewhere better."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and any(a < b for a, b in zip(one, other, strict=True))


def on_front(costs: Costs) -> list[bool]:
    """Of each design, whether no other one dominates it. Of equal ones each counts."""
    return [not any(dominates(other, one) for other in costs) for one in costs]


def hypervolume(costs: Costs, reference: Sequence[float]) -> float:
    """Volume of what the designs dominate, up to the reference; of its costs, those beyond the reference do not count.

    By slices along the last cost: exact, of order n^m for m costs.

    Args:
        costs: (n, m). reference: (m,).

    Raises:
        InputError: lengths that do not match, or a nan.
    """
    limit = np.asarray(reference, dtype=np.float64)
    points = (
        np.asarray(list(costs), dtype=np.float64).reshape(-1, len(limit)) if len(costs) else np.empty((0, len(limit)))
    )
    if np.isnan(points).any() or not np.isfinite(limit).all():
        raise InputError("hypervolume: a cost or the reference is nan, or the reference is infinite: give numbers")
    return _volume(points[(points < limit).all(axis=1)], limit)


def _volume(points: NDArray[np.float64], limit: NDArray[np.float64]) -> float:
    if not len(points):
        return 0.0
    if len(limit) == 1:
        return float(limit[0] - points[:, 0].min())
    points = points[np.argsort(points[:, -1], kind="stable")]
    edges = [*points[:, -1], limit[-1]]
    total = 0.0
    for index in range(len(points)):
        depth = edges[index + 1] - edges[index]
        if depth > 0:
            total += depth * _volume(points[: index + 1, :-1], limit[:-1])
    return float(total)
