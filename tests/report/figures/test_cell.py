"""The drawn cell is the circuit that the compiler emits."""

from __future__ import annotations

from matplotlib.figure import Figure

from thermograd.circuits.netlist.netlist import Netlist
from thermograd.compiler.compile import compile_matrix
from thermograd.report.figures.cell import draw_cell


def drawn_resistors() -> set[tuple[str, str]]:
    """(column, summing line) of every crosspoint of the drawn integrator cell, by position."""
    ax = Figure().add_subplot()
    draw_cell(ax)
    columns = {text.get_position()[0]: text.get_text() for text in ax.texts if text.get_position()[1] > 4}
    zigzags = [line.get_xydata() for line in ax.lines if len(line.get_xdata()) == 10]
    lines = sorted({round(path[-1][1], 6) for path in zigzags})
    return {(columns[path[0][0]], {lines[0]: "e⁻", lines[1]: "e⁺"}[round(path[-1][1], 6)]) for path in zigzags}


def emitted_resistors(netlist: Netlist) -> set[tuple[str, str]]:
    """The same of row 1 of a two-cell crossbar's netlist."""
    names = {"p1": "p₁", "m1": "m₁", "p2": "p₂", "m2": "m₂", "bp1": "b⁺", "bm1": "b⁻", "ep1": "e⁺", "em1": "e⁻"}
    found = [netlist[name] for name in ("R1_1p", "R1_1m", "R1_2p", "R1_2m", "RB1p", "RB1m")]
    return {(names[resistor.a], names[resistor.b]) for resistor in found}


def test_the_schematic_is_the_emitted_circuit() -> None:
    mixed = compile_matrix([[2.0, -0.5], [-0.5, 1.0]], fabric="crossbar").netlist(b=[1.0, 0.0])
    assert drawn_resistors() == emitted_resistors(mixed)
    positive = compile_matrix([[2.0, 0.5], [0.5, 1.0]], fabric="crossbar").netlist(b=[1.0, 0.0])
    assert drawn_resistors() != emitted_resistors(positive)  # the picture's second entry is negative
