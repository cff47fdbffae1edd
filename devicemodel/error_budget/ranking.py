"""Causes of an error in the order of what they contribute.

With e(S) the error of a device that has the causes S alone after r readings, one and those that correct it, and v = e^(2 / r), the squared
factor by which a reading reduces the error, cause i is worth, where it is the first to enter and the last,

    share_i = { [v(i) - v(none)] + [v(all) - v(all but i)] } / 2 v(all),

the mean of what it adds alone and of what is saved without it, with e the median over dies and problems. On one die and one problem it
is the Shapley value (L. S. Shapley, in Contributions to the Theory of Games II, 1953) where causes act in pairs at most, as error vectors
that add do: v then has squares and products of two. Such shares add up to 1 - v(none) / v(all); one is negative where a cause compensates
others. What a small eigenvalue amplifies acts in larger groups, and rounding falls anew where another cause moves what is rounded: then
shares add up on the average over dies, or not at all, and none says all. So the causes are also taken out one after the other, the largest
first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .causes import Cause

Errors = np.ndarray
"""Of dies and problems, (dies, problems); inf without a reading."""


@dataclass(frozen=True, eq=False)
class Contribution:
    """What one cause does to the error.

    Attributes:
        cause: the cause.
        without: errors of a device that has all other causes. alone: of one that has no other.
        remaining: without this cause and all that are ranked above it.
        share: see the module's docstring; nan where one of its four devices gives no reading.
    """

    cause: Cause
    without: Errors
    alone: Errors
    remaining: Errors
    share: float


@dataclass(frozen=True, eq=False)
class Ranking:
    """The causes of an error, the largest first.

    Attributes:
        total: errors of the device as it is. ideal: of one without any cause.
        contributions: by share; without a reading, by what is left without the cause.
    """

    total: Errors
    ideal: Errors
    contributions: tuple[Contribution, ...]

    @property
    def explained(self) -> float:
        """Sum of the shares: 1 where causes act in pairs at most."""
        return math.fsum(one.share for one in self.contributions)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: a summary of each error."""
        return {
            "total": summary(self.total),
            "ideal": summary(self.ideal),
            "explained": self.explained,
            "causes": [
                {
                    "cause": one.cause.name,
                    "meaning": one.cause.meaning,
                    "share": one.share,
                    "without": summary(one.without),
                    "alone": summary(one.alone),
                    "remaining": summary(one.remaining),
                }
                for one in self.contributions
            ],
        }


def summary(errors: Errors) -> dict[str, Any]:
    """Median, least and largest of all, and the median over dies for each problem."""
    return {
        "median": median(errors),
        "least": float(errors.min()),
        "most": float(errors.max()),
        "systems": [median(column) for column in errors.T],
    }


def median(errors: Errors) -> float:
    """The median; inf if half of the errors are, whatever the others are."""
    return float(np.sort(errors, axis=None)[errors.size // 2]) if errors.size % 2 else _middle(errors)


def ranked(causes: Collection[Cause], errors: Callable[[Collection[Cause]], Errors], readings: int) -> Ranking:
    """Rank causes.

    Args:
        causes: all of them.
        errors: of a device without some causes; called once for each set of them.
        readings: r, behind each of these errors.
    """
    total, ideal = errors(()), errors(tuple(causes))
    without = {cause.name: errors((cause,)) for cause in causes}
    alone = {cause.name: errors(tuple(other for other in causes if other is not cause)) for cause in causes}
    share = {name: share_of(total, ideal, without[name], alone[name], readings) for name in without}
    order = sorted(causes, key=lambda cause: _key(share[cause.name], without[cause.name], alone[cause.name]))
    contributions = []
    for place, cause in enumerate(order, start=1):
        remaining = _removed(order[:place], order, without, alone, ideal, errors)
        contributions.append(Contribution(cause, without[cause.name], alone[cause.name], remaining, share[cause.name]))
    return Ranking(total, ideal, tuple(contributions))


def share_of(total: Errors, ideal: Errors, without: Errors, alone: Errors, readings: int) -> float:
    """See the module's docstring; nan where there is no reading, or no error."""
    all_in, none_in, all_but, only = (median(errors) ** (2 / readings) for errors in (total, ideal, without, alone))
    if not (math.isfinite(all_in + none_in + all_but + only) and all_in > 0):
        return math.nan
    return (only - none_in + all_in - all_but) / (2 * all_in)


def _removed(
    gone: list[Cause],
    order: list[Cause],
    without: Mapping[str, Errors],
    alone: Mapping[str, Errors],
    ideal: Errors,
    errors: Callable[[Collection[Cause]], Errors],
) -> Errors:
    if len(gone) == len(order):
        return ideal
    if len(gone) == len(order) - 1:
        return alone[order[-1].name]
    return without[gone[0].name] if len(gone) == 1 else errors(tuple(gone))


def _key(share: float, without: Errors, alone: Errors) -> tuple[float, float, float]:
    return (-share if math.isfinite(share) else 0.0, median(without), -median(alone))


def _middle(errors: Errors) -> float:
    low, high = np.sort(errors, axis=None)[errors.size // 2 - 1 : errors.size // 2 + 1].tolist()
    return (low + high) / 2
