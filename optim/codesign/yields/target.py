"""`Target`: what a design has to reach, as it is or relative to exact natural gradient."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ....circuits.errors import InputError

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_FORM = re.compile(
    rf"\s*(?P<score>[^<>=]+?)\s*(?P<order>>=|<=)\s*"
    rf"(?:(?:(?P<factor>{_NUMBER})\s*\*\s*)?(?P<exact>exact_ngd)(?:\s*(?P<sign>[+-])\s*(?P<offset>{_NUMBER})\s*(?P<points>points?|%)?)?"
    rf"|(?P<value>{_NUMBER})\s*(?P<percent>%)?)\s*"
)
FORMS = '"test_accuracy >= exact_ngd - 0.3" (points of percent), "error <= 1.5 * exact_ngd", "test_accuracy >= 97", "error <= 0.01"'
_ROUNDING = 1e-9
"""Of the limit, within which it is met: scores are means, and a difference to exact NGD is rounded, too."""


class Scored(Protocol):
    """What a target needs to know of a score, as `tasks.Score` and `StudyScore` say it."""

    @property
    def name(self) -> str:
        """Of the score."""

    @property
    def percent(self) -> bool:
        """Whether it is a fraction that people see in percent."""

    @property
    def more_is_better(self) -> bool | None:
        """None: not known."""


@dataclass(frozen=True)
class Limit:
    """A figure to be met: called with a score it says whether the score meets it. A score that is not a number does not.

    Attributes:
        value: the last one that meets it, in the score's unit (0.97 for 97 %).
        more_is_better: whether higher scores meet it, too.
    """

    value: float
    more_is_better: bool

    def __post_init__(self) -> None:
        if math.isnan(self.value):
            raise InputError("the limit is not a number: was there a score of exact NGD?")

    def __call__(self, score: float) -> bool:
        """Whether it meets it."""
        missing = self.value - score if self.more_is_better else score - self.value
        return bool(missing <= _ROUNDING * abs(self.value))

    def __str__(self) -> str:
        return f"{'>=' if self.more_is_better else '<='} {self.value:.4g}"


@dataclass(frozen=True)
class Target:
    """What a design has to reach, of one score: limit = factor * exact NGD + offset.

    Attributes:
        score: its name, as the runs have it.
        more_is_better: whether the score has to be at least the limit; else at most.
        factor: of the score of exact natural gradient with the same seeds; 0 for an absolute target.
        offset: in the score's unit (-0.003 for 0.3 points less).
        percent: whether the score is a fraction that people see in percent.
        text: as it was given.
    """

    score: str
    more_is_better: bool
    factor: float
    offset: float
    percent: bool = False
    text: str = ""

    @property
    def is_relative(self) -> bool:
        """Whether it depends on exact natural gradient."""
        return self.factor != 0.0

    def limit(self, exact_ngd: float = math.nan) -> Limit:
        """Where exact natural gradient has this score. InputError if that is not a number and the target is relative to it."""
        return Limit((self.factor * exact_ngd if self.is_relative else 0.0) + self.offset, self.more_is_better)

    @classmethod
    def parse(cls, text: str, scores: Sequence[Scored]) -> Target:
        """The target that a text stands for.

        The score may be written with underscores, in any case, and by a part of its name that no other score has: "accuracy". Of a score in
        percent, figures are percent and offsets to exact NGD are points: "exact_ngd - 0.3" is 96.7 % where exact NGD has 97 %.

        Args:
            text: of one of the forms in `FORMS`.
            scores: that there are.

        Raises:
            InputError: another form, an unknown or ambiguous score, the direction in which it gets worse, or a figure that it cannot have.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise InputError(f"target {text!r} is of no known form: write {FORMS}")
        score = _score_named(found["score"], scores)
        more = found["order"] == ">="
        if score.more_is_better not in (None, more):
            better, order = ("more", ">=") if score.more_is_better else ("less", "<=")
            raise InputError(f"target {text!r}: of {score.name} {better} is better: write {order}")
        if not score.percent and (found["points"] or found["percent"]):
            raise InputError(f"target {text!r}: {score.name} is not in percent: leave {found['points'] or '%'!r} out")
        scale = 100.0 if score.percent else 1.0
        if found["exact"]:
            offset = float(f"{found['sign']}1") * float(found["offset"]) / scale if found["offset"] else 0.0
            factor = float(found["factor"] or 1.0)
            if factor <= 0.0:
                raise InputError(f"target {text!r}: a factor of exact_ngd is above 0, such as 1.5")
            return cls(score.name, more, factor, offset, score.percent, text.strip())
        value = float(found["value"])
        if score.percent and not (1.0 < value <= 100.0 or (found["percent"] and value >= 0.0)):
            raise InputError(
                f"target {text!r}: {score.name} is in percent: write a figure above 1 to 100, such as 97 or 97 %"
            )
        return cls(score.name, more, 0.0, value / scale, score.percent, text.strip())

    def __str__(self) -> str:
        return self.text or f"{self.score} {self.limit(1.0)}"


def _words(name: str) -> list[str]:
    return re.split(r"[\s_]+", name.strip().lower())


def _score_named(name: str, scores: Sequence[Scored]) -> Scored:
    """The score of that name, or the only one with those words in its own."""
    words = _words(name)
    same = [score for score in scores if _words(score.name) == words]
    alike = same or [score for score in scores if set(words) <= set(_words(score.name))]
    if len(alike) == 1:
        return alike[0]
    if alike:
        raise InputError(
            f"score {name!r} of the target may be {' or '.join(one.name for one in alike)}: write all of it"
        )
    raise InputError(f"score {name!r} of the target is unknown; there are: {', '.join(one.name for one in scores)}")
