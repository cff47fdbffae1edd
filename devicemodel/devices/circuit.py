"""`CircuitDevice`: devices whose board is a compiled program, whoever computes the circuit's response.

`SpiceDevice` and `SurrogateDevice` differ only in `_relax`, so that what is compared is physics and not plumbing; the host's side is
`host.hosted_device`'s.

Conductances that drift after programming (`conductance_drift`) do so from run to run: the device's clock counts its runs and what `idle`
lets pass, a run takes them as they are at its start, and another system sets the clock to zero. Errors that are drawn anew
(`compiler.conductance_errors`) are those of the device's i-th programming and of its i-th run, whatever came before. Temperatures that move
(`die_temperature`) do so with the same clock, and no system sets them back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...circuits.errors import InputError, UnrealisableError
from ...circuits.technology.die import Die
from ...circuits.technology.drive_resistors import drive_conductances
from ...circuits.technology.redraw import Redraw
from ...circuits.technology.technology import Technology
from ...compiler.compile import lay_out
from ...compiler.conductance_errors import fluctuating
from ...compiler.fabrics.base import Fabric
from ...compiler.fabrics.registry import fabric_named, fabric_names
from ...compiler.fabrics.requirements import require_buildable
from ...compiler.linear_system import LinearSystem
from ...compiler.program import AnalogProgram
from ...compiler.programming import Programming
from ..device import Outcome
from ..host.board import Board, Voltages
from ..host.calibrated_range import CalibratedRange
from ..host.host import Run
from ..host.hosted_device import HostedDevice
from ..host.readout import ReadOut
from ..implicit_gram import ImplicitGram
from ..systems import Dense, Implicit, Kronecker, LowRank, changes, eigenvalue_floor
from .conductance_drift import aged
from .die_temperature import DieTemperature, heat_of_run

BY_FACTORS = "LowRank(J, H, damping) or Kronecker(A, B, damping), whose factors are its arrays; give another one to fabric='crossbar'"
"""Systems of a fabric that takes factors."""
Relax = Callable[
    [AnalogProgram, np.ndarray, np.ndarray, tuple[float, ...], Sequence[np.random.Generator], np.ndarray], Voltages
]
"""See `CircuitDevice._relax`."""


class ProgramUnits(Board):
    """A board whose numbers stand for voltages as a program's do.

    Args:
        program: laid out, with input resistors of the range `drive_range`, where it has any.
        drive_range: 0: unit, 1: 2 unit, ...
        read_scale: (n,), what the host takes a volt at each cell for: `AnalogProgram.readout_scale` of the nominal parts; None: of these.
    """

    def __init__(self, program: AnalogProgram, drive_range: int = 0, read_scale: np.ndarray | None = None) -> None:
        self.read_scale = program.readout_scale if read_scale is None else read_scale
        self.program, self.size, self.tau = program, program.size, program.tau
        self.takes_start, self.overshoot = program.fabric.sets_state, program.fabric.overshoot
        resistors = program.technology.resistors
        nominal = drive_conductances(resistors)
        # Of a circuit that currents drive, the full-scale current has ranges.
        if not program.parts.drive_nominal:
            nominal = program.fabric.drive_unit(program.technology) / 2.0 ** np.arange(resistors.drive_ranges)
        self.drive_gains, self._first = tuple((nominal[0] / nominal).tolist()), float(nominal[0])
        self.amperes_per_volt = program.parts.drive_nominal or float(nominal[drive_range])
        """Drive current of a cell for a volt at its input, A/V."""

    @property
    def kept(self) -> int:
        """See `Board`."""
        return self.program.fabric.states * self.size

    def strongest(self, b: np.ndarray) -> np.ndarray:
        """See `Board`."""
        program = self.program
        return np.asarray(program.conductance_unit / self._first * np.abs(program.scaling * b).max(axis=-1))

    def requested(self, b: np.ndarray, level: np.ndarray) -> np.ndarray:
        """See `Board`."""
        return np.asarray(self.program.conductance_unit * level * self.program.scaling * b / self.amperes_per_volt)

    def volts(self, x: np.ndarray, level: np.ndarray | float) -> np.ndarray:
        """See `Board`."""
        return np.asarray(x / self._scale_of(x) * level)

    def values(self, volts: np.ndarray, level: np.ndarray | float) -> np.ndarray:
        """See `Board`."""
        return np.asarray(self._scale_of(volts) / level * volts)

    def _scale_of(self, values: np.ndarray) -> np.ndarray:
        """What a volt stands for, (n,) or (kept,): only what is read is seen through a probe."""
        others = values.shape[-1] // self.size - 1
        return np.concatenate([self.read_scale, *[self.program.scaling] * others]) if others else self.read_scale


class ProgramBoard(ProgramUnits):
    """A program on one die, as a board.

    Args:
        program: as the die has it. stable: whether the circuit can be run at all. relax: the circuit's response.
        with_drive: the program with input resistors of a nominal conductance (S), as the die has them.
        drive_range: of the program's input resistors. read_scale: see `ProgramUnits`.
    """

    def __init__(
        self,
        program: AnalogProgram,
        stable: bool,
        relax: Relax,
        with_drive: Callable[[AnalogProgram, float], AnalogProgram],
        drive_range: int = 0,
        read_scale: np.ndarray | None = None,
    ) -> None:
        super().__init__(program, drive_range, read_scale)
        self.stable, self._relax, self._with_drive = stable, relax, with_drive
        self._ranges: dict[int, ProgramBoard] = {drive_range: self}

    def in_range(self, place: int) -> ProgramBoard:
        """See `Board`."""
        if place not in self._ranges:
            conductance = float(drive_conductances(self.program.technology.resistors)[place])
            program = self._with_drive(self.program, conductance)
            given = (self.stable, self._relax, self._with_drive)
            self._ranges[place] = ProgramBoard(program, *given, place, self.read_scale)
        return self._ranges[place]

    def obstacles(self, duration: float) -> Sequence[Outcome | None]:
        """See `Board`."""
        return [None if self.stable else Outcome.UNSTABLE]

    def relax(
        self,
        dies: np.ndarray,
        driven: np.ndarray,
        start: np.ndarray,
        spans: tuple[float, ...],
        streams: Sequence[np.random.Generator],
    ) -> Voltages:
        """See `Board`."""
        return self._relax(self.program, driven * self.amperes_per_volt, start, spans, streams, dies)


class CircuitDevice(HostedDevice):
    """Common part of the devices that stand for a real board. Use `SpiceDevice` or `SurrogateDevice`.

    Args:
        technology: parts, converters and temperatures.
        die: seed of the die, or the die, such as a `MeasuredDie`; None is a die with nominal parts.
        fabric: "auto", or one that has a device model (`fabric_names("has_device_model")`).
        seed, read_out, calibrated: see `HostedDevice`.
        layout: True: the array with its wires, switches, parasitic capacitances and DAC outputs (`compiler.layout.extraction`), not the
            schematic; of fabrics that have a layout alone.
        programming: what is done beyond the nearest codes.

    Attributes:
        program: as it is loaded, with the parts of the die, its temperatures and their age; None at first.
        programmings: of systems, so far; each draws its write noise anew.

    Raises:
        InputError: a seed that is not an integer >= 0, an unknown fabric, or one without a layout, a programming that is no `Programming`.
        UnrealisableError: the technology's amplifiers, or slices, do not make that fabric.
    """

    def __init__(
        self,
        technology: Technology | str,
        die: int | Die | None,
        fabric: str,
        seed: int = 0,
        read_out: ReadOut | None = None,
        layout: bool = False,
        calibrated: CalibratedRange | None = None,
        programming: Programming | None = None,
    ) -> None:
        if fabric not in (known := ("auto", *fabric_names("has_device_model"))):
            raise InputError(f"fabric {fabric!r} has no device model; there are: {', '.join(known)}")
        if layout and fabric not in (laid_out := [name for name in fabric_names("has_layout") if name in known]):
            raise InputError(
                f"layout=True with fabric {fabric!r}: only an array of crosspoints has one; use fabric="
                f"{' or '.join(map(repr, laid_out))}"
            )
        super().__init__(technology, die, seed, read_out, calibrated)
        if fabric != "auto":
            require_buildable(fabric_named(fabric), self.technology)
        if programming is not None and not isinstance(programming, Programming):
            raise InputError(
                f"programming is {programming!r}: give a Programming, such as Programming(compensate_leak=True)"
            )
        self.fabric, self.layout, self.programming = fabric, layout, programming or Programming()
        if self._takes_factors:
            self.kinds = BY_FACTORS
        self.programmings = 0
        self._nominal: AnalogProgram | None = None
        self._fresh: AnalogProgram | None = None
        self._temperature = DieTemperature(self.die, seed)
        self._made_for = self.die  # at the temperatures of `_fresh`
        self._fluctuates_for = -1
        self._matrix: tuple[LinearSystem, tuple[int, ...], np.ndarray] | None = None

    @property
    def program(self) -> AnalogProgram | None:
        """The loaded program; None before there is one."""
        return self._board.program if isinstance(self._board, ProgramBoard) else None

    @property
    def _fabric_shown(self) -> Fabric | None:
        """The fabric that effects are named for: of the loaded program, or the chosen one; None: it depends on the system."""
        name = self.fabric if self.program is None else self.program.fabric_name
        return None if name == "auto" else fabric_named(name)

    @property
    def order(self) -> int:
        """See `order_of`; "auto" chooses among fabrics of first order."""
        return 1 if self._fabric_shown is None else self._fabric_shown.states

    @property
    def temperatures(self) -> np.ndarray:
        """Present temperatures of the die, (cells, cells) K, with the loaded program's amplifiers at their supplies."""
        program = self.program
        return self._temperature.cells(None if program is None else program.parts)

    @property
    def ambient(self) -> float:
        """Present ambient temperature, K."""
        return self._temperature.ambient

    def set_temperatures(self, temperatures: Any) -> None:
        """Put the die at these temperatures, from which they move on if the technology's are dynamic, and stay if not.

        `device.set_temperatures(device.die.temperatures)` is a cold start: the die as it is before its supplies are switched on.

        Args:
            temperatures: (cells, cells) K, or one for all.

        Raises:
            InputError: another shape, or an entry that is not finite and above 0 K.
        """
        self._temperature.set(temperatures)

    @property
    def _takes_factors(self) -> bool:
        return self.fabric != "auto" and fabric_named(self.fabric).takes_factors

    def accepts(self, system: LinearSystem) -> bool:
        """True for systems that can be written out, entry by entry; of a fabric that takes factors, for those that are given by them; see
        `Device.accepts`."""
        if self._takes_factors:
            return isinstance(system, LowRank | Kronecker)
        if isinstance(system, Dense | LowRank | Kronecker):  # a protocol takes longer to look at
            return True
        return isinstance(system, LinearSystem) and not isinstance(system, Implicit | ImplicitGram)

    def _program(self, system: LinearSystem) -> ProgramBoard:
        if self.fabric != "auto" and not fabric_named(self.fabric).mean:
            raise UnrealisableError(
                f"fabric {self.fabric} has its inverse in a covariance, and its mean is zero at rest: solve by sampling, with a "
                "CovarianceDevice or SpiceCovarianceDevice"
            )
        given = system if self._takes_factors else self._matrix_of(system)
        floor, compensates = self._floor_of(system), self.programming.compensate_leak
        board = self._programmed(given, floor, self.nominal_leak if compensates else 0.0)
        if board.stable or not compensates:
            return board
        # The cells ran away, which took a run to see.
        board = self._programmed(given, floor, 0.0)
        board.spent_runs = 1
        return board

    def _matrix_of(self, system: LinearSystem) -> np.ndarray:
        # Of the system that is looked at before it is programmed.
        if self._matrix is None or self._matrix[0] is not system or self._matrix[1] != changes(system):
            self._matrix = system, changes(system), matrix_of(system)
        return self._matrix[2]

    def _floor_of(self, system: LinearSystem) -> float | None:
        """What the friction of oscillators goes by, of what a host knows without eigenvalues; None: it is not needed."""
        fabrics = fabric_names("automatic") if self.fabric == "auto" else [self.fabric]
        if not any(fabric_named(name).needs_floor for name in fabrics):
            return None
        floor = eigenvalue_floor(system)
        if floor is None and self.fabric != "auto":
            raise InputError(
                f"fabric {self.fabric!r} is damped by a lower bound of the smallest eigenvalue, and of this {type(system).__name__} none "
                "is known: give Dense(A, floor=...), such as the damping that is in A, or another system with damping"
            )
        return floor

    def _programmed(self, given: np.ndarray | LinearSystem, floor: float | None, leak: float) -> ProgramBoard:
        self._nominal = lay_out(given, self.fabric, self.technology, leak, self.programming.cells, floor)
        self._fresh = self._fabricated(self._nominal, self._redraw(self.programmings))
        self._made_for = self._temperature.die_for(self._nominal.parts)
        self.programmings, self._fluctuates_for = self.programmings + 1, -1
        return self._board_of(self._fresh, self._nominal.readout_scale)

    def board_of(
        self, nominal: AnalogProgram, writing: Redraw | None = None, reading: Redraw | None = None
    ) -> ProgramBoard:
        """A nominal program, such as one of a test matrix, on this die, with the write noise of a programming and the read noise of a run;
        what is loaded stays."""
        held = self._fabricated(nominal, writing)
        if reading is not None:
            held = dataclasses.replace(held, parts=fluctuating(held.parts, self.technology.resistors, reading))
        return self._board_of(held, nominal.readout_scale)

    def _redraw(self, number: int) -> Redraw:
        return Redraw(self.seed, self.die.seed, number)

    @property
    def nominal_leak(self) -> float:
        """1 / A0 of the amplifiers, as far as the host knows it."""
        return 1.0 / self.technology.opamp.gain

    def _board_of(self, program: AnalogProgram, read_scale: np.ndarray) -> ProgramBoard:
        """The board of a program on this die, and what the host takes a volt at its cells for; see `ProgramUnits`."""
        board = ProgramBoard(program, True, self._relax, self._with_drive, read_scale=read_scale)
        # The largest input resistors load the amplifiers least, so that a finite gain damps least.
        board.stable = self._is_stable(board.in_range(len(board.drive_gains) - 1).program)
        return board

    def _board_now(self) -> Board:
        assert self._fresh is not None
        assert self._nominal is not None
        die = self._temperature.die_for(self._nominal.parts)
        if die is not self._made_for:
            # Of the same programming, whose write noise stays.
            self._fresh, self._made_for = self._fabricated(self._nominal, self._redraw(self.programmings - 1)), die
            self._replace_board(self._fresh)
            self._fluctuates_for = -1
        now, resistors = aged(self._fresh, self.die, self.age), self.technology.resistors
        if resistors.read_noise:
            # Of one run it is the same, however often it is asked for.
            if self._fluctuates_for == self._runs and now is self._fresh:
                return super()._board_now()
            self._fluctuates_for = self._runs
            now = dataclasses.replace(now, parts=fluctuating(now.parts, resistors, self._redraw(self._runs)))
        if now is not self._fresh:
            self._replace_board(now)
        return super()._board_now()

    def _replace_board(self, program: AnalogProgram) -> None:
        """The loaded program with other values of its parts."""
        assert self._nominal is not None
        before, self._board = super()._board_now(), self._board_of(program, self._nominal.readout_scale)
        self._board.spent_runs, before.spent_runs = before.spent_runs, 0

    def state_dict(self) -> dict[str, Any]:
        """See `HostedDevice.state_dict`; and the number of programmings, and temperatures. A resumed device programs its next system,
        whichever it is."""
        held = {"programmings": self.programmings, "temperature": self._temperature.state_dict()}
        return {**super().state_dict(), **held}

    @property
    def _identity(self) -> dict[str, Any]:
        """See `HostedDevice._identity`; of as many voltages, a state of two cells of oscillators is none of four of a crossbar."""
        return {**super()._identity, "fabric": self.fabric}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `HostedDevice.load_state_dict`."""
        if missing := [key for key in ("programmings", "temperature") if key not in state]:
            raise InputError(
                f"state lacks {' and '.join(missing)}: give what state_dict() of a {type(self).__name__} of this version returned"
            )
        if not (isinstance(state["programmings"], int) and state["programmings"] >= 0):
            raise InputError(f"state['programmings'] is {state['programmings']!r}: it is an integer >= 0")
        super().load_state_dict(state)
        self._temperature.load_state_dict(state["temperature"])
        self.programmings = state["programmings"]

    def _elapse(self, seconds: float, attempts: int = 0, run: Run | None = None) -> None:
        """See `HostedDevice._elapse`; under the heat of the amplifiers and, in a run, of the resistors."""
        thermal, board = self.technology.thermal, self._board
        between = attempts * thermal.between_runs
        super()._elapse(seconds + between, attempts, run)
        if thermal.dynamic and isinstance(board, ProgramBoard):
            amplifiers = board.program.parts.amplifier_heat(self.die)
            heat = amplifiers
            if run is not None and run.trial is not None:
                ranged = board.in_range(run.trial.drive_range)
                heat = amplifiers + heat_of_run(ranged.program, ranged.amperes_per_volt, run.trial)
            self._temperature.advance(seconds, heat)
            self._temperature.advance(between, amplifiers)

    def _fabricated(self, nominal: AnalogProgram, writing: Redraw | None) -> AnalogProgram:
        """The program as this die has it after a programming."""
        return nominal.on(self._temperature.die_for(nominal.parts), writing=writing)

    def _with_drive(self, program: AnalogProgram, conductance: float) -> AnalogProgram:
        """The program, as this die has it, with other input resistors."""
        return program.with_drive(conductance, self._temperature.die_for(program.parts))

    def _is_stable(self, program: AnalogProgram) -> bool:
        """Whether the circuit can be run at all."""
        return program.is_stable()

    def _relax(
        self,
        program: AnalogProgram,
        currents: np.ndarray,
        state: np.ndarray,
        spans: tuple[float, ...],
        streams: Sequence[np.random.Generator],
        places: np.ndarray,
    ) -> Voltages:
        """Differential node voltages (runs, m, n) of runs at m instants: after spans[0] tau from voltages `state`, (runs, kept), under
        currents (runs, n), after spans[1] more, ... `places` are those of the runs among those that the device was asked for at once."""
        raise NotImplementedError


def matrix_of(system: LinearSystem) -> np.ndarray:
    """A written out, (n, n), symmetrised: products in float32 are symmetric up to their rounding, which the compiler does not take."""
    dense = system.dense().detach().cpu().double()
    return np.asarray(((dense + dense.mT) / 2).numpy())
