"""One circuit in four dialects, flat and by cells: each text is the same circuit, and ngspice agrees where it can be asked."""

from __future__ import annotations

import dataclasses
import re
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError, NetlistError
from thermograd.circuits.linear.descriptor import describe_netlist
from thermograd.circuits.netlist.analyses import Noise, OperatingPoint, Transient
from thermograd.circuits.netlist.elements import (
    CCVS,
    GROUND,
    VCCS,
    VCVS,
    Capacitor,
    CurrentSource,
    Inductor,
    Resistor,
    VoltageSource,
)
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.spice.read import parse_spice
from thermograd.circuits.spice.writer import DIALECTS

from ..ngspice_command import NGSPICE, needs_ngspice, operating_point
from .test_round_trip import netlists

BOTH = pytest.mark.parametrize("hierarchical", [False, True])
ALL = pytest.mark.parametrize("dialect", DIALECTS)


@st.composite
def grouped_netlists(draw):
    """Any parts in any groups; what senses a current is with its source."""
    flat = draw(netlists())
    netlist = Netlist(flat.title, flat.temperature)
    home = draw(st.sampled_from(["", "cell1", "cell2"]))
    for element in flat:
        sensing = element.name == "Vs" or isinstance(element, CCVS)
        netlist.add(element, group=home if sensing else draw(st.sampled_from(["", "cell1", "cell2", "Other"])))
    return netlist


def two_cells():
    """Two loaded dividers with an amplifier, a probe of a current, and inner nodes of the same name as none outside."""
    netlist = Netlist("two cells", temperature=310.0)
    for k in (1, 2):
        netlist.add(
            VoltageSource(f"V{k}", f"in{k}", "0", 0.5 * k, ac=1.0 if k == 1 else 0.0),
            Resistor(f"R{k}", f"in{k}", f"mid{k}", 1e3, temperature=350.0),
            Resistor(f"RA{k}", f"mid{k}", "0", 3e3, noisy=False),
            VoltageSource(f"VS{k}", f"mid{k}", f"probe{k}", 0.0),
            Inductor(f"L{k}", f"probe{k}", f"out{k}", 1e-3, initial=0.25),
            CCVS(f"H{k}", f"x{k}", "0", f"VS{k}", 2e3),
            Resistor(f"RX{k}", f"x{k}", f"out{k}", 5e3),
            Capacitor(f"C{k}", f"out{k}", "0", 1e-9, initial=-0.125),
            VCVS(f"E{k}", f"e{k}", "0", f"mid{k}", f"out{k}", 7.0),
            Resistor(f"RE{k}", f"e{k}", f"out{k}", 2e3),
            VCCS(f"G{k}", "0", f"out{k}", f"x{k}", "0", 1e-5),
            group=f"cell{k}",
        )
    netlist.add(Resistor("RC", "out1", "out2", 4e3), CurrentSource("I1", "0", "out1", 1e-4))
    return netlist


def differences(one, other):
    """What is different between two netlists whose parts go by the same names up to the suffix of their cell.

    Nodes may be renamed, but one to one: two nodes that became one, or one that became two, are a difference.
    """
    found = []
    there, back = {GROUND: GROUND}, {GROUND: GROUND}
    renamed = {re.sub(r"_X\w*$", "", element.name).lower(): element for element in other}
    if len(renamed) != len(other) or len(one) != len(other):
        return [f"{len(one)} parts and {len(other)}"]
    for left in one:
        right = renamed[left.name.lower()]
        if type(left) is not type(right):
            found.append(f"{left!r} became {right!r}")
            continue
        for a, b in zip(left.nodes, right.nodes, strict=True):
            if there.setdefault(a, b) != b or back.setdefault(b, a) != a:
                found.append(f"{left.name}: node {a} became {b}")
        for field in dataclasses.fields(left):
            a, b = getattr(left, field.name), getattr(right, field.name)
            if field.name in ("name", "a", "b", "cp", "cm"):
                continue
            if field.name == "sense":
                a, b = a.lower(), re.sub(r"_X\w*$", "", b).lower()
            if field.name == "temperature":
                ambient = one.temperature
                a, b = (round(ambient if t is None else t, 9) for t in (a, b))
            if a != b:
                found.append(f"{left.name}.{field.name}: {a} became {b}")
    return found


