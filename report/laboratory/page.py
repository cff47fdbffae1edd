"""The files of a laboratory report: one HTML page that needs no network, the same as JSON, and its pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...circuits.files import write_text
from ..figures.style import save, to_svg
from ..formatting import to_json
from ..template import page_from
from .figures import table_plot, values_plot


def write_report(facts: dict[str, Any], folder: Path, card: Any = None) -> list[Path]:
    """Write report.html, report.json and a .png of each picture; the files.

    Args:
        facts: `facts_of()`. folder: where to; it is made. card: the card's own summary, rows (name, text), or None.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "values": values_plot(facts),
        **{f"table-{number}": table_plot(table) for number, table in enumerate(facts["tables"], 1)},
    }
    pictures = [folder / f"{name}.png" for name in figures]
    for picture, figure in zip(pictures, figures.values(), strict=True):
        save(figure, picture)
    svg = {name: Markup(to_svg(figure, name, name)) for name, figure in figures.items()}
    page, data = folder / "report.html", folder / "report.json"
    write_text(page, page_from("laboratory.html", facts=facts, rows=value_rows(facts), pictures=svg, card=card or []))
    write_text(data, to_json(facts))
    return [page, data, *pictures]


VALUE_COLUMNS = ("part", "value", "standard error", "95 % interval", "start", "prior", "")


def value_rows(facts: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row of text for each value, in the order of `VALUE_COLUMNS`."""
    return [_row(value) for value in facts["values"]]


def _row(value: dict[str, Any]) -> tuple[str, ...]:
    unit, prior, interval = value["unit"], value["prior"], value["interval_95"]
    said = value["std"] is not None and not value["at_bound"]
    remark = "at its bound, no estimate" if value["at_bound"] else "" if said else "not identified"
    return (
        value["name"],
        _si(value["value"], unit),
        _si(value["std"], unit) if said else "-",
        "-" if interval is None else f"{_si(interval[0], unit)} to {_si(interval[1], unit)}",
        _si(value["start"], unit),
        "-" if prior is None else f"{_si(prior['value'], unit)} ± {_si(prior['std'], unit)}",
        remark,
    )


_PREFIXES = dict(zip(range(-18, 15, 3), "afpnµm kMGT", strict=True))


def _si(value: float, unit: str) -> str:
    """Five digits with an SI prefix: a standard error of 0.1 % is seen in them."""
    exponent = 3 * math.floor(math.log10(abs(value)) / 3) if value else 0
    if not unit or exponent not in _PREFIXES:
        return f"{value:.5g} {unit}".strip()
    symbol = "Ω" if unit == "ohm" else unit
    return f"{value / 10.0**exponent:.5g} {_PREFIXES[exponent].strip()}{symbol}"
