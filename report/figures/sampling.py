"""Solutions that were read from a sampled covariance, with their error bars."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import BLACK, BLUE, styled


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
