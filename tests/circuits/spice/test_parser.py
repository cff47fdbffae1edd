"""A user's own netlist: what it means is what ngspice makes of the same text, and what is not supported is rejected by its line."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError, NetlistError, SimulationError
from thermograd.circuits.linear.descriptor import describe_netlist
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.analyses import Noise, OperatingPoint, Transient
from thermograd.circuits.netlist.elements import CCCS, CCVS, Capacitor, Inductor, Resistor, VoltageSource
from thermograd.circuits.netlist.mutual_inductance import MutualInductance
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.netlist.semiconductors import BipolarTransistor, DeviceModel, Diode, Mosfet
from thermograd.circuits.ngspice.library import find_library
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.spice.expressions import Scope
from thermograd.circuits.spice.read import parse_spice, read_spice

NGSPICE = shutil.which("ngspice")
needs_ngspice = pytest.mark.skipif(NGSPICE is None, reason="the ngspice command is not installed")

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


def printed(text, nodes, folder):
    """The operating point that `ngspice -b` prints for the text as it stands."""
    control = "\n".join(
        [".control", "op", "set numdgt=12", *(f"print v({node})" for node in nodes), ".endc", ".end", ""]
    )
    path = folder / "deck.cir"
    path.write_text(text.replace(".end\n", control), encoding="utf-8")
    done = subprocess.run([NGSPICE, "-b", str(path)], capture_output=True, text=True, timeout=60, check=False)
    found = dict(re.findall(r"^v\((\w+)\) = (\S+)", done.stdout, re.MULTILINE))
    assert set(found) == set(nodes), done.stdout + done.stderr
    return np.array([float(found[node]) for node in nodes])


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
    expected = printed(text, nodes, tmp_path)
    netlist = parse_spice(text)
    found = run(netlist, OperatingPoint(nodes)).voltages
    np.testing.assert_allclose([found[node] for node in nodes], expected, rtol=2e-5, atol=1e-7)
    # Written out and run by the command, it is the same circuit still.
    again = printed(netlist.to_spice(analysis=OperatingPoint()).replace(".op\n", ""), nodes, tmp_path)
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


def transformer(coupling=0.98, load="Rl s 0 1k"):
    return parse_spice(f"t\nV1 a 0 1\nR1 a p 50\nL1 p 0 1m ic=2m\nL2 s 0 4m\nK1 l1 L2 {coupling}\n{load}\n.end")


def test_the_ratio_of_a_transformer_is_that_of_its_turns():
    """Unity coupling: v2/v1 = sqrt(L2/L1), at every frequency; and R2 in place of the load is R2 L1/L2 at the primary."""
    law = describe_netlist(transformer(1.0))
    s = 2j * np.pi * 1e6
    z = np.linalg.solve(law.at(s).toarray(), law.input.toarray()[:, 0])
    assert z[law.index["s"]] / z[law.index["p"]] == pytest.approx(2.0, rel=1e-12)
    parallel = 1 / (1 / (s * 1e-3) + 4 / 1e3)
    assert z[law.index["p"]] == pytest.approx(parallel / (50 + parallel), rel=1e-12)
    weak = describe_netlist(transformer(-0.5))
    z = np.linalg.solve(weak.at(s).toarray(), weak.input.toarray()[:, 0])
    assert (z[weak.index["s"]] / z[weak.index["p"]]).real < 0


@pytest.mark.parametrize("coupling", [0.3, 0.98, 1.0, -0.7])
def test_coupled_inductors_have_the_eigenvalues_of_their_matrix(coupling):
    """-L^-1 R with L = [[L1, M], [M, L2]]; unity coupling leaves one mode, -1 / (L1/R1 + L2/R2)."""
    m = coupling * 2e-3
    inductance, resistance = np.array([[1e-3, m], [m, 4e-3]]), np.diag([50.0, 1e3])
    space = state_space(transformer(coupling))
    if coupling == 1.0:
        expected = [-1 / (1e-3 / 50 + 4e-3 / 1e3)]
    else:
        expected = sorted(np.linalg.eigvals(-np.linalg.inv(inductance) @ resistance).real, reverse=True)
    np.testing.assert_allclose(space.eigenvalues.real, expected, rtol=1e-9)


@needs_ngspice
@pytest.mark.parametrize("load", ["Rl s 0 1k", "Rl s 0 1k\nL3 t 0 2m\nRt t 0 100\nK2 L3 L2 0.5\nK3 L1 L3 -0.4"])
@pytest.mark.parametrize("coupling", [0.98, 1.0, -0.7])
def test_state_space_and_ngspice_agree_on_a_transformer(coupling, load):
    if coupling > 0:  # what couples to one of two that are nearly one couples to both
        load = load.replace("-0.4", "0.5")
    netlist = transformer(coupling, load)
    result = run(netlist, Transient(1e-4, samples=41))
    space = state_space(netlist)
    law = space.transition(result.time[1:])
    for column, node in enumerate(space.outputs):
        np.testing.assert_allclose(result.voltages[node][1:], law[:, column], atol=3e-5)
    assert np.abs(result.voltages["s"]).max() > 1e-2


def test_couplings_that_cannot_be_are_rejected():
    base = "t\nV1 a 0 1\nL1 a p 1m\nL2 p q 1m\nL3 q 0 1m\nR1 p 0 1\nR2 q 0 1\n"
    for cards, message in (
        ("K1 L1 L9 0.5", "no such inductor"),
        ("K1 L1 L2 0.5\nK2 l2 l1 0.5", "again"),
        ("K1 L1 L2 0.9\nK2 L2 L3 0.9\nK3 L1 L3 -0.9", "contradict each other"),
    ):
        netlist = parse_spice(base + cards)
        for judge in (netlist.check, lambda n=netlist: state_space(n), lambda n=netlist: describe_netlist(n)):
            with pytest.raises(NetlistError, match=message):
                judge()
    for value in (0.0, 1.1, math.nan, "k"):
        with pytest.raises(InputError, match="K1: coupling"):
            MutualInductance("K1", "L1", "L2", value)
    with pytest.raises(InputError, match="to itself"):
        MutualInductance("K1", "L1", "l1", 0.5)
    with pytest.raises(InputError, match="an inductor"):
        MutualInductance("K1", "L1", "R1", 0.5)


SENSING = """sources controlled by currents: in series with an inductor, in a resistive branch, of a driving source
V1 in 0 2
R1 in m 1k
Vm m x 0
R2 x 0 1k
C2 x 0 1n
Vl x y 0
L1 y 0 1m
F1 0 o1 Vm 3
Ro1 o1 0 500
F2 o2 0 V1 -2
Ro2 o2 0 100
C3 o2 0 2n
F3 0 o3 vl 5
H3 h o3 Vl 20
Rh h 0 300
Ro3 o3 0 200
.end
"""


@needs_ngspice
def test_current_controlled_sources_agree_in_all_engines():
    netlist = parse_spice(SENSING)
    assert isinstance(netlist["F3"], CCCS)
    assert isinstance(netlist["H3"], CCVS)
    space, law = state_space(netlist), describe_netlist(netlist)
    drive = np.array([netlist[name].dc for name in law.sources])
    static = dict(zip(law.nodes, np.linalg.solve(law.at(0).toarray(), law.input @ drive), strict=False))
    result = run(netlist, OperatingPoint())
    # 2 V over 1 kOhm, the inductor being a short: 2 mA through Vm, V1 (from plus to minus: -2 mA) and Vl.
    assert static["o1"] == pytest.approx(3 * 2e-3 * 500)
    assert static["o2"] == pytest.approx(2 * -2e-3 * 100)
    for node, value in zip(space.outputs, space.equilibrium(), strict=True):
        assert value == pytest.approx(static[node], abs=1e-12)
        assert result.voltages[node] == pytest.approx(static[node], abs=1e-9)
    moving = run(netlist, Transient(2e-5, samples=41))
    curve = space.transition(moving.time[1:])
    for column, node in enumerate(space.outputs):
        scale = np.abs(curve[:, column]).max() + 1e-9
        np.testing.assert_allclose(moving.voltages[node][1:] / scale, curve[:, column] / scale, atol=1e-4)


@needs_ngspice
def test_a_sensed_current_carries_its_noise():
    """Johnson's current of R2 through an ammeter, times 3 into Ro: ngspice and the Lyapunov equation say the same."""
    netlist = parse_spice(
        "t\nV1 in 0 dc 0 ac 1\nR1 in m 1k\nVm m x 0\nR2 x 0 2k\nF1 0 o Vm 3\nRo o 0 1k noisy=0\nCo o 0 1n\n.end"
    )
    total = run(netlist, Noise("o", "V1", 1.0, 1e9, points_per_decade=100)).total
    assert total**2 == pytest.approx(state_space(netlist, {"o": ("o", "0")}).covariance()[0, 0], rel=1e-3)
    # white current of density 4kT/(R1 + R2), 3 times, into 1 kOhm and 1 nF
    assert total**2 == pytest.approx(9 * 1.380649e-23 * 300.15 / 3e3 * 1e3 / 1e-9, rel=1e-3)


