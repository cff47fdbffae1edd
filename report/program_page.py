"""One compiled program as a self-contained HTML page: picture, report, equations, bill of materials and netlist."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from ..circuits.files import write_text
from .figures.die_errors import die_errors_plot
from .figures.program import draw_program
from .figures.style import to_svg
from .formatting import si
from .template import page_from

if TYPE_CHECKING:
    from ..compiler.layout.tiling import Placement
    from ..compiler.program import AnalogProgram
    from ..compiler.program_report import Report
    from ..devicemodel.limits.outlook import Outlook

NETLIST_LINES, BILL_LINES = 400, 40
UNITS = {"resistor": "Ω", "capacitor": "F", "inductor": "H"}


def write_page(
    program: AnalogProgram,
    path: Path,
    netlist: str,
    dialect: str = "ngspice",
    placement: Placement | None = None,
    equations: Any = None,
    report: Report | None = None,
    outlook: Outlook | None = None,
    amplifier: str | None = None,
    not_modelled: Sequence[str] = (),
) -> None:
    """Write the page, whole or not at all.

    Args:
        program: the compiled program.
        path: the HTML file.
        netlist: its netlist in `dialect`; the page shows the first lines.
        placement: placement of its unknowns on tiles, shown in the picture and the table.
        equations: of `derive_equations(program)`, shown as text.
        report: the figures; None: those of `program.report`.
        outlook: what refined readings can solve, shown in the table.
        amplifier: what the netlist has for each amplifier, shown in the table.
        not_modelled: names of the physical effects that the netlist leaves out, listed.
    """
    report, lines = report or program.report, netlist.splitlines()
    rows = [tuple(part.strip() for part in row.strip().split("  ", 1)) for row in str(report).splitlines()]
    rows += [] if outlook is None else [("refined readings", str(outlook))]
    rows += [] if amplifier is None else [("netlist's amplifiers", amplifier)]
    page = page_from(
        "program.html",
        title=f"{program.fabric_name}, {program.size} unknowns, technology {program.technology.name}",
        rows=rows,
        placement=[] if placement is None else placement.summary(),
        picture=Markup(to_svg(draw_program(program, placement), "program", f"Circuit of fabric {program.fabric_name}")),
        dies="" if report.dies is None or not report.dies.errors else _drawn_dies(report),
        equations="" if equations is None else str(equations),
        bill=[(kind, si(value, UNITS.get(kind, "")), count) for kind, value, count in report.bill[:BILL_LINES]],
        more_bill=max(0, len(report.bill) - BILL_LINES),
        sensitive=[(part.part, si(part.value, "Ω"), f"{part.per_unit:.3g}") for part in report.most_sensitive]
        if program.fabric.unit == "S"
        else [],
        not_modelled=not_modelled,
        dialect=dialect,
        netlist="\n".join(lines[:NETLIST_LINES]),
        netlist_lines=len(lines),
        shown_lines=min(len(lines), NETLIST_LINES),
    )
    write_text(path, page)


def _drawn_dies(report: Report) -> Markup:
    assert report.dies is not None
    return Markup(to_svg(die_errors_plot(report), "dies", f"Errors over dies: {report.dies.growing}"))
