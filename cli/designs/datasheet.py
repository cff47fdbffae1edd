"""The command that writes the data sheet of a card or a technology: `datasheet`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...circuits.errors import InputError
from ...circuits.files import output_path
from ..options import CIRCUITS, PICTURES, Card, Json, Plot, TechnologyName, Workers, examples, numbers
from ..outputs import emit, note, progress, show

if TYPE_CHECKING:
    from ...circuits.technology.technology import Technology
    from ...devicemodel.card import DeviceCard
    from ...devicemodel.datasheet.conditions import DatasheetConditions

app = typer.Typer()


@app.command(
    rich_help_panel=CIRCUITS,
    epilog=examples(
        "thermograd datasheet --card shipped:integrated --html integrated.html",
        "thermograd datasheet --technology gf180mcu --unknowns 8,16 --condition 10,100 --corner tt,ss --temperature -40,27,85 --dies 20",
        "thermograd datasheet --card card.json --systems systems/ --specification limits.toml --out sheet.json",
        "thermograd datasheet --technology my.toml --conditions conditions.toml --workers 2 --html my.html --json",
    ),
)
def datasheet(
    card: Card = None,
    technology: TechnologyName = None,
    conditions: Annotated[
        Path | None,
        typer.Option(
            "--conditions",
            help="TOML file of conditions; the options below take the place of its fields.",
            metavar="FILE",
        ),
    ] = None,
    unknowns: Annotated[
        str | None, typer.Option("--unknowns", help="Sizes of random systems. Default: 8.", metavar="LIST")
    ] = None,
    condition: Annotated[
        str | None,
        typer.Option("--condition", help="Their condition numbers, damping included. Default: 10.", metavar="LIST"),
    ] = None,
    systems: Annotated[
        list[Path] | None,
        typer.Option(
            "--systems",
            help="System of your own, .npz with A (or its factors) and b, or a folder of them (repeatable); in place of random ones "
            "unless --unknowns is given.",
            metavar="PATH",
        ),
    ] = None,
    temperature: Annotated[
        str | None,
        typer.Option("--temperature", help="Ambient temperatures, °C. Default: -40,27,85.", metavar="LIST"),
    ] = None,
    corner: Annotated[
        str | None,
        typer.Option(
            "--corner", help="Corners of the technology, the typical one first; all by default.", metavar="LIST"
        ),
    ] = None,
    dies: Annotated[
        int | None, typer.Option("--dies", min=1, help="Number of dies, of the seeds 1, 2, ... Default: 10.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=0, help="Corrections of a refined reading. Default: 2.")
    ] = None,
    accuracy: Annotated[
        float | None,
        typer.Option("--accuracy", help="Relative, to which the circuits settle. Default: 0.01.", metavar="SHARE"),
    ] = None,
    spice: Annotated[
        int | None,
        typer.Option(
            "--spice", min=0, help="Bare readings that are repeated in ngspice, without noise. Default: none."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of systems and noise. Default: 0.")] = None,
    specification: Annotated[
        Path | None,
        typer.Option(
            "--specification",
            help="TOML file of limits, each a table `limit` with figure and max or min; exit code 1 if one is not met.",
            metavar="FILE",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Page that needs no network: .html.", metavar="FILE")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="All of it as data: .json.", metavar="FILE")] = None,
    plot: Plot = None,
    workers: Workers = 1,
    json: Json = False,
) -> None:
    """Least, typical and largest error, noise, smallest damping, settling time, energy and area, over dies, corners and temperatures.

    Of a card, or of a technology as it is stated (default: integrated). A specification gets a verdict for each limit. What is not
    modelled, and who says each figure, stands beside. docs/datasheet.md has the files' fields.
    """
    from ...devicemodel.datasheet.datasheet import make_datasheet
    from ...devicemodel.datasheet.specification import Specification
    from ...report.datasheet import rows

    given = [card, Path(technology or ""), conditions, specification]
    picture, page = output_path(plot, PICTURES, given), output_path(html, (".html",), given)
    target = output_path(out, (".json",), given)
    hardware = _hardware(card, technology)
    changes: dict[str, Any] = {
        "unknowns": _whole("--unknowns", unknowns),
        "condition_numbers": None if condition is None else tuple(numbers("--condition", condition)),
        "temperatures": None if temperature is None else tuple(numbers("--temperature", temperature)),
        "corners": None if corner is None else tuple(name.strip() for name in corner.split(",")),
        "dies": dies,
        "rounds": rounds,
        "accuracy": accuracy,
        "spice": spice,
        "seed": seed,
    }
    own = _systems(systems)
    if own and unknowns is None and conditions is None:
        changes["unknowns"] = ()
    asked = _conditions(conditions, {name: value for name, value in changes.items() if value is not None})
    demands = None if specification is None else Specification.read(specification)
    with progress(announce=True) as report:
        sheet = make_datasheet(hardware, asked, demands, own, workers, report)
    named = {
        "--card": card, "--technology": technology, "--conditions": conditions, "--unknowns": unknowns, "--condition": condition,
        "--temperature": temperature, "--corner": corner, "--dies": dies, "--rounds": rounds, "--accuracy": accuracy,
        "--spice": spice, "--seed": seed,
        "--specification": specification,
    }  # fmt: skip
    sheet |= {"command": _command(named, systems or []), "files": {"systems": [str(path) for path in systems or []]}}
    if picture is not None:
        from ...report.datasheet.figure import datasheet_plot
        from ...report.figures.style import save

        save(datasheet_plot(sheet), picture)
    if page is not None:
        from ...report.datasheet.page import write_page

        write_page(sheet, page)
    if target is not None:
        from ...report.datasheet.page import write_json

        write_json(sheet, target)
    files = [path for path in (picture, page, target) if path is not None]
    if json:
        emit(sheet | {"written": files})
    else:
        show(rows.title_of(sheet), rows.FIGURES, rows.figures(sheet))
        if demands is not None:
            show(rows.verdict_of(sheet), rows.LIMITS, rows.limits(sheet))
        show("", rows.DIES, rows.dies(sheet))
        note(f"{rows.conditions_of(sheet)}\n{rows.typical_of(sheet)}")
        note(rows.spice_of(sheet))
        note(f"not modelled: {rows.most_left_out(sheet)} (--html lists all)")
        for remark in sheet["remarks"]:
            note(remark)
    for path in files:
        note(f"wrote {path}")
    if sheet["passed"] is False:
        raise typer.Exit(1)


def _hardware(card: Path | None, technology: str | None) -> DeviceCard | Technology:
    from ...devicemodel.laboratory.card import LaboratoryCard, read_card
    from ..hardware import read_technology

    if card is not None and technology is not None:
        raise InputError("--card already holds its technology; leave --technology out")
    if card is None:
        return read_technology(technology or "integrated")
    found = read_card(card)
    if isinstance(found, LaboratoryCard):
        raise InputError(
            f"--card {card} is of one measured board, which has neither corners nor other dies; `thermograd lab` reports on it. Give a "
            "device card of its technology"
        )
    return found


def _conditions(path: Path | None, changes: dict[str, Any]) -> DatasheetConditions:
    from ...devicemodel.datasheet.conditions import DatasheetConditions

    return DatasheetConditions(**changes) if path is None else DatasheetConditions.read(path, **changes)


def _systems(paths: Sequence[Path] | None) -> list[tuple[Any, Any]]:
    from ..inputs import read_systems

    return read_systems(paths) if paths else []


def _whole(option: str, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    found = numbers(option, text)
    for value in found:
        if value != int(value):
            raise InputError(f"{option}: {value:g} is no number of unknowns; give whole numbers, such as 8,16")
    return tuple(int(value) for value in found)


def _command(options: dict[str, Any], systems: Sequence[Path]) -> str:
    """What makes the same data sheet again."""
    given = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    given += [word for path in systems for word in ("--systems", str(path))]
    return shlex.join(["thermograd", "datasheet", *given])
