"""A designer's folder: circuit, testbench, device list, Monte-Carlo deck and, of parts that are bought, the board's files."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..circuits.errors import InputError, UnrealisableError
from ..circuits.files import output_folder, write_text
from .formatting import engineering, to_json

if TYPE_CHECKING:
    import numpy as np

    from ..circuits.amplifiers.models import AmplifierCell
    from ..circuits.technology.pdk.process_record import Process
    from ..compiler.hand_over.board import Board
    from ..compiler.hand_over.bought import Bought
    from ..compiler.hand_over.expected import Expected
    from ..compiler.program import AnalogProgram

ARRAY, TESTBENCH, MONTE_CARLO = "array.cir", "testbench.cir", "monte_carlo.cir"
EXPECTED, DEVICES, README, FIGURES = "expected.csv", "devices.csv", "README.txt", "figures.json"
BILL, PARTS, KICAD, SCHEMATIC = "bom.csv", "parts.csv", "board.net", "schematic.svg"
FILES = {
    README: "this page",
    ARRAY: "the circuit: a sub-circuit for each cell, and one of all of them, for ngspice",
    TESTBENCH: "drives the circuit by b and says whether it holds the expected solution: ngspice -b testbench.cir",
    MONTE_CARLO: "solves for b on dies whose devices deviate by the technology's tolerances: ngspice -b monte_carlo.cir",
    EXPECTED: "what each unknown is expected to be, and the volts between which nodes",
    DEVICES: "every device of the circuit: cell, value, standard deviation, nodes",
    BILL: "bill of materials, parts that are bought alike in one row",
    PARTS: "each part of the board: name in the netlist, nets, what it sees at rest and at most, rating",
    KICAD: "the board for KiCad, with footprints: File > Import > Netlist in pcbnew",
    SCHEMATIC: "schematic with the board's designators",
    FIGURES: "the figures of this page as data",
    "program.json": "the compiled program, with program.npz: thermograd.compiler.load_program",
    "program.npz": "its arrays",
}
"""What may be in a folder, and what it is."""
DRAWN = 10
"""Most unknowns of a whole schematic; of more, one cell is drawn, and `PARTS` lists all."""


class HandOver(NamedTuple):
    """What was written.

    Attributes:
        files: in the order of `FILES`. figures: plain data. text: the page.
    """

    files: list[Path]
    figures: dict[str, Any]
    text: str


def hand_over(
    program: AnalogProgram,
    b: np.ndarray,
    folder: Path,
    amplifier: AmplifierCell | None = None,
    process: Process | None = None,
    dies: int = 200,
    seed: int = 0,
) -> HandOver:
    """Write the folder; each file appears whole or not at all, the page last.

    A board's files are written where the technology's resistors are of a series of preferred numbers (`resistors.series`).

    Args:
        program: nominal, not on a die. b: (n,) right-hand side.
        folder: made if need be. Files of these names in it are replaced, or removed where they are of another run.
        amplifier: what stands for each amplifier; None: linear, one pole. A board's is that of its package.
        process: whose devices the resistors and capacitors are; None: ideal ones of the same values.
        dies, seed: of the Monte-Carlo deck.

    Raises:
        InputError, UnrealisableError: b is zero, a fabric that is not read at rest, parts that cannot be bought; a folder that
            cannot be written into.
    """
    from ..circuits.amplifiers.models import cell_title
    from ..compiler.decks.monte_carlo import monte_carlo_spice
    from ..compiler.hand_over.bill import bill_of_materials, parts_list
    from ..compiler.hand_over.board import board_of
    from ..compiler.hand_over.circuit import circuit_of
    from ..compiler.hand_over.device_list import device_list
    from ..compiler.hand_over.expected import expected_solution
    from ..compiler.hand_over.kicad import kicad_netlist
    from ..compiler.hand_over.process_devices import Sized, with_process_devices
    from ..compiler.hand_over.testbench import array_text, bench_text

    board = None if program.technology.resistors.series is None else board_of(program, b)
    expected = expected_solution(program, b, None if board is None else board.bought.x)
    circuit, sizes = circuit_of(program, b, amplifier), dict[str, Sized]()
    if board is not None:
        circuit = board.bought.applied(circuit)
    if process is not None:
        circuit, sizes = with_process_devices(circuit, process, program.technology)
    texts = {
        ARRAY: array_text(circuit),
        TESTBENCH: bench_text(program, circuit, expected, ARRAY),
        EXPECTED: _expected_csv(program, expected),
        DEVICES: device_list(program, circuit, sizes),
    }
    missing = {}
    try:
        texts[MONTE_CARLO] = monte_carlo_spice(
            program, b, dies, hierarchical=True, amplifier=amplifier, seed=seed, results="dies.txt"
        )
    except (InputError, UnrealisableError) as error:
        missing[MONTE_CARLO] = str(error)
    figures = _figures(program, expected)
    if board is not None:
        texts |= {
            BILL: bill_of_materials(board, program.technology),
            PARTS: parts_list(board),
            KICAD: kicad_netlist(board),
        }
        figures["board"] = _board_figures(board)
    else:
        missing[BILL] = (
            f"technology {program.technology.name} states no series of preferred numbers (resistors.series): its parts are not bought"
        )
    figures["left_out"] = missing
    texts[FIGURES] = to_json(figures)
    made = cell_title(amplifier) or "linear, one pole"
    page = _page(program, expected, board, process, made, missing, set(texts))
    return HandOver(_write(program, folder, texts, page, board), figures, page)


def _write(
    program: AnalogProgram, folder: Path, texts: Mapping[str, str], page: str, board: Board | None
) -> list[Path]:
    output_folder(folder)
    for name in FILES:
        if name not in texts:
            (folder / name).unlink(missing_ok=True)
    for name, text in texts.items():
        write_text(folder / name, text)
    program.save(folder / "program")
    if board is not None:
        _draw(program, board, folder / SCHEMATIC)
    write_text(folder / README, page)
    return [folder / name for name in FILES if (folder / name).exists()]


def _draw(program: AnalogProgram, board: Board, path: Path) -> None:
    from .figures.schematic import array_picture, network_picture
    from .figures.style import save, styled

    whole = program.size <= DRAWN
    title = f"{board.title}\n{'all cells' if whole else f'cell 1 of {program.size}; {PARTS} lists all parts'}"
    netlist, called = board.bought.circuit.netlist, board.designators()
    if program.fabric.schematic == "array":
        cell = None if whole else 0
        save(styled(array_picture)(program, title, netlist, called, cell), path)
    elif whole:
        save(styled(network_picture)(program, title, netlist, called), path)


def _expected_csv(program: AnalogProgram, expected: Expected) -> str:
    """Problem units, and what a voltmeter shows."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ("unknown", "exact", "nominal", "standard_deviation", "tolerance", "plus", "minus", "nominal_V", "tolerance_V")
    )
    for k, (plus, minus) in enumerate(program.readouts):
        figures = [values[k] for values in (expected.exact, expected.nominal, expected.deviation, expected.tolerance)]
        volts = [value / expected.volts[k] for value in (expected.nominal[k], expected.tolerance[k])]
        shown = [f"{value:.9g}" for value in (*figures, *volts)]
        writer.writerow((k + 1, *shown[:4], plus, minus, *shown[4:]))
    return text.getvalue()


