"""Contours of the loss on a plane in parameter space, with the paths of trainings."""

from __future__ import annotations

import math
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from ...optim.training.landscape import Landscape
from .style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, WIDE, styled

HEIGHTS = LinearSegmentedColormap.from_list("heights", ["#FFFFFF", "#D5DEE8", "#A9B8C9"])
LINES = "#8496AA"
COLOURS = {"sgd": GREEN, "adam": VERMILLION, "ngd": BLACK, "tngd": BLUE, "tngd-adam": ORANGE}
SPARE = (PURPLE, SKY, GREY, *COLOURS.values())
NAMES = {"sgd": "SGD", "adam": "Adam", "ngd": "exact NGD", "tngd": "TNGD", "tngd-adam": "TNGD-Adam"}
HIGH, SIDE, BOTTOM = 6.25, 5.15, 0.55
"""Height of the figure, side of the plane and margin below it, inches."""
LEVELS = 24
"""Number of contour levels."""
DEPTH, LEAST = 1e-6, 1e-30
"""Losses are clipped below at this fraction of the largest, and at this value."""
WIDEST, NARROWEST = 4.2, 1.4
"""Line widths of the first path and the last, points: coinciding paths stay visible."""
AXES = {
    "paths": ("first principal direction (distance in parameter space)", "second principal direction"),
    "random": ("first random direction (1: as far as the filters are long)", "second random direction"),
}
COLUMN = 36
"""Characters per line of the legend."""


@styled
def landscape_plot(found: Landscape, title: str) -> Figure:
    """Contours of the loss, equally spaced in its logarithm, and each path from its start (ring) to its end (dot, or a cross
    where it diverged).

    Args:
        found: what `optim.training.landscape.landscape` returned.
        title: one line.
    """
    figure = Figure(figsize=(WIDE, HIGH))
    figure.suptitle(title, x=0.012, y=1 - 0.1 / HIGH, ha="left", va="top", fontsize=11, weight="bold")
    # In inches, since layout engines do not fix the place of a square.
    ax, bar, key = (
        figure.add_axes((left / WIDE, BOTTOM / HIGH, width / WIDE, SIDE / HIGH))
        for left, width in ((0.85, SIDE), (6.13, 0.13), (6.8, 2.5))
    )
    heights = _draw_slice(ax, found)
    handles = _draw_paths(ax, found)
    x, y = AXES[found.kind]
    ax.set(xlabel=x, ylabel=y)
    ax.set_title(subtitle(found), weight="normal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}".replace("-", "−", 1)))
    _scale(bar, heights)
    key.set_axis_off()
    key.legend(handles=handles, loc="upper left", borderaxespad=0.0, labelspacing=0.9, handlelength=1.4, fontsize=8.2)
    return figure


def subtitle(found: Landscape) -> str:
    """The kind of plane and the fraction of the paths' variance that it holds."""
    kind = "Principal plane of the paths" if found.kind == "paths" else "Filter-normalised random plane"
    return f"{kind} through the best end; it holds {percent(found.explained_variance)} of their variance"


def percent(share: float) -> str:
    """Percent with two significant digits of the distance to 0 or 100, whichever is closer."""
    missing = 100 * (1 - share)
    if share < 0.1:
        return f"{100 * share:.2g} %"
    if missing < 5e-4:
        return "100 %"
    return f"{100 * share:.{max(0, 1 - math.floor(math.log10(missing)))}f} %"


def _draw_slice(ax: Axes, found: Landscape) -> ScalarMappable:
    """Filled contours and lines, grey where the loss is not finite."""
    high = float(np.max(found.loss, where=np.isfinite(found.loss), initial=0.0))
    floor = max(DEPTH * high, LEAST)
    loss = np.ma.masked_invalid(np.maximum(found.loss, floor))
    low, high = float(loss.min()), float(loss.max())
    high = high if high > low * (1 + 1e-6) else low * 1.1
    levels = np.geomspace(low, high, LEVELS + 1)
    levels[0], levels[-1] = low * (1 - 1e-9), high * (1 + 1e-9)
    norm = LogNorm(levels[0], levels[-1])
    ax.set_facecolor("#BBBBBB")
    ax.contourf(found.x, found.y, loss, levels=levels, norm=norm, cmap=HEIGHTS)
    ax.contour(found.x, found.y, loss, levels=levels[1:-1], colors=LINES, linewidths=0.5)
    ax.set(xlim=(found.x[0], found.x[-1]), ylim=(found.y[0], found.y[-1]), aspect="equal")
    return ScalarMappable(norm, HEIGHTS)


def _draw_paths(ax: Axes, found: Landscape) -> list[Line2D]:
    """Draw the paths and marks; returns the handles of the legend."""
    count, handles = len(found.trajectories), []
    for k, (one, place, off, shadow, colour) in enumerate(
        zip(found.trajectories, found.coordinates, found.distances, found.projected_loss, colours(found), strict=True)
    ):
        thin = k / max(count - 1, 1)
        width = WIDEST + (NARROWEST - WIDEST) * thin
        ax.plot(*place.T, color="white", linewidth=width + 1.4, solid_joinstyle="round", zorder=3)
        ax.plot(*place.T, color=colour, linewidth=width, solid_joinstyle="round", zorder=4 + k)
        end = "o" if one.diverged is None else "X"
        size = 11 - 5 * thin
        ax.plot(
            *place[-1], end, color=colour, markersize=size, markeredgecolor="white", markeredgewidth=0.8, zorder=20 + k
        )
        name, comma, rest = one.label.partition(",")
        lines = wrap(f"{NAMES.get(name, name)}{comma}{rest}: loss {one.loss[-1]:.3g}", COLUMN)
        lines.append(f"on the plane {shadow:.3g}, {off[-1]:.2g} from it")
        if one.diverged is not None:
            lines.append(f"diverged before step {one.diverged}")
        handles.append(
            Line2D([], [], color=colour, linewidth=width, marker=end, markeredgecolor="white", label="\n".join(lines))
        )
    [ring] = ax.plot(
        *found.coordinates[0][0], "o", color="white", markeredgecolor=BLACK, markersize=8, markeredgewidth=1.4, zorder=40
    )  # fmt: skip
    ring.set_label(f"start: loss {found.trajectories[0].loss[0]:.3g}\n{found.distances[0][0]:.2g} from the plane")
    return [*handles, ring]


def colours(found: Landscape) -> list[str]:
    """A colour for each training: its optimizer's, or the next free one if that is taken."""
    chosen: list[str] = []
    for one in found.trajectories:
        own = COLOURS.get(one.label.partition(",")[0], SPARE[0])
        free = [colour for colour in (own, *SPARE) if colour not in chosen]
        chosen.append(free[0] if free else GREY)
    return chosen


def _scale(ax: Axes, heights: ScalarMappable) -> None:
    """Colour bar with ticks at 1, 2 and 5 times powers of ten, or at its ends if there are fewer than two."""
    low, high = heights.get_clim()
    assert low is not None
    assert high is not None
    decades = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    steps = (1,) if high / low > 1e4 else (1, 2, 5)
    ticks = [step * 10.0**k for k in decades for step in steps if low <= step * 10.0**k <= high]
    axis = ax.figure.colorbar(heights, cax=ax).ax.yaxis
    axis.set_major_locator(FixedLocator(ticks if len(ticks) > 1 else [low, high]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    axis.set_label_text("training loss")
