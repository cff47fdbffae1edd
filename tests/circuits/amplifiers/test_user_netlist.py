"""A designer's own netlist as an amplifier: its ports are all accounted for, and copies of it do not touch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd import compile_matrix
from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.amplifiers.user_netlist import Amplifier
from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.netlist.elements import VCCS, VCVS, Resistor, VoltageSource
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.parts import OpAmp
from thermograd.compiler.layout.extraction import extracted_netlist

LINEAR = """an amplifier of gain 1000, with something beside it
.param k=1k
Vtest x 0 1
Rtest x 0 1k
.subckt amp up lo out vdd gnda
G1 gnda mid up lo {k/1k}
R1 mid gnda 1k
E1 out gnda mid gnda 1
Rsup vdd gnda 1meg
.ends amp
.subckt sensing up lo out
V1 up in 0
R1 in lo 1meg
H1 h 0 V1 1g
L1 h m 1u
L2 m out 1u
K1 L1 L2 0.5
R2 out 0 1k
.ends sensing
.end
"""
SUPPLIES = {"vdd": 1.0, "gnda": 0.0}


def linear() -> Amplifier:
    return Amplifier.from_spice(LINEAR, "amp", ("up", "lo"), ("out",), SUPPLIES)


def follower(count: int, amplifier: Amplifier, group: str = "") -> Netlist:
    """`count` inverters of gain -1 in a row."""
    netlist = Netlist("row")
    netlist.add(VoltageSource("VIN", "v0", "0", 1.0))
    for k in range(1, count + 1):
        netlist.add(Resistor(f"RI{k}", f"v{k - 1}", f"e{k}", 1e4), Resistor(f"RF{k}", f"v{k}", f"e{k}", 1e4))
        amplifier.add(netlist, ("0", f"e{k}"), (f"v{k}",), str(k), group=group)
    return netlist


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 6))
def test_copies_work_side_by_side(count):
    volts = run(follower(count, linear()), OperatingPoint()).voltages
    gain = -1 / (1 + 2 / 1000)
    assert volts[f"v{count}"] == pytest.approx(gain**count, rel=1e-6)


def test_copies_share_their_supplies_and_nothing_else():
    netlist = follower(2, linear())
    assert [source.name for source in netlist.of(VoltageSource)] == ["VIN", "VSUP_vdd", "VSUP_gnda"]
    assert netlist["G1_Xamp_amp1"].nodes == ("sup_gnda", "mid_Xamp_amp1", "0", "e1")
    assert netlist["G1_Xamp_amp2"].nodes == ("sup_gnda", "mid_Xamp_amp2", "0", "e2")
    assert not any(name.startswith(("Vtest", "Rtest")) for name in (part.name for part in netlist))


def test_coupled_inductors_and_sensed_currents_stay_within_a_copy():
    amplifier = Amplifier.from_spice(LINEAR, "sensing", ("up", "lo"), ("out",), {})
    netlist = Netlist("two")
    netlist.add(VoltageSource("VA", "a", "0", 1.0), Resistor("RX", "x", "0", 1.0))
    for k in (1, 2):
        amplifier.add(netlist, ("a", "0"), (f"o{k}",), str(k))
    assert netlist["H1_Xsensing_amp2"].partners == ("V1_Xsensing_amp2",)
    assert netlist["K1_Xsensing_amp2"].partners == ("L1_Xsensing_amp2", "L2_Xsensing_amp2")
    volts = run(netlist, OperatingPoint()).voltages
    assert volts["o2"] == pytest.approx(1e9 * 1e-6, rel=1e-6)


def test_inner_names_are_no_ones_else():
    """An inner node or part of a name that an array uses, `n1`, `p1` or `R1`, stays the copy's own."""
    parts = Netlist("amp")
    parts.add(
        VCCS("G1", "0", "n1", "up", "lo", 1.0), Resistor("R1", "n1", "0", 1e3), VCVS("E1", "out", "0", "n1", "0", 1.0)
    )
    amplifier = Amplifier(parts, ("up", "lo"), ("out",), {})
    matrix, b = np.array([[1.0, -0.3], [-0.3, 0.7]]), np.array([1.0, 0.5])
    program = compile_matrix(matrix, fabric="crossbar_single", b=b)
    wires = program.technology.replace(wires__segment_resistance=0.1)
    program = dataclasses.replace(program, technology=wires)
    for netlist in (program.netlist(b, amplifier=amplifier), extracted_netlist(program, b, amplifier=amplifier)):
        found = program.decode(run(netlist, OperatingPoint(program.nodes)).voltages)
        np.testing.assert_allclose(found, np.linalg.solve(matrix, b), rtol=0.02)


