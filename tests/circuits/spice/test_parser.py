"""A user's own netlist: what is not supported is rejected by its line, and any text is a netlist or an error."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.spice.read import parse_spice


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        (".param a=1\n.param A=2", r"line 3 .*'A' is already defined on line 2"),
        (".param a={b}\n.param b={a}", r"line 2 .*'a' is defined by itself"),
        (".param a={b}", r"line 2 .*no parameter 'b'"),
        (".param a", r"line 2 .*name=value"),
        (".param", r"line 2 .*name=value"),
        (".param sqrt=1", r"line 2 .*function"),
        (".param a={1/0}", r"line 2 .*has no value"),
        (".param a={1", r"line 2 .*no partner"),
        (".param a={{1}}", r"line 2 .*no partner"),
        (".param a={1.__class__}", r"line 2"),
        (".param a={open('x')}", r"line 2"),
        (".subckt s a b r=1\nR1 a b {r}\n.ends\nX1 x 0 s q=2", r"line 5 .*no parameter 'q'; there are: r"),
        (".subckt s a b r=1\nR1 a b {r}\n.ends\nX1 x 0 s r=2 r=3", r"line 5 .*twice"),
        (".subckt s a b r=1\n.param r=2\n.ends\nX1 x 0 s", r"line 3 .*already defined on line 2"),
        (".subckt s a b r=1 r=2\n.ends", r"line 2 .*already defined"),
        (".subckt s a b\n.ends\n.subckt S a b\n.ends", r"line 4 .*already defined"),
        (".subckt s a a\n.ends", r"line 2 .*one name"),
        (".subckt s a 0\n.ends", r"line 2 .*ground"),
        (".subckt s a b\nR1 a b {zz}\n.ends\nX1 x 0 s", r"line 3 .*no parameter 'zz'"),
        (".subckt s a b\nR1 a n 1\nR2 n b 1\n.ends\nX1 x 0 s\nR9 n_X1 0 1", r"line 7 .*rename"),
        ("R1 a 0 1\n.end\nR2 a 0 1", r"line 4 .*after \.end"),
        ("R1 a 0 1\nr1 a 0 1", r"line 3 .*duplicate"),
        ("R1 a 0 {}", r"line 2"),
        ("R1 a 0 x", r"line 2 .*not a number"),
        (".temp -300", r"line 2 .*absolute zero"),
        (".temp 1 2", r"line 2 .*one temperature"),
        (".ic v(a)=1", r"line 2 .*ic=0.5"),
        (".nodeset v(a)=1", r"line 2"),
        (".global vdd", r"line 2 .*port"),
        (".func f(x) {x}", r"line 2 .*write the expression out"),
        (".control\nshell rm x\n.endc", r"line 2 .*circuits.run"),
        (".exec ls", r"line 2 .*not run"),
        (".unknown", r"line 2 .*remove it"),
        ("shell ls", r"line 2 .*words are missing"),
        ("B1 a 0 V={1}", r"line 2 .*a B source is only read where thermograd wrote it"),
        (".include other.cir", r"line 2 .*include_folder"),
        (".lib other.lib tt", r"line 2 .*include_folder"),
        ("V1 a 0 pulse(0 1 0 1n)", r"line 2 .*waveform 'pulse'"),
        ("V1 a 0 dc 1 dc 2", r"line 2 .*twice"),
        ("K1 L1 L2 L3 0.5", r"line 2 .*3 words"),
        ("F1 a 0 R1 2", r"line 2 .*voltage source"),
        ("D1 a 0 dm", r"line 2 .*no \.model 'dm'"),
        ("M1 a b 0 0", r"line 2 .*words are missing"),
        ("Q1 a b", r"line 2 .*words are missing"),
        (".model m1 njf (beta=1)", r"line 2 .*'njf' is not taken"),
        (".model m1", r"line 2 .*kind"),
        (".model m1 d (is=abc)", r"line 2 .*not a number"),
        (".model m1 d (is)", r"line 2 .*name=number"),
        (".model m1 d (is=1 IS=2)", r"line 2 .*twice"),
        (".model m1 nmos (level=7)", r"line 2 .*level = 7"),
        (".model m-1 d (is=1)", r"line 2 .*model name"),
        (".model temper d", r"line 2 .*reserved"),
        (".model m1 d\n.model M1 d", r"line 3 .*already defined"),
        (".model m1 d\nD1 a 0 m1 off", r"line 3 .*not a number"),
        (".model m1 d\nD1 a 0 m1 1 off", r"line 3 .*'1' is not supported"),
        (".model m1 d\nD1 a 0 m1 w=1", r"line 3 .*'w' is not supported"),
        (".model m1 npn\nD1 a 0 m1", r"line 3 .*kind D"),
        (".model m1 d\n.options scale=1u\nD1 a 0 m1", r"line 3 .*scale"),
        (".model m1 d\n.options tnom=25\nD1 a 0 m1", r"line 3 .*tnom"),
        (".model m1 d\n.options tnom=x\nD1 a 0 m1", r"line 3 .*not a number"),
        ("R1 a 0 1k m=0", r"line 2 .*m = 0, but it must be > 0"),
        ("R1 a 0 1k scale=2", r"line 2 .*'scale' is not supported"),
    ],
)  # fmt: skip
def test_each_message_names_its_line(cards, message):
    with pytest.raises(InputError, match=message):
        parse_spice(f"title\n{cards}\n")


def test_titles_and_types_that_are_none():
    with pytest.raises(InputError, match=r"line 1 .*its title"):
        parse_spice(".param r=1\nR1 a 0 {r}\n")
    with pytest.raises(InputError, match="line 1"):
        parse_spice("bell\a\nR1 a 0 1\n")
    with pytest.raises(InputError, match="read_spice takes a file"):
        parse_spice(None)


def test_few_lines_do_not_unfold_without_end():
    levels = "\n".join(
        f".subckt s{k} a\n{chr(10).join(f'X{j} a s{k + 1}' for j in range(9))}\n.ends" for k in range(15)
    )
    with pytest.raises(InputError, match="unfold into more than"):
        parse_spice(f"t\n{levels}\n.subckt s15 a\n.ends\nX0 a s0\n")


def test_spelling_of_nodes_and_temperature():
    netlist = parse_spice("t\nR1 VDD Out 1\nR2 vdd OUT 1\nR3 out GND 1\n.options temp={50+10}\n.end")
    assert netlist.nodes == ("Out", "VDD")
    assert netlist["R3"].b == "0"
    assert netlist.temperature == pytest.approx(333.15)
    # A line that is continued is not the temperature's.
    later = parse_spice("t\n.temp 40\nR1 a 0 1k\n+ noisy=0\n")
    assert later.temperature == pytest.approx(313.15)
    assert not later["R1"].noisy


words = st.sampled_from(
    ["R1", "C1", "L1", "L2", "K1", "V1", "D1", "Q1", "M1", "X1", "F1", "H1", "E1", "a", "b", "0", "sub", "dm", "nm", "1k", "{p}",
     "{p*2", "'p+1'", "p=2", "r={p}", "is=1e-14", "D", "NMOS(", ")", ".param", ".subckt", ".ends", ".model", ".control", ".endc",
     ".include", ".lib", "/etc/passwd", "shell", "+", ".temp", ".options", "temp=", "=", "params:", ";", "$", "*", ".end", "ic=1",
     "\n", "\n", "\n+", "\x1f", "\x00", "\r", "\u2028", "é", "quit"]
)  # fmt: skip


cards = st.sampled_from(
    ["R1 a 0 1k", "R2 a b {p}", ".param p=2", ".param q={p*2}", ".subckt sub a b params: r=1", "R3 a b {r}", ".ends", "X1 a b sub",
     "X2 a b sub r={q}", ".model dm D(is=1e-14)", "D1 a b dm", "V1 a 0 1", "L1 a b 1m", "L2 b 0 1m", "K1 L1 L2 0.5", "F1 a 0 V1 2"]
)  # fmt: skip


texts = st.one_of(
    st.text(max_size=200),
    st.lists(words, max_size=40).map(lambda found: "t\n" + " ".join(found)),
    st.lists(st.one_of(cards, st.lists(words, max_size=6).map(" ".join)), max_size=14).map(
        lambda found: "t\n" + "\n".join(found)
    ),
)


CARD = re.compile(
    r"[RCLVIEGFHKDQM]\w*( \w+)+( (dc|ac|[a-z]\w*=)? ?-?[0-9][-+.0-9e]*)*|\.model \w+ (d|npn|pnp|nmos|pmos)( \([a-z0-9_=.+ -]+\))?",
    re.ASCII | re.IGNORECASE,
)


@settings(max_examples=400)
@given(texts)
def test_any_text_is_a_netlist_of_clean_cards_or_an_input_error(text):
    try:
        netlist, message = parse_spice(text), "line 1"
    except InputError as error:
        netlist, message = Netlist("none"), str(error)
    assert re.match(r"line \d", message)
    *parts, last = netlist.cards()
    assert re.fullmatch(r"\.options temp=\S+ tnom=\S+", last)
    for card in parts:
        assert CARD.fullmatch(card), card


def test_the_examples_in_the_docstrings():
    netlist = parse_spice(
        """divider
.param r=1k
V1 in 0 3
R1 in out {2*r}
R2 out 0 {r}
.end"""
    )
    assert netlist["R1"].resistance == 2000.0
    assert state_space(netlist).equilibrium() == pytest.approx([3.0, 1.0])
