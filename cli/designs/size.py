"""The command that finds the largest array of a technology: `size`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...circuits.errors import InputError
from ...circuits.files import output_path
from ..options import CIRCUITS, PICTURES, Json, Plot, Seed, TechnologyName, examples
from ..outputs import emit, note, progress, show

app = typer.Typer()


@app.command(
    rich_help_panel=CIRCUITS,
    epilog=examples(
        "thermograd size --technology integrated --error 1%",
        "thermograd size --technology breadboard --error 5% --condition 100 --html size.html",
        "thermograd size --technology my.toml --error 0.02 --fabric crossbar --largest 64 --plot size.png --json",
    ),
)
def size(
    technology: TechnologyName = None,
    error: Annotated[
        str, typer.Option("--error", help="Relative error of a reading: 1% or 0.01.", metavar="SHARE")
    ] = "1%",
    fabric: Annotated[
        str | None,
        typer.Option(
            "--fabric",
            help="crossbar, crossbar_single or oscillator. Default: the crossbar that the technology's amplifiers make.",
            metavar="NAME",
        ),
    ] = None,
    condition: Annotated[
        float | None,
        typer.Option(
            "--condition", help="Condition number of the systems, damping included. Default: 10.", metavar="NUMBER"
        ),
    ] = None,
    largest: Annotated[
        int | None, typer.Option("--largest", help="Unknowns of the largest array that is tried. Default: 128.", min=2)
    ] = None,
    seed: Seed = 0,
    html: Annotated[
        Path | None, typer.Option("--html", help="Page with tables and plot: .html.", metavar="FILE")
    ] = None,
    plot: Plot = None,
    json: Json = False,
) -> None:
    """How large may an array get before wires, loading, output current, stability yield or noise ruin it, and which of them does?

    Random systems of one condition number, of 2, 4, 8, ... unknowns, are compiled; each cause's error is that of the laws behind `compile`
    and of the refined readings' law (docs/limits.md). Default technology: integrated.
    """
    from ...devicemodel.sizing.largest import LARGEST, largest_array
    from ...report.size import rows
    from ..hardware import read_technology

    given = [Path(technology or "")]
    picture, page = output_path(plot, PICTURES, given), output_path(html, (".html",), given)
    board, allowed = read_technology(technology or "integrated"), _share(error)
    changes = {} if condition is None else {"condition": condition}
    with progress() as report:
        found = largest_array(
            board,
            allowed,
            fabric,
            largest=largest or LARGEST,
            seed=seed,
            progress=lambda done, total: report("unknowns", done, total),
            **changes,
        ).to_dict()
    if picture is not None:
        from ...report.figures.style import save
        from ...report.size.figure import size_plot

        save(size_plot(found), picture)
    if page is not None:
        from ...report.size.page import write_page

        write_page(found, page)
    files = [path for path in (picture, page) if path is not None]
    if json:
        emit(found | {"files": files})
    else:
        for name, heading in rows.headings(found).items():
            show(heading, rows.columns(found, name), rows.rows(found, name))
        show(rows.title_of(found), rows.ANSWERS, rows.answers(found))
        if found["no_area"]:
            note(f"no areas: {found['no_area']}")
    for path in files:
        note(f"wrote {path}")


def _share(text: str) -> float:
    """1% or 0.01."""
    word = text.strip()
    try:
        value = float(word.removesuffix("%")) / (100 if word.endswith("%") else 1)
    except ValueError:
        raise InputError(f"--error: {text!r} is no share; give one such as 1% or 0.01") from None
    if not 0 < value < 1:
        raise InputError(f"--error: {text!r} is not between 0 and 1; give a relative error such as 1% or 0.01")
    return value
