"""Numbers, arithmetic and parameters: as ngspice evaluates them."""

from __future__ import annotations

import math

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
        ("1M", 1e-3), ("4.7u", 4.7e-6), ("1F", 1e-15), (".5n", 0.5e-9), ("1e3k", 1e6),
    ],
)  # fmt: skip
def test_numbers(text, value):
    assert parse_number(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("text", ["", "k", "1.2.3", "nan", "inf", "--1", "{x}", "1_0"])
def test_what_is_no_number_is_rejected(text):
    with pytest.raises(InputError, match="is not a number"):
        parse_number(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1+2*3", 7.0), ("(1+2)*3", 9.0), ("2**3**2", 64.0), ("-2**2", -4.0), ("2**-1", 0.5), ("-(-2)**3", 8.0), ("2k*3", 6e3),
        ("1meg/1k", 1e3), ("7-2-3", 2.0), ("8/2/2", 2.0), ("sqrt(16)+exp(0)", 5.0), ("log(exp(2))", 2.0), ("max(1,2,min(5,3))", 3.0),
        ("abs(-3)", 3.0), (" 1 + 2 ", 3.0), ("{1.5u}", 1.5e-6), ("+-+1", -1.0), ("SQRT(4)", 2.0), ("3*-2", -6.0),
    ],
)  # fmt: skip
def test_arithmetic(text, value):
    assert Scope().expression(text) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    "text",
    ["", "1+", "1 2", "(1", "1)", "2^3", "1/0", "log(0)", "sqrt(-1)", "(-1)**0.5", "10**400", "exp(1000)", "x", "sin(1)", "min()",
     "sqrt(1,2)", "__import__('os')", "a.b", "1;2", "[1]", "1e400", "(" * 60 + "1" + ")" * 60, "-" * 60 + "1", "1+" * 600 + "1", "$",
     "1,2"],
)  # fmt: skip
def test_what_has_no_value_is_rejected(text):
    with pytest.raises(InputError):
        Scope().expression(text)


@given(st.text(alphabet="0123456789.eku+-*/(), minaxsqrt\x00{}", max_size=40))
def test_any_expression_is_a_finite_number_or_an_input_error(text):
    try:
        assert math.isfinite(Scope().expression(text))
    except InputError:
        pass


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
