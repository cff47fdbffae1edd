"""Placement: every cell on one tile, the cut counted by hand, and better than chance and than Kernighan-Lin alone."""

from __future__ import annotations

import math
import time

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.linalg import block_diag

from thermograd.circuits.errors import InputError
from thermograd.compiler.compile import compile_matrix, compile_system
from thermograd.compiler.layout.tiling import Placement, coupling_graph, place_on_tiles
from thermograd.devicemodel.systems import LowRank

from ...systems import passive, spd


def sparse_spd(n: int, couplings: int, seed: int) -> sparse.csr_array:
    """A diagonally dominant random matrix with about that many couplings of either sign."""
    rng = np.random.default_rng(seed)
    i, j = rng.integers(0, n, (2, 2 * couplings))
    keep = i < j
    upper = sparse.coo_array((rng.standard_normal(int(keep.sum())), (i[keep], j[keep])), shape=(n, n))
    a = upper + upper.T
    return sparse.csr_array(a + sparse.diags_array(1.0 + np.asarray(abs(a).sum(axis=1)).ravel()))


def check(placement: Placement, a: np.ndarray, tile: int) -> None:
    """What is true of any placement, by brute force."""
    n = len(a)
    assert sorted(i for cells in placement.tiles for i in cells) == list(range(n))
    assert all(0 < len(cells) <= tile for cells in placement.tiles)
    home = {i: t for t, cells in enumerate(placement.tiles) for i in cells}
    assert placement.tile_of.tolist() == [home[i] for i in range(n)]
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n) if a[i, j] != 0]
    crossing = [(i, j) for i, j in pairs if home[i] != home[j]]
    assert placement.couplings == len(pairs)
    assert sorted(placement.crossing) == crossing
    total = math.fsum(abs(a[pair]) for pair in pairs)
    share = math.fsum(abs(a[pair]) for pair in crossing) / total if pairs else 0.0
    assert placement.crossing_share == pytest.approx(share)
    assert list(placement.outgoing) == [
        sum(t in (home[i], home[j]) for i, j in crossing) for t in range(len(placement.tiles))
    ]
    assert sorted(placement.order) == list(range(n))
    assert sorted(placement.by_tile) == list(range(n))
    assert [home[i] for i in placement.by_tile] == sorted(home.values())
    where = {i: k for k, i in enumerate(placement.order)}
    assert placement.bandwidth == (
        max((j - i for i, j in pairs), default=0),
        max((abs(where[i] - where[j]) for i, j in pairs), default=0),
    )
    assert placement.bandwidth[1] <= placement.bandwidth[0]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.floats(0, 3), st.integers(1, 45), st.integers(0, 10**6), st.booleans())
