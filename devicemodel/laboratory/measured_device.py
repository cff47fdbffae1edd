"""`MeasuredDevice`: a real board as a device, for `TNGD`, `Refined` and all else that takes one.

The host side is that of every device (`host`): the signal level is found by trying, readings at the end of the range are CLIPPED, offsets
can be nulled, several reads averaged. What is particular to a board behind a driver is here: A = s W, with the scale s and the codes of W;
time in seconds; and that each run starts from rest.

    tau dv/dt = u - W v,   A = D W D,   u = level D^-1 b,   v = level D x,   so that A x = b at rest

D^2 is the scale s of a matrix that is programmed, A = s W, and s tau the time unit of A. A matrix that is wired in serves whatever a
diagonal D makes of it; the unit is then tau max D^2, in which no unknown settles later than the host waits.

Nothing is simulated: the converters of the host's technology add no error to what the board reads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...circuits.technology.converters import Converter
from ...circuits.technology.parts import OpAmp
from ...circuits.technology.technology import Technology
from ...compiler.linear_system import LinearSystem
from ..checks import check_duration
from ..device import Outcome, Solution, check_rows
from ..host.board import Board, Voltages
from ..host.calibrated_range import CalibratedRange
from ..host.converters import step_of
from ..host.hosted_device import HostedDevice
from ..host.readout import ReadOut
from ..systems import Dense, Kronecker, LowRank
from .board_driver import BoardDescription, BoardDriver
from .board_link import BoardLink

SETTLED = 12.0
"""Slowest time constants after which a run has come to rest: e^-12 is a twentieth of a code of 12 bits."""
FORGOTTEN = 1e-3
"""Share of a start that may be left of it where the board starts from rest instead."""
WIRED = 0.02
"""Relative departure |A - D W D| / |A| (Frobenius) from a wired matrix that is no extrapolation: what a multimeter's values leave open."""
OVERLOAD = 2.0
"""What a reading at the end of its range is taken to use of it: beyond, by an unknown factor."""


