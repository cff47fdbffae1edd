"""Experiments: several optimizers on a task, each with every seed and die, in one call that a kill interrupts but does not spoil."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import re
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, StrictInt, field_validator

from ...circuits.errors import InputError
from ...circuits.files import output_folder, read_text
from ...circuits.job_store import JobStore, job_key
from ...circuits.records import Record
from ...circuits.spelling import unknown_name
from ...circuits.version import __version__
from ..optimizers.damping import LevenbergMarquardt
from ..optimizers.registry import OPTIMIZERS, uses_device
from ..tasks.registry import make_task
from ..tasks.task import Task
from .board import Board, require_tensorboard
from .code_digest import code_digest
from .device_choice import DeviceChoice
from .experiment_result import ExperimentResult, RunResult
from .schedule import CONSTANT, check_schedule
from .settings_check import check_optimizer_settings, check_task_settings
from .step_counts import StepNote, reported
from .threads import one_thread
from .train import CHECKPOINT_EVERY, Callback, History, settings_for, train

SAVES = 10
"""Least number of checkpoints in a run."""
STALE = 600.0
"""Seconds after which a checkpoint that is not whole counts as left behind."""


class Run(Record):
    """One of an experiment's trainings; fields left out are the experiment's.

    Raises:
        InputError: a field out of range, or without effect.
    """

    title_in_errors = "run"

    label: str = Field(min_length=1)
    """Name in tables and figures, each once."""
    optimizer: str
    """Of `OPTIMIZERS`."""
    steps: int | None = Field(default=None, ge=1)
    batch: int | None = Field(default=None, ge=1)
    evaluate_every: int | None = Field(default=None, ge=0)
    settings: dict[str, Any] = Field(default_factory=dict)
    """Of the optimizer, over those of the task's plan; a table for damping holds the arguments of `LevenbergMarquardt`."""
    schedule: str | None = None
    """Of the learning rate, of `SCHEDULES`; None: the plan's."""
    device: DeviceChoice | None = None
    """Of an optimizer that uses one; None: the ideal device."""
    dies: tuple[StrictInt, ...] | None = None
    """Seeds of the dies, each trained with every seed; None: nominal parts."""

    @field_validator("optimizer")
    @classmethod
    def _optimizer_is_known(cls, name: str) -> str:
        if name not in OPTIMIZERS:
            raise ValueError(unknown_name("optimizer", name, OPTIMIZERS))
        return name

    @field_validator("schedule")
    @classmethod
    def _schedule_is_known(cls, name: str | None) -> str | None:
        return None if name is None else check_schedule(name)

    def model_post_init(self, _: Any) -> None:
        """Reject devices and dies without effect."""
        if self.device is not None and not uses_device(self.optimizer):
            raise InputError(f"run {self.label!r}: {self.optimizer} uses no device; leave device out, or take tngd")
        if self.dies is not None and (self.device is None or self.device.kind == "ideal"):
            raise InputError(f'run {self.label!r}: dies are of a device of kind "surrogate" or "spice"; leave them out')
        if self.schedule is not None and "schedule" in self.settings:
            raise InputError(f"run {self.label!r}: schedule is given twice, the second time in settings: leave one out")
        if self.dies is not None and (not self.dies or min(self.dies) < 0 or len(set(self.dies)) < len(self.dies)):
            raise InputError(f"run {self.label!r}: dies are {list(self.dies)}; give at least one, each once, all >= 0")

    def made_settings(self) -> dict[str, Any]:
        """The settings as the optimizer takes them."""
        made = dict(self.settings)
        if isinstance(made.get("damping"), Mapping):
            try:
                made["damping"] = LevenbergMarquardt(**made["damping"])
            except TypeError:
                known = [one.name for one in dataclasses.fields(LevenbergMarquardt)]
                wrong = next(name for name in made["damping"] if name not in known)
                what = f"run {self.label!r}: damping, as a table of LevenbergMarquardt: setting"
                raise InputError(unknown_name(what, wrong, known)) from None
        return made


