"""Load of an amplifier's measurement: examples/amplifiers/two_stage.cir under several loads, and the macromodel of its unloaded parameters.

    python benchmarks/circuits/amplifier_load.py

The macromodel has the measured output resistance in series with its output, at all frequencies and all levels. In a stage with Miller
compensation it is that of the output transistors only at low frequency and for small signals.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

from thermograd.circuits.amplifiers.characterise import characterise
from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.amplifiers.user_netlist import Amplifier

NETLIST = Path(__file__).resolve().parents[2] / "examples" / "amplifiers" / "two_stage.cir"
LOADS = ((math.inf, 0.0), (46e3, 0.0), (10e3, 0.0), (math.inf, 1e-13), (math.inf, 1e-12), (46e3, 1e-12))


def main() -> None:
    began = time.perf_counter()
    amplifier = Amplifier.read_spice(NETLIST, "two_stage", ("inp", "inn"), ("out",), {"vdd": 0.9, "vss": -0.9})
    unloaded = Macromodel(characterise(amplifier).opamp)
    print(f"  {'load':16}{'':12}{'A0':>8}{'|A| = 1':>11}{'margin':>9}{'swing':>18}{'slew rate':>12}")
    for ohm, farad in LOADS:
        load = f"{'none' if math.isinf(ohm) else f'{ohm / 1e3:g} kohm'}, {1e12 * farad:g} pF"
        for name, cell in (("amplifier", amplifier), ("macromodel", unloaded)):
            found = characterise(cell, load_resistance=ohm, load_capacitance=farad)
            low, high = found.swing
            print(
                f"  {load:16}{name:12}{found.opamp.gain:>8.0f}{found.unity_gain / 1e6:>7.1f} MHz{found.phase_margin:>7.1f} °"
                f"{low:>8.2f} to {high:.2f} V{found.opamp.slew / 1e6:>7.1f} V/us"
            )
    print(f"\n{time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
