"""The extracted netlist: which parts the layout adds, where they are, and that nothing else changes."""

import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.errors import InputError, UnrealisableError
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.elements import Capacitor, Resistor, VoltageSource
from thermograd.circuits.spice.read import parse_spice
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix, compile_system, lay_out
from thermograd.compiler.fabrics.registry import fabric_names
from thermograd.compiler.layout.extraction import extract_layout, extracted_netlist

from ...systems import built_for, low_rank, passive, spd
from ..oracle import operating_point

ARRAYS = fabric_names("has_layout")

BOLTZMANN = 1.380649e-23
IDEAL = preset("ideal")
LAYOUT = {
    "switches__on_resistance": 20.0,
    "switches__leakage": 1e-6,
    "wires__segment_resistance": 3.0,
    "wires__segment_capacitance": 2e-14,
    "wires__crosspoint_capacitance": 1e-14,
    "wires__input_capacitance": 5e-13,
    "dac__resistance": 50.0,
    "dac__capacitance": 1e-12,
}
MIXED = np.array([[2.0, -0.5, 0.3], [-0.5, 1.0, 0.0], [0.3, 0.0, 1.5]])
B = np.array([1.0, -2.0, 0.5])


def links(netlist, pattern):
    """Name -> (a, b) of the parts whose whole name matches."""
    return {part.name: (part.a, part.b) for part in netlist if re.fullmatch(pattern, part.name)}


# What is there


@pytest.mark.parametrize("fabric", ARRAYS)
@pytest.mark.parametrize("technology", ["ideal", "breadboard"])
def test_records_of_zeros_leave_the_schematic_as_it_is(fabric, technology):
    tech = built_for(fabric, technology).replace(opamp__gain=1e3)
    program = compile_matrix(MIXED, fabric, tech, b=B).on(Die(tech, 3))
    schematic, found = program.netlist(B, 0.1 * B), extracted_netlist(program, B, 0.1 * B)
    assert found.elements == schematic.elements
    assert found.cards() == schematic.cards()
    assert [found.group_of(part.name) for part in found] == [schematic.group_of(part.name) for part in schematic]
    np.testing.assert_array_equal(
        program.decode(operating_point(found.to_spice())), program.decode(operating_point(program.to_spice(B)))
    )


