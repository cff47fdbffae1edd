"""A measured amplifier as rows of text: one set of figures, or a row for each condition."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..circuits.amplifiers.characterise import Characterisation
from ..circuits.amplifiers.conditions import Condition
from .formatting import engineering

FIGURES = ("figure", "value")
"""Columns of `figures`."""
CONDITIONS = (
    *("corner", "°C", "supply", "gain", "GBW", "phase margin", "slew rate", "swing", "noise", "1/f corner", "offset"),
    *("mean of outputs: gain, GBW, phase margin", "R_out", "current", "power"),
)
"""Columns of `conditions`."""


def _found(value: float, unit: str) -> str:
    """A zero or infinite value was not found."""
    return engineering(value, unit) if value and math.isfinite(value) else "none found"


def _decibel(gain: float) -> str:
    return f"{20 * math.log10(gain):.1f} dB"


def celsius(kelvin: float) -> str:
    """A temperature as on data sheets: 27 °C."""
    return f"{round(kelvin - 273.15, 6):g} °C"


def figures(measured: Characterisation, area: float = 0.0) -> list[tuple[str, str]]:
    """Each figure of an amplifier.

    Args:
        measured: what the bench found. area: of its parts on a die, m^2; 0: not stated.
    """
    opamp, (low, high) = measured.opamp, measured.swing
    rows = [
        ("gain A0", f"{engineering(opamp.gain, '').strip()} ({_decibel(opamp.gain)})"),
        ("gain-bandwidth product", engineering(opamp.gbw, "Hz")),
        ("unity-gain frequency", engineering(measured.unity_gain, "Hz")),
        ("phase margin", f"{measured.phase_margin:.1f}°"),
        ("second pole", _found(opamp.second_pole, "Hz")),
        ("swing, lowest", engineering(low, "V")),
        ("swing, highest", engineering(high, "V")),
        ("slew rate", _found(opamp.slew / 1e6, "V/µs")),
        ("output resistance", _found(measured.output_resistance, "Ω")),
        ("largest output current", _found(opamp.output_current, "A")),
        ("offset", engineering(measured.offset, "V")),
        ("bias current", _found(opamp.bias_current, "A")),
        ("noise voltage", engineering(opamp.noise_voltage, "V/√Hz")),
        ("its 1/f corner", _found(opamp.noise_voltage_corner, "Hz")),
        ("noise current", _found(opamp.noise_current, "A/√Hz")),
        ("its 1/f corner", _found(opamp.noise_current_corner, "Hz")),
        (
            "common-mode rejection",
            _decibel(measured.rejection) if math.isfinite(measured.rejection) else "complete (symmetrical)",
        ),
    ]
    if opamp.outputs == 2:
        rows.append(("mean of the outputs", engineering(opamp.common_mode_offset, "V")))
    if (loop := measured.common_mode) is not None:
        rows += [
            ("common-mode loop, gain", _decibel(loop.gain)),
            ("common-mode loop, unity gain", engineering(loop.unity_gain, "Hz")),
            ("common-mode loop, phase margin", f"{loop.phase_margin:.1f}°"),
        ]
    rows += [
        ("supply current", _found(measured.supply_current, "A")),
        ("power", engineering(opamp.power, "W")),
    ]
    return [*rows, ("area of its parts", f"{area * 1e12:.0f} µm²")] if area else rows


def conditions(measured: Iterable[tuple[Condition, Characterisation]]) -> list[tuple[str, ...]]:
    """A row for each condition."""
    rows: list[tuple[str, ...]] = []
    for condition, found in measured:
        opamp, loop, (low, high) = found.opamp, found.common_mode, found.swing
        mean = "" if loop is None else f"{_decibel(loop.gain)}, {engineering(loop.gbw, 'Hz')}, {loop.phase_margin:.0f}°"
        rows.append(
            (
                condition.corner,
                f"{round(condition.temperature - 273.15, 6):g}",
                f"{100 * condition.supply:g} %",
                _decibel(opamp.gain),
                engineering(opamp.gbw, "Hz"),
                f"{found.phase_margin:.0f}°",
                _found(opamp.slew / 1e6, "V/µs"),
                f"{low:.2f} to {high:.2f} V",
                engineering(opamp.noise_voltage, "V/√Hz"),
                _found(opamp.noise_voltage_corner, "Hz"),
                engineering(found.offset, "V"),
                mean,
                _found(found.output_resistance, "Ω"),
                _found(found.supply_current, "A"),
                engineering(opamp.power, "W"),
            )
        )
    return rows
