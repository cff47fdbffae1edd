"""Reading netlists back: what was written comes back, other dialects' words are understood, everything else is rejected."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError, NetlistError
from thermograd.circuits.netlist.elements import (
    CCCS,
    CCVS,
    VCCS,
    VCVS,
    Capacitor,
    CurrentSource,
    Inductor,
    Resistor,
    VoltageSource,
)
from thermograd.circuits.netlist.mutual_inductance import MutualInductance
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.netlist.semiconductors import BipolarTransistor, DeviceModel, Diode, Mosfet
from thermograd.circuits.spice.read import parse_spice

positive = st.floats(1e-15, 1e15)
real = st.floats(-1e6, 1e6)
nodes = st.lists(st.sampled_from(["a", "b", "c", "out", "n1", "0"]), min_size=2, max_size=2, unique=True)


@st.composite
def netlists(draw):
    netlist = Netlist("any", temperature=draw(st.sampled_from([300.15, 250.0, 400.0])))
    netlist.add(VoltageSource("Vs", "s", "0", 0.0))
    makers = {
        "R": lambda n, a, b: Resistor(
            n, a, b, draw(positive), draw(st.none() | st.floats(1, 500)), draw(st.booleans())
        ),
        "C": lambda n, a, b: Capacitor(n, a, b, draw(positive), draw(st.none() | real)),
        "L": lambda n, a, b: Inductor(n, a, b, draw(positive), draw(st.none() | real)),
        "V": lambda n, a, b: VoltageSource(n, a, b, draw(real), draw(st.sampled_from([0.0, 1.0]))),
        "I": lambda n, a, b: CurrentSource(n, a, b, draw(real)),
        "E": lambda n, a, b: VCVS(n, a, b, "a", "0", draw(real)),
        "G": lambda n, a, b: VCCS(n, a, b, "b", "c", draw(real)),
        "H": lambda n, a, b: CCVS(n, a, b, "Vs", draw(real)),
    }
    for k, letter in enumerate(draw(st.lists(st.sampled_from(sorted(makers)), max_size=12))):
        netlist.add(makers[letter](f"{letter}{k}", *draw(nodes)))
    return netlist


models = {
    "D": DeviceModel("1N4148", "D", {"is": 2.5e-9, "n": 1.75}),
    "Q": DeviceModel("fast", "PNP", {"BF": 80.0, "level": 1}),
    "M": DeviceModel("nch", "nmos", {"level": 8, "version": 3.3, "vth0": -0.7}),
}


@st.composite
def parameters(draw, *names):
    return {name: draw(real) for name in draw(st.lists(st.sampled_from(names), unique=True))}


@st.composite
def all_netlists(draw):
    """Every kind of part, those that only ngspice takes included."""
    netlist = draw(netlists())
    netlist.add(Inductor("Lp", "a", "0", 1e-3), Inductor("Ls", "b", "0", 4e-3))
    coupling = draw(st.none() | st.floats(-1.0, 1.0).filter(bool))
    if coupling is not None:
        netlist.add(MutualInductance("Kps", "Lp", "Ls", coupling))
    ends = st.lists(st.sampled_from(["a", "b", "c", "out", "n1", "0", "fast1"]), min_size=4, max_size=4, unique=True)
    for k, letter in enumerate(draw(st.lists(st.sampled_from("FDQM"), max_size=8))):
        name, (a, b, c, d) = f"{letter}x{k}", draw(ends)
        if letter == "F":
            netlist.add(CCCS(name, a, b, "Vs", draw(real)))
        elif letter == "D":
            netlist.add(Diode(name, a, b, models["D"], draw(parameters("area", "M", "dtemp"))))
        elif letter == "Q":
            substrate = draw(st.sampled_from(["0", d]))
            netlist.add(BipolarTransistor(name, a, b, c, models["Q"], draw(parameters("area", "temp")), substrate))
        else:
            netlist.add(Mosfet(name, a, b, c, d, models["M"], draw(parameters("w", "l", "ad", "icvds"))))
    return netlist


@settings(max_examples=150)
@given(all_netlists(), st.booleans())
def test_what_was_written_comes_back(netlist, hierarchical):
    same = parse_spice(netlist.to_spice(hierarchical=hierarchical))
    assert same.temperature == pytest.approx(netlist.temperature, abs=1e-9)
    assert len(same) == len(netlist)
    for one, other in zip(netlist, same, strict=True):
        assert type(one) is type(other)
        for field in dataclasses.fields(one):
            left, right = getattr(one, field.name), getattr(other, field.name)
            if field.name == "temperature" and left is not None:
                assert right == pytest.approx(left, abs=1e-9)
            else:
                assert left == right


def test_subcircuits_are_flattened_with_names_of_their_own():
    text = """title
