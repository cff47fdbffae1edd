"""Tables and the picture of the runs."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thermograd.optim.tasks.poisson_cube import SETTINGS
from thermograd.report.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    log_ticks,
    save,
    styled,
)

from .published import PUBLISHED
from .runs import LABELS, Run

__all__ = ["picture", "save", "stamps", "table"]
TARGETS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
STAMPS = (5, 10, 20, 60, 120, 300, 600)
COLOURS = {
    "ngd": BLUE, "straight": SKY, "levenberg": ORANGE, "spring": PURPLE, "small": BLACK, "tngd": GREEN, "adam": VERMILLION,
}  # fmt: skip
MARKERS = "ovs^"


def grouped(runs: Sequence[Run]) -> dict[tuple[str, str], list[Run]]:
    """By preset and way, in their order."""
    found: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        found.setdefault((run.preset, run.way), []).append(run)
    return found


def table(runs: Sequence[Run], wall: bool = True) -> str:
    """Markdown, with wall time or processor time alone: seconds to errors, and the best error; of seeds the median (largest)."""
    heads = [
        "problem",
        "optimizer",
        "clock",
        *(f"to {target:.0e}".replace("e-0", "e-") for target in TARGETS),
        "best error",
        "relative",
        "after",
        "a step",
    ]
    lines = [heads, ["---"] * len(heads)]
    for (preset, way), some in grouped(runs).items():
        rms = SETTINGS[preset].rms  # type: ignore[index]
        places = [min(range(len(run.errors)), key=run.errors.__getitem__) for run in some]
        best = [run.errors[k] for run, k in zip(some, places, strict=True)]
        plural = "s" if some[0].threads > 1 else ""
        clocks: list[tuple[str, Callable[[Run], list[float]]]] = [
            (f"wall, {some[0].threads} thread{plural}", lambda run: run.wall),
            ("processor", lambda run: run.processor),
        ]
        for clock, times in clocks if wall else clocks[1:]:
            to = [
                seconds([times(run)[k] if (k := run.first(target)) is not None else None for run in some])
                for target in TARGETS
            ]
            after = seconds([times(run)[k] for run, k in zip(some, places, strict=True)])
            each = seconds([times(run)[-1] / run.steps[-1] for run in some])
            name = f"{LABELS[way]}{f', {len(some)} seeds' if len(some) > 1 else ''}"
            shown = spread(best), spread([error / rms for error in best])
            lines.append([preset, name, clock, *to, *shown, after, each])
        steps = [
            counted([run.steps[k] if (k := run.first(target)) is not None else None for run in some])
            for target in TARGETS
        ]
        lines.append(
            [
                preset,
                "",
                "steps",
                *steps,
                "",
                "",
                counted([run.steps[k] for run, k in zip(some, places, strict=True)]),
                "",
            ]
        )
        if last_of(runs, preset) == way:
            for one in PUBLISHED[preset]:
                cells = [f"{one.reached[target]:.0f}" if target in one.reached else "-" for target in TARGETS]
                error, when = one.best
                lines.append(
                    [
                        preset,
                        f"published: {one.label}",
                        "wall, one GPU",
                        *cells,
                        f"{error:.1e}",
                        f"{error / rms:.1e}",
                        f"{when:.0f}",
                        "",
                    ]
                )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def last_of(runs: Sequence[Run], preset: str) -> str:
    """The last way of a preset."""
    return [run.way for run in runs if run.preset == preset][-1]


def stamps(runs: Sequence[Run], wall: bool = True) -> str:
    """Markdown: the least error up to a wall or processor time, median and largest of the seeds."""
    heads = ["problem", "optimizer", *(f"{at} s" for at in STAMPS)]
    lines = [heads, ["---"] * len(heads)]
    for (preset, way), some in grouped(runs).items():
        cells = []
        for at in STAMPS:
            known = [error for run in some if (error := run.best_at(at, wall)) is not None]
            cells.append(spread(known) if known else "")
        lines.append([preset, LABELS[way], *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def seconds(values: Sequence[float | None]) -> str:
    """Median and largest; "-" where one did not reach it."""
    return numbers(values, lambda value: f"{value:.3g}" if value < 100 else f"{value:.0f}")


def counted(values: Sequence[float | None]) -> str:
    """Of steps."""
    return numbers(values, lambda value: f"{value:.0f}")


def spread(values: Sequence[float]) -> str:
    """Of errors."""
    return numbers(values, lambda value: f"{value:.1e}")


def numbers(values: Sequence[float | None], text: Callable[[float], str]) -> str:
    """Median and largest of the seeds, of which some may have none."""
    known = [value if value is not None else float("inf") for value in values]
    shown = [text(value) if value < float("inf") else "-" for value in (statistics.median(known), max(known))]
    if len(known) == 1 or shown == ["-", "-"]:
        return shown[0]
    return f"{shown[0]} ({shown[1]})"


@styled
def picture(runs: Sequence[Run], wall: bool = True) -> Figure:
    """Error against wall or processor time, every seed, with the published figures as marks."""
    presets = list(dict.fromkeys(run.preset for run in runs))
    figure = Figure(figsize=(3.4 * len(presets) + 0.6, 3.9), layout="constrained")
    for ax, preset in zip(figure.subplots(1, len(presets), squeeze=False)[0], presets, strict=True):
        panel(ax, preset, [run for run in runs if run.preset == preset], wall)
    return figure


def panel(ax: Axes, preset: str, runs: Sequence[Run], wall: bool) -> None:
    """One problem."""
    seen: set[str] = set()
    for run in runs:
        label = None if run.way in seen else LABELS[run.way]
        seen.add(run.way)
        ax.plot(
            run.wall if wall else run.processor,
            run.errors,
            color=COLOURS[run.way],
            linewidth=0.9,
            alpha=0.8,
            label=label,
        )
    for marker, one in zip(MARKERS, PUBLISHED[preset], strict=True):
        points = [*((at, error) for error, at in one.reached.items()), one.best[::-1]]
        ax.plot(*zip(*points, strict=True), color=GREY, linewidth=0.6, linestyle=":")
        ax.plot(
            *zip(*points, strict=True), marker, color=BLACK, markersize=4, fillstyle="none", label=f"{one.label}, GPU"
        )
    widths: tuple[int, ...] = SETTINGS[preset].widths  # type: ignore[index]
    parameters = sum((before + 1) * after for before, after in itertools.pairwise(widths))
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="wall time, s" if wall else "processor time, s (published: wall)",
        ylabel="absolute L2 error",
        title=f"{preset}, {parameters:,} parameters",
    )
    log_ticks(ax.xaxis)
    log_ticks(ax.yaxis)
    ax.legend(loc="upper right", fontsize=6.5)
