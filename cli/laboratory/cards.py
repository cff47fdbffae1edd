"""The card that `lab` writes: the fit alone, or with its board as a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...circuits.errors import InputError
from ..options import suffixed

if TYPE_CHECKING:
    from ...circuits.netlist.netlist import Netlist
    from ...compiler.program import AnalogProgram
    from ...devicemodel.calibration.measured.result import CircuitCalibration
    from ...devicemodel.laboratory.card import LaboratoryCard

Ports = tuple[list[tuple[str, float]], list[str]]


def ports(inputs: str | None, outputs: str | None, by_program: bool) -> Ports | None:
    """(source and largest value of each input, each output's voltage) of `--inputs V1=0.5,V2 --outputs n1,n2`; None: not given.

    Raises:
        InputError: one without the other, different numbers of them, or with a program, which knows them.
    """
    if inputs is None and outputs is None:
        return None
    if by_program:
        raise InputError("--inputs and --outputs are of a --circuit; a program knows its own: leave them out")
    if inputs is None or outputs is None:
        raise InputError(
            "--inputs and --outputs belong together: the sources that drive the board, the voltages read of it"
        )
    driven: list[tuple[str, float]] = []
    for text in inputs.split(","):
        name, _, limit = (part.strip() for part in text.partition("="))
        driven.append((name, suffixed("--inputs", limit) if limit else 1.0))
    read = [text.strip() for text in outputs.split(",")]
    if len(driven) != len(read):
        raise InputError(f"--inputs names {len(driven)} and --outputs {len(read)}: each unknown has one of both")
    return driven, read


def device_card(
    calibration: CircuitCalibration, board: Netlist, program: AnalogProgram | None, wired: Ports | None
) -> LaboratoryCard | None:
    """The board as a device: of a program, or of a circuit whose inputs and outputs are known; None: a fit alone.

    Raises:
        InputError: a board that cannot be one, such as a matrix that is not symmetric.
    """
    if program is None and wired is None:
        return None
    from ...devicemodel.laboratory.card import LaboratoryCard

    if program is not None:
        return LaboratoryCard.programmed(calibration, program, board)
    assert wired is not None
    return LaboratoryCard.fixed(calibration, board, *wired)


def read_calibration(path: Path) -> CircuitCalibration:
    """The fit in a card, with its board or without."""
    from ...devicemodel.calibration.measured.result import CircuitCalibration
    from ...devicemodel.card_files import card_kind
    from ...devicemodel.laboratory.card import LaboratoryCard

    return LaboratoryCard.read(path).calibration if card_kind(path) == "laboratory" else CircuitCalibration.read(path)
