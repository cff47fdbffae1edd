"""Pictures of a compiled program: all its parts where they are few, its couplings as a graph or a map where they are many.

Everything is read off the netlist that the program emits, so names, nodes and values are those of the `.cir` file. Inside of the
amplifiers' macromodels there is nothing to build: they are drawn as amplifiers, with their gain and bandwidth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from ...circuits.errors import InputError
from ...circuits.files import output_path, write_file
from ...circuits.netlist.elements import CCVS, CurrentSource, Element, Resistor, VoltageSource
from ...compiler.layout.tiling import Placement, coupling_graph, couplings_of
from ...compiler.program import AnalogProgram
from .schematic import (
    PLUS,
    SYMBOLS,
    Point,
    amplifier,
    dot,
    engineering,
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
from .style import BLACK, DIVERGING, GREEN, GREY, PALE, PURPLE, SKY, STYLE, styled

DRAWN = 4
"""Most unknowns whose parts are all drawn."""
GRAPH = 300
"""Most unknowns that are drawn as nodes; beyond, the couplings are a map."""
PIXELS = 250
"""Most rows of the map."""
NAMED = 100
"""Most nodes of a graph that carry their number."""
VECTORS = 5000
"""Most lines of a graph that a vector file holds as lines; more are one image in it."""
BLOCK = 5.7
"""Width of an inverter in a schematic, units."""
POSITIVE, NEGATIVE = DIVERGING(1.0), DIVERGING(0.0)
TILES = (GREEN, PURPLE, SKY, "#F0E442", GREY, "#A6761D", "#66C2A5", "#B3B3FF")
"""Colours of tiles, in turn; those of the signs are not among them."""
FORMATS = (".svg", ".png", ".pdf")
_PASSIVE, _ARRAYS = ("rc", "dual_rail", "lc", "spu"), ("crossbar", "crossbar_single")


@styled
def draw_program(program: AnalogProgram, placement: Placement | None = None) -> Figure:
    """The picture that suits the program's size.

    Up to 4 unknowns in any fabric but `factored`: the schematic of all cells, with names, nodes and values as in the netlist. Up to 300
    the graph of couplings: orange is positive, blue negative, width the strength. Beyond, a map of |coupling|.

    Args:
        program: what `compile_matrix` returned.
        placement: tiles of the same program (`place_on_tiles`), by which a graph is coloured and a map is ordered.

    Raises:
        InputError: a placement of another number of unknowns.
    """
    if placement is not None and placement.size != program.size:
        raise InputError(
            f"placement is of {placement.size} unknowns, the program has {program.size}; place this program"
        )
    size = _many(program.size, "unknown")
    title = f"{program.fabric_name}: {program.fabric.title}\n{size}, technology {program.technology.name}"
    if program.size <= DRAWN and program.fabric_name in _PASSIVE:
        return _network(program, title)
    if program.size <= DRAWN and program.fabric_name in _ARRAYS:
        return _array(program, title)
    return _graph(program, placement, title) if program.size <= GRAPH else _map(program, placement, title)


def write_picture(program: AnalogProgram, path: str | Path, placement: Placement | None = None) -> None:
    """Write `draw_program` to a .svg, .png or .pdf file, whole or not at all; the same program gives the same file.

    Raises:
        InputError: another suffix, a folder that cannot be written into; as `draw_program`.
    """
    path = Path(path)
    output_path(path, FORMATS)
    figure = draw_program(program, placement)
    dates: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": "thermograd"}):
        write_file(path, lambda temporary: figure.savefig(temporary, dpi=150, metadata=dates.get(path.suffix.lower())))


# --- schematics -------------------------------------------------------------------------------------------------------


def _network(program: AnalogProgram, title: str) -> Figure:
    """Each node a line, couplings upright between the lines, legs to ground on the right."""
    netlist = program.netlist()
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
            label(ax, x + 0.33, upper - 0.6, f"{part.name}\n{value_of(part)}")
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
                label(ax, x + 0.33, foot - 0.6, f"{leg.name}\n{value_of(leg)}")
            ground(ax, (x, foot - 1.2))
    return figure


def _rail_of(node: str, probes: dict[str, VoltageSource]) -> str:
    return probes[node].a if node in probes else node


def _columns(couplings: Iterable[tuple[Any, float, float]]) -> list[list[tuple[Any, float, float]]]:
    """Couplings (part, y, y) on as few columns as their spans allow, the first that has room."""
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


def _array(program: AnalogProgram, title: str) -> Figure:
    """Outputs as columns, summing nodes as lines, a resistor at each crosspoint, then amplifiers; inverters below."""
    netlist = program.netlist()
    parts = {part.name: part for part in netlist.elements}
    double, n = program.fabric_name == "crossbar", program.size
    inverted = [i + 1 for i in range(n) if f"n{i + 1}" in netlist.nodes]
    columns = [f"{rail}{i + 1}" for i in range(n) for rail in "pmn" if f"{rail}{i + 1}" in netlist.nodes]
    pitch, group, left = 1.5, 5.4 if double else 4.2, 3.1
    across = {name: left + pitch * k for k, name in enumerate(columns)}
    right = left + pitch * len(columns) + 0.5
    width = max(right + 3.9, 9.0, BLOCK * min(len(inverted), 3))
    per_strip = int(width / BLOCK)
    strips = -(-len(inverted) // per_strip)
    floor = 1.3 + group * n
    figure, ax = sheet(width, floor + 4.1 * strips, title)
    lines: dict[str, float] = {}
    for i in range(n):
        y = -1.9 - group * i
        lines |= {f"ep{i + 1}": y, f"em{i + 1}": y - 1.8} if double else {f"e{i + 1}": y}
    lowest = min(lines.values())
    for name, x in across.items():
        wire(ax, [(x, -0.6), (x, lowest + 0.62)], rail_colour(name))
        label(ax, x, -0.4, name, ha="center", fontsize=8.5, color=rail_colour(name))
    for part in netlist.elements:
        if isinstance(part, Resistor) and part.b in lines and part.a in across:
            x, y = across[part.a], lines[part.b]
            resistor(ax, (x, y + 0.62), (x + 0.62, y), dots=True)
            label(ax, x + 0.56, y + 0.24, f"{part.name}\n{value_of(part)}", va="bottom", fontsize=6.3)
    for name, y in lines.items():
        drive = parts["RB" + (f"{name[2:]}{name[1]}" if double else name[1:])]
        resistor(ax, (0.75, y), (2.15, y))
        label(ax, 0.65, y, drive.a, ha="right", fontsize=7.5)
        label(ax, 1.45, y + 0.22, f"{drive.name} {value_of(drive)}", ha="center", va="bottom")
        feeding = next(p for p in netlist.elements if isinstance(p, VoltageSource) and p.a == drive.a)
        label(ax, 1.45, y - 0.24, f"drive {feeding.name}", ha="center", va="top", color=GREY)
        wire(ax, [(2.15, y), (right, y)])
        label(ax, right - 0.62, y + 0.08, name, ha="center", va="bottom", fontsize=7.5)
    for i in range(1, n + 1):
        text = _amplifier_text(program, parts.get(f"VOS{i}"))
        if double:
            upper, lower = lines[f"ep{i}"], lines[f"em{i}"]
            _loop(ax, parts[f"C{i}p"], (right, upper), upper - 0.54, upper + 1.1)
            _loop(ax, parts[f"C{i}m"], (right, lower), lower + 0.54, lower - 1.1)
            amplifier(ax, (right, (upper + lower) / 2), 7.5, text)
        else:
            y = lines[f"e{i}"]
            _loop(ax, parts[f"C{i}"], (right, y), y - 0.9, y + 1.1)
            grounded_amplifier(ax, (right, y), 7.5, text)
    for k, i in enumerate(inverted):
        x, y = BLOCK * (k % per_strip), -floor - 1.3 - 4.1 * (k // per_strip)
        first, second = parts[f"RI{i}"], parts[f"RF{i}"]
        label(ax, x + 0.45, y, f"p{i}", ha="right", fontsize=8.5, color=PLUS)
        resistor(ax, (x + 0.5, y), (x + 1.6, y))
        label(ax, x + 1.05, y + 0.22, f"{first.name} {value_of(first)}", ha="center", va="bottom")
        wire(ax, [(x + 1.6, y), (x + 2.2, y)])
        label(ax, x + 1.7, y - 0.1, f"h{i}", ha="center", va="top", fontsize=7.5)
        _loop(ax, second, (x + 2.2, y), y - 0.9, y + 0.9)
        grounded_amplifier(ax, (x + 2.2, y), 7.5, _amplifier_text(program, parts.get(f"VOSi{i}")))
    return figure


def _amplifier_text(program: AnalogProgram, offset: Element | None) -> str:
    opamp = program.technology.opamp
    ideal = math.isinf(opamp.gain) and math.isinf(opamp.gbw)
    lines = ["ideal"] if ideal else [f"A₀ {opamp.gain:.3g}", f"GBW {engineering(opamp.gbw, 'Hz')}"]
    if isinstance(offset, VoltageSource):
        lines.append(f"Vos {engineering(offset.dc, 'V')}")
    return "\n".join(lines)


def _loop(ax: Axes, part: Any, at: Point, output: float, height: float) -> None:
    """A part across an amplifier, with its value, and the name of the output."""
    outgoing = part.b if isinstance(part, Resistor) else part.a
    feedback(ax, SYMBOLS[type(part)][0], at, output, height, rail_colour(outgoing))
    label(ax, at[0] + 2.9, output, outgoing, fontsize=8.5, color=rail_colour(outgoing))
    side, va = (0.3, "bottom") if height > at[1] else (-0.3, "top")
    label(ax, at[0] + 1.0, height + side, f"{part.name} {value_of(part)}", ha="center", va=va)


# --- graphs and maps --------------------------------------------------------------------------------------------------


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count > 1 else ''}"


def _graph(program: AnalogProgram, placement: Placement | None, title: str) -> Figure:
    """Nodes of one tile on a circle, the tiles on a larger one; or, without tiles, where springs pull them."""
    graph = coupling_graph(program, placement)
    figure = Figure(figsize=(9.0, 6.8), layout="constrained")
    ax = figure.subplots()
    ax.axis("off")
    ax.set_title(title if placement is None else f"{title}\n{_cut(placement)}", loc="left")
    place, radius = _springs(graph) if placement is None else _circles(placement, graph)
    edges = sorted(graph.edges(data=True), key=lambda edge: float(edge[2]["weight"]))
    weights = np.array([data["weight"] for _, _, data in edges])
    colours = [(*(POSITIVE if d["sign"] > 0 else NEGATIVE)[:3], 0.3 + 0.6 * d["weight"]) for _, _, d in edges]
    busy = min(1.0, 6.0 * len(graph) / max(len(edges), 1))
    lines = [(place[i], place[j]) for i, j, _ in edges]
    drawn = LineCollection(lines, colors=colours, linewidths=(0.4 + 2.6 * weights) * busy**0.5, zorder=1)
    # Tens of thousands of paths make a vector file that viewers choke on.
    drawn.set_rasterized(len(lines) > VECTORS)
    ax.add_collection(drawn)
    tiles = [data for _, data in graph.nodes(data="tile")]
    faces = [TILES[tile % len(TILES)] if placement is not None else PALE for tile in tiles]
    named = len(graph) <= NAMED
    size = (150 if len(graph) <= 40 else 110) if named else 25
    ax.scatter(place[:, 0], place[:, 1], s=size, c=faces, edgecolors=BLACK, linewidths=0.6, zorder=2)
    if named:
        for i, (x, y) in enumerate(place.tolist()):
            ax.text(x, y, str(i + 1), fontsize=6.5, ha="center", va="center", color=BLACK, zorder=3)
    if placement is not None:
        ax.set_aspect("equal")
        _frame_tiles(ax, placement, radius)
    handles = [
        Line2D([], [], color=colour, linewidth=1.8, label=f"{sign} coupling")
        for colour, sign, wanted in ((POSITIVE, "positive", 1), (NEGATIVE, "negative", -1))
        if any(data["sign"] == wanted for _, _, data in edges)
    ]
    handles.append(Line2D([], [], color=GREY, linewidth=3.0 * busy**0.5, label="width: its strength"))
    node: dict[str, Any] = {
        "marker": "o",
        "markeredgecolor": BLACK,
        "markeredgewidth": 0.6,
        "linestyle": "",
        "markersize": 8,
    }
    if placement is None:
        handles.append(Line2D([], [], color=PALE, label="unknown", **node))
    elif len(placement.tiles) <= len(TILES):
        handles += [Line2D([], [], color=TILES[t], label=f"tile {t + 1}", **node) for t in range(len(placement.tiles))]
    else:
        handles.append(Line2D([], [], color=TILES[0], label="colour: its tile", **node))
    figure.legend(handles=handles, loc="outside right center")
    return figure


def _cut(placement: Placement) -> str:
    crossing = dict(placement.summary())["couplings between tiles"]
    return f"{_many(len(placement.tiles), 'tile')}; couplings between tiles: {crossing}"


def _springs(graph: nx.Graph) -> tuple[np.ndarray, float]:
    if not graph.number_of_edges():
        place = nx.circular_layout(graph)
    else:
        place = nx.spring_layout(graph, seed=0, iterations=200, k=2.5 / math.sqrt(len(graph)), weight=None)
    return np.array([place[i] for i in range(len(graph))]), 1.0


def _circles(placement: Placement, graph: nx.Graph) -> tuple[np.ndarray, float]:
    """(n, 2) places, and the radius of a tile's circle; turned so that few couplings pass over cells which they do not join."""
    radius = max(1.0, max(map(len, placement.tiles)) / 8)
    home = placement.tile_of
    ends = np.array(graph.edges, dtype=int).reshape(-1, 2)
    best, fewest = np.empty((placement.size, 2)), math.inf
    searched = len(graph) <= NAMED
    for phase in np.linspace(0.04, 0.46, 15 if searched else 1):
        place = np.empty((placement.size, 2))
        for tile, centre in enumerate(_centres(len(placement.tiles), radius)):
            cells = [i for i in placement.by_tile if home[i] == tile]
            turns = 2 * math.pi * (np.arange(len(cells)) / len(cells) + phase * (tile + 1))
            around = np.column_stack([np.cos(turns), np.sin(turns)])
            place[cells] = centre + (radius if len(cells) > 1 else 0.0) * around
        passed = _passed(place, ends, 0.12 * radius) if searched else 0
        if passed < fewest:
            best, fewest = place, passed
    return best, radius


