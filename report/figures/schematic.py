"""Schematics of whole programs, or of one cell: every part of the netlist with its name or a board's designator, value and nodes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...circuits.netlist.elements import CCVS, CurrentSource, Element, Resistor, VoltageSource
from ...circuits.netlist.netlist import Netlist
from ...compiler.program import AnalogProgram
from ..formatting import engineering
from .style import GREY
from .symbols import (
    MINUS,
    PLUS,
    SYMBOLS,
    Point,
    amplifier,
    dot,
    feedback,
    ground,
    grounded_amplifier,
    label,
    rail_colour,
    resistor,
    sheet,
    source,
    value_of,
    wire,
)

BLOCK = 5.7
"""Width of an inverter in a schematic, units."""
GROUP, TOP = 7.6, 3.0
"""Height of an oscillator, and of what is above the first one's upper row, units."""
INNER, OUTER = 1.1, 2.1
"""Heights of the two feedback branches over an integrator's input."""
STAGE = 8.0
"""From the input of a velocity's amplifier to that of its position's."""
RAILS = (("p", 1.0, PLUS), ("m", -1.0, MINUS))
CELL_COLUMNS = 6
"""Crosspoints that the picture of a single cell shows."""
OWN_NAMES: Mapping[str, str] = MappingProxyType({})
"""Parts are called what the netlist calls them."""


def network_picture(
    program: AnalogProgram, title: str, netlist: Netlist | None = None, called: Mapping[str, str] = OWN_NAMES
) -> Figure:
    """Nodes as horizontal lines, couplings between them, parts to ground on the right.

    Args:
        netlist: of the same parts with other values; None: the program's. called: part's name -> what it is called in the picture.
    """
    netlist = netlist or program.netlist()
    nodes = [f"{rail}{i + 1}" for i in range(program.size) for rail in "pm" if f"{rail}{i + 1}" in netlist.nodes]
    two_ended = [part for part in netlist.elements if type(part) in SYMBOLS]
    probes = {part.b: part for part in netlist.elements if isinstance(part, VoltageSource)}
    drives = {part.b: part for part in netlist.elements if isinstance(part, CurrentSource)}
    pitch, row, top = 1.4, 3.1 if probes else 2.1, 0.5
    line = {node: -top - row * k for k, node in enumerate(nodes)}
    columns = _columns([(part, line[part.a], line[part.b]) for part in two_ended if "0" not in (part.a, part.b)])
    right = 0.9 + pitch * len(columns) + 0.3
    legs = {node: [p for p in two_ended if p.b == "0" and _rail_of(p.a, probes) == node] for node in nodes}
    width = max(right + pitch * (max(map(len, legs.values())) + 1) + 0.3, 9.0)
    figure, ax = sheet(width, top + row * len(nodes), title)
    for node, y in line.items():
        wire(ax, [(0.75, y), (right + 0.2 + pitch * len(legs[node]), y)], rail_colour(node))
        label(ax, 0.65, y, node, ha="right", fontsize=8.5, color=rail_colour(node))
    for k, column in enumerate(columns):
        x = 1.1 + pitch * k
        for part, upper, lower in column:
            SYMBOLS[type(part)][0](ax, (x, upper), (x, upper - 1.2))
            if upper - lower > 1.2:
                wire(ax, [(x, upper - 1.2), (x, lower)])
            for y in (upper, lower):
                dot(ax, (x, y))
            label(ax, x + 0.33, upper - 0.6, f"{called.get(part.name, part.name)}\n{value_of(part)}")
    for node, y in line.items():
        for x, leg in zip(np.arange(right + 0.2, width, pitch).tolist(), [*legs[node], drives[node]], strict=False):
            dot(ax, (x, y))
            foot = y
            if leg.a in probes:
                probe = probes[leg.a]
                source(ax, (x, foot), (x, foot - 0.9), arrow=False)
                read = next(p for p in netlist.elements if isinstance(p, CCVS) and p.sense == probe.name)
                label(ax, x + 0.33, foot - 0.45, f"{probe.name}\n{read.name}: {read.a}")
                label(ax, x - 0.08, foot - 0.92, leg.a, ha="right")
                foot -= 0.9
            if isinstance(leg, CurrentSource):
                source(ax, (x, foot), (x, foot - 1.2))
                label(ax, x + 0.33, foot - 0.6, f"{leg.name}\ndrive")
            else:
                SYMBOLS[type(leg)][0](ax, (x, foot), (x, foot - 1.2))
                label(ax, x + 0.33, foot - 0.6, f"{called.get(leg.name, leg.name)}\n{value_of(leg)}")
            ground(ax, (x, foot - 1.2))
    return figure


def _rail_of(node: str, probes: dict[str, VoltageSource]) -> str:
    return probes[node].a if node in probes else node


