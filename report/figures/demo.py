"""The report's pictures: one pure function from a part of the results to a matplotlib `Figure`.

`plotstyle.to_svg` turns a figure into text for a page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from scipy.interpolate import CubicSpline

from . import style as style
from .schematic import draw_cell
from .style import BLACK, BLUE, CYCLE, GREEN, GREY, PALE, VERMILLION, WIDE, label_ends, log_ticks, styled
from .training import Group, accuracy_range, draw_accuracy, study_plot, training_groups, training_plot

__all__ = [
    "Group",
    "accuracy_range",
    "calibration_plot",
    "cell_plot",
    "loop_plot",
    "matrix_plot",
    "overview_figure",
    "study_plot",
    "training_groups",
    "training_plot",
    "transient_plot",
]

# --- (a) the matrix ---------------------------------------------------------------------------------------------------


def _draw_matrix(ax: Axes, matrix: dict[str, Any]) -> Any:
    a = np.array(matrix["A"], dtype=float)
    off = np.abs(a - np.diag(np.diag(a)))
    limit = float(off.max()) or float(np.abs(a).max()) or 1.0
    # Not resampled: a viewer scales the n x n pixels itself, with sharp edges.
    edges = (0.5, len(a) + 0.5)  # unknowns count from 1, as the nodes of the circuit do
    image = ax.imshow(
        a, cmap=style.DIVERGING, vmin=-limit, vmax=limit, interpolation="none", extent=(*edges, *edges[::-1])
    )
    ticks = FixedLocator([1, *(k for k in range(0, len(a) + 1, 10 if len(a) <= 64 else 50) if k)])
    ax.xaxis.set_major_locator(ticks)
    ax.yaxis.set_major_locator(ticks)
    for side in ("top", "right"):
        ax.spines[side].set_visible(True)
    return image


@styled
def matrix_plot(matrix: dict[str, Any]) -> Figure:
    """Heat map of A on a symmetric scale that ends at the largest coupling, and its eigenvalues."""
    figure = Figure(figsize=(WIDE, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.25])
    image = _draw_matrix(left, matrix)
    left.set(title="Matrix A = damping + Gauss-Newton part", xlabel="unknown j", ylabel="unknown i")
    diagonal_beyond = float(np.max(np.diag(np.array(matrix["A"], dtype=float)))) > image.get_clim()[1]
    bar = figure.colorbar(image, ax=left, shrink=0.8, extend="max" if diagonal_beyond else "neither")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2)
    values = np.sort(np.array(matrix["eigenvalues"], dtype=float))[::-1]
    right.plot(np.arange(1, len(values) + 1), values, "o", color=BLUE, markersize=3.5)
    right.set_yscale("log")
    log_ticks(right.yaxis)
    right.set(title="Its eigenvalues", xlabel="rank", ylabel="eigenvalue (problem units)")
    levels = [
        (matrix.get("lambda_star"), "λ*, the damping that a passive circuit needs:", VERMILLION),
        (matrix.get("mean_diagonal"), "mean diagonal without damping:", GREY),
        (matrix.get("damping"), "damping:", GREEN),
    ]
    drawn = [(float(value), text, colour) for value, text, colour in levels if value]
    for value, _, colour in drawn:
        right.axhline(value, color=colour, linewidth=1, linestyle=(0, (4, 2)), zorder=0)
    right.margins(y=0.09)
    label_ends(right, [(value, f"{text} {value:.3g}", colour) for value, text, colour in drawn], inside=True)
    return figure


@styled
def cell_plot(fabric: str = "crossbar") -> Figure:
    """Schematic of one cell."""
    figure = Figure(figsize=(5.4, 2.9), layout="constrained")
    draw_cell(figure.subplots(), fabric)
    return figure


# --- (b) the transient ------------------------------------------------------------------------------------------------


def _draw_settling(ax: Axes, transient: dict[str, Any]) -> list[tuple[float, str, str]]:
    """Draw, and return the labels for the ends of the curves."""
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
        ends.append((solution, f"x{style.subscript(int(index) + 1)}", colour))
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
    """Settling over the exact law; and what is left when the law's mean is taken off, in its standard deviations."""
    figure = Figure(figsize=(WIDE, 5.6), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=[4.4, 1], height_ratios=[1.55, 1])
    top, trace = figure.add_subplot(grid[0, :]), figure.add_subplot(grid[1, 0])
    side = figure.add_subplot(grid[1, 1], sharey=trace)
    ends = _draw_settling(top, transient)
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


# --- (c) the calibration, (e) SPICE in the loop -----------------------------------------------------------------------


