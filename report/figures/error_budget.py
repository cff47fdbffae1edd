"""Causes of a device's error as bars: each alone, the device without it, and what is left as they are taken out one after the other."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import BLACK, BLUE, GREY, ORANGE, WIDE, log_ticks, styled

DEPTH = 1e-5
"""Share of the largest error below which bars end."""
LONGEST = 24
"""Characters of a cause's name."""
HEIGHT, WIDTH = 0.36, 0.34
"""Of a cause's row, inches, and of a bar, rows."""


@styled
def error_budget_plot(budget: dict[str, Any], title: str = "") -> Figure:
    """Two panels, of bare and of refined readings, the causes of each in their own order.

    Args:
        budget: `ErrorBudget.to_dict()`.
        title: one line, if any.
    """
    readings = budget["readings"]
    count = max(1, max(len(found["causes"]) for found in readings.values()))
    figure = Figure(figsize=(WIDE, 1.5 + HEIGHT * count), layout="constrained")
    if title:
        figure.suptitle(title, x=0.012, ha="left", fontsize=11, weight="bold")
    axes = figure.subplots(1, len(readings))
    for ax, (name, found) in zip(axes, readings.items(), strict=True):
        rounds = budget["rounds"]
        more = f", {rounds} round{'s' * (rounds != 1)}" if name == "refined" else ""
        _draw(ax, found, f"{name}{more}")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(handles))
    return figure


def _draw(ax: Axes, found: dict[str, Any], name: str) -> None:
    causes = found["causes"]
    ends = [
        value
        for one in (found["total"], *(cause[key] for cause in causes for key in ("without", "alone")))
        for value in (one["median"], one["least"], one["most"])
        if value is not None and math.isfinite(value) and value > 0
    ]
    high = max(ends, default=1.0)
    low = max(DEPTH * high, 0.5 * min(ends, default=DEPTH * high))
    ax.set_xscale("log")
    ax.set_xlim(low, 2 * high)
    for shift, key, colour, label in ((-0.5, "alone", BLUE, "with it alone"), (0.5, "without", ORANGE, "without it")):
        places = [row + shift * WIDTH for row in range(len(causes))]
        widths = [_shown(cause[key]["median"], low, high) for cause in causes]
        ax.barh(places, [width - low for width in widths], WIDTH, left=low, color=colour, linewidth=0, label=label)
        for place, cause in zip(places, causes, strict=True):
            ends = [_shown(cause[key][end], low, high) for end in ("least", "most")]
            ax.plot(ends, [place, place], color=BLACK, linewidth=0.7)
            if _lost(cause[key]["median"]):
                ax.text(high, place, "no reading", fontsize=7, ha="right", va="center", color=BLACK)
    steps = [_shown(cause["remaining"]["median"], low, high) for cause in causes]
    ax.plot(
        steps, range(len(causes)), "o", color=BLACK, markersize=4, markerfacecolor="white",
        label="without it and all above", zorder=3,
    )  # fmt: skip
    total = found["total"]["median"]
    if not _lost(total) and total > 0:
        ax.axvline(total, color=GREY, linewidth=1.0, linestyle=(0, (4, 2)), label="as it is", zorder=0)
    ax.set_yticks(range(len(causes)), [cause["cause"][:LONGEST] for cause in causes])
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    log_ticks(ax.xaxis)
    text = "no reading" if _lost(total) else f"{total:.2g}"
    ax.set(title=f"{name}: {text}", xlabel="relative error of the solution")


def _lost(value: float | None) -> bool:
    """Whether it stands for a device without a reading; None is how JSON spells infinity."""
    return value is None or not math.isfinite(value)


def _shown(value: float | None, low: float, high: float) -> float:
    return 2 * high if _lost(value) else min(max(float(value or 0.0), low), 2 * high)
