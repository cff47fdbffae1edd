"""`Specification`: what a user demands of a data sheet's figures, and the verdict.

A TOML file:

    [[limit]]
    figure = "refined_error"     # a name of figures.FIGURES
    max = 1e-3                   # of each die at each corner and temperature

    [[limit]]
    figure = "bare_error"
    max = 0.1
    share = 0.9                  # of the dies, each at its worst corner and temperature
    workload = "8 unknowns, condition 10"

    [[limit]]
    figure = "energy_refined"
    max = 1e-6
    of = "typical"
"""

from __future__ import annotations

import enum
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError, model_validator
from scipy.stats import binomtest

from ...circuits.errors import InputError
from ...circuits.files import first_problem, read_text
from ...circuits.records import Record
from .figures import FIGURES

CONFIDENCE = 0.95


class Limit(Record):
    """One demand."""

    title_in_errors: ClassVar[str] = "limit"

    figure: str
    """A name of `FIGURES`."""
    max: float | None = None
    """Largest value, SI units."""
    min: float | None = None
    """Least value, SI units."""
    of: Literal["worst", "typical"] = "worst"
    """worst: every die, system, corner and temperature. typical: the typical value."""
    share: float | None = Field(default=None, gt=0, lt=1)
    """Of the dies, each by its own largest value over systems, corners and temperatures; with max alone."""
    workload: str | None = None
    """Which systems; none: all."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.figure not in FIGURES:
            raise ValueError(f"figure {self.figure!r} is unknown; there are: {', '.join(FIGURES)}")
        if self.max is None and self.min is None:
            raise ValueError(f"figure {self.figure}: give max, or min, or both")
        for name in ("max", "min"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValueError(f"figure {self.figure}: {name} is {value}; give a finite number")
        if self.max is not None and self.min is not None and self.min > self.max:
            raise ValueError(f"figure {self.figure}: min {self.min:g} is above max {self.max:g}")
        if self.share is not None:
            if not FIGURES[self.figure].of_dies:
                raise ValueError(f"figure {self.figure}: all dies share it; leave share out")
            if self.of == "typical" or self.max is None or self.min is not None:
                raise ValueError(f"figure {self.figure}: share counts dies below max; leave min and of out")
        return self


class Verdict(enum.Enum):
    """Whether a limit is kept."""

    PASS = "pass"
    """It is."""
    FAIL = "fail"
    """It is not."""
    NOT_SHOWN = "not shown"
    """So many dies do not show a share with 95 % confidence, either way: draw more dies."""
    NOT_KNOWN = "not known"
    """There is no such figure, or some dies have no reading: see why."""


@dataclass(frozen=True)
class Judged:
    """A limit and what became of it.

    Attributes:
        verdict: see `Verdict`. value: that decided, SI units; None: there is none.
        margin: limit over value, of a largest value; value over limit, of a least one: at least 1 if it passes; None: neither.
        text: where, or why not.
    """

    limit: Limit
    workload: str
    verdict: Verdict
    value: float | None
    margin: float | None
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            **self.limit.model_dump(exclude={"workload"}),
            "title": FIGURES[self.limit.figure].title,
            "unit": FIGURES[self.limit.figure].unit,
            "workload": self.workload,
            "verdict": self.verdict.value,
            "value": self.value,
            "margin": self.margin,
            "text": self.text,
        }


class Specification(Record):
    """Demands on the figures of a data sheet."""

    title_in_errors: ClassVar[str] = "specification"

    limit: tuple[Limit, ...] = Field(min_length=1)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a TOML file with a table [[limit]] for each demand.

        Raises:
            InputError: missing, not TOML, a field that is unknown or out of range.
        """
        try:
            data = tomllib.loads(read_text(Path(path)))
        except OSError as error:
            raise InputError(f"specification {str(path)!r} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise InputError(f"specification {str(path)!r} is not valid TOML: {error}") from None
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InputError(f"specification {str(path)!r}: {first_problem(error)}") from None

    def check(self, workloads: Sequence[str]) -> None:
        """InputError for a workload that the data sheet does not have."""
        for limit in self.limit:
            if limit.workload is not None and limit.workload not in workloads:
                raise InputError(
                    f"specification: workload {limit.workload!r} is not in the data sheet, which has {', '.join(map(repr, workloads))}"
                )

    def judge(self, figures: Sequence[dict[str, Any]]) -> list[Judged]:
        """A verdict on each limit, for each workload that it is about.

        Args:
            figures: `Found.to_dict()` of all.
        """
        return [
            _judged(limit, one)
            for limit in self.limit
            for one in figures
            if one["figure"] == limit.figure and limit.workload in (None, one["workload"])
        ]


def _judged(limit: Limit, found: dict[str, Any]) -> Judged:
    def as_is(verdict: Verdict, value: float | None, margin: float | None, text: str) -> Judged:
        return Judged(limit, found["workload"], verdict, value, margin, text)

    if found["typ"] is None and found["max"] is None:
        return as_is(Verdict.NOT_KNOWN, None, None, found["why_missing"] or "no die has a reading")
    if limit.share is not None:
        return as_is(*_of_dies(limit, found))
    if limit.of == "typical":
        value = found["typ"]
        if value is None:
            return as_is(Verdict.NOT_KNOWN, None, None, "no reading at the typical corner and temperature")
        return as_is(*_within(limit, value, value, "typical"))
    verdict, value, margin, text = _within(limit, found["min"], found["max"], "")
    decided = found["max_at"] if value == found["max"] else found["min_at"]
    text = f"at {where(decided)}"
    if found["missing"] and verdict is Verdict.PASS:
        verdict, text = Verdict.NOT_KNOWN, f"{found['missing']} of {found['values']} have no value"
    return as_is(verdict, value, margin, text)


def _within(limit: Limit, low: float, high: float, text: str) -> tuple[Verdict, float, float | None, str]:
    """The end that is closest to its limit decides."""
    ends = []
    if limit.max is not None:
        ends.append((high <= limit.max, limit.max / high if high > 0 else None, high))
    if limit.min is not None:
        ends.append((low >= limit.min, low / limit.min if limit.min > 0 else None, low))
    kept, margin, value = min(ends, key=lambda end: (end[0], math.inf if end[1] is None else end[1]))
    return (Verdict.PASS if kept else Verdict.FAIL), value, margin, text


def _of_dies(limit: Limit, found: dict[str, Any]) -> tuple[Verdict, float, float | None, str]:
    assert limit.max is not None
    assert limit.share is not None
    dies = found["dies"]
    met = sum(one["max"] is not None and one["max"] <= limit.max for one in dies)
    low, high = exact_interval(met, len(dies))
    verdict = Verdict.PASS if low >= limit.share else Verdict.FAIL if high < limit.share else Verdict.NOT_SHOWN
    text = f"{met} of {len(dies)} dies, 95 %: {100 * low:.3g} to {100 * high:.3g} %"
    if verdict is Verdict.NOT_SHOWN:
        text += "; draw more dies"
    return verdict, met / len(dies), None, text


def exact_interval(met: int, dies: int) -> tuple[float, float]:
    """95 % confidence interval of a share of dies (Clopper and Pearson)."""
    found = binomtest(met, dies).proportion_ci(CONFIDENCE, method="exact")
    return float(found.low), float(found.high)


def where(place: dict[str, Any] | None) -> str:
    """A corner, temperature, die and system in words."""
    if place is None:
        return "–"
    die = f", die {place['die']}" if "die" in place else ""
    return f"{place['corner']}, {place['temperature']:g} °C{die}, system {place['system']}"
