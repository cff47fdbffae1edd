"""Yield: the fraction of dies that meet a target, with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ....circuits.errors import InputError


@dataclass(frozen=True)
class Yield:
    """How many dies meet a target.

    Attributes:
        met: number of dies that do.
        dies: number of all.
        low, high: interval of the fraction of all dies of this technology that do (Clopper and Pearson 1934), exact for independent dies.
    """

    met: int
    dies: int
    low: float
    high: float

    @property
    def fraction(self) -> float:
        """met / dies."""
        return self.met / self.dies

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.met} of {self.dies} ({100 * self.low:.0f} to {100 * self.high:.0f} %)"


def clopper_pearson(met: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a probability p of which `met` of `trials` independent trials came true.

    Its ends are the p at which as many, or more (fewer), come true with probability (1 - confidence) / 2: it holds p at least as often as
    `confidence` says, whatever p is.

    Raises:
        InputError: met not from 0 to trials, no trials, or a confidence that is not between 0 and 1.
    """
    if not 0 <= met <= trials or trials < 1:
        raise InputError(f"{met} of {trials} met: give at least one trial, and from 0 to {trials} that are met")
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence = {confidence:g}: between 0 and 1, such as 0.95")
    half = (1.0 - confidence) / 2.0
    low = float(stats.beta.ppf(half, met, trials - met + 1)) if met else 0.0
    high = float(stats.beta.ppf(1.0 - half, met + 1, trials - met)) if met < trials else 1.0
    return low, high


def die_yield(scores: ArrayLike, target: Callable[[float], bool], confidence: float = 0.95) -> Yield:
    """Fraction of the dies whose score meets the target, with its interval.

    A die with several trainings is judged by the mean of their scores; a training that diverged (nan, inf) makes the die miss. The
    interval is
    that of the draw of dies alone: neither the seeds nor the score of exact natural gradient, to which a target may refer, are in it.

    Args:
        scores: shape (dies,), or (dies, seeds).
        target: whether a score meets it, such as `Limit`.
        confidence: of the interval.

    Raises:
        InputError: no dies, or another shape.
    """
    found = np.asarray(scores, dtype=float)
    if found.ndim not in (1, 2) or found.size == 0:
        raise InputError(f"scores have shape {found.shape}: (dies,) or (dies, seeds) is needed, with at least one die")
    by_die = die_scores(found)
    met = sum(bool(math.isfinite(score) and target(score)) for score in by_die)
    return Yield(met, len(by_die), *clopper_pearson(met, len(by_die), confidence))


def die_scores(scores: np.ndarray) -> list[float]:
    """Score of each die: the mean over its seeds; nan where one of them diverged."""
    rows = scores.reshape(len(scores), -1)
    return [float(np.mean(row)) if np.isfinite(row).all() else math.nan for row in rows]


def yield_against_limit(
    scores: ArrayLike, limits: Sequence[float], more_is_better: bool, confidence: float = 0.95
) -> list[Yield]:
    """The yield at each of several limits: what a tighter target costs. Arguments as `die_yield`."""
    order = np.greater_equal if more_is_better else np.less_equal
    return [die_yield(scores, lambda score, at=limit: bool(order(score, at)), confidence) for limit in limits]  # type: ignore[misc]
