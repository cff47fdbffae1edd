"""`Goal`: a target of a task's score, and how far a score is from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...tasks.task import Score
from ..yields.target import Target

_POINTS = 100.0
_ROUNDING = 1e-9
"""Of the limit: means over the same seeds differ by as much."""


@dataclass(frozen=True)
class Goal:
    """A target of a task's score.

    Attributes:
        target: as it was given. score: of the task.
    """

    target: Target
    score: Score

    @classmethod
    def parse(cls, text: str, score: Score) -> Goal:
        """Read a target. InputError as `Target.parse`."""
        return cls(Target.parse(text, [score]), score)

    @property
    def text(self) -> str:
        """As it was given."""
        return str(self.target)

    def limit(self, exact: float) -> float:
        """The score that is asked for, by that of exact NGD."""
        return self.target.limit(exact).value

    def is_met(self, value: float, exact: float) -> bool:
        """Whether a score meets it; nan does not."""
        return self.shortfall(value, exact) <= 0

    def shortfall(self, value: float, exact: float) -> float:
        """How much is missing, <= 0 where it is met: of a score in percent points, of another ln(error / limit); inf of nan."""
        if not math.isfinite(value) or not math.isfinite(exact):
            return math.inf
        limit = self.limit(exact)
        missing = limit - value if self.score.more_is_better else value - limit
        scale = _POINTS if self.score.percent else 1.0
        if missing <= _ROUNDING * abs(limit):
            return scale * min(missing, 0.0)
        if self.score.percent or value <= 0 or limit <= 0:
            return scale * missing
        return abs(math.log(value / limit))
