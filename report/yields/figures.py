"""Yield at each level of a study; the figures that an outcome depends on; how far each can get worse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ..figures.style import BLUE, GREY, PALE, SKY, VERMILLION, log_ticks, styled

_COLOURS = {"refined": BLUE, "bare": VERMILLION}
_ASIDE = 0.08
"""Of a reading from the level's place, so that bars do not hide each other."""


@styled
def yield_plot(levels: Sequence[Mapping[str, Any]], texts: Sequence[str], axis: str, target: str) -> Figure:
    """Fraction of the dies that meet a target at each level, with its interval, a line for each reading.

    Args:
        levels: `LevelYield.to_dict()` of each level and reading.
        texts: of each of these its level, as it stands on the axis; equal ones have one place.
        axis: title of the axis. target: as people write it.
    """
    figure = Figure(figsize=(4.4, 3.1), layout="constrained")
    ax = figure.subplots()
    places = {text: k for k, text in enumerate(dict.fromkeys(texts))}
    readings = list(dict.fromkeys(one["reading"] for one in levels))
    for k, reading in enumerate(readings):
        own = [(places[text], one) for text, one in zip(texts, levels, strict=True) if one["reading"] == reading]
        share = np.array([one["met"] / one["dies"] for _, one in own])
        reach = np.abs(np.array([[one["low"], one["high"]] for _, one in own]).T - share)
        at = [place + _ASIDE * (2 * k - len(readings) + 1) for place, _ in own]
        ax.errorbar(
            at, share, reach, color=_COLOURS.get(reading, BLUE), marker="o", markersize=4.5, linewidth=1.2,
            elinewidth=1.0, capsize=3, label=reading or None, clip_on=False,
        )  # fmt: skip
    dies = sorted({one["dies"] for one in levels})
    few = f"{dies[0]}" if len(dies) == 1 else f"{dies[0]} to {dies[-1]}"
    ax.set(xlabel=axis, ylabel=f"yield of {few} dies, 95 % interval", title=target, ylim=(0.0, 1.0))
    ax.set_xticks(list(places.values()), list(places))
    ax.set_xlim(-0.4, len(places) - 0.6)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    ax.grid(axis="y", color=PALE, linewidth=0.6)
    ax.set_axisbelow(True)
    if any(readings):
        figure.legend(loc="outside lower center", ncols=2)
    return figure


@styled
def sensitivity_plot(sensitivity: Mapping[str, Any], titles: Mapping[str, str] | None = None) -> Figure:
    """First and total Sobol index of each figure with its 95 % interval, the largest total at the top.

    Args:
        sensitivity: `Sensitivity.to_dict()`.
        titles: of the knobs by name; None: their names.
    """
    knobs = sorted(sensitivity["knobs"].items(), key=lambda one: one[1]["total"])
    figure = Figure(figsize=(5.2, 0.9 + 0.42 * len(knobs)), layout="constrained")
    ax = figure.subplots()
    for shift, name, colour, words in ((0.19, "total", BLUE, "total"), (-0.19, "first", SKY, "alone (first order)")):
        ax.barh(
            np.arange(len(knobs)) + shift, [one[name] for _, one in knobs], 0.34, color=colour, label=words,
            xerr=[one[f"{name}_conf"] for _, one in knobs], error_kw={"ecolor": GREY, "elinewidth": 1.0, "capsize": 2},
        )  # fmt: skip
    ax.set_yticks(range(len(knobs)), [(titles or {}).get(name, name) for name, _ in knobs])
    ax.axvline(0.0, color=GREY, linewidth=0.7)
    ax.set(xlabel=f"share of the variance of {sensitivity['score']}", xlim=(min(0.0, ax.get_xlim()[0]), None))
    ax.grid(axis="x", color=PALE, linewidth=0.6)
    ax.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@styled
def margins_plot(margins: Sequence[Mapping[str, Any]], titles: Mapping[str, str] | None = None) -> Figure:
    """By which factors each figure can be moved before the target is missed, the least room at the top.

    A bar ends in a mark where the target is missed beyond; without one, the search ended there. Figures that are 0 or change their sign
    are left out: they have no factor.

    Args:
        margins: `Margin.to_dict()` of each, in which null stands for nan and inf.
        titles: of the knobs by name; None: their names.
    """
    shown = [one for one in margins if one["value"] > 0]
    shown.sort(key=lambda one: -math.inf if one["worst"] is None else -_room(one))
    figure = Figure(figsize=(5.2, 1.0 + 0.3 * max(len(shown), 1)), layout="constrained")
    ax = figure.subplots()
    ax.set_xscale("log")
    ends = []
    for k, one in enumerate(shown):
        low, high = (max(one[name] / one["value"], 1e-3) for name in ("low", "high"))
        ends += [low, high]
        ax.barh(k, high - low, 0.5, left=low, color=SKY)
        for end, missed in ((low, one["low_misses"]), (high, one["high_misses"])):
            if missed is not None and math.isfinite(missed):
                ax.plot([end, end], [k - 0.32, k + 0.32], color=VERMILLION, linewidth=2)
    ax.axvline(1.0, color=GREY, linewidth=1.0)
    ax.set_yticks(range(len(shown)), [(titles or {}).get(one["knob"], one["knob"]) for one in shown])
    if ends:
        ax.set_xlim(min(ends) / 1.3, max(ends) * 1.3)
    log_ticks(ax.xaxis)
    ax.set(xlabel="figure / that of the design; red: the target is missed beyond")
    return figure


def _room(margin: Mapping[str, Any]) -> float:
    factor = margin["factor"]
    return math.inf if factor is None or math.isnan(factor) else float(factor)
