"""Switches as they are made: an NMOS and a PMOS transistor side by side, in ngspice over the signal level.

closed    gate of the NMOS at the supply, of the PMOS at ground; G = beta_n (V_DD - v - V_Tn) + beta_p (v - |V_Tp|), where positive
open      the reverse: subthreshold current exp(V_GS / (n phi_T)) of a transistor whose source is at its own rail, and junctions else
opening   half of each channel's charge and the overlap capacitances' leave on either side, of opposite signs
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..netlist.analyses import OperatingPoint, Transient
from ..netlist.elements import CCVS, GROUND, Capacitor, Element, VoltageSource
from ..netlist.netlist import Netlist
from ..netlist.semiconductors import Mosfet
from ..ngspice.run import run
from ..technology.pdk.process_record import Process

Array = NDArray[np.float64]
DIFFUSION = 0.48e-6
"""Length of a contacted source or drain, m: 0.22 um of contact, 0.15 um to the gate, 0.07 um of overlap and rounding (GF180MCU's rules)."""
_VOLTS = 1e-2
"""Across a closed switch, V: its current is linear there."""
_NO_GMIN = 1e-21
_LEAK_GAIN = 1e12


@dataclass(frozen=True)
class TransmissionGate:
    """A switch between two nodes.

    Attributes:
        process: of its transistors. nmos_width, pmos_width: m; 0 leaves a transistor out. length: m; None: the shortest.
        corner: of the process.
    """

    process: Process
    nmos_width: float
    pmos_width: float
    length: float | None = None
    corner: str = "tt"

    def __post_init__(self) -> None:
        if not (self.nmos_width or self.pmos_width):
            raise InputError("a transmission gate needs a transistor: nmos_width and pmos_width are both 0")

    @property
    def area(self) -> float:
        """Gate and diffusions of both transistors, m^2, without wells, spacings and wires."""
        return sum(width * (self._length(kind) + 2 * DIFFUSION) for kind, width in self._transistors)

    @property
    def _transistors(self) -> list[tuple[str, float]]:
        both = (("NMOS", self.nmos_width), ("PMOS", self.pmos_width))
        return [(kind, width) for kind, width in both if width]

    def _length(self, kind: str) -> float:
        device = self.process.nmos if kind == "NMOS" else self.process.pmos
        return device.min_length if self.length is None else self.length

    def parts(self, name: str, a: str, b: str, closed: str, opened: str, supply: str) -> list[Element]:
        """Its transistors between `a` and `b`.

        Args:
            name: suffix of their names. closed: gate of the NMOS, at the supply when the switch is closed. opened: gate of the PMOS.
            supply: bulk of the PMOS; that of the NMOS is ground.
        """
        models = self.process.models(self.corner)
        made: list[Element] = []
        for kind, width in self._transistors:
            device = self.process.nmos if kind == "NMOS" else self.process.pmos
            gate, bulk = (closed, GROUND) if kind == "NMOS" else (opened, supply)
            edge, around = width * DIFFUSION, 2 * (width + DIFFUSION)
            size = {"w": width, "l": self._length(kind), "ad": edge, "as": edge, "pd": around, "ps": around}
            made.append(Mosfet(f"M{kind[0]}{name}", a, gate, b, bulk, models[device.model], size))
        return made


def on_resistance(gate: TransmissionGate, levels: Sequence[float], temperature: float = 300.15) -> Array:
    """Ohm of the closed switch with 10 mV across it, about each signal level (V, from ground to the supply)."""
    netlist = _rails(gate, temperature)
    for number, level in enumerate(levels):
        netlist.add(
            VoltageSource(f"VA{number}", f"a{number}", GROUND, level + _VOLTS / 2),
            VoltageSource(f"VB{number}", f"b{number}", GROUND, level - _VOLTS / 2),
            CCVS(f"H{number}", f"i{number}", GROUND, f"VA{number}", 1.0),
            *gate.parts(str(number), f"a{number}", f"b{number}", "vdd", GROUND, "vdd"),
        )
    volts = run(netlist, OperatingPoint()).voltages
    return np.array([-_VOLTS / volts[f"i{number}"] for number in range(len(levels))])


def leakage(gate: TransmissionGate, level: float, other: float, temperature: float = 300.15) -> tuple[float, float]:
    """Currents (A) that flow out of the nodes at `level` and at `other` (V) into the open switch: channel and junctions.

    ngspice's own conductance across every junction, 1e-12 S, would be a thousand times as much, and is set to 1e-21 S.
    """
    netlist = _rails(gate, temperature)
    for name, volts in (("A", level), ("B", other)):
        netlist.add(
            VoltageSource(f"V{name}", name.lower(), GROUND, volts),
            CCVS(f"H{name}", f"i{name}", GROUND, f"V{name}", _LEAK_GAIN),
        )
    netlist.add(*gate.parts("1", "a", "b", GROUND, "vdd", "vdd"))
    found = run(netlist, OperatingPoint(gmin=_NO_GMIN)).voltages
    return -found["iA"] / _LEAK_GAIN, -found["iB"] / _LEAK_GAIN


def charge_injection(
    gate: TransmissionGate, level: float, edge: float = 1e-10, capacitance: float = 1e-12, temperature: float = 300.15
) -> float:
    """Charge (C) that the switch leaves on a capacitor when it opens between it and a source at `level` (V).

    Args:
        gate: the switch. edge: time in which both gates change over, s. capacitance: F; it changes by far less than `level`.
    """
    supply, wait = gate.process.supply, 20 * edge
    netlist = _rails(gate, temperature)
    for name, before, after in (("on", supply, 0.0), ("off", 0.0, supply)):
        wave = ((0.0, before), (wait, before), (wait + edge, after))
        netlist.add(VoltageSource(f"V{name}", name, GROUND, before, waveform=wave))
    netlist.add(
        VoltageSource("VS", "s", GROUND, level),
        Capacitor("CH", "h", GROUND, capacitance),
        *gate.parts("1", "s", "h", "on", "off", "vdd"),
    )
    volts = run(netlist, Transient(3 * wait, nodes=("h",), use_initial=False, step=edge / 20)).voltages["h"]
    return float(capacitance * (volts[-1] - level))


def _rails(gate: TransmissionGate, temperature: float) -> Netlist:
    netlist = Netlist("transmission gate", temperature=temperature)
    netlist.add(VoltageSource("VDD", "vdd", GROUND, gate.process.supply))
    return netlist
