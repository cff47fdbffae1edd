"""The error of refined readings, round by round."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from .style import BLACK, BLUE, GREY, PALE, SKY, label_ends, log_ticks, styled


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
