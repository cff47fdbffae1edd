"""Saturating sources: what ngspice makes of them is what the records say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError, NetlistError
from thermograd.circuits.linear import statespace
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.netlist.elements import VCCS, CurrentSource, Resistor, VoltageSource
from thermograd.circuits.netlist.limiting import Clamp, SaturatingVCCS
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.netlist.semiconductors import DeviceModel, Switch
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.spice.read import parse_spice

SIZES = st.floats(1e-6, 1e3)


def loaded(part, volts: float) -> Netlist:
    """The part's current into 1 ohm at node `out`, driven by `volts` at node `in`."""
    netlist = Netlist("one part")
    netlist.add(VoltageSource("V1", "in", "0", volts), part, Resistor("R1", "out", "0", 1.0, noisy=False))
    return netlist


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-6, 1.0), st.floats(1e-9, 1.0), st.floats(-5.0, 5.0))
def test_transconductor_saturates_as_tanh(gm, limit, volts):
    part = SaturatingVCCS("B1", "0", "out", "in", "0", gm, limit)
    found = run(loaded(part, volts), OperatingPoint()).voltages["out"]
    assert found == pytest.approx(limit * math.tanh(gm * volts / limit), rel=1e-6, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 10.0), st.floats(1e-6, 1.0), st.floats(1e-4, 0.1), st.floats(-50.0, 50.0))
def test_clamp_conducts_outside_of_its_level(level, conductance, width, volts):
    netlist = Netlist("clamp")
    netlist.add(
        VoltageSource("V1", "in", "0", volts),
        Resistor("R1", "in", "x", 1.0),
        Clamp("B1", "x", "0", level, conductance, width),
    )
    x = run(netlist, OperatingPoint()).voltages["x"]
    current = conductance * width * (np.logaddexp(0, (x - level) / width) - np.logaddexp(0, (-x - level) / width))
    assert volts - x == pytest.approx(current, rel=1e-4, abs=1e-7)


@settings(max_examples=50, deadline=None)
@given(SIZES, SIZES, SIZES, st.floats(-1e3, 1e3), st.floats(1e-9, 1.0))
def test_every_record_comes_back_from_its_text(first, second, third, value, time):
    netlist = Netlist("all of them")
    netlist.add(
        VoltageSource("V1", "a", "0", value, 1.0, ((0.0, value), (time, -value), (2 * time, first))),
        CurrentSource("I1", "a", "b", value, 0.0, ((0.0, value), (time, 0.0))),
        SaturatingVCCS("B1", "0", "b", "a", "0", first, second),
        Clamp("B2", "b", "c_1", first, second, third),
        Switch("S1", "b", "c_1", "a", "0", DeviceModel("sw1", "SW", {"ron": first, "roff": 1e9, "vt": 0.5, "vh": 0.1})),
        Resistor("R1", "b", "0", first),
        Resistor("R2", "c_1", "0", first),
    )
    again = parse_spice(netlist.to_spice())
    assert again.elements == netlist.elements


@pytest.mark.parametrize(
    "card",
    [
        "B1 a 0 i=1*tanh(2*v(a,0)/3)",
        "B1 a 0 v=1",
        "B1 a 0 i=1.0*tanh(1.0*v(a,0)/1.0)+1",
        "B1 a 0 i=system('ls')",
        "B1 a 0 i=0.1*0.001*(max((v(b,0)-0.3)/0.001,0))",
        "B1 a",
    ],
)
def test_expressions_of_others_are_rejected(card):
    with pytest.raises(InputError, match="line 3"):
        parse_spice(f"title\nR1 a 0 1\n{card}\n.end")


def test_linear_equivalent_keeps_names_groups_and_currents():
    netlist = loaded(SaturatingVCCS("B1", "0", "out", "in", "0", 1e-3, 1.0), 0.01)
    netlist.add(Clamp("B2", "out", "0", 1.0, 1.0, 0.01), group="cell1")
    linear = netlist.linearised()
    assert linear["GB1"] == VCCS("GB1", "0", "out", "in", "0", 1e-3)
    assert "B2" not in linear
    assert linear.is_linear
    space = statespace.state_space(linear)
    assert space.equilibrium()[space.outputs.index("out")] == pytest.approx(1e-5, rel=1e-9)
    with pytest.raises(NetlistError, match=r"B1 is a SaturatingVCCS, which is not linear.*linearised"):
        statespace.state_space(netlist)


@pytest.mark.parametrize("dialect", ["ltspice", "xyce"])
def test_other_dialects_write_them_and_are_read_back(dialect):
    netlist = loaded(SaturatingVCCS("B1", "0", "out", "in", "0", 1e-3, 1.0), 0.01)
    assert parse_spice(netlist.to_spice(dialect))["B1"] == netlist["B1"]


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, "x"])
@pytest.mark.parametrize("field", ["transconductance", "limit"])
def test_limits_are_positive_numbers(field, value):
    values = {"transconductance": 1.0, "limit": 1.0, field: value}
    with pytest.raises(InputError, match=f"B1: {field}"):
        SaturatingVCCS("B1", "0", "out", "in", "0", **values)


@pytest.mark.parametrize("node", ["limit", "Gauss", "agauss", "unif", "aunif"])
def test_names_of_random_functions_are_no_nodes_of_an_expression(node):
    with pytest.raises(InputError, match="function's name"):
        SaturatingVCCS("B1", "0", "x", node, "0", 1.0, 1.0)
