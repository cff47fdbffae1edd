"""What a study trains: a task by TNGD, or a function of one's own."""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import cloudpickle
import numpy as np
import torch

from ...circuits.errors import InputError
from ...devicemodel.device import Device
from ...devicemodel.devices.ideal import IdealDevice
from ..optimizers.registry import make_optimizer
from ..tasks.registry import make_task
from ..tasks.task import Score, Task
from ..training.code_digest import code_digest, is_users_file
from ..training.train import settings_for, train
from .knobs.design_point import DesignPoint

Function: TypeAlias = Callable[..., float | Mapping[str, float]]
"""(device, seed) or (device, seed, reading) -> a score, or several by name."""
LOSS = "training loss"
"""Second score of a task: mean of the last tenth of the steps."""


@dataclass(frozen=True)
class Trained:
    """Of one training: scores by name, number of steps by how the device's run ended, and of those that took the gradient."""

    scores: dict[str, float]
    outcomes: dict[str, int]
    gradient: int = 0


class Training(Protocol):
    """A training on a device, which worker processes can take."""

    @property
    def name(self) -> str:
        """For titles."""

    @property
    def main(self) -> Score | None:
        """The first score, where its direction is known."""

    @property
    def takes_reading(self) -> bool:
        """Whether it can be told to read the device refined or bare."""

    def at(self, point: DesignPoint) -> Training:
        """With the point's settings of the optimizer. InputError where it takes none."""

    def check(self, point: DesignPoint, reading: str) -> None:
        """InputError for settings of the optimizer, or of the refinement, that exclude each other."""

    def __call__(self, device: Device, seed: int, reading: str) -> Trained:
        """Train."""


