"""Waveforms of adaptive steps on an even grid: cubic splines between the corners that the sources have."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

Array = NDArray[np.float64]


def resample(time: Array, values: Array, corners: Array, grid: Array) -> Array:
    """Values (points, nodes) at increasing `time` (points,), interpolated at `grid` (m,); (m, nodes).

    Between two corners curves are smooth; one spline across them would overshoot, by hundreds of volts where an edge is short.

    Args:
        corners: (k,) times at which a source's waveform has a corner; the simulator has a point there.
    """
    rows = np.abs(time[:, None] - corners[None, :]).argmin(axis=0) if len(corners) else np.zeros(0, dtype=int)
    edges = np.unique(np.concatenate([[0], rows, [len(time) - 1]]))
    found = np.empty((len(grid), values.shape[1]))
    for first, last in itertools.pairwise(edges.tolist()):
        # The simulator's first point can lie a little after zero, and its last one before the end.
        inside = ((grid >= time[first]) | (first == 0)) & ((grid <= time[last]) | (last == len(time) - 1))
        if inside.any():
            piece = slice(first, last + 1)
            spline = make_interp_spline(time[piece], values[piece], k=min(3, last - first))
            found[inside] = spline(grid[inside])
    return found
