"""Accuracy against one imperfection, with refined readings and with bare ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import offset_copy

from .style import (
    BLACK,
    BLUE,
    ORANGE,
    SKY,
    VERMILLION,
    accuracy_axis,
    label_ends,
    styled,
)

_COLOURS = {"refined": (BLUE, SKY, -6), "bare": (VERMILLION, ORANGE, 6)}
"""Of the means and of the single dies, and how far beside the mean these stand, points: else its bar would hide them."""


@styled
def study_plot(study: dict[str, Any], limits: Sequence[float] = ()) -> Figure:
    """Final accuracy against one imperfection, for each reading: mean and range over dies, each die, and the ideal device.

    Args:
        study: `Study.to_dict()`.
        limits: further accuracies within the axis, so that several studies can share one scale.
    """
    figure = Figure(figsize=(3.3, 2.9), layout="constrained")
    ax = figure.subplots()
    runs = study["runs"]
    values = sorted({_shown(run) for run in runs})
    percent = study.get("unit") in ("1", "", None)
    span = [value for value in values if value > 0]
    logarithmic = bool(span) and study.get("unit") != "bit" and (bool(study.get("log")) or span[-1] > 30 * span[0])
    if logarithmic and min(values) < 0:
        logarithmic = False
    if logarithmic and min(values) == 0:
        ax.set_xscale("symlog", linthresh=span[0], linscale=0.6)
    elif logarithmic:
        ax.set_xscale("log")
    ax.axhline(float(study["baseline"]), color=BLACK, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
    ends = [
        (_draw_reading(ax, reading, [run for run in runs if run["reading"] == reading]), reading)
        for reading in study["readings"]
    ]
    accuracy_axis(ax, [*accuracy_range(study), *limits], room=0.09)
    unit = "%" if percent else study["unit"]
    ax.set(title=study.get("title") or study["name"], xlabel=f"{study['axis']} ({unit})")
    ax.xaxis.set_major_locator(FixedLocator(values))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value if percent else value:.3g}"))
    ax.margins(x=0.09)
    baseline = float(study["baseline"])
    # Beside the axis: within it, dies and their bars stand close to the line.
    labels = [(baseline, f"ideal {100 * baseline:.1f} %", BLACK)]
    if len(ends) > 1:
        labels += [(mean, reading, _COLOURS.get(reading, _COLOURS["refined"])[0]) for mean, reading in ends]
    label_ends(ax, labels, gap=0.09)
    return figure


def _draw_reading(ax: Axes, reading: str, runs: list[dict[str, Any]]) -> float:
    """Draw the dies of one reading; the last mean."""
    colour, pale, aside = _COLOURS.get(reading, _COLOURS["refined"])
    values = sorted({_shown(run) for run in runs})
    accuracy = [[float(run["accuracy"]) for run in runs if _shown(run) == value] for value in values]
    means = [float(np.mean(group)) for group in accuracy]
    # Worst to best die: a standard deviation would exceed the scale where some dies train and others do not.
    reach = np.array([[mean - min(group), max(group) - mean] for mean, group in zip(means, accuracy, strict=True)]).T
    beside = offset_copy(ax.transData, ax.get_figure(root=True), x=aside, units="points")
    for value, group in zip(values, accuracy, strict=True):
        ax.plot(
            [value] * len(group), group, "o", markersize=4, color=pale, markeredgewidth=0, transform=beside, zorder=2
        )
    ax.errorbar(
        values, means, np.maximum(reach, 0.0), color=colour, marker="o", markersize=4.5,
        linewidth=1.2, elinewidth=1.2, capsize=3, zorder=3,
    )  # fmt: skip
    return means[-1]


def accuracy_range(study: dict[str, Any]) -> tuple[float, float]:
    """Lowest and highest accuracy that the study's plot shows."""
    shown = [float(study["baseline"]), *(float(run["accuracy"]) for run in study["runs"])]
    return min(shown), max(shown)


def _shown(run: dict[str, Any]) -> float:
    """A run's value on the axis: `shown` if it differs from the level."""
    value = run.get("shown")
    return float(run["level"] if value is None else value)