def test_groups_stay_together():
    for apart in ("K1", "F1"):
        netlist = Netlist("t")
        for part in (
            VoltageSource("V1", "a", "0", 1.0), Inductor("L1", "b", "0", 1.0), Inductor("L2", "c", "0", 1.0),
            Resistor("R1", "a", "b", 1.0), Resistor("R2", "a", "c", 1.0), Resistor("R3", "a", "0", 1.0),
            MutualInductance("K1", "L1", "L2", 0.5), CCCS("F1", "a", "0", "V1", 2.0),
        ):  # fmt: skip
            netlist.add(part, group="other" if part.name == apart else "" if part.name == "R3" else "one")
        with pytest.raises(NetlistError, match=f"{apart} is in group 'other'"):
            netlist.to_spice(hierarchical=True)
        for dialect in ("ngspice", "ltspice", "xyce"):
            same = parse_spice(netlist.to_spice(dialect))
            assert same["K1"] == netlist["K1"]
            assert same["F1"] == netlist["F1"]


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
    expected = printed(SCOPES, ("out",), tmp_path)
    assert run(parse_spice(SCOPES), OperatingPoint()).voltages["out"] == pytest.approx(expected[0], rel=1e-6)


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
        (".control\nshell rm x\n.endc", r"line 2 .*circuits.ngspice.run.run"),
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
        ("R1 a 0 1k m=2", r"line 2 .*'m' is not supported"),
    ],
)  # fmt: skip
def test_each_refusal_names_its_line(cards, message):
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
        netlist, refusal = parse_spice(text), "line 1"
    except InputError as error:
        netlist, refusal = Netlist("none"), str(error)
    assert re.match(r"line \d", refusal)
    *parts, last = netlist.cards()
    assert re.fullmatch(r"\.options temp=\S+ tnom=\S+", last)
    for card in parts:
        assert CARD.fullmatch(card), card