@ALL
@BOTH
@settings(max_examples=60)
@given(netlist=grouped_netlists())
def test_every_text_is_the_same_circuit(dialect, hierarchical, netlist):
    text = netlist.to_spice(dialect, hierarchical=hierarchical)
    silent = [element.name for element in netlist.of(Resistor) if not element.noisy]
    lost = {f"{name}.noisy: False became True" for name in silent} if dialect in ("xyce", "gnucap") else set()
    assert set(differences(netlist, parse_spice(text))) == lost
    assert parse_spice(text).temperature == pytest.approx(netlist.temperature, abs=1e-9)


@ALL
@BOTH
def test_one_altered_value_or_wire_is_a_difference(dialect, hierarchical):
    netlist = two_cells()
    text = netlist.to_spice(dialect, hierarchical=hierarchical)
    for old, new in (("R1 in1 mid1 1000.0", "R1 in1 mid1 1000.0000000000001"), ("C2 out2 0 ", "C2 x2 0 ")):
        assert text.count(old) == 1
        assert len(differences(netlist, parse_spice(text.replace(old, new)))) >= 1 + 2 * (dialect in ("xyce", "gnucap"))
    if hierarchical:
        wrong = text.replace("Xcell1 out1 cell1", "Xcell1 out2 cell1")
        assert wrong != text
        assert any("node" in line for line in differences(netlist, parse_spice(wrong)))


@ALL
@BOTH
@pytest.mark.parametrize("s", [0.0, 1e5 + 3e5j])
def test_every_text_has_the_same_solution(dialect, hierarchical, s):
    def solve(netlist):
        law = describe_netlist(netlist)
        values = np.array([netlist[name].dc for name in law.sources])
        return dict(zip(law.nodes, np.linalg.solve(law.at(s).toarray(), law.input @ values), strict=False))

    netlist = two_cells()
    expected = solve(netlist)
    got = solve(parse_spice(netlist.to_spice(dialect, hierarchical=hierarchical)))
    for node in ("out1", "out2"):
        assert got[node] == pytest.approx(expected[node], rel=1e-12)
    assert abs(expected["out1"] - expected["out2"]) > 1e-3


def test_a_cell_has_the_nodes_that_are_known_outside_as_ports():
    lines = two_cells().to_spice(hierarchical=True).splitlines()
    assert [line for line in lines if line.startswith((".subckt", ".ends", "X"))] == [
        ".subckt cell1 out1", ".ends cell1", ".subckt cell2 out2", ".ends cell2", "Xcell1 out1 cell1", "Xcell2 out2 cell2",
    ]  # fmt: skip
    assert lines.index("RC out1 out2 4000.0") > lines.index("Xcell2 out2 cell2")


@ALL
def test_what_an_analysis_reads_is_visible_outside(dialect):
    text = two_cells().to_spice(dialect, Transient(1e-6, nodes=("X1", "out2")), hierarchical=True)
    assert ".subckt cell1 out1 x1\n" in text or ".subckt cell1 x1 out1\n" in text
    if dialect == "gnucap":
        return  # it has no noise analysis
    noise = two_cells().to_spice(dialect, Noise(("mid1", "mid2"), "VS2", 1.0, 1e6), hierarchical=True)
    cells = noise.split("Xcell1")[0]
    assert "mid1" in cells.splitlines()[[line.startswith(".subckt cell1") for line in cells.splitlines()].index(True)]
    # The source that the analysis names, and what senses its current, are outside of their cell.
    assert "VS2" not in cells
    assert "H2" not in cells
    assert "VS1" in cells


def test_a_group_that_nothing_outside_touches_stays_flat():
    netlist = Netlist("island")
    netlist.add(VoltageSource("V1", "a", "0", 1.0), Resistor("R1", "a", "0", 1e3), group="alone")
    text = netlist.to_spice(hierarchical=True)
    assert text == netlist.to_spice()


