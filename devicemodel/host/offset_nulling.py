"""Offset nulling: a bias drive that holds the cells at zero for b = 0, found from readings and added to each later drive.

What offsets of amplifiers and DACs come to, v_0 = K^-1 (L Vos + g o) for K the board's own matrix, takes of the cells' range however small
the drive is. The bias is what a host finds by iterating

    bias <- codes of the bias - volts of A x,        x the reading at b = 0 and that bias,

with one run and one product with A a step, as refinement: (1 - K^-1 A) of the bias's error stays, and of v_0 what the DAC rounds off, since
the host knows its codes. A reading that is held at the rail says nothing, so
where the first one clips the diagonal is programmed larger, A + mu, and mu taken down by factors while the bias, which is one of the
inputs and hardly depends on mu, takes over. The bias kept is the one that the smallest reading says.

What remains is K^-1 g times the DAC's rounding of drive and bias together, with a step s a standard deviation of s / sqrt(12) a cell;
ranges of the input resistors make it finer. Readings are taken in the finest one, 2^-k g, that leaves the bias its room. So the DAC's own
offset is nulled as it counts there, by 2^-k, and a drive in a coarser range has nearly all of it; the amplifiers' is nulled in all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..device import Outcome
from .board import Board, Voltages
from .converters import drive_codes
from .host import Host

STEPS, STALL = 10, 2
"""Most steps with one program, and those without a smaller reading after which they end."""
DAMPINGS = (1.0, 1 / 8, 1 / 64, 1 / 512)
"""Added to the diagonal one after another where readings clip, over its largest entry."""
SHARE = 0.5
"""Of the DAC's full scale, that a bias may take."""

Streams = Callable[[int], np.random.Generator]
"""The noise of a step."""


Product = Callable[[np.ndarray], np.ndarray]
"""x (n,) -> A x."""


@dataclass(frozen=True, eq=False)
class Nulling:
    """What was found for a system.

    Attributes:
        board: programmed with it. bias: (n,) V at the drive inputs, with input resistors of the first range.
        runs: analog runs. products: with A. programmings: further ones, of other diagonals.
    """

    board: Board
    bias: np.ndarray
    runs: int
    products: int
    programmings: int


class NulledBoard(Board):
    """A board whose every drive has a bias added to it.

    Args:
        board: programmed. bias: (n,) V, in this board's range of input resistors. full_scale: of the DAC, V.
    """

    def __init__(self, board: Board, bias: np.ndarray, full_scale: float) -> None:
        self.board, self.bias, self._full_scale = board, bias, full_scale
        self.size, self.tau, self.runaway = board.size, board.tau, board.runaway
        self.takes_rows, self.shows_overload = board.takes_rows, board.shows_overload
        self.takes_start, self.overshoot = board.takes_start, board.overshoot
        largest = float(np.abs(bias).max())
        # Ranges in which the bias leaves enough of the DAC to the drive.
        fitting = [gain for gain in board.drive_gains if gain * largest <= SHARE * full_scale]
        self.drive_gains = tuple(fitting) or (1.0,)
        self._left = 1.0 - self.drive_gains[-1] * largest / full_scale

    @property
    def kept(self) -> int:
        """See `Board`."""
        return self.board.kept

    def in_range(self, place: int) -> Board:
        """See `Board`."""
        if place == 0:
            return self
        return NulledBoard(self.board.in_range(place), self.bias * self.drive_gains[place], self._full_scale)

    def relax(
        self,
        dies: np.ndarray,
        driven: np.ndarray,
        start: np.ndarray,
        spans: tuple[float, ...],
        streams: Sequence[np.random.Generator],
    ) -> Voltages:
        """See `Board`."""
        return self.board.relax(dies, driven, start, spans, streams)

    def obstacles(self, duration: float) -> Sequence[Outcome | None]:
        """See `Board`."""
        return self.board.obstacles(duration)

    def strongest(self, b: np.ndarray) -> np.ndarray:
        """See `Board`; so much larger that the bias fits beside it."""
        return self.board.strongest(b) / self._left

    def requested(self, b: np.ndarray, level: np.ndarray) -> np.ndarray:
        """See `Board`."""
        return self.board.requested(b, level) + self.bias

    def volts(self, x: np.ndarray, level: np.ndarray | float) -> np.ndarray:
        """See `Board`."""
        return self.board.volts(x, level)

    def values(self, volts: np.ndarray, level: np.ndarray | float) -> np.ndarray:
        """See `Board`."""
        return self.board.values(volts, level)


class BiasSearch:
    """The search for a bias.

    Args:
        host: of one die.
        program: more damping mu -> a board of A + mu.
        product: with A. scale: largest entry of A's diagonal.
        duration: of a run, tau. stream: noise of each run.
    """

    def __init__(
        self,
        host: Host,
        program: Callable[[float], Board],
        product: Product,
        scale: float,
        duration: float,
        stream: Streams,
    ) -> None:
        self._host, self._program, self._product, self._scale = host, program, product, scale
        self._duration, self._stream = duration, stream
        self._runs = self._products = self._programmings = 0

    def found_for(self, board: Board) -> Nulling:
        """Start with a board of A itself, which can run."""
        bias, clipped = self._settled(board, np.zeros(board.size), 0.0)
        if clipped:
            for share in DAMPINGS:
                damping = share * self._scale
                board = self._programmed(damping, board)
                if board.obstacles(self._duration)[0] is not None:
                    break
                bias, clipped = self._settled(board, bias, damping)
                if clipped:
                    break
            board = self._programmed(0.0, board)
            bias, _ = self._settled(board, bias, 0.0)
        return Nulling(board, bias, self._runs, self._products, self._programmings)

    def _programmed(self, damping: float, last: Board) -> Board:
        """The board of A + damping; what the last one spent on its own programming is counted here, since it gives no solution."""
        self._runs += last.spent_runs
        self._programmings, last.spent_runs = self._programmings + 1, 0
        return self._program(damping)

    def _settled(self, board: Board, bias: np.ndarray, damping: float) -> tuple[np.ndarray, bool]:
        """The bias that the smallest reading says; True with the one given, where the first reading clips."""
        best, least, since, dac, one = bias, np.inf, 0, self._host.dac, np.ones((1, 1))
        for _ in range(STEPS):
            nulled = NulledBoard(board, bias, dac.full_scale)
            gain = nulled.drive_gains[-1]
            finest = nulled.in_range(len(nulled.drive_gains) - 1)
            asked = finest.requested(np.zeros((1, board.size)), one)
            [seen] = self._host.respond(finest, asked, self._duration, [self._stream(self._runs)])
            self._runs += 1
            if seen is None or seen.clipped:
                return best, least == np.inf
            x = board.values(seen.mean, 1.0)
            self._products += 1
            off = board.requested((self._product(x) + damping * x)[None], one)[0]
            bias = np.clip(drive_codes(asked[0], dac) / gain - off, -SHARE * dac.full_scale, SHARE * dac.full_scale)
            size = float(np.linalg.norm(seen.mean))
            since = 0 if size < least else since + 1
            if size < least:
                best, least = bias, size
            if since == STALL:
                break
        return best, False
