"""The tables of a data sheet, as rows of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..formatting import engineering

FIGURES = ("figure", "systems", "min", "typ", "max", "largest at", "rests on")
LIMITS = ("figure", "systems", "limit", "found", "margin", "verdict", "")
ORIGINS = ("figure", "value", "kind", "source")
DIES = ("reading", "dies that can be used", "how its readings ended")
SQUARE_MM = 1e-6
FEW = 2
"""Figures without a source that a line names; the others are counted."""


def title_of(sheet: dict[str, Any]) -> str:
    """One line: what it is a data sheet of."""
    made = sheet["made_of"]
    what = "calibrated card" if made["calibrated"] else "technology as it is stated"
    return f"Data sheet: {made['technology']}, {made['fabric'].replace('_', ' ')} ({what})"


def conditions_of(sheet: dict[str, Any]) -> str:
    """One line: at which dies, corners and temperatures."""
    asked = sheet["conditions"]
    dies, corners, celsius = asked["dies"], asked["corners"], asked["temperatures"]
    degrees = ", ".join(f"{one:g}" for one in celsius).replace("-", "−")
    length = (
        "runs as long as the slowest die needs" if asked["run"] is None else f"runs of {engineering(asked['run'], 's')}"
    )
    return (
        f"{len(dies)} di{'e' if len(dies) == 1 else 'es'}; corner{'s' * (len(corners) > 1)} {', '.join(corners)}; ambient {degrees} °C; "
        f"{length}, settled to {100 * asked['accuracy']:g} %; refined by {asked['rounds']} round{'s' * (asked['rounds'] != 1)}"
    )


def typical_of(sheet: dict[str, Any]) -> str:
    """What "typ" means."""
    place = next(one for one in sheet["places"] if one["temperature"] == sheet["typical_temperature"])
    celsius = f"{place['temperature']:g}".replace("-", "−")
    return (
        f"typ: median over dies and systems at {place['corner']}, {celsius} °C. min and max: over all dies, systems, corners and "
        "temperatures that were tried, which is no guarantee for others."
    )


def figures(sheet: dict[str, Any]) -> list[tuple[str, ...]]:
    """Rows of `FIGURES`."""
    return [_figure(one) for one in sheet["figures"]]


def _figure(one: dict[str, Any]) -> tuple[str, ...]:
    if one["max"] is None:
        return one["title"], one["workload"], "–", "–", "–", one["why_missing"] or "no reading", rests_on(one)
    least, typical, most = (value_of(one[name], one["unit"]) for name in ("min", "typ", "max"))
    at = "the same everywhere" if one["min"] == one["max"] else where(one["max_at"])
    if one["missing"]:
        at += f"; {one['missing']} of {one['values']} without a value"
    return one["title"], one["workload"], least, typical, most, at, rests_on(one)


def rests_on(one: dict[str, Any]) -> str:
    """Kinds of sources behind a figure, and in the same line what has none."""
    text = ", ".join(f"{count} {kind}" for kind, count in one["rests_on"].items())
    lacking = one["unsourced"]
    if not lacking:
        return text
    more = f" and {len(lacking) - FEW} more" if len(lacking) > FEW else ""
    return f"{text}; no source of their own: {', '.join(lacking[:FEW])}{more}"


def value_of(value: float | None, unit: str) -> str:
    """Three digits with the unit; a share as a number."""
    if value is None:
        return "–"
    if unit == "m²":
        return f"{value / SQUARE_MM:.3g} mm²"
    return engineering(value, unit) if unit else f"{value:.3g}"


def where(place: dict[str, Any] | None) -> str:
    """A corner, temperature, die and system in words."""
    if place is None:
        return "–"
    die = f", die {place['die']}" if "die" in place else ""
    return f"{place['corner']}, {place['temperature']:g} °C{die}, system {place['system']}".replace("-", "−")


def limits(sheet: dict[str, Any]) -> list[tuple[str, ...]]:
    """Rows of `LIMITS`; of a data sheet without a specification none."""
    return [_limit(one) for one in sheet["specification"] or []]


def _limit(one: dict[str, Any]) -> tuple[str, ...]:
    bounds = [
        f"{sign} {value_of(one[name], one['unit'])}"
        for name, sign in (("min", "≥"), ("max", "≤"))
        if one[name] is not None
    ]
    demand = " and ".join(bounds) + (" (typical)" if one["of"] == "typical" else "")
    if one["share"] is not None:
        demand += f" on {100 * one['share']:g} % of dies"
    found = "–" if one["value"] is None else value_of(one["value"], one["unit"])
    if one["share"] is not None and one["value"] is not None:
        found = f"{100 * one['value']:.3g} % of dies"
    margin = "–" if one["margin"] is None else f"{one['margin']:.3g}"
    return one["title"], one["workload"], demand, found, margin, one["verdict"], one["text"].replace(" -", " −")


def origins(sheet: dict[str, Any]) -> list[tuple[str, ...]]:
    """Rows of `ORIGINS`."""
    return [(one["figure"], _plain(one["value"]), one["kind"], one["source"]) for one in sheet["origins"]]


def _plain(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def dies(sheet: dict[str, Any]) -> list[tuple[str, ...]]:
    """Rows of `DIES`."""
    return [
        (
            one["reading"],
            f"{one['usable']} of {one['dies']} (95 %: {100 * one['interval'][0]:.3g} to {100 * one['interval'][1]:.3g} %)",
            ", ".join(f"{count} {name}" for name, count in one["outcomes"].items()),
        )
        for one in sheet["dies"]
    ]


def sentence(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]


def spice_of(sheet: dict[str, Any]) -> str:
    """One line: what was repeated in ngspice, and how well that agreed."""
    found = sheet["spice"]
    if found is None:
        return "no reading was repeated in ngspice (--spice N)"
    count = f"{found['readings']} bare reading{'s' * (found['readings'] != 1)} repeated in ngspice without noise"
    if found["rms_difference"] is None:
        return f"{count}: none could be read"
    worst = max(one for one in found["spice_errors"] if one is not None)
    lost = f"; {found['without']} could not be read" if found["without"] else ""
    return (
        f"{count}: readings differ by {found['rms_difference']:.2g} of |A⁻¹b| (rms; largest {found['largest_difference']:.2g}), where the "
        f"largest error there is {worst:.2g}{lost}"
    )


def verdict_of(sheet: dict[str, Any]) -> str:
    """One line; "" without a specification."""
    if sheet["specification"] is None:
        return ""
    met = sum(one["verdict"] == "pass" for one in sheet["specification"])
    return (
        f"specification {'met' if sheet['passed'] else 'not met'}: {met} of {len(sheet['specification'])} limits pass"
    )


def most_left_out(sheet: dict[str, Any], count: int = FEW) -> str:
    """First of what is not modelled, what the technology states first."""
    names: Sequence[str] = [one["effect"] for one in sheet["not_modelled"]]
    return "; ".join(names[:count]) + (f"; and {len(names) - count} more" if len(names) > count else "")
