"""Studies: how much of an imperfection does training tolerate, with refined readings and without?

Each study turns one knob of a calibrated card and trains the task to its end on several dies at every level, once with refined readings and
once with bare ones (`TNGD`). Runs are independent jobs whose results are kept as they come, so that a study that was stopped goes on where
it was.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...circuits.errors import InputError
from ...circuits.job_store import JobStore, job_key
from ...circuits.version import __version__
from ...devicemodel.card import DeviceCard
from ...devicemodel.devices.surrogate import SurrogateDevice
from ..tasks.digits import digits
from ..training.threads import one_thread
from ..training.train import train
from .knobs import KNOBS, Knob

READINGS = ("refined", "bare")
"""How a study's dies are read."""


@dataclass(frozen=True)
class StudyRun:
    """One training on one die.

    Attributes:
        reading: "refined" or "bare".
        level: setting of the knob.
        shown: value on the axis.
        die: seed of the die.
        seed: of the weights and batches.
        accuracy: on the test set, at the end.
        loss: mean of the last tenth of the steps.
        outcomes: number of steps by how the device's run ended.
        gradient: number of steps for which no reading converged, and the gradient was taken.
    """

    reading: str
    level: float
    shown: float
    die: int
    seed: int
    accuracy: float
    loss: float
    outcomes: dict[str, int]
    gradient: int