def test_groups_that_differ_in_case_are_one():
    netlist = Netlist("case")
    netlist.add(Resistor("R1", "a", "b", 1.0), group="Cell")
    netlist.add(Resistor("R2", "b", "c", 1.0), group="cell")
    netlist.add(Resistor("R3", "c", "0", 1.0), Resistor("R4", "a", "0", 1.0))
    text = netlist.to_spice(hierarchical=True)
    assert text.count(".subckt") == 1
    assert not differences(netlist, parse_spice(text))


def test_a_current_sensed_across_cells_is_rejected():
    netlist = Netlist("across")
    netlist.add(VoltageSource("V1", "a", "0", 1.0), group="one")
    netlist.add(CCVS("H1", "b", "0", "V1", 1.0), Resistor("R1", "a", "b", 1.0), group="two")
    with pytest.raises(NetlistError, match="H1 is in group 'two' and senses V1, which is in group 'one'"):
        netlist.to_spice(hierarchical=True)
    netlist.to_spice()


@ALL
def test_long_lists_of_nodes_are_continued(dialect):
    netlist = Netlist("wide")
    netlist.add(*(Resistor(f"R{k}", f"node_number_{k}", "0", 1.0) for k in range(60)), group="cell")
    netlist.add(*(Resistor(f"RT{k}", f"node_number_{k}", "0", 1.0) for k in range(60)))
    text = netlist.to_spice(dialect, Transient(1.0, nodes=netlist.nodes), hierarchical=True)
    assert max(map(len, text.splitlines())) <= 120
    assert not differences(netlist, parse_spice(text))


def resistor_lines(dialect):
    netlist = Netlist("t", temperature=300.15)
    netlist.add(
        Resistor("R1", "a", "0", 1e3),
        Resistor("R2", "a", "0", 1e3, temperature=350.15),
        Resistor("R3", "a", "0", 1e3, temperature=350.15, noisy=False),
    )
    return [line for line in netlist.to_spice(dialect).splitlines() if not line.startswith(".end")]


def test_temperature_and_silence_in_each_dialects_words():
    assert resistor_lines("ngspice")[1:] == [
        "R1 a 0 1000.0", "R2 a 0 1000.0 dtemp=50.0", "R3 a 0 1000.0 dtemp=50.0 noisy=0", ".options temp=27.0 tnom=27.0",
    ]  # fmt: skip
    assert resistor_lines("ltspice")[1:] == [
        "R1 a 0 1000.0", "R2 a 0 1000.0 temp=77.0", "R3 a 0 1000.0 temp=77.0 noiseless", ".temp 27.0", ".options tnom=27.0",
    ]  # fmt: skip
    # Xyce reads DTEMP and does not use it.
    assert resistor_lines("xyce")[1:] == [
        "* Xyce has no noiseless resistors: a noise analysis counts R3, which should make none",
        "R1 a 0 1000.0", "R2 a 0 1000.0 temp=77.0", "R3 a 0 1000.0 temp=77.0", ".options device temp=27.0 tnom=27.0",
    ]  # fmt: skip


def test_analyses_in_each_dialects_words():
    def cards(dialect, analysis):
        lines = two_cells().to_spice(dialect, analysis).splitlines()
        return [line for line in lines if line.startswith(".") and "temp" not in line and "tnom" not in line]

    tran, noise = Transient(1e-3, nodes=("out1", "out2")), Noise(("out1", "out2"), "V1", 1.0, 1e6, points_per_decade=7)
    ideal = ".options Thev_Induc=1 DampInductors=0"
    assert cards("ltspice", OperatingPoint()) == [ideal, ".options plotwinsize=0 numdgt=15", ".op", ".end"]
    assert cards("ltspice", tran) == [
        ideal, ".options plotwinsize=0 numdgt=15 method=trap reltol=1e-06", ".tran 0 0.001 0 1e-06 uic", ".end",
    ]  # fmt: skip
    assert cards("ltspice", noise) == [
        ideal, ".options plotwinsize=0 numdgt=15", ".noise v(out1,out2) V1 dec 7 1.0 1000000.0", ".end",
    ]  # fmt: skip
    assert cards("xyce", OperatingPoint()) == [".op", ".print dc format=csv precision=15 v(*)", ".end"]
    assert cards("xyce", tran) == [
        ".options timeint method=trap reltol=1e-06 abstol=1e-09", ".tran 1e-10 0.001 0 1e-06 uic",
        ".print tran format=csv precision=15 v(out1) v(out2)", ".end",
    ]  # fmt: skip
    assert cards("xyce", noise) == [
        ".noise v(out1,out2) V1 dec 7 1.0 1000000.0", ".print noise format=csv precision=15 onoise inoise", ".end",
    ]  # fmt: skip
    assert cards("ltspice", Transient(1e-3, step=1e-8, use_initial=False))[-2] == ".tran 0 0.001 0 1e-08"
    assert "AC 1.0" in two_cells().to_spice("ltspice")
    assert " ac 1.0" in two_cells().to_spice("xyce")


