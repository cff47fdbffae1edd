"""Results as Markdown tables, as a picture, and within a page of the documentation."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thermograd.circuits.errors import InputError
from thermograd.report.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALE,
    PURPLE,
    SKY,
    VERMILLION,
    WIDE,
    label_ends,
    log_ticks,
    styled,
)

from .measure import DAMPINGS, quartiles, ratios, slope
from .methods import CROSSING, METHODS
from .problems import OUTPUTS

Times = dict[str, list[float | None]]
COLOURS = {
    "Adam": BLACK, "CG 10, curv": ORANGE, "CG 10": VERMILLION, "K-FAC": PURPLE, "KFAC": PURPLE,
    "explicit": SKY, "NGD": GREEN, "TNGD": BLUE,
}  # fmt: skip
"""By the beginning of the name; the first that fits."""
UPPER = 0.5
"""The second exponent is of the upper half of the range."""


def cell(found: tuple[float, float, float]) -> str:
    middle, low, high = found
    return f"{short(middle)} ({short(low)} to {short(high)})"


def short(value: float) -> str:
    """Two digits above ten, one decimal below."""
    return f"{value:.0f}" if abs(value) >= 9.95 else f"{value:.2g}"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def in_order(names: set[str]) -> list[str]:
    """In the order of the list of methods, others last."""
    known = [method.name for method in METHODS]
    return [name for name in known if name in names] + sorted(names - set(known))


def ran(columns: dict[str, dict[str, Any]]) -> list[str]:
    return in_order({name for column in columns.values() for name in column["seconds"]})


def left_out(columns: dict[str, dict[str, Any]]) -> str:
    """A line for each reason, with the methods and the columns that it holds for."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for where, column in columns.items():
        for name, reason in column["notes"].items():
            reasons.setdefault((name, reason), []).append(where)
    lines = []
    for (name, reason), places in reasons.items():
        where = "everywhere" if len(places) == len(columns) else ", ".join(places)
        lines.append(f"- left out, {where}: {name}: {reason}\n")
    return "\n" + "".join(lines) if lines else ""