class Experiment(Record):
    """A task, seeds, and several runs; `docs/training.md` has the file's format.

    Raises:
        InputError: a field out of range or unknown; labels or seeds that occur twice; a baseline that is no label.
    """

    title_in_errors = "experiment"

    task: str
    """Of `TASKS`; of a Task that is given to `run_experiment`, any name."""
    seeds: tuple[StrictInt, ...] = (0,)
    """Of weights and batches."""
    steps: int | None = Field(default=None, ge=1)
    batch: int | None = Field(default=None, ge=1)
    evaluate_every: int | None = Field(default=None, ge=0)
    """Steps, samples a step and steps between evaluations; None: the plan's."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the task's function."""
    baseline: str | None = None
    """Label of the run that others are compared with, seed by seed."""
    checkpoint_every: int | None = Field(default=None, ge=1)
    """Steps between saves; None: a tenth of a run, 100 at most."""
    runs: tuple[Run, ...] = Field(min_length=1)

    def model_post_init(self, _: Any) -> None:
        """Reject what occurs twice."""
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"experiment: seeds are {list(self.seeds)}; give at least one, each once, all >= 0")
        labels = [run.label for run in self.runs]
        for label in labels:
            if labels.count(label) > 1:
                raise InputError(f"experiment: label {label!r} occurs twice; give each run its own")
        if self.baseline is not None and self.baseline not in labels:
            raise InputError(unknown_name("experiment: baseline", self.baseline, labels))

    @classmethod
    def read(cls, path: str | Path) -> Experiment:
        """Read a TOML file. Paths of cards and technologies are relative to its folder.

        Raises:
            InputError: no such file, not TOML, a field that is unknown or out of range.
        """
        path = Path(path)
        try:
            data = tomllib.loads(read_text(path))
        except OSError as error:
            raise InputError(f"experiment {str(path)!r} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise InputError(f"experiment {str(path)!r} is not valid TOML: {error}") from None
        return cls.of_table(data, path.parent)

    @classmethod
    def of_table(cls, data: Mapping[str, Any], folder: Path) -> Experiment:
        """The experiment of a file's table, in which the runs are called "run". InputError as `read`."""
        known = ["run" if name == "runs" else name for name in cls.model_fields]
        for name in data:
            if name not in known:
                raise InputError(unknown_name("experiment: field", name, known))
        fields = dict(data)
        tables = fields.pop("run", [])
        if not isinstance(tables, list) or not tables:
            raise InputError("experiment: there are no runs: head each with [[run]]")
        found = cls(**fields, runs=tuple(_run_of_table(table, k) for k, table in enumerate(tables)))
        runs = [
            run if run.device is None else run.model_copy(update={"device": run.device.read(folder)})
            for run in found.runs
        ]
        return found.model_copy(update={"runs": tuple(runs)})


def _run_of_table(table: Any, number: int) -> Run:
    """A run of a file; errors name it by its label, or by its number from 0."""
    if not isinstance(table, Mapping):
        raise InputError(f"experiment: run {number} is {table!r:.60}: head each with [[run]]")
    name = f"run {table.get('label', number)!r}"
    for field in table:
        if field not in Run.model_fields:
            raise InputError(unknown_name(f"{name}: field", field, Run.model_fields))
    try:
        return Run(**table)
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(name) else f"{name}: {text.removeprefix('run ')}") from None


@contextlib.contextmanager
def _errors_of(run: Run) -> Iterator[None]:
    """Errors of what is inside name the run."""
    try:
        yield
    except InputError as error:
        name, text = f"run {run.label!r}", str(error)
        if text.startswith(name):
            raise
        raise InputError(f"{name}: {text}") from error


@dataclass(frozen=True)
class _Job:
    """One training: all that it depends on, and where it is saved."""

    run: Run
    seed: int
    die: int | None
    steps: int
    batch: int | None
    evaluate_every: int
    checkpoint_every: int
    checkpoint: Path | None = None
    note: Path | None = None
    board: Path | None = None


class _Source:
    """Name and settings of a task; the same ones are equal."""

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self.name, self.settings = name, dict(settings)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Source) and (self.name, self.settings) == (other.name, other.settings)

    def __hash__(self) -> int:
        return hash(self.name)


def run_experiment(
    experiment: Experiment,
    out: str | Path | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    task: Task | None = None,
    tensorboard: bool = False,
) -> ExperimentResult:
    """Train every run with every seed and die; of finished jobs the folder keeps the histories, of others their last checkpoint.

    Args:
        experiment: what to train.
        out: folder, in which the same call resumes after a kill, bit for bit; None: nothing is kept.
        workers: processes, each of one thread; None: one per usable core.
        progress: called with (updates done, updates in all), every second and at the end.
        task: in place of the one that the experiment names; it is sent to the workers. A folder knows it by its code and data.
        tensorboard: write event files as the jobs go on, to the folder's `tensorboard`.

    Raises:
        InputError: as `make_task`, `train` and `parallel_map`; a folder that cannot be written into; tensorboard without a folder, or not
            installed.
    """
    if tensorboard and out is None:
        raise InputError("tensorboard=True without out: give the folder for the event files")
    if tensorboard:
        require_tensorboard()
    if task is None:
        check_task_settings(experiment.task, experiment.settings)
    made = make_task(experiment.task, experiment.settings) if task is None else task
    with tempfile.TemporaryDirectory() as scratch:
        folder = None if out is None else output_folder(Path(out))
        notes = output_folder((folder or Path(scratch)) / "progress")
        asked = [
            (key, dataclasses.replace(job, note=notes / key, board=_board(folder, job) if tensorboard else None))
            for key, job in _jobs(experiment, made, folder, folder is not None and task is not None)
        ]
        jobs = dict(asked)  # runs that differ by their label alone are one job
        store: JobStore[dict[str, Any]] = JobStore(None if folder is None else folder / "jobs")
        work = functools.partial(_train, task or _Source(experiment.task, experiment.settings))
        found: dict[str, dict[str, Any]] = {}
        with reported(notes, {key: job.steps for key, job in jobs.items()}, progress) as finished:
            for key, value in store.map(work, jobs, workers):
                found[key] = value
                finished(key)
    results = tuple(
        RunResult(job.run.label, job.seed, job.die, History.of_dict(found[key], made.score), job.batch)
        for key, job in asked
    )
    for (_, job), result in zip(asked, results, strict=True):
        if job.board is not None and not job.board.exists():  # finished by a call without TensorBoard
            _write_board(job.board, result.history)
    return ExperimentResult(tuple(run.label for run in experiment.runs), experiment.baseline, made.score, results)


