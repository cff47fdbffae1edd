"""The registry as tables: for the page docs/knobs.md, the terminal and JSON."""

from __future__ import annotations

from typing import Any

from .knob import Knob, Part
from .registry import ALIASES, KNOBS

HEADINGS: dict[Part, str] = {
    "technology": "The die and its converters",
    "host": "The host",
    "optimizer": "The optimizer",
}
COLUMNS = ("name", "unit", "range", "meaning")


def rows() -> list[tuple[str, str, str, str]]:
    """(name, unit, range, meaning) of each alias and knob."""
    short = [(one.name, one.unit, f"as {one.of}", f"{one.title}, shown by {one.axis}.") for one in ALIASES.values()]
    return short + [(one.name, one.unit, str(one.allowed), one.meaning) for one in KNOBS.values()]


def as_data() -> list[dict[str, Any]]:
    """Plain data for JSON."""
    return [_data(one) for one in (*ALIASES.values(), *KNOBS.values())]


def markdown() -> str:
    """A table for each part of the machine."""
    found = []
    for part, heading in HEADINGS.items():
        found.append(f"## {heading}\n\n| name | unit | range | levels of a study | meaning |\n|---|---|---|---|---|\n")
        for one in KNOBS.values():
            if one.part == part:
                levels = ", ".join(level if isinstance(level, str) else f"{level:g}" for level in one.levels)
                cells = (f"`{one.name}`", one.unit, str(one.allowed), levels, one.meaning)
                found.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n")
        found.append("\n")
    return "".join(found).rstrip("\n") + "\n"


def _data(one: Knob) -> dict[str, Any]:
    allowed = one.allowed
    limits: dict[str, Any] = {"choices": list(allowed.choices)} if allowed.kind == "choice" else {}
    if allowed.kind in ("number", "whole"):
        limits = {"low": allowed.low, "high": allowed.high, "above": allowed.above, "below": allowed.below}
    return {
        "name": one.name,
        "of": one.of or None,
        "title": one.title,
        "unit": one.unit,
        "kind": allowed.kind,
        **limits,
        "optional": allowed.optional,
        "range": str(allowed),
        "part": one.part,
        "log": one.log,
        "levels": list(one.levels),
        "meaning": one.meaning,
    }
