"""The smallest damping that a technology bears in a refined reading, and the wall that sets it.

A wall is a cause of error that grows as the damping falls: codes, mismatch, leak, settling, the converters' steps, noise, and the offset,
at which a cell is at its limit without a drive. Each has a damping of its own, below which it alone keeps a reading of so many rounds from
its target. The largest is the wall that one meets first. All together stop close to it: errors add, but a leak keeps circuits stable.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq

from ...circuits.errors import InputError
from ...circuits.technology.technology import Technology
from ...compiler.matrices import dense
from ...compiler.validate import validate
from ..card import DeviceCard
from ..host.refine import MAX_ROUNDS
from .contraction_law import Contraction, Law, law_of, programmed
from .imperfections import Imperfections

WALLS = ("codes", "mismatch", "leak", "offset", "settling", "converters", "noise")
SMALLEST, LARGEST = 1e-10, 10.0
"""Dampings that are looked at, over the largest eigenvalue. At the lower one double precision ends."""
ROUNDING = 1e-6
"""Of a product in single precision: a negative eigenvalue of less than this share of the largest counts as 0."""
RESOLUTION, DECADE = 0.02, math.log(10)
"""Of the logarithm of a damping, and a step of it."""


@dataclass(frozen=True)
class SmallestDamping:
    """What a technology bears for systems A0 + d I.

    Attributes:
        damping: the smallest d over the largest eigenvalue of A0, all walls together; 0: any, down to double precision; inf: none.
        walls: that of each wall alone.
        largest: the largest eigenvalue of A0.
        target, rounds: the error that is reached there, in so many rounds.
        at: factors a round there.
    """

    damping: float
    walls: dict[str, float]
    largest: float
    target: float
    rounds: int
    at: Contraction

    @property
    def limit(self) -> str:
        """The wall that stands first."""
        return max(self.walls, key=self.walls.__getitem__)

    def __str__(self) -> str:
        if math.isinf(self.damping):
            return f"at no damping solved to a residual of {self.target:g}, limited by {self.limit}"
        if self.damping == 0:
            return f"systems are solved to a residual of {self.target:g} at any damping"
        return (
            f"systems are solved to a residual of {self.target:g} down to a damping of {self.damping:.2g} times the largest eigenvalue, "
            f"limited by {self.limit}"
        )


def smallest_damping(
    matrix: Any,
    hardware: Imperfections | Technology | DeviceCard | str,
    duration: float = math.inf,
    target: float = 1e-2,
    rounds: int = MAX_ROUNDS,
    deflation: int = 0,
) -> SmallestDamping:
    """The damping of each wall, by bisection of the law. Some tens of O(n^3) operations.

    Args:
        matrix: A0 (n, n), symmetric positive semi-definite, without damping.
        hardware: figures (`Imperfections`, with the ways to improve them), or those of a card, a technology or a preset by name.
        duration: of a run, tau of A0 + d I; inf: settled.
        target: relative residual to be reached. rounds: in how many corrections of the first reading; 0: a chopped reading alone.
        deflation: eigenvectors that the host solves for digitally (`Refined(deflation=)`).

    Raises:
        InputError: a matrix that is not symmetric or has negative eigenvalues, arguments out of range.
    """
    if not 0 < target < 1:
        raise InputError(f"target is {target!r}: give an error above 0 and below 1, such as 1e-2")
    if not isinstance(rounds, int) or rounds < 0:
        raise InputError(f"rounds is {rounds!r}: give an integer >= 0")
    figures = hardware if isinstance(hardware, Imperfections) else Imperfections.of(hardware)
    undamped = dense(validate(matrix))
    spectrum = np.linalg.eigvalsh(undamped)
    largest = float(spectrum[-1])
    if not largest > 0 or spectrum[0] < -ROUNDING * largest:
        raise InputError(
            f"matrix has eigenvalues from {spectrum[0]:.4g} to {largest:.4g}: give one without negative ones"
        )
    undamped = undamped + max(0.0, -float(spectrum[0])) * np.eye(len(undamped))
    worst = target ** (1 / (1 + rounds))

    def law(damping: float) -> Law:
        return law_of(
            programmed(undamped + damping * largest * np.eye(len(undamped)), deflation), figures, duration, 1 + rounds
        )

    def alone(wall: str) -> float:
        allowed = 1.0 if wall == "offset" else worst
        return _root(lambda damping: _distance(getattr(law(damping), wall), allowed))

    walls = {wall: alone(wall) for wall in WALLS}
    together = _root(lambda damping: _distance(law(damping).all.total, worst))
    at = law(min(max(together, SMALLEST), LARGEST)).all
    return SmallestDamping(together, walls, largest, target, rounds, at)


def _distance(value: float, worst: float) -> float:
    """Logarithm of a factor over the largest that is borne, within the numbers."""
    return math.log(min(max(value, 1e-30), 1e30) / worst)


def _root(distance: Callable[[float], float]) -> float:
    """The damping at which a distance, which falls as it grows, is 0; 0 and inf beyond the ends."""
    low, upper = math.log(SMALLEST), math.log(LARGEST)
    if (above := distance(LARGEST)) > 0:
        return math.inf
    # From the side of large dampings, where the law is cheap and tame, in steps of a factor of 10.
    while (below := distance(math.exp(lower := max(upper - DECADE, low)))) <= 0:
        if lower == low:
            return 0.0
        upper, above = lower, below
    # The ends as they were found: where codes round, the law has steps, and exp(log(x)) may be on the other side of one.
    known = {lower: below, upper: above}

    def at(log: float) -> float:
        return known[log] if log in known else distance(math.exp(log))

    return math.exp(float(brentq(at, lower, upper, xtol=RESOLUTION)))
