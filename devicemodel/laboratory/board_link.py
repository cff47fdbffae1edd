"""`BoardLink`: a driver whose replies are checked, and asked for again where they are no readings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from .board_driver import BoardDescription, BoardDriver, BoardError

TRIES = 3
"""Times that a call is made before it has failed."""
SLACK = 1e-6
"""Share of the range by which a reading may be beyond it: the driver's arithmetic."""

T = TypeVar("T")


class BoardLink:
    """A driver, and what was wrong with its replies.

    A run that failed is repeated with its program: a board that restarted in the middle of it has none.

    Attributes:
        faults: a sentence for each reply that was asked for again.
    """

    def __init__(self, driver: BoardDriver) -> None:
        self.driver, self.faults = driver, list[str]()

    @property
    def description(self) -> BoardDescription:
        """The driver's."""
        return self.driver.description

    def program(self, weights: np.ndarray) -> None:
        """Set the matrix, (n, n), unless it is wired in. BoardError where it cannot be."""
        if self.description.wired is None:
            self._insist("program", lambda: self.driver.program(weights))

    def run(self, weights: np.ndarray, volts: np.ndarray, times: Sequence[float]) -> np.ndarray:
        """What the cells are at these times, s, after they were driven with volts (n,): (times, n) V.

        Raises:
            BoardError: the board is gone, or no reply of several could be used.
        """

        def once() -> np.ndarray:
            self.driver.drive(volts)
            return np.stack([self._checked(self.driver.read(seconds)) for seconds in times])

        return self._insist("drive and read", once, lambda: self.program(weights))

    def _checked(self, reply: np.ndarray) -> np.ndarray:
        """Voltages (n,) that a board of this description can have read. ValueError otherwise."""
        board = self.description
        volts = np.asarray(reply, dtype=float)
        if volts.shape != (board.cells,):
            raise ValueError(f"a reading of shape {volts.shape}, and the board has {board.cells} cells")
        for cell in np.flatnonzero(~np.isfinite(volts)):
            raise ValueError(f"cell {cell + 1} reads {volts[cell]}")
        for cell in np.flatnonzero(np.abs(volts) > board.reading_limit * (1 + SLACK)):
            raise ValueError(
                f"cell {cell + 1} reads {volts[cell]:.4g} V, beyond its range of {board.reading_limit:g} V"
            )
        return volts

    def _insist(self, what: str, call: Callable[[], T], before: Callable[[], None] | None = None) -> T:
        where = f"board {self.description.name} at {self.description.port}"
        remedy = "a training resumes from its checkpoint, by the same command or tg.train(..., checkpoint=...)"
        problem = ""
        for attempt in range(TRIES):
            try:
                if attempt and before is not None:
                    before()
                return call()
            except TimeoutError as error:
                problem = f"no answer in time ({error})"
            except ValueError as error:
                problem = f"a reply that cannot be used: {error}"
            except OSError as error:
                raise BoardError(
                    f"{where} is gone during {what}: {error}. Check cable, supply and permissions of {self.description.port}, then "
                    f"start again; {remedy}"
                ) from error
            self.faults.append(f"{what}: {problem}")
        raise BoardError(
            f"{where}: {what} failed {TRIES} times, at last with {problem}. Check its supply, the driver's timeout, baud rate and "
            f"description; then start again: {remedy}"
        )