def _passed(place: np.ndarray, ends: np.ndarray, near: float) -> int:
    """How often a line runs within `near` of a cell that is not one of its ends."""
    start, along = place[ends[:, 0]], place[ends[:, 1]] - place[ends[:, 0]]
    offset = place[None] - start[:, None]
    share = np.clip(np.einsum("ekx,ex->ek", offset, along) / np.sum(along**2, axis=1)[:, None], 0.0, 1.0)
    distance = np.linalg.norm(offset - share[..., None] * along[:, None], axis=2)
    return int(np.sum(distance < near)) - 2 * len(ends)


def _centres(tiles: int, radius: float) -> np.ndarray:
    """(tiles, 2): clockwise from above, far enough apart for discs of 1.25 radii."""
    ring = 0.0 if tiles == 1 else 1.6 * radius / math.sin(math.pi / tiles)
    angles = math.pi / 2 - 2 * math.pi * np.arange(tiles) / tiles
    return ring * np.column_stack([np.cos(angles), np.sin(angles)])


def _frame_tiles(ax: Axes, placement: Placement, radius: float) -> None:
    """A disc behind each tile, and its name outside of the ring, where no coupling runs; names would not fit on over 40."""
    centres = _centres(len(placement.tiles), radius)
    reach = 1.1 * float(np.abs(centres).max()) + 1.7 * radius
    for tile, centre in enumerate(centres):
        outward = centre / (np.hypot(*centre) or 1.0) if len(centres) > 1 else np.array([0.0, 1.0])
        colour = TILES[tile % len(TILES)]
        ax.add_patch(Circle((centre[0], centre[1]), 1.25 * radius, facecolor=colour, alpha=0.13, linewidth=0, zorder=0))
        if len(centres) <= 40:
            ha = "center" if abs(outward[0]) < 0.3 else "left" if outward[0] > 0 else "right"
            va = "center" if abs(outward[1]) < 0.3 else "bottom" if outward[1] > 0 else "top"
            x, y = (centre + 1.32 * radius * outward).tolist()
            ax.text(x, y, f"tile {tile + 1}", ha=ha, va=va, fontsize=8.5)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach))


