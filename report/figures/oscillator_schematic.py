"""Schematic of coupled oscillators: the array of crosspoints, then in each cell its velocity's and its position's integrator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...circuits.netlist.elements import Element, Resistor
from ...compiler.program import AnalogProgram
from .schematic import Array, amplifier_text
from .style import GREY
from .symbols import MINUS, PLUS, SYMBOLS, amplifier, dot, label, resistor, sheet, value_of, wire

GROUP, TOP = 7.6, 3.0
"""Height of a cell, and of what is above the first one's upper row, units."""
INNER, OUTER = 1.1, 2.1
"""Heights of the two feedback branches over an integrator's input."""
STAGE = 8.0
"""From the input of a velocity's amplifier to that of its position's."""
RAILS = (("p", 1.0, PLUS), ("m", -1.0, MINUS))


def oscillator_picture(program: AnalogProgram, title: str) -> Figure:
    """Positions as columns, summing nodes of the velocities as rows; links cross the rails, since integrators invert."""
    netlist = program.netlist()
    parts: dict[str, Any] = {part.name: part for part in netlist.elements}
    array, n = Array.of(netlist, program.size), program.size
    figure, ax = sheet(array.right + STAGE + 4.0, TOP + GROUP * n - 3.0, title)
    lines = array.draw(ax, netlist, [-TOP - GROUP * i for i in range(n)])
    for k in range(1, n + 1):
        rows = [lines[f"ep{k}"], lines[f"em{k}"]]
        middle, x = sum(rows) / 2, array.right
        amplifier(ax, (x, middle), 7.5, amplifier_text(program, parts.get(f"VOSv{k}")))
        amplifier(ax, (x + STAGE, middle), 7.5, amplifier_text(program, parts.get(f"VOS{k}")))
        label(ax, x + 1.0, middle - 1.5, "velocity", ha="center", color=GREY)
        label(ax, x + STAGE + 1.0, middle - 1.5, "position", ha="center", color=GREY)
        for (letter, side, colour), y in zip(RAILS, rows, strict=True):
            suffix, output = f"{k}{letter}", middle + 0.36 * side
            friction = parts.get(f"RD{suffix}")
            branches = [(INNER, [parts[f"CV{suffix}"]]), *([(OUTER, [friction])] if friction else [])]
            _output(ax, (x, y), output, side, branches, colour)
            label(ax, x + 3.1, output + 0.2 * side, f"v{letter}{k}", ha="center", fontsize=8, color=colour)
            _link(ax, parts[f"RL{suffix}"], (x + 3.5, middle - 0.36 * side), (x + STAGE, y), side, colour)
            series = parts.get(f"RZ{suffix}")
            stored = [*([series] if series else []), parts[f"C{suffix}"]]
            _output(ax, (x + STAGE, y), output, side, [(INNER, stored)], colour)
            label(ax, x + STAGE + 3.6, output, f"{letter}{k}", fontsize=8.5, color=colour)
    return figure


def _output(
    ax: Axes,
    at: tuple[float, float],
    output: float,
    side: float,
    branches: Sequence[tuple[float, Sequence[Element]]],
    colour: str,
) -> None:
    """The output of an amplifier whose input is `at`, and its feedback branches of parts in series, one over the other.

    Args:
        output: its height. side: 1 where the branches are above the input, -1 below. branches: height over the input, and parts.
    """
    (x, y), last = at, 2.75
    edge = x + 2.0 * (1 - abs(output - (y - 0.9 * side)) / 1.25)
    highest = max(height for height, _ in branches)
    reach = y + side * highest
    wire(ax, [(x - 0.25, y), (x - 0.25, reach)])
    wire(ax, [(x + last, reach), (x + last, output)], colour)
    wire(ax, [(edge, output), (x + 3.5, output)], colour)
    dot(ax, (x - 0.25, y))
    dot(ax, (x + last, output), colour)
    for height, parts in branches:
        level, length = y + side * height, 1.1
        start = x - 0.25 + (last + 0.25 - length * len(parts)) / 2
        wire(ax, [(x - 0.25, level), (start, level)])
        for k, part in enumerate(parts):
            begin = start + length * k
            SYMBOLS[type(part)][0](ax, (begin, level), (begin + length, level))
            text = f"{part.name}\n{value_of(part)}" if len(parts) > 1 else f"{part.name} {value_of(part)}"
            va = "bottom" if side > 0 else "top"
            label(ax, begin + length / 2, level + 0.36 * side, text, ha="center", va=va, fontsize=6.3)
            if k:
                label(ax, begin, level - 0.22 * side, _shared(parts[k - 1], part), ha="center", fontsize=6.3)
        wire(ax, [(start + length * len(parts), level), (x + last, level)], colour)
        if height < highest:
            dot(ax, (x - 0.25, level))
            dot(ax, (x + last, level), colour)


def _shared(one: Element, other: Element) -> str:
    """The node between two parts."""
    return next(node for node in (one.a, one.b) if node in (other.a, other.b))


def _link(
    ax: Axes, part: Resistor, start: tuple[float, float], end: tuple[float, float], side: float, colour: str
) -> None:
    """From the velocity's other rail at `start` to the position's input at `end`."""
    other = MINUS if colour == PLUS else PLUS
    wire(ax, [start, (start[0] + 0.9, end[1])], other)
    resistor(ax, (start[0] + 0.9, end[1]), (start[0] + 2.3, end[1]))
    wire(ax, [(start[0] + 2.3, end[1]), end])
    va = "bottom" if side > 0 else "top"
    label(ax, start[0] + 1.6, end[1] + 0.22 * side, f"{part.name} {value_of(part)}", ha="center", va=va)
    label(ax, end[0] - 1.0, end[1] - 0.22 * side, part.b, ha="center", fontsize=7.5)
