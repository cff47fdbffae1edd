"""Pictures of programs: every part, value and node of the netlist is on the schematic; graphs and maps hold every coupling."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.elements import Capacitor, Inductor, Resistor
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.technology.die import Die
from thermograd.compiler.compile import compile_matrix, compile_system
from thermograd.compiler.layout.tiling import place_on_tiles
from thermograd.compiler.program import AnalogProgram
from thermograd.devicemodel.systems import LowRank
from thermograd.report.figures.couplings import NEGATIVE, POSITIVE
from thermograd.report.figures.program import draw_program, write_picture
from thermograd.report.formatting import engineering

from ...systems import built_for

FABRICS = ["rc", "dual_rail", "crossbar", "crossbar_single", "lc", "spu", "oscillator"]


def matrix(n: int, signed: bool, density: float = 1.0) -> np.ndarray:
    """Diagonally dominant, so that every fabric takes it; an M-matrix unless signed."""
    rng = np.random.default_rng([n, signed])
    a = rng.standard_normal((n, n)) * (rng.uniform(size=(n, n)) < density)
    a = (a + a.T) / 2
    a = a if signed else -np.abs(a)
    np.fill_diagonal(a, 0)
    np.fill_diagonal(a, np.abs(a).sum(axis=1) + 0.3)
    return a


def compiled(fabric: str, n: int, technology: str = "breadboard") -> AnalogProgram:
    return compile_matrix(matrix(n, fabric not in ("rc", "spu")), fabric, built_for(fabric, technology), check=False)


def words(figure: Figure) -> set[str]:
    texts = [text.get_text() for text in figure.findobj(Text)]
    return {word for text in texts for line in text.split("\n") for word in (line, *line.replace(":", "").split())}


def lines_of(figure: Figure) -> set[str]:
    return {line for text in figure.findobj(Text) for line in text.get_text().split("\n")}


def built(netlist: Netlist) -> list[Resistor | Capacitor | Inductor]:
    """The parts that somebody would solder; those inside of an amplifier's macromodel are not."""
    return [
        part
        for part in netlist.elements
        if isinstance(part, Resistor | Capacitor | Inductor) and not {part.a, part.b} & inner(netlist)
    ]


def inner(netlist: Netlist) -> set[str]:
    """The gain nodes of the amplifiers' macromodels."""
    return {node for node in netlist.nodes if node[0] == "a"}


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("fabric", FABRICS)
def test_a_small_program_shows_every_part_value_and_node(fabric: str, n: int) -> None:
    program = compiled(fabric, n)
    netlist = program.netlist()
    figure = draw_program(program)
    seen, lines = words(figure), lines_of(figure)
    parts = built(netlist)
    assert len(parts) >= 2 * n
    for part in parts:
        assert part.name in seen
        if isinstance(part, Resistor):
            value = engineering(part.resistance, "Ω")
        elif isinstance(part, Capacitor):
            value = engineering(part.capacitance, "F")
        else:
            value = engineering(part.inductance, "H")
        assert value in lines or f"{part.name} {value}" in lines
    assert set(netlist.nodes) - {"0"} - inner(netlist) <= seen
    assert f"{n} unknown{'s' if n > 1 else ''}, technology breadboard" in lines


@pytest.mark.parametrize("fabric", FABRICS)
def test_no_two_labels_of_a_schematic_overlap(fabric: str) -> None:
    figure = draw_program(compiled(fabric, 4))
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    renderer = FigureCanvasAgg(figure).get_renderer()
    left, low, right, high = np.array([text.get_window_extent(renderer).extents for text in texts]).T
    edge = figure.bbox
    assert (edge.x0 <= left).all()
    assert (right <= edge.x1).all()
    assert (edge.y0 <= low).all()
    assert (high <= edge.y1).all()
    beside = (left[:, None] <= right) & (left <= right[:, None]) & (low[:, None] <= high) & (low <= high[:, None])
    one, other = np.nonzero(np.triu(beside, 1))
    assert not len(one), [(texts[a].get_text(), texts[b].get_text()) for a, b in zip(one, other, strict=True)]


def test_the_parts_of_a_die_are_drawn_with_its_values() -> None:
    program = compiled("crossbar_single", 2, "integrated")
    on_die = program.on(Die(program.technology, 7))
    nominal, real = lines_of(draw_program(program)), lines_of(draw_program(on_die))
    resistor = next(part for part in built(on_die.netlist()) if part.name == "R1_1")
    assert engineering(resistor.resistance, "Ω") in real
    assert engineering(resistor.resistance, "Ω") not in nominal
    assert any(line.startswith("Vos ") for line in real)
    assert not any(line.startswith("Vos ") for line in nominal)


