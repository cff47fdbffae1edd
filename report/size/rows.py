"""Sizes of arrays and what ends them, as rows of text."""

from __future__ import annotations

import math
from typing import Any

from ..formatting import engineering, significant

MEASURES = {
    "array": "the array itself: wires, loading, output current, noise",
    "bare": "one bare reading: all causes",
    "refined": "a refined reading",
}
"""What is asked, by the names of `ArraySizes.answers`."""
ANSWERS = ("", "largest array", "ended by", "each cause alone would allow")
MEANINGS = {
    "wires": "resistance of lines and switches after layout",
    "loading": "finite gain of the amplifiers at the load of their inputs and outputs",
    "output current": "steps and noise that count for more since the amplifiers can drive the array at a lower level only",
    "noise": "of resistors, amplifiers and converters",
    "converters": "steps of DACs and ADCs",
    "codes": "rounding of the matrix",
    "mismatch": "of resistors, with the die's temperature",
    "offsets": "of the amplifiers; refined: their share of a cell's range",
    "stability yield": "too many dies have a growing mode",
    "programming": "the rounded matrix is not definite",
}


def title_of(sizes: dict[str, Any]) -> str:
    """One line: whose arrays, and the error."""
    return (
        f"How large an array? {sizes['technology']}, {sizes['fabric']}, condition number {sizes['condition']:g}, "
        f"error {100 * sizes['error']:g} %"
    )


def answers(sizes: dict[str, Any]) -> list[tuple[str, ...]]:
    """Rows of `ANSWERS`, from `ArraySizes.to_dict()`."""
    most, lines = sizes["sizes"][-1]["unknowns"], list[tuple[str, ...]]()
    for name, found in sizes["answers"].items():
        what = MEASURES[name]
        if name == "refined":
            what += f", at most {sizes['rounds']} rounds"
        unknowns = f"{found['unknowns']}" if found["unknowns"] else "none"
        ended = found["cause"] or f"nothing up to {most}"
        alone = [f"{cause} {n if n else 'none'}" for cause, n in found["alone"].items() if n is not None]
        lines.append((what, unknowns if found["cause"] else f"{unknowns} or more", ended, ", ".join(alone) or "-"))
    return lines


def columns(sizes: dict[str, Any], measure: str) -> tuple[str, ...]:
    """Heads of `rows`."""
    causes = tuple(sizes["sizes"][0]["bare"])
    if measure == "refined":
        return ("unknowns", *causes, "all", "rounds", "binding")
    return ("unknowns", *causes, "all", "stable dies", "output current", "area, mm²", "binding")


def rows(sizes: dict[str, Any], measure: str) -> list[tuple[str, ...]]:
    """A row for each size: what each cause makes of a bare reading, or its factor a round, and the largest of them."""
    found = list[tuple[str, ...]]()
    for size in sizes["sizes"]:
        values = size["refined"] if measure == "refined" else size["bare"]
        head = (f"{size['unknowns']}", *(_value(value) for value in values.values()))
        known = {cause: value for cause, value in values.items() if not math.isnan(value)}
        binding = "programming" if size["obstacle"] else max(known, key=known.__getitem__)
        if not size["obstacle"] and size["share"] < sizes["yield"]:
            binding = "stability yield"
        if measure == "refined":
            rounds = "never" if size["rounds"] is None else f"{size['rounds']}"
            found.append((*head, _value(size["factor"]), rounds, binding))
            continue
        share = f"{100 * size['share']:.3g} %" if size["dies"] else "-"
        current = "-" if size["current"] is None else engineering(size["current"], "A")
        area = "-" if size["area"] is None else significant(1e6 * size["area"])
        found.append((*head, _value(size["total"]), share, current, area, binding))
    return found


def headings(sizes: dict[str, Any]) -> dict[str, str]:
    """Of the tables, by measure."""
    found = {"bare": "One bare reading: relative error by each cause alone, and of all"}
    if "refined" in sizes["answers"]:
        found["refined"] = "Refined: factor on the error a round by each cause alone, and of all"
    return found


def _value(value: float) -> str:
    return "-" if math.isnan(value) else "inf" if math.isinf(value) else f"{value:.2g}"