@dataclass(frozen=True, eq=False)
class TaskTraining:
    """A task, trained by TNGD."""

    task: Task
    steps: int
    batch: int | None
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Of the task, without its settings."""
        return self.task.name.partition("(")[0]

    @property
    def main(self) -> Score:
        """The task's."""
        return self.task.score

    @property
    def takes_reading(self) -> bool:
        """True."""
        return True

    def at(self, point: DesignPoint) -> TaskTraining:
        """See `Training`."""
        steps, batch = point.steps, point.batch
        if batch is not None and self.task.plan.batch is None:
            raise InputError(
                f"training.batch = {batch}: the task {self.name} takes all of its points in each step: leave it out"
            )
        return TaskTraining(
            self.task,
            self.steps if steps is None else steps,
            self.batch if batch is None else batch,
            {**self.settings, **point.settings},
        )

    def check(self, point: DesignPoint, reading: str) -> None:
        """See `Training`. An optimizer of one number is made."""
        settings = {**settings_for(self.task, "tngd"), **self.at(point).settings, "reading": reading}
        settings.pop("schedule", None)
        make_optimizer("tngd", [torch.zeros(1, requires_grad=True)], point.refined(IdealDevice()), settings)

    def __call__(self, device: Device, seed: int, reading: str) -> Trained:
        """Train to the end."""
        settings = {**self.settings, "reading": reading}
        history = train(
            self.task, "tngd", self.steps, self.batch, seed, device=device, evaluate_every=0, settings=settings
        )
        loss = float(np.mean(history.loss[-max(1, self.steps // 10) :]))
        outcomes = {outcome: history.outcome.count(outcome) for outcome in sorted(set(history.outcome))}
        scores = {self.main.name: float(history.final_score), LOSS: loss}
        return Trained(scores, outcomes, history.reading.count("gradient"))


@dataclass(frozen=True, eq=False)
class FunctionTraining:
    """A function of the user's. torch's random numbers are seeded with the seed before each call."""

    function: Function
    takes_reading: bool

    @property
    def name(self) -> str:
        """Of the function, without the function or class around it."""
        return function_name(self.function)

    @property
    def main(self) -> None:
        """Not known."""
        return

    def at(self, point: DesignPoint) -> FunctionTraining:
        """See `Training`."""
        if point.of("optimizer"):
            raise InputError(f"{self.name} sets its optimizer itself: leave {', '.join(point.of('optimizer'))} out")
        return self

    def check(self, point: DesignPoint, reading: str) -> None:
        """See `Training`: what can be known before it is called."""
        self.at(point)
        point.refined(IdealDevice())

    def __call__(self, device: Device, seed: int, reading: str) -> Trained:
        """The function's scores. InputError if it raises or returns something else."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                found = self.function(device, seed, *([reading] if self.takes_reading else []))
            except (Exception, SystemExit) as error:  # of whatever kind the user's code raises; the study says where
                raise InputError(f"{self.name} raised {type(error).__name__}: {error}{_place(error)}") from error
        return Trained(_scores(found, self.name), {})


def as_training(training: Any, steps: int | None, batch: int | None, settings: Mapping[str, Any] | None) -> Training:
    """What a study is given, as a training.

    Args:
        training: a function, a task or a task's name.
        steps, batch, settings: of a task; None: its plan's.

    Raises:
        InputError: something else; a function that takes other arguments, or is given steps, batch or settings.
    """
    if isinstance(training, str):
        training = make_task(training)
    if isinstance(training, Task):
        plan = training.plan
        if steps is not None and steps < 1:
            raise InputError(f"steps is {steps}: give at least 1")
        chosen = dict(settings or {})
        if "reading" in chosen:
            raise InputError(f"settings are {chosen}: leave reading out, and give readings")
        return TaskTraining(
            training, plan.steps if steps is None else steps, plan.batch if batch is None else batch, chosen
        )
    given = [name for name, value in (("steps", steps), ("batch", batch), ("settings", settings)) if value is not None]
    if given:
        raise InputError(f"{', '.join(given)} given with a training of one's own: put them into the function")
    if not callable(training) or isinstance(training, type):
        raise InputError(
            f"training is {training!r}: give a function (device, seed) -> score, a Task, or the name of one"
        )
    return FunctionTraining(training, _takes_reading(training))


def function_name(function: Any) -> str:
    """Of a function, or of the class of a callable object."""
    inner = function.func if isinstance(function, functools.partial) else function
    return str(getattr(inner, "__qualname__", type(inner).__name__)).rpartition(".")[2]


@dataclass(frozen=True)
class SentTraining:
    """A training as it goes to worker processes: with the code of the user's modules, of which a worker may hold older versions.

    Attributes:
        digest: of all that the results depend on but device, seed and reading.
        blob: what cloudpickle makes of the training. It goes from this process to its workers, and is in no file.
        imported, folders: the user's modules that are imported on the way, and where they are.
    """

    digest: str
    blob: bytes
    imported: tuple[str, ...]
    folders: tuple[str, ...]

    @classmethod
    def of(cls, training: Training) -> SentTraining:
        """InputError for a part of the training that can be neither digested nor sent."""
        found = code_digest(_content(training), training.name)
        known = cloudpickle.list_registry_pickle_by_value()
        ours = [one for one in found.modules if sys.modules.get(one.__name__) is one and one.__name__ not in known]
        for module in ours:
            cloudpickle.register_pickle_by_value(module)
        try:
            return cls(found.text, cloudpickle.dumps(training), found.imported, found.folders)
        except Exception as error:  # what is raised depends on the object that cannot be pickled
            raise InputError(
                f"{training.name} cannot be sent to worker processes ({type(error).__name__}: {error}): make what it needs inside of it"
            ) from error
        finally:
            for module in ours:
                cloudpickle.unregister_pickle_by_value(module)

    def __call__(self, device: Device, seed: int, reading: str, point: DesignPoint) -> Trained:
        """Train at a design point, with the user's modules as they are on the disk now."""
        with self.modules():
            return self.training().at(point)(device, seed, reading)

    def modules(self) -> contextlib.AbstractContextManager[None]:
        """Within it the user's modules are as they are on the disk now."""
        return _imported_anew(self.imported, self.folders)

    def training(self) -> Training:
        """The training, made anew; within `modules`."""
        training: Training = cloudpickle.loads(self.blob)
        return training


@contextlib.contextmanager
def _imported_anew(names: tuple[str, ...], folders: tuple[str, ...]) -> Iterator[None]:
    held = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    added = [folder for folder in folders if folder and folder not in sys.path]
    sys.path[:0] = added
    try:
        yield
    finally:
        sys.path[:] = [folder for folder in sys.path if folder not in added]
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(held)


def _content(training: Training) -> Any:
    if isinstance(training, FunctionTraining):
        return training.function
    assert isinstance(training, TaskTraining)
    return training.task, training.steps, training.batch, dict(training.settings)


def _takes_reading(function: Any) -> bool:
    name = function_name(function)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise InputError(f"{name} has no signature to read: give a Python function (device, seed)") from None
    parameters = signature.parameters
    takes = "reading" in parameters
    try:
        signature.bind(*range(3 if takes else 2))
    except TypeError:
        raise InputError(
            f"{name}{signature} cannot be called with (device, seed): give a function (device, seed) -> score, or "
            "(device, seed, reading) -> score"
        ) from None
    if takes and list(parameters).index("reading") != 2:
        raise InputError(f"{name}{signature}: reading must be the third argument, after device and seed")
    return takes


def _scores(found: Any, name: str) -> dict[str, float]:
    named = found if isinstance(found, Mapping) else {"score": found}
    scores = {}
    for key, value in named.items():
        one = isinstance(value, torch.Tensor | np.ndarray | np.generic) and math.prod(value.shape) == 1
        plain = value.item() if one else value
        if not isinstance(key, str) or not key or isinstance(plain, bool) or not isinstance(plain, int | float):
            raise InputError(
                f"{name} returned {_short(found)}: give a number, or numbers by name {{'accuracy': 0.97, ...}}"
            )
        scores[key] = float(plain)
    if not scores:
        raise InputError(f"{name} returned no score: give a number, or numbers by name {{'accuracy': 0.97, ...}}")
    return scores


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:60]}... ({type(value).__name__})"


def _place(error: BaseException) -> str:
    """Where in the user's code an error was raised."""
    frames = [one for one in traceback.extract_tb(error.__traceback__) if is_users_file(Path(one.filename))]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
