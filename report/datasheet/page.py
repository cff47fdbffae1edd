"""The files of a data sheet: one HTML page that needs no network, and the same as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...circuits.files import write_text
from ..figures.style import to_svg
from ..formatting import to_json
from ..template import page_from
from . import rows
from .figure import datasheet_plot


def write_page(sheet: dict[str, Any], path: Path) -> None:
    """Write the page, whole or not at all.

    Args:
        sheet: of `make_datasheet()`, with the command and the seeds that made it.
    """
    title = rows.title_of(sheet)
    pictures = [
        (
            one["name"],
            Markup(to_svg(datasheet_plot(sheet, one["name"]), f"figures-{number}", f"{title}: {one['name']}")),
        )
        for number, one in enumerate(sheet["workloads"], 1)
    ]
    text = page_from(
        "datasheet.html",
        title=title,
        sheet=sheet,
        rows=rows,
        pictures=pictures,
    )
    write_text(path, text)


def write_json(sheet: dict[str, Any], path: Path) -> None:
    """Write the plain data; numbers that JSON lacks become null."""
    write_text(path, to_json(sheet))
