"""Training: accuracy against steps and time, and the loss of one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import (
    BLACK,
    BLUE,
    CYCLE,
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
    spans_a_decade,
    styled,
    value_ticks,
)

if TYPE_CHECKING:
    from ...optim.tasks.task import Score

_OPTIMIZERS = {"sgd": ("SGD", GREY), "adam": ("Adam", ORANGE), "ngd": ("exact NGD", BLACK), "tngd": ("TNGD", SKY)}
_READINGS = {"refined": BLUE, "bare": VERMILLION}


@dataclass(frozen=True)
class Group:
    """The runs of one curve, with mean and standard deviation at the steps that all of them evaluated.

    `low` and `high` are one deviation off the mean, within the worst and the best run: where some runs fail, a deviation is wider.
    """

    label: str
    short: str
    colour: str
    runs: tuple[dict[str, Any], ...]
    steps: np.ndarray
    seconds: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    low: np.ndarray
    high: np.ndarray


def training_groups(training: dict[str, Any]) -> list[Group]:
    """One group for each optimizer, and one for each reading of an optimizer's calibrated dies."""
    members: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run in training["runs"]:
        members.setdefault((run["optimizer"], run["reading"] if run.get("die") is not None else ""), []).append(run)
    groups, spare = [], [GREEN, PURPLE]
    for (optimizer, reading), runs in members.items():
        name, colour = _OPTIMIZERS.get(optimizer, (optimizer, ""))
        short = f"{name}, {reading}" if reading else f"{name}, ideal" if optimizer == "tngd" else name
        if reading:
            dies = len({run["die"] for run in runs})
            name, colour = (
                f"{name} on {dies} {'die' if dies == 1 else 'dies'}, {reading}",
                _READINGS.get(reading, "") if optimizer == "tngd" else "",
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
                np.maximum(accuracy.mean(axis=0) - spread, accuracy.min(axis=0)),
                np.minimum(accuracy.mean(axis=0) + spread, accuracy.max(axis=0)),
            )
        )
    return groups


def draw_accuracy(ax: Axes, groups: Sequence[Group], against: str, labels: str = "label", bands: bool = True) -> None:
    """Mean accuracy of each group against "steps" or "seconds", labelled at the end of the curve by the group's field `labels`."""
    everything: list[float] = []
    for group in groups:
        x = group.steps if against == "steps" else group.seconds
        keep = np.ones(len(x), dtype=bool) if against == "steps" else x > 0
        if bands and len(group.runs) > 1:
            low, high = group.low, np.minimum(group.high, 0.999)
            ax.fill_between(x[keep], low[keep], high[keep], color=group.colour, alpha=0.13, linewidth=0)
        ax.plot(x[keep], group.mean[keep], color=group.colour, linewidth=1.5)
        everything += [*group.low, *group.high] if bands else [*group.mean]
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
def history_plot(
    loss: list[float], evaluations: list[tuple[int, float]], title: str, score: Score, batches: bool = True
) -> Figure:
    """Loss of every step, with its running mean where steps have batches of their own, and the score, against steps."""
    figure = Figure(figsize=(8.0, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = np.arange(1, len(loss) + 1)
    window = max(1, len(loss) // 20)
    if batches:
        smooth = np.convolve(loss, np.ones(window) / window, mode="valid")
        left.plot(steps, loss, color=GREY, linewidth=0.5, alpha=0.6)
        left.plot(steps[window - 1 :], smooth, color=CYCLE[0])
    else:
        left.plot(steps, loss, color=CYCLE[0])
    if spans_a_decade(loss):
        left.set_yscale("log")
        value_ticks(left.yaxis, loss)
    left.set(xlabel="step", ylabel="batch loss" if batches else "loss", title=title)
    scale, unit = (100, " (%)") if score.percent else (1, "")
    right.plot(
        [step for step, _ in evaluations], [scale * value for _, value in evaluations], color=CYCLE[0], marker="."
    )
    scores = [value for _, value in evaluations]
    if not score.percent and spans_a_decade(scores):
        right.set_yscale("log")
        value_ticks(right.yaxis, scores)
    for ax in (left, right):
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    right.set(xlabel="step", ylabel=score.name + unit)
    return figure
