"""The board: what KiCad is given is our circuit, connection by connection and by its solution; packages, ratings, values that are sold."""

from __future__ import annotations

import csv
import dataclasses
import io
import warnings

import kinparse
import numpy as np
import pytest

from thermograd.circuits.errors import InputError, UnrealisableError
from thermograd.circuits.netlist.elements import Capacitor, Resistor
from thermograd.circuits.spice.parameters import value_of
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.analysis.heat import dissipation
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.hand_over.bill import bill_of_materials, parts_list
from thermograd.compiler.hand_over.board import Component, board_of, part_value
from thermograd.compiler.hand_over.bought import bought
from thermograd.compiler.hand_over.kicad import kicad_netlist
from thermograd.compiler.hand_over.packages import DUAL, QUAD, capacitor_package, packages_for, resistor_package

from .boards import PINS, laplacian, number, solved, system

BREADBOARD = preset("breadboard")
E12 = (1.0, 1.2, 1.5, 1.8, 2.2, 2.7, 3.3, 3.9, 4.7, 5.6, 6.8, 8.2)


def read(text):
    """By kinparse, which shares no code with ours; it writes pyparsing's old names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kinparse.parse_netlist(text)


@pytest.fixture(scope="module")
def array():
    """Three unknowns: a quad and a dual, one of whose amplifiers may be spare."""
    matrix, b = system(3)
    program = compile_matrix(matrix, "crossbar_single", BREADBOARD, b=b)
    return program, b, board_of(program, b)


@pytest.fixture(scope="module")
def parsed(array):
    return read(kicad_netlist(array[2]))


def nets_of(parsed):
    return {net.name: sorted((pin.ref, str(pin.num)) for pin in net.pins) for net in parsed.nets}


def test_an_independent_parser_reads_every_connection_back(array, parsed):
    board = array[2]
    ours = {(c.reference, c.value, c.footprint, c.symbol) for c in board.components}
    assert {(part.ref, part.value, part.footprint, part.name) for part in parsed.parts} == ours
    assert nets_of(parsed) == {name: sorted(pins) for name, pins in board.nets().items()}


def test_a_connection_that_is_another_is_read_as_another():
    program = compile_matrix([[1.0]], "rc", BREADBOARD, b=[1.0])
    board = board_of(program, [1.0])
    text, ours = kicad_netlist(board), {name: sorted(pins) for name, pins in board.nets().items()}
    assert nets_of(read(text)) == ours
    broken = text.replace('(node (ref "R1") (pin "1")', '(node (ref "R1") (pin "2")')
    assert broken != text
    assert nets_of(read(broken)) != ours


def test_the_kicad_file_alone_solves_the_system(array, parsed):
    """Values as text, pins as in the data sheets and ideal op-amps; the drives are what the host puts on the connector.

    Control: with inputs and outputs of the packages' second units taken for each other, there is another solution.
    """
    program, _, board = array
    drives = {source.a: source.dc for source in board.bought.circuit.drives}
    x = program.decode(solved(parsed, drives))
    np.testing.assert_allclose(x, board.bought.x, atol=1e-3 * np.abs(board.bought.x).max())
    connector = next(c for c in board.components if c.value == "drive")
    assert [pin.net for pin in connector.pins] == [*drives, "GND"]
    wrong = {name: ([units[0], (6, 7, 5), *units[2:]], *rails) for name, (units, *rails) in PINS.items()}
    try:
        other = program.decode(solved(parsed, drives, wrong))
    except np.linalg.LinAlgError:
        return
    assert not np.allclose(other, x, rtol=0.05)


def test_every_amplifier_has_a_unit_and_spare_ones_follow_ground(array):
    _, _, board = array
    op_amps = [c for c in board.components if c.reference.startswith("U")]
    placed = {amplifier.name: amplifier for amplifier in board.bought.circuit.amplifiers}
    assert sorted(name for c in op_amps for name in c.names) == sorted(placed)
    for component in op_amps:
        package = QUAD if len(component.pins) == 14 else DUAL
        nets = {pin.number: pin.net for pin in component.pins}
        assert len(nets) == len(component.pins)
        for k, unit in enumerate(package.units):
            inputs = nets[unit.non_inverting], nets[unit.inverting]
            if k < len(component.names):
                one = placed[component.names[k]]
                assert (nets[unit.output], *inputs) == (one.outputs[0], "GND", one.inputs[1])
            else:
                assert inputs == ("GND", nets[unit.output])
        # An inverter is in the package of its cell.
        cells = {name.lstrip("i") for name in component.names}
        assert len(cells) <= 2
    decoupling = [c for c in board.components if c.value == "100n"]
    assert len(decoupling) == 2 * len(op_amps)


@pytest.mark.parametrize("count", range(1, 30))
def test_packages_hold_all_amplifiers_with_at_most_one_spare(count):
    units = sum(len(package.units) for package in packages_for(count))
    assert count <= units <= count + 1


def test_power_is_that_of_the_operating_point(array):
    """The sum over resistors is the heat that the law of the fabric states; none sees more than half of its rating."""
    program, b, board = array
    resistors = [c for c in board.components if c.symbol == "R"]
    heat = dissipation(program, board.bought.x, b).total
    assert sum(c.seen for c in resistors) == pytest.approx(heat, rel=1e-3)
    assert all(c.seen <= c.most * (1 + 1e-9) and 2 * c.most <= c.rating for c in resistors)
    # 10 V across a kilohm.
    assert max(c.most for c in resistors) == pytest.approx(0.1)
    currents = [value for c in board.components for value in c.amperes]
    assert len(currents) == len(board.bought.circuit.amplifiers)
    assert 1e-3 < max(map(abs, currents)) < program.technology.opamp.output_current


def test_every_value_is_sold_and_what_rounding_does_is_stated():
    matrix, b = laplacian(5)
    program = compile_matrix(matrix, "rc", BREADBOARD, b=b)
    found = bought(program, b)
    capacitors = found.circuit.netlist.of(Capacitor)
    for part in capacitors:
        mantissa = part.capacitance / 10 ** np.floor(np.log10(part.capacitance) + 1e-9)
        assert min(abs(mantissa / value - 1) for value in (*E12, 10.0)) < 1e-9
    assert {part.name for part in capacitors} & set(found.rounded)
    assert 0.001 < found.largest_change < 0.1
    assert found.solution_change < 1e-12
    # The slowest mode of C dv/dt = -G v, written here.
    for netlist, slowest in ((program.netlist(b), found.slowest_compiled), (found.circuit.netlist, found.slowest)):
        nodes = {f"p{k + 1}": k for k in range(5)}
        g, c = np.zeros((5, 5)), np.zeros(5)
        for part in netlist.of(Resistor):
            ends = [nodes[node] for node in (part.a, part.b) if node in nodes]
            for one in ends:
                for other in ends:
                    g[one, other] += (1 if one == other else -1) / part.resistance
        for part in netlist.of(Capacitor):
            c[nodes[part.a]] += part.capacitance
        assert slowest == pytest.approx(1 / np.linalg.eigvals(g / c[:, None]).real.min(), rel=1e-9)
    assert abs(found.slowest / found.slowest_compiled - 1) > 1e-4


def test_a_resistor_off_the_series_is_rounded_and_moves_the_solution(array):
    program, b, _ = array
    parts = dataclasses.replace(program.parts, inverter=np.full((2, 3), 1 / 1037.0) * [[1.0], [1.03]])
    found = bought(dataclasses.replace(program, parts=parts), b)
    assert {name for name in found.rounded if name.startswith("RI")}
    assert found.rounded["RI1"] == pytest.approx((1037.0, 1050.0)) or found.rounded["RI1"][1] == 1020.0
    assert found.solution_change > 1e-3


def test_bill_and_parts_list_agree_with_the_board(array):
    program, _, board = array
    rows = list(csv.DictReader(io.StringIO(bill_of_materials(board, program.technology))))
    listed = [name for row in rows for name in row["designators"].split()]
    assert sorted(listed) == sorted(c.reference for c in board.components)
    assert all(int(row["quantity"]) == len(row["designators"].split()) for row in rows)
    film = next(row for row in rows if row["part"] == "film capacitor")
    assert (film["value"], film["tolerance_percent"]) == ("10n", "5")
    one = next(row for row in rows if row["part"] == "metal film resistor")
    assert one["tolerance_percent"] == "1"
    parts = {row["designator"]: row for row in csv.DictReader(io.StringIO(parts_list(board)))}
    values = {part.name: value_of(part) for part in board.bought.circuit.own}
    for row in parts.values():
        if row["in_netlist"] in values and row["unit"]:
            assert float(row["number"]) == values[row["in_netlist"]]
            assert number(row["value"]) == pytest.approx(float(row["number"]), rel=1e-3)


def test_a_part_of_other_figures_is_no_tl072():
    matrix, b = system(2)
    technology = BREADBOARD.replace(opamp__gbw=1e7)
    board = board_of(compile_matrix(matrix, "crossbar_single", technology, b=b), b)
    assert {c.symbol for c in board.components if c.amperes} == {"OPAMP_QUAD"}
    assert "gain-bandwidth product 1e+07 Hz" in bill_of_materials(board, technology)


def test_a_passive_board_has_neither_op_amps_nor_supply():
    matrix, b = laplacian(3)
    board = board_of(compile_matrix(matrix, "rc", BREADBOARD, b=b), b)
    assert {c.reference[0] for c in board.components} == {"R", "C", "J"}
    assert [c.value for c in board.components if c.reference[0] == "J"] == ["drive", "readout"]


def test_long_connectors_are_several(array):
    matrix, b = laplacian(45)
    board = board_of(compile_matrix(matrix, "rc", BREADBOARD, b=b), b)
    headers = [c for c in board.components if c.value == "readout"]
    assert [len(c.pins) for c in headers] == [40, 7]
    assert [pin.net for c in headers for pin in c.pins if pin.net != "GND"] == [f"p{k + 1}" for k in range(45)]


@pytest.mark.parametrize(
    ("value", "text"),
    [(4990.0, "4.99k"), (1e-8, "10n"), (1e3, "1k"), (999.0, "999"), (2.2e-6, "2.2u"), (1e6, "1M"), (4.7e-12, "4.7p")],
)
def test_values_are_written_as_on_a_schematic(value, text):
    assert part_value(value) == text
    assert number(text) == pytest.approx(value)


def test_what_cannot_be_bought_is_rejected(array):
    matrix, b = system(2)
    with pytest.raises(UnrealisableError, match="technology integrated states no series"):
        board_of(compile_matrix(matrix, "crossbar", "integrated", b=b), b)
    double = BREADBOARD.replace(opamp__outputs=2)
    with pytest.raises(UnrealisableError, match="amplifiers with two outputs"):
        board_of(compile_matrix(matrix, "crossbar", double, b=b), b)
    with pytest.raises(UnrealisableError, match="not read at rest"):
        board_of(compile_matrix(matrix, "lc", BREADBOARD, b=b), b)
    with pytest.raises(UnrealisableError, match="RX may have to take 3 W"):
        resistor_package("RX", 3.0)
    with pytest.raises(UnrealisableError, match=r"CX has 0\.01 F"):
        capacitor_package("CX", 1e-2, 10.0)
    board = array[2]
    bad = Component("R1", "Device", "R", '1k") (evil "', "x", ())
    with pytest.raises(InputError, match="cannot stand in a KiCad netlist"):
        kicad_netlist(type(board)(board.title, (bad,), board.bought))
