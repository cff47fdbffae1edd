"""`Board`: what the host needs of a programmed system, on one die or on many; the physics, and nothing of the host's own work.

A device gives the host a board for each system: what stands for its numbers, and what its voltages do when driven for a time. How strongly
it is driven, when, how often, and what is made of what is read, is the host's business (`host`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...circuits.errors import InputError
from ..device import Outcome


@dataclass(frozen=True, eq=False)
class Voltages:
    """Voltages of a run of some dies.

    Attributes:
        cells: differential node voltages at the instants of reading, (dies, instants, n) V; nan in all of a die's where its run is not
            finite.
        internal: largest output of amplifiers that are not read, (dies,) V; None where there are none.
        error: bound of the numerical error of `cells` at the last instant, (dies,) V in the Euclidean norm; None: not known.
        overload: what amplifiers use of their limits at most, as comparators within them see it, (dies,): 1 is at the end of the range
            of a voltage or a current, whatever a cell's own voltage is. Of cells that overshoot, over the whole run, not at the instants
            of reading alone. None: none can be seen.
        left: what the next run starts from if it goes on, (dies, kept) V, see `Board.kept`: `cells` at the last instant without what lasts
            no longer than an amplifier responds, or before a sampler's lag. None: `cells` at the last instant.
    """

    cells: np.ndarray
    internal: np.ndarray | None = None
    error: np.ndarray | None = None
    overload: np.ndarray | None = None
    left: np.ndarray | None = None


class Board(ABC):
    """A programmed system. Only `relax` has to be written; numbers stand for voltages one to one by default.

    Attributes:
        size: cells n.
        overshoot: most that a cell swings to over where it settles, or starts; 1: it does not overshoot.
        takes_start: whether the host can set the voltages that a run starts from; if not, runs start from rest, or go on.
        tau: s, the time unit of the system.
        runaway: outcome of a run that is not finite.
        shows_overload: whether an amplifier at the end of its range shows in `Voltages`; if not, the host looks whether readings are linear
            in the drive (`linearity`).
        takes_rows: whether `relax` takes several runs of its one die at once, as if each was of a die of its own.
        spent_runs: runs that it took to find this programming; counted with its first one.
        drive_gains: what each range of the input resistors makes of the drive voltages of the first, for the same drive; ascending, from 1.
    """

    size: int
    overshoot: float = 1.0
    takes_start: bool = True
    tau: float = 1.0
    runaway: Outcome = Outcome.UNSTABLE
    shows_overload: bool = True
    takes_rows: bool = False
    spent_runs: int = 0
    drive_gains: tuple[float, ...] = (1.0,)

    @property
    def kept(self) -> int:
        """Voltages h that a run starts from and leaves: n, or a multiple of it, the first ones of all cells, then the second ones."""
        return self.size

    def in_range(self, place: int) -> Board:
        """The board with its input resistors in the range of that place in `drive_gains`; itself for the first."""
        return self

    @abstractmethod
    def relax(
        self,
        dies: np.ndarray,
        driven: np.ndarray,
        start: np.ndarray,
        spans: tuple[float, ...],
        streams: Sequence[np.random.Generator],
    ) -> Voltages:
        """Run some dies: drive them and let them relax.

        Args:
            dies: their places among the dies of the board, (dies,); [0] for a board of one.
            driven: voltages at the drive inputs, (dies, n) V; zeros: inputs at ground.
            start: voltages at first, (dies, kept) V.
            spans: times to each reading, tau: up to the first one, from there to the second one, and so on; the first may be inf.
            streams: of each die's noise.
        """

    def obstacles(self, duration: float) -> Sequence[Outcome | None]:
        """For each die the outcome that is known before it runs for `duration` tau, such as UNSTABLE; None: it can run."""
        return [None]

    def strongest(self, b: np.ndarray) -> np.ndarray:
        """Largest voltages that drive b, (dies, n), at a level of 1 V for a problem unit in the first range: (dies,) V."""
        return np.asarray(np.abs(b).max(axis=-1))

    def requested(self, b: np.ndarray, level: np.ndarray) -> np.ndarray:
        """Drive voltages for b, (dies, n), at levels (dies, 1): (dies, n) V."""
        return level * b

    def whole_start(self, start: np.ndarray) -> np.ndarray:
        """All values that a run starts from, (..., kept): those given, and zeros, as velocities, where they are (..., n) alone.

        Raises:
            InputError: values (..., n) that are not zeros, for cells that a host cannot set.
        """
        missing = self.kept - start.shape[-1]
        if missing and not self.takes_start and start.any():
            raise InputError(
                f"x0 has an entry of {float(np.abs(start).max()):.3g}, and these cells start from rest: what they hold is no charge that a "
                "host can set; leave x0 out, or take a fabric that can be set, such as 'crossbar' or 'oscillator'"
            )
        return np.pad(start, [(0, 0)] * (start.ndim - 1) + [(0, missing)]) if missing else start

    def volts(self, x: np.ndarray, level: np.ndarray | float) -> np.ndarray:
        """Voltages, V, that represent x, (..., n) or (..., kept), at a level; those of one cell have one scale."""
        return np.asarray(x * level)

    def values(self, volts: np.ndarray, level: np.ndarray | float) -> np.ndarray:
        """Values in problem units that voltages, (..., n) or (..., kept), represent at a level."""
        return np.asarray(volts / level)
