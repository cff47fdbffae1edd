"""Runs of an experiment side by side: loss and score against steps, processor time and modelled hardware time.

Each curve is the median over a run's trainings (seeds and dies), and its band reaches from the lowest to the highest; with a single
training there is no band. Losses of batches are means over the latest twentieth of the steps, so that curves can be told apart.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from .style import BLACK, CYCLE, GREY, PALE, WIDE, accuracy_axis, spans_a_decade, styled, value_ticks

if TYPE_CHECKING:
    from ...optim.tasks.task import Score
    from ...optim.training.experiment_result import ExperimentResult, RunResult

SMOOTHED = 20
"""Part of the steps over which batches' losses are averaged: a twentieth."""
COLOURS = (*CYCLE, BLACK, GREY)
DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
"""Of the first runs, as many as there are colours, then of the next as many."""
COLUMNS, ROW = 4, 0.25
"""Columns of the legend, and the height of one of its rows, inches: the figure grows with them, its axes do not shrink."""
DIVERGED = 10.0
"""Loss over the largest at the start beyond which it is not shown."""
MARGIN = 1.2
"""Below the least loss of an axis that is cut."""
MARKED = 3
"""Points of a curve up to which they are marked, so that the line between them is not taken for data."""
NOTE = 42
"""Characters in a line of the note below an axis, which has a third of the figure's width."""
AGAINST = (
    ("steps", "step"),
    ("processor", "processor time, device's simulation left out (s)"),
    ("hardware", "modelled hardware time (s)"),
)


@dataclass(frozen=True)
class Curve:
    """A run's curve: x the median time of the trainings at each point, middle the median, low and high the range."""

    label: str
    x: np.ndarray
    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray
    trainings: int


@styled
def comparison_plot(result: ExperimentResult, title: str = "") -> Figure:
    """Loss above, score below; against steps, processor time and hardware time.

    Args:
        result: of the experiment.
        title: of the figure, such as the task.
    """
    rows = -(-len(result.labels) // COLUMNS)
    figure = Figure(figsize=(WIDE, 6.0 + ROW * rows), layout="constrained")
    axes = figure.subplots(2, 3, sharey="row", sharex="col")
    losses: list[list[Curve]] = []
    dashes = _dashes([_losses(result.of(label), "steps") for label in result.labels])
    for column, (against, name) in enumerate(AGAINST):
        of_losses, of_scores = (
            [curve(result.of(label), against) for label in result.labels] for curve in (_losses, _scores)
        )
        logarithmic = spans_a_decade([float(curve.x.max()) for curve in of_losses if len(curve.x)])
        for ax, curves in zip(axes[:, column], (of_losses, of_scores), strict=True):
            _draw(ax, curves, dashes, logarithmic)
        missing = [curve.label for curve in of_losses if not len(curve.x)]
        losses.append(of_losses)
        unknown = textwrap.wrap(f"not known of {', '.join(missing)}", NOTE) if missing else []
        axes[1][column].set_xlabel("\n".join([name, *unknown]))
        if logarithmic:
            axes[0][column].set_xscale("log")
            value_ticks(axes[0][column].xaxis, _values(axes[:, column], 0))
        else:
            axes[0][column].set_xlim(left=0)
            axes[0][column].xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=against == "steps"))
            axes[0][column].xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
    full = all(run.batch is None for run in result.runs)
    axes[0][0].set_ylabel("training loss" if full else "training loss,\nmean of the latest 5 % of steps")
    axes[1][0].set_ylabel(result.score.name)
    _value_axis(axes[0], None, _top(losses[0]))
    _value_axis(axes[1], result.score)
    handles = axes[0][0].get_lines()
    # Outside of the axes, where it hides no data.
    several = any(len(result.of(label)) > 1 for label in result.labels)
    band = "lines: median over seeds and dies; bands: lowest to highest" if several else "one training each"
    figure.legend(
        handles,
        [line.get_label() for line in handles],
        loc="outside upper left",
        ncols=min(COLUMNS, len(handles)),
        title=f"{title}; {band}" if title else band,
        alignment="left",
    )
    return figure


