"""Schematic symbols from matplotlib primitives; a unit of the axes is about the length of a resistor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon

from ...circuits.netlist.elements import Capacitor, Inductor, Resistor
from ..formatting import engineering

INK = "#222222"
PLUS = "#0072B2"
MINUS = "#D55E00"
THIN, FIRM = 0.9, 1.3
INCH = 0.62
"""Inches per unit of a schematic."""
Point = tuple[float, float]


def wire(ax: Axes, points: Sequence[Point], colour: str = INK) -> None:
    """A thin line through the points."""
    x, y = zip(*points, strict=True)
    ax.plot(x, y, color=colour, linewidth=THIN, solid_capstyle="round", solid_joinstyle="round", zorder=2)


def dot(ax: Axes, point: Point, colour: str = INK) -> None:
    """A junction."""
    ax.plot(*point, marker="o", markersize=3, color=colour, zorder=4)


def resistor(ax: Axes, start: Point, end: Point, dots: bool = False) -> None:
    """A zigzag of three periods between two points, with a lead at each end."""
    a, b = np.array(start), np.array(end)
    along = (b - a) / np.linalg.norm(b - a)
    across = np.array([-along[1], along[0]])
    t = np.concatenate([[0.0, 0.2], 0.2 + 0.6 * (np.arange(6) + 0.5) / 6, [0.8, 1.0]])
    swing = np.concatenate([[0.0, 0.0], 0.13 * np.array([1, -1, 1, -1, 1, -1]), [0.0, 0.0]])
    path = a + np.outer(t, b - a) + np.outer(swing, across)
    ax.plot(path[:, 0], path[:, 1], color=INK, linewidth=FIRM, solid_joinstyle="round", zorder=3)
    if dots:
        dot(ax, start)
        dot(ax, end)


def capacitor(ax: Axes, start: Point, end: Point) -> None:
    """Two plates across the line between two points."""
    a, b = np.array(start), np.array(end)
    along = (b - a) / np.linalg.norm(b - a)
    across, middle = np.array([-along[1], along[0]]), (a + b) / 2
    for side, outer in ((-1, a), (1, b)):
        plate = middle + side * 0.09 * along
        ax.plot(*np.array([outer, plate]).T, color=INK, linewidth=THIN, zorder=2)
        ax.plot(*np.array([plate - 0.26 * across, plate + 0.26 * across]).T, color=INK, linewidth=FIRM + 0.3, zorder=3)


def inductor(ax: Axes, start: Point, end: Point) -> None:
    """Four half turns between two points, with a lead at each end."""
    a, b = np.array(start), np.array(end)
    along = (b - a) / np.linalg.norm(b - a)
    across = np.array([-along[1], along[0]])
    angle = np.linspace(0.0, 4 * np.pi, 81)
    t = np.concatenate([[0.0], 0.2 + 0.6 * angle / (4 * np.pi), [1.0]])
    swing = np.concatenate([[0.0], 0.17 * np.abs(np.sin(angle)), [0.0]])
    path = a + np.outer(t, b - a) + np.outer(swing, across)
    ax.plot(path[:, 0], path[:, 1], color=INK, linewidth=FIRM, solid_joinstyle="round", zorder=3)


def source(ax: Axes, start: Point, end: Point, arrow: bool = True) -> None:
    """A circle between two points; with an arrow towards `start`, a current source that drives it."""
    a, b = np.array(start), np.array(end)
    along = (b - a) / np.linalg.norm(b - a)
    middle, radius = (a + b) / 2, 0.22
    for outer, side in ((a, -1), (b, 1)):
        ax.plot(*np.array([outer, middle + side * radius * along]).T, color=INK, linewidth=THIN, zorder=2)
    ax.add_patch(
        Circle((float(middle[0]), float(middle[1])), radius, fill=False, edgecolor=INK, linewidth=FIRM, zorder=3)
    )
    if arrow:
        ax.annotate(
            "",
            tuple(middle - 0.17 * along),
            tuple(middle + 0.17 * along),
            arrowprops={
                "arrowstyle": "-|>",
                "color": INK,
                "linewidth": THIN,
                "mutation_scale": 6,
                "shrinkA": 0,
                "shrinkB": 0,
            },
            zorder=4,
        )


def ground(ax: Axes, point: Point) -> None:
    """Ground symbol below a point."""
    for row, width in enumerate((0.24, 0.15, 0.06)):
        y = point[1] - 0.1 * row
        ax.plot([point[0] - width, point[0] + width], [y, y], color=INK, linewidth=FIRM, zorder=3)


def amplifier(ax: Axes, left: Point, size: float, text: str) -> None:
    """A differential amplifier: triangle with its inverting input above, inputs at the height of the summing lines."""
    x, y = left
    ax.add_patch(
        Polygon(
            [(x, y + 1.25), (x, y - 1.25), (x + 2.0, y)],
            closed=True,
            facecolor="#F3F0E6",
            edgecolor=INK,
            linewidth=FIRM,
            zorder=3,
        )
    )
    for height, sign in ((0.9, "−"), (-0.9, "+")):
        ax.text(x + 0.12, y + height * 0.86, sign, fontsize=size + 1, va="center", ha="left", color=INK, zorder=4)
    ax.text(x + 0.42, y, text, fontsize=size - 1.5, va="center", ha="left", color=INK, zorder=4)


def grounded_amplifier(ax: Axes, inverting: Point, size: float, text: str) -> None:
    """An amplifier with its inverting input at a point and the other one grounded; its output is 0.9 below and 2 to the right."""
    x, y = inverting
    amplifier(ax, (x, y - 0.9), size, text)
    wire(ax, [(x, y - 1.8), (x - 0.3, y - 1.8), (x - 0.3, y - 1.95)])
    ground(ax, (x - 0.3, y - 1.95))


def feedback(
    ax: Axes, draw: Callable[[Axes, Point, Point], None], inverting: Point, output: float, height: float, colour: str
) -> None:
    """A symbol at `height` from the input line of an amplifier at a point to its output at height `output`."""
    x, y = inverting
    # Outputs leave the triangle where its slanted side has their height.
    edge = x + 2.0 * (1 - abs(output - (y - 0.9 if height > y else y + 0.9)) / 1.25)
    wire(ax, [(x - 0.25, y), (x - 0.25, height), (x + 0.45, height)])
    draw(ax, (x + 0.45, height), (x + 1.55, height))
    wire(ax, [(x + 1.55, height), (x + 2.35, height), (x + 2.35, output)], colour)
    wire(ax, [(edge, output), (x + 2.8, output)], colour)
    dot(ax, (x - 0.25, y))
    dot(ax, (x + 2.35, output), colour)


SYMBOLS: dict[type, tuple[Callable[..., None], str, str]] = {
    Resistor: (resistor, "resistance", "Ω"),
    Capacitor: (capacitor, "capacitance", "F"),
    Inductor: (inductor, "inductance", "H"),
}
"""Symbol, field and unit of each kind of two-terminal part."""


def sheet(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    """Axes in units of a symbol's length, y from -height to 0, under a title."""
    total = height * INCH + 0.5
    figure = Figure(figsize=(width * INCH, total))
    ax = figure.add_axes((0.0, 0.0, 1.0, height * INCH / total))
    ax.axis("off")
    ax.set(xlim=(0, width), ylim=(-height, 0))
    figure.text(0.1 / (width * INCH), 1 - 0.1 / total, title, va="top", fontsize=9, weight="bold")
    return figure, ax


def label(ax: Axes, x: float, y: float, text: str, **options: Any) -> None:
    """Small text beside a part."""
    chosen: dict[str, Any] = {"fontsize": 6.8, "color": INK, "va": "center", "linespacing": 1.15}
    ax.text(x, y, text, **(chosen | options))


def value_of(part: Any) -> str:
    """The value of a resistor, capacitor or inductor of a netlist."""
    _, field, unit = SYMBOLS[type(part)]
    return engineering(getattr(part, field), unit)


def rail_colour(node: str) -> str:
    """Colour of the positive or the negative rail, by the first letter of the node's name."""
    return MINUS if node[0] in "mn" else PLUS
