"""Diodes, transistors and their models: what they mean is what ngspice makes of the same text."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thermograd.circuits.errors import InputError, NetlistError, SimulationError
from thermograd.circuits.linear.descriptor import describe_netlist
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.analyses import Noise, OperatingPoint, Transient
from thermograd.circuits.netlist.elements import Resistor, VoltageSource
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.netlist.semiconductors import BipolarTransistor, DeviceModel, Diode, Mosfet, Switch
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.spice.read import parse_spice

from ..ngspice_command import needs_ngspice, operating_point

INVERTER = """a CMOS inverter at a third of its supply
.param vdd=3.3 wn=2u ratio={5/2}
.options reltol=1e-6
.temp 60
Vdd VDD 0 {vdd}
Vin in 0 dc {vdd/3} ac 1
Mp out in vdd vdd pch w={wn*ratio} l=0.5u ad=5p
Mn out in 0 0 nch W={wn} L=0.5u
Rl out 0 1meg
Cl out 0 10f
.model nch NMOS (LEVEL=1 VTO=0.7 KP=120u
+ LAMBDA=0.05 GAMMA=0.4)
.model pch PMOS (LEVEL=1 VTO=-0.8 KP=40u LAMBDA = 0.08)
.dc Vin 0 3.3 0.1
.end
"""


RECTIFIER = """a bridge rectifier, one half wave frozen
.options reltol=1e-6
V1 p n 5
D1 p out 1N4148
D2 n out 1N4148 area=2
D3 0 p 1N4148
D4 0 n 1N4148 dtemp=10
RL out 0 1k ; the load
CL out 0 10u
.model 1N4148 D(IS=2.52n RS=0.568 N=1.752 CJO=4p M=0.4 TT=20n BV=100)
.end
"""


MIRROR = """a current mirror of two bipolar transistors
.subckt mirror a b vee params: size=1 re=100
Q1 a a e1 npn
Q2 b a e2 npn area={size}
R1 e1 vee {re}
R2 e2 vee {re/size}
.model npn NPN (IS=1e-15 BF=120 VAF=80 RB=50)
.ends mirror
.options reltol=1e-6
Vcc vcc 0 10
Rref vcc in 4.7k
Xm in out 0 mirror size=2
Rout vcc out 1k
.end
"""


@needs_ngspice
@pytest.mark.parametrize(
    ("text", "nodes", "altered"),
    [
        (INVERTER, ("out", "in"), ("VTO=0.7", "VTO=0.71")),
        (RECTIFIER, ("out", "p", "n"), ("N=1.752", "N=1.7")),
        (MIRROR, ("in", "out"), ("BF=120", "BF=110")),
    ],
    ids=["inverter", "rectifier", "mirror"],
)
def test_devices_agree_with_ngspice_on_the_same_text(text, nodes, altered, tmp_path):
    expected = operating_point(text, nodes, tmp_path)
    netlist = parse_spice(text)
    found = run(netlist, OperatingPoint(nodes)).voltages
    np.testing.assert_allclose([found[node] for node in nodes], expected, rtol=2e-5, atol=1e-7)
    # Written out and run by the command, it is the same circuit still.
    again = operating_point(netlist.to_spice(analysis=OperatingPoint()), nodes, tmp_path)
    np.testing.assert_allclose(again, expected, rtol=2e-5, atol=1e-7)
    assert altered[0] in text
    other = run(parse_spice(text.replace(*altered)), OperatingPoint(nodes)).voltages
    assert np.abs(np.array([other[node] for node in nodes]) / expected - 1).max() > 5e-5


@needs_ngspice
def test_newton_is_asked_for_devices_and_stays_off_for_the_next_linear_circuit():
    """Shockley's law at the solution: the current through the resistor is that of the diode."""
    diode = parse_spice("t\nV1 a 0 5\nR1 a b 1k\nD1 b 0 dm\n.model dm D(is=1e-14)\n.end")
    linear = parse_spice("t\nV1 a 0 5\nR1 a b 1k\nR2 b 0 1k\n")
    for _ in range(2):
        v = run(diode, OperatingPoint()).voltages["b"]
        thermal = 1.380649e-23 * 300.15 / 1.602176634e-19
        assert v == pytest.approx(thermal * math.log((5 - v) / 1e3 / 1e-14 + 1), rel=1e-6)
        assert run(linear, OperatingPoint()).voltages["b"] == pytest.approx(2.5, rel=1e-12)
    start = run(diode, Transient(1e-6)).voltages["b"]
    assert start[-1] == pytest.approx(v, rel=1e-6)


