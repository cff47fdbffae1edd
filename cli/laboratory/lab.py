"""The command that calibrates a circuit with what a laboratory measured of it: `lab`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...circuits.errors import InputError
from ..options import CIRCUITS, Include, Json, Seed, examples
from ..outputs import complain, emit, note, progress, show

if TYPE_CHECKING:
    from ...circuits.netlist.netlist import Netlist
    from ...compiler.program import AnalogProgram
    from ...devicemodel.calibration.measured.measurements import Measurements
    from .cards import Ports

app = typer.Typer()


@app.command(
    rich_help_panel=CIRCUITS,
    epilog=examples(
        "thermograd lab spectra.csv steps.csv --circuit board.cir --free R3 --free 'C*' --out lab",
        "thermograd lab spectra.csv --circuit board.cir --prior C1=22n+-1n --hold-out correlations.csv --errors inflated",
        "thermograd lab scope.csv --node CH1=n1 --std 1m --start 0 --circuit board.cir --json",
        "thermograd lab spectra.csv --circuit board.cir --inputs V1=0.5,V2=0.5 --outputs n1,n2",
        "thermograd lab next_month.csv --circuit board.cir --check lab/card.json",
    ),
)
def lab(
    tables: Annotated[
        list[Path],
        typer.Argument(help="Measurements: .csv, .parquet, .raw, or what an instrument wrote.", metavar="TABLE..."),
    ],
    circuit: Annotated[
        Path | None, typer.Option("--circuit", help="The board: a SPICE netlist.", metavar="FILE")
    ] = None,
    program: Annotated[
        Path | None,
        typer.Option("--program", help="The board: a program that `compile` wrote, .json.", metavar="FILE"),
    ] = None,
    b: Annotated[
        Path | None,
        typer.Option("--b", help="Right-hand side that drove the program's array in the tables.", metavar="FILE"),
    ] = None,
    free: Annotated[
        list[str] | None,
        typer.Option(
            "--free",
            help="A part whose value is sought, or a pattern such as 'C*' (repeatable). Default: every R, C and L.",
            metavar="PART",
        ),
    ] = None,
    prior: Annotated[
        list[str] | None,
        typer.Option(
            "--prior",
            help="What is known of a free part: C1=22n+-1n or C1=22n+-5% (repeatable).",
            metavar="PART=V+-STD",
        ),
    ] = None,
    hold_out: Annotated[
        list[Path] | None,
        typer.Option("--hold-out", help="Tables that only test the fit (repeatable).", metavar="TABLE"),
    ] = None,
    inputs: Annotated[
        str | None,
        typer.Option(
            "--inputs",
            help="Sources that drive a board whose matrix is wired in, with their limits; makes its card a device.",
            metavar="V1=VOLTS,V2",
        ),
    ] = None,
    outputs: Annotated[
        str | None, typer.Option("--outputs", help="The voltage that is read of each unknown.", metavar="NODE,NODE")
    ] = None,
    errors: Annotated[
        str,
        typer.Option(
            "--errors", help="stated: as in the tables; inflated: by the scatter found.", metavar="stated|inflated"
        ),
    ] = "stated",
    starts: Annotated[
        int, typer.Option("--starts", min=0, help="Further searches, from starting values up to a factor of 10 off.")
    ] = 4,
    node: Annotated[
        list[str] | None,
        typer.Option(
            "--node", help="What a channel measured, CH1=n1 or CH2=n1-n2 (repeatable).", metavar="CHANNEL=NODE"
        ),
    ] = None,
    unit: Annotated[
        list[str] | None,
        typer.Option("--unit", help="Unit of a column, CH1=mV (repeatable).", metavar="COLUMN=UNIT"),
    ] = None,
    std: Annotated[str | None, typer.Option("--std", help="Standard error of a trace's readings, V.")] = None,
    averages: Annotated[
        str | None, typer.Option("--averages", help="Independent periodograms averaged in a spectrum.")
    ] = None,
    rbw: Annotated[str | None, typer.Option("--rbw", help="Noise bandwidth of a spectrum's readings, Hz.")] = None,
    impedance: Annotated[
        str | None, typer.Option("--impedance", help="In which powers (dBm) were stated, ohm.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--start", help="Time in the file of the netlist's initial state, s.")
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option("--check", help="Test the tables against this earlier card; nothing is fitted.", metavar="CARD"),
    ] = None,
    include: Include = None,
    seed: Seed = 0,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for card.json, report.html, report.json and pictures.", metavar="DIR")
    ] = Path("lab"),
    json: Json = False,
) -> None:
    """Fit a circuit's values to a laboratory's measurements: the card, what the data identify, a report with pictures.

    The tables are described in docs/lab.md. Exit code 1 when the verdict is not ok; card and report are written all the same.
    """
    from .cards import ports
    from .requests import free_parts, pairs, priors, read_tables

    board, array = _board(circuit, program, include, b)
    wired = ports(inputs, outputs, program is not None)
    stated = {"std": std, "averages": averages, "rbw": rbw, "impedance": impedance, "start": start}
    options = {"nodes": pairs("--node", node or []), "units": pairs("--unit", unit or [])} | {
        name: _number(name, text) for name, text in stated.items()
    }
    if errors not in ("stated", "inflated"):
        raise InputError(f"--errors is {errors!r}: give stated or inflated")
    measured = read_tables(tables, options)
    if check is not None:
        _check(check, board, measured, json)
        return
    tested = read_tables(hold_out or [], options)
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {str(out)!r} is a file; give a folder")
    parts = free_parts(board, free or [])
    known = priors(prior or [], parts)
    for table in [*measured, *tested]:
        for remark in table.notes:
            note(f"{table.source}: {remark}")
    if not free:
        note(f"free: {', '.join(parts)} (--free names others)")
    _fit(board, parts, measured, tested, known, wired, array, out, json, errors, starts, seed)


def _number(name: str, text: str | None) -> float | None:
    from ..options import suffixed

    return None if text is None else suffixed(f"--{name}", text)


def _board(
    circuit: Path | None, program: Path | None, include: Path | None, b: Path | None
) -> tuple[Netlist, AnalogProgram | None]:
    """The netlist, and the program that it is of."""
    if (circuit is None) == (program is None):
        raise InputError("give the board: either --circuit board.cir or --program p.json")
    if program is not None:
        from ...compiler.program_io import load_program
        from ..inputs import read_vector

        array = load_program(program)
        return array.netlist(None if b is None else read_vector(b)), array
    if b is not None:
        raise InputError("--b belongs to a --program; a circuit's sources are in its netlist: leave it out")
    from ...circuits.spice.read import read_spice

    assert circuit is not None
    return read_spice(circuit, include), None


def _fit(
    board: Netlist,
    parts: Sequence[str],
    measured: Sequence[Measurements],
    tested: Sequence[Measurements],
    known: dict[str, Any],
    wired: Ports | None,
    program: AnalogProgram | None,
    out: Path,
    json: bool,
    errors: Any,
    starts: int,
    seed: int,
) -> None:
    from ...devicemodel.calibration.measured.advice import next_measurements, suspicions
    from ...devicemodel.calibration.measured.calibrate import calibrate_from_measurements
    from ...report.laboratory.facts import facts_of
    from ...report.laboratory.page import VALUE_COLUMNS, value_rows, write_report
    from .cards import device_card

    with progress(announce=True) as report:
        card = calibrate_from_measurements(
            board,
            list(parts),
            list(measured),
            list(tested),
            known,
            starts,
            seed,
            errors=errors,
            progress=lambda done, total: report("fit", done, total),
        )
        report("suspicions", 0, 1)
        doubted = suspicions(board, list(measured), card, known)
        report("suspicions", 1, 1)
    facts = facts_of(
        card,
        board,
        measured,
        tested,
        title=board.title or "a measured circuit",
        command=_command_line(),
        suspicions=[one.text for one in doubted],
        next_measurements=[one.text for one in next_measurements(board, card, list(measured))],
    )
    target = out / "card.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    card.write(target)  # first of all: a board that is no device keeps its fit
    fault = ""
    try:
        device = device_card(card, board, program, wired)
    except InputError as error:
        device, fault = None, str(error)
    if device is not None:
        device.write(target)
    facts["device"] = fault or (
        "a device" if device is not None else "the fit alone; --inputs and --outputs make a device of it"
    )
    own = () if device is None else [row for row in device.summary() if row not in card.summary()]
    files = [target, *write_report(facts, out, own)]
    if json:
        emit(facts | {"files": files})
    else:
        show(facts["title"], VALUE_COLUMNS, value_rows(facts))
        show("", ("", ""), _rows(facts))
    for path in files:
        note(f"wrote {path}")
    if not fault:
        note(f"{target} holds {facts['device']}")
    if fault:
        raise InputError(f"{target} holds the fit alone, and no device: {fault}")
    if card.verdict.value != "ok":
        complain(f"the verdict is {card.verdict.value}: {facts['meaning']} The card is written all the same.")
        raise typer.Exit(1)


def _rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [("verdict", facts["verdict"]), ("fitted data", facts["fit"]["text"])]
    rows.append(("held-out data", "none" if facts["held_out"] is None else facts["held_out"]["text"]))
    if facts["inflation"] > 1:
        rows.append(("errors", f"multiplied by {facts['inflation']:.3g}, the scatter found"))
    rows += [("data alone", line) for line in facts["unidentifiable"]]
    for other in facts["alternatives"]:
        rows.append(("as likely", ", ".join(f"{name} = {value:.4g}" for name, value in other.items())))
    rows += [("suspicion", line) for line in facts["suspicions"]]
    return rows + [("measure next", line) for line in facts["next_measurements"]]


def _command_line() -> str:
    return shlex.join(["thermograd", *sys.argv[1:]])


def _check(path: Path, board: Netlist, measured: Sequence[Measurements], json: bool) -> None:
    """Later data against a card."""
    from ...devicemodel.calibration.measured.calibrate import SUSPECT, check_measurements
    from .cards import read_calibration

    card = read_calibration(path)
    found = check_measurements(card, board, list(measured))
    passed = found.p_value >= SUSPECT
    if json:
        emit({"passed": passed, **found.model_dump(mode="json")})
    else:
        worst = sorted(found.residuals, key=lambda residual: -abs(residual.value))[:5]
        show(
            f"against {path}",
            ("", ""),
            [("data", str(found)), *((residual.of, f"{residual.value:+.2f} standard errors") for residual in worst)],
        )
    if not passed:
        complain(
            "the data contradict the card: the board, its temperature or the measurement has changed; calibrate again"
        )
        raise typer.Exit(1)
