"""The die as a thermal network: which temperature each part sits at.

Each cell of an m x m grid exchanges heat with its neighbours, with the ambient and, along the left edge, with a hot
neighbour. In the steady state (of a thermal RC network, its capacities dropping out)

    (L_nn + g_amb I + g_hot E) (T - T_amb) = g_hot E (T_hot - T_amb) + p,

with L_nn the grid's Laplacian times the cell-to-cell conductance and E the indicator of the left edge.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve

from .technology import Thermal


def temperature_map(thermal: Thermal, ambient: float | None = None) -> np.ndarray:
    """Steady temperature of each cell, (cells, cells) in K; column 0 is the edge at the hot neighbour.

    `ambient` overrides the record's ambient temperature (a die's own draw).
    """
    m = thermal.cells
    ambient = thermal.ambient if ambient is None else ambient
    path = sparse.diags([-1.0, -1.0], [-1, 1], shape=(m, m))
    path = path - sparse.diags(np.asarray(path.sum(axis=1)).ravel())
    laplacian = sparse.kron(path, sparse.eye(m)) + sparse.kron(sparse.eye(m), path)
    to_hot = np.zeros((m, m))
    to_hot[:, 0] = thermal.to_hot
    conductance = thermal.to_neighbour * laplacian + sparse.diags(thermal.to_ambient + to_hot.ravel())
    # Solved for the rise above ambient, so that a die without heat is exactly at ambient.
    heat = to_hot.ravel() * (thermal.hot_temperature - ambient) + thermal.power
    rise: np.ndarray = spsolve(sparse.csc_matrix(conductance), heat).reshape(m, m)
    return ambient + rise


def temperature_at(grid: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Temperature of parts at relative positions row, column in [0, 1] (broadcast), in K."""
    m = len(grid)
    i, j = (np.minimum((np.asarray(position) * m).astype(int), m - 1) for position in (row, column))
    return grid[i, j]