def test_an_amplifiers_own_resistors_are_no_crosspoints():
    """Resistors from its output or to its inverting input, as an input's series resistor has, stay where they are."""
    text = LINEAR.replace("Rsup vdd gnda 1meg", "Rsup vdd gnda 1meg\nRfb out lo 1g\nRin gnda lo 1g")
    amplifier = Amplifier.from_spice(text, "amp", ("up", "lo"), ("out",), SUPPLIES)
    program = compile_matrix(np.array([[1.0, -0.3], [-0.3, 0.7]]), fabric="crossbar_single", technology="integrated")
    netlist = extracted_netlist(program, [1.0, 0.5], amplifier=amplifier)
    assert netlist["Rfb_Xamp_amp1"].nodes == ("p1", "e1")
    assert not any(part.name.startswith("RSfb") for part in netlist)


def test_supplies_of_one_name_have_one_voltage():
    netlist = follower(1, linear())
    other = Amplifier.from_spice(LINEAR, "amp", ("up", "lo"), ("out",), SUPPLIES | {"vdd": 2.0})
    with pytest.raises(InputError, match=r"supply vdd has another voltage than 2 V"):
        other.add(netlist, ("0", "e9"), ("v9",), "9")


def test_a_parts_own_temperature_keeps_its_distance():
    text = LINEAR.replace("R1 mid gnda 1k", "R1 mid gnda 1k dtemp=10")
    amplifier = Amplifier.from_spice(text, "amp", ("up", "lo"), ("out",), SUPPLIES)
    netlist = Netlist("hot", temperature=400.0)
    amplifier.add(netlist, ("a", "b"), ("c",), "1")
    assert netlist["R1_Xamp_amp1"].temperature == pytest.approx(410.0)


def test_offset_is_in_series_with_the_input():
    netlist = Netlist("offset")
    netlist.add(VoltageSource("VIN", "in", "0", 0.0), Resistor("RI", "in", "e", 1e4), Resistor("RF", "out", "e", 1e4))
    linear().add(netlist, ("0", "e"), ("out",), "1", offset=1e-3)
    assert run(netlist, OperatingPoint()).voltages["out"] == pytest.approx(2e-3 / (1 + 2 / 1000), rel=1e-6)


@pytest.mark.parametrize(
    ("subcircuit", "inputs", "outputs", "supplies", "message"),
    [
        ("op", ("up", "lo"), ("out",), SUPPLIES, "no sub-circuit 'op'.*there are: amp, sensing"),
        ("amp", ("plus", "lo"), ("out",), SUPPLIES, "no port 'plus'; its ports are up, lo, out, vdd, gnda"),
        ("amp", ("up", "lo"), ("out",), {"gnda": 0.0}, "port 'vdd' of sub-circuit amp is neither an input"),
        ("amp", ("up", "up"), ("out",), SUPPLIES | {"lo": 0.0}, "each must be named once"),
        ("amp", ("up", "lo"), (), SUPPLIES | {"out": 0.0}, "one or two outputs"),
    ],
)
def test_ports_are_all_accounted_for(subcircuit, inputs, outputs, supplies, message):
    with pytest.raises(InputError, match=message):
        Amplifier.from_spice(LINEAR, subcircuit, inputs, outputs, supplies)


def test_number_of_outputs_must_fit():
    with pytest.raises(InputError, match=r"needs amplifiers of 2 output.*fabric='crossbar_single'"):
        linear().add(Netlist("x"), ("a", "b"), ("p", "m"), "1")


def test_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.cir"):
        Amplifier.read_spice(tmp_path / "none.cir", "amp", ("up", "lo"), ("out",), SUPPLIES)


def test_commands_beside_the_sub_circuit_are_left_aside_and_inside_are_rejected():
    beside = LINEAR.replace(".end\n", ".control\nshell touch /tmp/never\n.endc\n.end\n")
    amplifier = Amplifier.from_spice(beside, "amp", ("up", "lo"), ("out",), SUPPLIES)
    assert amplifier.parts.to_spice() == linear().parts.to_spice()
    inside = LINEAR.replace("E1 out", ".control\nE1 out")
    with pytest.raises(InputError, match=r"line 8 .*commands are not run"):
        Amplifier.from_spice(inside, "amp", ("up", "lo"), ("out",), SUPPLIES)


def test_a_file_beside_it_that_was_not_asked_for_is_rejected():
    with pytest.raises(InputError, match=r"line 2 .*include_folder"):
        Amplifier.from_spice(
            LINEAR.replace(".param", ".include models.lib\n.param"), "amp", ("up", "lo"), ("out",), SUPPLIES
        )


def test_macromodel_stands_in_for_a_designed_one():
    """Both are cells: the same calls give the same circuit around them."""
    netlist = Netlist("row")
    netlist.add(VoltageSource("VIN", "v0", "0", 1.0), Resistor("RI", "v0", "e", 1e4), Resistor("RF", "v1", "e", 1e4))
    Macromodel(OpAmp(gain=1e3, gbw=1e6, output_limit=5.0)).add(netlist, ("0", "e"), ("v1",), "1")
    assert run(netlist, OperatingPoint()).voltages["v1"] == pytest.approx(-1 / 1.002, rel=1e-6)