def ratio_rows(columns: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Adam in ms, then every method as a multiple of it: medians, quartiles in brackets."""
    adam = [cell_ms(column["seconds"]["Adam"]) for column in columns.values()]
    rows = [["Adam, ms", *adam]]
    found = [ratios(column["seconds"]) for column in columns.values()]
    for name in ran(columns):
        if name != "Adam":
            rows.append([name, *(cell(one[name]) if name in one else "-" for one in found)])
    return rows


def cell_ms(times: list[float | None]) -> str:
    """Milliseconds with quartiles."""
    return cell(quartiles([1e3 * t for t in times if t is not None]))


def networks(columns: dict[str, dict[str, Any]]) -> str:
    """Multiples of a step of Adam, and errors of the step, by network."""
    head = [f"{name} ({column['parameters']:,})" for name, column in columns.items()]
    text = table(["method", *head], ratio_rows(columns)) + left_out(columns)
    measured = {name: column["errors"] for name, column in columns.items() if column.get("errors")}
    if measured:
        both = [f"{damping:g}" for damping in DAMPINGS]
        rows = [
            [name, *(" / ".join(scientific(one.get(name, {}).get(d)) for d in both) for one in measured.values())]
            for name in in_order({name for one in measured.values() for name in one})
        ]
        text += f"\nRelative error of the step, damping {' / '.join(both)}:\n\n"
        text += table(["method", *measured], rows)
    return text


def scientific(value: float | None) -> str:
    """0.31, 4.9e-4."""
    if value is None:
        return "-"
    if value >= 0.01:
        return f"{value:.2g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def memory(columns: dict[str, dict[str, Any]]) -> str:
    """MiB beyond the network and the batch."""
    names = in_order({name for column in columns.values() for name in column["memory"]})
    rows = [
        [name, *(f"{one['memory'][name]:.0f}" if name in one["memory"] else "-" for one in columns.values())]
        for name in names
    ]
    return table(["method", *columns], rows) + left_out(columns)


def sweep(columns: dict[str, dict[str, Any]], letter: str) -> str:
    """Multiples of a step of Adam against N or b, and the exponents of the time itself, over all and over the upper half."""
    sizes = positions(columns, letter)
    rows = ratio_rows(columns)
    orders = {method.name: method.order or "-" for method in METHODS}
    top = math.exp(UPPER * (math.log(min(sizes)) + math.log(max(sizes))))
    rows[0][0] = "Adam"
    for row in rows:
        x, y = curve(columns, row[0], letter, milliseconds)
        row.append(exponent(x, y))
        row.append(exponent(*map(list, zip(*((a, b) for a, b in zip(x, y, strict=True) if a >= top), strict=True))))
        row.append(orders.get(row[0], "-"))
    rows[0][0] = "Adam, ms"
    head = [f"{letter} = {size:.3g}" if letter == "b" else f"{size:.2g}" for size in sizes]
    return (
        table(["method", *head, f"exponent in {letter}", f"from {letter} = {top:.2g} on", "paper"], rows)
        + left_out(columns)
    )  # fmt: skip


def crossing(columns: dict[str, dict[str, Any]]) -> str:
    """Times by the Gram matrix and by CG, and their ratio, for each k = 9 b."""
    rows = []
    for name, column in columns.items():
        times = column["seconds"]
        gram, cg = (times.get(method.name) for method in CROSSING[1:])
        over = cell(ratios(times, CROSSING[1].name)[CROSSING[2].name]) if gram and cg else "-"
        rows.append([name, f"{(OUTPUTS - 1) * column['batch']}", *(cell_ms(t) if t else "-" for t in (gram, cg)), over])
    head = ["network", "k", *(f"{method.name}, ms" for method in CROSSING[1:]), "CG / Gram matrix"]
    return table(head, rows) + left_out(columns)


def exponent(x: list[float], y: list[float]) -> str:
    if len(x) < 3:
        return "-"
    value, error = slope(x, y)
    return f"{value:.2f} ± {error:.1g}"


def positions(columns: dict[str, dict[str, Any]], letter: str) -> list[float]:
    return [float(column["batch" if letter == "b" else "parameters"]) for column in columns.values()]


def milliseconds(times: Times, name: str) -> float:
    return 1e3 * statistics.median(t for t in times[name] if t is not None)


def multiple(times: Times, name: str) -> float:
    return ratios(times)[name][0]


def curve(
    columns: dict[str, dict[str, Any]], name: str, letter: str, value: Callable[[Times, str], float]
) -> tuple[list[float], list[float]]:
    """N or b, and a value of the method there, wherever it ran."""
    places = zip(positions(columns, letter), columns.values(), strict=True)
    points = [(x, value(column["seconds"], name)) for x, column in places if name in column["seconds"]]
    return [x for x, _ in points], [y for _, y in points]


@styled
def picture(sections: dict[str, dict[str, dict[str, Any]]]) -> Figure | None:
    """Time and multiple of Adam against N, multiple against b: the panels that there are figures for."""
    panels: list[tuple[str, str, str, Callable[[Times, str], float]]] = []
    if "growth" in sections:
        panels += [("growth", "N", "time of a step, ms", milliseconds), ("growth", "N", "time / Adam's", multiple)]
    if "batches" in sections:
        panels.append(("batches", "b", "time / Adam's", multiple))
    if not panels:
        return None
    figure = Figure(figsize=(0.62 * WIDE * len(panels), 4.4), layout="constrained")
    for ax, (section, letter, label, value) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        draw(ax, sections[section], letter, value)
        what = "Growth with the network" if letter == "N" else "Growth with the batch"
        ax.set_title(what if value is milliseconds else f"{what}, over Adam")
        ax.set_xlabel("parameters N" if letter == "N" else "batch b")
        ax.set_ylabel(label)
    return figure


def dash(name: str) -> str:
    """Solid for the first of a colour, other strokes for its variants."""
    if name.startswith(("KFAC", "NGDCG")):
        return "--"
    return "--" if "N cells" in name else ":" if "Fisher" in name else "-"


def draw(ax: Axes, columns: dict[str, dict[str, Any]], letter: str, value: Callable[[Times, str], float]) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    ends = []
    for name in ran(columns):
        x, y = curve(columns, name, letter, value)
        colour = next((found for start, found in COLOURS.items() if name.startswith(start)), GREY)
        ax.plot(x, y, color=colour, marker="o", markersize=3, linewidth=1.4, linestyle=dash(name))
        ends.append((y[-1], name, colour))
    for axis in (ax.xaxis, ax.yaxis):
        log_ticks(axis)
    if letter == "b":
        ax.set_xticks(positions(columns, letter), [f"{b:g}" for b in positions(columns, letter)])
        ax.minorticks_off()
    ax.grid(color=PALE, linewidth=0.5)
    label_ends(ax, ends)


TABLES: dict[str, Callable[[dict[str, dict[str, Any]]], str]] = {
    "networks": networks,
    "memory": memory,
    "growth": lambda columns: sweep(columns, "N"),
    "batches": lambda columns: sweep(columns, "b"),
    "crossing": crossing,
}


def filled(page: str, name: str, text: str) -> str:
    """The page with the text between `<!-- name -->` and the next `<!-- end -->`.

    Raises:
        InputError: one of the two is missing.
    """
    begin, end = f"<!-- {name} -->\n", "<!-- end -->"
    start = page.find(begin)
    stop = page.find(end, start)
    if start < 0 or stop < 0:
        raise InputError(f"the page has no {begin.strip()!r} with {end!r} behind it: add both, each on its line")
    return page[: start + len(begin)] + text + page[stop:]