@pytest.fixture
def folder(tmp_path):
    """A permitted folder with a file beside it that must stay out."""
    (tmp_path / "secret.inc").write_text("R9 out 0 1\n", encoding="utf-8")
    home = tmp_path / "home"
    (home / "sub").mkdir(parents=True)
    (home / "part.inc").write_text("R2 out 0 {r}\n.include sub/deep.inc\n", encoding="utf-8")
    (home / "sub" / "deep.inc").write_text("C1 out 0 1n\n.include 'same.inc' ; beside\n", encoding="utf-8")
    (home / "sub" / "same.inc").write_text("R3 out 0 5k\n", encoding="utf-8")
    (home / "models.lib").write_text(
        ".lib tt\n.model dm d (is=1e-14)\n.endl tt\n.lib ff\n.model dm d (is=2e-14)\n.lib models.lib extra\n.endl\n"
        ".lib extra\nRx out 0 1k\n.endl\n",
        encoding="utf-8",
    )
    return home


def write(folder, cards):
    path = folder / "main.cir"
    path.write_text(f"main\n.param r=2k\nV1 in 0 1\nR1 in out 1k\n{cards}\n.end\n", encoding="utf-8")
    return path


def test_what_is_inside_of_the_folder_is_included(folder):
    path = write(folder, '.include "part.inc"\n.lib models.lib FF\nD1 out 0 dm')
    netlist = read_spice(path, include_folder=folder)
    assert [e.name for e in netlist] == ["V1", "R1", "R2", "C1", "R3", "Rx", "D1"]
    assert netlist["D1"].model.values == {"is": 2e-14}
    assert netlist["R2"].resistance == 2e3
    inside = read_spice(write(folder, f".inc {folder}/sub/../part.inc"), folder)  # absolute, and inside
    assert "R3" in inside
    elsewhere = write(folder.parent, ".include part.inc")  # relative to the folder
    assert "R3" in read_spice(elsewhere, folder)
    plain = read_spice(str(write(folder, "R2 out 0 1k")), str(folder))
    assert len(plain) == 3
    with pytest.raises(InputError, match=r"line 5 \(\.include part.inc\).*include_folder"):
        read_spice(write(folder, ".include part.inc"))


