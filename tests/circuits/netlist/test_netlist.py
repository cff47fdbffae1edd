"""What a netlist accepts, rejects and writes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError, NetlistError
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.netlist.elements import (
    RESERVED_NODES,
    VCCS,
    VCVS,
    Capacitor,
    CurrentSource,
    Inductor,
    Resistor,
    VoltageSource,
)
from thermograd.circuits.netlist.netlist import Netlist

from ..networks import one_rc


def test_text_is_exactly_this():
    netlist = Netlist("demo", temperature=310.0, comments=["made by a test"])
    netlist.add(
        Resistor("R1", "a", "0", 1e3),
        Resistor("R2", "a", "b", 1 / 3, temperature=300.0),
        Resistor("R3", "b", "0", 2e3, noisy=False),
        Resistor("R4", "b", "0", 2e3, temperature=350.0, noisy=False),
        Capacitor("C1", "a", "0", 1e-9),
        Capacitor("C2", "b", "0", 1e-9, initial=0.0),
        Inductor("L1", "b", "c", 1e-6, initial=1e-3),
        Resistor("R5", "c", "0", 50),
        VoltageSource("V1", "d", "0", 1.0, ac=1.0),
        Resistor("R6", "d", "a", 1e3),
        CurrentSource("I1", "0", "a", -1e-6),
        VCVS("E1", "e", "0", "a", "b", 1e9),
        VCCS("G1", "0", "a", "e", "0", 1e-12),
    )
    text = netlist.to_spice(analysis=OperatingPoint())
    assert text.splitlines() == [
        "* demo",
        "* made by a test",
        "R1 a 0 1000.0",
        "R2 a b 0.3333333333333333 dtemp=-10.0",
        "R3 b 0 2000.0 noisy=0",
        "R4 b 0 2000.0 dtemp=40.0 noisy=0",
        "C1 a 0 1e-09",
        "C2 b 0 1e-09 ic=0.0",
        "L1 b c 1e-06 ic=0.001",
        "R5 c 0 50.0",
        "V1 d 0 dc 1.0 ac 1.0",
        "R6 d a 1000.0",
        "I1 0 a dc -1e-06",
        "E1 e 0 a b 1000000000.0",
        "G1 0 a e 0 1e-12",
        ".options temp=36.85000000000002 tnom=36.85000000000002",
        ".op",
        ".end",
    ]
    assert text == netlist.to_spice().replace(".end\n", "\n".join([*OperatingPoint().cards(), ".end\n"]))
    netlist.check()


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_values_survive_the_text(value):
    netlist = Netlist("x")
    netlist.add(Resistor("R1", "a", "0", value))
    assert float(netlist.cards()[0].split()[3]) == value


@given(st.text(max_size=8))
def test_no_name_can_carry_more_than_a_name(text):
    """Whatever string is offered as a name or node, the element's line keeps its four words on one line."""
    for name, node in ((f"R{text}", "a"), ("R1", text)):
        try:
            line = Resistor(name, node, "0", 1.0).line(300.0)
        except InputError:
            continue
        assert line.split() == [name, node, "0", "1.0"]
        assert line.isascii()
        assert "\n" not in line


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, -1.0, "ten", None])
def test_bad_values_are_rejected(value):
    for make in (
        lambda: Resistor("R1", "a", "0", value),
        lambda: Capacitor("C1", "a", "0", value),
        lambda: Inductor("L1", "a", "0", value),
    ):
        with pytest.raises(InputError, match=r"[RCL]1: (resistance|capacitance|inductance) = "):
            make()


@pytest.mark.parametrize("value", [math.nan, math.inf, "ten", None])
def test_sources_need_finite_values(value):
    for make in (
        lambda: VoltageSource("V1", "a", "0", value),
        lambda: CurrentSource("I1", "a", "0", value),
        lambda: VCVS("E1", "a", "0", "b", "0", value),
        lambda: VCCS("G1", "a", "0", "b", "0", value),
    ):
        with pytest.raises(InputError, match=r"[VIEG]1: (dc|gain|transconductance) = "):
            make()


@pytest.mark.parametrize("name", ["", "1R", "R 1", "R1\n.control", "C1", "R-1", "R.1", "Rµ", "R" * 65])
def test_bad_names_are_rejected(name):
    with pytest.raises(InputError, match="element name"):
        Resistor(name, "a", "0", 1.0)


