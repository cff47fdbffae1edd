"""Accuracy against one imperfection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import offset_copy

from .style import (
    BLACK,
    BLUE,
    SKY,
    accuracy_axis,
    styled,
)


@styled
def study_plot(study: dict[str, Any], limits: Sequence[float] = ()) -> Figure:
    """Final accuracy against one imperfection: mean and range over dies, each die, and the ideal device.

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
    accuracy = [[float(run["accuracy"]) for run in runs if _shown(run) == value] for value in values]
    means = [float(np.mean(group)) for group in accuracy]
    # Worst to best die: a standard deviation would exceed the scale where some dies train and others do not.
    reach = np.array([[mean - min(group), max(group) - mean] for mean, group in zip(means, accuracy, strict=True)]).T
    ax.axhline(float(study["baseline"]), color=BLACK, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
    for value, group in zip(values, accuracy, strict=True):
        beside = offset_copy(ax.transData, figure, x=-6, units="points")  # else the error bar would hide them
        ax.plot(
            [value] * len(group), group, "o", markersize=4, color=SKY, markeredgewidth=0, transform=beside, zorder=2
        )
    ax.errorbar(
        values, means, np.maximum(reach, 0.0), color=BLUE, marker="o", markersize=4.5,
        linewidth=1.2, elinewidth=1.2, capsize=3, zorder=3,
    )  # fmt: skip
    accuracy_axis(ax, [*accuracy_range(study), *limits], room=0.09)
    unit = "%" if percent else study["unit"]
    ax.set(title=study.get("title") or study["name"], xlabel=f"{study['axis']} ({unit})")
    ax.xaxis.set_major_locator(FixedLocator(values))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value if percent else value:.3g}"))
    ax.margins(x=0.09)
    rising = bool(means) and means[-1] > means[0]  # the label goes where the curve is low
    ax.annotate(
        f"ideal device {100 * float(study['baseline']):.1f} %", (0.02 if rising else 0.98, float(study["baseline"])),
        xycoords=ax.get_yaxis_transform(), xytext=(0, 3), textcoords="offset points",
        ha="left" if rising else "right", va="bottom", fontsize=8.5, color=BLACK,
    )  # fmt: skip
    return figure


def accuracy_range(study: dict[str, Any]) -> tuple[float, float]:
    """Lowest and highest accuracy that the study's plot shows."""
    shown = [float(study["baseline"]), *(float(run["accuracy"]) for run in study["runs"])]
    return min(shown), max(shown)


def _shown(run: dict[str, Any]) -> float:
    """A run's value on the axis: `shown` if it differs from the level."""
    value = run.get("shown")
    return float(run["level"] if value is None else value)
