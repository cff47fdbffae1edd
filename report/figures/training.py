"""Pictures of what networks learnt: training curves and studies, with accuracy spaced by the logarithm of the error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import offset_copy

from .style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    WIDE,
    accuracy_axis,
    label_ends,
    log_ticks,
    styled,
)


@dataclass(frozen=True)
class Group:
    """Runs that one curve stands for; mean and std over the runs, at the steps that all of them evaluated."""

    label: str
    short: str
    colour: str
    runs: tuple[dict[str, Any], ...]
    steps: np.ndarray
    seconds: np.ndarray
    mean: np.ndarray
    std: np.ndarray


_OPTIMIZERS = {"sgd": ("SGD", GREY), "adam": ("Adam", ORANGE), "ngd": ("exact NGD", BLACK), "tngd": ("TNGD", BLUE)}


def training_groups(training: dict[str, Any]) -> list[Group]:
    """One group for each optimizer, and one for all dies of an optimizer on calibrated devices."""
    members: dict[tuple[str, bool], list[dict[str, Any]]] = {}
    for run in training["runs"]:
        members.setdefault((run["optimizer"], run.get("die") is not None), []).append(run)
    groups, spare = [], [GREEN, PURPLE, SKY]
    for (optimizer, on_die), runs in members.items():
        name, colour = _OPTIMIZERS.get(optimizer, (optimizer, ""))
        short = f"{name}, dies" if on_die else f"{name}, ideal" if optimizer == "tngd" else name
        if on_die:
            dies = len({run["die"] for run in runs})
            name, colour = (
                f"{name} on {dies} calibrated {'die' if dies == 1 else 'dies'}",
                VERMILLION if optimizer == "tngd" else "",
            )
        elif optimizer == "tngd":
            name = "TNGD, ideal device"
        colour = colour or (spare.pop(0) if spare else GREY)
        steps = sorted(set.intersection(*(set(run["steps"]) for run in runs)))
        pick = [[run["steps"].index(step) for step in steps] for run in runs]
        accuracy, seconds = (
            np.array([[run[key][i] for i in chosen] for run, chosen in zip(runs, pick, strict=True)], dtype=float)
            for key in ("accuracy", "hybrid_seconds")
        )
        spread = accuracy.std(axis=0, ddof=1) if len(runs) > 1 else np.zeros(len(steps))
        groups.append(
            Group(
                name,
                short,
                colour,
                tuple(runs),
                np.array(steps, dtype=float),
                seconds.mean(axis=0),
                accuracy.mean(axis=0),
                spread,
            )
        )
    return groups


def draw_accuracy(ax: Axes, groups: Sequence[Group], against: str, labels: str = "label", bands: bool = True) -> None:
    """Mean accuracy of each group against "steps" or "seconds", named at the end of its curve by its field `labels`."""
    everything: list[float] = []
    for group in groups:
        x = group.steps if against == "steps" else group.seconds
        keep = np.ones(len(x), dtype=bool) if against == "steps" else x > 0
        if bands and len(group.runs) > 1:
            low, high = group.mean - group.std, np.minimum(group.mean + group.std, 0.999)
            ax.fill_between(x[keep], low[keep], high[keep], color=group.colour, alpha=0.13, linewidth=0)
        ax.plot(x[keep], group.mean[keep], color=group.colour, linewidth=1.5)
        everything += [*(group.mean + group.std), *(group.mean - group.std)] if bands else [*group.mean]
    accuracy_axis(ax, [max(0.0, value) for value in everything])
    if against != "steps":
        ax.set_xscale("log")
        log_ticks(ax.xaxis)
    if labels:
        label_ends(
            ax,
            [(min(group.mean[-1], 0.999), getattr(group, labels), group.colour) for group in groups if len(group.mean)],
        )


@styled
def training_plot(training: dict[str, Any]) -> Figure:
    """Test accuracy against steps, and against the estimated time of the hybrid hardware."""
    groups = training_groups(training)
    figure = Figure(figsize=(WIDE, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.1, 1])
    draw_accuracy(left, groups, "steps")
    left.set(title="Against steps", xlabel="step", ylabel="test accuracy")
    left.set_xlim(left=0)
    draw_accuracy(right, groups, "seconds", labels="")
    right.set(title="Against time on the hybrid machine", xlabel="estimated time (s)")
    return figure


@styled
def study_plot(study: dict[str, Any], limits: Sequence[float] = ()) -> Figure:
    """Final accuracy against one imperfection: mean and range over dies, each die, and the ideal device.

    Args:
        study: `Study.to_dict()`.
        limits: accuracies that the axis must hold as well, so that several studies can share one scale.
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
    # Worst to best die: a standard deviation would leave the scale where some dies train and others do not.
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
    """A run's value on the axis: `shown` where the knob's setting is not what is plotted."""
    value = run.get("shown")
    return float(run["level"] if value is None else value)
