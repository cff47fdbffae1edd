"""The picture of the whole chain, from the curvature matrix to the training curves."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from .calibration import draw_parity
from .cell import draw_cell
from .error_curves import draw_errors, error_curves
from .matrix import draw_matrix
from .settling import draw_settling
from .style import BLACK, GREY, PALE, label_ends, styled


@styled
def overview_figure(results: dict[str, Any]) -> Figure:
    """The whole chain in one wide picture: matrix, cell, noisy transient, surrogate against SPICE, training curves."""
    figure = Figure(figsize=(12.0, 3.4))
    boxes = ((0.022, 0.135), (0.187, 0.195), (0.405, 0.135), (0.633, 0.132), (0.814, 0.084))
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
    curves.set_position((boxes[4][0], 0.17, boxes[4][1], 0.54))  # labels may stand above it
    captions = ["", "", "", "", ""]
    matrix, transient, calibration, poisson = (
        results.get(key) for key in ("matrix", "transient", "calibration", "poisson")
    )
    if matrix:
        draw_matrix(first, matrix)
        captions[0] = f"{matrix['unknowns']} × {matrix['unknowns']}, at step {matrix['step']}"
    program = (matrix or {}).get("program") or {}
    cell.set_position((boxes[1][0], 0.3, boxes[1][1], 0.5))
    draw_cell(cell, bool((matrix or {}).get("passive")), size=8.5, detail=False)
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
        label_ends(settling, draw_settling(settling, transient), gap=0.075)
        settling.set_xlabel("time (τ)", fontsize=9)
        captions[2] = f"rms {transient['rms_over_std']:.3f} ± {transient['rms_uncertainty']:.3f} of the law’s"
    if calibration and calibration["comparisons"]:
        draw_parity(parity, calibration["comparisons"], size=3.5, ticks=3)
        parity.set_xlabel("error in ngspice", fontsize=9)
        parity.set_ylabel("error of the surrogate", fontsize=9, labelpad=1)
        explained = ((calibration.get("card") or {}).get("held_out") or {}).get("explained_variance")
        captions[3] = "" if explained is None else f"explains {100 * explained:.1f} %, held out"
    if poisson and poisson["runs"]:
        draw_errors(curves, error_curves(poisson), labels="short", each=False)
        curves.set_xlabel("step", fontsize=9)
        captions[4] = "Poisson’s equation, relative error"
    for (x, _), text in zip(boxes, captions, strict=True):
        figure.text(x, 0.84, text, fontsize=9, color=GREY, va="center")
    for ax, present in ((first, matrix), (settling, transient), (parity, calibration), (curves, poisson)):
        if not present:
            ax.axis("off")
            ax.text(0.5, 0.5, "not in this run", ha="center", va="center", color=GREY, transform=ax.transAxes)
    return figure