def test_a_single_ended_pair_is_wired_as_the_docstring_draws_it():
    technology = IDEAL.replace(**LAYOUT)
    netlist = extracted_netlist(lay_out([[2.0, -1.0], [-1.0, 2.0]], "crossbar_single", technology), [1.0, 2.0])
    resistors = {part.name: (part.a, part.b, part.resistance) for part in netlist.of(Resistor)}
    wires = {
        "RWp1_1": ("p1_1", "p1"),
        "RWp1_2": ("p1_2", "p1_1"),
        "RWn2_1": ("n2_1", "n2"),
        "RWn2_2": ("n2_2", "n2_1"),
        "RWe2_1": ("e2_1", "e2_2"),
        "RWe2_2": ("e2_2", "e2"),
    }
    for name, ends in wires.items():
        assert resistors[name] == (*ends, 3.0)
    assert resistors["R1_2"] == ("n2_1", "s1_2", 2000.0)
    assert resistors["RS1_2"] == ("s1_2", "e1_2", 20.0)
    assert resistors["R2_2"] == ("p2_2", "s2_2", 1000.0)
    assert resistors["RL2_1p"] == ("p1_2", "e2_1", 1e6)
    assert resistors["RDAC1"] == ("d1", "b1", 50.0)
    assert resistors["RB1"][:2] == ("b1", "e1")
    assert (netlist["VB1"].a, netlist["VB1"].b) == ("d1", "0")
    capacitors = {part.name: (part.a, part.b, part.capacitance) for part in netlist.of(Capacitor)}
    assert capacitors["CWe1_2"] == ("e1_2", "0", 2e-14)
    assert capacitors["CX2_1n"] == ("n1_2", "e2_1", 1e-14)
    assert capacitors["CIe2"] == ("e2", "0", 5e-13)
    assert capacitors["CIh1"] == ("h1", "0", 5e-13)
    assert capacitors["CDAC2"] == ("b2", "0", 1e-12)
    assert capacitors["C1"][:2] == ("p1", "e1")


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(0, 10**6), st.sampled_from(ARRAYS))
def test_every_place_holds_a_resistor_or_an_open_switch_at_the_taps_of_its_lines(n, seed, fabric):
    rng = np.random.default_rng(seed)
    entries = np.triu(rng.choice([-1.0, 0.0, 1.0], (n, n)) * rng.uniform(0.1, 1.0, (n, n)), 1)
    matrix = entries + entries.T + n * np.eye(n)
    program = lay_out(matrix, fabric, IDEAL.replace(**LAYOUT))
    netlist = extracted_netlist(program)
    columns = ("p", "m") if fabric != "crossbar_single" else ("p", "n")
    rails = ("p", "m") if fabric != "crossbar_single" else ("",)
    there = [
        (letter, j) for letter in columns for j in range(1, n + 1) if letter != "n" or (matrix[:, j - 1] < 0).any()
    ]
    places = {(f"{letter}{j}_{i}", f"e{rail}{i}_{j}") for letter, j in there for i in range(1, n + 1) for rail in rails}
    closed = links(netlist, r"R\d+_\d+[pm]?")
    assert all(netlist[f"RS{name[1:]}"].a == middle for name, (_, middle) in closed.items())
    used = {(column, netlist[f"RS{name[1:]}"].b) for name, (column, _) in closed.items()}
    unused = set(links(netlist, r"RL\d+_.*").values())
    assert used | unused == places
    assert not used & unused
    assert len(used) == len(rails) * np.count_nonzero(matrix)
    assert set(links(netlist, r"CX.*").values()) == places
    # Positive entries feed the like rail, negative ones the other.
    signs = {
        (int(i), int(j)): +1 if letter == (rail or "p") else -1
        for letter, j, rail, i in (re.findall(r"([pmn])(\d+)_\d+ e([pm]?)(\d+)_", " ".join(ends))[0] for ends in used)
    }
    assert all(np.sign(matrix[i - 1, j - 1]) == sign for (i, j), sign in signs.items())
    # Each line is a chain from its amplifier, with a capacitor at each tap.
    for line in (*(f"{letter}{j}" for letter, j in there), *(f"e{rail}{i}" for rail in rails for i in range(1, n + 1))):
        segments = links(netlist, rf"RW{line}_\d+")
        order = range(1, n + 1) if line[0] != "e" else range(n, 0, -1)
        towards = line
        for k in order:
            assert segments.pop(f"RW{line}_{k}") == (f"{line}_{k}", towards)
            assert netlist[f"CW{line}_{k}"].nodes == (f"{line}_{k}", "0")
            towards = f"{line}_{k}"
        assert not segments
    assert netlist.cards() == extracted_netlist(program).cards()
    assert netlist.elements == extract_layout(program.netlist(), program).elements


def test_a_line_without_resistance_is_one_node_with_all_of_its_capacitance():
    netlist = extracted_netlist(
        lay_out(MIXED, "crossbar", IDEAL.replace(**LAYOUT | {"wires__segment_resistance": 0.0})), B
    )
    assert not links(netlist, "RW.*")
    assert not [node for node in netlist.nodes if re.fullmatch(r"[pme]+\d+_\d+", node)]
    held = [part.capacitance for part in netlist.of(Capacitor) if part.name.startswith("CWp2_")]
    assert sum(held) == pytest.approx(3 * 2e-14)
    assert {netlist[f"CWp2_{k}"].a for k in (1, 2, 3)} == {"p2"}


