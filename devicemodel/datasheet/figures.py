"""The figures of a data sheet: what each is, and its least, typical and largest value over dies, systems, corners and temperatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np


class Place(NamedTuple):
    """A corner and an ambient temperature, C."""

    corner: str
    celsius: float


@dataclass(frozen=True)
class FigureKind:
    """One figure.

    Attributes:
        title: in tables. unit: "": a number. method: how it is found.
        rests_on: parts of a technology, or of a card, whose figures it follows from; see `provenance`.
        of_dies: whether each die has its own.
    """

    title: str
    unit: str
    method: str
    rests_on: tuple[str, ...]
    of_dies: bool = True


SURROGATE, LAW, CIRCUIT, COST = (
    "surrogate of each die",
    "law of the dies' spread",
    "linear law of each die's circuit",
    "cost model, with the heat of each die's run",
)
_READING = ("resistors", "capacitors", "opamp", "dac", "adc", "thermal", "card")
_PRICES = (
    "resistors.write_energy",
    "link.energy",
    "dac.figure_of_merit",
    "adc.figure_of_merit",
    "opamp.power",
    "opamp.supply",
    "opamp.standby",
)
_SPEED = ("resistors.unit", "capacitors.unit", "opamp.gain", "opamp.gbw", "opamp.second_pole", "card.leak", "card.lag")
_RATES = (*_SPEED, "link.rate", "link.word", "dac.rate", "adc.rate")

FIGURES: dict[str, FigureKind] = {
    "bare_error": FigureKind("error of a bare reading, of |A⁻¹b|", "", SURROGATE, _READING),
    "refined_error": FigureKind("error of a refined reading, of |A⁻¹b|", "", SURROGATE, _READING),
    "noise": FigureKind(
        "noise of a reading before rounding, of |A⁻¹b|", "", "repeated readings of the " + SURROGATE, _READING
    ),
    "damping": FigureKind(
        "smallest damping, of the largest eigenvalue", "", "tried on the " + SURROGATE + ", in steps of 26 %", _READING
    ),
    "damping_law": FigureKind(
        "the same by the law of the dies' spread", "", LAW, ("resistors", "opamp", "dac", "adc", "card"), False
    ),
    "settling": FigureKind("settling time", "s", CIRCUIT, _SPEED),
    "time_bare": FigureKind("time of a bare solve", "s", COST, _RATES),
    "time_refined": FigureKind("time of a refined solve", "s", COST, _RATES),
    "energy_bare": FigureKind("energy of a bare solve, without the host", "J", COST, _PRICES),
    "energy_refined": FigureKind("energy of a refined solve, without the host", "J", COST, _PRICES),
    "energy_host": FigureKind("energy of the host in a refined solve", "J", COST, ("host",)),
    "standby": FigureKind(
        "power of the amplifiers while the array waits",
        "W",
        "their number times opamp.standby",
        ("opamp.standby",),
        False,
    ),
    "area": FigureKind("area of array and converters", "m²", "sum of the parts' areas", ("area",), False),
}
"""By name, as in specifications."""


@dataclass(frozen=True, eq=False)
class Found:
    """Values of one figure for one workload.

    Attributes:
        values: (places, systems, dies), or (places, systems, 1) of a figure that dies share; nan: there is none.
        places: corners and temperatures. typical: number of the place of the typical value.
        why: why there are no values; "": there are, or each missing one is a die without a reading.
    """

    figure: str
    workload: str
    values: np.ndarray
    places: tuple[Place, ...]
    typical: int
    dies: tuple[int, ...]
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Least, typical (median over systems and dies at the typical place) and largest value, with where they are, and each place's."""
        kind, known = FIGURES[self.figure], np.isfinite(self.values)
        finite = np.where(known, self.values, np.nan)
        found: dict[str, Any] = {
            "figure": self.figure,
            "title": kind.title,
            "unit": kind.unit,
            "method": kind.method,
            "workload": self.workload,
            "values": int(self.values.size),
            "missing": int(self.values.size - known.sum()),
            "why_missing": self.why,
        }
        ends = {"min": np.nanargmin, "max": np.nanargmax}
        for name, end in ends.items():
            place = np.unravel_index(int(end(finite)), finite.shape) if known.any() else None
            found[name] = None if place is None else float(finite[place])
            found[f"{name}_at"] = None if place is None else self._where([int(k) for k in place])
        found["typ"] = _median(self.values[self.typical])
        found["places"] = [
            {
                "corner": place.corner,
                "temperature": place.celsius,
                "min": _end(np.min, values),
                "typ": _median(values),
                "max": _end(np.max, values),
                "missing": int((~np.isfinite(values)).sum()),
            }
            for place, values in zip(self.places, self.values, strict=True)
        ]
        found["dies"] = self.by_die() if kind.of_dies else None
        return found

    def by_die(self) -> list[dict[str, Any]]:
        """The largest value of each die over corners, temperatures and systems; None: it lacks one of them."""
        worst = self.values.max(axis=(0, 1))
        return [
            {"die": die, "max": float(value) if np.isfinite(value) else None}
            for die, value in zip(self.dies, worst, strict=True)
        ]

    def _where(self, index: Sequence[int]) -> dict[str, Any]:
        place, system, die = index
        found = {
            "corner": self.places[place].corner,
            "temperature": self.places[place].celsius,
            "system": system + 1,
        }
        return found | ({"die": self.dies[die]} if FIGURES[self.figure].of_dies else {})


def _median(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None


def _end(of: Any, values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(of(known)) if known.size else None
