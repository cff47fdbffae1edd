"""`LaboratoryCard`: a measured board as a device: the fit, the board that it is of, what that is valid for, and its held-out error.

A card's file is checksummed JSON, as a device card's. It holds the fitted netlist as text, which is read as data and never executed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
import torch
from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from ...circuits.errors import InputError
from ...circuits.files import first_problem, read_checksummed, write_checksummed
from ...circuits.netlist.netlist import Netlist
from ...circuits.records import Record
from ...circuits.technology.converters import Converter
from ...circuits.technology.die import Die
from ...compiler.program import AnalogProgram
from ..calibration.measured.problem import Builder, Model, free_values
from ..calibration.measured.result import CircuitCalibration, Verdict
from ..card import DeviceCard
from ..card_files import card_kind, require_kind
from ..device import Device, Outcome
from ..devices.surrogate import SurrogateDevice
from ..estimate import Number, Whole
from ..host.readout import ReadOut
from ..systems import Dense
from .fixed_board import ERRORS, BoardInput, BoardLaw, FixedBoard, entry_errors
from .fixed_board_device import FixedBoardDevice
from .measured_span import MeasuredSpan
from .part_places import Kind
from .programmed_board import ProgrammedBoard

FORMAT = 1


def _kind_of(board: Any) -> Any:
    return board.get("kind") if isinstance(board, dict) else getattr(board, "kind", None)


Board = Annotated[
    Annotated[FixedBoard, Tag("fixed")] | Annotated[ProgrammedBoard, Tag("programmed")], Discriminator(_kind_of)
]


class MeasuredSolution(NamedTuple):
    """A solution that was read from the real board at rest, and not fitted.

    Attributes:
        A: (n, n) as it was programmed, or the board's own. b: (n,). x: (n,) as it was read, problem units.
    """

    A: np.ndarray
    b: np.ndarray
    x: np.ndarray


class HeldOutError(Record):
    """How well the card predicts what was not fitted."""

    of: Literal["solutions", "node voltages", "nothing"]
    """"solutions": of A x = b, read from the board; "node voltages": the calibration's held-out tables; "nothing" was held out."""
    readings: Whole = Field(ge=0)
    """Solutions, or degrees of freedom of the tables."""
    rms: Number | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Of solutions |x_device - x_measured| / |x_measured|, rms; of node voltages the scatter in standard errors, 1 if all is well."""
    p_value: Number | None = Field(default=None, ge=0, le=1)
    """Of node voltages, that of their chi^2."""

    def __str__(self) -> str:
        if self.of == "nothing" or self.rms is None:
            return "nothing was held out: the error on new readings is not known"
        if self.of == "solutions":
            return f"{self.rms:.3g} relative rms, on {self.readings} solutions that were read from the board and not fitted"
        return (
            f"{self.rms:.3g} standard errors rms, on {self.readings} node voltages that were not fitted (p = {self.p_value:.2g}); "
            "no solutions"
        )


class LaboratoryCard(Record):
    """A measured board as a device. Make one by `fixed` or `programmed`."""

    title_in_errors = "laboratory card"

    format: Whole = Field(default=FORMAT, ge=FORMAT, le=FORMAT)
    calibration: CircuitCalibration
    board: Board
    validity: MeasuredSpan
    held_out: HeldOutError

    @model_validator(mode="after")
    def _fitted(self) -> Self:
        if hashlib.sha256(self.board.netlist.encode()).hexdigest() != self.calibration.netlist_sha256:
            raise ValueError("the board's netlist is not the one that was calibrated")
        return self

    @classmethod
    def fixed(
        cls,
        calibration: CircuitCalibration,
        netlist: Model,
        inputs: Sequence[BoardInput | tuple[str, float] | str],
        outputs: Sequence[str],
        dac: Converter | None = None,
        adc: Converter | None = None,
        solutions: Sequence[MeasuredSolution] = (),
    ) -> LaboratoryCard:
        """The card of a board whose matrix is wired in.

        Args:
            calibration: the fit. netlist: the model that it was made with: a netlist, or a function from the fitted values to one.
            inputs: sources of the netlist that the host drives, one for each unknown: (name, largest value in V or A), or the name, for 1.
            outputs: "n1" or "n1-n2" of each unknown.
            dac, adc: the host's converters; None: ideal ones of 1 V. The DAC's full scale sets an input to its limit.
            solutions: read from the board and not fitted, for the held-out error.

        Raises:
            InputError: another netlist than the calibration's; as `FixedBoard` and `BoardLaw`.
        """
        build, fitted = _fitted_netlist(calibration, netlist)
        sources = [_input(one) for one in inputs]
        law = BoardLaw(fitted, [one.source for one in sources], outputs)
        errors = entry_errors(calibration, build, [one.source for one in sources], outputs)
        if law.asymmetry > max(ERRORS * float(errors.max()), 1e-6):
            raise InputError(
                f"the board's matrix is not symmetric, by {law.asymmetry:.2g} of its diagonal, however the inputs are scaled: systems of "
                "devices are"
            )
        board = FixedBoard(
            netlist=fitted.to_spice(),
            inputs=tuple(sources),
            outputs=tuple(outputs),
            dac=dac or Converter(),
            adc=adc or Converter(),
            errors=tuple(tuple(row) for row in errors.tolist()),
        )
        return cls._of(calibration, board, MeasuredSpan.of(calibration.data_range, law.slowest), solutions)

    @classmethod
    def programmed(
        cls,
        calibration: CircuitCalibration,
        program: AnalogProgram,
        netlist: Model | None = None,
        unmeasured_seed: int | None = None,
        solutions: Sequence[MeasuredSolution] = (),
    ) -> LaboratoryCard:
        """The card of a measured array, which can be programmed with other matrices.

        Args:
            calibration: the fit. program: nominal, as it was compiled.
            netlist: the model of the calibration; None: the program's netlist without drive.
            unmeasured_seed: of parts that were not measured, drawn from the distribution of those that were; None: nominal.
            solutions: as for `fixed`.

        Raises:
            InputError: another netlist than the calibration's, or than the program's; as `ProgrammedBoard.of`.
        """
        _, fitted = _fitted_netlist(calibration, program.netlist() if netlist is None else netlist)
        board = ProgrammedBoard.of(calibration, program, fitted, unmeasured_seed)
        span = MeasuredSpan.of(calibration.data_range, program.settling_time)
        return cls._of(calibration, board, span, solutions)

    @classmethod
    def _of(
        cls,
        calibration: CircuitCalibration,
        board: FixedBoard | ProgrammedBoard,
        span: MeasuredSpan,
        solutions: Sequence[MeasuredSolution],
    ) -> LaboratoryCard:
        check = calibration.held_out
        held = HeldOutError(of="nothing", readings=0)
        if check is not None:
            held = HeldOutError(
                of="node voltages", readings=check.degrees_of_freedom, rms=check.scatter, p_value=check.p_value
            )
        card = cls(calibration=calibration, board=board, validity=span, held_out=held)
        return card.with_solutions(solutions) if solutions else card

    def with_solutions(self, solutions: Sequence[MeasuredSolution]) -> LaboratoryCard:
        """The card with its error on solutions that were read from the board and not fitted. InputError for one that it does not take."""
        squares = []
        for place, (A, b, x) in enumerate(solutions):
            device, wanted = self.make_device(extrapolate=True), torch.as_tensor(x, dtype=torch.float64)
            drive = torch.as_tensor(b, dtype=torch.float64)
            found = device.solve(Dense(torch.as_tensor(A, dtype=torch.float64)), drive, math.inf)
            if found.outcome not in (Outcome.OK, Outcome.EXTRAPOLATED) or not bool(wanted.any()):
                raise InputError(f"solutions[{place}]: the device's reading is {found.outcome.value}; leave it out")
            squares.append(float((found.x - wanted).square().sum() / wanted.square().sum()))
        held = HeldOutError(of="solutions", readings=len(squares), rms=math.sqrt(float(np.mean(squares))))
        return self.model_copy(update={"held_out": held})

    @property
    def trusted(self) -> bool:
        """Whether the fit explains its data, and tells its values."""
        return self.calibration.verdict in (Verdict.OK, Verdict.UNIDENTIFIABLE)

    def make_device(
        self,
        seed: int = 0,
        die: int | None = None,
        read_out: ReadOut | None = None,
        preconditioner: bool = False,
        extrapolate: bool = False,
    ) -> Device:
        """This board as a device.

        Args:
            seed: of the noise. read_out: see `HostedDevice`.
            die: None: this board; a seed: a board like it, of an array that can be programmed.
            preconditioner: see `FixedBoardDevice`. extrapolate: answer outside of what was measured, too.

        Raises:
            InputError: an option that does not apply to this kind of board.
        """
        if isinstance(self.board, ProgrammedBoard):
            if preconditioner:
                raise InputError(
                    "preconditioner=True with a board that can be programmed: leave it out, it takes any matrix"
                )
            return SurrogateDevice(self, die, seed, read_out, extrapolate=extrapolate)
        if die is not None:
            raise InputError(
                f"die {die} of a board whose matrix is wired in: one board was measured, which says nothing of others; leave die out"
            )
        return FixedBoardDevice(self.board, self.validity, seed, read_out, preconditioner, extrapolate)

    def card_and_die(self, seed: int | None = None) -> tuple[DeviceCard, Die]:
        """See `MeasuredArray`. InputError for a board whose matrix is wired in."""
        if not isinstance(self.board, ProgrammedBoard):
            raise InputError(
                "this card's board has its matrix wired in: make its device by card.make_device() or as_device(card)"
            )
        return self.board.card_and_die(self.validity, seed)

    def summary(self) -> list[tuple[str, str]]:
        """Rows (name, value) of a printed summary."""
        board = self.board
        if isinstance(board, FixedBoard):
            rows = [f"[{', '.join(f'{value:.5g}' for value in row)}]" for row in board.law.matrix.tolist()]
            what = [
                ("board", f"{board.size} unknowns, wired in"),
                ("inputs", ", ".join(one.source for one in board.inputs)),
                ("outputs", ", ".join(board.outputs)),
                ("matrix", f"[{', '.join(rows)}]"),
                ("offsets", ", ".join(f"{value:.3g} V" for value in board.law.rest)),
                ("slowest time constant", f"{board.law.slowest:.3g} s"),
            ]
        else:
            kinds: dict[Kind, int] = {}
            for part in board.parts:
                kinds[part.kind] = kinds.get(part.kind, 0) + 1
            what = [
                (
                    "board",
                    f"fabric {board.fabric}, up to {board.unknowns} unknowns, technology {board.technology.name}",
                ),
                *((f"{kind}s", f"{count} measured; {_scatter(board, kind)}") for kind, count in kinds.items()),
            ]
        return [*what, *self.calibration.summary(), *self.validity.summary(), ("held-out error", str(self.held_out))]

    def write(self, path: str | Path) -> None:
        """Write JSON with its digest, atomically."""
        write_checksummed(path, self)

    @classmethod
    def read(cls, path: str | Path) -> LaboratoryCard:
        """Read a card that `write` saved.

        Raises:
            InputError: missing, not JSON, a card of another kind, which is named, changed since it was written, or with a field out of
                range.
        """
        require_kind(path, "laboratory")
        remedy = "make the card again, by LaboratoryCard.fixed or LaboratoryCard.programmed"
        data = read_checksummed(path, "laboratory card", FORMAT, remedy)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InputError(f"laboratory card {str(path)!r}: {first_problem(error)}; {remedy}") from None


def read_card(path: str | Path) -> DeviceCard | LaboratoryCard:
    """A device card or a laboratory card, whichever the file holds; "shipped:NAME" is a shipped device card.

    Raises:
        InputError: a bare `CircuitCalibration`, with what makes a card of it; else as `DeviceCard.read` and `LaboratoryCard.read`.
    """
    return LaboratoryCard.read(path) if card_kind(path) == "laboratory" else DeviceCard.read(path)


def _scatter(board: ProgrammedBoard, kind: Kind) -> str:
    return f"of boards like it they scatter by {board.scatter(kind):.3g}{' V' if kind == 'offset' else ''}"


def _input(given: BoardInput | tuple[str, float] | str) -> BoardInput:
    if isinstance(given, BoardInput):
        return given
    if isinstance(given, str):
        return BoardInput(source=given, limit=1.0)
    if not (isinstance(given, tuple | list) and len(given) == 2):
        raise InputError(f"inputs: {given!r:.100}: give a source's name, or (name, largest value)")
    return BoardInput(source=given[0], limit=given[1])


def _fitted_netlist(calibration: CircuitCalibration, model: Model) -> tuple[Builder, Netlist]:
    """The model as a function of its values, and its netlist at the fitted ones. InputError for another model than the calibration's."""
    if not isinstance(calibration, CircuitCalibration):
        raise InputError(
            f"calibration is a {type(calibration).__name__}: give what calibrate_from_measurements returned"
        )
    build, _ = free_values(model, calibration.estimates)
    fitted: Netlist = build(calibration.estimates)
    if hashlib.sha256(fitted.to_spice().encode()).hexdigest() != calibration.netlist_sha256:
        raise InputError(
            "netlist: not the model that was calibrated, since it differs at the calibrated values; give that one (netlist=...)"
        )
    return build, fitted
