"""Schematics of one cell, that is of row i of the matrix, with and without amplifier.

The pictures show the topology that the fabrics emit (`compiler/fabrics`): with the integrator's summing nodes e+ and
e-, a positive entry feeds each rail of unknown j to the like summing node, a negative one crosses the rails, and the
drive crosses always, because the integrator inverts.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import styled
from .symbols import INK, MINUS, PLUS, amplifier, capacitor, dot, ground, resistor, wire


def draw_cell(ax: Axes, passive: bool = False, size: float = 8.5, detail: bool = True) -> None:
    """Draw one cell.

    Args:
        ax: empty axes; its frame is switched off and its aspect made equal.
        passive: draw the cell of two rails without amplifier; else the op-amp integrator with its crosspoints.
        size: font size, points.
        detail: label the parts; off for a small picture.
    """
    ax.set_aspect("equal")
    ax.axis("off")
    if passive:
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
    # Column 1: a positive entry, like rails. Column 2: a negative one, crossed rails, as is the drive.
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


@styled
def cell_plot(passive: bool = False) -> Figure:
    """Schematic of one cell."""
    figure = Figure(figsize=(5.4, 2.9), layout="constrained")
    draw_cell(figure.subplots(), passive)
    return figure
