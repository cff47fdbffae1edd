"""Placement: the couplings as a graph, cut onto tiles (chips, boards, dies) of a limited number of cells.

With relative weights w_ij = |K_ij| / max |K| of the couplings K that the parts make, the cut minimises

    sum over couplings between tiles of (w_ij + 0.01),

weight first, and of cuts of one weight the one with fewer wires (`partition`). Couplings without a path between them share a tile only as
room allows.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from ...circuits.errors import InputError
from ..matrices import Matrix, dense, is_sparse, upper_entries
from ..program import AnalogProgram
from ..validate import validate
from .partition import labels, partition

WIRE = 0.01
"""What a coupling between tiles costs besides its relative weight."""


@dataclass(frozen=True)
class Placement:
    """Cells on tiles, and what that leaves to be wired between the tiles. Unknowns count from 0.

    Attributes:
        size: number of unknowns n.
        tile: most cells of a tile.
        tiles: the unknowns of each tile, ascending; tiles are in the order in which `order` meets them.
        couplings: number of couplings (pairs of unknowns).
        crossing: the pairs (i, j), i < j, whose cells are on different tiles.
        crossing_share: their part of the total of |K_ij|, 0 to 1.
        outgoing: couplings that leave each tile.
        fan_out: most couplings that may leave a tile; None: no limit.
        impossible: unknowns with more couplings than any placement could wire: over fan_out + tile - 1.
        order: a permutation of the unknowns that brings couplings near the diagonal (reverse Cuthill-McKee; as given if that is
            no better).
        bandwidth: max |i - j| over the couplings as given, and in `order`.
    """

    size: int
    tile: int
    tiles: tuple[tuple[int, ...], ...]
    couplings: int
    crossing: tuple[tuple[int, int], ...]
    crossing_share: float
    outgoing: tuple[int, ...]
    fan_out: int | None
    impossible: tuple[int, ...]
    order: tuple[int, ...]
    bandwidth: tuple[int, int]

    @cached_property
    def tile_of(self) -> np.ndarray:
        """(n,) the tile of each unknown."""
        return labels(self.size, [np.array(tile) for tile in self.tiles])

    @cached_property
    def by_tile(self) -> tuple[int, ...]:
        """A permutation of the unknowns: tile by tile, and within a tile as in `order`."""
        order = np.array(self.order)
        return tuple(order[np.argsort(self.tile_of[order], kind="stable")].tolist())

    @property
    def over(self) -> tuple[int, ...]:
        """The tiles that more couplings leave than `fan_out` allows."""
        return () if self.fan_out is None else tuple(t for t, out in enumerate(self.outgoing) if out > self.fan_out)

    @property
    def within_fan_out(self) -> bool:
        """Whether every tile keeps to `fan_out`; True without a limit."""
        return not self.over

    @property
    def worst(self) -> tuple[int, int]:
        """The tile that most couplings leave, and how many."""
        tile = int(np.argmax(self.outgoing))
        return tile, self.outgoing[tile]

    def summary(self) -> list[tuple[str, str]]:
        """Rows (what, value) for a report."""
        cells = [len(tile) for tile in self.tiles]
        held = f"{min(cells)} to {max(cells)}" if min(cells) < max(cells) else f"{cells[0]}"
        tile, out = self.worst
        before, after = self.bandwidth
        rows = [
            ("tiles", f"{len(self.tiles)} of at most {self.tile} cells, holding {held}"),
            (
                "couplings between tiles",
                f"{len(self.crossing)} of {self.couplings}, {100 * self.crossing_share:.3g} % of the weight",
            ),
            ("most couplings that leave a tile", f"{out} (tile {tile + 1})"),
            ("bandwidth", f"{before} as given, {after} reordered"),
        ]
        if self.fan_out is not None:
            verdict = "kept by every tile" if self.within_fan_out else f"passed by {_listed(self.over, 'tile')}"
            if self.impossible:
                cells_over = _listed(self.impossible, "unknown")
                verdict += f"; no placement can keep it, for {cells_over}: take larger tiles or fewer couplings"
            rows.append((f"fan-out of {self.fan_out}", verdict))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; unknowns and tiles count from 0."""
        return {
            "tile": self.tile,
            "tiles": [list(tile) for tile in self.tiles],
            "couplings": self.couplings,
            "crossing": [list(pair) for pair in self.crossing],
            "crossing_share": self.crossing_share,
            "outgoing": list(self.outgoing),
            "fan_out": self.fan_out,
            "within_fan_out": self.within_fan_out,
            "tiles_over_fan_out": list(self.over),
            "impossible_unknowns": list(self.impossible),
            "order": list(self.order),
            "bandwidth": list(self.bandwidth),
        }