@pytest.mark.parametrize(
    "name",
    ["../secret.inc", "sub/../../secret.inc", "/etc/passwd", "{parent}/secret.inc", "link.inc", "linked/secret.inc", "away/secret.inc",
     "~/.bashrc", "/dev/zero", "/proc/self/environ", "sub", "", "no.inc", "a\x00b", "x" * 5000, "pipe"],
)  # fmt: skip
def test_no_file_outside_of_the_folder_is_included(folder, name):
    os.symlink(folder.parent / "secret.inc", folder / "link.inc")
    os.symlink(folder.parent, folder / "linked")
    os.symlink("..", folder / "away")
    os.mkfifo(folder / "pipe")
    name = name.replace("{parent}", str(folder.parent))
    for card in (f'.include "{name}"', f'.lib "{name}" tt'):
        with pytest.raises(InputError, match=r"line 5 .*(no file inside|write \.include)"):
            read_spice(write(folder, card), include_folder=folder)
    (folder / "outer.inc").write_text(f'\n.include "{name}"\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2 of outer\.inc"):
        read_spice(write(folder, ".include outer.inc"), include_folder=folder)


def test_included_files_are_no_freer_than_the_text(folder):
    for content, message in (
        ("R5 out 0 1\n.control\nshell ls\n.endc\n", r"line 2 of bad.inc \(.control\).*not run"),
        ("R1 out 0 1\n", r"line 1 of bad.inc .*duplicate"),
        (".include bad.inc\n", "more than 10 deep"),
        (".include bad.inc\n.include bad.inc\n", "more than 10 deep"),
        (".lib here\n.endl\n", r"line 1 of bad.inc .*SECTION"),
        (".include\n", r"line 1 of bad.inc .*SECTION"),
        (".lib models.lib nothing\n", r"line 1 of bad.inc .*no section 'nothing'"),
    ):
        (folder / "bad.inc").write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_spice(write(folder, ".include bad.inc"), include_folder=folder)
    for k in range(9):
        (folder / f"f{k}.inc").write_text(f".include f{k + 1}.inc\n" * 3, encoding="utf-8")
    (folder / "f9.inc").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="more than 200 files"):
        read_spice(write(folder, ".include f0.inc"), include_folder=folder)


def test_files_that_cannot_be_read(folder):
    (folder / "latin.cir").write_bytes(b"t\nR1 a 0 1 ; \xb5\n")
    for path in (folder / "none.cir", folder, "a\x00b", folder / "latin.cir", None):
        with pytest.raises(InputError, match="cannot be read"):
            read_spice(path)
    path = write(folder, "")
    for bad in (folder / "none", path, "a\x00b", 3):
        with pytest.raises(InputError, match="include_folder"):
            read_spice(path, include_folder=bad)


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


@needs_ngspice
def test_the_library_is_there_where_the_command_is():
    assert find_library()
