"""Scores of trainings against one imperfection, with refined readings and with bare ones."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator
from matplotlib.transforms import blended_transform_factory, offset_copy

from .style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    PALE,
    SKY,
    VERMILLION,
    accuracy_axis,
    label_ends,
    log_ticks,
    spans_a_decade,
    styled,
)

_COLOURS = {"refined": (BLUE, SKY, -6), "bare": (VERMILLION, ORANGE, 6)}
"""Of the means and of the single runs, and how far beside the mean these stand, points: else its bar would hide them."""


@styled
def study_plot(study: dict[str, Any], limits: Sequence[float] = (), scores: Sequence[str] | None = None) -> Figure:
    """Final scores against one imperfection, a panel for each: for each reading the mean and range of the runs, each run, the ideal device.

    Args:
        study: `Study.to_dict()`, or what its JSON file holds, in which null stands for nan and inf.
        limits: further values within the axis of the first score, so that several studies can share one scale.
        scores: names of those to draw; None: all.
    """
    study = study | {name: [_with_nan(one) for one in study[name]] for name in ("ideal", "runs")}
    chosen = [name for name in study["scores"] if scores is None or name in scores]
    figure = Figure(figsize=(3.3 if len(chosen) == 1 else 3.6 * len(chosen), 3.3), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(chosen)))
    for k, (ax, name) in enumerate(zip(panels, chosen, strict=True)):
        _panel(ax, study, name, limits if k == 0 else ())
        ax.set_title("" if k else study["title"])
    handles, labels = _legend(study, chosen)
    figure.legend(
        handles, labels, loc="outside lower center", ncols=2 if len(chosen) == 1 else 5, handlelength=2.2,
        columnspacing=1.4, fontsize=8, handler_map={tuple: HandlerTuple(ndivide=None, pad=0.3)},
    )  # fmt: skip
    return figure


def _with_nan(run: dict[str, Any]) -> dict[str, Any]:
    return run | {"scores": {name: math.nan if one is None else one for name, one in run["scores"].items()}}


def _panel(ax: Axes, study: dict[str, Any], name: str, limits: Sequence[float]) -> None:
    score, runs = study["scores"][name], study["runs"]
    percent = study["unit"] == "1"
    values = sorted({float(run["shown"]) for run in runs})
    if not study.get("choices"):
        _axis_of_levels(ax, values, bool(study["log"]), study["unit"])
    ideal = [float(found["scores"][name]) for found in study["ideal"]]
    finite = [value for value in ideal if math.isfinite(value)]
    baseline = float(np.mean(finite)) if finite else math.nan
    _axis_of_scores(ax, [*_values(study, name), *limits], score)
    if len(finite) > 1:
        ax.axhspan(min(finite), max(finite), color=PALE, linewidth=0, zorder=0)
    if finite:
        ax.axhline(baseline, color=BLACK, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
    less = score["more_is_better"] is False
    ends = []
    for reading in study["readings"]:
        of_reading = [run for run in runs if run["reading"] == reading]
        ends.append((_draw_reading(ax, reading, name, of_reading, at_top=less), reading))
    choices = study.get("choices", [])
    unit = "%" if percent else study["unit"]
    better = "" if score["more_is_better"] is None or score["percent"] else " (less is better)" if less else ""
    ax.set(xlabel=f"{study['axis']} ({unit})" if unit else study["axis"], ylabel=textwrap.fill(f"{name}{better}", 40))
    ax.update_datalim(
        [(value, 0.0) for value in values], updatey=False
    )  # levels where every run diverged are seen, too
    ax.xaxis.set_major_locator(FixedLocator(_apart(ax, values)))
    ax.xaxis.set_minor_locator(NullLocator())
    words = FuncFormatter(
        lambda value, _: choices[round(value)] if choices else f"{100 * value if percent else value:.3g}"
    )
    ax.xaxis.set_major_formatter(words)
    ax.margins(x=0.11)
    # Beside the axis: within it, dies and their bars stand close to the line.
    labels = [(baseline, f"ideal {_text(baseline, score)}", BLACK)] if finite else []
    if len(ends) > 1:
        labels += [(mean, reading, _colours(reading)[0]) for mean, reading in ends if math.isfinite(mean)]
    label_ends(ax, labels, gap=0.09)


def _axis_of_levels(ax: Axes, values: list[float], log: bool, unit: str) -> None:
    span = [value for value in values if value > 0]
    logarithmic = bool(span) and unit != "bit" and (log or span[-1] > 30 * span[0]) and min(values) >= 0
    if logarithmic and min(values) == 0:
        ax.set_xscale("symlog", linthresh=span[0], linscale=0.6)
    elif logarithmic:
        ax.set_xscale("log")


def _axis_of_scores(ax: Axes, values: list[float], score: dict[str, Any]) -> None:
    """By the logarithm of the error for accuracies; a plain logarithm for what spans decades."""
    if score["percent"]:
        accuracy_axis(ax, values, room=0.09)
        return
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if spans_a_decade(finite):
        room = 10 ** (0.09 * math.log10(high / low))
        ax.set_yscale("log")
        ax.set_ylim(low / room, high * room)
        if high > 100 * low:
            log_ticks(ax.yaxis)
    else:
        room = 0.09 * (high - low) or 0.09 * abs(high) or 1.0
        ax.set_ylim(low - room, high + room)
    ax.grid(axis="y", color=PALE, linewidth=0.6)
    ax.set_axisbelow(True)


def _draw_reading(ax: Axes, reading: str, score: str, runs: list[dict[str, Any]], at_top: bool) -> float:
    """Draw the runs of one reading; the mean at the last level where one did not diverge."""
    colour, pale, aside = _colours(reading)
    values = sorted({float(run["shown"]) for run in runs})
    found = [[float(run["scores"][score]) for run in runs if float(run["shown"]) == value] for value in values]
    groups = [[one for one in group if math.isfinite(one)] for group in found]
    means = [float(np.mean(group)) if group else math.nan for group in groups]
    # Worst to best run: a standard deviation would exceed the scale where some dies train and others do not.
    reach = np.array(
        [
            [mean - min(group), max(group) - mean] if group else [math.nan] * 2
            for mean, group in zip(means, groups, strict=True)
        ]
    ).T
    root = ax.get_figure(root=True)
    beside = offset_copy(ax.transData, root, x=aside, units="points")
    edge = offset_copy(blended_transform_factory(ax.transData, ax.transAxes), root, x=aside, units="points")
    for value, group, all_runs in zip(values, groups, found, strict=True):
        if len(all_runs) > 1:
            ax.plot(
                [value] * len(group),
                group,
                "o",
                markersize=4,
                color=pale,
                markeredgewidth=0,
                transform=beside,
                zorder=2,
            )
        if len(group) < len(all_runs):
            place = 0.975 if at_top else 0.025
            ax.plot([value], [place], "x", markersize=5, color=colour, transform=edge, zorder=4, clip_on=False)
    ax.errorbar(
        values, means, np.maximum(reach, 0.0), color=colour, marker="o", markersize=4.5,
        linewidth=1.2, elinewidth=1.2, capsize=3, zorder=3,
    )  # fmt: skip
    return next((mean for mean in reversed(means) if math.isfinite(mean)), math.nan)


def _legend(study: dict[str, Any], scores: list[str]) -> tuple[list[Any], list[str]]:
    """What the marks of the panels are."""
    colours = [_colours(reading) for reading in study["readings"]]
    many = len(study["runs"]) > len(study["levels"]) * len(study["readings"])
    seeds = len(study["seeds"])
    means = tuple(Line2D([], [], color=mean, marker="o", markersize=4.5, linewidth=1.2) for mean, _, _ in colours)
    runs = tuple(
        Line2D([], [], color=pale, marker="o", markersize=4, linestyle="", markeredgewidth=0) for _, pale, _ in colours
    )
    entries: list[tuple[Any, str]] = [
        (means, "mean, worst to best" if many else "one run"),
        *([(runs, "each die and seed" if seeds > 1 else "each die")] if many else []),
        (Line2D([], [], color=BLACK, linewidth=1, linestyle=(0, (4, 2))), "ideal device"),
    ]
    if seeds > 1:
        entries.append((Patch(color=PALE, linewidth=0), "ideal, over seeds"))
    if any(not math.isfinite(run["scores"][name]) for run in study["runs"] for name in scores):
        entries.append((Line2D([], [], color=GREY, marker="x", markersize=5, linestyle=""), "diverged"))
    return [handle for handle, _ in entries], [label for _, label in entries]


def score_range(study: dict[str, Any], score: str | None = None) -> tuple[float, float]:
    """Lowest and highest finite value of a score that the study's plot shows; of the first one for None."""
    finite = [value for value in _values(study, score or next(iter(study["scores"]))) if math.isfinite(value)]
    return (min(finite), max(finite)) if finite else (math.nan, math.nan)


