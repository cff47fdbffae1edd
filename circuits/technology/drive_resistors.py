"""The input resistors that a cell of an active array is driven through: their ranges, and what a board made to order can have.

A cell chooses one of `resistors.drive_ranges` resistors, unit, 2 unit, 4 unit, ..., each a part of its own. Through an input conductance g
a drive voltage V is a current g V, so that a DAC's offset and step count in proportion to g: least with the largest resistor at which no
voltage is beyond the full scale. The host knows the nominal ratio of two ranges, and not the parts' mismatch.
"""

from __future__ import annotations

import numpy as np

from .e_series import nearest_preferred, preferred_conductance, series_values
from .parts import Resistors


def drive_conductances(resistors: Resistors) -> np.ndarray:
    """Nominal conductance of each range, (ranges,) S, the largest first: 1 / (unit 2^k), or the nearest that the series has."""
    return preferred_conductance(1.0 / (resistors.unit * 2.0 ** np.arange(resistors.drive_ranges)), resistors.series)


def drive_range_of(conductance: float, resistors: Resistors) -> int:
    """The range, from 0, that an input resistor of this nominal conductance (S) belongs to: the nearest by ratio."""
    return max(0, round(float(-np.log2(conductance * resistors.unit))))


def available_drives(resistors: Resistors) -> np.ndarray:
    """Nominal conductances that a board made to order can have, (m,) S, the largest first.

    Of an E-series each value from the first range's to the last one's, since each board is built once; else the ranges.
    """
    ranges = drive_conductances(resistors)
    if resistors.series is None:
        return ranges
    first, last = 1.0 / ranges[0], 1.0 / ranges[-1]
    decades = 10.0 ** np.arange(np.floor(np.log10(first)), np.floor(np.log10(last)) + 1)
    values = nearest_preferred(np.outer(decades, series_values(resistors.series)).ravel(), resistors.series)
    slack = 1e-9
    return np.asarray(1.0 / values[(values >= first * (1 - slack)) & (values <= last * (1 + slack))])
