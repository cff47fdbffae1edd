"""`.param` cards and expressions in a netlist's text."""

import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.elements import VCCS, VCVS, Capacitor, CurrentSource, Inductor, Resistor, VoltageSource
from thermograd.circuits.netlist.limiting import Clamp
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.spice.parameters import Parameter, Parameters, value_of
from thermograd.circuits.spice.read import parse_spice
from thermograd.circuits.spice.writer import DIALECTS, write_spice

#: Values that are alike, and nodes that look like numbers, so that a replaced wrong word would show.
PARTS = [
    VoltageSource("V1", "1", "0", 1.0, ac=1.0),
    Resistor("R1", "1", "1e5", 1.0, temperature=301.0, noisy=False),
    Resistor("R2", "1e5", "0", 2.0),
    Capacitor("C1", "1e5", "0", 0.5, initial=0.5),
    Inductor("L1", "1e5", "b", 0.25, initial=0.25),
    CurrentSource("I1", "0", "b", -3.0),
    Resistor("R3", "b", "0", 7.0),
    VCVS("E1", "c", "0", "b", "0", -2.0),
    VCCS("G1", "c", "d", "b", "0", 5.0),
    Resistor("R4", "d", "0", 9.0),
]
VALUES = {part.name: value_of(part) for part in PARTS}
WITH_EXPRESSIONS = [name for name, dialect in DIALECTS.items() if dialect.has_expressions]


def netlist() -> Netlist:
    made = Netlist("parts of every kind")
    made.add(*PARTS)
    return made


@pytest.mark.parametrize("dialect", WITH_EXPRESSIONS)
def test_the_value_is_what_an_expression_stands_for_and_nothing_else_changes(dialect: str) -> None:
    cards = [Parameter(f"p_{name.lower()}", value, f"of {name}") for name, value in VALUES.items()]
    doubled = Parameters(cards, {name: f"2*p_{name.lower()}" for name in VALUES})
    text = write_spice(netlist(), dialect, parameters=doubled)
    plain, read = parse_spice(write_spice(netlist(), dialect)), parse_spice(text)
    for part in plain:
        assert value_of(read[part.name]) == 2 * value_of(part)
        for field in ("a", "b", "cp", "cm", "ac", "initial", "temperature", "noisy"):
            assert getattr(read[part.name], field, None) == getattr(part, field, None)
    assert text.count("{") == len(VALUES)
    assert f"* p_r1: of R1\n.param p_r1={VALUES['R1']!r}\n" in text


@pytest.mark.parametrize("dialect", DIALECTS)
def test_without_parameters_the_text_is_what_it_was(dialect: str) -> None:
    assert write_spice(netlist(), dialect, parameters=None) == netlist().to_spice(dialect)


@pytest.mark.parametrize("dialect", WITH_EXPRESSIONS)
def test_a_zero_of_either_sign_is_a_value_too(dialect: str) -> None:
    made = Netlist("zeros")
    made.add(VoltageSource("V1", "a", "0", -0.0), VoltageSource("V2", "b", "a", 0.0), Resistor("R1", "b", "0", 1.0))
    text = write_spice(made, dialect, parameters=Parameters([Parameter("v", 2.0)], {"V1": "v", "V2": "-v"}))
    read = parse_spice(text)
    assert (read["V1"].dc, read["V2"].dc) == (2.0, -2.0)


def test_a_dialect_of_numbers_alone_rejects_them() -> None:
    with pytest.raises(InputError, match="gnucap takes numbers alone"):
        write_spice(netlist(), "gnucap", parameters=Parameters([Parameter("r", 2.0)], {"R1": "r"}))


def test_a_parameter_may_be_an_expression_of_those_before_it() -> None:
    parameters = Parameters([Parameter("r", 2.0), Parameter("s", "3*r+1")], {"R2": "s"})
    assert parameters.lines() == [".param r=2.0", ".param s={3*r+1}"]
    assert parse_spice(write_spice(netlist(), parameters=parameters))["R2"].resistance == 7.0


@pytest.mark.parametrize(
    ("cards", "expressions", "message"),
    [
        ([Parameter("R", 1.0)], {}, "parameter 'R': a lower-case letter"),
        ([Parameter("a b", 1.0)], {}, "parameter 'a b'"),
        ([Parameter("r", "1}\n.control")], {}, "r: the expression"),
        ([], {"R1": "1}\nshell date"}, "R1: the expression"),
        ([], {"R1": "$home"}, "names, numbers, brackets"),
    ],
)
def test_what_could_carry_a_command_is_rejected(cards, expressions, message) -> None:
    with pytest.raises(InputError, match=message):
        Parameters(cards, expressions)


def test_a_part_without_one_value_has_no_expression() -> None:
    made = netlist()
    made.add(
        Clamp("B1", "d", "0", 1.0, 1.0, 0.1), VoltageSource("V2", "w", "0", 1.0, waveform=((0.0, 1.0), (1.0, 2.0)))
    )
    with pytest.raises(InputError, match="B1 is a Clamp, which has no one value"):
        write_spice(made, parameters=Parameters([], {"B1": "1"}))
    with pytest.raises(InputError, match="V2 is a VoltageSource, which has no one value"):
        write_spice(made, parameters=Parameters([], {"V2": "1"}))
