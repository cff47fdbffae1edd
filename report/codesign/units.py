"""Values of knobs, costs and scores as text."""

from __future__ import annotations

import math

from ..formatting import engineering, percent, si, significant
from .result_file import KnobAxis, Number, Setting

NONE = "–"
"""In place of what is not known."""
_SHOWN = {"ohm": "Ω", "V/sqrt(Hz)": "V/√Hz", "A/sqrt(Hz)": "A/√Hz"}
_PREFIXED = ("A", "A/√Hz", "F", "H", "Hz", "J", "J/K", "S", "V", "V/s", "V/√Hz", "W", "W/K", "bit/s", "s", "Ω")
"""Units that take an SI prefix; others stand after the plain number."""


def setting(value: Setting, unit: str) -> str:
    """Value of a knob with its unit: 2 %, 10 kΩ, 6 bit, on, none."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        return "infinite"
    shown = _SHOWN.get(unit, unit)
    if unit == "1":
        return f"{100 * value:.4g} %".replace("-", "−")
    if unit == "m^2":
        return area(value)
    if shown in _PREFIXED:
        return engineering(value, shown)
    plain = isinstance(value, int) or value == 0 or 1e-3 <= abs(value) < 1e6
    text = f"{float(f'{value:.4g}'):.10g}" if plain else significant(value)
    return f"{text} {shown.replace('^2', '²')}".strip().replace("-", "−")


def knob_setting(value: Setting, knob: KnobAxis | None) -> str:
    """Value of a knob of the search with its unit."""
    return setting(value, knob.unit if knob is not None else "")


def area(value: Number) -> str:
    """An area given in m²: 0.84 mm², 120 µm²."""
    if value is None:
        return NONE
    return f"{significant(1e6 * value)} mm²" if abs(value) >= 1e-9 or value == 0 else f"{significant(1e12 * value)} µm²"


def seconds(value: Number) -> str:
    """A time with its SI prefix; from two minutes on in minutes, hours or days."""
    if value is None or abs(value) < 120:
        return si(value, "s")
    for size, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if abs(value) >= 2 * size:
            return f"{significant(value / size)} {name}"
    raise AssertionError(value)


def joules(value: Number) -> str:
    """An energy with its SI prefix."""
    return si(value, "J")


def score(value: Number, shown_in_percent: bool) -> str:
    """A score: 96.82 %, 0.0312."""
    return percent(value, 2) if shown_in_percent else significant(value, 4)


def share(value: Number) -> str:
    """A share in whole percent."""
    return percent(value, 0)


def fine_share(value: Number) -> str:
    """A share in percent to two digits, however small."""
    return NONE if value is None else f"{significant(100 * value, 2)} %"


def times(value: Number) -> str:
    """A factor: 1.8 ×."""
    if value is None:
        return NONE
    return f"{significant(value, 2 if value < 100 else 3)} ×"