@pytest.mark.parametrize("dialect", ["ltspice", "xyce"])
@pytest.mark.parametrize(
    "analysis", [OperatingPoint(), Noise("out1", "V1", 1.0, 1e6), Transient(1e-3, use_initial=False)]
)
def test_no_initial_value_where_it_would_hold_the_operating_point(dialect, analysis):
    netlist = two_cells()
    text = netlist.to_spice(dialect, analysis)
    assert "ic=-0.125" not in text
    assert f"* ic= left out: {dialect}" in text
    assert "ic=-0.125" in netlist.to_spice(dialect, Transient(1e-3))
    assert "ic=-0.125" in netlist.to_spice(dialect)
    assert "ic=-0.125" in netlist.to_spice("ngspice", analysis)
    bare = Netlist("bare")
    bare.add(VoltageSource("V1", "out1", "0", 1.0, ac=1.0), Resistor("R1", "out1", "0", 1.0))
    assert "left out" not in bare.to_spice(dialect, analysis)


@pytest.mark.parametrize("dialect", ["", "hspice", "NGSPICE", None, ["ngspice"]])
def test_an_unknown_dialect_is_rejected(dialect):
    with pytest.raises(InputError, match="is unknown; there are: ngspice, ltspice, xyce"):
        two_cells().to_spice(dialect)


@pytest.mark.parametrize("dialect", ["ltspice", "xyce"])
def test_what_a_dialect_does_not_support_is_rejected(dialect):
    class Own:
        def cards(self):
            return (".shell",)

    with pytest.raises(InputError, match="Own cannot be written"):
        two_cells().to_spice(dialect, Own())
    with pytest.raises(InputError, match=r"Transient\.noise = True cannot be written"):
        two_cells().to_spice(dialect, Transient(1e-3, step=1e-6, noise=True))


@needs_ngspice
def test_ngspice_finds_the_same_operating_point_in_cells_as_flat(tmp_path):
    netlist, nodes = two_cells(), ("out1", "out2")
    flat = operating_point(netlist.to_spice("ngspice", OperatingPoint()), nodes, tmp_path)
    cells = netlist.to_spice("ngspice", OperatingPoint(), hierarchical=True)
    np.testing.assert_allclose(operating_point(cells, nodes, tmp_path), flat, rtol=1e-9)
    altered = cells.replace("RE2 e2 out2 2000.0", "RE2 e2 out2 2010.0")
    assert altered != cells
    assert np.abs(operating_point(altered, nodes, tmp_path) / flat - 1).max() > 1e-6


@needs_ngspice
def test_ngspice_measures_the_same_noise_in_cells_as_flat(tmp_path):
    netlist, analysis = two_cells(), Noise("out2", "V1", 1.0, 1e6, points_per_decade=5)

    def total(hierarchical, text=None):
        text = text or netlist.to_spice("ngspice", analysis, hierarchical)
        path = tmp_path / "noise.cir"
        control = ".control\nrun\nset numdgt=12\nsetplot noise2\nprint onoise_total\n.endc\n.end\n"
        path.write_text(text.replace(".end\n", control), encoding="utf-8")
        done = subprocess.run([NGSPICE, "-b", str(path)], capture_output=True, text=True, timeout=60, check=False)
        found = re.search(r"onoise_total = (\S+)", done.stdout)
        assert found, done.stdout + done.stderr
        return float(found[1])

    flat = total(False)
    assert total(True) == pytest.approx(flat, rel=1e-9)
    assert total(True, netlist.to_spice("ngspice", analysis, True).replace(" noisy=0", "")) > flat * (1 + 1e-3)
