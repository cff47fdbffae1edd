"""Netlists with values as parameters: the same parts in every dialect, the same solution, and one line that changes many parts."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.netlist.elements import GROUND, Element, Resistor, VoltageSource
from thermograd.circuits.spice.parameters import value_of
from thermograd.circuits.spice.read import parse_spice
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix, compile_system
from thermograd.compiler.decks.parametric import parametric_netlist, parametric_spice
from thermograd.compiler.decks.simulators import SIMULATORS
from thermograd.compiler.fabrics.registry import fabric_names
from thermograd.compiler.program import AnalogProgram

from ...circuits.ngspice_command import needs_ngspice, operating_point
from ...systems import low_rank, passive, spd

TECHNOLOGIES = {
    "breadboard": preset("breadboard"),
    "integrated": preset("integrated"),
    "ideal": preset("ideal"),
    "two slices": preset("integrated").replace(resistors__slices=2),
    "drive ranges": preset("integrated").replace(resistors__drive_ranges=6),
    "warm": preset("integrated").replace(thermal__ambient=350.0),
}


def program_of(fabric: str, technology: str, n: int, seed: int) -> AnalogProgram:
    """A compiled random system, of the kind that the fabric takes."""
    board, b = TECHNOLOGIES[technology], np.random.default_rng(seed).standard_normal(n)
    if board.resistors.slices == 2 and fabric != "crossbar":
        board = board.replace(resistors__slices=1)
    if fabric in ("crossbar", "factored", "oscillator"):
        board = board.replace(opamp__outputs=2)
    if fabric == "factored":
        rows = np.random.default_rng(seed).standard_normal((2, n))
        return compile_system(low_rank(J=rows, damping=1.0), fabric, board, b=b)
    matrix = spd(n, 5.0, seed) if fabric.startswith("crossbar") else passive(n, 0.3, seed)
    if fabric in ("rc", "spu"):
        matrix = 2 * np.diag(np.diag(matrix)) - np.abs(matrix)
        matrix += max(0.0, 0.3 - np.linalg.eigvalsh(matrix)[0]) * np.eye(n)
    return compile_matrix(matrix, fabric, board, b=b if fabric.startswith("crossbar") else None)


def drive_of(program: AnalogProgram, seed: int) -> np.ndarray | None:
    return np.random.default_rng(seed).standard_normal(program.size) if program.fabric.mean else None


def alike(one: Element, other: Element) -> bool:
    """Whether two parts are the same to rounding, names of their nodes aside."""
    if type(one) is not type(other):
        return False
    if type(one).__name__ in ("CCVS", "CCCS", "MutualInductance"):
        return True
    return value_of(other) == pytest.approx(value_of(one), rel=1e-14, abs=0.0)


@settings(max_examples=80)
@given(
    st.sampled_from(sorted(fabric_names())),
    st.sampled_from(sorted(TECHNOLOGIES)),
    st.sampled_from(sorted(SIMULATORS)),
    st.booleans(),
    st.integers(1, 4),
    st.integers(0, 10**6),
)
def test_the_text_reads_as_the_same_parts(
    fabric: str, technology: str, dialect: str, hierarchical: bool, n: int, seed: int
) -> None:
    program = program_of(fabric, technology, n, seed)
    b = drive_of(program, seed)
    text = parametric_spice(program, b, dialect, hierarchical)
    assert text.count("{") == len(parametric_netlist(program, b)[1].expressions)
    read = parse_spice(text)
    plain = {part.name: part for part in program.netlist(b)}
    found = {re.sub("_X.*$", "", part.name): part for part in read}
    added = set(found) - set(plain)
    assert set(plain) <= set(found)
    assert all(name.startswith("VOS") and value_of(found[name]) == 0.0 for name in added)
    assert all(alike(part, found[name]) for name, part in plain.items())
    assert read.temperature == pytest.approx(program.technology.thermal.ambient)
    kelvin = program.technology.thermal.ambient
    for name, part in plain.items():
        if isinstance(part, Resistor):
            assert part.noisy == found[name].noisy or dialect == "xyce"
            assert (found[name].temperature or kelvin) == pytest.approx(part.temperature or kelvin)


def test_every_value_of_the_array_is_an_expression_and_names_what_is_above_it() -> None:
    for fabric in fabric_names():
        program = program_of(fabric, "integrated", 3, 1)
        netlist, parameters = parametric_netlist(program, drive_of(program, 1))
        defined = {card.name for card in parameters.cards}
        named = {
            word for text in parameters.expressions.values() for word in re.findall(r"(?<![0-9.])\b[a-z]\w*", text)
        }
        assert named == defined
        left = {part.name for part in netlist} - set(parameters.expressions)
        amplifier = re.compile(r"(RA|E|S?H|VS|I|VOS)[A-Za-z0-9_]*")
        assert all(amplifier.fullmatch(name) for name in left), left


@needs_ngspice
@pytest.mark.parametrize("hierarchical", [False, True])
@pytest.mark.parametrize("fabric", ["rc", "dual_rail", "crossbar", "crossbar_single", "factored"])
def test_ngspice_finds_the_same_solution(fabric: str, hierarchical: bool, tmp_path) -> None:
    program = program_of(fabric, "integrated", 4, 7)
    b = drive_of(program, 7)
    texts = (program.to_spice(b), parametric_spice(program, b, hierarchical=hierarchical))
    plain, named = (operating_point(text, program.nodes, tmp_path) for text in texts)
    np.testing.assert_allclose(named, plain, rtol=1e-8, atol=1e-12)


def changed(text: str, **values: float) -> dict[str, float]:
    """The values of the parts where parameters have other values."""
    for name, value in values.items():
        text, count = re.subn(rf"^\.param {name}=\S+$", f".param {name}={value!r}", text, flags=re.MULTILINE)
        assert count == 1, name
    return {part.name: value_of(part) for part in parse_spice(text)}


def test_one_line_changes_all_that_share_a_value() -> None:
    program = program_of("crossbar_single", "breadboard", 3, 2)
    text = parametric_spice(program, drive_of(program, 2))
    before = changed(text)
    for name, factor, letters in (
        ("unit_r", 2.0, r"R\d+_\d+"),
        ("r_in", 2.0, r"RB\d+"),
        ("r_inverter", 2.0, r"R[IF]\d+"),
        ("unit_c", 2.0, r"C\d+"),
        ("gbw", 0.5, r"CAi?\d+"),
        ("volts_per_unit", 2.0, r"VB\d+"),
        ("b2", 2.0, "VB2"),
    ):
        value = float(re.search(rf"^\.param {name}=(\S+)$", text, flags=re.MULTILINE)[1])
        after = changed(text, **{name: 2.0 * value})
        ratios = {part: after[part] / before[part] for part in before if before[part]}
        moved = {part for part, ratio in ratios.items() if ratio != pytest.approx(1.0, rel=1e-12)}
        assert moved == {part for part in before if re.fullmatch(letters, part)}, name
        assert [ratios[part] for part in moved] == pytest.approx([factor] * len(moved))
    after = changed(text, gain=1e3)
    assert after["G1"] == pytest.approx(1e-3)
    assert after["CA1"] / after["G1"] == pytest.approx(before["CA1"] / before["G1"])  # the bandwidth stays
    assert {name for name, value in changed(text, offset=1e-3).items() if value == 1e-3} == {
        name for name in before if name.startswith("VOS")
    }


@needs_ngspice
@pytest.mark.parametrize("fabric", ["crossbar", "crossbar_single"])
def test_a_common_offset_acts_as_the_law_says(fabric: str, tmp_path) -> None:
    """v moves by K^-1 L Vos, with the second input of each inverter's error at gain 2 in the single-ended array."""
    program = program_of(fabric, "integrated", 3, 5)
    b = drive_of(program, 5)
    text = parametric_spice(program, b)
    zero, moved = (
        operating_point(text.replace(".param offset=0.0", f".param offset={volts}"), program.nodes, tmp_path)
        for volts in (0.0, 1e-3)
    )
    voltages = dict(zip(program.nodes, moved - zero, strict=True))
    shift = program.cell_volts(voltages)
    parts = program.parts
    load = parts.total().sum(axis=1) + parts.drive.mean(axis=0)
    if fabric == "crossbar_single":
        load = load - 2 * (parts.coupling[0] * (parts.polarity < 0)).sum(axis=1)
    expected = np.linalg.solve(program.fabric.realised(parts, program.technology), load * 1e-3)
    np.testing.assert_allclose(shift, expected, rtol=5e-3)


