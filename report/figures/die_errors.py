"""The errors of a program's dies: the share of all dies that are below each error, which ends at the share of stable ones."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...compiler.program_report import Report
from .style import BLACK, BLUE, GREY, ORANGE, PALE, VERMILLION, WIDE, label_ends, log_ticks, styled

DEPTH = 1e-3
"""Of the total's median, the error at which the axis begins."""
APART = 0.1
"""Of the axis, between two names on one line."""
KINDS = (("tolerances", BLUE), ("offsets", ORANGE), ("all errors", BLACK))


@styled
def die_errors_plot(report: Report) -> Figure:
    """A curve for tolerances, one for offsets where there are any, one for all errors; lines at noise and the converters' steps.

    Args:
        report: with dies, one of them stable at least.
    """
    dies = report.dies
    assert dies is not None
    assert dies.errors
    columns = np.sort(np.array(dies.errors), axis=0).T
    shares = 100 * np.arange(1, dies.stable + 1) / dies.dies
    figure = Figure(figsize=(WIDE, 3.2), layout="constrained")
    ax = figure.subplots()
    ax.set_xscale("log")
    middle = float(np.median(columns[2]))
    shown = [(name, colour, errors) for (name, colour), errors in zip(KINDS, columns, strict=True) if errors[-1] > 0]
    low = max(DEPTH * middle, 0.5 * min(float(errors[errors > 0][0]) for *_, errors in shown))
    ax.set_xlim(low, 2 * float(columns[2][-1]))
    ax.set_ylim(0, 104)
    for name, colour, errors in shown:
        ax.step(
            np.maximum(errors, low),
            shares,
            where="post",
            color=colour,
            linewidth=1.5 if name == "all errors" else 1.1,
            label=name,
        )
    if dies.stable < dies.dies:
        ax.axhline(100 * dies.share, color=VERMILLION, linewidth=0.8, linestyle=(0, (4, 2)))
        ax.axhspan(100 * dies.interval[0], 100 * dies.interval[1], color=VERMILLION, alpha=0.1, linewidth=0)
    label_ends(ax, [(100 * dies.share, f"{100 * dies.share:.3g} % stable", VERMILLION)])
    if report.reading is not None:
        figures = {"noise": report.reading.noise, "DAC steps": report.reading.dac, "ADC steps": report.reading.adc}
        _mark(ax, {name: value for name, value in figures.items() if low < value < ax.get_xlim()[1]})
    log_ticks(ax.xaxis)
    ax.grid(axis="y", color=PALE, linewidth=0.6)
    ax.set_axisbelow(True)
    whose = "rms over b" if report.error_for_b is None else "for this b"
    ax.set_xlabel(f"error relative to A⁻¹b, {whose}")
    ax.set_ylabel(f"% of {dies.dies:,} dies below")
    ax.legend(loc="lower right", handlelength=1.4)
    return figure


def _mark(ax: Axes, figures: dict[str, float]) -> None:
    """A vertical line at each error, its name above; close ones are named on two lines."""
    begin, end = np.log(ax.get_xlim())
    last, line = -1.0, 0
    for name, value in sorted(figures.items(), key=lambda pair: pair[1]):
        ax.axvline(value, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)))
        place = float((np.log(value) - begin) / (end - begin))
        line = 1 - line if place - last < APART else 0
        last = place
        ax.text(
            place, 1.01 + 0.07 * line, name, color=GREY, fontsize=8, ha="center", va="bottom", transform=ax.transAxes
        )