def _columns(couplings: Iterable[tuple[Any, float, float]]) -> list[list[tuple[Any, float, float]]]:
    """Couplings (part, y, y) packed into columns, each in the first that has room."""
    columns: list[list[tuple[Any, float, float]]] = []
    for part, one, other in couplings:
        upper, lower = max(one, other), min(one, other)
        room = (column for column in columns if all(upper <= low or lower >= high for _, high, low in column))
        column = next(room, None)
        if column is None:
            column = []
            columns.append(column)
        column.append((part, upper, lower))
    return columns


@dataclass(frozen=True)
class _Array:
    """The lines of an array: outputs as columns, summing nodes as rows, a resistor at each crosspoint.

    Attributes:
        across: x of each column, by its node. double: whether rows are pairs. right: x of the rows' right ends.
    """

    across: Mapping[str, float]
    double: bool
    right: float
    called: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, netlist: Netlist, n: int, called: Mapping[str, str] = OWN_NAMES, columns: Sequence[str] | None = None
    ) -> _Array:
        """With room for the labels of second slices; `columns`: only these nodes."""
        if columns is None:
            columns = [f"{rail}{i + 1}" for i in range(n) for rail in "pmn" if f"{rail}{i + 1}" in netlist.nodes]
        sliced = any(part.name.startswith("RT") for part in netlist.elements)
        pitch, left = (2.9, 4.4) if sliced else (1.5, 3.1)
        across = {name: left + pitch * k for k, name in enumerate(columns)}
        return cls(across, "ep1" in netlist.nodes, left + pitch * len(columns) + 0.5, called)

    def draw(self, ax: Axes, netlist: Netlist, heights: Sequence[float] | Mapping[int, float]) -> dict[str, float]:
        """Columns, crosspoints, rows and the input resistors on their left; returns the y of each row, by its node.

        Args:
            heights: y of each cell's first row; by the cell's number from 0, of these cells only.
        """
        lines: dict[str, float] = {}
        for i, y in heights.items() if isinstance(heights, Mapping) else enumerate(heights):
            lines |= {f"ep{i + 1}": y, f"em{i + 1}": y - 1.8} if self.double else {f"e{i + 1}": y}
        lowest, right, across = min(lines.values()), self.right, self.across
        for name, x in across.items():
            wire(ax, [(x, -0.6), (x, lowest + 0.62)], rail_colour(name))
            label(ax, x, -0.4, name, ha="center", fontsize=8.5, color=rail_colour(name))
        parts = {part.name: part for part in netlist.elements}
        for part in netlist.elements:
            if isinstance(part, Resistor) and part.b in lines and part.a in across:
                x, y, text = across[part.a], lines[part.b], f"{self.name_of(part)}\n{value_of(part)}"
                # A second slice's resistor stands on the other side of its column.
                side, beside, ha = (-1, -0.74, "right") if part.name.startswith("RT") else (1, 0.56, "left")
                resistor(ax, (x, y + 0.62), (x + side * 0.62, y), dots=True)
                label(ax, x + beside, y + 0.24, text, va="bottom", ha=ha, fontsize=6.3)
        for name, y in lines.items():
            drive: Any = parts["RB" + (f"{name[2:]}{name[1]}" if self.double else name[1:])]
            resistor(ax, (0.75, y), (2.15, y))
            label(ax, 0.65, y, drive.a, ha="right", fontsize=7.5)
            label(ax, 1.45, y + 0.22, f"{self.name_of(drive)} {value_of(drive)}", ha="center", va="bottom")
            feeding = next(p for p in netlist.elements if isinstance(p, VoltageSource) and p.a == drive.a)
            label(ax, 1.45, y - 0.24, f"drive {feeding.name}", ha="center", va="top", color=GREY)
            wire(ax, [(2.15, y), (right, y)])
            label(ax, right - 0.62, y + 0.08, name, ha="center", va="bottom", fontsize=7.5)
        return lines

    def name_of(self, part: Element) -> str:
        """What a part is called in the picture."""
        return self.called.get(part.name, part.name)


