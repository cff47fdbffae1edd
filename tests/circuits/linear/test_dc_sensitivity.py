"""First-order changes at rest: a divider by hand, and finite differences of an active array."""

import dataclasses

import numpy as np
import pytest

from thermograd.circuits.errors import NetlistError
from thermograd.circuits.linear.dc_sensitivity import DCSensitivity
from thermograd.circuits.netlist.elements import CCVS, VCVS, Capacitor, CurrentSource, Resistor, VoltageSource
from thermograd.circuits.netlist.netlist import Netlist


def divider() -> Netlist:
    netlist = Netlist("divider")
    netlist.add(VoltageSource("V1", "in", "0", 3.0), Resistor("R1", "in", "out", 1e3), Resistor("R2", "out", "0", 2e3))
    return netlist


def test_a_divider() -> None:
    """v = V R2 / (R1 + R2): dv / d ln R2 = V R1 R2 / (R1 + R2)^2, and the opposite for R1."""
    found = DCSensitivity(divider(), [("out", "0"), ("in", "out")])
    np.testing.assert_allclose(found.volts, [2.0, 1.0])
    np.testing.assert_allclose(found.of_resistors(["R1", "r2"]), [[-2 / 3, 2 / 3], [2 / 3, -2 / 3]])
    np.testing.assert_allclose(found.of_sources(["V1"]), [[2 / 3], [1 / 3]])


def feedback(changes: dict[str, float]) -> Netlist:
    """Amplifiers, a probe of a current and a current source, with changed values."""
    netlist = Netlist("feedback")
    parts = [
        VoltageSource("V1", "a", "0", 1.0),
        CurrentSource("I1", "0", "e", 2e-4),
        Resistor("R1", "a", "e", 1e3),
        Resistor("R2", "e", "o", 3e3),
        VCVS("E1", "o", "0", "0", "e", 50.0),
        VoltageSource("V2", "o", "p", 0.0),
        Resistor("R3", "p", "0", 5e3),
        CCVS("H1", "q", "0", "V2", 700.0),
        Resistor("R4", "q", "r", 1e3),
        Resistor("R5", "r", "0", 1e3),
        Capacitor("C1", "r", "0", 1e-9),
    ]
    for part in parts:
        change = changes.get(part.name, 0.0)
        if isinstance(part, Resistor):
            part = dataclasses.replace(part, resistance=part.resistance * np.exp(change))
        elif isinstance(part, VoltageSource | CurrentSource):
            part = dataclasses.replace(part, dc=part.dc + change)
        netlist.add(part)
    return netlist


def test_finite_differences() -> None:
    outputs = [("o", "0"), ("r", "e"), ("q", "p")]
    found = DCSensitivity(feedback({}), outputs)
    resistors, sources, step = ["R1", "R2", "R3", "R4", "R5"], ["V1", "I1", "V2"], 1e-4
    by_adjoint = np.hstack([found.of_resistors(resistors), found.of_sources(sources)])
    for column, name in enumerate([*resistors, *sources]):
        h = step * (1e-3 if name == "I1" else 1.0)
        up, down = (DCSensitivity(feedback({name: sign * h}), outputs).volts for sign in (1, -1))
        np.testing.assert_allclose(by_adjoint[:, column], (up - down) / (2 * h), rtol=1e-6, atol=1e-9)


def test_what_is_not_meant_is_rejected() -> None:
    found = DCSensitivity(divider(), [("out", "0")])
    with pytest.raises(NetlistError, match="V1 is a VoltageSource, not a resistor"):
        found.of_resistors(["V1"])
    with pytest.raises(NetlistError, match="R1 is a Resistor, not an independent source"):
        found.of_sources(["R1"])
    floating = divider()
    floating.add(Resistor("R3", "x", "y", 1.0))
    with pytest.raises(NetlistError, match="no single solution at rest"):
        DCSensitivity(floating, [("out", "0")])
