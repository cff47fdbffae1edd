"""Numbers as text: significant digits, percent, uncertainties, SI prefixes; plain data as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

_PREFIXES = dict(zip(range(-18, 15, 3), "afpnµm kMGT", strict=True))


def engineering(value: float, unit: str) -> str:
    """At most three digits and an SI prefix, without trailing zeros: 20.7 kΩ, 1 nF."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    rounded = float(f"{value:.3g}")
    exponent = 3 * math.floor(math.log10(abs(rounded)) / 3 + 1e-12)
    if exponent not in _PREFIXES:
        return f"{value:.3g} {unit}"
    return f"{rounded / 10.0**exponent:.3g} {_PREFIXES[exponent].strip()}{unit}"


def significant(value: float | None, digits: int = 3) -> str:
    """A number to `digits` significant digits, without exponent from 0.001 to 10000."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 10.0 ** max(digits, 4):
        return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}".replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa} × 10{power}".replace("-", "−")


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as percent with `digits` decimals."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %".replace("-", "−")


def plus_minus(value: float | None, uncertainty: float | None, scale: float = 1.0, unit: str = "") -> str:
    """`value ± uncertainty unit`, both times `scale` rounded to the first digit of the uncertainty, or the second after a leading 1."""
    tail = f" {unit}" if unit else ""
    if value is None or not math.isfinite(value):
        return "–"
    if uncertainty is None or not math.isfinite(uncertainty) or uncertainty <= max(0.0, 1e-13 * abs(value)):
        return f"{significant(scale * value)}{tail}"
    value, uncertainty = scale * value, scale * uncertainty
    size = math.floor(math.log10(uncertainty))
    decimals = max(0, -size + (uncertainty < 1.95 * 10.0**size))
    return f"{value:.{decimals}f} ± {uncertainty:.{decimals}f}{tail}".replace("-", "−")


def si(value: float | None, unit: str) -> str:
    """Three digits and an SI prefix, trailing zeros kept: 230 ns, 10.0 kΩ."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return f"0 {unit}"
    step = min(4, max(-5, math.floor(math.log10(abs(value)) / 3)))
    return f"{significant(value / 1000.0**step)} {'fpnµm kMGT'[step + 5].strip()}{unit}"


def to_json(data: Any) -> str:
    """JSON text of plain data, records, numpy arrays and paths."""
    return json.dumps(_plain(data), indent=2, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy
        return _plain(value.tolist())
    return str(value) if isinstance(value, Path) else value
