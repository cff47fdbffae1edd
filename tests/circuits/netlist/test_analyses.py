"""AC sweeps: the transfer function, and what is no sweep."""

from __future__ import annotations

import numpy as np
import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.analyses import AC, ACResult, NoiseResult, OperatingPointResult, TransientResult
from thermograd.circuits.netlist.elements import Capacitor, Resistor, VoltageSource
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run import run


def test_sweep_is_the_transfer_function():
    netlist = Netlist("rc")
    netlist.add(VoltageSource("V1", "a", "0", 0.0, 2.0), Resistor("R1", "a", "b", 1e3), Capacitor("C1", "b", "0", 1e-9))
    found = run(netlist, AC(1.0, 1e7, 5, nodes=("b",)))
    np.testing.assert_allclose(found.voltages["b"], 2 / (1 + 2j * np.pi * found.frequency * 1e-6), rtol=1e-12)
    assert list(found.voltages) == ["b"]
    assert len(found.frequency) == 36


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 1.0), "AC.start"),
        ((1.0, 1.0), "must exceed"),
        ((1.0, 10.0, 0), "points_per_decade"),
        ((1.0, 1.5, 2), "less than one step"),
    ],
)
def test_sweeps_that_make_no_sense_are_rejected(arguments, message):
    with pytest.raises(InputError, match=message):
        AC(*arguments)


def test_sweep_is_written_for_every_dialect():
    netlist = Netlist("rc")
    netlist.add(VoltageSource("V1", "a", "0", 0.0, 1.0), Resistor("R1", "a", "b", 1e3), Capacitor("C1", "b", "0", 1e-9))
    for dialect in ("ngspice", "ltspice", "xyce"):
        assert ".ac dec 5 1.0 1000000.0" in netlist.to_spice(dialect, AC(1.0, 1e6, 5, nodes=("b",)))


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (
            OperatingPointResult({f"n{k}": 1.0 for k in range(1000)}, "42", "log"),
            "OperatingPointResult(1000 nodes: n0, n1, n2, n3, ...)",
        ),
        (OperatingPointResult({"a": 1.0}), "OperatingPointResult(1 node: a)"),
        (
            TransientResult(np.linspace(0, 1e-6, 501), {"a": np.zeros(501), "b": np.zeros(501)}),
            "TransientResult(501 points to 1e-06 s, 2 nodes: a, b)",
        ),
        (TransientResult(np.zeros(0), {"a": np.zeros(0)}), "TransientResult(0 points, 1 node: a)"),
        (
            NoiseResult(np.array([1.0, 10.0, 1e6]), np.zeros(3), 1.2345678e-6),
            "NoiseResult(3 points from 1 to 1e+06 Hz, 1.235e-06 V rms)",
        ),
        (
            ACResult(np.array([1.0, 1e3]), {"b": np.zeros(2, complex)}),
            "ACResult(2 points from 1 to 1000 Hz, 1 node: b)",
        ),
    ],
)
def test_a_result_is_shown_on_one_short_line(result, text):
    assert repr(result) == text
