"""`Goal`: what a design must reach, as text such as "test_accuracy >= exact_ngd - 0.3"."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from ....circuits.errors import InputError
from ...tasks.task import Score

EXACT = "exact_ngd"
_NUMBER = r"([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)"
_TEXT = re.compile(
    rf"(?P<name>[a-z0-9_ ]+?) *(?P<sign>>=|<=) *(?:(?:{_NUMBER} *\* *)?{EXACT}(?: *([+-]) *{_NUMBER})?|{_NUMBER})", re.I
)
_POINTS = 100.0


@dataclass(frozen=True)
class Goal:
    """A limit of a task's score: factor * (exact NGD's score) + offset, or the offset alone.

    Attributes:
        text: as it was given. score: of the task.
        factor: of exact NGD's score; 0: the limit is absolute.
        offset: in the score's own unit: of a score in percent a fraction, -0.003 for 0.3 points less.
    """

    text: str
    score: Score
    factor: float
    offset: float

    @classmethod
    def parse(cls, text: str, score: Score) -> Goal:
        """Read a target. In that of a score in percent, differences are percentage points and figures are percent.

        Args:
            text: "SCORE >= LIMIT" or "SCORE <= LIMIT", with a limit such as "exact_ngd - 0.3", "1.5 * exact_ngd" or "97". SCORE is the
                score's name with _ for blanks, or its last word ("error" for "relative L2 error").
            score: of the task.

        Raises:
            InputError: text that is no target; another score than the task's; the wrong direction; a figure that is not one of the score.
        """
        found = _TEXT.fullmatch(text.strip())
        example = f"{score.name.replace(' ', '_')} {'>= exact_ngd - 0.3' if score.percent else '<= 1.5 * exact_ngd'}"
        if found is None:
            raise InputError(f"target {text!r} is not SCORE >= LIMIT or SCORE <= LIMIT: give one such as {example!r}")
        name, words = found["name"].replace("_", " ").strip().lower(), score.name.lower()
        if name not in (words, words.split()[-1]):
            raise InputError(
                f"target {text!r} is of {name!r}, but the task's score is {score.name!r}: give {example!r}"
            )
        if (found["sign"] == ">=") != score.more_is_better:
            better = "more" if score.more_is_better else "less"
            raise InputError(
                f"target {text!r}: of {score.name}, {better} is better: give {'>=' if score.more_is_better else '<='}"
            )
        scale, sign, shift, absolute = found.groups()[2:]
        if absolute is not None:
            limit = float(absolute)
            if score.percent and not 1 < limit <= _POINTS:
                raise InputError(
                    f"target {text!r}: {score.name} is in percent: give a figure above 1 to 100, such as 97"
                )
            return cls(text.strip(), score, 0.0, limit / _POINTS if score.percent else limit)
        factor = 1.0 if scale is None else float(scale)
        offset = 0.0 if shift is None else float(f"{sign}{shift}") / (_POINTS if score.percent else 1.0)
        if factor <= 0:
            raise InputError(f"target {text!r}: exact_ngd is multiplied by {factor:g}: give a factor > 0")
        return cls(text.strip(), score, factor, offset)

    def limit(self, exact: float) -> float:
        """The score that is asked for, by that of exact NGD."""
        return self.factor * exact + self.offset

    def is_met(self, value: float, exact: float) -> bool:
        """Whether a score meets it; nan does not."""
        return self.shortfall(value, exact) <= 0

    def shortfall(self, value: float, exact: float) -> float:
        """How much is missing, <= 0 where it is met: of a score in percent points, of another ln(error / limit); inf of nan.

        Means over the same seeds are compared up to rounding: 1e-9 of the limit.
        """
        limit = self.limit(exact)
        if not math.isfinite(value) or not math.isfinite(limit):
            return math.inf
        missing = limit - value if self.score.more_is_better else value - limit
        if missing <= 1e-9 * abs(limit):
            return min(missing, 0.0) * (_POINTS if self.score.percent else 1.0)
        if self.score.percent:
            return _POINTS * missing
        return abs(math.log(value / limit)) if value > 0 and limit > 0 else missing
