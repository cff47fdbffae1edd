"""The amplifiers of four technologies: foundries' transistors over corners, temperatures and supplies, and two records without any.

    python benchmarks/circuits/silicon_amplifiers.py --out amplifiers.json       (2 minutes of CPU)

`examples/amplifiers/gf180mcu.cir` and `sky130.cir` on the bench of `characterise` with the load of a column of eight unknowns, at tt, ff
and ss with -40, 27 and 85 C, and at 0.9 and 1.1 of the supply; resistors and capacitors are at the transistors' corner. Offset is one
standard deviation by the small-signal formula over all transistors (`amplifier_sensitivities`), at tt and 27 C. `integrated` and
`breadboard` are what their records say, whatever the corner. Conditions that --out already holds are not measured again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from pathlib import Path
from typing import Any

from thermograd.circuits import MismatchBench, amplifier_sensitivities, preset, process_amplifier
from thermograd.circuits.amplifiers.conditions import Condition, over_conditions
from thermograd.circuits.amplifiers.process_amplifier import LOAD_CAPACITANCE, LOAD_RESISTANCE
from thermograd.circuits.technology.foundry_areas import layout_area, netlist_sizes
from thermograd.circuits.technology.pdk import process

ZERO = 273.15
CONDITIONS = [Condition(c, t + ZERO) for c, t in itertools.product(("tt", "ff", "ss"), (-40.0, 27.0, 85.0))]
CONDITIONS += [Condition("tt", 27.0 + ZERO, supply) for supply in (0.9, 1.1)]
FIGURES = ("gain", "gbw", "slew", "output_limit", "noise_voltage", "noise_voltage_corner", "power")


def measured(name: str, kept: dict[str, Any], out: Path) -> None:
    """Every condition that `kept` lacks, written to `out` after each."""
    amplifier, rows = process_amplifier(name), kept.setdefault(name, {})
    for condition in CONDITIONS:
        key = f"{condition.corner} {condition.temperature - ZERO:.0f} {condition.supply:g}"
        if key in rows:
            continue
        [(_, found)] = over_conditions(
            amplifier,
            [condition.corner],
            [condition.temperature],
            [condition.supply],
            LOAD_RESISTANCE,
            LOAD_CAPACITANCE,
            common_mode="ref",
        )
        loop = found.common_mode
        rows[key] = {figure: getattr(found.opamp, figure) for figure in FIGURES} | {
            "phase_margin": found.phase_margin,
            "output_resistance": found.output_resistance,
            "supply_current": found.supply_current,
            "mean": found.opamp.common_mode_offset,
            "loop": [loop.gain, loop.unity_gain, loop.phase_margin] if loop else None,
        }
        out.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    if "area" not in kept.setdefault(f"{name} at rest", {}):
        laws = process(name).pelgrom
        bench = MismatchBench(amplifier, load_resistance=LOAD_RESISTANCE, load_capacitance=LOAD_CAPACITANCE)
        kept[f"{name} at rest"] = {
            "offset": float(amplifier_sensitivities(bench, laws).deviations[0]),
            "area": layout_area(name, *netlist_sizes(amplifier.parts, process(name))),
        }
        out.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def table(kept: dict[str, Any]) -> None:
    """As Markdown."""
    print(
        "| | corner, °C, supply | A0 dB | GBW MHz | phase margin | slew V/us | limit V | noise nV/√Hz, 1/f corner | mean's loop: A0",
        end="",
    )
    print(" dB, unity gain at MHz, margin | R_out kohm | power mW |\n|" + "---|" * 11)
    for name in ("gf180mcu", "sky130"):
        for key, row in kept[name].items():
            corner, celsius, supply = key.split()
            gain, unity, margin = row["loop"]
            print(
                f"| `{name}` | {corner}, {celsius}, {float(supply):.0%} | {decibel(row['gain'])} | {row['gbw'] / 1e6:.1f} | "
                f"{row['phase_margin']:.0f} | {row['slew'] / 1e6:.0f} | {row['output_limit']:.2f} | {row['noise_voltage'] * 1e9:.1f}, "
                f"{row['noise_voltage_corner'] / 1e3:.0f} kHz | {decibel(gain)}, {unity / 1e6:.1f}, {margin:.0f} | "
                f"{row['output_resistance'] / 1e3:.0f} | {row['power'] * 1e3:.2f} |"
            )
    for name in ("integrated", "breadboard"):
        opamp = preset(name).opamp
        second = math.degrees(math.atan(opamp.gbw / opamp.second_pole))
        mean = "-" if opamp.outputs == 1 else f"{decibel(opamp.common_mode_gain)}, {opamp.common_mode_gbw / 1e6:.0f}, -"
        print(
            f"| `{name}` | any | {decibel(opamp.gain)} | {opamp.gbw / 1e6:.1f} | {90 - second:.0f} | {opamp.slew / 1e6:.0f} | "
            f"{opamp.output_limit:.2f} | {opamp.noise_voltage * 1e9:.1f}, {opamp.noise_voltage_corner / 1e3:g} kHz | {mean} | "
            f"{opamp.output_resistance / 1e3:.2g} | {opamp.power * 1e3:.2g} |"
        )
    print("\n| | offset, one standard deviation, mV | area, um^2 |\n|---|---|---|")
    for name in ("gf180mcu", "sky130"):
        row = kept[f"{name} at rest"]
        print(f"| `{name}` | {1e3 * row['offset']:.2f} | {1e12 * row['area']:.0f} |")
    for name in ("integrated", "breadboard"):
        print(f"| `{name}` | {1e3 * preset(name).opamp.offset_mismatch:.2f} | - |")


def decibel(gain: float) -> str:
    """One decimal."""
    return f"{20 * math.log10(gain):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON with what was measured")
    parser.add_argument("--only", choices=("gf180mcu", "sky130"), help="measure one of them, and print no table")
    options = parser.parse_args()
    kept = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name in [options.only] if options.only else ["gf180mcu", "sky130"]:
        measured(name, kept, options.out)
    if not options.only:
        table(kept)


if __name__ == "__main__":
    main()
