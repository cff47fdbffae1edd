"""Errors of a differential equation's solution against training steps, both logarithmic."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import BLACK, BLUE, GREEN, GREY, ORANGE, PALE, PURPLE, SKY, WIDE, label_ends, log_ticks, styled

_COLOURS = {"adam": ORANGE, "ngd": BLACK, "tngd": SKY, "die": BLUE}
_SHORT = {"adam": "Adam", "ngd": "NGD", "tngd": "TNGD, ideal", "die": "TNGD, dies"}


@dataclass(frozen=True)
class ErrorCurve:
    """The runs of one way to train.

    Attributes:
        kind: "adam", "ngd", "tngd" or "die". label, short: for the page, and for a small picture.
        steps: at which all runs were evaluated. errors: of each run there. median: over the runs.
    """

    kind: str
    label: str
    short: str
    colour: str
    steps: list[int]
    errors: list[list[float]]
    median: list[float]


def error_curves(poisson: dict[str, Any]) -> list[ErrorCurve]:
    """One for each kind of run, in their order."""
    found: list[ErrorCurve] = []
    for kind in dict.fromkeys(run["kind"] for run in poisson["runs"]):
        runs = [run for run in poisson["runs"] if run["kind"] == kind]
        steps = sorted(set.intersection(*(set(run["steps"]) for run in runs)))
        errors = [[run["errors"][run["steps"].index(step)] for step in steps] for run in runs]
        median = [statistics.median(values) for values in zip(*errors, strict=True)]
        short, colour = _SHORT.get(kind, kind), _COLOURS.get(kind, PURPLE if found else GREEN)
        found.append(ErrorCurve(kind, runs[0]["label"], short, colour, steps, errors, median))
    return found


def draw_errors(ax: Axes, curves: Sequence[ErrorCurve], labels: str = "label", each: bool = True) -> None:
    """The median of each curve, labelled at the right by its field `labels`, and thinly `each` run."""
    for curve in curves:
        keep = [k for k, step in enumerate(curve.steps) if step > 0]
        steps = [curve.steps[k] for k in keep]
        for errors in curve.errors if each else ():
            ax.plot(steps, [errors[k] for k in keep], color=curve.colour, linewidth=0.6, alpha=0.5)
        # What lies on another curve shows beside its dashes.
        style = (0, (4, 2)) if curve.kind == "tngd" else "-"
        ax.plot(steps, [curve.median[k] for k in keep], color=curve.colour, linewidth=1.6, linestyle=style)
    if any(max(curve.steps, default=0) > 0 for curve in curves):
        ax.set(xscale="log", yscale="log")
        log_ticks(ax.xaxis)
        log_ticks(ax.yaxis)
    ax.grid(axis="y", color=PALE, linewidth=0.6)
    label_ends(ax, [(curve.median[-1], getattr(curve, labels), curve.colour) for curve in curves if curve.median])


@styled
def error_plot(poisson: dict[str, Any]) -> Figure:
    """Error of the solution against steps, of all ways to train."""
    figure = Figure(figsize=(WIDE, 4.0), layout="constrained")
    ax = figure.subplots()
    draw_errors(ax, error_curves(poisson))
    ax.set(xlabel="step", ylabel="relative L2 error")
    ax.axhline(1e-4, color=GREY, linewidth=0.6, linestyle=":")
    return figure