def _values(study: dict[str, Any], score: str) -> list[float]:
    """Of all runs, and of the ideal device."""
    return [float(one["scores"][score]) for one in (*study["ideal"], *study["runs"])]


def _apart(ax: Axes, values: list[float]) -> list[float]:
    """Values whose labels do not run into each other; the first, and each that is far enough from the one before."""
    low, high = (float(ax.transData.transform((value, 0))[0]) for value in (values[0], values[-1]))
    kept = [values[0]]
    for value in values[1:]:
        before, here = (float(ax.transData.transform((one, 0))[0]) for one in (kept[-1], value))
        if high == low or here - before > 0.06 * (high - low):
            kept.append(value)
    return kept


def _colours(reading: str) -> tuple[str, str, int]:
    return _COLOURS.get(reading, _COLOURS["refined"])


def _text(value: float, score: dict[str, Any]) -> str:
    return f"{100 * value:.1f} %" if score["percent"] else f"{value:.3g}"


@styled
def points_plot(summary: dict[str, Any]) -> Figure:
    """Scores of design points against each knob that a plan varies, a panel each; of a single knob with bars of the spread between dies.

    Args:
        summary: of a plan, `plans.summary.summarise`, or what its JSON file holds, in which null stands for nan.
    """
    knobs, score = summary["knobs"], summary["score"]
    figure = Figure(figsize=(3.3 * len(knobs), 3.3), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(knobs), sharey=True))
    for k, (ax, knob) in enumerate(zip(panels, knobs, strict=True)):
        _points_panel(ax, summary, knob)
        if k == 0:
            ax.set_ylabel(score["name"])
    readings = list(dict.fromkeys(point["reading"] for point in summary["points"]))
    handles: list[Any] = [
        Line2D([], [], color=_colours(one)[0], marker="o", markersize=4, linestyle="") for one in readings
    ]
    what = "mean, std over dies" if len(knobs) == 1 else "mean of dies and seeds"
    labels = [f"{one}: {what}" for one in readings]
    if summary["plan"]["level"] != "solve":
        handles.append(Line2D([], [], color=BLACK, linewidth=1, linestyle=(0, (4, 2))))
        labels.append("exact NGD")
    figure.legend(handles, labels, loc="outside lower center", ncols=3 if len(knobs) > 1 else 1, fontsize=8)
    return figure


