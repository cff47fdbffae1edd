"""A level as it goes to worker processes, and what a worker does with a run."""

from __future__ import annotations

import functools
import hashlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ....circuits.errors import InputError, ThermogradError
from ....devicemodel.card import DeviceCard
from ...tasks.registry import make_task
from ...tasks.task import Task
from ...training.code_digest import code_digest
from ...training.threads import one_thread
from ..knobs.design_point import DesignPoint
from ..outcomes import SolveLevel, TrainingLevel
from ..trainings import SentTraining, TaskTraining

_PACKAGE = Path(__file__).resolve().parents[3]
_FLOORS = ("circuits", "compiler", "devicemodel", "optim")
_ONE_RUN = threading.Lock()
"""A dask worker may have several threads; a training seeds torch's one generator, so that runs of a process are one after another."""
_KEPT = 2
"""Levels that a worker keeps made: their tasks hold data."""
_made: dict[str, Any] = {}


class Evaluated(Protocol):
    """What a level returns."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, from which JSON gives back every bit."""


class Level(Protocol):
    """What evaluates a design point on a die: `outcomes.SolveLevel` or `outcomes.TrainingLevel`."""

    def evaluate(
        self,
        card: DeviceCard | None,
        point: DesignPoint,
        die: int | None,
        seed: int,
        reading: str,
        *,
        in_spice: int = 0,
    ) -> Evaluated:
        """The outcome; a card of None is the ideal device."""


@dataclass(frozen=True)
class LevelChoice:
    """Of which kind a level is, and its arguments beside the task: plain data, in the key of every run."""

    kind: str
    steps: int | tuple[int, ...] | None
    batch: int | None

    def make(self, task: Task) -> Level:
        """The level. InputError as its class."""
        if self.kind == "training":
            assert not isinstance(self.steps, tuple)
            return TrainingLevel(task, self.steps, self.batch)
        assert not isinstance(self.steps, int)
        return SolveLevel(task, self.batch) if self.steps is None else SolveLevel(task, self.batch, self.steps)


@dataclass(frozen=True)
class SentLevel:
    """A level and a card on their way to worker processes.

    A task of the package goes by name and settings, since its data may be large, and the worker checks that it made the same one. One of
    the user's own goes by value, with the code of the user's modules.

    Attributes:
        digest: of the task's code and data, and of the level's arguments.
        choice: the level without its task.
        card: as JSON.
        name, settings: of a task of the package.
        own: of the user's.
    """

    digest: str
    choice: LevelChoice
    card: str
    name: str
    settings: Mapping[str, Any]
    own: SentTraining | None = None

    @classmethod
    def of(
        cls, task: Task, choice: LevelChoice, card: DeviceCard, name: str | None, settings: Mapping[str, Any]
    ) -> SentLevel:
        """InputError for a part of the user's task that can be neither digested nor sent.

        Args:
            task: that was made. choice: of the level. card: that is varied.
            name, settings: of the task where it is one of the package; None: it is the user's.
        """
        digest, card_text = _digest(task, choice), card.model_dump_json()
        if name is not None:
            return cls(digest, choice, card_text, name, dict(settings))
        return cls(digest, choice, card_text, "", {}, SentTraining.of(TaskTraining(task, 1, choice.batch, {})))

    def evaluate(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """What a worker does: one run, as plain data.

        Args:
            run: point, die, seed, reading, device ("die" or "exact NGD") and in_spice.

        Returns:
            {"evaluation", "elapsed": s, "source": of the worker's thermograd}, or {"error": text, "bad_input": bool}: a run that fails
            costs itself alone.
        """
        with _ONE_RUN:
            started = time.perf_counter()
            try:
                with one_thread():
                    found = self._evaluate(run)
            except ThermogradError as error:
                return {"error": str(error), "bad_input": isinstance(error, InputError)}
            elapsed = time.perf_counter() - started
            return {"evaluation": found.to_dict(), "elapsed": elapsed, "source": source_digest()}

    def _evaluate(self, run: Mapping[str, Any]) -> Evaluated:
        exact = run["device"] != "die"
        card = None if exact else _card(self.card)
        point, in_spice = DesignPoint(run["point"]), run["in_spice"]
        reading = "bare" if exact else run["reading"]
        if self.own is None:
            level = _kept(self.digest, self._named)
            return level.evaluate(card, point, run["die"], run["seed"], reading, in_spice=in_spice)
        with self.own.modules():
            level = _kept(self.digest, functools.partial(self._of_user, self.own))
            return level.evaluate(card, point, run["die"], run["seed"], reading, in_spice=in_spice)

    def _of_user(self, own: SentTraining) -> Level:
        training = own.training()
        assert isinstance(training, TaskTraining)
        return self.choice.make(training.task)

    def _named(self) -> Level:
        task = make_task(self.name, self.settings)
        if _digest(task, self.choice) != self.digest:
            raise InputError(
                f"the task {self.name} of a worker differs from the one of this study, in its data or in the versions of Python, "
                "numpy, torch and thermograd: install the same ones there, and start the workers anew"
            )
        return self.choice.make(task)


def _digest(task: Task, choice: LevelChoice) -> str:
    return code_digest((task, choice.kind, choice.steps, choice.batch), f"the task {task.name}").text


def _kept(digest: str, make: Any) -> Level:
    if digest not in _made:
        while len(_made) >= _KEPT:
            _made.pop(next(iter(_made)))
        _made[digest] = make()
    level: Level = _made[digest]
    return level


@functools.lru_cache(maxsize=_KEPT)
def _card(text: str) -> DeviceCard:
    return DeviceCard.model_validate_json(text)


@functools.cache
def source_digest() -> str:
    """Of thermograd's files as this process found them: 12 hexadecimal digits.

    A version's number does not tell two states of a working copy apart; a table that holds results of both says so by this.
    """
    found = hashlib.sha256()
    for floor in _FLOORS:
        for path in sorted((_PACKAGE / floor).rglob("*.py")):
            found.update(path.relative_to(_PACKAGE).as_posix().encode())
            found.update(path.read_bytes())
    return found.hexdigest()[:12]
