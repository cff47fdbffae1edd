"""Fitted numbers: a value with its uncertainty, and the ranges that a card's parameters may have."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field

from ..circuits.records import Record

NOT_FINITE = ("Infinity", "-Infinity", "NaN")
"""How a file spells the numbers that JSON has none for."""


def _number(value: Any) -> Any:
    """Reject what pydantic would convert to a number: "0.1", or true."""
    if isinstance(value, bool) or (isinstance(value, str) and value not in NOT_FINITE):
        raise ValueError(f"{value!r:.60} is no number; give one without quotes")
    return value


def _whole(value: Any) -> Any:
    if isinstance(value, bool | float | str):
        raise ValueError(f"{value!r:.60} is no integer; give one without quotes and without a point")
    return value


Number = Annotated[float, BeforeValidator(_number)]
"""A float, given as a number."""
Whole = Annotated[int, BeforeValidator(_whole)]
"""An int, given as an integer: 2.0 is none."""


class Range(NamedTuple):
    """Range of the values that a parameter may have."""

    least: float
    most: float
    open: bool = False
    """Whether `least` itself is excluded."""

    def __contains__(self, value: object) -> bool:
        """Whether a value is in the range; False for nan."""
        if not isinstance(value, float | int):
            return False
        return (self.least < value if self.open else self.least <= value) and value <= self.most

    def __str__(self) -> str:
        if self.open:
            return f"a number above {self.least:g} and at most {self.most:g}"
        return f"a number from {self.least:g} to {self.most:g}"


RANGES = {
    "gain": Range(0.0, 1e3, open=True),
    "leak": Range(0.0, 1.0),
    "lag": Range(0.0, 1.0),
    "pole": Range(0.0, 1.0),
    "mismatch": Range(0.0, 2.0),
    "capacitor_mismatch": Range(0.0, 2.0),
    "offset": Range(0.0, 1.0),
    "noise_power": Range(0.0, 1e12),
}
"""Of a card's fitted parameters, in their units: far beyond any technology's, and where the laws of dies still are finite."""


class Estimate(Record):
    """A fitted value and its standard uncertainty."""

    value: Number = Field(allow_inf_nan=False)
    std: Number = Field(ge=0, allow_inf_nan=False)

    def __str__(self) -> str:
        return f"{self.value:.5g} +- {self.std:.2g}"


Parameter = float | Estimate
"""A fitted parameter's value, or with its uncertainty."""
