"""Texts as other tools write them: line ends, comments, titles, encodings and names of nodes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermograd.circuits.amplifiers.user_netlist import Amplifier
from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.spice.read import parse_spice, read_spice

from ..ngspice_command import needs_ngspice, operating_point

#: What str.splitlines ends a line at and no simulator does.
NO_LINE_ENDS = ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\u0085", "\u2028", "\u2029"]


@pytest.mark.parametrize("character", NO_LINE_ENDS)
@pytest.mark.parametrize(
    "comment", ["* old:{}R2 a 0 1", "R3 a 0 1 ; old:{}R2 a 0 1", "R3 a 0 1 $ old:{}R2 a 0 1", "// {}R2 a 0 1"]
)
def test_a_comment_ends_with_its_line(comment, character):
    netlist = parse_spice(f"t\nV1 a 0 1\nR1 a 0 1\n{comment.format(character)}\n.end\n")
    assert "R2" not in netlist
    assert ("R3" in netlist) == comment.startswith("R3")


@needs_ngspice
@pytest.mark.parametrize(
    "cards",
    [
        "R2 a 0 {};R9 a 0 1",
        "R2 a 0 {} $ R9 a 0 1",
        "R2 a 0 {}//R9 a 0 1",
        "$R9 a 0 1\nR2 a 0 {}",
        "// R9 a 0 1\nR2 a 0 {}",
        "R2 a 0\n* R9\n+ {}",
        "R2 a 0\n$ c\n+ {}",
        "R2 a 0\n// c\n\n  + {}",
        " ; R9 a 0 1\nR2 a 0 {}",
        "\tR2\ta\t0\t{} ;* c",
        "R2 a 0 {}\r",
        "R2 a 0 {}\r\r",
    ],
)
def test_comments_are_ngspices(cards, tmp_path):
    text = f"t\nI1 0 a 1\nR1 a 0 3\n{cards.format('1.5')}\n.end\n"
    assert run(parse_spice(text), OperatingPoint()).voltages["a"] == pytest.approx(1.0, rel=1e-9)
    assert operating_point(text, ("a",), tmp_path) == pytest.approx([1.0], rel=1e-9)


@given(
    st.text(max_size=60).filter(lambda text: not set(text) & set("\r\n")),
    st.sampled_from(["* ", "R2 b 0 2 ; ", "R2 b 0 2 $ ", "R2 b 0 2 //"]),
)
def test_no_comment_changes_a_netlist(comment, start):
    plain = parse_spice("t\nR1 a b 1\nR2 b 0 2\nR3 a 0 {1+1}\n")
    other = parse_spice(f"t\nR1 a b 1\n{'' if start[0] == 'R' else 'R2 b 0 2'}\n{start}{comment}\nR3 a 0 {{1+1}}\n")
    assert other.elements == plain.elements


@given(
    st.lists(st.sampled_from(["\n", "\r\n", "\r\r\n"]), min_size=4, max_size=4),
    st.sampled_from(["\n", "\r\n", "\r", ""]),
)
def test_line_ends_of_any_system_are_the_same(ends, last):
    lines = ["t", "V1 a 0 1", "* c", "R1 a 0", "+ 2k"]
    text = "".join(line + end for line, end in zip(lines, [*ends, last], strict=True))
    assert [str(part) for part in parse_spice(text)] == [str(part) for part in parse_spice("\n".join(lines))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t\rR1 a 0 1\rR2 a 0 1\r", "line 1: it has a carriage return"),
        ("t\nR1 a 0 1\rR2 a 0 1\n", "line 2: it has a carriage return"),
        ("t\nR1 a 0\u00a01\n", r"line 2: it has U\+00A0 \(no-break space\)"),
        ("t\nR1 a 0\x1c1\n", r"line 2: it has U\+001C"),
        ("t\nR1 a 0\u20281\n", r"line 2: it has U\+2028"),
        ("t\nR1\x0ca 0 1\n", r"line 2: it has U\+000C"),
        ("t\nR1 a\x00 0 1\n", r"line 2: .*U\+0000"),
        ("t\nR1 a 0 1\u200b\n", r"line 2: it has U\+200B"),
        ("t\nR1 a 0\n; c\n+ 1\n", r"line 4 .*behind a comment"),
        ("t\nR1 a 0 1 # c\n", "line 2"),
        ("t\n# c\nR1 a 0 1\n", "line 2"),
        ("t\nR1 a 0 1 $; c\n", "line 2 .*3 words"),
        ("t\nR1 a 0 1$2\n", "line 2 .*not a number"),
    ],
)
def test_what_simulators_would_not_read_alike_is_rejected(text, message):
    with pytest.raises(InputError, match=message):
        parse_spice(text)


@pytest.mark.parametrize(
    ("first", "title"),
    [
        (".title KiCad schematic", "KiCad schematic"),
        (".TITLE  RC", "RC"),
        (".title", ""),
        ("", ""),
        ("   ", ""),
        ("a\ttab", "a tab"),
        ("\ufefft", "t"),
        ("a\u00a0b\u2028c\x0cd", "a b c d"),
        (r"* C:\Users\me\Documents\LTspice\draft1.asc", r"C:\Users\me\Documents\LTspice\draft1.asc"),
        ("* R9 a 0 1", "R9 a 0 1"),
        ("Rectifier and its load", "Rectifier and its load"),
        ("Voltage of node", "Voltage of node"),
        ("Inverter chain stage 3", "Inverter chain stage 3"),
        ("R1 in out 1k", "R1 in out 1k"),
        ("Stromquelle für 3 µA", "Stromquelle für 3 µA"),
    ],
)
def test_titles(first, title):
    netlist = parse_spice(f"{first}\nR1 a 0 1\n.end\n")
    assert (netlist.title, len(netlist)) == (title, 1)
    assert parse_spice(netlist.to_spice()).elements == netlist.elements


def test_a_part_in_the_titles_place_is_an_error():
    for first in ("R9 a 0 1", "R9 a 0 1; down=1.5", "V1 a 0 dc 5", "C1 a 0 1u ic=1", "D1 A gnd dm", "X1 a 0 s"):
        with pytest.raises(InputError, match=r"line 1 .*put a title before it"):
            parse_spice(f"{first}\nR1 a 0 1\n.model dm d\n.subckt s a b\nR1 a b 1\n.ends\n.end\n")
    assert parse_spice("t\n.title later; 'one\nR1 a 0 1\n").title == "later; 'one"


LTSPICE = """* C:\\Users\\me\\Draft1.asc
V1 in 0 10
R1 in out 1k
C1 out 0 10\u00b5
R2 out 0 3k
* 25\u00b0C, 3\u03bc?
.backanno
.end
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_of_ltspice(encoding, tmp_path):
    text = LTSPICE.replace("\n", "\r\n")
    if encoding in ("cp1252", "latin-1"):
        text = text.replace("\u03bc", "u")
    (tmp_path / "draft.net").write_bytes(text.encode(encoding))
    netlist = read_spice(tmp_path / "draft.net")
    assert netlist["C1"].capacitance == 1e-5
    assert (netlist.title, len(netlist)) == (r"C:\Users\me\Draft1.asc", 4)


