"""Drawings of one cell of each fabric, from matplotlib primitives: what row i of the matrix looks like on the board.

The symbols (`resistor`, `capacitor`, ...) serve the pictures of whole programs as well; a unit of their axes is about a resistor's length.

The pictures show the topology that the fabrics emit (`compiler/fabrics`): with the integrator's summing nodes e+ and
e-, a positive entry feeds each rail of unknown j to the like summing node, a negative one crosses the rails, and the
drive crosses always, because the integrator inverts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon

from ...circuits.netlist.elements import Capacitor, Inductor, Resistor

INK = "#222222"
PLUS = "#0072B2"
MINUS = "#D55E00"
THIN, FIRM = 0.9, 1.3
INCH = 0.62
"""Inches of a unit of a schematic."""

Point = tuple[float, float]
_PREFIXES = dict(zip(range(-18, 15, 3), "afpnµm kMGT", strict=True))


def draw_cell(ax: Axes, fabric: str = "crossbar", size: float = 8.5, detail: bool = True) -> None:
    """Draw one cell into axes of their own.

    Args:
        ax: empty axes; its frame is switched off and its aspect made equal.
        fabric: "dual_rail" draws the passive cell, anything else the op-amp integrator with its crosspoints.
        size: font size, points.
        detail: write what the parts are; off for a small picture.
    """
    ax.set_aspect("equal")
    ax.axis("off")
    if fabric == "dual_rail":
        _passive_cell(ax, size)
    else:
        _integrator_cell(ax, size, detail)


def _integrator_cell(ax: Axes, size: float, detail: bool) -> None:
    plus, minus = 2.55, 0.75  # the two summing lines
    columns = {
        "p₁": (0.0, PLUS),
        "m₁": (0.8, MINUS),
        "p₂": (2.1, PLUS),
        "m₂": (2.9, MINUS),
        "b⁻": (4.2, MINUS),
        "b⁺": (5.0, PLUS),
    }
    for name, (x, colour) in columns.items():
        wire(ax, [(x, 4.25), (x, 0.3)], colour)
        ax.text(x, 4.35, name, color=colour, ha="center", va="bottom", fontsize=size)
    # Column 1: a positive entry, like to like. Column 2: a negative one, crossed. The drive crosses as well.
    for start, line in (("p₁", plus), ("m₁", minus), ("m₂", plus), ("p₂", minus), ("b⁻", plus), ("b⁺", minus)):
        x = columns[start][0]
        resistor(ax, (x, line + 0.62), (x + 0.62, line), dots=True)
    for y, name in ((plus, "e⁺"), (minus, "e⁻")):
        wire(ax, [(-0.35, y), (7.0, y)])
        ax.text(
            6.33,
            y + (0.1 if y == plus else -0.12),
            name,
            fontsize=size,
            va="bottom" if y == plus else "top",
            ha="center",
            color=INK,
        )
    for x, text in () if not detail else ((0.55, "1/A₁₁\npositive"), (2.65, "1/|A₁₂|\nnegative"), (4.75, "drive\nb₁")):
        ax.text(x, 0.02, text, fontsize=size - 1, ha="center", va="top", color=INK, linespacing=1.25)
    amplifier(ax, (7.0, (plus + minus) / 2), size, "A₀, GBW" if detail else "")
    out = 9.35
    for y, rail, sign, colour, name in ((plus, 3.6, -1, PLUS, "p₁"), (minus, -0.3, 1, MINUS, "m₁")):
        pin = (plus + minus) / 2 + (0.36 if y == plus else -0.36)
        wire(ax, [(6.75, y), (6.75, rail), (7.55, rail)])
        capacitor(ax, (7.55, rail), (8.25, rail))
        wire(ax, [(8.25, rail), (out, rail), (out, pin)], colour)
        wire(ax, [(7.0 + 1.55 * 0.68, pin), (10.05, pin)], colour)
        dot(ax, (6.75, y))
        dot(ax, (out, pin), colour)
        ax.text(10.15, pin, name, color=colour, fontsize=size, va="center")
        ax.text(7.9, rail - sign * 0.48, "C", fontsize=size, ha="center", va="center", color=INK)
    ax.set_xlim(-0.5, 10.7)
    ax.set_ylim(-1.0, 4.85)


def _passive_cell(ax: Axes, size: float) -> None:
    for y, name, colour, other in ((2.6, "p₁", PLUS, MINUS), (0.0, "m₁", MINUS, PLUS)):
        top = y + 1.15
        wire(ax, [(0.0, y), (6.4, y)], colour)
        ax.text(6.5, y, name, color=colour, fontsize=size, va="center")
        like, unlike = ("p", "m") if name == "p₁" else ("m", "p")
        for x, text, tone in ((0.8, f"{like}₂", colour), (2.3, f"{unlike}₃", other)):
            resistor(ax, (x, y), (x, top))
            dot(ax, (x, y), colour)
            ax.text(x, top + 0.05, text, color=tone, fontsize=size, ha="center", va="bottom")
        ax.text(0.0, y + 0.15, "+b₁" if name == "p₁" else "−b₁", fontsize=size, ha="center", va="bottom", color=INK)
        for x, draw in ((3.9, resistor), (5.2, capacitor)):
            dot(ax, (x, y), colour)
            draw(ax, (x, y), (x, y - 0.75))
            ground(ax, (x, y - 0.75))
        ax.text(5.5, y - 0.38, "C", fontsize=size, va="center", color=INK)
    ax.text(0.98, 3.2, "A₁₂ < 0", fontsize=size - 1, va="center", color=INK)
    ax.text(2.48, 3.2, "A₁₃ > 0", fontsize=size - 1, va="center", color=INK)
    ax.set_xlim(-0.6, 7.1)
    ax.set_ylim(-1.2, 4.3)


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
    """Ground, below a point."""
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
    """An amplifier whose inverting input is at a point and whose other one is on ground; its output is 0.9 lower, 2 to the right."""
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


def engineering(value: float, unit: str) -> str:
    """Three digits and an SI prefix: 20.7 kΩ, 1 nF."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    rounded = float(f"{value:.3g}")
    exponent = 3 * math.floor(math.log10(abs(rounded)) / 3 + 1e-12)
    if exponent not in _PREFIXES:
        return f"{value:.3g} {unit}"
    return f"{rounded / 10.0**exponent:.3g} {_PREFIXES[exponent].strip()}{unit}"


SYMBOLS: dict[type, tuple[Callable[..., None], str, str]] = {
    Resistor: (resistor, "resistance", "Ω"),
    Capacitor: (capacitor, "capacitance", "F"),
    Inductor: (inductor, "inductance", "H"),
}
"""Symbol, field and unit of the parts of a netlist that carry a value."""


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
    """That of the positive or of the negative rail, by the first letter of a node's name."""
    return MINUS if node[0] in "mn" else PLUS