@pytest.mark.parametrize("dialect", SIMULATORS)
def test_temperature_is_one_card(dialect: str) -> None:
    program = program_of("rc", "ideal", 2, 3)
    text = parametric_spice(program, drive_of(program, 3), dialect)
    card = {"ngspice": ".options temp=27.0", "ltspice": ".temp 27.0", "xyce": ".options device temp=27.0"}[dialect]
    assert text.count(card) == 1
    read = parse_spice(text.replace(card, card.replace("27.0", "327.0")))
    assert read.temperature == pytest.approx(600.15)
    assert all(part.temperature is None for part in read.of(Resistor))


def test_offsets_of_a_die_stay_beside_the_common_one() -> None:
    program = program_of("crossbar", "integrated", 3, 4)
    die = program.on(Die(program.technology, 1))
    b = drive_of(program, 4)
    text = parametric_spice(die, b)
    plain = {part.name: value_of(part) for part in die.netlist(b)}
    assert changed(text) == pytest.approx({name: plain[name] for name in plain}, rel=1e-14)
    moved = changed(text, offset=1e-3)
    assert moved["VOS1"] == pytest.approx(plain["VOS1"] + 1e-3)
    assert moved["R1_1p"] == pytest.approx(plain["R1_1p"])


def test_a_macromodel_keeps_its_numbers() -> None:
    program = program_of("crossbar_single", "breadboard", 2, 6)
    netlist, parameters = parametric_netlist(program, [1.0, 2.0], Macromodel(program.technology.opamp))
    own = {name for name in parameters.expressions if not re.fullmatch(r"R\d_\d|R[BIF]\d|C\d|VB\d", name)}
    assert own == {part.name for part in netlist.of(VoltageSource) if part.name.startswith("VOS")}
    assert {card.name for card in parameters.cards} == {
        *("unit_r", "unit_c", "r_in", "offset", "volts_per_unit", "b1", "b2"),
        *(("r_inverter",) if program.parts.inverted().size else ()),
    }
    text = parametric_spice(program, [1.0, 2.0], amplifier=Macromodel(program.technology.opamp))
    assert parse_spice(text.replace("{offset}", "0.0"))  # behavioural parts are ngspice's and read by this package
    assert GROUND in netlist["RA1"].nodes