def _figures(program: AnalogProgram, expected: Expected) -> dict[str, Any]:
    return {
        "fabric": program.fabric_name,
        "technology": program.technology.name,
        "unknowns": program.size,
        "systematic_error": expected.systematic_error,
        "deviation": expected.relative_deviation,
    }


def _board_figures(board: Board) -> dict[str, Any]:
    bought: Bought = board.bought
    counts: dict[str, int] = {}
    for component in board.components:
        counts[component.reference.rstrip("0123456789")] = counts.get(component.reference.rstrip("0123456789"), 0) + 1
    currents = [abs(value) for component in board.components for value in component.amperes]
    return {
        "parts": counts,
        "rounded": len(bought.rounded),
        "largest_change_of_a_value": bought.largest_change,
        "change_of_the_solution": bought.solution_change,
        "slowest_time_constant": bought.slowest,
        "slowest_time_constant_compiled": bought.slowest_compiled,
        "largest_output_current": max(currents, default=0.0),
    }


def _page(
    program: AnalogProgram,
    expected: Expected,
    board: Board | None,
    process: Process | None,
    made: str,
    missing: Mapping[str, str],
    there: set[str],
) -> str:
    from ..compiler.hand_over.expected import GOOD

    lines = [
        f"{program.fabric_name}: {program.fabric.title}",
        f"{program.size} unknowns, technology {program.technology.name}: {program.technology.source}",
        "",
        f"The nominal circuit is off A^-1 b by {expected.systematic_error:.3g} (relative): rounding and finite gain.",
    ]
    if expected.reason:
        lines.append(f"No tolerance by mismatch: {expected.reason}.")
    else:
        lines.append(
            f"Mismatch moves it by {expected.relative_deviation:.3g} (relative, rms over dies, to first order). Of good circuits "
            f"{100 * GOOD:g} % are within the tolerance of each unknown in {EXPECTED}."
        )
    if process is not None:
        lines += [
            "",
            f"Resistors and capacitors are devices of {process.title}, models of {process.distribution} {process.version} "
            f"({process.license}), which {ARRAY} names by their path on this machine. {MONTE_CARLO} has ideal ones of the same values.",
        ]
    if program.fabric.active:
        lines += ["", f"Amplifiers in {ARRAY} and {MONTE_CARLO}: {made}."]
    if board is not None:
        lines += ["", *_board_lines(program, board)]
    lines += ["", "Files"]
    drawn = (
        {SCHEMATIC} if board is not None and (program.size <= DRAWN or program.fabric.schematic == "array") else set()
    )
    shown = there | drawn | {README, "program.json", "program.npz"}
    lines += [f"  {name:<16} {what}" for name, what in FILES.items() if name in shown]
    lines += [f"  {name:<16} left out: {why}" for name, why in missing.items()]
    return "\n".join([*lines, ""])


def _board_lines(program: AnalogProgram, board: Board) -> list[str]:
    from ..compiler.hand_over.bought import CAPACITOR_SERIES

    bought, figures = board.bought, _board_figures(board)
    parts = ", ".join(f"{count} {kind}" for kind, count in figures["parts"].items())
    lines = [f"Board: {parts} (designators)."]
    if bought.rounded:
        lines.append(
            f"{len(bought.rounded)} values are rounded to what is sold (capacitors: {CAPACITOR_SERIES}), by up to "
            f"{100 * bought.largest_change:.2g} %: the solution changes by {bought.solution_change:.2g} (relative)"
            + (
                "."
                if math.isnan(bought.slowest)
                else f", the slowest time constant from {engineering(bought.slowest_compiled, 's')} to {engineering(bought.slowest, 's')}."
            )
        )
    else:
        lines.append("Every value is one that is sold; nothing was rounded beyond what compile did.")
    most, limit = figures["largest_output_current"], program.technology.opamp.output_current
    if most:
        used = "" if math.isinf(limit) else f", of {engineering(limit, 'A')}"
        lines.append(f"An op-amp supplies up to {engineering(most, 'A')} at rest for this b{used}.")
    return lines
