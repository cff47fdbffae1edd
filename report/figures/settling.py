"""Settling: waveforms and their thermal noise against the exact law; readings, refined ones and sampled ones,
against the solution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator
from scipy.interpolate import CubicSpline

from .style import BLACK, BLUE, CYCLE, GREY, PALE, SKY, WIDE, label_ends, log_ticks, styled, subscript

SHOWN = 8
"""Maximum number of curves: those of the largest solution entries."""


def draw_settling(ax: Axes, transient: dict[str, Any]) -> list[tuple[float, str, str]]:
    """Waveforms over the mean of the law; returns the labels for the ends of the curves."""
    time = np.array(transient["time"], dtype=float)
    law_time = np.array(transient.get("law_time") or time, dtype=float)
    spice, law = np.array(transient["spice"], dtype=float), np.array(transient["law_mean"], dtype=float)
    later, law_later = time > 0, law_time > 0
    ends = []
    for k, index in enumerate(transient["shown"]):
        colour = CYCLE[k % len(CYCLE)]
        ax.plot(time[later], spice[k][later], color=colour, linewidth=0.8, zorder=2)
        ax.plot(law_time[law_later], law[k][law_later], color=BLACK, linewidth=0.7, linestyle=(0, (4, 2)), zorder=3)
        solution = float(transient["solution"][k])
        ax.plot(
            [1.0],
            [solution],
            marker="<",
            markersize=4.5,
            color=colour,
            transform=ax.get_yaxis_transform(),
            clip_on=False,
            zorder=4,
        )
        ends.append((solution, f"x{subscript(int(index) + 1)}", colour))
    ax.set_xscale("log")
    log_ticks(ax.xaxis)
    ax.set_xlim(time[later][0], time[-1])
    return ends


def _scores(transient: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Times of the second half, and there (ngspice - mean of the law) / standard deviation of the law."""
    time = np.array(transient["time"], dtype=float)
    late = time >= time[-1] / 2
    mean, std = (np.array(transient[key], dtype=float) for key in ("law_mean", "law_std"))
    if transient.get("law_time"):
        # The law is smooth by then: a cubic through its coarser grid is far closer than the noise is wide.
        mean, std = (CubicSpline(transient["law_time"], law, axis=1)(time) for law in (mean, std))
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(std > 0, (np.array(transient["spice"], dtype=float) - mean) / std, np.nan)
    return time[late], score[:, late]


@styled
def transient_plot(transient: dict[str, Any]) -> Figure:
    """Waveforms over the exact law, and their deviation from its mean in its standard deviations."""
    figure = Figure(figsize=(WIDE, 5.6), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=[4.4, 1], height_ratios=[1.55, 1])
    top, trace = figure.add_subplot(grid[0, :]), figure.add_subplot(grid[1, 0])
    side = figure.add_subplot(grid[1, 1], sharey=trace)
    ends = draw_settling(top, transient)
    top.set(title="From the gradient to the natural gradient", xlabel="time (τ)", ylabel="unknown (problem units)")
    top.legend(
        [
            Line2D([], [], color=GREY),
            Line2D([], [], color=BLACK, linewidth=0.8, linestyle=(0, (4, 2))),
            Line2D([], [], color=GREY, marker="<", linestyle="none"),
        ],
        ["ngspice", "mean of the exact law", "A⁻¹b"], loc="upper left", ncols=3, borderaxespad=0.2,
    )  # fmt: skip
    low, high = top.get_ylim()
    top.set_ylim(low, high + 0.12 * (high - low))
    label_ends(top, ends)
    time, score = _scores(transient)
    for k in range(len(score)):
        trace.plot(time, score[k], color=CYCLE[k % len(CYCLE)], linewidth=0.5, alpha=0.8)
    for level in (-2, 2):
        trace.axhline(level, color=BLACK, linewidth=0.7, linestyle=(0, (4, 2)))
    trace.set(
        title="Thermal noise in the second half: (ngspice − law) / standard deviation of the law",
        xlabel="time (τ)",
        ylabel="deviation (σ)",
    )
    trace.set_xlim(time[0], time[-1])
    seen = score[np.isfinite(score)]
    reach = max(4.0, 1.1 * float(np.abs(seen).max(initial=0.0)))
    trace.set_ylim(-reach, reach)
    grid_z = np.linspace(-reach, reach, 200)
    if seen.size:
        side.hist(
            seen, bins=np.linspace(-reach, reach, 41).tolist(), density=True, orientation="horizontal", color=PALE
        )
    side.plot(np.exp(-(grid_z**2) / 2) / math.sqrt(2 * math.pi), grid_z, color=BLACK, linewidth=1)
    side.set(title="against N(0, 1)", xlabel="density", xlim=(0, None))
    side.tick_params(labelleft=False)
    return figure


