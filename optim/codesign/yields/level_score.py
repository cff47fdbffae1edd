"""`LevelScore`: one score of a design point, from one of the levels of outcomes, over the same dies and seeds at every point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from ....circuits.errors import InputError
from ....devicemodel.card import DeviceCard
from ..knobs.design_point import DesignPoint
from .die_yield import Yield, die_scores, die_yield


class Evaluated(Protocol):
    """What a level makes of a point: scores by name."""

    @property
    def scores(self) -> dict[str, float]:
        """By name."""


class Level(Protocol):
    """A level of outcomes, such as `SolveLevel` or `TrainingLevel`."""

    def evaluate(
        self, card: DeviceCard | None, point: DesignPoint, die: int | None, seed: int, reading: str
    ) -> Evaluated:
        """Of one die and seed; without card and die of the ideal device."""


_OVER_DIES: dict[str, Callable[[np.ndarray], float]] = {
    "mean": lambda scores: float(np.mean(scores)),
    "lowest": lambda scores: float(np.min(scores)),
    "highest": lambda scores: float(np.max(scores)),
}


@dataclass(frozen=True)
class LevelScore:
    """A score as a function of the design point, for `sensitivities` and `margins`.

    Attributes:
        level: of outcomes.
        card: of the dies.
        dies, seeds: each die is evaluated with each seed, the same at every point.
        reading: "refined" or "bare".
        score: name; None: the level's first.
        over: what is taken of the dies' scores: "mean", "lowest" or "highest"; nan where one of them diverged.
    """

    level: Level
    card: DeviceCard
    dies: tuple[int, ...]
    seeds: tuple[int, ...] = (0,)
    reading: str = "refined"
    score: str | None = None
    over: Literal["mean", "lowest", "highest"] = "mean"

    def __post_init__(self) -> None:
        if not self.dies or not self.seeds:
            raise InputError("a score needs at least one die and one seed")
        if self.over not in _OVER_DIES:
            raise InputError(f"over = {self.over!r}: one of {', '.join(_OVER_DIES)}")

    def by_die(self, point: DesignPoint) -> list[float]:
        """Of each die the mean over the seeds; nan where a training diverged."""
        return die_scores(np.array([[self._of(point, die, seed) for seed in self.seeds] for die in self.dies]))

    def __call__(self, point: DesignPoint) -> float:
        """What `over` says of the dies' scores."""
        return _OVER_DIES[self.over](np.array(self.by_die(point)))

    def exact_ngd(self) -> float:
        """Mean over the seeds of the same score on the ideal device."""
        return float(np.mean([self._of(DesignPoint(), None, seed) for seed in self.seeds]))

    def die_yield(self, point: DesignPoint, target: Callable[[float], bool], confidence: float = 0.95) -> Yield:
        """Of the point's dies; see `die_yield`."""
        return die_yield(self.by_die(point), target, confidence)

    def _of(self, point: DesignPoint, die: int | None, seed: int) -> float:
        card = None if die is None else self.card
        scores = self.level.evaluate(card, point, die, seed, self.reading).scores
        name = next(iter(scores)) if self.score is None else self.score
        if name not in scores:
            raise InputError(f"score {name!r} is unknown; this level has: {', '.join(scores)}")
        return scores[name]