@pytest.mark.parametrize("tile", [None, 4, 7, 16])
def test_a_graph_has_a_node_for_each_unknown_and_a_line_for_each_coupling(tile: int | None) -> None:
    a = matrix(16, True, density=0.3)
    program = compile_matrix(a, "crossbar", check=False)
    placement = None if tile is None else place_on_tiles(program, tile)
    figure = draw_program(program, placement)
    ax = figure.axes[0]
    nodes = next(c for c in ax.collections if isinstance(c, PathCollection))
    assert len(nodes.get_offsets()) == 16
    assert {str(k) for k in range(1, 17)} <= words(figure)
    edges = next(c for c in ax.collections if isinstance(c, LineCollection))
    upper = a[np.triu_indices(16, 1)]
    strengths = np.sort(np.abs(upper[upper != 0]))
    assert len(edges.get_segments()) == len(strengths)
    widths = np.asarray(edges.get_linewidths())
    assert np.all(np.diff(widths) >= 0)
    shades = [to_rgb(colour) for colour in edges.get_colors()]
    assert shades.count(to_rgb(POSITIVE)) == np.sum(upper > 0)
    assert shades.count(to_rgb(NEGATIVE)) == np.sum(upper < 0)
    places = np.asarray(nodes.get_offsets())
    for segment in edges.get_segments():  # every line ends on two nodes, and no two nodes are in one place
        assert all(np.min(np.linalg.norm(places - end, axis=1)) < 1e-9 for end in segment)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + np.eye(16)
    assert apart.min() > 0.01
    if placement is not None:
        faces = [tuple(face) for face in nodes.get_facecolors()]
        assert len(set(faces)) == len(placement.tiles)
        for cells in placement.tiles:
            assert len({faces[i] for i in cells}) == 1
        assert f"tile {len(placement.tiles)}" in lines_of(figure)


def test_a_cascade_is_drawn_as_a_graph() -> None:
    j = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 4)))
    figure = draw_program(compile_system(LowRank(j, damping=0.5), "factored", check=False))
    nodes = next(c for c in figure.axes[0].collections if isinstance(c, PathCollection))
    assert len(nodes.get_offsets()) == 4


def test_a_map_holds_the_strongest_coupling_of_each_pixel_in_the_order_of_the_tiles() -> None:
    n, half = 400, 2
    a = 5.0 * np.eye(n)
    for k in range(1, half + 1):
        a -= np.diag(np.full(n - k, 1.0 / k), k) + np.diag(np.full(n - k, 1.0 / k), -k)
    shuffle = np.random.default_rng(3).permutation(n)
    program = compile_matrix(a[np.ix_(shuffle, shuffle)], "rc", check=False)
    placement = place_on_tiles(program, 100)
    pixels = np.ma.filled(draw_program(program, placement).axes[0].images[0].get_array(), np.nan)
    assert np.nanmax(pixels) == 1.0
    rows, columns = np.nonzero(~np.isnan(pixels))
    assert np.abs(rows - columns).max() < 10  # a band again
    scattered = np.ma.filled(draw_program(program).axes[0].images[0].get_array(), np.nan)
    rows, columns = np.nonzero(~np.isnan(scattered))
    assert np.abs(rows - columns).max() > 100


@pytest.mark.parametrize(("suffix", "magic"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_a_picture_is_written_whole_and_always_alike(tmp_path: Path, suffix: str, magic: bytes) -> None:
    before = dict(matplotlib.rcParams)
    program = compiled("dual_rail", 2)
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    write_picture(program, first)
    write_picture(program, second)
    assert first.read_bytes().startswith(magic)
    assert first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}", f"b{suffix}"]
    assert dict(matplotlib.rcParams) == before
    if suffix == ".svg":
        assert ET.parse(first).getroot().tag.endswith("svg")


def test_a_graph_is_always_alike(tmp_path: Path) -> None:
    program = compile_matrix(matrix(9, True), "crossbar", check=False)
    for placement in (None, place_on_tiles(program, 3)):
        write_picture(program, tmp_path / "a.svg", placement)
        write_picture(program, str(tmp_path / "b.svg"), placement)
        assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_unusable_arguments_are_named(tmp_path: Path) -> None:
    program = compiled("rc", 2)
    with pytest.raises(InputError, match=r"suffix '.gif'; use .svg or .png or .pdf"):
        write_picture(program, tmp_path / "a.gif")
    with pytest.raises(InputError, match="placement is of 3 unknowns, the program has 2"):
        draw_program(program, place_on_tiles(np.eye(3), 1))
    assert list(tmp_path.iterdir()) == []


def test_pyplot_is_never_loaded() -> None:
    script = "import sys, thermograd.report.figures.program; print('matplotlib.pyplot' in sys.modules, 'torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    assert run.stdout.split() == ["False", "False"]
