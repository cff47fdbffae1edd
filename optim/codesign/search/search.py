"""`codesign`: the cheapest device that is good enough, by a search over its figures, the host's protocol and the optimizer's settings."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ....circuits.errors import InputError
from ....circuits.job_store import job_key
from ....circuits.technology.presets import PRESETS
from ....circuits.version import __version__
from ....devicemodel.card import DeviceCard
from ...tasks.registry import make_task
from ...tasks.task import Task
from ..knobs.design_point import DesignPoint
from ..studies import READINGS, varied_card
from ..trainings import LOSS, TaskTraining, as_training
from .front import hypervolume
from .goal import Goal
from .jobs import Job, Level, Runner, evaluations
from .ladder import Baseline, Ladder, Report
from .price import Pricing
from .proposals import Proposals
from .records import DesignRecord
from .sent import SentLevels
from .space import SearchedKnob, Space, default_space

GENERATION = 8
"""Designs that are proposed together."""
SHORT = 4
"""A short training has this fraction of the steps."""
BEYOND = 10.0
"""Of the costs of the card as it is, up to which a front's hypervolume is measured."""


@dataclass(frozen=True)
class Question:
    """What is searched, all defaults filled in.

    Attributes:
        task, target, card, space: as in `codesign`. training: of the task in full. short: steps of a short one.
        task_name, task_settings: of a task of the package; None: it is the user's.
        dies, seeds: of whole trainings. seed: of the search. trials, generation, strategy, short_loss: of the search.
    """

    task: Task
    target: Goal
    card: DeviceCard
    space: Space
    training: TaskTraining
    short: int
    dies: tuple[int, ...]
    seeds: tuple[int, ...]
    seed: int = 0
    trials: int = 64
    generation: int = GENERATION
    strategy: str = "tpe"
    short_loss: float | None = None
    task_name: str | None = None
    task_settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def with_area(self) -> bool:
        """Whether the technology states areas."""
        return self.card.technology.area is not None

    def levels(self) -> SentLevels:
        """What evaluates a design."""
        return SentLevels.of(self.training, self.short, self.seeds, self.task_name, self.task_settings)

    def name(self, digest: str) -> str:
        """Of the search in its database: another question has another name."""
        told = {
            "digest": digest,
            "version": __version__,
            "target": self.target.text,
            "card": self.card.model_dump_json(),
            "space": [one.to_dict() for one in self.space.ranges],
            "fixed": dict(self.space.fixed),
            "readings": list(self.space.readings),
            "dies": list(self.dies),
            "seeds": list(self.seeds),
            "search": [self.seed, self.generation, self.strategy, self.short_loss],
        }
        return f"{self.training.name}-{job_key(told)[:12]}"


@dataclass
class Found:
    """What a search has found so far.

    Attributes:
        question, ladder: of the search. records: of all designs, in order.
        history: (processor seconds, hypervolume) after each generation, of the designs alone.
        base: the card as it is, in full.
    """

    question: Question
    ladder: Ladder
    base: DesignRecord
    records: list[DesignRecord] = field(default_factory=list)
    history: list[tuple[float, float]] = field(default_factory=list)

    @property
    def feasible(self) -> list[DesignRecord]:
        """Designs that meet the target."""
        return [one for one in self.records if one.is_feasible]

    def volume(self, records: Sequence[DesignRecord]) -> float:
        """Hypervolume of those that meet the target, in decades of each cost, up to `BEYOND` times the card as it is."""
        area = self.question.with_area
        limit = [math.log10(BEYOND * one) for one in self.base.costs(area)]
        good = [[math.log10(cost) for cost in one.costs(area)] for one in records if one.is_feasible]
        return hypervolume(good, limit) if all(map(math.isfinite, limit)) else math.nan


