"""The die as a thermal network: which temperature each part sits at.

Each cell of an m x m grid has a heat capacity c and exchanges heat with its neighbours, with the ambient and, along the left edge,
with a hot neighbour:

    c dT/dt = -G (T - T_amb) + h,    G = L_nn + g_amb I + g_hot E,    h = g_hot E (T_hot - T_amb) + p,

with L_nn the grid's Laplacian times the cell-to-cell conductance, E the indicator of the left edge and p the heat made in each cell.
In the steady state T = T_amb + G^-1 h. G is a sum of an operator along the rows and one along the columns, so that two m x m
eigenvalue problems, V_r and V_c, solve it (and its transient) for the whole grid: G^-1 h = V_r [(V_r^T h V_c) / lambda] V_c^T.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy.linalg import eigh_tridiagonal

from ..errors import InputError
from .parts import Thermal


def temperature_map(thermal: Thermal, ambient: float | None = None, power: Any = None) -> np.ndarray:
    """Steady temperature of each cell, (cells, cells) in K; column 0 is the edge at the hot neighbour.

    Args:
        thermal: the network.
        ambient: K, overrides the record's ambient temperature (a die's own draw).
        power: (cells, cells) W, heat made in each cell on top of the record's uniform `power`; None: no more than that.

    Raises:
        InputError: a power map of another shape, or with entries that are not finite.
    """
    # Solved for the rise above ambient, so that a die without heat is exactly at ambient.
    ambient = thermal.ambient if ambient is None else ambient
    return ambient + _modes_of(thermal).steady(heat_of(thermal, ambient, power))


def temperature_transient(
    thermal: Thermal, times: Any, start: Any, ambient: float | None = None, power: Any = None
) -> np.ndarray:
    """Temperature of each cell after a constant heat is switched on, (k, cells, cells) in K; exact, there is no time step.

    T(t) = T_inf + exp(-G t / c) (T_start - T_inf), with T_inf = `temperature_map(thermal, ambient, power)`.

    Args:
        thermal: the network.
        times: (k,) s, not negative.
        start: (cells, cells) K at time 0, or one temperature for all.
        ambient, power: as in `temperature_map`.

    Raises:
        InputError: negative times, shapes that do not fit the grid, entries that are not finite.
    """
    ambient = thermal.ambient if ambient is None else ambient
    seconds = np.asarray(times, dtype=float).reshape(-1)
    if not (np.isfinite(seconds).all() and (seconds >= 0).all()):
        raise InputError(f"times must be finite and not negative, got {times!r}")
    modes = ThermalModes(thermal)
    begin = on_grid("start", thermal, start) - ambient
    end = modes.steady(heat_of(thermal, ambient, power))
    decay = np.exp(-modes.conductance * (seconds / thermal.heat_capacity)[:, None, None])
    return np.asarray(ambient + end + modes.back(decay * modes.into(begin - end)))


def time_constants(thermal: Thermal) -> np.ndarray:
    """Thermal time constants c / lambda, (cells^2,) in s, the slowest first."""
    return np.asarray(np.sort((thermal.heat_capacity / ThermalModes(thermal).conductance).ravel())[::-1])


def cell_of(cells: int, position: Any) -> np.ndarray:
    """Index of the cell, along one side of the die, at a relative position in [0, 1]."""
    return np.minimum((np.asarray(position) * cells).astype(int), cells - 1)


def temperature_at(grid: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Temperature of parts at relative positions row, column in [0, 1] (broadcast), in K."""
    return grid[cell_of(len(grid), row), cell_of(len(grid), column)]


def heat_at(cells: int, power: Any, row: Any, column: Any) -> np.ndarray:
    """Heat map, (cells, cells) in W, of parts that dissipate `power` W at relative positions row, column in [0, 1] (broadcast)."""
    watts, i, j = np.broadcast_arrays(power, cell_of(cells, row), cell_of(cells, column))
    return np.bincount((i * cells + j).ravel(), watts.ravel(), cells * cells).reshape(cells, cells)


class ThermalModes:
    """Eigenvectors of the grid's rows and columns, and the conductance (W/K) of each product of two.

    Row mode 0 is uniform: of all row modes it alone sees the ambient.
    """

    def __init__(self, thermal: Thermal) -> None:
        m, between = thermal.cells, thermal.to_neighbour
        order = np.arange(m)
        free = np.cos(np.pi * np.outer(order + 0.5, order) / m)
        self.rows = self.columns = free / np.linalg.norm(free, axis=0)
        down = 4 * between * np.sin(np.pi * order / (2 * m)) ** 2
        across = down
        if thermal.to_hot > 0:
            diagonal = between * np.array([float(k > 0) + float(k < m - 1) for k in range(m)])
            diagonal[0] += thermal.to_hot
            self.columns = eigh_tridiagonal(diagonal, np.full(m - 1, -between))[1] if m > 1 else np.ones((1, 1))
            # As sums of squares: a small one, of a die that barely touches its surroundings, would else be rounding of a large one.
            across = between * (np.diff(self.columns, axis=0) ** 2).sum(axis=0) + thermal.to_hot * self.columns[0] ** 2
        self.conductance = down[:, None] + across[None, :] + thermal.to_ambient

    def into(self, grid: np.ndarray) -> np.ndarray:
        """Amplitudes of the modes."""
        return self.rows.T @ grid @ self.columns

    def back(self, modes: np.ndarray) -> np.ndarray:
        """The map of these amplitudes."""
        return self.rows @ modes @ self.columns.T

    def steady(self, heat: np.ndarray) -> np.ndarray:
        """G^-1 h."""
        return self.back(self.into(heat) / self.conductance)


@lru_cache(maxsize=8)
def _modes_of(thermal: Thermal) -> ThermalModes:
    """Kept, since a thousand dies of one technology ask for them."""
    return ThermalModes(thermal)


def heat_of(thermal: Thermal, ambient: float, power: Any) -> np.ndarray:
    """h of the module's docstring, (cells, cells) W."""
    heat = np.full((thermal.cells, thermal.cells), thermal.power)
    heat[:, 0] += thermal.to_hot * (thermal.hot_temperature - ambient)
    if power is not None:
        heat += on_grid("power", thermal, power)
    return heat


def on_grid(name: str, thermal: Thermal, values: Any) -> np.ndarray:
    """Finite values on the grid, (cells, cells); one number is taken for all cells, but not of a power."""
    grid, shape = np.asarray(values, dtype=float), (thermal.cells, thermal.cells)
    if grid.shape not in (shape, ()) or (grid.shape == () and name == "power"):
        raise InputError(f"{name} has shape {grid.shape}; the die's grid is {shape}")
    if not np.isfinite(grid).all():
        raise InputError(f"{name} holds {grid[~np.isfinite(grid)][0]}; all entries must be finite")
    return np.broadcast_to(grid, shape)
