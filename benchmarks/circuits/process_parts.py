"""Resistors, MIM capacitors and transmission gates of the foundries' models in ngspice, beside their laws by hand.

    python benchmarks/circuits/process_parts.py

Without a process's models it says so, and leaves that process out.
"""

from __future__ import annotations

import time

from thermograd.circuits.process_bench import (
    TransmissionGate,
    charge_injection,
    leakage,
    measured_capacitance,
    measured_resistance,
    on_resistance,
    resistor_noise,
)
from thermograd.circuits.technology.pdk import PROCESSES, Process

UM = 1e-6
COLD, ROOM, HOT = 233.15, 300.15, 358.15
RESISTOR, PLATE = (2 * UM, 20 * UM), (30 * UM, 30 * UM)
WIDTHS = (10 * UM, 20 * UM)
CURRENT = 1e-5


def resistors(known: Process) -> None:
    print(
        "| resistor, 2 x 20 um | ohm at 27 C | by hand | TC1, ppm/K | TC2, ppm/K^2 | ss, ff | 1 sigma of dies | pair, % um | "
        "white noise in ngspice |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, law in known.resistors.items():
        hand = law.resistance(*RESISTOR, ROOM)
        cold, hot = (law.resistance(*RESISTOR, kelvin) for kelvin in (ROOM - 40, ROOM + 40))
        measured, corners, noise = "not in the package", "-", "-"
        if law.simulated:
            ohm = {
                kelvin: measured_resistance(known, name, *RESISTOR, kelvin) for kelvin in (ROOM - 40, ROOM, ROOM + 40)
            }
            measured, cold, hot = f"{ohm[ROOM]:.2f}", ohm[ROOM - 40], ohm[ROOM + 40]
            corners = ", ".join(
                f"{measured_resistance(known, name, *RESISTOR, corner=corner) / ohm[ROOM] - 1:+.1%}"
                for corner in ("ss", "ff")
            )
            heard = resistor_noise(known, name, *RESISTOR, CURRENT)
            noise = f"{100 * heard.white:.2f} % of 4kT/R"
        first, second = (hot - cold) / (80 * hand), (hot + cold - 2 * hand) / (2 * 1600 * hand)
        print(
            f"| `{name}` | {measured} | {hand:.2f} | {1e6 * first:.0f} | {1e6 * second:.2f} | {corners} | "
            f"{100 * law.spread:.2f} % | {1e8 * law.pelgrom_coefficient:.2f} ({law.mismatch_kind}) | {noise} |"
        )


def capacitors(known: Process) -> None:
    print(
        "\n| capacitor, 30 x 30 um | pF at 27 C | by hand | TC1, ppm/K | VC1, VC2, ppm/V, ppm/V^2 | ss, ff | 1 sigma of dies | pair, % um |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, law in known.capacitors.items():
        cold, room, hot = (measured_capacitance(known, name, *PLATE, kelvin) for kelvin in (ROOM - 40, ROOM, ROOM + 40))
        corners = ", ".join(
            f"{measured_capacitance(known, name, *PLATE, corner=corner) / room - 1:+.1%}" for corner in ("ss", "ff")
        )
        print(
            f"| `{name}` | {1e12 * room:.5f} | {1e12 * law.capacitance(*PLATE, ROOM):.5f} | {1e6 * (hot - cold) / (80 * room):.1f} | "
            f"{1e6 * law.voltage[0]:.1f}, {1e6 * law.voltage[1]:.2f} | {corners} | {100 * law.spread:.2f} % | "
            f"{1e8 * law.pelgrom_coefficient:.2f} ({law.mismatch_kind}) |"
        )


def gates(known: Process) -> None:
    supply = known.supply
    levels = [supply * number / 8 for number in range(9)]
    print("\n| on-resistance, ohm, at a signal of | " + " | ".join(f"{level:.2f} V" for level in levels) + " |")
    print("|---" * (len(levels) + 1) + "|")
    gate, n, p = (TransmissionGate(known, *widths) for widths in (WIDTHS, (WIDTHS[0], 0.0), (0.0, WIDTHS[1])))
    for corner in ("tt", "ff", "ss"):
        for kelvin in (COLD, ROOM, HOT):
            found = on_resistance(TransmissionGate(known, *WIDTHS, corner=corner), levels, kelvin)
            print(f"| {corner}, {kelvin - 273.15:.0f} C | " + " | ".join(f"{ohm:.0f}" for ohm in found) + " |")
    for name, one in (("NMOS alone, tt, 27 C", n), ("PMOS alone", p)):
        found = on_resistance(one, levels)
        print(f"| {name} | " + " | ".join(f"{ohm:.0f}" if 0 < ohm < 1e6 else "open" for ohm in found) + " |")
    print("\n| open switch, tt | 27 C | 85 C |\n|---|---|---|")
    for name, level, other in (
        ("supply to ground", supply, 0.0),
        ("0.75 to 0.5 of the supply", 0.75 * supply, 0.5 * supply),
    ):
        worst = [max(map(abs, leakage(gate, level, other, kelvin))) for kelvin in (ROOM, HOT)]
        print(f"| {name} | " + " | ".join(f"{1e12 * amps:.3g} pA" for amps in worst) + " |")
    print(
        "\n| injected charge, fC, at a signal of | "
        + " | ".join(f"{share * supply:.2f} V" for share in (0.25, 0.5, 0.75))
        + " |\n|---|---|---|---|"
    )
    for name, one in (("both", gate), ("NMOS alone", n), ("PMOS alone", p)):
        charges = [charge_injection(one, share * supply, 1e-9, 1e-11) for share in (0.25, 0.5, 0.75)]
        print(f"| {name} | " + " | ".join(f"{1e15 * charge:.2f}" for charge in charges) + " |")


def main() -> None:
    began = time.perf_counter()
    for known in PROCESSES.values():
        if not known.is_installed:
            print(f"{known.name}: its models are not installed: pip install 'thermograd[pdk]'\n")
            continue
        print(f"{known.name}, {known.distribution} {known.version}\n")
        resistors(known)
        capacitors(known)
        gates(known)
        print()
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
