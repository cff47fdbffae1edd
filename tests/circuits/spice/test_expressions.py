"""Numbers, arithmetic and parameters: as ngspice evaluates them."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.netlist.elements import Capacitor, Resistor
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.spice.expressions import Scope, parse_number
from thermograd.circuits.spice.read import parse_spice

from ..ngspice_command import needs_ngspice, operating_point


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0), ("-2.5e-3", -2.5e-3), ("1k", 1e3), ("2meg", 2e6), ("3MEGohm", 3e6), ("10pF", 10e-12), ("1m", 1e-3),
        ("1M", 1e-3), ("4.7u", 4.7e-6), ("1F", 1e-15), (".5n", 0.5e-9), ("1e3k", 1e6), ("10Meg", 1e7), ("5.", 5.0),
        ("1.5e3k", 1.5e6),
        ("10\u00b5", 1e-5), ("10\u03bc", 1e-5), ("10\u03bcF", 1e-5), ("1k\u03a9", 1e3), ("2\u2126", 2.0),
        ("1mil", 25.4e-6), ("1mA", 1e-3),
        ("5V", 5.0),
    ],
)  # fmt: skip
def test_numbers(text, value):
    assert parse_number(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "digits"), ("k", "digits"), ("1.2.3", "digits"), ("nan", "digits"), ("inf", "digits"), ("--1", "digits"), ("+-3", "digits"),
        ("{x}", "digits"), ("1_0", "digits"), ("0x10", r"write 0\.10x"), ("1k%", "digits"), ("1e-3.5", "digits"), ("1e+", "digits"),
        ("1k5", r"write 1\.5k"), ("4K7", r"write 4\.7K"), ("4R7", r"write 4\.7R"), ("1d3", r"."), ("1,5", "decimal point"),
        ("1e", "one meaning"), ("1x", "1e6 or 1"), ("1X", "1e6 or 1"), ("1a", "1e-18 or 1"), ("1A", "1e-18 or 1"), ("1dk", "one meaning"),
        ("1e400", "finite"), ("1e308k", "finite"), ("10\u039c", r"U\+039C"), ("1\u212a", r"U\+212A"), ("\u0661\u0662", r"U\+0661"),
        ("\uff11", r"U\+FF11"), ("1k\u00a0", r"U\+00A0"), ("1\u00b2", r"U\+00B2"), ("1e" + "9" * 5000, "finite"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_rejected(text, remedy):
    with pytest.raises(InputError, match=f"is not a number.*{remedy}"):
        parse_number(text)


@given(
    st.from_regex(r"[+-]?([0-9]{1,6}\.?[0-9]{0,6}|\.[0-9]{1,6})(e[+-]?[0-9]{1,2})?", fullmatch=True),
    st.sampled_from([("", 1), ("T", 10**12), ("G", 10**9), ("Meg", 10**6), ("k", 10**3), ("m", Fraction(1, 10**3)),
                     ("u", Fraction(1, 10**6)),
                     ("\u00b5", Fraction(1, 10**6)), ("\u03bc", Fraction(1, 10**6)), ("n", Fraction(1, 10**9)), ("p", Fraction(1, 10**12)),
                     ("f", Fraction(1, 10**15)), ("mil", Fraction(254, 10**7))]),
    st.sampled_from(["", "F", "H", "V", "ohm", "Hz", "\u03a9"]),
)  # fmt: skip
def test_a_number_is_its_decimal_times_its_suffix(digits, suffix, unit):
    letters, factor = suffix
    if not letters and unit.startswith("F"):  # one farad is a femto to SPICE
        factor = Fraction(1, 10**15)
    exact = Fraction(digits) * factor
    assert parse_number(f"{digits}{letters}{unit}") == pytest.approx(float(exact), rel=1e-15, abs=0)


@given(st.from_regex(r"[0-9]{1,3}\w{0,3}", fullmatch=True))
def test_no_other_digits_or_letters_are_taken_for_those_of_ascii(text):
    try:
        parse_number(text)
    except InputError:
        return
    assert (
        text.strip("\u00b5\u03bc\u03a9\u2126").isascii()
        or text.translate({ord(c): "" for c in "\u00b5\u03bc\u03a9\u2126"}).isascii()
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1+2*3", 7.0), ("(1+2)*3", 9.0), ("2**3**2", 64.0), ("-2**2", -4.0), ("2**-1", 0.5), ("-(-2)**2", -4.0), ("2k*3", 6e3),
        ("1meg/1k", 1e3), ("7-2-3", 2.0), ("8/2/2", 2.0), ("sqrt(16)+exp(0)", 5.0), ("log(exp(2))", 2.0), ("max(2,min(5,3))", 3.0),
        ("abs(-3)", 3.0), (" 1 + 2 ", 3.0), ("{1.5u}", 1.5e-6), ("SQRT(4)", 2.0), ("3*-2", -6.0),
    ],
)  # fmt: skip
def test_arithmetic(text, value):
    assert Scope().expression(text) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    "text",
    ["", "1+", "1 2", "(1", "1)", "2^3", "1/0", "log(0)", "sqrt(-1)", "(-1)**0.5", "10**400", "exp(1000)", "x", "sin(1)", "min()",
     "sqrt(1,2)", "__import__('os')", "a.b", "1;2", "[1]", "1e400", "(" * 60 + "1" + ")" * 60, "-" * 60 + "1", "1+" * 600 + "1", "$",
     "1,2", "1mil", "1k5", "1e", "2x", "(-2)**3", "(-2)**0.5", "--2", "2*-3**2", "1--abs(2)", "2**-(1)", "min(1)", "min(3,2,5)",
     "3*-(2)", "10\u039c", "(1,2)"],
)  # fmt: skip
def test_what_has_no_value_is_rejected(text):
    with pytest.raises(InputError):
        Scope().expression(text)


def test_a_sign_before_a_parameter_behind_an_operator_is_rejected():
    """ngspice 39 takes 1/-a+3 for 1/-(a+3)."""
    with pytest.raises(InputError, match="stands before a number only"):
        parse_spice("t\n.param a=2\nR1 x 0 {1/-a+3}\nI1 0 x 1\n.end")
    assert parse_spice("t\n.param a=2\nR1 x 0 {1/(-a)+3}\nI1 0 x 1\n.end")["R1"].resistance == 2.5


@given(st.text(alphabet="0123456789.eku+-*/(), minaxsqrt\x00{}", max_size=40))
def test_any_expression_is_a_finite_number_or_an_input_error(text):
    try:
        assert math.isfinite(Scope().expression(text))
    except InputError:
        pass


@needs_ngspice
def test_ngspice_has_the_same_arithmetic(tmp_path):
    texts = ["3- -.5", "2*-3", "-3**2", "4**.5**2", "2**-1*3",
             "7-2-3", "(-2)**2", "-(-2)**2", "10\u00b5*1meg", "- 3 ** 2", "1.5e1k/2m",
             "min(3,2)-max(1,4)", "log(10)*exp(1)-sqrt(2)", "abs(-3)**2"]  # fmt: skip
    deck = "t\n" + "".join(f"V{k} n{k} 0 {{{text}}}\n" for k, text in enumerate(texts)) + ".end\n"
    expected = operating_point(deck, [f"n{k}" for k in range(len(texts))], tmp_path)
    assert [Scope().expression(text) for text in texts] == pytest.approx(expected, rel=1e-12)


SCOPES = """parameters, looked up where ngspice looks them up
.param r=1k total='2*r' cap={ total / 1e12 }
.subckt cell a b params: r=10 c={2*cap}
.param half={r/2}
R1 a m {half}
R2 m b {half}
C1 m 0 {c}
X1 m b leaf
.ends
.subckt leaf a b
R1 a b {r}
.ends
V1 in 0 {total/1k}
X1 in out cell
X2 in out cell r={r*3}
X3 in out leaf
X4 in out cell params: r=40 c=1p
RL out 0 {total}
.end
"""


def test_parameters_have_scopes():
    netlist = parse_spice(SCOPES)
    values = {e.name: e.resistance for e in netlist.of(Resistor)}
    assert values == pytest.approx({
        "R1_X1": 5.0, "R2_X1": 5.0, "R1_X1_X1": 10.0, "R1_X2": 1500.0, "R2_X2": 1500.0, "R1_X2_X1": 3e3, "R1_X3": 1e3,
        "R1_X4": 20.0, "R2_X4": 20.0, "R1_X4_X1": 40.0, "RL": 2e3,
    })  # fmt: skip
    assert [c.capacitance for c in netlist.of(Capacitor)] == pytest.approx([4e-9, 4e-9, 1e-12])
    assert netlist["V1"].dc == 2.0


@needs_ngspice
def test_ngspice_reads_the_parameters_alike(tmp_path):
    expected = operating_point(SCOPES, ("out",), tmp_path)
    assert run(parse_spice(SCOPES), OperatingPoint()).voltages["out"] == pytest.approx(expected[0], rel=1e-6)
