"""Studies: how much of an imperfection does a training tolerate?

Each study turns one knob of a device and trains on several dies at every level, each die with each seed. What is trained is a task or a
function of the user's. Runs are independent jobs whose results are kept as they come: a study that was stopped goes on where it was.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...circuits.errors import InputError
from ...circuits.job_store import JobStore, job_key
from ...circuits.technology.presets import PRESETS
from ...circuits.version import __version__
from ...devicemodel.card import DeviceCard
from ...devicemodel.device import Device
from ...devicemodel.devices.ideal import IdealDevice
from ...devicemodel.laboratory.card import LaboratoryCard, read_card
from ..tasks.task import Score, Task
from ..training.threads import one_thread
from .knobs.design_point import DesignPoint
from .knobs.knob import Knob
from .knobs.registry import knob_named
from .study_result import Study, StudyRun, StudyScore
from .trainings import Function, SentTraining, TaskTraining, Training, as_training

READINGS = ("refined", "bare")
"""How a study's dies are read."""


def study(
    training: Function | Task | str,
    knob: str,
    levels: Sequence[float | str] | None = None,
    dies: Sequence[int] = (1, 2, 3),
    seeds: Sequence[int] = (0,),
    card: DeviceCard | str | Path = "integrated",
    out: str | Path | None = None,
    workers: int | None = None,
    readings: Sequence[str] | None = None,
    *,
    steps: int | None = None,
    batch: int | None = None,
    settings: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    scheduler: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Study:
    """Train at each level of a knob, on each die with each seed, and on the ideal device with each seed.

    A study asks about devices that nobody has calibrated: it extrapolates from the card, and counts the steps that did so.

    Args:
        training: a function (device, seed) of the user's that trains on the device and returns a score, or several by name; nan or inf says
            that it diverged. With a third argument it is told how to read the device: `TNGD(..., reading=reading)`. It may be defined in
            a script or notebook, and refer to anything that can be sent to another process. Or a task or its name, trained by TNGD.
        knob: name in `KNOBS`, of the technology, the host or the optimizer; or "tolerance", "isolation" or "adc", `ALIASES`.
        levels: settings of the knob, numbers or words; None: its own.
        dies: seeds of the dies, the same for every level.
        seeds: of the trainings and the device's noise; each die is trained with each.
        card: the calibrated device that is varied, a file of one, or a preset's name: the card of its own figures, uncalibrated.
        out: folder whose sub-folder of the knob's name keeps the results; those that are found there are not computed again. The key of a
            result holds the card, die, seed, reading and version of thermograd, and a digest of the training's code and data
            (`code_digest`), but not of files that it reads. None: nothing is kept.
        workers: processes of this machine; None: one per usable core. Not with a scheduler.
        readings: "refined", "bare" or both; None: both, where the training takes a reading.
        steps, batch, settings: of a task: as in `train`; None: its plan's. The settings are those of TNGD, all but the reading.
        fixed: other knobs that are turned, the same at all levels, such as {"device.layout": True}.
        scheduler: address of a dask.distributed scheduler; None: this machine.
        progress: called with (runs done, runs in all).

    Raises:
        InputError: unknown knob; no levels, dies, seeds or readings, or one twice; a level that is out of range or that the card does not
            allow; a knob that is not heeded, since it is a price, or acts through another one that is not set; a training that is no
            function of (device, seed), raises, returns no number, or scores of other names in some runs; and as `parallel_map`.
        SimulationError: no scheduler answers at the address.
    """
    turned = knob_named(knob, "study")
    chosen = _levels(turned, levels)
    for name, given in (("dies", dies), ("seeds", seeds)):
        good = all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in given)
        if not given or not good or len(set(given)) < len(given):
            raise InputError(
                f"{name} of the study {knob} are {list(given)}; give at least one, integers >= 0, each once"
            )
    trained = as_training(training, steps, batch, settings)
    others = DesignPoint(fixed)
    if turned.target in others:
        raise InputError(f"{turned.target} is fixed in a study of {knob}, which turns it: leave it out")
    base = _card(card)
    points = {level: _point(turned, level, others, base, isinstance(trained, TaskTraining)) for level in chosen}
    refines = any(point.refines for point in points.values())
    ways = _ways(trained, readings, knob, refines)
    for (level, point), reading in itertools.product(points.items(), ways):
        with _said_by(turned, level):
            trained.check(point, reading)
    cards = {level: point.card_at(base) for level, point in points.items()}
    jobs: list[dict[str, Any]] = [_job(None, None, None, seed, _first(ways)) for seed in seeds]
    for reading, level, die, seed in itertools.product(ways, chosen, dies, seeds):
        jobs.append(_job(level, cards[level], die, seed, reading, points[level]))
    sent = SentTraining.of(trained)
    keys = [job_key(__version__, sent.digest, job) for job in jobs]
    store: JobStore[dict[str, Any]] = JobStore(None if out is None else Path(out) / knob)
    if progress is not None:
        progress(0, len(jobs))
    work = dict(zip(keys, jobs, strict=True))
    found = dict(store.map(functools.partial(_train_once, sent), work, workers, scheduler, progress=progress))
    results = [found[key] for key in keys]
    _check_names(results, jobs, trained.name)
    runs = tuple(
        StudyRun(
            job["reading"],
            job["level"],
            turned.shown(cards[job["level"]], job["level"]),
            job["die"],
            job["seed"],
            **result,
        )
        for job, result in zip(jobs, results, strict=True)
        if job["card"] is not None
    )
    ideal = tuple(result["scores"] for result in results[: len(seeds)])
    length, samples = (trained.steps, trained.batch) if isinstance(trained, TaskTraining) else (None, None)
    scores = tuple(_described(name, trained.main) for name in ideal[0])
    return Study(
        trained.name, knob, chosen, ways, scores, tuple(dies), tuple(seeds), ideal, length, samples, runs, dict(others)
    )


