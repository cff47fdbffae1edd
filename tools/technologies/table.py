"""The figures of the foundries' presets beside those of `integrated`, as a Markdown table: `python -m tools.technologies --table`."""

from __future__ import annotations

import math
from collections.abc import Callable

from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.report.formatting import engineering

COLUMNS = ("integrated", "gf180mcu", "sky130")
Row = tuple[str, Callable[[Technology], float], str]
ROWS: tuple[Row, ...] = (
    ("unit resistor", lambda t: t.resistors.unit, "ohm"),
    ("its mismatch, sd", lambda t: 100 * t.resistors.mismatch, "%"),
    ("sd over dies", lambda t: 100 * t.resistors.die_to_die, "%"),
    ("TC1", lambda t: 1e6 * t.resistors.tc1, "ppm/K"),
    ("unit capacitor", lambda t: t.capacitors.unit, "F"),
    ("its mismatch, sd", lambda t: 100 * t.capacitors.mismatch, "%"),
    ("sd over dies", lambda t: 100 * t.capacitors.die_to_die, "%"),
    ("tau of the unit cell", lambda t: t.resistors.unit * t.capacitors.unit, "s"),
    ("gain A0, loaded", lambda t: t.opamp.gain, ""),
    ("gain-bandwidth product", lambda t: t.opamp.gbw, "Hz"),
    ("2 pi GBW tau", lambda t: 2 * math.pi * t.opamp.gbw * t.resistors.unit * t.capacitors.unit, ""),
    ("second pole", lambda t: t.opamp.second_pole, "Hz"),
    ("output limit", lambda t: t.opamp.output_limit, "V"),
    ("slew rate", lambda t: t.opamp.slew / 1e6, "V/us"),
    ("largest output current", lambda t: t.opamp.output_current, "A"),
    ("offset, sd", lambda t: t.opamp.offset_mismatch, "V"),
    ("noise voltage", lambda t: t.opamp.noise_voltage, "V/sqrt(Hz)"),
    ("its 1/f corner", lambda t: t.opamp.noise_voltage_corner, "Hz"),
    ("power of an amplifier", lambda t: t.opamp.power, "W"),
    ("a cell's power times tau", lambda t: t.opamp.power * t.resistors.unit * t.capacitors.unit, "J"),
    ("switch, closed", lambda t: t.switches.on_resistance, "ohm"),
    ("the same over the unit resistor", lambda t: 100 * t.switches.on_resistance / t.resistors.unit, "%"),
    ("line from crosspoint to crosspoint", lambda t: t.wires.segment_resistance, "ohm"),
    ("its capacitance", lambda t: t.wires.segment_capacitance, "F"),
)


def markdown() -> str:
    """The table."""
    technologies = [preset(name) for name in COLUMNS]
    lines = [f"| | {' | '.join(f'`{name}`' for name in COLUMNS)} |", "|---|" + "---|" * len(COLUMNS)]
    for label, figure, unit in ROWS:
        values = [_shown(figure(technology), unit) for technology in technologies]
        lines.append(f"| {label} | {' | '.join(values)} |")
    return "\n".join([*lines, ""])


def _shown(value: float, unit: str) -> str:
    if not value:
        return "0"
    if unit in ("%", "ppm/K", "V/us", ""):
        return f"{value:.3g} {unit}".strip()
    return engineering(value, unit)
