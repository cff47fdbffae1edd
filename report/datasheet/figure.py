"""The picture of a data sheet: errors, settling and energy over temperature, a band from least to largest for each corner."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..figures.style import BLACK, CYCLE, PALE, WIDE, label_ends, styled, value_ticks

PANELS = (
    ("bare_error", "error, bare", 1.0),
    ("refined_error", "error, refined", 1.0),
    ("settling", "settling time, µs", 1e6),
    ("energy_refined", "energy of a refined solve, µJ", 1e6),
)
OFF = 0.9
"""Share of the distance of two temperatures over which corners are set apart."""


@styled
def datasheet_plot(sheet: dict[str, Any], workload: str | None = None) -> Figure:
    """A panel for each of `PANELS`: least to largest value as a bar, the median as a dot.

    Args:
        sheet: of `make_datasheet()`.
        workload: which systems; None: the first.
    """
    name = workload or sheet["workloads"][0]["name"]
    found = {one["figure"]: one for one in sheet["figures"] if one["workload"] == name and one["max"] is not None}
    panels = [panel for panel in PANELS if panel[0] in found]
    figure = Figure(figsize=(WIDE, 2.7 * max(1, (len(panels) + 1) // 2)), layout="constrained")
    if not panels:
        figure.text(0.5, 0.5, "no die has a reading", ha="center")
        return figure
    grid = figure.subplots((len(panels) + 1) // 2, 2, squeeze=False).ravel()
    limits = {
        one["figure"]: one for one in sheet["specification"] or [] if one["workload"] == name and one["share"] is None
    }
    for ax, (key, label, scale) in zip(grid, panels, strict=False):
        _panel(ax, found[key], sheet, label, scale, limits.get(key))
    for ax in grid[len(panels) :]:
        ax.set_visible(False)
    if len(sheet["conditions"]["corners"]) > 1:
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside upper right", ncols=len(labels), handlelength=0.8, columnspacing=1.0
        )
    return figure


def _panel(
    ax: Axes, found: dict[str, Any], sheet: dict[str, Any], label: str, scale: float, limit: dict[str, Any] | None
) -> None:
    corners, celsius = sheet["conditions"]["corners"], sorted(sheet["conditions"]["temperatures"])
    step = OFF / len(corners)
    drawn = []
    for k, corner in enumerate(corners):
        rows = {
            one["temperature"]: one for one in found["places"] if one["corner"] == corner and one["typ"] is not None
        }
        colour = CYCLE[k % len(CYCLE)]
        for place, one in enumerate(celsius):
            if one not in rows:
                continue
            x = place + step * (k - (len(corners) - 1) / 2)
            low, middle, high = (scale * rows[one][name] for name in ("min", "typ", "max"))
            drawn += [low, high]
            ax.plot([x, x], [low, high], color=colour, linewidth=3.2, alpha=0.45, solid_capstyle="round")
            ax.plot([x], [middle], "o", color=colour, markersize=4, label=corner if place == 0 else None)
    if drawn and min(drawn) > 0 and max(drawn) > 3 * min(drawn):
        ax.set_yscale("log")
        value_ticks(ax.yaxis, drawn)
    elif drawn:
        ax.set_ylim(0, 1.12 * max(drawn))
    if limit is not None and limit["max"] is not None:
        bound = scale * limit["max"]
        low, high = ax.get_ylim()
        if low < bound < 4 * high:
            ax.set_ylim(low, max(high, 1.05 * bound))
            ax.axhline(bound, color=BLACK, linewidth=0.9, linestyle=(0, (4, 2)))
            label_ends(ax, [(bound, "limit" if limit["of"] == "worst" else "limit of typ", BLACK)])
    ax.set_xticks(np.arange(len(celsius)), [f"{one:g} °C".replace("-", "−") for one in celsius])
    ax.set_xlim(-0.6, len(celsius) - 0.4)
    ax.set_title(label)
    ax.grid(axis="y", color=PALE, linewidth=0.6)
    ax.set_axisbelow(True)
