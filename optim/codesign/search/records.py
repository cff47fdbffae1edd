"""`DesignRecord`: what is known of one design of a search."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..knobs.knob import Value
from ..outcomes.evaluation import Evaluation


@dataclass(frozen=True)
class DesignRecord:
    """What is known of one design.

    Attributes:
        index: place in the search. values: of its knobs, those that follow from others among them. reading: of its dies.
        fidelity: the last level that it was evaluated at. scores: means over dies and seeds at that level.
        runs: main score of each run in full, dies first.
        seconds, joules: of the whole training by the model. area: m^2; nan: the technology states none.
        shortfall: what is missing to the target, <= 0 where it is met; inf where that is not known.
        stopped: why it was not evaluated further; "": it was, in full.
        curve: (step, loss) of the first run. spent: processor time of its evaluations, s.
    """

    index: int
    values: Mapping[str, Value]
    reading: str
    fidelity: str
    scores: Mapping[str, float] = field(default_factory=dict)
    runs: tuple[float, ...] = ()
    seconds: float = math.nan
    joules: float = math.nan
    area: float = math.nan
    shortfall: float = math.inf
    stopped: str = ""
    curve: tuple[tuple[int, float], ...] = ()
    spent: float = 0.0

    @property
    def is_feasible(self) -> bool:
        """Whether it meets the target, evaluated in full."""
        return self.fidelity == "full" and not self.stopped and self.shortfall <= 0

    def costs(self, with_area: bool) -> tuple[float, ...]:
        """What a search makes small."""
        return (self.seconds, self.joules, self.area) if with_area else (self.seconds, self.joules)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; a number that JSON has not is text."""
        data = dataclasses.asdict(self) | {"values": dict(self.values), "scores": dict(self.scores)}
        return {name: _plain(value) for name, value in data.items()}

    @classmethod
    def of_dict(cls, data: Mapping[str, Any]) -> DesignRecord:
        """What `to_dict` made."""
        given: dict[str, Any] = {name: _number(value) if name in _NUMBERS else value for name, value in data.items()}
        given["scores"] = {name: _number(value) for name, value in data["scores"].items()}
        given["runs"] = tuple(map(_number, data["runs"]))
        given["curve"] = tuple((int(step), _number(loss)) for step, loss in data["curve"])
        return cls(**given)


_NUMBERS = ("seconds", "joules", "area", "shortfall")


def mean(values: Sequence[float]) -> float:
    """nan of none."""
    return math.fsum(values) / len(values) if values else math.nan


def mean_scores(found: Sequence[Evaluation]) -> dict[str, float]:
    """Over evaluations, by name."""
    return {name: mean([one.scores[name] for one in found]) for name in found[0].scores}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _number(value: Any) -> float:
    return float(value)
