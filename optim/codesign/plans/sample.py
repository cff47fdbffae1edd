"""Latin hypercubes over the ranges of knobs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import qmc

from ....circuits.errors import InputError
from ..knobs.knob import Knob, Value


@dataclass(frozen=True)
class Range:
    """Where a sample draws a knob.

    Attributes:
        knob: that is drawn.
        values: of a choice or switch; empty for numbers.
        low, high: of numbers, both included.
        log: whether equal ratios are equally likely.
    """

    knob: Knob
    values: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    @classmethod
    def of(cls, knob: Knob, limits: Sequence[Any]) -> Range:
        """The range between two numbers, or over some words; logarithmic where the knob's axis is, for ranges above zero.

        Raises:
            InputError: values that the knob does not allow, not two numbers, or low not below high.
        """
        values = tuple(knob.parse(one) if isinstance(one, str) else knob.check(one) for one in limits)
        if knob.choices:
            if len(values) < 2 or len(set(values)) < len(values):
                raise InputError(
                    f"range of {knob.name} is {list(limits)}: give at least two of {', '.join(knob.choices)}, each once"
                )
            return cls(knob, values)
        numbers = [float(one) for one in values if isinstance(one, float | int) and not isinstance(one, bool)]
        if len(numbers) != 2 or len(values) != 2 or not numbers[0] < numbers[1] or not math.isfinite(numbers[1]):
            raise InputError(
                f"range of {knob.name} is {list(limits)}: give two numbers, the lower one first, both finite"
            )
        low, high = numbers
        return cls(knob, (), low, high, knob.log and low > 0)

    def at(self, share: float) -> Value:
        """The value at a share of the range, 0 <= share < 1; each whole number or word has an equal part of it."""
        if self.values:
            return self.values[min(int(share * len(self.values)), len(self.values) - 1)]
        if self.knob.allowed.kind == "whole" and not self.log:
            return self.knob.check(min(self.low + math.floor(share * (self.high - self.low + 1)), self.high))
        if self.log:
            value = self.low * (self.high / self.low) ** share
        else:
            value = self.low + share * (self.high - self.low)
        if self.knob.allowed.kind == "whole":
            value = float(round(value))
        return self.knob.check(min(max(value, self.low), self.high))


def latin_hypercube(ranges: Sequence[Range], number: int, seed: int) -> list[dict[str, Value]]:
    """Points of which each of `number` equal parts of each range holds one.

    Args:
        ranges: of at least one knob. number: of points, >= 1. seed: of the draw.

    Returns:
        Values by the knob's target; the same for the same arguments.
    """
    shares = qmc.LatinHypercube(d=len(ranges), rng=seed).random(number)
    return [{one.knob.target: one.at(float(share)) for one, share in zip(ranges, row, strict=True)} for row in shares]