@needs_ngspice
def test_a_transient_and_noise_with_a_diode():
    """RC decay into a diode follows its differential equation; the noise of the pair is Nyquist's and the shot noise."""
    text = "t\nI1 0 b dc 1m ac 1\nD1 b 0 dm\nR1 b 0 1k\nC1 b 0 1n ic=0\n.model dm D(is=1e-14)\n.end"
    netlist = parse_spice(text)
    result = run(netlist, Transient(2e-6, samples=41))
    thermal = 1.380649e-23 * 300.15 / 1.602176634e-19
    v, fine = 0.0, 2000
    curve = [0.0]
    step = 2e-6 / 40 / fine
    for _ in range(40):
        for _ in range(fine):
            middle = v + step / 2 * (1e-3 - v / 1e3 - 1e-14 * math.expm1(v / thermal)) / 1e-9
            v += step * (1e-3 - middle / 1e3 - 1e-14 * math.expm1(middle / thermal)) / 1e-9
        curve.append(v)
    np.testing.assert_allclose(result.voltages["b"][1:], curve[1:], rtol=1e-4)
    noise = run(netlist, Noise("b", "I1", 1.0, 1e3))
    current = 1e-3 - v / 1e3
    conductance = current / thermal + 1e-3
    density = math.sqrt(2 * 1.602176634e-19 * current + 4 * 1.380649e-23 * 300.15 / 1e3) / conductance
    assert noise.density[0] == pytest.approx(density, rel=1e-3)


def test_devices_are_named_by_the_engines_that_cannot_take_them():
    for text, name in ((INVERTER, "Mp"), (RECTIFIER, "D1"), (MIRROR, "Q1_Xm")):
        netlist = parse_spice(text)
        for engine in (state_space, describe_netlist, lambda n: n.to_spice("ltspice"), lambda n: n.to_spice("xyce")):
            with pytest.raises(NetlistError, match=rf"{name} is a .*only ngspice"):
                engine(netlist)


@needs_ngspice
@pytest.mark.parametrize(
    ("kind", "line", "levels"),
    [
        ("D", "D1 b 0 mod area=2 pj=1u m=3 temp=40", ("1",)),
        ("NPN", "Q1 b b 0 mod area=2 areab=2 areac=2 m=2 dtemp=5 icvbe=1 icvce=1", ("1",)),
        ("PNP", "Q1 0 0 b mod area=2 m=2", ("1", "4", "9")),
        ("NPN", "Q1 b b 0 mod m=2 dtemp=5", ("1", "4", "9")),
        ("NPN", "Q1 b b 0 mod m=2", ("8",)),
        ("NPN", "Q1 b b 0 s mod\nR2 s 0 1k", ("1", "4")),
        ("PMOS", "M1 0 0 b b mod w=10u l=1u", ("1", "2", "3", "4", "5", "6", "9")),
        ("NMOS", "M1 b b 0 0 mod w=10u l=1u ad=1p as=1p pd=4u ps=4u nrd=1 nrs=1 m=2", ("1", "2", "3", "6", "9")),
        ("NMOS", "M1 b b 0 0 mod w=10u l=1u", ("8 version=3.3", "49 version=3.3", "14 version=4.8", "54 version=4.8")),
        ("NMOS", "M1 offthermal b 0 0 mod w=10u l=1u dtemp=3\nR3 offthermal b 1", ("1",)),
    ],
)
def test_ngspice_takes_every_parameter_and_level_that_is_read(kind, line, levels):
    for level in levels:
        netlist = parse_spice(f"t\nV1 a 0 5\nR1 a b 1k\n{line}\n.model mod {kind} (level={level})\n.end")
        assert 0.0 < run(netlist, OperatingPoint()).voltages["b"] < 5.0


