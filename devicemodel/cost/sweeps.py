"""The cost over a swept knob, and where the bottleneck changes."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

from ...circuits.errors import InputError
from .model import WHOLE, Scenario
from .step import StepCost


@dataclass(frozen=True)
class Handover:
    """Where the bottleneck changes as a knob is turned up: `value` is the first at which it is `after` (names of `GROUPS`)."""

    value: float
    before: str
    after: str


def sweep(scenario: Scenario, knob: str, values: list[float]) -> list[StepCost]:
    """The cost at each value of a knob."""
    return [scenario.turned(knob, value).cost() for value in values]


def handovers(scenario: Scenario, knob: str, low: float, high: float, energy: bool = False) -> list[Handover]:
    """Values of a knob between two bounds at which another of `GROUPS` becomes the largest, in ascending order.

    One that leads only between two neighbours of 200 tried values (equal ratios) is not seen.

    Args:
        scenario: the rest of the machine.
        knob: one of `KNOBS`.
        low, high: 0 < low < high.
        energy: of energy instead of time.

    Raises:
        InputError: bounds out of order.
    """

    @functools.cache
    def leader(value: float) -> str:
        cost = scenario.turned(knob, value).cost()
        return cost.energy_bottleneck if energy else cost.bottleneck

    def between(left: float, right: float) -> list[Handover]:
        if leader(left) == leader(right):
            return []
        if right - left <= (1 if knob in WHOLE else 1e-9 * right):
            return [Handover(right, leader(left), leader(right))]
        middle = float((left + right) // 2) if knob in WHOLE else math.sqrt(left * right)
        return between(left, middle) + between(middle, right)

    found: list[Handover] = []
    for left, right in itertools.pairwise(knob_values(knob, low, high, 200)):
        found += between(left, right)
    return found


def knob_values(knob: str, low: float, high: float, count: int) -> list[float]:
    """Up to `count` values from low to high in equal ratios; whole numbers, without repetition, where the knob takes no others.

    Raises:
        InputError: bounds out of order.
    """
    if not 0 < low < high < math.inf:
        raise InputError(f"bounds of {knob} are {low} and {high}: give 0 < low < high")
    inner = [low * (high / low) ** (i / (count - 1)) for i in range(1, count - 1)]
    if knob not in WHOLE:
        return [low, *inner, high]
    return sorted({low, high, *(float(round(value)) for value in inner)})