def array_picture(
    program: AnalogProgram,
    title: str,
    netlist: Netlist | None = None,
    called: Mapping[str, str] = OWN_NAMES,
    cell: int | None = None,
) -> Figure:
    """Outputs as columns, summing nodes as lines, a resistor at each crosspoint, then amplifiers; inverters below.

    Args:
        netlist: of the same parts with other values; None: the program's.
        called: part's name, or `amplifier NAME` -> what it is called in the picture.
        cell: the only one that is drawn, from 0, with its first crosspoints; None: all.
    """
    netlist = netlist or program.netlist()
    parts = {part.name: part for part in netlist.elements}
    columns = None if cell is None else _first_columns(netlist, cell)
    array, cells = _Array.of(netlist, program.size, called, columns), range(program.size) if cell is None else [cell]
    double, n, group, right = array.double, len(cells), 5.4 if array.double else 4.2, array.right
    inverted = [i + 1 for i in cells if f"n{i + 1}" in netlist.nodes]
    width = max(right + 3.9, 9.0, BLOCK * min(len(inverted), 3))
    per_strip = int(width / BLOCK)
    strips = -(-len(inverted) // per_strip)
    floor = 1.3 + group * n
    figure, ax = sheet(width, floor + 4.1 * strips, title)
    lines = array.draw(ax, netlist, {i: -1.9 - group * k for k, i in enumerate(cells)})
    for i in (i + 1 for i in cells):
        text = _amplifier_text(program, parts.get(f"VOS{i}"), called.get(f"amplifier {i}"))
        if double:
            upper, lower = lines[f"ep{i}"], lines[f"em{i}"]
            _loop(ax, parts[f"C{i}p"], (right, upper), upper - 0.54, upper + 1.1, called)
            _loop(ax, parts[f"C{i}m"], (right, lower), lower + 0.54, lower - 1.1, called)
            amplifier(ax, (right, (upper + lower) / 2), 7.5, text)
        else:
            y = lines[f"e{i}"]
            _loop(ax, parts[f"C{i}"], (right, y), y - 0.9, y + 1.1, called)
            grounded_amplifier(ax, (right, y), 7.5, text)
    for k, i in enumerate(inverted):
        x, y = BLOCK * (k % per_strip), -floor - 1.3 - 4.1 * (k // per_strip)
        first, second = parts[f"RI{i}"], parts[f"RF{i}"]
        label(ax, x + 0.45, y, f"p{i}", ha="right", fontsize=8.5, color=PLUS)
        resistor(ax, (x + 0.5, y), (x + 1.6, y))
        label(ax, x + 1.05, y + 0.22, f"{array.name_of(first)} {value_of(first)}", ha="center", va="bottom")
        wire(ax, [(x + 1.6, y), (x + 2.2, y)])
        label(ax, x + 1.7, y - 0.1, f"h{i}", ha="center", va="top", fontsize=7.5)
        _loop(ax, second, (x + 2.2, y), y - 0.9, y + 0.9, called)
        text = _amplifier_text(program, parts.get(f"VOSi{i}"), called.get(f"amplifier i{i}"))
        grounded_amplifier(ax, (x + 2.2, y), 7.5, text)
    return figure


def _first_columns(netlist: Netlist, cell: int) -> list[str]:
    """The outputs that feed a cell's first crosspoints."""
    rows = (f"e{cell + 1}", f"ep{cell + 1}", f"em{cell + 1}")
    fed = [part.a for part in netlist.of(Resistor) if part.b in rows and part.a[0] in "pmn"]
    return list(dict.fromkeys(fed))[:CELL_COLUMNS]


def _amplifier_text(program: AnalogProgram, offset: Element | None, called: str | None = None) -> str:
    if called is not None:
        return called
    opamp = program.technology.opamp
    ideal = math.isinf(opamp.gain) and math.isinf(opamp.gbw)
    lines = ["ideal"] if ideal else [f"A₀ {opamp.gain:.3g}", f"GBW {engineering(opamp.gbw, 'Hz')}"]
    if isinstance(offset, VoltageSource):
        lines.append(f"Vos {engineering(offset.dc, 'V')}")
    return "\n".join(lines)


def _loop(ax: Axes, part: Any, at: Point, output: float, height: float, called: Mapping[str, str] = OWN_NAMES) -> None:
    """A feedback part with its value, and the name of the output."""
    outgoing = part.b if isinstance(part, Resistor) else part.a
    feedback(ax, SYMBOLS[type(part)][0], at, output, height, rail_colour(outgoing))
    label(ax, at[0] + 2.9, output, outgoing, fontsize=8.5, color=rail_colour(outgoing))
    side, va = (0.3, "bottom") if height > at[1] else (-0.3, "top")
    label(ax, at[0] + 1.0, height + side, f"{called.get(part.name, part.name)} {value_of(part)}", ha="center", va=va)


def oscillator_picture(program: AnalogProgram, title: str) -> Figure:
    """Positions as columns, summing nodes of the velocities as rows; links cross the rails, since integrators invert."""
    netlist = program.netlist()
    parts: dict[str, Any] = {part.name: part for part in netlist.elements}
    array, n = _Array.of(netlist, program.size), program.size
    figure, ax = sheet(array.right + STAGE + 4.0, TOP + GROUP * n - 3.0, title)
    lines = array.draw(ax, netlist, [-TOP - GROUP * i for i in range(n)])
    for k in range(1, n + 1):
        rows = [lines[f"ep{k}"], lines[f"em{k}"]]
        middle, x = sum(rows) / 2, array.right
        amplifier(ax, (x, middle), 7.5, _amplifier_text(program, parts.get(f"VOSv{k}")))
        amplifier(ax, (x + STAGE, middle), 7.5, _amplifier_text(program, parts.get(f"VOS{k}")))
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