def test_bytes_that_are_no_netlist(tmp_path):
    for data, message in (
        (b"t\nR1 a 0 1\x81\n", r"convert it.*iconv"),
        ("t\nR1 a 0 1\n".encode("utf-32"), "UTF-32; convert"),
        (b"t\nR1 \x00 a 0 1\n", "U.0000"),
    ):
        (tmp_path / "a.cir").write_bytes(data)
        with pytest.raises(InputError, match=message):
            read_spice(tmp_path / "a.cir")


KICAD = """.title KiCad schematic
.save all
V1 +3.3V 0 DC 3.3
V2 /sub/in- 0 1
R1 +3.3V Net-_R1-Pad1_ 1k
R2 Net-_R1-Pad1_ /sub/in+ 1k
R3 /sub/in+ /sub/in- 2k
R4 data[0] /sub/in+ 1k
R5 data[0] GND 1k
.tran 1u 1m
.end
"""


@needs_ngspice
def test_names_of_nodes_in_exports(tmp_path):
    netlist = parse_spice(KICAD)
    assert netlist.nodes == ("Net-_R1-Pad1_".replace("-", "_"), "_sub_inn", "_sub_inp", "data_0_", "p3_3V")
    plain = KICAD.replace("/sub/in+", "inp").replace(".tran 1u 1m\n", "")
    expected = operating_point(plain, ("inp",), tmp_path)
    assert run(netlist, OperatingPoint()).voltages["_sub_inp"] == pytest.approx(expected[0], rel=1e-6)


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ("R1 /a _a 1\nR2 _a 0 1", "line 2 .*'_a', as another node is"),
        ("R1 a.b a:b 1\nR2 a.b 0 1", "line 2 .*as another node is"),
        ("R1 x1.n 0 1", "line 2 .*inside of a sub-circuit"),
        ("R1 X1:n 0 1", "line 2 .*inside of a sub-circuit"),
        ("R1 gnd! 0 1", "line 2 .*ground to some"),
        ("R1 \u00e9 0 1", "line 2 .*rename"),
        ("R1 a\\b 0 1", "line 2 .*rename"),
        ("R1 a`b 0 1", "line 2"),
        ("R1 /time 0 1\nR2 time 0 1", "line 3 .*reserved"),
    ],
)
def test_two_names_do_not_become_one(cards, message):
    with pytest.raises(InputError, match=message):
        parse_spice(f"t\n{cards}\n.end\n")


