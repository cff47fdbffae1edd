"""How a run of an array of transistors begins: its supplies are on, and a switch across each of its capacitors holds its charge.

A linear amplifier's transient may begin at any voltages. Transistors that all begin at 0 V come to their bias only then, while their
outputs drive the array. So the transient begins at the operating point, with a closed switch and a source in series across each cell's
capacitor, as the reset switch of a real array, and these open at the start of the run.
"""

from __future__ import annotations

import re

from ...circuits.netlist.elements import Capacitor, VoltageSource
from ...circuits.netlist.limiting import HoldingSwitch
from ...circuits.netlist.netlist import Netlist

HOLD = 1e-3
"""How long the switches stay closed, as a share of the run, which begins when they open."""
OPENING = 0.1
"""Share of that time in which they open: at once would be a step that no solver follows."""
CONDUCTANCE = 1.0
"""Of a closed switch, S."""
_CELLS = re.compile(r"CV?\d+[pm]?")
"""Names of the cells' own capacitors, which are not those of wires or within amplifiers."""


def hold_until_start(netlist: Netlist, duration: float) -> float:
    """Add the switches, for a run of `duration` seconds from the operating point; when they are open, s."""
    opened = HOLD * duration
    wave = ((0.0, 1.0), ((1 - OPENING) * opened, 1.0), (opened, 0.0))
    netlist.add(VoltageSource("VHOLD", "hold", "0", 1.0, waveform=wave))
    for part in netlist.of(Capacitor):
        if _CELLS.fullmatch(part.name):
            netlist.add(HoldingSwitch(f"BHOLD{part.name}", part.a, part.b, "hold", part.initial or 0.0, CONDUCTANCE))
    return opened