def _draw_parity(ax: Axes, comparisons: Sequence[dict[str, Any]], size: float = 4, ticks: int = 5) -> None:
    """Surrogate against SPICE, circles for fitted dies and triangles for new ones, with the identity."""
    reach = 1e-12
    for new, colour, marker, name in ((False, BLUE, "o", "fitted dies"), (True, VERMILLION, "^", "new dies")):
        chosen = [item for item in comparisons if bool(item["new_die"]) is new]
        if not chosen:
            continue
        x, y = (
            np.concatenate([np.ravel(item[key]) for item in chosen]).astype(float) for key in ("spice", "surrogate")
        )
        ax.plot(
            x,
            y,
            marker,
            color=colour,
            markersize=size,
            markeredgewidth=0,
            alpha=0.55,
            label=name,
            zorder=3 if new else 2,
        )
        reach = max(reach, float(np.abs([x, y]).max()))
    reach *= 1.05
    ax.plot([-reach, reach], [-reach, reach], color=BLACK, linewidth=0.8, zorder=1)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(ticks, symmetric=True))


@styled
def calibration_plot(calibration: dict[str, Any]) -> Figure:
    """Surrogate's error against SPICE's on held-out systems, and their difference at the same vertical scale."""
    comparisons = calibration["comparisons"]
    figure = Figure(figsize=(WIDE, 4.1), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_parity(left, comparisons)
    left.set(
        title="Error of each unknown, relative to |A⁻¹b|",
        xlabel="ngspice: x − A⁻¹b",
        ylabel="surrogate: x − A⁻¹b",
    )
    if comparisons:
        left.legend(loc="upper left", handletextpad=0.1, borderaxespad=0.2)
    reach = left.get_xlim()[1]
    for item in comparisons:
        spice, surrogate = np.array(item["spice"], dtype=float), np.array(item["surrogate"], dtype=float)
        new = bool(item["new_die"])
        right.plot(
            spice, surrogate - spice, "^" if new else "o", color=VERMILLION if new else BLUE,
            markersize=4, markeredgewidth=0, alpha=0.55, zorder=3 if new else 2,
        )  # fmt: skip
    right.axhline(0, color=BLACK, linewidth=0.8, zorder=1)
    right.set(
        title="What the surrogate leaves unexplained",
        xlabel="ngspice: x − A⁻¹b",
        ylabel="surrogate − ngspice",
        xlim=(-reach, reach),
        ylim=(-reach, reach),
        box_aspect=1,
    )
    right.xaxis.set_major_locator(MaxNLocator(5, symmetric=True))
    right.yaxis.set_major_locator(MaxNLocator(5, symmetric=True))
    return figure


@styled
def loop_plot(loop: dict[str, Any]) -> Figure:
    """Errors of ngspice and surrogate for each system of the run, and their error vectors against each other."""
    systems = loop["systems"]
    figure = Figure(figsize=(WIDE, 3.6), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12)  # type: ignore[union-attr, call-arg]
    left, right = figure.subplots(1, 2, width_ratios=[1.45, 1])
    rows = np.arange(len(systems))[::-1]
    marks = (
        ("spice_error", "ngspice: |x − A⁻¹b|", "o", BLUE),
        ("surrogate_error", "surrogate: |x − A⁻¹b|", "s", VERMILLION),
        ("difference", "between the two", "d", BLACK),
    )
    for key, name, marker, colour in marks:
        values = [float(item[key]) for item in systems]
        left.plot(
            values,
            rows,
            marker,
            color=colour,
            markersize=6,
            markerfacecolor="none" if marker == "s" else colour,
            label=name,
            zorder=3,
        )
    left.hlines(rows, 0, 1, transform=left.get_yaxis_transform(), color=PALE, linewidth=0.7, zorder=0)
    left.set_xscale("log")
    left.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
    left.xaxis.set_minor_locator(NullLocator())
    left.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    left.set_yticks(rows, [f"step {item['step']}, n = {item['unknowns']}" for item in systems])
    left.tick_params(axis="y", length=0)
    left.set(title="Size of the error", xlabel="relative to |A⁻¹b|", ylim=(-0.6, len(systems) - 0.4))
    left.legend(loc="lower center", bbox_to_anchor=(0.42, -0.37), ncols=3, handletextpad=0.1, columnspacing=1.2)
    reach = 1e-12
    for k, item in enumerate(systems):
        exact = np.array(item["exact"], dtype=float)
        scale = float(np.linalg.norm(exact)) or 1.0
        x, y = ((np.array(item[key], dtype=float) - exact) / scale for key in ("spice", "surrogate"))
        right.plot(
            x,
            y,
            "o",
            color=CYCLE[k % len(CYCLE)],
            markersize=4,
            markeredgewidth=0,
            alpha=0.65,
            label=f"step {item['step']}",
        )
        reach = max(reach, float(np.abs([x, y]).max(initial=0.0)))
    reach *= 1.06
    right.plot([-reach, reach], [-reach, reach], color=BLACK, linewidth=0.8, zorder=1)
    right.set(
        title="Its direction",
        xlabel="ngspice: x − A⁻¹b",
        ylabel="surrogate: x − A⁻¹b",
        aspect="equal",
        xlim=(-reach, reach),
        ylim=(-reach, reach),
    )
    for axis in (right.xaxis, right.yaxis):
        axis.set_major_locator(MaxNLocator(5, symmetric=True))
    right.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.1)
    return figure