@styled
def settling_plot(
    time: np.ndarray, x: np.ndarray, exact: np.ndarray, title: str, velocities: np.ndarray | None = None
) -> Figure:
    """x(t) of up to `SHOWN` unknowns against the solution.

    Args:
        time: (T,) in tau. x: (n, T) in problem units. exact: (n,), drawn as dotted lines.
        title: one line.
        velocities: (n, T) V, of oscillators, drawn below.
    """
    figure = Figure(figsize=(7.0, 4.0 if velocities is None else 5.6), layout="constrained")
    axes = figure.subplots(
        1 if velocities is None else 2,
        sharex=True,
        squeeze=False,
        height_ratios=None if velocities is None else [1.5, 1],
    )[:, 0]
    ax = axes[0]
    for count, i in enumerate(np.argsort(-np.abs(exact))[:SHOWN]):
        colour, dashes = CYCLE[count % len(CYCLE)], "-" if count < len(CYCLE) else "--"
        ax.axhline(exact[i], color=colour, linewidth=0.8, linestyle=":")
        ax.plot(time, x[i], color=colour, linewidth=1.1, linestyle=dashes, label=f"x[{i}]")
        if velocities is not None:
            axes[1].plot(time, velocities[i], color=colour, linewidth=0.9, linestyle=dashes)
    ax.set(ylabel="x (problem units)", title=title, xlim=(0, float(time[-1])))
    axes[-1].set_xlabel("time (τ)")
    if velocities is not None:
        axes[1].set_ylabel("velocity (V)")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="dotted: A⁻¹ b")
    return figure


@styled
def estimate_plot(x: np.ndarray, error: np.ndarray, exact: np.ndarray, title: str) -> Figure:
    """Each unknown's estimate minus the solution, with its standard error.

    Args:
        x, error, exact: (n,) in problem units. title: one line.
    """
    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    ax = figure.subplots()
    ax.axhline(0.0, color=BLACK, linewidth=0.7)
    ax.errorbar(np.arange(len(x)), x - exact, yerr=error, fmt="o", color=BLUE, markersize=4, elinewidth=1.0)
    ax.set(xlabel="unknown", ylabel="error, ± one standard error (problem units)", title=title)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def draw_refinement(ax: Axes, refinement: dict[str, Any]) -> list[tuple[float, str, str]]:
    """Errors against rounds, bare readings to the left of them; returns the labels for the ends of the curves."""
    spice, surrogate = ([die for die in refinement["dies"] if die["kind"] == kind] for kind in ("spice", "surrogate"))
    ends: list[tuple[float, str, str]] = []
    for dies, colour in ((surrogate, SKY), (spice, BLUE)):
        if not dies:
            continue
        errors = np.array([die["errors"] for die in dies])
        rounds = np.arange(errors.shape[1])
        bare = [die["bare"] for die in dies]
        if dies is surrogate:
            ax.fill_between(rounds, errors.min(axis=0), errors.max(axis=0), color=colour, alpha=0.3, linewidth=0)
            ax.plot(rounds, np.exp(np.log(errors).mean(axis=0)), color=colour, linewidth=1.5)
            ax.vlines(-1.12, min(bare), max(bare), color=colour, alpha=0.5, linewidth=5)
            ends.append((float(np.exp(np.log(errors[:, -1]).mean())), f"surrogate, {len(dies)} dies", colour))
        else:
            ax.plot(rounds, errors.T, "o-", color=colour, markersize=4, linewidth=0.8)
            ax.plot([-0.88] * len(bare), bare, "o", color=colour, markersize=4)
            ends.append((float(np.exp(np.log(errors[:, -1]).mean())), f"ngspice, {len(dies)} dies", colour))
    control = refinement["control"]
    ax.plot(range(len(control)), control, color=GREY, linewidth=1.2, linestyle=(0, (4, 2)))
    ends.append((float(control[-1]), "CG without a die", GREY))
    ax.axvline(-0.5, color=PALE, linewidth=0.8)
    ax.set_yscale("log")
    log_ticks(ax.yaxis)
    ax.grid(axis="y", color=PALE, linewidth=0.6)
    ax.xaxis.set_major_locator(FixedLocator(range(-1, len(control))))
    ax.set_xticklabels(["bare", *map(str, range(len(control)))])
    ax.set_xlim(-1.4, len(control) - 0.8)
    return ends


@styled
def refinement_plot(refinement: dict[str, Any]) -> Figure:
    """|x - A^-1 b| / |A^-1 b| of one system, bare and after each round, in ngspice, by the surrogate, and of CG without a die."""
    figure = Figure(figsize=(6.6, 3.7), layout="constrained")
    ax = figure.subplots()
    ends = draw_refinement(ax, refinement)
    ax.set(xlabel="rounds of refinement", ylabel="relative error of x")
    ax.set_title(f"{refinement['unknowns']} unknowns, step {refinement['step']} of a training", color=BLACK)
    label_ends(ax, ends)
    return figure
