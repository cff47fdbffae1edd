"""What an experiment found: the history of each run with each seed and die, and tables of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..tasks.task import Score
from .train import History


@dataclass(frozen=True, eq=False)
class RunResult:
    """One training of an experiment.

    Attributes:
        label: of the run.
        seed: of weights and batches. die: seed of the die; None: nominal parts, or no device with dies.
        history: of its steps.
    """

    label: str
    seed: int
    die: int | None
    history: History


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

    def table(self) -> list[dict[str, Any]]:
        """For each run its label, number of trainings, and mean and standard deviation of the final score."""
        return [_row(label, self.of(label)) for label in self.labels]


def _row(label: str, runs: Sequence[RunResult]) -> dict[str, Any]:
    scores = [one.history.final_score for one in runs]
    spread = float(np.std(scores, ddof=1)) if len(scores) > 1 else None
    return {"label": label, "trainings": len(runs), "score": float(np.mean(scores)), "score_std": spread}