@given(st.lists(st.text(alphabet="ab+-/[]_<>.#pn", min_size=1, max_size=4), min_size=2, max_size=5, unique=True))
def test_node_names_stay_apart(names):
    try:
        netlist = parse_spice("t\n" + "".join(f"R{k} {name} 0 1\n" for k, name in enumerate(names)))
    except InputError:
        return
    assert len({part.a for part in netlist}) == len(names)


def test_names_of_qspice_eagle_and_xschem():
    netlist = parse_spice("**.subckt tb\nR\u00b4C_load N$1 GND 2\nV1 N$1 GND 1\n**.ends\n.GLOBAL GND\n.end\n")
    assert [(part.name, part.a, part.b) for part in netlist] == [("R_C_load", "N_1", "0"), ("V1", "N_1", "0")]
    with pytest.raises(InputError, match=r"line 3 .*give each sub-circuit a port"):
        parse_spice("t\nR1 vdd 0 1\n.global gnd vdd\n")


def test_names_of_parts_and_ports_in_exports():
    text = """t
.subckt amp/NS IN+ IN- OUT V+
R\u00a71 IN+ IN- 1meg
V\u00a71 V+ mid 0
F1 OUT 0 V\u00a71 2
R2 mid 0 1k
.ends
X\u00a7U1 a 0 b c amp/NS
R1 a b 1k
R2 c 0 1k
R3 b 0 1k
.end
"""
    netlist = parse_spice(text)
    assert [part.name for part in netlist][:4] == ["R_1_X_U1", "V_1_X_U1", "F1_X_U1", "R2_X_U1"]
    assert netlist["F1_X_U1"].sense == "V_1_X_U1"
    amplifier = Amplifier.from_spice(text, "amp/NS", ("IN+", "IN-"), ("OUT",), {"V+": 1.0})
    assert (amplifier.inputs, amplifier.outputs, dict(amplifier.supplies)) == (("INp", "INn"), ("OUT",), {"Vp": 1.0})
    with pytest.raises(InputError, match="no port 'INx'"):
        Amplifier.from_spice(text, "amp/NS", ("INx", "IN-"), ("OUT",), {"V+": 1.0})