def make_question(
    task: Task | str, target: str, *, card: DeviceCard | str | Path, knobs: Mapping[str, Any] | Sequence[SearchedKnob] | None,
    fixed: Mapping[str, Any] | None, readings: Sequence[str], dies: Sequence[int], seeds: Sequence[int], steps: int | None,
    batch: int | None, settings: Mapping[str, Any] | None, short: int | None, trials: int, seed: int, generation: int,
    strategy: str, short_loss: float | None, task_settings: Mapping[str, Any] | None = None,
) -> Question:  # fmt: skip
    """A question whose parts are checked. InputError as `codesign`."""
    task_name = task if isinstance(task, str) else None
    if task_name is None and task_settings:
        raise InputError(f"task_settings are {dict(task_settings)}, but the task is made already: give its name")
    task = make_task(task, task_settings or {}) if isinstance(task, str) else task
    training = as_training(task, steps, batch, settings)
    if not isinstance(training, TaskTraining):
        raise InputError(f"task is {task!r}: give a Task or the name of one")
    for name, given in (("dies", dies), ("seeds", seeds)):
        good = all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in given)
        if not given or not good or len(set(given)) < len(given):
            raise InputError(f"{name} of the search are {list(given)}; give at least one, integers >= 0, each once")
    for name, number in (("trials", trials), ("generation", generation)):
        if not isinstance(number, int) or number < 1:
            raise InputError(f"{name} is {number!r}: give an integer >= 1")
    length = max(1, training.steps // SHORT) if short is None else short
    if not 1 <= length <= training.steps:
        raise InputError(f"short is {length}: give steps of a short training, 1 to {training.steps}")
    base, others = as_card(card), dict(DesignPoint(fixed))
    ways = tuple(readings)
    if knobs is None:
        space = dataclasses.replace(default_space(base, others), readings=ways)
    else:
        ranges = (
            [SearchedKnob.of(name, given) for name, given in knobs.items()] if isinstance(knobs, Mapping) else knobs
        )
        space = Space(tuple(ranges), others, ways)
    first = space.design(
        {one.name: one.choices[0] if one.choices else one.low for one in space.ranges}, base.technology
    )
    for reading in space.readings:
        training.check(dataclasses.replace(first, reading=reading).point.of("host", "optimizer"), reading)
    return Question(
        task, Goal.parse(target, task.score), base, space, training, length, tuple(dies), tuple(seeds), seed, trials,
        generation, strategy, short_loss, task_name, dict(task_settings or {}),
    )  # fmt: skip


def as_card(given: DeviceCard | str | Path) -> DeviceCard:
    """A card, or that of a file or preset's name. InputError as `read_card`."""
    if isinstance(given, DeviceCard):
        return given
    return DeviceCard.uncalibrated(str(given)) if str(given) in PRESETS else varied_card(given)


def search(
    question: Question,
    folder: Path | None,
    storage: str | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    levels: Mapping[str, Level] | None = None,
    report: Report | None = None,
) -> Found:
    """Search, or go on with a search of the same question in the same folder or database.

    Args:
        folder: of the files; None: one that is removed at the end.
        storage: URL of a database; None: a file in the folder. workers, scheduler: as `parallel_map`.
        levels: None: the question's own. report: called with (stage, done, total).
    """
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory())) if folder is None else folder
        sent = question.levels()
        digest = sent.digest
        made = sent if levels is None else dict(levels).__getitem__
        runner = Runner(made, digest, place / "evaluations", workers, scheduler)
        found = _begin(question, runner, report)
        proposals = stack.enter_context(
            Proposals(
                question.space, 3 if question.with_area else 2, question.name(digest), place, storage, question.seed,
                question.generation, question.strategy,
            )
        )  # fmt: skip
        while batch := proposals.next(question.trials):
            start = batch[0].index // question.generation * question.generation
            known = [DesignRecord.of_dict(one) for one in proposals.records(start)]
            ends = found.ladder.run(batch, known, report)
            for proposal, end in zip(batch, ends, strict=True):
                costs = end.record.costs(question.with_area)
                good = all(math.isfinite(one) and one > 0 for one in costs)
                proposals.tell(proposal, costs if good else None, end.violation, end.record.to_dict())
            if report is not None:
                report("designs", batch[-1].index + 1, question.trials)
        told = proposals.records()
        found.records = [DesignRecord.of_dict(one) for one in told]
        for last in range(question.generation, len(told) + question.generation, question.generation):
            spent = math.fsum(one.spent for one in found.records[:last])
            found.history.append((spent, found.volume(found.records[:last])))
        return found


def _begin(question: Question, runner: Runner, report: Report | None) -> Found:
    """Exact NGD, and the card as it is."""
    exact = [Job("full", None, DesignPoint(), None, seed, "bare") for seed in question.seeds]
    exact.append(Job("short", None, DesignPoint(), None, question.seeds[0], "bare"))
    done = runner.run(exact, None if report is None else lambda done, total: report("exact NGD", done, total))
    *found, last = evaluations(done)
    main = question.target.score.name
    values = tuple(one.scores[main] for one in found)
    baseline = Baseline(question.seeds, values, last.scores[main], last.scores[LOSS])
    pricing = price_of(question)
    ladder = Ladder(
        question.space, question.card, pricing, runner, question.target, baseline, question.dies, question.seeds,
        question.with_area, question.strategy == "random", question.short_loss,
    )  # fmt: skip
    return Found(question, ladder, as_it_is(question, ladder, question.card, report))


def price_of(question: Question) -> Pricing:
    """Prices of the question's task. No random state changes."""
    training = question.training
    with torch.random.fork_rng(devices=[]):
        return Pricing.of(question.task, training.steps, training.batch, dict(training.settings))


def as_it_is(question: Question, ladder: Ladder, card: DeviceCard, report: Report | None = None) -> DesignRecord:
    """A card without any change, refined, trained in full on the search's dies and seeds. InputError as its evaluation."""
    jobs = [
        Job("full", card, DesignPoint(), die, seed, READINGS[0]) for die in question.dies for seed in question.seeds
    ]
    good = evaluations(
        ladder.runner.run(jobs, None if report is None else lambda done, total: report("card as it is", done, total))
    )
    runs = tuple(one.scores[question.target.score.name] for one in good)
    record = ladder.costed(DesignRecord(-1, {}, READINGS[0], "full"), jobs[0], good)
    missing = question.target.shortfall(math.fsum(runs) / len(runs), ladder.baseline.exact)
    return dataclasses.replace(record, runs=runs, shortfall=missing)
