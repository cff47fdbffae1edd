"""Fitted numbers: a value with its uncertainty, and the ranges that a card's parameters may have."""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field
from scipy.special import stdtrit

from ..circuits.errors import InputError
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
    "inductor_mismatch": Range(0.0, 2.0),
    "offset": Range(0.0, 1.0),
    "noise_power": Range(0.0, 1e12),
}
"""Of a card's fitted parameters, in their units: far beyond any technology's, and where the laws of dies still are finite."""


class Estimate(Record):
    """A fitted value and its standard uncertainty."""

    value: Number = Field(allow_inf_nan=False)
    std: Number = Field(ge=0, allow_inf_nan=False)
    degrees_of_freedom: Number = Field(default=math.inf, gt=0)
    """Of the standard uncertainty, which itself comes from a scatter; inf: it is known."""

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Student's confidence interval, value -+ t std.

        Raises:
            InputError: a level that is not between 0 and 1.
        """
        if not 0.0 < level < 1.0:
            raise InputError(f"level is {level!r}: give a number between 0 and 1, such as 0.95")
        quantile = float(stdtrit(self.degrees_of_freedom, 0.5 + level / 2))
        return self.value - quantile * self.std, self.value + quantile * self.std

    def __str__(self) -> str:
        plain = f"{self.value:.5g} +- {self.std:.2g}"
        return f"{plain} (95 %: +- {self.interval()[1] - self.value:.2g})" if self.std > 0 else plain


Parameter = float | Estimate
"""A fitted parameter's value, or with its uncertainty."""
