"""The levels of a search as they go to worker processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ....circuits.errors import InputError
from ....circuits.job_store import job_key
from ...tasks.registry import make_task
from ...tasks.task import Task
from ...training.code_digest import code_digest
from ..outcomes.solve_level import SolveLevel
from ..outcomes.training_level import TrainingLevel
from ..trainings import SentTraining, TaskTraining
from .jobs import Level

_KEPT = 2
"""Tasks whose levels a worker keeps made: they hold data."""
_made: dict[str, dict[str, Level]] = {}


@dataclass(frozen=True)
class SentLevels:
    """Levels on their way to worker processes: called with a fidelity, it returns the level.

    A task of the package goes by name and settings, since its data may be large, and the worker checks that it made the same one. One of
    the user's own goes by value, with the code of the user's modules.

    Attributes:
        digest: of the task's code and data, and of all below.
        steps, short, batch, settings: of whole and short trainings. seeds: of the trainings whose systems are solved.
        name, task_settings: of a task of the package. own: the user's.
    """

    digest: str
    steps: int
    short: int
    batch: int | None
    settings: Mapping[str, Any]
    seeds: tuple[int, ...]
    name: str
    task_settings: Mapping[str, Any]
    own: SentTraining | None = None

    @classmethod
    def of(
        cls,
        training: TaskTraining,
        short: int,
        seeds: tuple[int, ...],
        name: str | None,
        task_settings: Mapping[str, Any],
    ) -> SentLevels:
        """InputError for a part of a user's task that can be neither digested nor sent.

        Args:
            training: in full. name, task_settings: of a task of the package; None: it is the user's.
        """
        settings = dict(training.settings)
        parts = (training.steps, short, training.batch, settings, seeds)
        digest = _digest(training.task, parts)
        own = SentTraining.of(training) if name is None else None
        return cls(digest, *parts, name or "", dict(task_settings), own)

    def __call__(self, fidelity: str) -> Level:
        """The level, made once in a process."""
        if self.digest not in _made:
            while len(_made) >= _KEPT:
                _made.pop(next(iter(_made)))
            _made[self.digest] = self._make(self._task())
        return _made[self.digest][fidelity]

    def _task(self) -> Task:
        if self.own is not None:
            with self.own.modules():
                training = self.own.training()
            assert isinstance(training, TaskTraining)
            return training.task
        task = make_task(self.name, self.task_settings)
        if _digest(task, (self.steps, self.short, self.batch, dict(self.settings), self.seeds)) != self.digest:
            raise InputError(
                f"the task {self.name} of a worker differs from the one of this search, in its data or in the versions of Python, numpy, "
                "torch and thermograd: install the same ones there, and start the workers anew"
            )
        return task

    def _make(self, task: Task) -> dict[str, Level]:
        settings = dict(self.settings)
        places = tuple(sorted({0, self.short // 2, self.short - 1}))
        return {
            "solve": SolveLevel(task, self.batch, places, self.seeds[:1], settings),
            "short": TrainingLevel(task, self.short, self.batch, settings),
            "full": TrainingLevel(task, self.steps, self.batch, settings),
        }


def _digest(task: Task, parts: tuple[Any, ...]) -> str:
    return job_key(code_digest((task, *parts), f"the task {task.name}").text)
