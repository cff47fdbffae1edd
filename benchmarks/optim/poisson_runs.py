"""What the tables of the small physics-informed network share: steps to an error, spreads over seeds, tables in a page."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

from thermograd.circuits.files import write_text


def steps_to(run: dict[str, Any], error: float) -> float:
    """First evaluated step below the error; inf if there is none."""
    return next((step for step, value in run["evaluations"] if value <= error), math.inf)


def spread(values: list[float], form: str) -> str:
    """Median, with least and largest where they differ; "-" where it is infinite."""
    low, middle, high = min(values), statistics.median(values), max(values)
    shown = [format(value, form) if math.isfinite(value) else "-" for value in (middle, low, high)]
    return shown[0] if shown[1] == shown[2] else f"{shown[0]} ({shown[1]} to {shown[2]})"


def replace_table(page: Path, name: str, text: str) -> None:
    """The table between <!-- name --> and <!-- end --> of a page."""
    begin = f"<!-- {name} -->\n"
    before, rest = page.read_text(encoding="utf-8").split(begin)
    write_text(page, f"{before}{begin}{text}\n{rest[rest.index('<!-- end -->') :]}")
