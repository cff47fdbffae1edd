"""The causes of a device's error as text, as Markdown, and as a self-contained HTML page."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ..circuits.files import write_text
from .figures.error_budget import error_budget_plot
from .figures.style import to_svg
from .template import page_from

COLUMNS = ("cause", "share", "without it", "with it alone", "without it and all above")


def title_of(budget: dict[str, Any], of: str) -> str:
    """One line: what made the error of `of`, on which dies."""
    dies = budget["dies"]
    named = "nominal parts" if dies == [None] else f"die {dies[0]}" if len(dies) == 1 else f"{len(dies)} dies"
    wires = ", with its wires" if budget["layout"] else ""
    return f"Causes of the error: {of}, {budget['technology']} ({budget['device']}{wires}), {named}"


def heading_of(budget: dict[str, Any], reading: str) -> str:
    """The error of one kind of reading, over dies and systems."""
    found = budget["readings"][reading]
    total, many = found["total"], len(budget["dies"]) * budget["systems"]
    spread = f" ({error_text(total['least'])} to {error_text(total['most'])} over {many} readings)" if many > 1 else ""
    rounds = f", {budget['rounds']} round{'s' * (budget['rounds'] != 1)}" if reading == "refined" else ""
    ideal = error_text(found["ideal"]["median"])
    return f"{reading}{rounds}: {error_text(total['median'])}{spread}; without all causes {ideal}"


def rows_of(budget: dict[str, Any], reading: str) -> list[tuple[str, ...]]:
    """Rows of `COLUMNS`, the largest cause first; medians over dies and systems."""
    return [
        (
            one["cause"],
            share_text(one["share"]),
            *(error_text(one[key]["median"]) for key in ("without", "alone", "remaining")),
        )
        for one in budget["readings"][reading]["causes"]
    ]


def to_markdown(budget: dict[str, Any], systems: list[str]) -> str:
    """Tables for both readings; of several systems, what is left as causes are taken out one after the other, system by system.

    Args:
        budget: `ErrorBudget.to_dict()`.
        systems: names of the systems.
    """
    parts = []
    for reading, found in budget["readings"].items():
        each = systems if len(systems) > 1 else []
        head = [*COLUMNS[:-1], *(each or COLUMNS[-1:])]
        lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        blank = [""] * (len(COLUMNS) - 2)
        if each:
            lines.append(_line(["as it is", *blank, *map(error_text, found["total"]["systems"])]))
        for row, one in zip(rows_of(budget, reading), found["causes"], strict=True):
            lines.append(_line([*row[:-1], *(map(error_text, one["remaining"]["systems"]) if each else row[-1:])]))
        note = " Last columns: without the cause and all above." if each else ""
        parts += [f"{heading_of(budget, reading)}.{note}", "", *lines, ""]
    return "\n".join(parts)


def write_page(budget: dict[str, Any], of: str, path: Path) -> None:
    """Write the page, whole or not at all.

    Args:
        budget: `ErrorBudget.to_dict()`.
        of: what was solved, a few words.
    """
    title = title_of(budget, of)
    picture = to_svg(error_budget_plot(budget), "causes", title)
    write_text(path, page_from("error_budget.html", title=title, picture=Markup(picture), **tables_of(budget)))


def tables_of(budget: dict[str, Any] | None) -> dict[str, Any]:
    """What the template's tables need; None: no tables."""
    if budget is None:
        return {"columns": COLUMNS, "tables": [], "meanings": []}
    return {
        "columns": COLUMNS,
        "tables": [(heading_of(budget, reading), rows_of(budget, reading)) for reading in budget["readings"]],
        "meanings": sorted({(one["cause"], one["meaning"]) for one in budget["readings"]["bare"]["causes"]}),
    }


def error_text(value: float | None) -> str:
    """Two digits; without a reading, that."""
    return "no reading" if value is None or not math.isfinite(value) else f"{value:.2g}"


def share_text(value: float | None) -> str:
    """Percent."""
    return (
        "–"
        if value is None or not math.isfinite(value)
        else f"{100 * value:.0f} %".replace("-0 %", "0 %").replace("-", "−")
    )


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