def place_on_tiles(program_or_matrix: Any, tile: int, fan_out: int | None = None) -> Placement:
    """Cut the couplings of a program, or of a symmetric matrix, onto tiles.

    Args:
        program_or_matrix: an `AnalogProgram`, whose parts as built count (a coupling rounded away is none), or what
            `compile_matrix` takes as a matrix, (n, n).
        tile: most cells (unknowns) of a tile, >= 1.
        fan_out: most couplings that may leave a tile, >= 0. Not a condition: see `Placement.within_fan_out`. Where the cut of least
            weight passes it, the cut of fewest wires is taken if its worst tile is better. With tiles of one cell it is a
            limit of the couplings of a cell.

    Raises:
        InputError: an unusable matrix, tile or fan_out.
    """
    tile = _at_least("tile", tile, 1, "number of cells that a tile holds")
    limit = None if fan_out is None else _at_least("fan_out", fan_out, 0, "number of couplings that may leave a tile")
    size, first, second, values = couplings_of(program_or_matrix)
    weights = np.abs(values) / np.abs(values).max(initial=np.finfo(float).tiny)
    order, bandwidth = _banded(size, first, second)

    def placed(cost: np.ndarray) -> Placement:
        tiles = partition(_adjacency(size, first, second, cost), tile)
        position = np.argsort(order)
        tiles = sorted((np.sort(cells) for cells in tiles), key=lambda cells: float(position[cells].mean()))
        label = labels(size, tiles)
        cut = label[first] != label[second]
        ends = np.concatenate([label[first[cut]], label[second[cut]]])
        degree = np.bincount(np.concatenate([first, second]), minlength=size)
        impossible = [] if limit is None else np.flatnonzero(degree > limit + tile - 1).tolist()
        return Placement(
            size=size,
            tile=tile,
            tiles=tuple(tuple(cells.tolist()) for cells in tiles),
            couplings=len(first),
            crossing=tuple(zip(first[cut].tolist(), second[cut].tolist(), strict=True)),
            crossing_share=float(weights[cut].sum() / weights.sum()) if cut.any() else 0.0,
            outgoing=tuple(np.bincount(ends, minlength=len(tiles)).tolist()),
            fan_out=limit,
            impossible=tuple(impossible),
            order=tuple(order.tolist()),
            bandwidth=bandwidth,
        )

    placement = placed(weights + WIRE)
    if placement.within_fan_out:
        return placement
    fewest = placed(np.ones(len(weights)))
    return fewest if fewest.worst[1] < placement.worst[1] else placement


def coupling_graph(program_or_matrix: Any, placement: Placement | None = None) -> nx.Graph:
    """The unknowns 0 to n-1 as nodes, the couplings between them as edges.

    Nodes have the attribute `tile` (0 without a placement); edges `weight`, |K_ij| over the largest, and `sign`, +1 or -1.

    Raises:
        InputError: an unusable matrix; a placement of another number of unknowns.
    """
    size, first, second, values = couplings_of(program_or_matrix)
    if placement is not None and placement.size != size:
        raise InputError(f"placement is of {placement.size} unknowns, the program has {size}; place this program")
    label = np.zeros(size, dtype=int) if placement is None else placement.tile_of
    graph = nx.Graph()
    graph.add_nodes_from((i, {"tile": t}) for i, t in enumerate(label.tolist()))
    weights = (np.abs(values) / np.abs(values).max(initial=np.finfo(float).tiny)).tolist()
    signs = np.sign(values).astype(int).tolist()
    graph.add_edges_from(
        (i, j, {"weight": weight, "sign": sign})
        for i, j, weight, sign in zip(first.tolist(), second.tolist(), weights, signs, strict=True)
    )
    return graph


def couplings_of(program_or_matrix: Any) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """n, and first, second (m,), first < second, and signed values of the couplings; a program's as its parts make them.

    Raises:
        InputError: an unusable matrix.
    """
    if not isinstance(program_or_matrix, AnalogProgram):
        matrix = validate(program_or_matrix)
        return (matrix.shape[0], *upper_entries(matrix))
    program = program_or_matrix
    realised = program.fabric.realised(program.parts, program.technology)
    first, second, values = upper_entries((realised + realised.T) / 2)
    # The products of a cascade leave rounding where the matrix has none.
    meant = _entries(program.target, first, second) != 0
    return program.size, first[meant], second[meant], values[meant]


def _entries(matrix: Matrix, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    if not len(rows):
        return np.zeros(0)
    picked = matrix[rows, columns]
    return np.asarray(dense(picked) if is_sparse(picked) else picked).ravel()


def _at_least(name: str, value: Any, least: int, what: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise InputError(f"{name} = {value!r} must be an integer >= {least}: the {what}; give one")
    return number


def _listed(numbers: tuple[int, ...], what: str) -> str:
    shown = ", ".join(str(number + 1) for number in numbers[:6])
    return f"{what}{'s' if len(numbers) > 1 else ''} {shown}" + (f" and {len(numbers) - 6} more" * (len(numbers) > 6))


def _adjacency(size: int, first: np.ndarray, second: np.ndarray, cost: np.ndarray) -> sparse.csr_array:
    rows, columns = np.concatenate([first, second]), np.concatenate([second, first])
    return sparse.csr_array(sparse.coo_array((np.concatenate([cost, cost]), (rows, columns)), shape=(size, size)))


def _banded(size: int, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """An order of small bandwidth, and the bandwidth before and after."""
    pattern = _adjacency(size, first, second, np.ones(len(first)))
    order = np.asarray(csgraph.reverse_cuthill_mckee(pattern, symmetric_mode=True), dtype=int)
    position = np.argsort(order)
    before = int(np.abs(first - second).max(initial=0))
    after = int(np.abs(position[first] - position[second]).max(initial=0))
    return (order, (before, after)) if after < before else (np.arange(size), (before, before))
