"""Sources controlled by currents: one circuit in all engines, its noise, and its groups."""

from __future__ import annotations

import numpy as np
import pytest

from thermograd.circuits.errors import NetlistError
from thermograd.circuits.linear.descriptor import describe_netlist
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.analyses import Noise, OperatingPoint, Transient
from thermograd.circuits.netlist.elements import CCCS, CCVS, Inductor, Resistor, VoltageSource
from thermograd.circuits.netlist.mutual_inductance import MutualInductance
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.spice.read import parse_spice

from ..ngspice_command import needs_ngspice

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