def _losses(runs: Sequence[RunResult], against: str) -> Curve:
    window = 1 if runs[0].batch is None else max(1, runs[0].history.steps // SMOOTHED)
    values = []
    for run in runs:
        loss = np.array(run.history.loss)
        values.append(np.convolve(loss, np.full(window, 1 / window), mode="valid"))
    count = min(len(one) for one in values)
    steps = np.arange(window, window + count)
    return _curve(runs, steps, np.array([one[:count] for one in values]), against)


def _scores(runs: Sequence[RunResult], against: str) -> Curve:
    found = [dict(run.history.evaluations) for run in runs]
    steps = np.array(sorted(set.intersection(*map(set, found))), dtype=int)
    return _curve(runs, steps, np.array([[one[int(step)] for step in steps] for one in found]), against)


def _curve(runs: Sequence[RunResult], steps: np.ndarray, values: np.ndarray, against: str) -> Curve:
    x = steps.astype(float)
    if against != "steps":
        sums = [np.concatenate([[0.0], np.cumsum(getattr(run.history, f"{against}_seconds"))]) for run in runs]
        x = np.median([one[steps] for one in sums], axis=0)
    finite = np.isfinite(x) & np.isfinite(values).all(axis=0)
    if not np.any(x[finite] > 0):  # no time but that of the start is known
        finite[:] = False
    values = values[:, finite]
    return Curve(runs[0].label, x[finite], np.median(values, axis=0), values.min(axis=0), values.max(axis=0), len(runs))


def _dashes(curves: Sequence[Curve]) -> list[Any]:
    """The line of each run; dashed where it covers an earlier one, so that both are seen."""
    return [
        DASHES[1] if any(_covers(curve, other) for other in curves[:k]) else DASHES[k // len(COLOURS) % len(DASHES)]
        for k, curve in enumerate(curves)
    ]


def _draw(ax: Axes, curves: Sequence[Curve], dashes: Sequence[Any], logarithmic: bool) -> None:
    ax.grid(color=PALE, linewidth=0.6)
    ax.set_axisbelow(True)
    for k, curve in enumerate(curves):
        colour, dash = COLOURS[k % len(COLOURS)], dashes[k]
        shown = curve.x > 0 if logarithmic else np.ones(len(curve.x), dtype=bool)
        if curve.trainings > 1:
            ax.fill_between(curve.x[shown], curve.low[shown], curve.high[shown], color=colour, alpha=0.15, linewidth=0)
        mark = "o" if shown.sum() <= MARKED else None
        ax.plot(
            curve.x[shown],
            curve.middle[shown],
            color=colour,
            linestyle=dash,
            linewidth=1.4,
            label=curve.label,
            marker=mark,
            markersize=4,
        )


def _covers(curve: Curve, other: Curve) -> bool:
    same = len(curve.x) == len(other.x) > 0 and np.allclose(curve.x, other.x, rtol=0.01)
    return same and np.allclose(curve.middle, other.middle, rtol=0.02, atol=0.0)


def _values(axes: Sequence[Axes], coordinate: int) -> np.ndarray:
    """All finite values that the lines and bands of some axes show."""
    found = [np.asarray(line.get_xydata(), dtype=float) for ax in axes for line in ax.get_lines()]
    found += [
        np.asarray(path.vertices, dtype=float) for ax in axes for bands in ax.collections for path in bands.get_paths()
    ]
    whole = np.concatenate([part[:, coordinate] for part in found]) if found else np.zeros(0)
    return whole[np.isfinite(whole)]


def _top(curves: Sequence[Curve]) -> float:
    """Where the axis of the losses ends: that of a run that diverges goes on for decades, beside which no other can be told apart."""
    starts = [float(curve.middle[0]) for curve in curves if len(curve.x)]
    return DIVERGED * max(starts, default=math.inf)


def _value_axis(axes: Sequence[Axes], score: Score | None, top: float = math.inf) -> None:
    values = _values(axes, 1)
    cut = bool(np.any(values > top))
    values = values[values <= top]
    if score is not None and score.percent:
        for ax in axes:
            accuracy_axis(ax, [float(value) for value in values])
    elif spans_a_decade(values):
        axes[0].set_yscale("log")
        value_ticks(axes[0].yaxis, values)
    if cut:
        axes[0].set_ylim(float(values.min()) / MARGIN, top)
