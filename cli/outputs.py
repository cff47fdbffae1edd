"""What the commands print: results on stdout, remarks, progress and errors on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

from ..report.formatting import to_json

if TYPE_CHECKING:
    from ..devicemodel.device import Outcome

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""

ADVICE = {
    "clipped": "a cell or converter reached its output limit: use more damping, or a technology with a higher limit",
    "clipped by offsets": "a cell or converter is at its limit even for b = 0: use more damping, parts of less offset, or more DAC bits",
    "extrapolated": "the card was not calibrated for such a run: calibrate with systems of this kind (--systems)",
    "not converged": "the residual is above the tolerance: use more damping, a longer --duration, or a technology with finer programming",
    "unstable": "the programmed matrix has a growing mode: use more damping, or more bits",
    "not finite": "there is no settled state: use damping > 0, or a finite duration",
}
"""Remedy for each outcome that is not ok."""
ROWS = 16
"""Maximum number of unknowns in the table of a solution."""
PIPE_WIDTH = 200
"""Columns of a table in a pipe or a file: wide enough not to fold."""


def console(stderr: bool = False) -> Console:
    """A console without markup, so that an entry [0, 1] of a matrix is printed as it is."""
    target = Console(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=True)
    if not target.is_terminal:
        target.width = PIPE_WIDTH
    return target


def say(text: object) -> None:
    """Print a line of the result."""
    console().print(str(text))


def note(text: str) -> None:
    """Print a remark on stderr, so that pipes hold results only."""
    console(stderr=True).print(text)


def complain(text: object) -> None:
    """Print `error: ...` on stderr, as one line of printable characters."""
    line = " ".join(str(text).split())
    line = "".join(character if character.isprintable() else "?" for character in line)
    console(stderr=True).print(f"error: {line}")


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table of the result; the caller formats the numbers."""
    table = Table(title=title or None, title_justify="left", header_style="bold", show_header=any(columns))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console().print(table)


def show_causes(budget: dict[str, Any], of: str) -> None:
    """Print a table for bare and one for refined readings.

    Args:
        budget: `ErrorBudget.to_dict()`.
        of: what was solved, a few words.
    """
    from ..report.error_budget import COLUMNS, heading_of, rows_of, title_of

    note(title_of(budget, of))
    for reading in budget["readings"]:
        show(heading_of(budget, reading), COLUMNS, rows_of(budget, reading))


def write_causes(budget: dict[str, Any], of: str, picture: Path | None, page: Path | None) -> list[Path]:
    """Draw the causes and write their page, where a path is given; the files."""
    from ..report.error_budget import title_of, write_page
    from ..report.figures.error_budget import error_budget_plot
    from ..report.figures.style import save

    if picture is not None:
        save(error_budget_plot(budget, title_of(budget, of)), picture)
    if page is not None:
        write_page(budget, of, page)
    return [path for path in (picture, page) if path is not None]


def emit(data: Any) -> None:
    """Print the result as one JSON document. Numbers that JSON lacks (nan, inf) become null."""
    sys.stdout.write(to_json(data))
    sys.stdout.flush()


@contextmanager
def progress(announce: bool = False) -> Iterator[Progress]:
    """Progress bars on stderr while the block runs; none without a terminal.

    Args:
        announce: without a terminal, print a line when each stage begins (for runs of minutes).
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    target = console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=target, transient=True, disable=not target.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
                if announce and not target.is_terminal:
                    note(stage)
            bars.update(tasks[stage], completed=done, total=total)

        yield report


def show_solution(heads: tuple[str, ...], rows: list[tuple[Any, ...]], summary: str) -> None:
    """A table of unknowns, its first rows, and the summary."""
    show("", heads, rows[:ROWS])
    if len(rows) > ROWS:
        note(f"and {len(rows) - ROWS} more; --out FILE.csv writes all")
    say(summary)


def end_with(outcome: Outcome) -> None:
    """Advice, and exit code 1, where the outcome is not ok."""
    if outcome.value != "ok":
        complain(f"the reading is {outcome.value}: {ADVICE[outcome.value]}")
    if outcome.value not in ("ok", "extrapolated"):
        raise typer.Exit(1)
