"""The signal level: how many volts stand for one problem unit, found by trying, as an auto-ranging instrument does.

The host never solves the system to find it. A run starts with the drive at the DAC's full scale, times the `headroom` h <= 1 that the last
reading within range left over. If a cell passed its limit, level and headroom are scaled down and the board runs again.

The memory spares most systems of a sequence a clipped attempt, and costs none of them a good reading: what clipped in the end leaves no
memory behind, and a run that uses little of the range because of a remembered headroom is repeated without it. Then a system starts from
what its own drive says. Nor does the level fall below `least_headroom`: there every drive is the least code of the DAC, of either sign, and
the board would be driven by just these at any lower level.
"""

from __future__ import annotations

import numpy as np

from ...circuits.technology.converters import Converter
from .converters import step_of

MAX_ATTEMPTS = 5
TARGET = 0.8
"""Share of the limit that another attempt aims at."""
SPARE = 4.0
"""Room (see `room`) above which a run has used little of the range."""
OVERSHOOT = 0.25
"""Further factor from the second clipped attempt on: an amplifier held at its limit does not show how far beyond it would be."""


def least_headroom(dac: Converter) -> float:
    """Headroom at which the largest drive is the DAC's least code, half a step; of one without steps, the rounding of double precision."""
    return max(step_of(dac) / 2 / dac.full_scale, float(np.finfo(float).eps))


def first_level(strongest: float, start: float, headroom: float, full_scale: float, limit: float) -> float:
    """Volts for a problem unit: the DAC at `headroom` times its full scale, or the start at `TARGET` of its range, whichever is less.

    Args:
        strongest, start: largest drive and largest start voltage at a level of 1, V.
        headroom: see the module's docstring.
        full_scale: of the DAC, which drives and charges the cells, V.
        limit: of a cell's voltage, V.
    """
    levels = [full_scale * headroom / strongest] if strongest > 0 else []
    levels += [min(TARGET * limit, full_scale) / start] if start > 0 else []
    return min(levels, default=1.0)


def room(peaks: list[tuple[float, float]]) -> float:
    """By what all voltages could grow until the first of them is at `TARGET` of its limit.

    Args:
        peaks: (largest voltage, its limit) of each kind of amplifier, V.
    """
    return min(TARGET * limit / peak if peak > 0 else np.inf for peak, limit in peaks)


def scaled_down(room: float, clips: int) -> float:
    """Factor of the level after an attempt clipped with that `room`, as the one of this number (from 1) of a search."""
    return (room if room < 1 else 0.5) * (1.0 if clips == 1 else OVERSHOOT)
