"""The self-contained HTML page of sizes of arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...circuits.files import write_text
from ..figures.style import to_svg
from ..template import page_from
from . import rows
from .figure import size_plot


def write_page(sizes: dict[str, Any], path: Path) -> None:
    """Write the page, whole or not at all."""
    title = rows.title_of(sizes)
    tables = [(text, rows.columns(sizes, name), rows.rows(sizes, name)) for name, text in rows.headings(sizes).items()]
    write_text(
        path,
        page_from(
            "size.html",
            title=title,
            picture=Markup(to_svg(size_plot(sizes), "size", title)),
            answers=rows.answers(sizes),
            heads=rows.ANSWERS,
            tables=tables,
            meanings=list(rows.MEANINGS.items()),
            no_area=sizes["no_area"],
        ),
    )
