"""Pictures that the commands write on `--plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ...circuits.files import write_file
from .style import CYCLE, GREY, STYLE, log_ticks
from .training import study_plot

SHOWN = 8
"""Most curves in one picture: the unknowns with the largest solution."""


def settling(path: Path, time: np.ndarray, x: np.ndarray, exact: np.ndarray, title: str) -> None:
    """x(t) of up to `SHOWN` unknowns against the solution.

    Args:
        path: .png, .svg or .pdf.
        time: (T,) in tau. x: (n, T) in problem units. exact: (n,), drawn as dotted lines.
        title: one line.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.0, 4.0), layout="constrained")
        ax = figure.subplots()
        for count, i in enumerate(np.argsort(-np.abs(exact))[:SHOWN]):
            colour = CYCLE[count % len(CYCLE)]
            ax.axhline(exact[i], color=colour, linewidth=0.8, linestyle=":")
            ax.plot(
                time, x[i], color=colour, linewidth=1.1, linestyle="-" if count < len(CYCLE) else "--", label=f"x[{i}]"
            )
        ax.set(xlabel="analog time (τ)", ylabel="x (problem units)", title=title, xlim=(0, float(time[-1])))
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="dotted: A⁻¹ b")
        write_file(path, lambda temporary: figure.savefig(temporary, dpi=150))


def training(path: Path, loss: list[float], evaluations: list[tuple[int, float]], title: str) -> None:
    """Loss of every batch with its running mean, and test accuracy, against steps."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.0, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        steps = np.arange(1, len(loss) + 1)
        window = max(1, len(loss) // 20)
        smooth = np.convolve(loss, np.ones(window) / window, mode="valid")
        left.plot(steps, loss, color=GREY, linewidth=0.5, alpha=0.6)
        left.plot(steps[window - 1 :], smooth, color=CYCLE[0])
        if min(loss) > 0:
            left.set_yscale("log")
            log_ticks(left.yaxis)
        left.set(xlabel="step", ylabel="batch loss", title=title)
        right.plot(
            [step for step, _ in evaluations], [100 * value for _, value in evaluations], color=CYCLE[0], marker="."
        )
        right.set(xlabel="step", ylabel="test accuracy (%)")
        write_file(path, lambda temporary: figure.savefig(temporary, dpi=150))


def study(path: Path, results: dict[str, Any]) -> None:
    """A study's accuracy against its knob."""
    figure = study_plot(results)
    write_file(path, lambda temporary: figure.savefig(temporary, dpi=150))
