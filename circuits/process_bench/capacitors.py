"""A process's capacitor in ngspice, over temperature and voltage."""

from __future__ import annotations

import math

from ..netlist.analyses import AC
from ..netlist.elements import Resistor, VoltageSource
from ..netlist.netlist import Netlist
from ..ngspice.run import run
from ..technology.pdk.process_record import Process
from .parts import process_capacitor

_BLEEDER = 1e15


def measured_capacitance(
    process: Process,
    model: str,
    width: float,
    length: float,
    temperature: float = 300.15,
    volts: float = 0.0,
    corner: str = "tt",
    sigmas: float = 0.0,
) -> float:
    """Farad, of a capacitor of `width` x `length` (m) at `temperature` (K) with `volts` across it; else as `process_capacitor`.

    Behind a resistor R with the admittance Y of what it feeds, v = 1 / (1 + R Y): C = Im(Y) / omega, measured where R omega C is about 1.
    """
    ohm, expected = 1e4, process.capacitors[model].capacitance(width, length) if model in process.capacitors else 1e-12
    netlist = Netlist("capacitor", temperature=temperature)
    netlist.add(
        VoltageSource("V1", "s", "0", volts, 1.0),
        Resistor("RS", "s", "a", ohm, noisy=False),
        Resistor("RB", "a", "0", _BLEEDER, noisy=False),
        process_capacitor(process, model, "X1", ("a", "0"), width, length, corner, sigmas),
    )
    start = 1 / (2 * math.pi * ohm * expected)
    found = run(netlist, AC(start, 100 * start, 2, ("a",)))
    admittance = (1 / found.voltages["a"][0] - 1) / ohm
    return float(admittance.imag / (2 * math.pi * found.frequency[0]))