def _points_panel(ax: Axes, summary: dict[str, Any], knob: dict[str, Any]) -> None:
    points, exact, name = summary["points"], summary["baseline"]["mean"], knob["name"]
    exact = None if summary["plan"]["level"] == "solve" else exact  # rounding, far below any axis of dies
    values = list(dict.fromkeys(point["point"][name] for point in points))
    words = any(value is None or isinstance(value, bool | str) for value in values)
    if words:  # "none" has its place after the numbers
        numbers = sorted(value for value in values if isinstance(value, int | float) and not isinstance(value, bool))
        values = [*numbers, *(value for value in values if value not in numbers or isinstance(value, bool))]
    means = [math.nan if point["mean"] is None else float(point["mean"]) for point in points]
    ax.margins(x=0.1)
    _axis_of_scores(ax, [*means, *([] if exact is None else [float(exact)])], summary["score"])
    if not words:
        _axis_of_levels(ax, sorted(map(float, values)), bool(knob["log"]), knob["unit"])
    for point, mean in zip(points, means, strict=True):
        value = point["point"][name]
        at = values.index(value) if words else float(value)
        colour, _, aside = _colours(point["reading"])
        moved = offset_copy(ax.transData, ax.get_figure(root=True), x=aside / 2, units="points")
        spread = point["std_dies"] if len(summary["knobs"]) == 1 else None  # bars of many points hide each other
        if math.isfinite(mean):
            ax.errorbar([at], [mean], None if spread is None or math.isnan(spread) else [spread], color=colour,
                marker="o", markersize=3.5, linestyle="", elinewidth=0.8, capsize=0, transform=moved, zorder=3)  # fmt: skip
    if exact is not None and math.isfinite(exact):
        ax.axhline(float(exact), color=BLACK, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
    places = [float(k) for k in range(len(values))] if words else sorted(map(float, values))
    ax.update_datalim([(place, 0.0) for place in places], updatey=False)
    ax.autoscale_view(scaley=False)
    percent = knob["unit"] == "1"
    if words:
        shown = [{None: "none", True: "on", False: "off"}.get(value, str(value)) for value in values]
        ax.set_xticks(range(len(values)), shown)
    elif len(places) <= 6:
        ax.xaxis.set_major_locator(FixedLocator(_apart(ax, places)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value if percent else value:.4g}"))
    else:
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value if percent else value:.4g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    unit = "%" if percent else knob["unit"]
    ax.set_xlabel(textwrap.fill(f"{knob['title']}{f' ({unit})' if unit else ''}", 36))
