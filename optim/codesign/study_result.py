"""What came of a study: its runs, and means with spread over dies and over seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from .knobs.knob import Knob, Value
from .knobs.registry import knob_named


@dataclass(frozen=True)
class StudyRun:
    """One training on one die.

    Attributes:
        reading: "refined" or "bare"; "" where the training's own code decides.
        level: setting of the knob, a word for a choice.
        shown: value on the axis.
        die: seed of the die.
        seed: of the training.
        scores: at its end, by name; one that is not finite says that the training diverged.
        outcomes: number of steps by how the device's run ended; empty for a training of one's own.
        gradient: number of steps for which no reading converged, and the gradient was taken.
    """

    reading: str
    level: float | str
    shown: float
    die: int
    seed: int
    scores: dict[str, float]
    outcomes: dict[str, int]
    gradient: int


@dataclass(frozen=True)
class StudyScore:
    """A score of a study.

    Attributes:
        name: of it.
        percent: whether values are fractions, shown in percent.
        more_is_better: None: not known, as of a training of one's own.
    """

    name: str
    percent: bool = False
    more_is_better: bool | None = None


@dataclass(frozen=True)
class StudyRow:
    """One level, read in one way.

    Attributes:
        level, shown: of the knob, and its value on the axis.
        mean: over dies and seeds, of the runs that did not diverge; nan if all did.
        over_dies: standard deviation between dies that were trained with the same seed (root mean square over seeds); nan for one die.
        over_seeds: standard deviation between seeds on the same die (root mean square over dies); nan for one seed.
        difference: mean of the differences to the ideal device, each to the training with the same seed.
        diverged: number of runs that ended with a score that is not finite.
        runs: number of all.
    """

    level: float | str
    shown: float
    mean: float
    over_dies: float
    over_seeds: float
    difference: float
    diverged: int
    runs: int


@dataclass(frozen=True)
class Study:
    """The runs of one study.

    Attributes:
        training: name of what was trained.
        name: of the knob.
        levels: its settings.
        readings: how the dies were read.
        scores: what was measured; the first one is the main one.
        dies, seeds: each die was trained with each seed.
        ideal: for each seed the scores on the ideal device.
        steps, batch: of each training; None for one of one's own, or a task without batches.
        runs: by reading, then by level, then by die, then by seed.
        fixed: other knobs that had another value than the card's, the host's or the task's, at all levels.
    """

    training: str
    name: str
    levels: tuple[float | str, ...]
    readings: tuple[str, ...]
    scores: tuple[StudyScore, ...]
    dies: tuple[int, ...]
    seeds: tuple[int, ...]
    ideal: tuple[dict[str, float], ...]
    steps: int | None
    batch: int | None
    runs: tuple[StudyRun, ...] = ()
    fixed: Mapping[str, Value] = field(default_factory=dict)

    @property
    def is_heeded(self) -> bool:
        """Whether any score differs between levels, for the same die, seed and reading; else the training does not depend on the knob."""
        first: dict[tuple[str, int, int], str] = {}
        found = [
            first.setdefault((run.reading, run.die, run.seed), repr(run.scores)) == repr(run.scores)
            for run in self.runs
        ]
        return len(self.levels) < 2 or not all(found)

    @property
    def knob(self) -> Knob:
        """What was varied."""
        return knob_named(self.name)

    def baseline(self, score: str | None = None) -> float:
        """Mean of a score on the ideal device over the seeds; None is the main score."""
        return _mean([found[score or self.scores[0].name] for found in self.ideal])

    def rows(self, reading: str | None = None, score: str | None = None) -> list[StudyRow]:
        """One row for each level.

        Args:
            reading: None: the first.
            score: name; None: the main one.
        """
        reading, score = self.readings[0] if reading is None else reading, score or self.scores[0].name
        ideal = {seed: found[score] for seed, found in zip(self.seeds, self.ideal, strict=True)}
        rows = []
        for level in self.levels:
            runs = [run for run in self.runs if (run.reading, run.level) == (reading, level)]
            values = [run.scores[score] for run in runs]
            rows.append(
                StudyRow(
                    level,
                    runs[0].shown,
                    _mean(values),
                    _spread(runs, score, lambda run: run.seed),
                    _spread(runs, score, lambda run: run.die),
                    _mean([value - ideal[run.seed] for value, run in zip(values, runs, strict=True)]),
                    sum(not math.isfinite(value) for value in values),
                    len(runs),
                )
            )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON and for the report."""
        knob = self.knob
        return {
            "name": self.name,
            "training": self.training,
            "title": knob.title,
            "axis": knob.axis or knob.title,
            "unit": knob.unit,
            "log": knob.log,
            "choices": list(knob.choices),
            "fixed": dict(self.fixed),
            "levels": list(self.levels),
            "readings": list(self.readings),
            "scores": {
                score.name: {"percent": score.percent, "more_is_better": score.more_is_better} for score in self.scores
            },
            "dies": list(self.dies),
            "seeds": list(self.seeds),
            "ideal": [{"seed": seed, "scores": found} for seed, found in zip(self.seeds, self.ideal, strict=True)],
            "steps": self.steps,
            "batch": self.batch,
            "rows": [
                {"reading": reading, "score": score.name, **asdict(row)}
                for score in self.scores
                for reading in self.readings
                for row in self.rows(reading, score.name)
            ],
            "runs": [asdict(run) for run in self.runs],
        }


def _mean(values: Sequence[float]) -> float:
    """Of those that are finite; nan without any."""
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.nan


def _spread(runs: Sequence[StudyRun], score: str, alike: Callable[[StudyRun], int]) -> float:
    """Standard deviation within groups of runs that are alike in something, root mean square by degrees of freedom."""
    groups: dict[int, list[float]] = {}
    for run in runs:
        if math.isfinite(run.scores[score]):
            groups.setdefault(alike(run), []).append(run.scores[score])
    freedom = sum(len(group) - 1 for group in groups.values())
    squares = sum(float(np.var(group)) * len(group) for group in groups.values())
    return math.sqrt(squares / freedom) if freedom else math.nan