.subckt half in out
R1 in mid 1k
R2 mid out 1k
C1 mid 0 1n ic=0.5
.ends
.subckt whole a b
Xl a c half
Xr c b half
.ends half
V1 in 0 dc 1
Xw in out whole
RL out 0 4k
.op
.end"""
    netlist = parse_spice(text)
    assert {e.name for e in netlist} == {
        "V1", "RL", "R1_Xw_Xl", "R2_Xw_Xl", "C1_Xw_Xl", "R1_Xw_Xr", "R2_Xw_Xr", "C1_Xw_Xr",
    }  # fmt: skip
    assert netlist["R2_Xw_Xl"].b == netlist["R1_Xw_Xr"].a == "c_Xw"
    assert netlist["R2_Xw_Xr"].b == "out"
    assert netlist["C1_Xw_Xl"].b == "0"


def test_words_of_other_dialects():
    netlist = parse_spice("t\nR1 a 0 1k noiseless\nR2 a 0 2k temp=50\nR3 a 0 3k TEMP=50\n+ \n.temp 40\n.backanno\n.end")
    assert not netlist["R1"].noisy
    assert netlist["R2"].temperature == netlist["R3"].temperature == pytest.approx(323.15)
    assert netlist.temperature == pytest.approx(313.15)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (".control", "line 3.*not supported"), (".include /etc/passwd", "line 3.*not supported"), (".lib x", "line 3.*not supported"),
        ("shell ls", "words are missing"), ("M1 a b c d nmos", "no .model 'nmos'"), ("R1 a", "line 3"), ("R1 a 0 {x}", "no parameter 'x'"),
        ("R1 a 0 1k tc=1", "'tc' is not supported"), ("R1 a a 1k", "both ends"), ("X1 a nothing", "no sub-circuit"), ("R1 a 0 0", "> 0"),
        ("V1 a 0 sin 0 1 1k", "waveform 'sin'"), (".ends", "without .subckt"), (".subckt s a", "no .ends"), ("E1 a 0 b 2", "expected"),
        ("R1; a 0", "line 3"), ("B1 a 0 V=1", "a B source is only read where"),
    ],
)  # fmt: skip
def test_everything_else_is_rejected_by_line(line, message):
    with pytest.raises(InputError, match=message):
        parse_spice(f"title\nC9 a 0 1n\n{line}\n.end")


def test_duplicates_and_endless_recursion_are_rejected():
    with pytest.raises(NetlistError, match="duplicate"):
        parse_spice("t\nR1 a 0 1\nr1 a 0 2\n")
    with pytest.raises(InputError, match="contain itself"):
        parse_spice("t\n.subckt s a\nX1 a s\n.ends\nX0 a s\n")


@given(st.text(max_size=200))
def test_any_text_is_a_netlist_or_an_input_error(text):
    try:
        parse_spice(text)
    except InputError:
        pass


def test_an_empty_text_is_an_empty_netlist():
    assert len(parse_spice("")) == 0
    assert np.isclose(parse_spice("").temperature, 300.15)
