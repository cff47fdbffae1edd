"""AC sweeps: the transfer function, and what is no sweep."""

from __future__ import annotations

import numpy as np
import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.analyses import AC
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