def test_any_graph_is_placed_and_counted(n: int, degree: float, tile: int, seed: int, as_sparse: bool) -> None:
    a = sparse_spd(n, int(n * degree), seed)
    placement = place_on_tiles(a if as_sparse else a.toarray(), tile)
    check(placement, a.toarray(), tile)
    assert placement == place_on_tiles(a, tile)
    _, parts = sparse.csgraph.connected_components(a)
    sizes = np.bincount(parts)
    assert len(placement.tiles) <= sum(-(-int(size) // tile) for size in sizes)
    if sizes.max() <= tile:
        assert placement.crossing == ()


def test_blocks_of_the_size_of_a_tile_are_found_again() -> None:
    rng = np.random.default_rng(4)
    a = block_diag(*(spd(8, 10.0, seed) for seed in range(6)))
    shuffle = rng.permutation(48)
    placement = place_on_tiles(a[np.ix_(shuffle, shuffle)], 8)
    check(placement, a[np.ix_(shuffle, shuffle)], 8)
    assert placement.crossing == ()
    assert {frozenset(shuffle[list(cells)].tolist()) for cells in placement.tiles} == {
        frozenset(range(8 * k, 8 * k + 8)) for k in range(6)
    }
    assert place_on_tiles(
        a[np.ix_(shuffle, shuffle)], 7
    ).crossing  # the negative control: one cell less, and blocks break


def test_blocks_that_are_weakly_joined_are_cut_at_the_joints() -> None:
    rng = np.random.default_rng(5)
    a = block_diag(*(spd(8, 10.0, seed) for seed in range(4)))
    joints = [(7, 8), (15, 16), (23, 24)]
    for i, j in joints:
        a[i, j] = a[j, i] = 0.05
    shuffle = rng.permutation(32)
    placement = place_on_tiles(a[np.ix_(shuffle, shuffle)], 8)
    assert sorted(tuple(sorted(shuffle[list(pair)].tolist())) for pair in placement.crossing) == joints


def test_the_cut_is_far_below_that_of_a_random_partition() -> None:
    a, tile = sparse_spd(120, 300, seed=6), 20
    share = place_on_tiles(a, tile).crossing_share
    rng = np.random.default_rng(7)
    entries = sparse.triu(a, k=1).tocoo()
    weights = np.abs(entries.data)
    shares = []
    for _ in range(200):
        home = rng.permutation(120) // tile
        shares.append(float(weights[home[entries.row] != home[entries.col]].sum() / weights.sum()))
    # A random cell's partner is on its own tile with probability 19/119; the control: chance itself is not below chance.
    assert np.mean(shares) == pytest.approx(1 - 19 / 119, abs=5 * np.std(shares) / math.sqrt(200))
    assert share < np.mean(shares) - 10 * np.std(shares)
    assert shares[0] > np.mean(shares) - 5 * np.std(shares)


def test_the_cut_is_not_worse_than_recursive_kernighan_lin() -> None:
    def kernighan_lin(graph: nx.Graph, tile: int) -> list[set[int]]:
        if len(graph) <= tile:
            return [set(graph)]
        halves = nx.algorithms.community.kernighan_lin_bisection(graph, weight="weight", seed=0)
        return [cells for half in halves for cells in kernighan_lin(graph.subgraph(half), tile)]

    ours, theirs = 0.0, 0.0
    for seed in range(8):
        a = sparse_spd(64, 150, seed)
        ours += place_on_tiles(a, 16).crossing_share
        graph = coupling_graph(a)
        home = {i: t for t, cells in enumerate(kernighan_lin(graph, 16)) for i in cells}
        weights = {(i, j): w for i, j, w in graph.edges(data="weight")}
        theirs += sum(w for (i, j), w in weights.items() if home[i] != home[j]) / sum(weights.values())
    assert ours <= theirs


@pytest.mark.parametrize("half", [1, 2, 4])
def test_a_shuffled_band_is_a_band_again(half: int) -> None:
    n, rng = 200, np.random.default_rng(8)
    band = sum(np.diag(np.full(n - k, -1.0), k) for k in range(1, half + 1))
    a = band + band.T + (2 * half + 1) * np.eye(n)
    shuffle = rng.permutation(n)
    before, after = place_on_tiles(a[np.ix_(shuffle, shuffle)], 50).bandwidth
    assert before > n / 2
    assert after <= 2 * half
    kept = place_on_tiles(a, 50)
    assert kept.order == tuple(range(n))
    assert kept.bandwidth == (half, half)
    # A band cut into four has three places to cut it, each through half (half + 1) / 2 couplings.
    assert len(kept.crossing) == 3 * half * (half + 1) // 2


def test_a_fan_out_is_a_verdict() -> None:
    ring = 3 * np.eye(12) - np.roll(np.eye(12), 1, axis=0) - np.roll(np.eye(12), -1, axis=0)
    kept, passed = place_on_tiles(ring, 4, fan_out=2), place_on_tiles(ring, 4, fan_out=1)
    assert kept.within_fan_out
    assert kept.over == ()
    assert kept.worst[1] == 2
    assert not passed.within_fan_out
    assert passed.over == (0, 1, 2)
    assert passed.impossible == ()
    assert place_on_tiles(ring, 4).within_fan_out
    assert "kept by every tile" in dict(kept.summary())["fan-out of 2"]
    assert "passed by tiles 1, 2, 3" in dict(passed.summary())["fan-out of 1"]


def test_cells_that_no_placement_could_wire_are_named() -> None:
    star = 12.0 * np.eye(10)
    star[4, :4] = star[:4, 4] = star[4, 5:] = star[5:, 4] = -1.0
    placement = place_on_tiles(star, 4, fan_out=5)
    assert placement.impossible == (4,)  # nine couplings; three partners on its tile, five wires
    assert not placement.within_fan_out
    assert "for unknown 5" in dict(placement.summary())["fan-out of 5"]
    assert place_on_tiles(star, 4, fan_out=6).impossible == ()
    assert place_on_tiles(star, 4, fan_out=6).within_fan_out
    cells = place_on_tiles(star, 1, fan_out=8)  # a limit of the couplings of each cell
    assert [cells.tiles[t] for t in cells.over] == [(4,)]


def test_the_cut_of_fewest_wires_is_taken_where_the_lightest_passes_the_fan_out() -> None:
    # One heavy coupling pulls 0 and 1 together; then a tile has more weak wires than when they part.
    clique = 30.0 * np.eye(4) - 0.1 * (1 - np.eye(4))
    a = block_diag(clique, clique)
    a[3, 4] = a[4, 3] = -9.0
    assert place_on_tiles(a, 4).worst[1] > 1
    limited = place_on_tiles(a, 4, fan_out=1)
    assert limited.within_fan_out
    assert limited.crossing == ((3, 4),)


@pytest.mark.parametrize("fabric", ["rc", "dual_rail", "crossbar", "crossbar_single", "lc", "spu"])
def test_a_program_is_placed_as_its_matrix(fabric: str) -> None:
    a = passive(9, 0.4, seed=3)
    a[np.abs(a) < 0.5] = 0.0
    a += 9 * np.eye(9)
    a = np.diag(np.diag(a)) - np.abs(a - np.diag(np.diag(a)))
    program = compile_matrix(a, fabric)
    placement = place_on_tiles(program, 3)
    check(placement, program.scaling[:, None] * a * program.scaling, 3)


def test_a_sparse_program_is_placed_as_its_matrix() -> None:
    a = sparse_spd(60, 90, seed=11)
    a = sparse.csr_array(2 * sparse.diags_array(a.diagonal()) - abs(a))
    program = compile_matrix(a, "rc")
    assert sparse.issparse(program.target)
    check(place_on_tiles(program, 8), program.scaling[:, None] * a.toarray() * program.scaling, 8)


def test_what_rounding_leaves_out_is_no_coupling() -> None:
    a = np.array([[2.0, -1e-4, -0.5], [-1e-4, 2.0, 0.0], [-0.5, 0.0, 2.0]])
    assert place_on_tiles(compile_matrix(a, "crossbar"), 1).crossing == ((0, 1), (0, 2))
    program = compile_matrix(a, "crossbar", "integrated")
    built = {name for element in program.netlist().elements if (name := element.name).startswith("R1_2")}
    assert built == set()
    assert place_on_tiles(program, 1).crossing == ((0, 2),)


def test_a_cascade_is_placed_by_its_product() -> None:
    j = np.random.default_rng(1).standard_normal((2, 6))
    j[0, 3:] = j[1, :3] = 0.0
    program = compile_system(LowRank(torch.from_numpy(j), damping=0.5), "factored")
    placement = place_on_tiles(program, 3)
    assert placement.tiles == ((0, 1, 2), (3, 4, 5))
    assert placement.crossing == ()


def test_the_graph_carries_tiles_weights_and_signs() -> None:
    a = np.array([[3.0, -1.0, 0.0], [-1.0, 3.0, 0.5], [0.0, 0.5, 3.0]])
    placement = place_on_tiles(a, 2)
    graph = coupling_graph(a, placement)
    assert list(graph) == [0, 1, 2]
    assert graph.edges[0, 1] == {"weight": 1.0, "sign": -1}
    assert graph.edges[1, 2] == {"weight": 0.5, "sign": 1}
    assert graph.number_of_edges() == 2
    assert [graph.nodes[i]["tile"] for i in range(3)] == placement.tile_of.tolist()
    assert placement.crossing == ((1, 2),)
    assert {t for _, t in coupling_graph(a).nodes(data="tile")} == {0}
    with pytest.raises(InputError, match="placement is of 3 unknowns, the program has 2"):
        coupling_graph(np.eye(2), placement)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"tile": 0}, "tile = 0 must be an integer >= 1"),
        ({"tile": 2.0}, "tile = 2.0 must be an integer"),
        ({"tile": True}, "tile = True must be"),
        ({"tile": 2, "fan_out": -1}, "fan_out = -1 must be an integer >= 0"),
        ({"tile": 2, "fan_out": "4"}, "fan_out = '4' must be"),
    ],
)
def test_unusable_arguments_are_named(arguments: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        place_on_tiles(np.eye(3), **arguments)


def test_an_unusable_matrix_is_named() -> None:
    with pytest.raises(InputError, match=r"not symmetric: matrix\[0, 1\]"):
        place_on_tiles(np.array([[1.0, 2.0], [0.0, 1.0]]), 1)


def test_a_summary_says_what_is_between_the_tiles() -> None:
    placement = place_on_tiles(np.array([[3.0, -1.0, 0.0], [-1.0, 3.0, 0.5], [0.0, 0.5, 3.0]]), 2)
    rows = dict(placement.summary())
    assert rows["tiles"] == "2 of at most 2 cells, holding 1 to 2"
    assert rows["couplings between tiles"] == "1 of 2, 33.3 % of the weight"
    assert placement.to_dict()["crossing"] == [[1, 2]]


@pytest.mark.slow
def test_ten_thousand_unknowns_take_seconds() -> None:
    a = sparse_spd(10_000, 50_000, seed=9)
    start = time.process_time()
    placement = place_on_tiles(a, 64)
    assert time.process_time() - start < 20
    assert len(placement.tiles) == 157
    assert placement.crossing_share < 0.8
