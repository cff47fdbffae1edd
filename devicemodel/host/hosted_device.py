"""`HostedDevice`: a `Device` out of a board and the host: what is loaded, the analog state, the ranging memory, and the noise streams.

A device of one's own derives from it and says which systems it `accepts`, how one is programmed (`_program`), and by that what the
physics is (`Board`). All else is here, and the same for all devices.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...circuits.technology.die import Die
from ...circuits.technology.presets import as_technology
from ...circuits.technology.technology import Technology
from ...compiler.linear_system import LinearSystem
from ..checks import check_duration
from ..device import Device, Outcome, Solution, check_rows
from ..systems import changes, check_vector
from .board import Board
from .calibrated_range import CalibratedRange
from .host import EXPLANATION, Host, Run
from .loaded import damped
from .offset_nulling import BiasSearch, NulledBoard, Nulling
from .probe import Probe
from .readout import ReadOut


class HostedDevice(Device):
    """Common part of the devices that are driven and read through converters.

    Args:
        technology: converters and limits; a preset's name is taken, too.
        die: seed of the die, or the die; None is a die with nominal parts.
        seed: of the noise, Johnson's and the ADC's. Run number i of the device draws from the stream (seed, die, i).
        read_out: number of reads, their distance, and auto-zero.
        calibrated: the range of a card, for a device that has one.

    Attributes:
        probe: the last run as an oscilloscope would see it; None before there was a reading.
        age: s since the parts were programmed.

    Raises:
        InputError: a seed that is not an integer >= 0, a read_out that is no `ReadOut`.
    """

    kinds = "Dense(A), LowRank(J, H, damping) or Kronecker(A, B, damping)"
    """What it accepts, for the message about other systems."""

    def __init__(
        self,
        technology: Technology | str,
        die: int | Die | None = None,
        seed: int = 0,
        read_out: ReadOut | None = None,
        calibrated: CalibratedRange | None = None,
    ) -> None:
        if not isinstance(seed, int) or seed < 0:
            raise InputError(f"seed is {seed!r}: give an integer >= 0")
        if read_out is not None and not isinstance(read_out, ReadOut):
            raise InputError(f"read_out is {read_out!r}: give a ReadOut, such as ReadOut(reads=4)")
        self.technology, self.seed, self.read_out = as_technology(technology), seed, read_out or ReadOut()
        self.die = die if isinstance(die, Die) else Die(self.technology, die)
        self.calibrated = calibrated or CalibratedRange()
        self.host = Host(self.technology, [self.die], self.read_out, self.calibrated)
        self.probe: Probe | None = None
        self.age = 0.0
        self._board: Board | None = None
        self._system: LinearSystem | None = None
        self._changes: tuple[int, ...] = ()  # of the system, when it was programmed
        self._drive: Tensor | None = None
        self._outside: tuple[str, ...] = ()
        self._nulling: Nulling | None = None
        self._nulled_for = 0.0  # tau, of the runs that it was sought with
        self._products = 0  # to be counted with the next solution
        self._state: np.ndarray | None = None
        self._without_drive: np.ndarray | None = None
        self._cells: int | None = None  # that the state is of; None: of those that the next system has
        self._outcome = Outcome.OK
        self._headroom = 1.0
        self._runs = 0
        self._steady = False

    @property
    def not_modelled(self) -> tuple[str, ...]:
        """Names of the physical effects that the device leaves out; see `Solution.not_modelled`."""
        return ()

    @abstractmethod
    def accepts(self, system: LinearSystem) -> bool:
        """See `Device.accepts`."""

    @abstractmethod
    def _program(self, system: LinearSystem) -> Board:
        """The board for a system that is accepted. InputError where it cannot be built; nothing has changed then."""

    def _violations_of_system(self, system: LinearSystem) -> tuple[str, ...]:
        """Violations of the card's validity range by a system."""
        return ()

    def _violations_of_run(self, duration: float) -> tuple[str, ...]:
        """Violations of the card's validity range by a run of `duration` tau."""
        return ()

    def _board_now(self) -> Board:
        """The loaded board in its present state of ageing."""
        assert self._board is not None
        return self._board

    def solve(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        """Program the system, load b, run for `duration` tau and read; see `Device.solve`.

        What a clipped reading left in the cells is discharged before.

        Raises:
            InputError: a system that is not accepted or cannot be programmed, b or x0 of the wrong length or not finite, an x0 for cells
                that a host cannot set, a negative duration, a run that the device's card was not calibrated for.
        """
        self._check(system, b, x0)
        duration = check_duration(duration)
        violations = self._loaded_with(system, duration)
        board = self._board
        assert board is not None
        start = None if x0 is None else board.whole_start(_array(x0))
        self._drive = b
        if start is not None:
            self._state, self._without_drive = start, None
        elif self._outcome.clipped or self._state is None or not self._fits(board):
            self._state = self._without_drive = None
        self._cells = board.size
        return self._run(b, duration, violations)

    def solve_many(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> list[Solution]:
        """See `device.solve_many`. Runs that begin with the same ranging memory are computed together, if the board takes them so.

        Raises:
            InputError: as `solve`.
        """
        starts = check_rows(b, x0)
        for row, start in zip(b, starts, strict=True):
            self._check(system, row, start)
        duration = check_duration(duration)
        violations = self._loaded_with(system, duration)
        board = self._board_now()
        if not board.takes_rows:
            return [self.solve(system, row, duration, x0=start) for row, start in zip(b, starts, strict=True)]
        begin = board.whole_start(_array(starts))
        self._cells = board.size
        found: list[Solution] = []
        while len(found) < len(b):
            # The memory that a run leaves is the next one's: while it moves, they have to wait for one another.
            rows = slice(len(found), None if self._steady else len(found) + 1)
            for row, start, run in zip(
                b[rows],
                begin[rows],
                self._runs_of(_array(b[rows]), begin[rows], None, duration, violations),
                strict=True,
            ):
                self._drive, self._state, self._without_drive = row, start, None
                found.append(self._heeded(run, row, duration))
                if not self._steady:
                    break
        return found

    def evolve(self, duration: float) -> Solution:
        """Continue the run with the loaded system and drive for `duration` tau, and read."""
        if self._board is None or self._drive is None:
            raise InputError(
                "the device has no system and drive yet (they are not part of a saved state): call solve first"
            )
        duration = check_duration(duration)
        violations = self._checked(self._outside, duration)
        if self._system is not None:
            self._null(self._system, duration)
        return self._run(self._drive, duration, violations)

    def idle(self, seconds: float) -> None:
        """Let time pass without a run: the cells keep their charge, programmed conductances age.

        Raises:
            InputError: a time that is negative or not finite.
        """
        if not (math.isfinite(seconds) and seconds >= 0):
            raise InputError(f"idle for {seconds!r} s: give a finite time >= 0")
        self._elapse(seconds)

    def _elapse(self, seconds: float, attempts: int = 0, run: Run | None = None) -> None:
        """Time passes: the seconds of a run of so many attempts, or of none."""
        self.age += seconds

    def state_dict(self) -> dict[str, Any]:
        """The analog state, the ranging memory and the noise counter, and whose they are."""
        held = {"state": self._state, "without_drive": self._without_drive}
        kept = {
            # The next solve finds the board discharged after a clipped reading.
            name: None if value is None or self._outcome.clipped else torch.from_numpy(value.copy())
            for name, value in held.items()
        }
        return {"identity": self._identity, **kept, "headroom": self._headroom, "runs": self._runs}

    @property
    def _identity(self) -> dict[str, Any]:
        """What a state is one of: charge and the noise that follows are those of one die of one technology."""
        return {
            "device": type(self).__name__,
            "technology": self.technology.model_dump_json(),
            "die": self.die.identity,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state of `state_dict`; the loaded system is not part of it.

        Raises:
            InputError: not such a state; the message names what is wrong in it.
        """
        missing = [key for key in ("identity", "state", "without_drive", "headroom", "runs") if key not in state]
        if missing:
            raise InputError(
                f"state lacks {', '.join(missing)}: give what state_dict() of a {type(self).__name__} returned"
            )
        self._require_own(state["identity"])
        held, without_drive = (_vector(key, state[key]) for key in ("state", "without_drive"))
        headroom, runs = float(state["headroom"]), int(state["runs"])
        if not 0 < headroom <= 1:
            raise InputError(f"state['headroom'] is {headroom}: it is above 0 and at most 1")
        if runs < 0:
            raise InputError(f"state['runs'] is {runs}: it is an integer >= 0")
        self._state, self._without_drive, self._headroom, self._runs = held, without_drive, headroom, runs
        self._cells = None
        self._board = self._system = self._drive = None
        self._outcome = Outcome.OK

    def _require_own(self, identity: Any) -> None:
        """InputError for the identity of another device."""
        if not isinstance(identity, dict):
            raise InputError(f"state['identity'] is a {type(identity).__name__}: give what state_dict() returned")
        for name, own in self._identity.items():
            if (other := identity.get(name)) == own:
                continue
            whose = "another technology" if name == "technology" else f"{name} {other}, and this one is of {name} {own}"
            raise InputError(f"the state is of {whose}: resume on the same die, or leave the device's state out")

    def _checked(self, outside: tuple[str, ...], duration: float) -> tuple[str, ...]:
        """Violations by a system and a run, known before it. InputError unless extrapolation is allowed."""
        violations = (*outside, *self._violations_of_run(duration))
        self.calibrated.check(violations)
        return violations

    def _check(self, system: LinearSystem, b: Tensor, x0: Tensor | None) -> None:
        if system is not self._system and not self.accepts(system):
            raise InputError(f"system is a {type(system).__name__}: {type(self).__name__} takes {self.kinds}")
        check_vector("b", b, system)
        if x0 is not None:
            check_vector("x0", x0, system)

    def _fits(self, board: Board) -> bool:
        """Whether the state is one of such a board."""
        return self._state is not None and len(self._state) == board.kept and self._cells in (None, board.size)

    def _loaded_with(self, system: LinearSystem, duration: float) -> tuple[str, ...]:
        """Program the system, unless it is loaded. The violations of a run."""
        if system is self._system and changes(system) == self._changes:
            violations = self._checked(self._outside, duration)
        else:
            outside = self._violations_of_system(system)
            self.calibrated.check(outside)
            self._board = self._program(system)
            self._system, self._changes, self._outside, self.age = system, changes(system), outside, 0.0
            # How warm the die is depends on the program.
            violations = self._checked(outside, duration)
            self._nulling, self._nulled_for = None, 0.0
        self._null(system, duration)
        return violations

    def _null(self, system: LinearSystem, duration: float) -> None:
        """Find the bias of the loaded board, where offsets are nulled; none where it cannot run. A bias that shorter runs said is sought
        again: what they show of the slow modes is less than what longer ones will. Of oscillators one of longer runs, too: a swing that is
        back where it began does not show."""
        if not self.read_out.null_offsets:
            return
        board = self._board_now()
        if duration == self._nulled_for or (duration < self._nulled_for and board.overshoot == 1):
            return
        if board.obstacles(duration)[0] is not None:
            return
        dtype, number = getattr(system, "dtype", torch.float64), self._runs

        def product(x: np.ndarray) -> np.ndarray:
            image: Tensor = system.matvec(torch.from_numpy(x).to(dtype))
            return image.detach().cpu().double().numpy()

        def stream(step: int) -> np.random.Generator:
            return np.random.default_rng([self.seed, self.die.seed or 0, number, EXPLANATION + 1 + step])

        scale = float(system.diagonal().max())
        search = BiasSearch(
            self.host, lambda more: self._program(damped(system, more)), product, scale, duration, stream
        )
        found = self._nulling = search.found_for(board)
        self._board, self._products, self._nulled_for = found.board, self._products + found.products, duration
        found.board.spent_runs += found.runs
        if found.programmings:
            self.age = 0.0

    def _run(self, b: Tensor, duration: float, violations: tuple[str, ...]) -> Solution:
        state = np.zeros(self._board_now().kept) if self._state is None else self._state
        [run] = self._runs_of(_array(b)[None], state[None], self._without_drive, duration, violations)
        return self._heeded(run, b, duration)

    def _runs_of(
        self,
        b: np.ndarray,
        starts: np.ndarray,
        without_drive: np.ndarray | None,
        duration: float,
        violations: tuple[str, ...],
    ) -> list[Run]:
        """One run for each row of b, (m, n), and of the starts, (m, kept), with the ranging memory as it is."""
        board, number, count = self._board_now(), self._runs, len(b)
        host = self.host if count == 1 else Host(self.technology, [self.die] * count, self.read_out, self.calibrated)

        def stream(place: int, attempt: int) -> np.random.Generator:
            return np.random.default_rng([self.seed, self.die.seed or 0, number + place, attempt])

        memory, told = [self._headroom] * count, [violations] * count
        if self._nulling is not None:
            board = NulledBoard(board, self._nulling.bias, self.technology.dac.full_scale)
        return host.run(board, b, starts, without_drive, memory, duration, stream, told)

    def _heeded(self, run: Run, b: Tensor, duration: float) -> Solution:
        """The solution of a run, whose state and memory are the device's from now on."""
        board = self._board_now()
        self._steady = run.headroom == self._headroom
        self._runs, self._headroom, self._outcome = self._runs + 1, run.headroom, run.outcome
        x, error = np.full(board.size, math.nan), None
        if run.trial is None:
            # The board is discharged.
            self._state = self._without_drive = None
        else:
            self.probe = Probe.of(run, duration)
            seen = run.trial.readings
            x = board.values(seen.mean if run.zero is None else seen.mean - run.zero, run.level)
            assert len(seen.left) == board.kept
            self._state = board.values(seen.left, run.level)
            if run.without_drive is not None:
                self._without_drive = board.values(run.without_drive, run.level)
            voltages, place = run.trial.source
            if voltages.error is not None:
                error = float(np.abs(board.values(np.full(board.size, voltages.error[place]), run.level)).max())
        attempts, board.spent_runs = run.attempts + board.spent_runs, 0
        seconds = attempts * sum(self.read_out.spans(duration)) * board.tau
        # A settled run has no length that a clock could count.
        self._elapse(seconds if math.isfinite(seconds) else 0.0, attempts, run)
        products, self._products = self._products, 0
        return Solution(
            torch.from_numpy(x).to(dtype=b.dtype, device=b.device),
            run.outcome,
            seconds,
            attempts,
            run.violations,
            error,
            products=products,
            not_modelled=self.not_modelled,
        )


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().double().numpy()


def _vector(key: str, held: Any) -> np.ndarray | None:
    if held is not None and not (isinstance(held, Tensor) and held.dim() == 1 and bool(torch.isfinite(held).all())):
        got = f"{tuple(held.shape)} {held.dtype}" if isinstance(held, Tensor) else type(held).__name__
        raise InputError(
            f"state[{key!r}] is {got}: give a tensor of one axis and finite numbers, or None for cells at zero"
        )
    return None if held is None else held.detach().cpu().double().numpy().copy()
