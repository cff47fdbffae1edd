"""The switch of a record's array: a transmission gate of the process's own transistors, closed and open, in ngspice."""

from __future__ import annotations

import numpy as np

from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.netlist.elements import CCVS, VoltageSource
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.netlist.semiconductors import Mosfet
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.pdk.process_record import Process

ACROSS = 0.01
"""Voltage across a closed switch, V."""


def gate_resistances(of: Process, widths: tuple[float, float], length: float, levels: np.ndarray) -> np.ndarray:
    """Ohm of a closed transmission gate at signals (K,) V about half of the supply.

    Args:
        widths: of its n- and p-channel transistor, m. length: m.
    """
    return ACROSS / _currents(of, widths, length, levels, ACROSS, closed=True)


def gate_leakage(of: Process, widths: tuple[float, float], length: float, volts: float) -> float:
    """Conductance of the open gate with so many V across it, S."""
    return float(abs(_currents(of, widths, length, np.zeros(1), volts, closed=False)[0])) / volts


def _currents(
    of: Process, widths: tuple[float, float], length: float, levels: np.ndarray, across: float, closed: bool
) -> np.ndarray:
    models, half = of.models("tt", "tt"), of.supply / 2
    netlist = Netlist("transmission gates", temperature=300.15)
    netlist.add(VoltageSource("VDD", "vdd", "0", half), VoltageSource("VSS", "vss", "0", -half))
    on, off = ("vdd", "vss") if closed else ("vss", "vdd")
    for k, level in enumerate(levels.tolist()):
        upper, lower = f"a{k}", f"b{k}"
        netlist.add(
            VoltageSource(f"VA{k}", upper, "0", level + across / 2),
            VoltageSource(f"VB{k}", lower, "0", level - across / 2),
            Mosfet(f"MN{k}", upper, on, lower, "vss", models[of.nmos.model], {"w": widths[0], "l": length}),
            Mosfet(f"MP{k}", upper, off, lower, "vdd", models[of.pmos.model], {"w": widths[1], "l": length}),
            CCVS(f"H{k}", f"i{k}", "0", f"VB{k}", 1.0),
        )
    found = run(netlist, OperatingPoint()).voltages
    return np.array([found[f"i{k}"] for k in range(len(levels))])