def test_without_on_resistance_a_resistor_sits_between_the_lines_themselves():
    netlist = extracted_netlist(lay_out(MIXED, "crossbar", IDEAL.replace(wires__segment_resistance=1.0)))
    assert netlist["R1_2m"].nodes == ("p2_1", "em1_2")
    assert not links(netlist, "R[SLD].*|C[XWID].*")


def test_drive_offsets_and_amplifiers_are_those_of_the_schematic():
    technology = preset("integrated").replace(**LAYOUT)
    program = compile_matrix(MIXED, "crossbar", technology, b=B).on(Die(technology, 5))
    schematic, netlist = program.netlist(B), extracted_netlist(program, B)
    kept = [part for part in schematic if not isinstance(part, Resistor | VoltageSource)]
    assert len(kept) > 10
    assert all(netlist[part.name] == part for part in kept)
    for part in schematic.of(VoltageSource):
        assert (netlist[part.name].dc, netlist[part.name].b) == (part.dc, part.b)
    for part in schematic.of(Resistor):
        assert (netlist[part.name].resistance, netlist[part.name].temperature, netlist[part.name].noisy) == (
            part.resistance,
            part.temperature,
            part.noisy,
        )


def test_other_amplifiers_fit_between_the_same_lines():
    for fabric in ARRAYS:
        technology = built_for(fabric, "breadboard").replace(**LAYOUT)
        program = compile_matrix(MIXED, fabric, technology, b=B)
        netlist = extracted_netlist(program, B, amplifier=Macromodel(technology.opamp))
        volts = operating_point(netlist.linearised().to_spice())
        expected = operating_point(extracted_netlist(program, B).to_spice())
        # Inside the feedback an output resistance makes no static error but through the gain, which drops from 2e5 by its load.
        np.testing.assert_allclose(program.decode(volts), program.decode(expected), rtol=1e-2)


@pytest.mark.parametrize("fabric", ["rc", "dual_rail", "lc", "spu", "factored"])
def test_fabrics_without_a_layout_say_which_have_one(fabric):
    matrix = 2 * np.diag(np.diag(passive(3, 0.4, 1))) - np.abs(passive(3, 0.4, 1))
    if fabric == "factored":
        program = compile_system(low_rank(J=np.eye(2, 3), H=None, damping=0.5), "factored")
    else:
        program = compile_matrix(matrix, fabric)
    with pytest.raises(UnrealisableError, match=rf"fabric {fabric} has no layout.*crossbar or crossbar_single"):
        extracted_netlist(program)


def test_the_netlist_of_another_program_is_rejected():
    small, large = (lay_out(spd(n, 10.0, 1), "crossbar", IDEAL) for n in (2, 3))
    with pytest.raises(InputError, match="lacks line m3 of the program"):
        extract_layout(small.netlist(), large)


# Text


@pytest.mark.parametrize("fabric", ARRAYS)
def test_the_text_reads_back_as_the_same_parts(fabric):
    technology = preset("integrated").replace(**LAYOUT)
    netlist = extracted_netlist(compile_matrix(MIXED, fabric, technology, b=B), B)
    text = netlist.to_spice()
    assert parse_spice(text).cards() == netlist.cards()
    assert "* wires: 3.0 ohm and 2e-14 F from crosspoint to crosspoint" in text
    assert "x_k = " in text
    for dialect in ("ltspice", "xyce"):
        assert "RWp1_1 p1_1 p1 3.0" in netlist.to_spice(dialect)


@pytest.mark.parametrize("fabric", ARRAYS)
def test_each_row_is_a_cell_of_the_hierarchical_text(fabric):
    program = compile_matrix(MIXED, fabric, preset("integrated").replace(**LAYOUT), b=B)
    netlist = extracted_netlist(program, B)
    assert all(netlist.group_of(part.name) for part in netlist)
    assert netlist.group_of("RS3_1" + ("p" if fabric != "crossbar_single" else "")) == "cell3"
    text = netlist.to_spice(analysis=program.analysis(), hierarchical=True)
    flat = operating_point(netlist.to_spice())
    nested = parse_spice(text)
    np.testing.assert_allclose(program.decode(operating_point(nested.to_spice())), program.decode(flat), rtol=1e-9)