@dataclass(frozen=True)
class Study:
    """The runs of one study.

    Attributes:
        name: of the knob.
        levels: its settings.
        readings: how the dies were read.
        baseline: mean accuracy of the ideal device, read bare, with the same settings and seeds.
        steps, batch: of each training.
        runs: by reading, then by level, then by die.
    """

    name: str
    levels: tuple[float, ...]
    readings: tuple[str, ...]
    baseline: float
    steps: int
    batch: int
    runs: tuple[StudyRun, ...] = field(default_factory=tuple)

    @property
    def knob(self) -> Knob:
        """What was varied."""
        return KNOBS[self.name]

    def rows(self, reading: str) -> list[tuple[float, float, float]]:
        """(value on the axis, mean accuracy, its standard deviation over dies) for each level, of dies that were read so."""
        rows = []
        for level in self.levels:
            runs = [run for run in self.runs if (run.reading, run.level) == (reading, level)]
            accuracy = [run.accuracy for run in runs]
            spread = float(np.std(accuracy, ddof=1)) if len(accuracy) > 1 else 0.0
            rows.append((runs[0].shown, float(np.mean(accuracy)), spread))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON and for the report."""
        knob = self.knob
        return {
            "name": self.name,
            "title": knob.title,
            "axis": knob.axis,
            "unit": knob.unit,
            "log": knob.log,
            "levels": list(self.levels),
            "readings": list(self.readings),
            "baseline": self.baseline,
            "steps": self.steps,
            "batch": self.batch,
            "rows": [
                {"reading": reading, "shown": x, "mean": mean, "std": std}
                for reading in self.readings
                for x, mean, std in self.rows(reading)
            ],
            "runs": [asdict(run) for run in self.runs],
        }


def run_study(
    name: str,
    card: DeviceCard,
    levels: Sequence[float] | None = None,
    dies: Sequence[int] = (1, 2, 3),
    steps: int = 300,
    batch: int = 8,
    seed: int = 0,
    workers: int | None = None,
    out: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    settings: Mapping[str, Any] | None = None,
    scheduler: str | None = None,
    readings: Sequence[str] = READINGS,
) -> Study:
    """Train the digits task at each level of a knob on each die, read in each way.

    A study asks about devices that nobody has calibrated: it extrapolates from the card, and counts the steps that did so.

    Args:
        name: of `KNOBS`.
        card: the calibrated device that is varied.
        levels: settings of the knob; None: its own.
        dies: seeds of the dies, the same for every level. The k-th die trains with weights and batches of seed + k.
        steps, batch: of each training.
        seed: of the first die's training.
        workers: processes of this machine; None: one per usable core. Not with a scheduler.
        out: folder whose sub-folder of the study's name keeps the results; runs that are found there (same card, settings, seeds and
            version of thermograd) are not repeated. None: nothing is kept.
        progress: called with (runs done, runs in all).
        settings: of `TNGD`, as plain data (what JSON can hold), in place of those of `settings_for`; all but the reading.
        scheduler: address of a dask.distributed scheduler; None: this machine.
        readings: how the dies are read, of "refined" and "bare".

    Raises:
        InputError: unknown study; no levels, dies or readings; a level that occurs twice, or that the card does not allow; and as
            `parallel_map`.
        SimulationError: no scheduler answers at the address.
    """
    if name not in KNOBS:
        raise InputError(f"study {name!r} is unknown; there are: {', '.join(KNOBS)}")
    knob = KNOBS[name]
    chosen = tuple(float(level) for level in (knob.levels if levels is None else levels))
    if not chosen or not all(math.isfinite(level) and level >= 0 for level in chosen) or len(set(chosen)) < len(chosen):
        raise InputError(
            f"levels of the study {name} are {list(chosen)}; give at least one, all finite, >= 0 and different from each other"
        )
    if not dies or steps < 1 or batch < 1 or seed < 0:
        raise InputError(
            f"study {name}: dies {list(dies)}, steps {steps}, batch {batch}, seed {seed}; give a die, steps and batch >= 1, seed >= 0"
        )
    asked = dict(settings or {})
    if not readings or not set(readings) <= set(READINGS) or len(set(readings)) < len(readings) or "reading" in asked:
        raise InputError(
            f"study {name}: readings {list(readings)}, settings {asked}; give readings, each once, of {', '.join(READINGS)}, and "
            "no reading in settings"
        )
    cards = {level: knob.card_at(card, level) for level in chosen}
    shared = {"steps": steps, "batch": batch}
    jobs: list[tuple[float | None, dict[str, Any]]] = []
    for reading, level in (("bare", None), *itertools.product(readings, chosen)):  # None: the ideal device
        for k, die in enumerate(dies):
            device: dict[str, Any] = {"card": None, "die": None}
            if level is not None:
                device = {"card": cards[level].model_dump_json(), "die": int(die)}
            jobs.append((level, {**shared, **device, "settings": {**asked, "reading": reading}, "seed": seed + k}))
    keys = [job_key(__version__, job) for _, job in jobs]
    store: JobStore[dict[str, Any]] = JobStore(None if out is None else Path(out) / name)
    if progress is not None:
        progress(0, len(jobs))
    found = store.map(
        _train_once, dict(zip(keys, (job for _, job in jobs), strict=True)), workers, scheduler, progress=progress
    )
    results = dict(found)
    ideal: list[float] = []
    runs: list[StudyRun] = []
    for key, (level, job) in zip(keys, jobs, strict=True):
        if level is None:
            ideal.append(results[key]["accuracy"])
        else:
            reading, shown = job["settings"]["reading"], knob.shown(cards[level], level)
            runs.append(StudyRun(reading, level, shown, job["die"], job["seed"], **results[key]))
    return Study(name, chosen, tuple(readings), float(np.mean(ideal)), steps, batch, tuple(runs))


def _train_once(job: Mapping[str, Any]) -> dict[str, Any]:
    """What a `StudyRun` says of a training; without a card on the ideal device."""
    steps, seed, device = job["steps"], job["seed"], None
    if job["card"] is not None:
        device = SurrogateDevice(DeviceCard(**json.loads(job["card"])), job["die"], seed, extrapolate=True)
    with one_thread():
        history = train(
            digits(), "tngd", steps, job["batch"], seed, device=device, evaluate_every=0, settings=job["settings"]
        )
    outcomes = {outcome: history.outcome.count(outcome) for outcome in sorted(set(history.outcome))}
    return {
        "accuracy": history.final_score,
        "loss": float(np.mean(history.loss[-max(1, steps // 10) :])),
        "outcomes": outcomes,
        "gradient": history.reading.count("gradient"),
    }
