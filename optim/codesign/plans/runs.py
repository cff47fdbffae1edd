"""The runs of a plan, each with a key that says everything that its result depends on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....circuits.errors import InputError, SimulatorMissing
from ....circuits.files import checksum
from ....circuits.job_store import job_key
from ....circuits.ngspice.library import find_library
from ....circuits.version import __version__
from ....devicemodel.card import DeviceCard
from ...tasks.registry import make_task
from ...tasks.task import Score, Task
from ..knobs.design_point import DesignPoint
from ..knobs.heeded import is_price, require_heeded
from ..knobs.knob import Value
from ..training_file import read_training
from ..trainings import as_training
from .plan import StudyPlan
from .sent import LevelChoice, SentLevel

EXACT = "exact NGD"
"""Device of the rows that dies are compared with."""
_PROTOCOL = tuple(
    f"tngd.{name}"
    for name in (
        "duration",
        "delay_time",
        "reset",
        "reads",
        "read_interval",
        "program_every",
        "curvature_age",
        "curvature_every",
    )
)
"""Of the optimizer, how it reads a device; exact NGD has none of it."""


@dataclass(frozen=True)
class Run:
    """One row of the table.

    Attributes:
        key: of its result.
        device: "die" or `EXACT`.
        point: values of the knobs by name.
        die: its seed; None: exact NGD.
        seed: of the training and the noise.
        reading: "refined" or "bare"; "" for exact NGD.
        in_spice: number of its solves that are repeated in ngspice.
    """

    key: str
    device: str
    point: dict[str, Value]
    die: int | None
    seed: int
    reading: str
    in_spice: int = 0

    def plain(self) -> dict[str, Any]:
        """For a worker."""
        return {name: getattr(self, name) for name in ("device", "point", "die", "seed", "reading", "in_spice")}

    def __str__(self) -> str:
        values = ", ".join(f"{name} = {value}" for name, value in self.point.items())
        place = EXACT if self.die is None else f"die {self.die}, {self.reading} readings"
        return f"{place}, seed {self.seed}{f', {values}' if values else ''}"


@dataclass(frozen=True)
class Prepared:
    """A plan that was checked.

    Attributes:
        plan: itself.
        sent: level and card, for the workers.
        score: of the task.
        card: checksum of the card. technology: its name.
        runs: exact NGD first, then by point, die, seed and reading.
    """

    plan: StudyPlan
    sent: SentLevel
    score: Score
    card: str
    technology: str
    runs: tuple[Run, ...]


def prepare(plan: StudyPlan, task: Task | None = None, card: DeviceCard | None = None) -> Prepared:
    """Check all that can be checked before anything is evaluated.

    Args:
        plan: of the study.
        task, card: in place of those that the plan names.

    Raises:
        InputError: task, settings, card or technology that cannot be made; a point that the card or the task does not allow, or a knob that
            is heeded at none of its points.
    """
    named = task is None and not plan.task.endswith(".py")
    task = _task(plan) if task is None else task
    base = plan.read_card() if card is None else card
    points, ways = plan.points(), plan.ways()
    _check(plan, task, base, points, ways)
    choice = LevelChoice(plan.level, plan.steps, plan.batch)
    sent = SentLevel.of(task, choice, base, plan.task if named else None, plan.settings)
    made = list(_runs(plan, sent, task, points, ways))
    return Prepared(plan, sent, task.score, checksum(base)[:24], base.technology.name, tuple(made))


def _task(plan: StudyPlan) -> Task:
    if not plan.task.endswith(".py"):
        return make_task(plan.task, plan.settings)
    if plan.settings:
        raise InputError(f"plan: settings are {plan.settings}, but the task is a file of your own: put them into it")
    found = read_training(Path(plan.task))
    if not isinstance(found, Task):
        raise InputError(
            f"{Path(plan.task).name} defines train(device, seed): a plan takes task(), which returns a Task; study a function with "
            "`thermograd study KNOB --task FILE`"
        )
    return found


def _check(plan: StudyPlan, task: Task, card: DeviceCard, points: Sequence[DesignPoint], ways: Sequence[str]) -> None:
    steps = plan.steps if isinstance(plan.steps, int) else None
    training = as_training(task, steps, plan.batch, None)
    training.at(DesignPoint({"training.batch": plan.batch} if plan.batch else {}))  # a task without batches says so
    reasons: dict[str, list[str]] = {}
    for point in points:
        try:
            unheeded = point.unheeded(card)
            for reading in ways:
                training.check(point, reading)
        except InputError as error:
            raise InputError(f"plan: the point {dict(point)} is not possible: {error}") from None
        for name in point:
            reasons.setdefault(name, []).append("" if is_price(name) else unheeded.get(name, ""))
    for name, found in reasons.items():
        if all(found):
            require_heeded(name, points[0][name], found[0])


def require_simulator(runs: Sequence[Run]) -> None:
    """SimulatorMissing where some solves are to be repeated in ngspice, and it is not on this machine."""
    if any(run.in_spice for run in runs):
        try:
            find_library()
        except SimulatorMissing as error:
            raise SimulatorMissing(f"[check] repeats solves in ngspice: {error}. Or leave [check] out") from None


def _runs(
    plan: StudyPlan, sent: SentLevel, task: Task, points: Sequence[DesignPoint], ways: Sequence[str]
) -> Iterator[Run]:
    common = [__version__, sent.digest, plan.level]
    baseline = _baseline(plan)
    for seed in plan.seeds:
        yield Run(job_key(*common, None, baseline, None, seed, "", 0), EXACT, baseline, None, seed, "")
    for point in points:
        plain = dict(point)
        solves = _solves(plan, task, point)
        for die in plan.dies:
            for seed in plan.seeds:
                for reading in ways:
                    depends = [*common, sent.card, plain, die, seed, reading]
                    checked = _checked(job_key(*depends, "check"), solves, plan)
                    yield Run(job_key(*depends, checked), "die", plain, die, seed, reading, checked)


def _baseline(plan: StudyPlan) -> dict[str, Value]:
    """Exact NGD has the optimizer's settings that all points have alike."""
    fixed = plan.points()[0].of("optimizer")
    own = {knob.target for knob in plan.varied}
    return {name: value for name, value in fixed.items() if name not in own and name not in _PROTOCOL}


def _solves(plan: StudyPlan, task: Task, point: DesignPoint) -> int:
    """Number of solves of a run."""
    if plan.level == "training":
        steps = plan.steps if isinstance(plan.steps, int) else task.plan.steps
        return point.steps or steps
    if isinstance(plan.steps, tuple):
        return len(plan.steps)
    level: Any = LevelChoice(plan.level, None, plan.batch).make(task)
    return len(level.steps)


def _checked(key: str, solves: int, plan: StudyPlan) -> int:
    """How many solves of a run are repeated: the fraction of them on average over the runs, drawn by the run's key."""
    if plan.check is None:
        return 0
    share = plan.check.fraction * solves
    whole = math.floor(share)
    return whole + (int(key[:12], 16) / 16**12 < share - whole)
