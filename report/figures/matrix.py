"""Picture of the curvature matrix: its entries and its eigenvalues."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FixedLocator

from .style import BLUE, DIVERGING, GREEN, GREY, VERMILLION, WIDE, label_ends, log_ticks, styled


def draw_matrix(ax: Axes, matrix: dict[str, Any]) -> AxesImage:
    """Heat map of A, on a symmetric scale that ends at the largest coupling."""
    a = np.array(matrix["A"], dtype=float)
    off = np.abs(a - np.diag(np.diag(a)))
    limit = float(off.max()) or float(np.abs(a).max()) or 1.0
    # Not resampled: a viewer scales the n x n pixels itself, with sharp edges.
    edges = (0.5, len(a) + 0.5)  # unknowns count from 1, as the nodes of the circuit do
    image = ax.imshow(a, cmap=DIVERGING, vmin=-limit, vmax=limit, interpolation="none", extent=(*edges, *edges[::-1]))
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
    image = draw_matrix(left, matrix)
    left.set(title="Matrix A = damping + Gauss-Newton part", xlabel="unknown j", ylabel="unknown i")
    diagonal_beyond = float(np.max(np.diag(np.array(matrix["A"], dtype=float)))) > image.get_clim()[1]
    bar = figure.colorbar(image, ax=left, shrink=0.8, extend="max" if diagonal_beyond else "neither")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2)
    values = np.sort(np.array(matrix["eigenvalues"], dtype=float))[::-1]
    right.plot(np.arange(1, len(values) + 1), values, "o", color=BLUE, markersize=3.5)
    right.set_yscale("log")
    log_ticks(right.yaxis)
    right.set(title="Eigenvalues", xlabel="rank", ylabel="eigenvalue (problem units)")
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
