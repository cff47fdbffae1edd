"""Surrogate against ngspice: on held-out systems, and on systems of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from .style import BLACK, BLUE, CYCLE, PALE, VERMILLION, WIDE, styled


def draw_parity(ax: Axes, comparisons: Sequence[dict[str, Any]], size: float = 4, ticks: int = 5) -> None:
    """Parity plot of surrogate and SPICE: circles for fitted dies, triangles for new ones."""
    reach = 1e-12
    for new, colour, marker, name in ((False, BLUE, "o", "fitted dies"), (True, VERMILLION, "^", "new dies")):
        chosen = [item for item in comparisons if bool(item["new_die"]) is new]
        if not chosen:
            continue
        x, y = (
            np.concatenate([np.ravel(item[key]) for item in chosen]).astype(float) for key in ("spice", "surrogate")
        )
        ax.plot(
            x,
            y,
            marker,
            color=colour,
            markersize=size,
            markeredgewidth=0,
            alpha=0.55,
            label=name,
            zorder=3 if new else 2,
        )
        reach = max(reach, float(np.abs([x, y]).max()))
    reach *= 1.05
    ax.plot([-reach, reach], [-reach, reach], color=BLACK, linewidth=0.8, zorder=1)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(ticks, symmetric=True))


@styled
def calibration_plot(calibration: dict[str, Any]) -> Figure:
    """Surrogate's error against SPICE's on held-out systems, and their difference at the same vertical scale."""
    comparisons = calibration["comparisons"]
    figure = Figure(figsize=(WIDE, 4.1), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_parity(left, comparisons)
    left.set(
        title="Error of each unknown, relative to |A⁻¹b|",
        xlabel="ngspice: x − A⁻¹b",
        ylabel="surrogate: x − A⁻¹b",
    )
    if comparisons:
        left.legend(loc="upper left", handletextpad=0.1, borderaxespad=0.2)
    reach = left.get_xlim()[1]
    for item in comparisons:
        spice, surrogate = np.array(item["spice"], dtype=float), np.array(item["surrogate"], dtype=float)
        new = bool(item["new_die"])
        right.plot(
            spice, surrogate - spice, "^" if new else "o", color=VERMILLION if new else BLUE,
            markersize=4, markeredgewidth=0, alpha=0.55, zorder=3 if new else 2,
        )  # fmt: skip
    right.axhline(0, color=BLACK, linewidth=0.8, zorder=1)
    right.set(
        title="What the surrogate leaves unexplained",
        xlabel="ngspice: x − A⁻¹b",
        ylabel="surrogate − ngspice",
        xlim=(-reach, reach),
        ylim=(-reach, reach),
        box_aspect=1,
    )
    right.xaxis.set_major_locator(MaxNLocator(5, symmetric=True))
    right.yaxis.set_major_locator(MaxNLocator(5, symmetric=True))
    return figure


@styled
def loop_plot(loop: dict[str, Any]) -> Figure:
    """Errors of ngspice and surrogate for each system of the run, and their error vectors against each other."""
    systems = loop["systems"]
    figure = Figure(figsize=(WIDE, 3.6), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12)  # type: ignore[union-attr, call-arg]
    left, right = figure.subplots(1, 2, width_ratios=[1.45, 1])
    rows = np.arange(len(systems))[::-1]
    marks = (
        ("spice_error", "ngspice: |x − A⁻¹b|", "o", BLUE),
        ("surrogate_error", "surrogate: |x − A⁻¹b|", "s", VERMILLION),
        ("difference", "between the two", "d", BLACK),
    )
    for key, name, marker, colour in marks:
        values = [float(item[key]) for item in systems]
        left.plot(
            values,
            rows,
            marker,
            color=colour,
            markersize=6,
            markerfacecolor="none" if marker == "s" else colour,
            label=name,
            zorder=3,
        )
    left.hlines(rows, 0, 1, transform=left.get_yaxis_transform(), color=PALE, linewidth=0.7, zorder=0)
    left.set_xscale("log")
    left.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
    left.xaxis.set_minor_locator(NullLocator())
    left.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    left.set_yticks(rows, [f"step {item['step']}, n = {item['unknowns']}" for item in systems])
    left.tick_params(axis="y", length=0)
    left.set(title="Size of the error", xlabel="relative to |A⁻¹b|", ylim=(-0.6, len(systems) - 0.4))
    left.legend(loc="lower center", bbox_to_anchor=(0.42, -0.37), ncols=3, handletextpad=0.1, columnspacing=1.2)
    reach = 1e-12
    for k, item in enumerate(systems):
        exact = np.array(item["exact"], dtype=float)
        scale = float(np.linalg.norm(exact)) or 1.0
        x, y = ((np.array(item[key], dtype=float) - exact) / scale for key in ("spice", "surrogate"))
        right.plot(
            x,
            y,
            "o",
            color=CYCLE[k % len(CYCLE)],
            markersize=4,
            markeredgewidth=0,
            alpha=0.65,
            label=f"step {item['step']}",
        )
        reach = max(reach, float(np.abs([x, y]).max(initial=0.0)))
    reach *= 1.06
    right.plot([-reach, reach], [-reach, reach], color=BLACK, linewidth=0.8, zorder=1)
    right.set(
        title="Its direction",
        xlabel="ngspice: x − A⁻¹b",
        ylabel="surrogate: x − A⁻¹b",
        aspect="equal",
        xlim=(-reach, reach),
        ylim=(-reach, reach),
    )
    for axis in (right.xaxis, right.yaxis):
        axis.set_major_locator(MaxNLocator(5, symmetric=True))
    right.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.1)
    return figure