@needs_ngspice
def test_a_parameter_that_the_model_does_not_have_is_ngspices_to_reject():
    netlist = parse_spice("t\nV1 a 0 1\nD1 a 0 dm\n.model dm d (nonsense=1)\n.end")
    with pytest.raises(SimulationError, match="nonsense"):
        run(netlist, OperatingPoint())


def test_models_of_one_name_must_be_the_same():
    one, other = DeviceModel("dm", "D", {"is": 1e-14}), DeviceModel("DM", "d", {"is": 2e-14})
    netlist = Netlist("t")
    netlist.add(Diode("D1", "a", "0", one), Diode("D2", "a", "0", DeviceModel("dm", "d", (("IS", 1e-14),))))
    with pytest.raises(NetlistError, match="D3: its model 'DM' is not the one"):
        netlist.add(Diode("D3", "a", "0", other))
    text = "t\n.subckt s a n=1\nD1 a 0 dm\n.model dm d (n={n})\n.ends\nX1 p s\nX2 p s n=2\n.end"
    local = parse_spice(text)
    assert [d.model.name for d in local.of(Diode)] == ["dm_X1", "dm_X2"]
    assert [d.model.values["n"] for d in local.of(Diode)] == [1.0, 2.0]
    assert sum(card.startswith(".model") for card in local.cards()) == 2


@pytest.mark.parametrize(
    "bad",
    ["x\n.control", "x y", "x;y", "", "$x", "a.b", "a-b", "é", "x" * 65, "thermograd_noise0", "temper", "12", None],
)
def test_no_name_of_a_device_can_carry_a_command(bad):
    model = DeviceModel("m1", "NMOS")
    with pytest.raises(InputError, match="model name"):
        DeviceModel(bad, "D")
    with pytest.raises(InputError, match="kind"):
        DeviceModel("m1", bad)
    if bad not in ("12", "thermograd_noise0"):  # nodes may be called so
        with pytest.raises(InputError):
            Mosfet("M1", "a", bad, "0", "0", model)
    with pytest.raises(InputError):
        Mosfet(bad, "a", "b", "0", "0", model)
    with pytest.raises(InputError):
        Mosfet("M1", "a", "b", "0", "0", bad)
    if bad != "thermograd_noise0":
        with pytest.raises(InputError, match="parameter"):
            DeviceModel("m1", "D", {bad: 1.0})
    for value in ("1\n.control", math.inf, math.nan, None):
        with pytest.raises(InputError, match="is not"):
            DeviceModel("m1", "D", {"is": value})
    with pytest.raises(InputError, match="both named"):
        BipolarTransistor("Q1", "a", "b", "0", DeviceModel("qm", "NPN"), substrate="QM")
    with pytest.raises(InputError, match="all ends"):
        Mosfet("M1", "a", "a", "a", "a", model)


def test_switch_closes_above_its_threshold_and_opens_below():
    model = DeviceModel("sw", "SW", {"ron": 1.0, "roff": 1e6, "vt": 0.5, "vh": 0.1})
    netlist = Netlist("switch")
    wave = ((0.0, 0.0), (1e-6, 1.0), (2e-6, 0.0))
    netlist.add(
        VoltageSource("VC", "c", "0", 0.0, waveform=wave),
        VoltageSource("V1", "x", "0", 1.0),
        Switch("S1", "x", "out", "c", "0", model),
        Resistor("R1", "out", "0", 1.0),
    )
    found = run(netlist, Transient(2e-6, step=1e-9, nodes=("out",), use_initial=False))
    on = found.voltages["out"] > 0.1
    # Closed from 0.6 V on the way up until 0.4 V on the way down.
    assert found.time[on].min() == pytest.approx(0.6e-6, rel=0.01)
    assert found.time[on].max() == pytest.approx(1.6e-6, rel=0.01)
    assert found.voltages["out"][on].max() == pytest.approx(0.5, rel=1e-6)
