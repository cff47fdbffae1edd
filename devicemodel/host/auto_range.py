"""The signal level: how many volts stand for one problem unit, found by trying, as an auto-ranging instrument does.

The host never solves the system to find it. A run starts with the drive at the DAC's full scale, times the `headroom` h <= 1 that the last
reading within range left over. If a cell passed its limit, level and headroom are scaled down and the board runs again.

What cells settle at is not known before a run, nor then how far they overshoot: a run that clips on the way says it, as one that clips at
its end does. Of a start it is known (`Board.overshoot`), and leaves that room.

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
IDLE = 1.5
"""Room above which a level that was shrunk so far is raised again, once: a reading within range says by how much."""


def least_headroom(dac: Converter) -> float:
    """Headroom at which the largest drive is the DAC's least code, half a step; of one without steps, the rounding of double precision."""
    return max(step_of(dac) / 2 / dac.full_scale, float(np.finfo(float).eps))


class LevelSearch:
    """The search of one die for its signal level.

    Args:
        strongest, start: largest drive at a level of 1, and largest voltage that cells swing to from their start, V.
        headroom: what the memory says; 1: nothing.
        dac: drives and charges the cells.
        limit: of a cell's voltage, V.
        gain: what the largest input resistors and the attenuator's last setting make of a drive voltage, at least 1: by that much the level
            may fall further.

    Attributes:
        level: volts for a problem unit, of the next attempt. headroom: h of that level.
    """

    def __init__(
        self, strongest: float, start: float, headroom: float, dac: Converter, limit: float, gain: float = 1.0
    ) -> None:
        self._strongest, self._start, self._dac, self._limit = strongest, start, dac, limit
        self._least, self._clips, self._raised = least_headroom(dac) / gain, 0, False
        self.headroom, self.level = float(headroom), self._first(headroom)

    def goes_on(self, clipped: bool, room: float) -> bool:
        """Whether another attempt, at another level, is worth while after one that clipped, or used all but `room` of the range."""
        if clipped:
            if self.headroom <= self._least:
                return False
            self._clips += 1
            shrink = max(scaled_down(room, self._clips), self._least / self.headroom)
            self.level, self.headroom = self.level * shrink, self.headroom * shrink
            return True
        if self._clips > 1 and room > IDLE and not self._raised:
            self._raised = True
            self.level, self.headroom = self.level * room, min(1.0, self.headroom * room)
            return True
        if room <= SPARE or self.headroom >= 1 or self._clips:
            return False
        # Less was made of the range than could be, for the sake of what an earlier system needed: begin as if there was none.
        level, self.level = self.level, max(self.level, self._first(1.0))
        self.headroom = 1.0 if self.level > level else self.headroom
        return self.level > level

    def memory(self, clipped: bool, room: float) -> float:
        """Headroom for the next system."""
        if clipped:
            return 1.0
        return min(1.0, 2 * self.headroom) if room > SPARE else self.headroom

    def _first(self, headroom: float) -> float:
        return first_level(self._strongest, self._start, headroom, self._dac.full_scale, self._limit)


def first_level(strongest: float, start: float, headroom: float, full_scale: float, limit: float) -> float:
    """Volts for a problem unit: the DAC at `headroom` times its full scale, or the start at `TARGET` of its range, whichever is less.

    Args:
        strongest, start: as of `LevelSearch`, V.
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
