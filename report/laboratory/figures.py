"""Pictures of a laboratory report: data and fit with residuals for each table, and the values against their start and prior."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ..figures.style import BLACK, BLUE, CYCLE, GREY, ORANGE, PALE, VERMILLION, WIDE, log_ticks, styled

_AXES = {
    "trace": ("time (s)", "voltage (V)"),
    "spectrum": ("frequency (Hz)", "density (V²/Hz)"),
    "covariance": ("middle of the band (Hz)", "covariance (V²)"),
    "correlation": ("middle of the band (Hz)", "correlation"),
}
LIMIT = 4.0  # normalised residuals are drawn up to this, larger ones at the edge


@styled
def table_plot(table: dict[str, Any]) -> Figure:
    """Points with error bars and the fitted circuit, above the residuals in standard errors.

    Args:
        table: an entry of `facts_of()["tables"]`.
    """
    figure = Figure(figsize=(WIDE, 4.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.2))
    across, up = _AXES[table["kind"]]
    bands = table["kind"] in ("covariance", "correlation")
    low = high = 0.0
    for number, series in enumerate(table["series"]):
        colour = CYCLE[number % len(CYCLE)]
        x, y, std = (np.array(series[name]) for name in ("x", "measured", "std"))
        upper.errorbar(
            x, y, std, fmt="o", color=colour, markersize=3, elinewidth=0.8, label=f"{series['of']}, measured"
        )
        style = {"marker": "_", "markersize": 14, "linestyle": "none"} if bands else {"linewidth": 1.2}
        upper.plot(series["curve_x"], series["curve"], color=BLACK if bands else colour, **style)
        residual = np.array(series["residual"])
        shown = np.clip(residual, -LIMIT, LIMIT)
        lower.plot(x, shown, "o", color=colour, markersize=3)
        beyond = np.abs(residual) > LIMIT
        lower.plot(x[beyond], shown[beyond], "x", color=VERMILLION, markersize=7)
        low, high = min(low, float(y.min())), max(high, float(y.max()))
    handles, labels = upper.get_legend_handles_labels()
    line = upper.plot([], [], color=BLACK, marker="_" if bands else None, linestyle="none" if bands else "-")[0]
    upper.legend([*handles, line], [*labels, "fitted circuit"], ncols=4, loc="best")
    positive = all(min(series["measured"]) > 0 and min(series["curve"]) > 0 for series in table["series"])
    if table["kind"] != "trace":
        if all(min(series["x"]) > 0 for series in table["series"]):
            lower.set_xscale("log")
            log_ticks(lower.xaxis)
        if table["kind"] == "spectrum" and positive:
            upper.set_yscale("log")
            log_ticks(upper.yaxis)
    upper.set(ylabel=up, title=f"{table['name']}{' (held out)' if table['held_out'] else ''}")
    lower.axhspan(-2, 2, color=PALE, alpha=0.5, linewidth=0)
    lower.axhline(0.0, color=GREY, linewidth=0.7)
    lower.set(ylim=(-LIMIT - 0.5, LIMIT + 0.5), xlabel=across, ylabel="residual\n(std. errors)")
    return figure


@styled
def values_plot(facts: dict[str, Any]) -> Figure:
    """Each value over its start, with its 95 % interval; priors beside them.

    Args:
        facts: `facts_of()`.
    """
    values = facts["values"]
    figure = Figure(figsize=(WIDE, 1.1 + 0.34 * len(values)), layout="constrained")
    ax = figure.subplots()
    _values(ax, values)
    shown = [ratio for value in values for ratio in _ratios(value)]
    if max(shown) > 2.5 * min(shown):
        ax.set_xscale("log")
    if max(shown) > 20 * min(shown):
        log_ticks(ax.xaxis)
    else:
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else ""))
    handles, labels = ax.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    ax.legend(unique.values(), unique.keys(), loc="upper left", bbox_to_anchor=(1.0, 1.0))
    ax.axvline(1.0, color=GREY, linewidth=0.8, linestyle=":")
    ax.set(xlabel="value / starting value", title="Values, with 95 % intervals")
    return figure


def _values(ax: Axes, values: list[dict[str, Any]]) -> None:
    for row, value in enumerate(values):
        ratio, start = value["value"] / value["start"], value["start"]
        if value["at_bound"]:
            ax.plot(ratio, row, "x", color=VERMILLION, markersize=8, label="at its bound")
        elif value["interval_95"] is None:
            ax.plot(ratio, row, "o", color=ORANGE, fillstyle="none", label="not identified")
        else:
            low, high = sorted(end / start for end in value["interval_95"])
            ax.plot([low, high], [row, row], color=BLUE, linewidth=1.6)
            ax.plot(ratio, row, "o", color=BLUE, label="fitted")
        if value["prior"] is not None:
            prior = value["prior"]
            middle, half = prior["value"] / start, 1.96 * abs(prior["std"] / start)
            ax.errorbar(middle, row + 0.22, xerr=half, fmt="|", color=GREY, elinewidth=1.0, label="prior")
    ax.set_yticks(range(len(values)), [value["name"] for value in values])
    ax.set_ylim(len(values) - 0.5, -0.5)


def _ratios(value: dict[str, Any]) -> list[float]:
    """What of a value is drawn, over its start."""
    ends = [value["value"], *(value["interval_95"] or [])]
    if value["prior"] is not None:
        ends.append(value["prior"]["value"])
    return [max(math.ulp(1.0), end / value["start"]) for end in ends]
