"""Style of all pictures: colours, matplotlib settings, ticks, direct labels, SVG text and files.

The colours are those of Okabe and Ito, which are distinct with the usual colour deficiencies.
Nothing uses pyplot, so no state is shared between figures.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from matplotlib.transforms import offset_copy

from ...circuits.files import write_file

BLACK, ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = (
    "#222222", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
GREY, PALE, YELLOW = "#777777", "#DDDDDD", "#C9B800"
CYCLE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
DIVERGING = LinearSegmentedColormap.from_list("blue-orange", [BLUE, SKY, "#FFFFFF", "#F0B040", VERMILLION])
WIDE = 9.4
"""Width of a full figure, inches; the page shows it at about 900 pixels, where 9 points are 12 pixels."""

DECADE = 10.0
"""Ratio of the largest to the smallest value from which on an axis is logarithmic."""

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.labelcolor": BLACK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "path",
    "text.parse_math": False,  # text from the results may hold dollar signs
}

P = ParamSpec("P")
T = TypeVar("T")


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Decorator: draw in this module's style without changing the caller's matplotlib settings."""

    @wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> T:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return in_style


def to_svg(figure: Figure, name: str, description: str = "") -> str:
    """One `<svg>` element as text; the same figure gives the same text.

    Args:
        figure: what to draw.
        name: unique on the page; prefixes every id, so that several figures can stand in one document.
        description: text for screen readers.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text[text.index("<svg") :])
    escaped = description.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("<svg ", f'<svg role="img" aria-label="{escaped}" ', 1)


def save(figure: Figure, path: Path) -> None:
    """Write a picture to a .png, .svg or .pdf file, whole or not at all; the same figure gives the same file."""
    dates: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": "thermograd"}):
        write_file(path, lambda temporary: figure.savefig(temporary, dpi=150, metadata=dates.get(path.suffix.lower())))


def accuracy_axis(ax: Axes, values: Sequence[float], room: float = 0.05) -> None:
    """Accuracy spaced by the logarithm of the error, which separates 97 and 98 %."""

    def forward(accuracy: Any) -> np.ndarray:
        return -np.log10(np.clip(1 - np.asarray(accuracy, dtype=float), 1e-4, None))

    def inverse(height: Any) -> np.ndarray:
        return 1 - 10 ** -np.asarray(height, dtype=float)

    finite = np.array([value for value in values if value is not None and np.isfinite(value)], dtype=float)
    low, high = (float(min(finite.min(), 0.999)), float(min(finite.max(), 0.999))) if finite.size else (0.0, 0.99)
    a, b = forward(low), forward(high)
    extra = room * max(b - a, 0.15)
    ax.set_yscale("function", functions=(forward, inverse))
    ax.set_ylim(float(inverse(a - extra)), float(inverse(b + extra)))
    ax.yaxis.set_major_locator(FixedLocator(_accuracy_ticks(forward, float(a - extra), float(b + extra))))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    ax.grid(axis="y", color=PALE, linewidth=0.6)
    ax.set_axisbelow(True)


_TICKS = (
    0.9,
    0.5,
    0.99,
    0.95,
    0.999,
    0.97,
    0.0,
    0.8,
    0.98,
    0.7,
    0.3,
    0.93,
    0.96,
    0.995,
    0.94,
    0.92,
    0.85,
    0.975,
    0.985,
)
"""Candidates for ticks, by priority."""


def _accuracy_ticks(height: Callable[[float], Any], low: float, high: float) -> list[float]:
    """Those of `_TICKS` that fit between two heights without crowding; round numbers where fewer than two do."""
    taken: list[float] = []
    for tick in _TICKS:
        place = float(height(tick))
        if low <= place <= high and all(abs(place - float(height(other))) > 0.07 * (high - low) for other in taken):
            taken.append(tick)
    if len(taken) < 2:
        ends = (1 - 10**-low, 1 - 10**-high)
        taken = [float(tick) for tick in MaxNLocator(5).tick_values(*ends) if ends[0] <= tick <= ends[1]]
    return sorted(taken)


def log_ticks(axis: Axis) -> None:
    """Powers of ten as plain text; matplotlib's own labels go through its formula parser, which is slow."""
    axis.set_major_locator(LogLocator(numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))
    axis.set_minor_formatter(NullFormatter())


def spans_a_decade(values: Sequence[float] | np.ndarray) -> bool:
    """Whether values are positive and span more than a decade, so that their axis is logarithmic."""
    return len(values) > 0 and min(values) > 0 and max(values) > DECADE * min(values)


def value_ticks(axis: Axis, values: Sequence[float] | np.ndarray) -> None:
    """Powers of ten on a logarithmic axis; of a span of less than two of them also the numbers between."""
    log_ticks(axis)
    if len(values) and max(values) < DECADE**2 * min(values):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else ""))


def power_of_ten(value: float) -> str:
    """The nearest power of ten, with a superscript exponent."""
    exponent = round(math.log10(value)) if value > 0 else 0
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def label_ends(ax: Axes, entries: Sequence[tuple[float, str, str]], gap: float = 0.06, inside: bool = False) -> None:
    """Labels (y in data units, text, colour) at the right edge, at least `gap` of the axis height apart."""
    if not entries:
        return
    heights = ax.transAxes.inverted().transform(ax.transData.transform([(ax.get_xlim()[1], y) for y, _, _ in entries]))[
        :, 1
    ]
    order = np.argsort(heights, kind="stable")
    places = heights[order].copy()
    if not inside:
        for _ in range(200):  # neighbours closer than the gap are moved apart
            for k in range(len(places) - 1):
                lack = gap - (places[k + 1] - places[k])
                if lack > 1e-9:
                    places[k] -= lack / 2
                    places[k + 1] += lack / 2
    apart = not inside and bool(np.any(np.abs(places - heights[order]) > 0.25 * gap))  # then all line up behind leaders
    for place, k in zip(places, order, strict=True):
        _, text, colour = entries[k]
        if inside:
            ax.text(
                0.99, place + 0.012, text, color=colour, ha="right", va="bottom", fontsize=8.5, transform=ax.transAxes
            )
            continue
        leader = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 5, "relpos": (0, 0.5)}
        beside = offset_copy(ax.transAxes, ax.get_figure(root=True), x=18 if apart else 8, units="points")
        ax.annotate(
            text, (1.0, heights[k]), xycoords="axes fraction", xytext=(1.0, place), textcoords=beside, color=colour,
            ha="left", va="center", fontsize=8.5, arrowprops=leader if apart else None, annotation_clip=False,
        )  # fmt: skip


def subscript(number: int) -> str:
    """A number as a subscript."""
    return str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