class MeasuredDevice(HostedDevice):
    """A device whose physics is a board.

    Args:
        driver: of the board; its `description` says what it can hold.
        read_out: several reads, auto-zero, nulling of offsets; see `ReadOut`.
        extrapolate: of a wired board, whether it takes matrices that are no scaling D W D of its own. Such a reading is
            `Outcome.EXTRAPOLATED`: useful where `Refined(device)` corrects it, the board as a preconditioner.

    Attributes:
        faults: a sentence for each reply of the board that was asked for again.

    Runs start from rest. An x0 other than zeros, as bare readings of `TNGD` have it, is taken where the run is so long that at most a
    thousandth of it would be left; `evolve` repeats the run from rest, for the whole time.

    Raises:
        InputError: no driver; in `solve`, more unknowns than cells, a matrix that a wired board does not hold, an x0 that would matter.
        BoardError: in `solve`, the board is gone or its replies cannot be used.
    """

    def __init__(self, driver: BoardDriver, read_out: ReadOut | None = None, extrapolate: bool = False) -> None:
        if isinstance(driver, type) or not isinstance(driver, BoardDriver):
            raise InputError(
                f"driver is {driver!r}: give an object with description, program, drive and read (BoardDriver)"
            )
        board = driver.description
        if not isinstance(board, BoardDescription):
            raise InputError(f"driver.description is a {type(board).__name__}: give a BoardDescription")
        # What a wired board is asked for beyond its matrix is looked at here (`_violations_of_system`).
        super().__init__(_technology(board), read_out=read_out, calibrated=CalibratedRange(extrapolate=True))
        # By these the host judges whether readings are linear in the drive; it adds neither to a reading.
        self.host.adc = _adc(board)
        self._link, self._extrapolate, self._ran = BoardLink(driver), bool(extrapolate), 0.0

    @property
    def faults(self) -> tuple[str, ...]:
        """See the class."""
        return tuple(self._link.faults)

    def accepts(self, system: LinearSystem) -> bool:
        """See `Device.accepts`."""
        return isinstance(system, Dense | LowRank | Kronecker)

    def solve(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        """Program the board, drive, wait and read; see `Device.solve`, and the class for x0."""
        self._check(system, b, x0)
        self._ran = check_duration(duration)
        with self._forgetting():
            if x0 is not None and bool(x0.any()):
                self._loaded_with(system, self._ran)
                self._rest_instead(self._ran)
            return super().solve(system, b, duration, x0=torch.zeros_like(b))

    def solve_many(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> list[Solution]:
        """See `device.solve_many`: one run after the other."""
        starts = check_rows(b, x0)
        return [self.solve(system, row, duration, x0=start) for row, start in zip(b, starts, strict=True)]

    def evolve(self, duration: float) -> Solution:
        """The run once more from rest, for `duration` tau longer than the last one."""
        self._ran += check_duration(duration)
        with self._forgetting():
            return super().evolve(self._ran)

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """After a failure nobody knows what the board holds: the next system is programmed, also if it is the last one again."""
        try:
            yield
        except BaseException:
            self._board = self._system = None
            raise

    def _rest_instead(self, duration: float) -> None:
        board = self._board_now()
        assert isinstance(board, _ProgrammedBoard)
        left = math.exp(-board.slowest * min(duration, 1e3 / board.slowest)) if board.slowest > 0 else 0.0
        if left > FORGOTTEN:
            raise InputError(
                f"x0 is not zero, and runs of board {self._link.description.name} start from rest: {left:.2g} of it would be left after "
                f'{duration:g} tau; give a duration of at least {-math.log(FORGOTTEN) / board.slowest:.3g}, or x0 = 0 (reading="refined")'
            )

    def _violations_of_system(self, system: LinearSystem) -> tuple[str, ...]:
        wired = self._link.description.wired
        if wired is None or system.size != len(wired):
            return ()
        matrix, own = system.dense().detach().double().numpy(), np.array(wired)
        scaling = _scaling(matrix, own)
        away = float(np.linalg.norm(matrix - np.outer(scaling, scaling) * own) / np.linalg.norm(matrix))
        if away <= WIRED:
            return ()
        text = f"a matrix that is {away:.2g} from a scaling D W D of the board's wired one (Frobenius norm, relative)"
        if not self._extrapolate:
            raise InputError(
                f"{text}; at most {WIRED:g} is no extrapolation. Give one, or MeasuredDevice(driver, extrapolate=True) within Refined, "
                "which corrects the reading by its residual"
            )
        return (text,)

    def _program(self, system: LinearSystem) -> Board:
        board = self._link.description
        if system.size > board.cells:
            raise InputError(
                f"system has {system.size} unknowns, and board {board.name} has {board.cells} cells: take smaller batches, system='dual' "
                "or 'primal', whichever is smaller, or another board"
            )
        matrix = system.dense().detach().double().cpu().numpy()
        if board.wired is not None:
            if system.size != board.cells:
                raise InputError(
                    f"system has {system.size} unknowns, and {board.cells} are wired in board {board.name}"
                )
            weights = np.array(board.wired)
            scaling = _scaling(matrix, weights)
        else:
            largest = float(np.abs(matrix).max())
            if largest == 0:
                raise InputError("A is zero everywhere: give a matrix with eigenvalues above 0, such as by damping")
            scale = largest / board.largest_weight
            scaling = np.full(len(matrix), math.sqrt(scale))
            # Cells that no unknown needs rest, as fast as they can.
            weights = board.largest_weight * np.eye(board.cells)
            weights[: len(matrix), : len(matrix)] = matrix / scale
            if board.weight_codes is not None:
                step = board.largest_weight / board.weight_codes
                weights = np.round(weights / step) * step
        found = _ProgrammedBoard(self._link, weights, scaling)
        if found.slowest > 0:
            # One that grows is not let loose.
            self._link.program(weights)
        return found

    @property
    def _identity(self) -> dict[str, Any]:
        return {"device": type(self).__name__, "technology": self.technology.model_dump_json(), "die": None}


class _ProgrammedBoard(Board):
    """A matrix on the board.

    Args:
        weights: W, (cells, cells). scaling: D of A = D W D, (n,).

    Attributes:
        slowest: smallest decay rate of A's n cells, 1 / tau of A; not above 0: it does not settle.
    """

    takes_start = False

    def __init__(self, link: BoardLink, weights: np.ndarray, scaling: np.ndarray) -> None:
        board, size, unit = link.description, len(scaling), float((scaling**2).max())
        self._link, self._weights, self.size, self._scaling = link, weights, size, scaling
        self.tau, self.shows_overload = board.time_constant * unit, board.shows_overload
        self.slowest = unit * float(np.linalg.eigvals(weights[:size, :size]).real.min())
        self._end = board.reading_limit - step_of(_adc(board)) / 2

    def obstacles(self, duration: float) -> list[Outcome | None]:
        """UNSTABLE where the programmed matrix has a mode that grows: the board is not driven then."""
        return [None if self.slowest > 0 else Outcome.UNSTABLE]

    def relax(self, dies: Any, driven: np.ndarray, start: Any, spans: tuple[float, ...], streams: Any) -> Voltages:
        """One run from rest; `start` is zeros."""
        volts = np.zeros(len(self._weights))
        volts[: self.size] = driven[0]
        first = min(spans[0], SETTLED / self.slowest) if math.isinf(spans[0]) else spans[0]
        times = np.cumsum([first, *spans[1:]]) * self.tau
        cells = self._link.run(self._weights, volts, times.tolist())[:, : self.size]
        overload = OVERLOAD if float(np.abs(cells).max()) >= self._end * (1 - 1e-9) else 0.0
        return Voltages(cells[None], overload=np.array([overload]), left=np.zeros((1, self.size)))

    def strongest(self, b: np.ndarray) -> np.ndarray:
        """See `Board.strongest`."""
        return np.asarray(np.abs(b / self._scaling).max(axis=-1))

    def requested(self, b: np.ndarray, level: np.ndarray) -> np.ndarray:
        """See `Board.requested`."""
        return np.asarray(level * b / self._scaling)

    def volts(self, x: np.ndarray, level: np.ndarray | float) -> np.ndarray:
        """See `Board.volts`."""
        return np.asarray(x * (level * self._scaling))

    def values(self, volts: np.ndarray, level: np.ndarray | float) -> np.ndarray:
        """See `Board.values`."""
        return np.asarray(volts / (level * self._scaling))


def _adc(board: BoardDescription) -> Converter:
    """The ADC that a board reads with."""
    return Converter(bits=board.reading_bits, full_scale=board.reading_limit, noise=board.reading_noise)


def _scaling(matrix: np.ndarray, wired: np.ndarray) -> np.ndarray:
    """D, (n,), with which D W D has the diagonal of A. InputError where A's is not above 0."""
    diagonal = np.diag(matrix)
    if not diagonal.min() > 0:
        place = int(diagonal.argmin())
        raise InputError(
            f"A[{place}, {place}] is {diagonal[place]:.3g}: a wired matrix is scaled to a diagonal above 0; add damping"
        )
    return np.asarray(np.sqrt(diagonal / np.diag(wired)))


def _technology(board: BoardDescription) -> Technology:
    """Ranges, as the host needs them; the ADC's own errors are in its readings already."""
    return Technology(
        name=board.name,
        source="description of a board's driver",
        opamp=OpAmp(output_limit=board.reading_limit),
        dac=Converter(bits=board.drive_bits, full_scale=board.drive_limit),
        adc=Converter(full_scale=board.reading_limit),
    )
