"""Preferred numbers of IEC 60063: the values that resistors and capacitors are sold in."""

from __future__ import annotations

from functools import cache

import numpy as np

from ..errors import InputError

_E24 = (10, 11, 12, 13, 15, 16, 18, 20, 22, 24, 27, 30, 33, 36, 39, 43, 47, 51, 56, 62, 68, 75, 82, 91)


@cache
def series_values(series: str) -> np.ndarray:
    """Mantissas of a series in [1, 10), ascending. E6 to E24 are the standard's table, E48 to E192 its rounding rule."""
    coarse = {"E6": 4, "E12": 2, "E24": 1}
    if series in coarse:
        return np.array(_E24[:: coarse[series]]) / 10.0
    fine = {"E48": 48, "E96": 96, "E192": 192}
    if series not in fine:
        raise InputError(f"E-series {series!r} is unknown; there are E6, E12, E24, E48, E96, E192")
    count = fine[series]
    values = np.round(10 ** (np.arange(count) / count), 2)
    # The one value where the standard departs from its own rule.
    return np.where(values == 9.19, 9.20, values)


def preferred_conductance(conductance: np.ndarray | float, series: str | None) -> np.ndarray:
    """The conductance (S) of the nearest resistor that the series has; 0 stays 0, and without a series all stay as they are."""
    values = np.asarray(conductance, dtype=float)
    if series is None:
        return values
    present = values > 0
    found = np.zeros_like(values)
    found[present] = 1.0 / nearest_preferred(1.0 / values[present], series)
    return found


def nearest_preferred(values: np.ndarray, series: str) -> np.ndarray:
    """The nearest preferred number, by ratio, to each positive value (any shape)."""
    values = np.asarray(values, dtype=float)
    grid = np.append(series_values(series), 10.0)
    decade = np.floor(np.log10(values))
    mantissa = values / 10.0**decade
    middles = np.sqrt(grid[:-1] * grid[1:])
    return grid[np.searchsorted(middles, mantissa)] * 10.0**decade
