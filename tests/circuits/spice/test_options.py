"""Options and temperatures: heeded, or without effect on the circuit, or rejected."""

from __future__ import annotations

import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.spice.read import parse_spice

from ..ngspice_command import needs_ngspice, operating_point

DIVIDER = "divider\nV1 in 0 10\nR1 in out 1k\nR2 out 0 3k\n"


@needs_ngspice
def test_a_shunt_changes_the_voltage_and_is_rejected(tmp_path):
    assert operating_point(f"{DIVIDER}.options rshunt=1k\n.end\n", ("out",), tmp_path) == pytest.approx([30 / 7])
    by_hand = f"{DIVIDER}R9 in 0 1k\nR10 out 0 1k\n.end\n"  # what the message says to do
    assert operating_point(by_hand, ("out",), tmp_path) == pytest.approx([30 / 7])
    with pytest.raises(InputError, match=r"line 5 .*rshunt changes the circuit.*add the resistors"):
        parse_spice(f"{DIVIDER}.options rshunt=1k\n.end\n")


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (".options gshunt=1m", "gshunt changes the circuit"),
        (".option CSHUNT = 1p", "cshunt.*capacitors"),
        (".opt rshunt=1", "rshunt"),
        (".options reltol=1e-3, rshunt=1k", "rshunt"),
        (".options cshuntintern=1f", "capacitors"),
        (".options gfloat=1u", "resistors"),
        (".options ramptime=1u", "pwl"),
        (".options nonsense", "'nonsense' is not known"),
        (".options reltol 1e-6", "'1e-6' is not known.*name=value"),
        (".options temp 60", "temp has no value"),
        (".options temp=", "temp has no value"),
        (".options dampinductors=1", "inductors are ideal"),
        (".options device minres=1", "minres"),
        (".options device temp=30 rshunt=1", "rshunt"),
        (".options tnom", "tnom has no value"),
    ],
)
def test_what_changes_the_circuit_or_is_unknown_is_rejected(card, message):
    with pytest.raises(InputError, match=f"line 5 .*{message}"):
        parse_spice(f"{DIVIDER}{card}\n.end\n")


@pytest.mark.parametrize(
    "card",
    [
        ".options reltol=1e-4, abstol=1p vntol=1u",
        ".option method=gear maxord=2 noopiter itl1=500 gminsteps=0",
        ".options acct list node nopage",
        ".options plotwinsize=0 numdgt=15 measdgt=12",
        ".options Thev_Induc=1 DampInductors=0",
        ".options timeint method=trap reltol=1e-06",
        ".options linsol type=klu",
        ".options device debuglevel=-100",
        ".options savecurrents",
        ".options gmin=1u scale=2 tnom=50 defw=1u",
    ],
)
def test_what_only_tells_a_simulator_how_to_work_is_passed_over(card):
    assert [part.name for part in parse_spice(f"{DIVIDER}{card}\n.end\n")] == ["V1", "R1", "R2"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("gmin=1m", "gmin is 1e-12 here"),
        ("scale=1u", "scale"),
        ("tnom=50", "tnom is 27 C"),
        ("defm=2", "defm is 1"),
        ("badmos3", "badmos3"),
    ],
)
def test_options_of_devices_matter_where_there_are_devices(option, message):
    diode = "diode\nV1 a 0 0.5\nR1 a b 1\nD1 b 0 dm\n.model dm d(is=1e-14)\n.options {}\n.end\n"
    with pytest.raises(InputError, match=f"line 6 .*{message}"):
        parse_spice(diode.format(option))
    assert "D1" in parse_spice(diode.format("gmin=1e-12 tnom=27 defm=1"))


CASES = [
    (".temp 50", 50),
    (".options temp=60", 60),
    (".temp 50\n.options temp=60", 50),
    (".options temp=60\n.temp 50", 50),
    (".opt temp=60", 60),
    (".options temp=60, tnom=27", 60),
    (".options device temp=60", 60),
    (".param t=55\n.temp {t}", 55),
    (".temp 50\n.TEMP 50.0", 50),
    ("", 27),
]


@needs_ngspice
@pytest.mark.parametrize(("cards", "celsius"), CASES)
def test_the_temperature_is_ngspices(cards, celsius, tmp_path):
    assert parse_spice(f"{DIVIDER}{cards}\n.end\n").temperature == pytest.approx(celsius + 273.15, rel=1e-15)
    heated = DIVIDER.replace("3k", "3k tc1=0.01")
    resistance = 3e3 * (1 + 0.01 * (celsius - 27))
    found = operating_point(f"{heated}{cards}\n.end\n", ("out",), tmp_path)
    assert found == pytest.approx([10 * resistance / (1e3 + resistance)], rel=1e-6)


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        (".temp 50\n.temp 70", "line 6 .*50 C on line 5"),
        (".options temp=60\n.options temp=80", "line 6 .*60 C on line 5"),
        (".options temp=60 temp=90", "line 5 .*drop one"),
        (".temp 0.05k", "line 5 .*plain number"),
        (".temp 27C", "line 5 .*plain number"),
        (".temp", "line 5 .*one temperature"),
        (".temp 1 2", "line 5 .*one temperature"),
        (".options temp=t", "line 5 .*not a number"),
        (".subckt s a\n.temp 50\nR3 a 0 1\n.ends", "line 6 .*outside of the sub-circuit"),
        (".subckt s a\n.options temp=50\nR3 a 0 1\n.ends\nX1 in s", "line 6 .*outside of the sub-circuit"),
    ],
)
def test_temperatures_that_simulators_read_differently_are_rejected(cards, message):
    with pytest.raises(InputError, match=message):
        parse_spice(f"{DIVIDER}{cards}\n.end\n")
