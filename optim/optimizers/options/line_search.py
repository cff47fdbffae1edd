"""A search for the length of a step along its path, on a grid of powers of 2.

The grid begins at the whole step and ends at 2^-30 of it, as in the energy natural gradients of Mueller and Zeinhofer (ICML 2023,
arXiv 2302.13163). It is walked from about the last step's length, so that a search takes three or four evaluations of the loss, and stops
at the first length that is better than both its neighbours. With little damping, short steps follow the flow of the natural gradient, by
which all residuals fall at the same rate, where more damping would leave those in flat directions behind.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

_SHORTEST = -30
"""log2 of the shortest step tried."""
_STRIDE = 2
"""Grid places skipped at once while no length reduces the loss."""


@dataclass(frozen=True)
class Found:
    """The length t with the smallest loss among those tried, and the change of the loss; both 0 where none reduces it."""

    length: float
    change: float


def search(change: Callable[[float], float], last: float) -> Found:
    """A local minimum over t = 1, 1/2, 1/4, ... of a loss.

    Args:
        change: of the loss at t, less that at 0; infinite where there is none.
        last: length of the step before, in (0, 1]; the search begins at twice of it.
    """
    known: dict[int, float] = {}

    def at(place: int) -> float:
        if place > 0 or place < _SHORTEST:
            return math.inf
        if place not in known:
            found = change(2.0**place)
            known[place] = found if math.isfinite(found) else math.inf
        return known[place]

    place = max(_SHORTEST, min(0, round(math.log2(last)) + 1))
    while at(place) >= 0:
        if place == _SHORTEST:
            return Found(0.0, 0.0)
        place = max(_SHORTEST, place - _STRIDE)
    while at(place - 1) < at(place):
        place -= 1
    while at(place + 1) < at(place):
        place += 1
    return Found(2.0**place, at(place))
