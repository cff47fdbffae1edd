"""What each cause makes of a reading against the size of the array, bare and refined, with what is allowed."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ..figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PALE, PURPLE, SKY, VERMILLION, WIDE, log_ticks, styled

_COLOURS = {
    "wires": BLUE,
    "loading": VERMILLION,
    "output current": GREEN,
    "noise": PURPLE,
    "converters": ORANGE,
    "codes": SKY,
    "mismatch": GREY,
    "offsets": "#8C6D31",
}
FLOOR = 1e-5
"""Errors below this are not drawn."""


@styled
def size_plot(sizes: dict[str, Any]) -> Figure:
    """A panel for bare and, where there is a law, one for refined readings.

    Args:
        sizes: `ArraySizes.to_dict()`.
    """
    answers = sizes["answers"]
    names = ["bare", *(["refined"] if "refined" in answers else [])]
    figure = Figure(figsize=(WIDE, 4.4), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for ax, name in zip(panels, names, strict=True):
        refined = name == "refined"
        allowed = sizes["error"] ** (1 / (1 + sizes["rounds"])) if refined else sizes["error"]
        _draw(ax, sizes["sizes"], refined, allowed)
        ends = [answers["refined"]] if refined else [answers["array"], answers["bare"]]
        for found, style in zip(ends, (":", "-."), strict=False):
            if found["cause"] and found["unknowns"]:
                ax.axvline(found["unknowns"], color=BLACK, linewidth=0.7, linestyle=style)
        ax.set_title("refined: factor on the error a round" if refined else "one bare reading: relative error")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    return figure


def _draw(ax: Axes, sizes: list[dict[str, Any]], refined: bool, allowed: float) -> None:
    unknowns = [size["unknowns"] for size in sizes]
    for cause, colour in _COLOURS.items():
        _line(ax, unknowns, [size["refined" if refined else "bare"][cause] for size in sizes], cause, colour, 1.2)
    _line(ax, unknowns, [size["factor" if refined else "total"] for size in sizes], "all", BLACK, 2.0)
    ax.axhline(allowed, color=BLACK, linewidth=0.8, linestyle="--", label="allowed")
    ax.set(xscale="log", yscale="log", xlabel="unknowns")
    ax.xaxis.set_major_locator(FixedLocator([2**k for k in range(1, 12)]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xlim(0.9 * unknowns[0], 1.1 * unknowns[-1])
    log_ticks(ax.yaxis)
    ax.grid(axis="y", color=PALE, linewidth=0.6)


def _line(ax: Axes, unknowns: list[int], values: list[float], label: str, colour: str, width: float) -> None:
    shown = [value if value is not None and FLOOR <= value < math.inf else math.nan for value in values]
    ax.plot(unknowns, shown, "o-", color=colour, linewidth=width, markersize=3, label=label)
