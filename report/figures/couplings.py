"""Couplings of a program, as a graph or as a map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from ...compiler.layout.tiling import Placement, coupling_graph, couplings_of
from ...compiler.program import AnalogProgram
from .style import BLACK, DIVERGING, GREEN, GREY, PALE, PURPLE, SKY

PIXELS = 250
"""Maximum number of rows of the map."""
NAMED = 100
"""Maximum number of nodes with labels."""
VECTORS = 5000
"""Maximum number of lines in a vector file; beyond, they are rasterised."""
POSITIVE, NEGATIVE = DIVERGING(1.0), DIVERGING(0.0)
TILES = (GREEN, PURPLE, SKY, "#F0E442", GREY, "#A6761D", "#66C2A5", "#B3B3FF")
"""Colours of tiles, in turn, without those of the signs."""


def graph_picture(program: AnalogProgram, placement: Placement | None, title: str) -> Figure:
    """The tiles' nodes on circles, arranged on a larger one; or, without tiles, a force-directed layout."""
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
    # Tens of thousands of paths are too slow to view in a vector file.
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
    handles.append(Line2D([], [], color=GREY, linewidth=3.0 * busy**0.5, label="width: strength"))
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
        handles.append(Line2D([], [], color=TILES[0], label="colour: tile", **node))
    figure.legend(handles=handles, loc="outside right center")
    return figure


def _cut(placement: Placement) -> str:
    crossing = dict(placement.summary())["couplings between tiles"]
    return f"{counted(len(placement.tiles), 'tile')}; couplings between tiles: {crossing}"


def _springs(graph: nx.Graph) -> tuple[np.ndarray, float]:
    if not graph.number_of_edges():
        place = nx.circular_layout(graph)
    else:
        place = nx.spring_layout(graph, seed=0, iterations=200, k=2.5 / math.sqrt(len(graph)), weight=None)
    return np.array([place[i] for i in range(len(graph))]), 1.0


def _circles(placement: Placement, graph: nx.Graph) -> tuple[np.ndarray, float]:
    """(n, 2) places, and the radius of a tile's circle; rotated so that few couplings pass over other cells."""
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
    """Number of times that a line passes within `near` of a cell that is not one of its ends."""
    start, along = place[ends[:, 0]], place[ends[:, 1]] - place[ends[:, 0]]
    offset = place[None] - start[:, None]
    share = np.clip(np.einsum("ekx,ex->ek", offset, along) / np.sum(along**2, axis=1)[:, None], 0.0, 1.0)
    distance = np.linalg.norm(offset - share[..., None] * along[:, None], axis=2)
    return int(np.sum(distance < near)) - 2 * len(ends)


def _centres(tiles: int, radius: float) -> np.ndarray:
    """Centres (tiles, 2), clockwise from the top, far enough apart for discs of 1.25 radii."""
    ring = 0.0 if tiles == 1 else 1.6 * radius / math.sin(math.pi / tiles)
    angles = math.pi / 2 - 2 * math.pi * np.arange(tiles) / tiles
    return ring * np.column_stack([np.cos(angles), np.sin(angles)])


def _frame_tiles(ax: Axes, placement: Placement, radius: float) -> None:
    """A disc behind each tile, with its name outside of the ring, clear of couplings, for up to 40 tiles."""
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


def map_picture(program: AnalogProgram, placement: Placement | None, title: str) -> Figure:
    """|coupling| relative to the largest, unknowns in the order of the tiles; a pixel shows the maximum over the entries it covers."""
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
    bar = figure.colorbar(shown, ax=ax, shrink=0.8, label="|coupling|, relative to the largest")
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


def counted(count: int, what: str) -> str:
    """A count with its noun: 1 tile, 2 tiles."""
    return f"{count} {what}{'s' if count > 1 else ''}"