def _train_once(training: SentTraining, job: Mapping[str, Any]) -> dict[str, Any]:
    """What a worker does: the training on the job's device."""
    seed = job["seed"]
    device: Device = IdealDevice(seed=seed)
    point = DesignPoint(job.get("point"))
    if job["card"] is not None:
        device = point.device_at(DeviceCard(**json.loads(job["card"])), job["die"], seed)
    try:
        with one_thread():
            return asdict(training(device, seed, job["reading"], point.of("optimizer")))
    except InputError as error:
        raise InputError(f"{_where(job)}: {error}") from error


def _job(
    level: float | str | None,
    card: DeviceCard | None,
    die: int | None,
    seed: int,
    reading: str,
    point: DesignPoint | None = None,
) -> dict[str, Any]:
    """As plain data, the whole design point in it: its figures of the technology in the card, its other knobs by name. No card is the ideal
    device."""
    plain = None if card is None else card.model_dump_json()
    job = {"level": level, "card": plain, "die": die, "seed": seed, "reading": reading}
    others = {} if point is None else dict(point.of("host", "optimizer"))
    return job | ({"point": others} if others else {})


def _levels(knob: Knob, given: Sequence[float | str] | None) -> tuple[float | str, ...]:
    """Levels of a study as numbers, or words of a choice, each once."""
    if given is None and not knob.levels:
        raise InputError(f"the study {knob.name} has no levels of its own: give levels, each {knob.allowed}")
    words = bool(knob.choices)
    try:
        chosen = tuple(knob.word(one) if words else float(one) for one in (knob.levels if given is None else given))
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise InputError(f"levels of the study {knob.name} are {given!r}: {error}") from None
        raise InputError(f"levels of the study {knob.name} are {given!r}: give numbers") from None
    finite = all(isinstance(level, str) or math.isfinite(level) for level in chosen)
    if not chosen or not finite or len(set(chosen)) < len(chosen):
        raise InputError(
            f"levels of the study {knob.name} are {list(chosen)}; give at least one, all finite, and different from each other"
        )
    return chosen


def _point(knob: Knob, level: float | str, others: DesignPoint, card: Any, task: bool) -> DesignPoint:
    with _said_by(knob, level):
        point = others | {knob.target: knob.parse(level) if isinstance(level, str) else level}
        point.require_heeded(card, task=task)
        return point


@contextlib.contextmanager
def _said_by(knob: Knob, level: float | str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"level {_shown(level)} of the study {knob.name} is not possible: {error}") from None


def _shown(level: float | str) -> str:
    return level if isinstance(level, str) else f"{level:g}"


def _where(job: Mapping[str, Any]) -> str:
    place = "ideal device" if job["card"] is None else f"level {_shown(job['level'])}, die {job['die']}"
    return f"{place}, seed {job['seed']}" + (f", {job['reading']} readings" if job["card"] and job["reading"] else "")


def _ways(training: Training, readings: Sequence[str] | None, knob: str, refines: bool) -> tuple[str, ...]:
    if not training.takes_reading:
        if readings is not None:
            raise InputError(
                f"readings are {list(readings)}, but {training.name} takes only (device, seed): give it a third argument, reading, "
                "for TNGD(..., reading=reading), or leave readings out"
            )
        return ("",)
    ways = (READINGS[:1] if refines else READINGS) if readings is None else tuple(readings)
    if refines and "bare" in ways:
        raise InputError(f"study {knob}: bare readings do not heed how readings are refined: give readings=['refined']")
    if not ways or not set(ways) <= set(READINGS) or len(set(ways)) < len(ways):
        raise InputError(f"study {knob}: readings {list(ways)}; give readings, each once, of {', '.join(READINGS)}")
    return ways


def _first(ways: tuple[str, ...]) -> str:
    """Of the ideal device, which needs no correction."""
    return "bare" if ways[0] else ""


def _card(given: DeviceCard | str | Path) -> DeviceCard:
    if isinstance(given, DeviceCard):
        return given
    return DeviceCard.uncalibrated(str(given)) if str(given) in PRESETS else varied_card(given)


def varied_card(path: str | Path) -> DeviceCard:
    """The card in a file, of a measured board that of boards like it, which a study varies. InputError as `read_card`."""
    found = read_card(path)
    return found.card_and_die()[0] if isinstance(found, LaboratoryCard) else found


def _check_names(results: Sequence[dict[str, Any]], jobs: Sequence[Mapping[str, Any]], name: str) -> None:
    names = list(results[0]["scores"])
    for result, job in zip(results, jobs, strict=True):
        if set(result["scores"]) != set(names):
            raise InputError(
                f"{name} returned the scores {', '.join(names)} with the {_where(jobs[0])}, but {', '.join(result['scores'])} with "
                f"{_where(job)}: give the same names in every run, and nan for what was not measured"
            )


def _described(name: str, main: Score | None) -> StudyScore:
    if main is None:
        return StudyScore(name)
    if name == main.name:
        return StudyScore(name, main.percent, main.more_is_better)
    return StudyScore(name, more_is_better=False)