def _map(program: AnalogProgram, placement: Placement | None, title: str) -> Figure:
    """|coupling| over the largest, unknowns in the order of the tiles; each pixel is the largest of those it covers."""
    size, first, second, values = couplings_of(program)
    order: Sequence[int] = range(size) if placement is None else placement.by_tile
    position = np.empty(size, dtype=int)
    position[list(order)] = np.arange(size)
    pixels = min(size, PIXELS)
    row, column = position[first] * pixels // size, position[second] * pixels // size
    image = np.zeros((pixels, pixels))
    weights = np.abs(values) / np.abs(values).max(initial=np.finfo(float).tiny)
    np.maximum.at(image, (row, column), weights)
    image = np.maximum(image, image.T)
    figure = Figure(figsize=(7.4, 6.6), layout="constrained")
    ax = figure.subplots()
    shown = ax.imshow(
        np.where(image > 0, image, np.nan),
        cmap="viridis_r",
        vmin=0.0,
        vmax=1.0,
        interpolation="none",
        extent=(0.5, size + 0.5, size + 0.5, 0.5),
    )
    bar = figure.colorbar(shown, ax=ax, shrink=0.8, label="|coupling|, to the largest")
    bar.outline.set_visible(False)
    for side in ("top", "right"):
        ax.spines[side].set_visible(True)
    where = "unknown" if placement is None else "place (tile by tile)"
    ax.set_title(title if placement is None else f"{title}\n{_cut(placement)}", loc="left")
    ax.set(xlabel=where, ylabel=where)
    if placement is not None:
        ends = np.cumsum([0, *map(len, placement.tiles)]) + 0.5
        if len(placement.tiles) <= 64:
            for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
                box = [(start, start), (end, start), (end, end), (start, end), (start, start)]
                ax.plot(*zip(*box, strict=True), color=BLACK, linewidth=0.7)
    return figure