@pytest.mark.parametrize("node", ["", "a b", "a;b", "a\n", "a.b", "v(a)", "é", "GND", *sorted(RESERVED_NODES)])
def test_bad_nodes_are_rejected(node):
    with pytest.raises(InputError, match="node name"):
        Resistor("R1", node, "0", 1.0)


def test_parts_must_join_two_nodes():
    with pytest.raises(InputError, match="both ends are on node 'a'"):
        Resistor("R1", "a", "a", 1.0)


def test_duplicates_are_rejected_whatever_their_case_and_nothing_is_added():
    netlist = one_rc()
    with pytest.raises(NetlistError, match="duplicate element name 'r1'"):
        netlist.add(Resistor("R9", "out", "0", 1.0), Resistor("r1", "out", "0", 1.0))
    with pytest.raises(NetlistError, match="duplicate"):
        netlist.add(Resistor("R9", "out", "0", 1.0), Resistor("r9", "out", "0", 1.0))
    with pytest.raises(NetlistError, match="differ only in case"):
        netlist.add(Resistor("R9", "OUT", "0", 1.0))
    assert len(netlist) == 3
    assert netlist.nodes == ("in", "out")


def test_reading_a_netlist():
    netlist = one_rc()
    assert netlist["r1"] is netlist["R1"]
    assert "R1" in netlist
    assert "R2" not in netlist
    assert [element.name for element in netlist] == ["V1", "R1", "C1"]
    assert [element.name for element in netlist.of(Resistor)] == ["R1"]
    with pytest.raises(InputError, match="no element 'R2'"):
        netlist["R2"]
    with pytest.raises(InputError, match="is not an element"):
        netlist.add("R1 a 0 1k")


@pytest.mark.parametrize("text", ["two\nlines", "bell\a", "null\0", "tab\t"])
def test_control_characters_are_rejected(text):
    with pytest.raises(InputError, match="title"):
        Netlist(text)
    with pytest.raises(InputError, match="comment"):
        Netlist("x", comments=[text])


@pytest.mark.parametrize("kelvin", [0.0, -1.0, math.nan, math.inf])
def test_bad_temperatures_are_rejected(kelvin):
    with pytest.raises(InputError, match="temperature"):
        Netlist("x", temperature=kelvin)
    with pytest.raises(InputError, match="temperature"):
        Resistor("R1", "a", "0", 1.0, temperature=kelvin)


def test_a_dialect_that_is_not_known_is_rejected():
    with pytest.raises(InputError, match="is unknown"):
        one_rc().to_spice("hspice")


def test_an_empty_netlist_is_rejected():
    with pytest.raises(NetlistError, match="empty"):
        Netlist("x").check()


@pytest.mark.parametrize(
    "stray",
    [
        [Resistor("R9", "x", "y", 1.0)],
        [Capacitor("C9", "x", "0", 1e-9)],
        [Capacitor("C9", "x", "out", 1e-9), CurrentSource("I9", "0", "x", 1.0)],
        [VCCS("G9", "x", "0", "out", "0", 1.0)],
        [VCVS("E9", "z", "0", "x", "0", 1.0)],
    ],
    ids=["island", "behind a capacitor", "current into a capacitor", "transconductance only", "controlling input only"],
)
def test_floating_nodes_are_named(stray):
    netlist = one_rc()
    netlist.check()
    netlist.add(*stray)
    with pytest.raises(NetlistError, match=r"floating node 'x'.*(resistor|connect)"):
        netlist.check()


@pytest.mark.parametrize(
    "closing",
    [
        VoltageSource("V9", "in", "0", 2.0),
        VCVS("E9", "0", "in", "out", "0", 2.0),
        Inductor("L9", "in", "0", 1e-6),
    ],
    ids=["V", "E", "L"],
)
def test_loops_of_voltage_fixing_parts_are_named(closing):
    netlist = one_rc()
    netlist.add(closing)
    with pytest.raises(NetlistError, match=rf"{closing.name}.*closes a loop.*V1, {closing.name}.*resistor in series"):
        netlist.check()


def test_a_longer_loop_names_its_parts_only():
    netlist = one_rc()
    netlist.add(
        VoltageSource("V2", "p", "in", 1.0),
        VoltageSource("V3", "q", "in", 1.0),
        Inductor("L1", "p", "r", 1.0),
        VCVS("E1", "r", "0", "out", "0", 1.0),
    )
    with pytest.raises(NetlistError, match=r"parts: L1, V2, V1, E1; put"):
        netlist.check()
