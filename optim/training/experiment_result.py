"""What an experiment found: the history of each run with each seed and die, and how the runs compare.

Spread and pairs. A run with several dies is first averaged over the dies of each seed; standard deviations and intervals are over seeds,
and the dies' own spread stands beside. Differences to the baseline are paired by seed, with Student's t interval. Scores in percent
differ in points; losses, and scores that span decades, in their decimal logarithm.

The end of a training is the mean of the last tenth of its losses, and its score at the last evaluation. A training reaches a loss when the
mean of its batches' losses over the latest tenth of its steps is no larger; where a step takes all points, when its loss is no larger.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from ..tasks.task import Score
from .train import History

GOOD = ("ok", "extrapolated")
"""Outcomes of steps that are as they should be; extrapolation was asked for."""
SHARE, LEVEL = 10, 0.95
"""Of a training's steps the tenth part counts as its end; level of intervals."""


@dataclass(frozen=True, eq=False)
class RunResult:
    """One training of an experiment.

    Attributes:
        label: of the run.
        seed: of weights and batches. die: seed of the die; None: nominal parts, or no device with dies.
        history: of its steps.
        batch: samples of a step; None: all points.
    """

    label: str
    seed: int
    die: int | None
    history: History
    batch: int | None = None

    @property
    def final_loss(self) -> float:
        """Mean of the last tenth of the losses."""
        return float(np.mean(self.history.loss[-self._tenth :]))

    @property
    def _tenth(self) -> int:
        return max(1, self.history.steps // SHARE)

    def smoothed_loss(self) -> np.ndarray:
        """(steps,) mean of the latest tenth of the losses, nan before there are as many; of all points the loss itself."""
        loss = np.array(self.history.loss)
        window = 1 if self.batch is None else self._tenth
        means = np.convolve(loss, np.full(window, 1 / window), mode="valid")
        return np.concatenate([np.full(window - 1, math.nan), means])

    def steps_to_loss(self, wanted: float) -> int | None:
        """Updates until the smoothed loss is no larger; None: never."""
        reached = np.flatnonzero(self.smoothed_loss() <= wanted)
        return int(reached[0]) + 1 if len(reached) else None

    def seconds(self, steps: int, kind: str) -> float:
        """Time of the first steps, s; kind: "processor", "hardware", "digital", "device" or "analog"."""
        return math.fsum(getattr(self.history, f"{kind}_seconds")[:steps])


@dataclass(frozen=True)
class Reached:
    """How soon trainings come to where the baseline ended with the same seed.

    Attributes:
        count, trainings: how many do, and of how many.
        steps, processor_seconds, hardware_seconds: means over those that do; None where none does.
    """

    count: int
    trainings: int
    steps: float | None
    processor_seconds: float | None
    hardware_seconds: float | None


@dataclass(frozen=True)
class Difference:
    """A run's difference to the baseline, paired by seed.

    Attributes:
        mean: in `unit`. half_width: of its interval; nan of a single seed.
        unit: "points" (of percent) or "decades".
        seeds: number of pairs.
    """

    mean: float
    half_width: float
    unit: str
    seeds: int


@dataclass(frozen=True)
class Row:
    """A run in the table. Standard deviations are None of a single seed or die.

    Attributes:
        label: of the run. seeds, dies, steps: their numbers.
        score, score_std, score_std_dies: mean of the final scores, standard deviation over seeds, and over the dies of a seed.
        worst: the worst final score.
        loss, loss_std, loss_std_dies: likewise of the final losses.
        score_difference, loss_difference: to the baseline; None: no baseline, or this is it, or no seed in common.
        to_loss, to_score: until the baseline's final loss and score.
        processor_seconds, hardware_seconds: of a step, means; all but the device's simulation, and modelled.
        further: mean and standard deviation over seeds of what else the task measures, at the last evaluations.
        bad: share of steps with an outcome other than ok or extrapolated. gradient, retried: shares of steps that took the gradient, or
            more damping.
    """

    label: str
    seeds: int
    dies: int
    steps: int
    score: float
    score_std: float | None
    score_std_dies: float | None
    worst: float
    loss: float
    loss_std: float | None
    loss_std_dies: float | None
    score_difference: Difference | None
    loss_difference: Difference | None
    to_loss: Reached | None
    to_score: Reached | None
    processor_seconds: float
    hardware_seconds: float
    further: dict[str, tuple[float, float | None]]
    bad: float
    gradient: float
    retried: float


@dataclass(frozen=True, eq=False)
class ExperimentResult:
    """The trainings of an experiment.

    Attributes:
        labels: of the runs, in the experiment's order.
        baseline: label of the run that others are compared with; None: with none.
        score: what the runs are judged by.
        runs: by run, then by seed, then by die.
    """

    labels: tuple[str, ...]
    baseline: str | None
    score: Score
    runs: tuple[RunResult, ...]

    def of(self, label: str) -> list[RunResult]:
        """The trainings of a run."""
        return [one for one in self.runs if one.label == label]

    @property
    def further(self) -> tuple[str, ...]:
        """Names of what else than the score the task measures."""
        found = dict.fromkeys(name for run in self.runs for one in run.history.metrics[-1:] for name in one)
        return tuple(name for name in found if name != self.score.name)

    def table(self) -> list[Row]:
        """A row for each run."""
        return [self._row(label) for label in self.labels]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: the table, and the end of each training."""
        ends = [
            {"run": one.label, "seed": one.seed, "die": one.die, "steps": one.history.steps}
            | {"score": one.history.final_score, "loss": one.final_loss}
            for one in self.runs
        ]
        about = {"score": dataclasses.asdict(self.score), "baseline": self.baseline}
        return about | {"table": [dataclasses.asdict(row) for row in self.table()], "trainings": ends}

    def _row(self, label: str) -> Row:
        runs = self.of(label)
        scores, losses = _by_seed(runs, _final_score), _by_seed(runs, _final_loss)
        reference = None if self.baseline is None else self.of(self.baseline)
        other = reference if label != self.baseline else None
        flat = [value for values in scores.values() for value in values]
        return Row(
            label,
            len(scores),
            len({one.die for one in runs}),
            max(one.history.steps for one in runs),
            *_moments(scores),
            min(flat) if self.score.more_is_better else max(flat),
            *_moments(losses),
            None if other is None else _difference(scores, _by_seed(other, _final_score), self.score.percent),
            None if other is None else _difference(losses, _by_seed(other, _final_loss), False),
            None if reference is None else _reached(runs, reference, self._first_loss),
            None if reference is None else _reached(runs, reference, self._first_score),
            _mean_of_steps(runs, "processor_seconds"),
            _mean_of_steps(runs, "hardware_seconds"),
            {name: _moments(_by_seed(runs, _final_metric(name)))[:2] for name in self.further},
            _share(runs, lambda history: [outcome not in GOOD for outcome in history.outcome]),
            _share(runs, lambda history: [reading == "gradient" for reading in history.reading]),
            _share(runs, lambda history: [retries > 0 for retries in history.retries]),
        )

    def _first_loss(self, run: RunResult, ends: Sequence[RunResult]) -> int | None:
        return run.steps_to_loss(float(np.mean([one.final_loss for one in ends])))

    def _first_score(self, run: RunResult, ends: Sequence[RunResult]) -> int | None:
        return run.history.steps_to(float(np.mean([one.history.final_score for one in ends])))


def _final_score(run: RunResult) -> float:
    return run.history.final_score


def _final_metric(name: str) -> Callable[[RunResult], float]:
    return lambda run: run.history.metrics[-1][name] if run.history.metrics else math.nan


def _final_loss(run: RunResult) -> float:
    return run.final_loss


def _by_seed(runs: Sequence[RunResult], value: Callable[[RunResult], float]) -> dict[int, list[float]]:
    ordered = sorted(runs, key=lambda one: one.seed)
    return {seed: [value(one) for one in group] for seed, group in itertools.groupby(ordered, lambda one: one.seed)}


def _moments(values: dict[int, list[float]]) -> tuple[float, float | None, float | None]:
    """Mean, standard deviation over seeds of the dies' means, and of dies within a seed (root mean square over seeds)."""
    means = [float(np.mean(group)) for group in values.values()]
    over_seeds = float(np.std(means, ddof=1)) if len(means) > 1 else None
    within = [float(np.var(group, ddof=1)) for group in values.values() if len(group) > 1]
    return float(np.mean(means)), over_seeds, math.sqrt(np.mean(within)) if within else None


def _difference(ours: dict[int, list[float]], theirs: dict[int, list[float]], points: bool) -> Difference | None:
    seeds = [seed for seed in ours if seed in theirs]
    if not seeds:
        return None
    pairs = np.array([[np.mean(ours[seed]), np.mean(theirs[seed])] for seed in seeds])
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = 100 * pairs if points else np.log10(pairs)
    apart = scaled[:, 0] - scaled[:, 1]
    half = math.nan
    if len(apart) > 1:
        half = float(stats.t.ppf((1 + LEVEL) / 2, len(apart) - 1) * np.std(apart, ddof=1) / math.sqrt(len(apart)))
    return Difference(float(np.mean(apart)), half, "points" if points else "decades", len(apart))


def _reached(
    runs: Sequence[RunResult],
    reference: Sequence[RunResult],
    first: Callable[[RunResult, Sequence[RunResult]], int | None],
) -> Reached | None:
    ends = {seed: list(group) for seed, group in itertools.groupby(reference, lambda one: one.seed)}
    paired = [run for run in runs if run.seed in ends]
    found = [(run, steps) for run in paired if (steps := first(run, ends[run.seed])) is not None]
    if not found:
        return Reached(0, len(paired), None, None, None) if paired else None
    times = [float(np.mean([run.seconds(n, kind) for run, n in found])) for kind in ("processor", "hardware")]
    return Reached(len(found), len(paired), float(np.mean([steps for _, steps in found])), *times)


def _mean_of_steps(runs: Sequence[RunResult], name: str) -> float:
    return float(np.mean([value for run in runs for value in getattr(run.history, name)]))


def _share(runs: Sequence[RunResult], which: Callable[[History], list[bool]]) -> float:
    return float(np.mean([value for run in runs for value in which(run.history)]))