def _jobs(experiment: Experiment, task: Task, folder: Path | None, own: bool) -> list[tuple[str, _Job]]:
    """All jobs, each with a key that says everything that its result depends on; of a task of the caller's own the code, too."""
    jobs: list[tuple[str, _Job]] = []
    named = [task.name, code_digest(task, f"the task {task.name}").text] if own else task.name
    for run in experiment.runs:
        steps, batch, every = (
            next((value for of in (run, experiment, task.plan) if (value := getattr(of, name)) is not None), None)
            for name in ("steps", "batch", "evaluate_every")
        )
        assert steps is not None
        assert every is not None
        with _errors_of(run):
            taken = {**settings_for(task, run.optimizer), **run.made_settings()}
            schedule = run.schedule or check_schedule(taken.get("schedule", CONSTANT))
        taken.pop("schedule", None)
        check_optimizer_settings(f"run {run.label!r}", run.optimizer, run.settings, taken, task.dtype)
        plain = {name: repr(value) for name, value in sorted(taken.items())}
        device = None if run.device is None else run.device.identity()
        depends = [named, run.optimizer, plain, schedule, device, [steps, batch, every]]
        for seed, die in itertools.product(experiment.seeds, run.dies or (None,)):
            key = job_key(__version__, depends, seed, die)
            save_every = experiment.checkpoint_every or max(1, min(CHECKPOINT_EVERY, steps // SAVES))
            saved = None if folder is None else output_folder(folder / "checkpoints") / f"{key}.pt"
            jobs.append((key, _Job(run, seed, die, steps, batch, every, save_every, saved)))
    return jobs


def _board(folder: Path | None, job: _Job) -> Path:
    assert folder is not None
    label = re.sub(r"[^A-Za-z0-9_.+-]+", "_", job.run.label).strip("._") or "run"
    return folder / "tensorboard" / label / (f"seed{job.seed}" + ("" if job.die is None else f"-die{job.die}"))


def _write_board(folder: Path, history: History) -> None:
    with contextlib.closing(Board(folder)) as board:
        board(history.steps, history)


def _train(source: Task | _Source, job: _Job) -> dict[str, Any]:
    task = source if isinstance(source, Task) else _made(source)
    device = None if job.run.device is None else job.run.device.make(job.die, job.seed)
    if job.checkpoint is not None:
        _clear(job.checkpoint)
    with _errors_of(job.run), contextlib.ExitStack() as stack:
        stack.enter_context(one_thread())
        callbacks: list[Callback] = [] if job.note is None else [StepNote(job.note)]
        if job.board is not None:
            callbacks.append(stack.enter_context(contextlib.closing(Board(job.board))))
        history = train(
            task,
            job.run.optimizer,
            job.steps,
            job.batch,
            job.seed,
            device=device,
            callbacks=callbacks,
            evaluate_every=job.evaluate_every,
            checkpoint=job.checkpoint,
            checkpoint_every=None if job.checkpoint is None else job.checkpoint_every,
            settings=job.run.made_settings(),
            schedule=job.run.schedule,
        )
    return dataclasses.asdict(history)


def _clear(checkpoint: Path) -> None:
    """Remove what a kill in the middle of a save left behind; not what a worker that outlived its killed parent may be writing."""
    for rest in checkpoint.parent.glob(f".{checkpoint.stem}.*"):
        with contextlib.suppress(OSError):
            if time.time() - rest.stat().st_mtime >= STALE:
                rest.unlink()


@functools.lru_cache(maxsize=2)
def _made(source: _Source) -> Task:
    """One task for all jobs of a worker, since its data take time to read."""
    return make_task(source.name, source.settings)