# --- the whole chain --------------------------------------------------------------------------------------------------


@styled
def overview_figure(results: dict[str, Any]) -> Figure:
    """The whole chain in one wide picture: matrix, cell, noisy transient, surrogate against SPICE, training curves."""
    figure = Figure(figsize=(12.0, 3.4))
    boxes = ((0.022, 0.135), (0.187, 0.195), (0.405, 0.135), (0.633, 0.132), (0.826, 0.084))
    titles = ("Curvature matrix", "Analog circuit", "ngspice, thermal noise", "Calibrated surrogate", "Training")
    axes = []
    for k, ((x, width), title) in enumerate(zip(boxes, titles, strict=True)):
        axes.append(figure.add_axes((x, 0.17, width, 0.61)))
        figure.text(x, 0.94, f"{k + 1}  {title}", fontsize=11, fontweight="bold", color=BLACK, va="center")
    for ax in axes:
        ax.tick_params(labelsize=8.5, length=2.5, pad=2)
    flow = FancyArrowPatch(
        (0.02, 0.888),
        (0.985, 0.888),
        arrowstyle="-|>",
        mutation_scale=9,
        color=PALE,
        linewidth=1,
        transform=figure.transFigure,
    )
    figure.add_artist(flow)
    first, cell, settling, parity, curves = axes
    captions = ["", "", "", "", ""]
    matrix, transient, calibration, training = (
        results.get(key) for key in ("matrix", "transient", "calibration", "training")
    )
    if matrix:
        _draw_matrix(first, matrix)
        captions[0] = f"{matrix['unknowns']} × {matrix['unknowns']}, at step {matrix['step']}"
    program = (matrix or {}).get("program") or {}
    cell.set_position((boxes[1][0], 0.3, boxes[1][1], 0.5))
    draw_cell(cell, program.get("fabric", "crossbar"), size=8.5, detail=False)
    lines = [line[:34] for line in (matrix or {}).get("netlist", "").splitlines() if line[:1] in "RCVEG"]
    figure.text(
        boxes[1][0] + 0.006,
        0.26,
        "\n".join([*lines[:3], "…"] if lines else []),
        family="DejaVu Sans Mono",
        fontsize=7,
        color=GREY,
        va="top",
        linespacing=1.3,
    )
    if program.get("parts"):
        captions[1] = f"{program['fabric'].replace('_', ' ')}, {sum(program['parts'].values()):,} parts"
    if transient:
        label_ends(settling, _draw_settling(settling, transient), gap=0.075)
        settling.set_xlabel("time (τ)", fontsize=9)
        captions[2] = f"rms {transient['rms_over_std']:.3f} ± {transient['rms_uncertainty']:.3f} of the law’s"
    if calibration and calibration["comparisons"]:
        _draw_parity(parity, calibration["comparisons"], size=3.5, ticks=3)
        parity.set_xlabel("error in ngspice", fontsize=9)
        parity.set_ylabel("error of the surrogate", fontsize=9, labelpad=1)
        explained = ((calibration.get("card") or {}).get("held_out") or {}).get("explained_variance")
        captions[3] = "" if explained is None else f"explains {100 * explained:.1f} %, held out"
    if training and training["runs"]:
        groups = training_groups(training)
        draw_accuracy(curves, groups, "steps", labels="short", bands=False)
        curves.set_xlabel("step", fontsize=9)
        captions[4] = training["task"].split("(")[0] + ", test accuracy"
    for (x, _), text in zip(boxes, captions, strict=True):
        figure.text(x, 0.84, text, fontsize=9, color=GREY, va="center")
    for ax, present in ((first, matrix), (settling, transient), (parity, calibration), (curves, training)):
        if not present:
            ax.axis("off")
            ax.text(0.5, 0.5, "not in this run", ha="center", va="center", color=GREY, transform=ax.transAxes)
    return figure