def test_sixty_four_unknowns_are_a_matter_of_a_second():
    program = lay_out(spd(64, 10.0, 1), "crossbar", preset("integrated"))
    program.netlist()
    began = time.perf_counter()
    netlist = extracted_netlist(program, np.ones(64))
    assert time.perf_counter() - began < 5.0  # 0.3 s on a quiet machine
    # 4 x 64 lines of 64 segments.
    assert len(links(netlist, "RW.*")) == 4 * 64 * 64
    assert len(links(netlist, "RS.*|RL.*")) == 4 * 64 * 64
    netlist.check()


# Temperature, noise and state


def test_wires_and_switches_are_as_warm_as_their_crosspoint():
    technology = IDEAL.replace(**LAYOUT, thermal__to_hot=1e-2, thermal__hot_temperature=400.0)
    program = lay_out(spd(4, 10.0, 2), "crossbar", technology).on(Die(technology, None))
    netlist, kelvin = extracted_netlist(program), program.parts.coupling_temperature
    assert np.ptp(kelvin) > 5
    for i, j in ((0, 0), (3, 1), (1, 3)):
        place = f"{i + 1}_{j + 1}"
        names = (f"RWp{j + 1}_{i + 1}", f"RWem{i + 1}_{j + 1}", f"RS{place}p", f"R{place}p")
        open_switch = links(netlist, rf"RL{place}p[pm]")
        assert len(open_switch) == 1
        for name in (*names, *open_switch):
            assert netlist[name].temperature == kelvin[i, j]
    assert all(part.noisy for part in netlist.of(Resistor) if not part.name.startswith("RA"))


def test_a_dacs_output_has_the_noise_of_kt_over_its_capacitance():
    # Between an ideal source and a virtual ground it is at equilibrium, whatever the resistors are.
    technology = IDEAL.replace(thermal__ambient=320.0, dac__resistance=300.0, dac__capacitance=2e-12)
    for fabric, node in (("crossbar", "bp1"), ("crossbar_single", "b1")):
        space = state_space(extracted_netlist(lay_out([[1.0]], fabric, technology)), {"b": (node, "0")})
        assert space.covariance()[0, 0] == pytest.approx(BOLTZMANN * 320.0 / 2e-12, rel=1e-6)
    quiet = state_space(
        extracted_netlist(lay_out([[1.0]], "crossbar", technology.replace(dac__resistance=0.0))), {"b": ("bp1", "0")}
    )
    assert quiet.covariance()[0, 0] == 0.0


@pytest.mark.parametrize("fabric", ARRAYS)
def test_the_circuit_starts_at_the_given_state_with_its_columns_charged(fabric):
    technology = preset("integrated").replace(**LAYOUT)
    program = compile_matrix(MIXED, fabric, technology, b=B)
    x0 = np.array([0.3, -0.2, 0.1])
    outputs = {f"x{i}": pair for i, pair in enumerate(program.readouts)} | {"far": ("p1_3", "0")}
    space = state_space(extracted_netlist(program, B, x0), outputs)
    start = space.H @ space.initial + space.Du @ space.nominal
    np.testing.assert_allclose(start[:3] / program.volts_per_unit, x0, atol=1e-12)
    # Every tap of a column is where its amplifier is, but for the amplifier's own input voltage, v / A0.
    volts = x0[0] * program.volts_per_unit / (2 if fabric != "crossbar_single" else 1)
    assert start[3] == pytest.approx(volts, rel=2 / technology.opamp.gain)
    # So no charge has to be redistributed: a thousandth of tau later x has hardly moved.
    soon = space.transition(1e-3 * program.tau)[:3] / program.volts_per_unit
    assert np.abs(soon - x0).max() < 1e-2 * np.abs(x0).max()
