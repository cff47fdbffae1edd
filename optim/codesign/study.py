"""Studies: how much of an imperfection does training bear?

Each study turns one knob of a calibrated card and trains the task to its end on several dies of every level. Runs go out to worker
processes, each result is appended to a file as it comes, and a study that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed

from ...circuits.errors import InputError
from ...circuits.files import write_text
from ...circuits.version import __version__
from ...devicemodel.card import DeviceCard
from ...devicemodel.devices.surrogate import SurrogateDevice
from ..tasks.digits import digits
from ..training.train import train
from .knobs import KNOBS, Knob


@dataclass(frozen=True)
class StudyRun:
    """One training run. `shown` is the knob's value on the axis; outcomes counts the steps by how the device's run ended."""

    level: float
    shown: float
    die: int
    seed: int
    accuracy: float
    loss: float
    outcomes: dict[str, int]


@dataclass(frozen=True)
class Study:
    """The runs of one study and the accuracy of the ideal device with the same settings and seeds."""

    name: str
    levels: tuple[float, ...]
    baseline: float
    steps: int
    batch: int
    runs: tuple[StudyRun, ...] = field(default_factory=tuple)

    @property
    def knob(self) -> Knob:
        """What was varied."""
        return KNOBS[self.name]

    def rows(self) -> list[tuple[float, float, float]]:
        """(value on the axis, mean accuracy, its standard deviation over dies) for each level."""
        rows = []
        for level in self.levels:
            runs = [run for run in self.runs if run.level == level]
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
            "baseline": self.baseline,
            "steps": self.steps,
            "batch": self.batch,
            "rows": [{"shown": x, "mean": mean, "std": std} for x, mean, std in self.rows()],
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
    workers: int = 2,
    out: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Study:
    """Train the digits task at each level of a knob on each die.

    A study asks about devices that nobody has calibrated: it extrapolates from the card, and counts the steps that did so.

    Args:
        name: "tolerance", "isolation" or "adc".
        card: the calibrated device that is varied.
        levels: settings of the knob; default those of `KNOBS`.
        dies: seeds of the dies, the same for every level. The k-th die trains with weights and batches of seed + k.
        steps, batch, settings: of the training; settings are those of `TNGD`.
        workers: processes.
        out: folder for the results; runs that are found there (same card, settings and versions of the knob) are not repeated.
        progress: called with (runs done, runs in all).

    Raises:
        InputError: unknown study, no levels or dies, or a level that the technology refuses.
    """
    if name not in KNOBS:
        raise InputError(f"study {name!r} is unknown; there are: {', '.join(KNOBS)}")
    knob, settings = KNOBS[name], dict(settings or {})
    chosen = tuple(float(level) for level in (knob.levels if levels is None else levels))
    if not chosen or not all(math.isfinite(level) and level >= 0 for level in chosen):
        raise InputError(f"levels of the study {name} are {list(chosen)}; give at least one, all finite and >= 0")
    if not dies or steps < 1 or workers < 1:
        raise InputError(
            f"study {name}: dies {list(dies)}, steps {steps}, workers {workers}; give a die, and numbers >= 1"
        )
    cards = {level: knob.card_at(card, level) for level in chosen}
    jobs = [_Job(None, None, int(die), seed + k) for k, die in enumerate(dies)]  # the ideal device, once for each seed
    jobs += [
        _Job(level, cards[level].model_dump_json(), int(die), seed + k)
        for level in chosen
        for k, die in enumerate(dies)
    ]
    ledger = _Ledger(None if out is None else Path(out) / f"{name}.jsonl")
    keyed = [(job.key(steps, batch, settings), job) for job in jobs]
    results = {key: ledger.found[key] for key, _ in keyed if key in ledger.found}
    waiting = [(key, job) for key, job in keyed if key not in results]
    report = progress or (lambda done, total: None)
    report(len(results), len(jobs))
    for key, result in _farm(waiting, steps, batch, settings, workers):
        ledger.append(key, result)
        results[key] = result
        report(len(results), len(jobs))
    runs, ideal = [], []
    for key, job in keyed:
        result = results[key]
        if job.level is None:
            ideal.append(result["accuracy"])
        else:
            shown = knob.shown(cards[job.level], job.level)
            runs.append(StudyRun(job.level, shown, job.die, job.seed, **result))
    return Study(name, chosen, float(np.mean(ideal)), steps, batch, tuple(runs))


@dataclass(frozen=True)
class _Job:
    """One training run to do. No card: the ideal device."""

    level: float | None
    card: str | None
    die: int
    seed: int

    def key(self, steps: int, batch: int, settings: dict[str, Any]) -> str:
        """A digest of everything that the result depends on."""
        die = None if self.card is None else self.die
        text = json.dumps([__version__, self.seed, self.card, die, steps, batch, settings], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def train_once(
    card: str | None, die: int, seed: int, steps: int, batch: int, settings: dict[str, Any]
) -> dict[str, Any]:
    """One run in a worker: accuracy at the end, mean loss of the last tenth, outcomes. No card is the ideal device."""
    torch.set_num_threads(1)
    device = None if card is None else SurrogateDevice(DeviceCard(**json.loads(card)), die, seed, extrapolate=True)
    history = train(digits(), "tngd", steps, batch, seed, device=device, evaluate_every=0, settings=settings)
    outcomes = {outcome: history.outcome.count(outcome) for outcome in sorted(set(history.outcome))}
    return {
        "accuracy": history.final_accuracy,
        "loss": float(np.mean(history.loss[-max(1, steps // 10) :])),
        "outcomes": outcomes,
    }


def _farm(
    jobs: Sequence[tuple[str, _Job]], steps: int, batch: int, settings: dict[str, Any], workers: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key, result) of each job, as they come."""

    def work(key: str, job: _Job) -> tuple[str, dict[str, Any]]:
        return key, train_once(job.card, job.die, job.seed, steps, batch, settings)

    return Parallel(n_jobs=workers, return_as="generator_unordered")(delayed(work)(key, job) for key, job in jobs)


class _Ledger:
    """Results on disk, one JSON line each; a line cut off by a crash is dropped."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.found: dict[str, dict[str, Any]] = {}
        if path is None or not path.exists():
            return
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
                self.found[entry["key"]] = entry["result"]
            except (ValueError, KeyError, TypeError):
                continue
        # Written anew, so that the next line does not continue a torn one.
        write_text(path, "".join(self._line(key, result) for key, result in self.found.items()))

    def append(self, key: str, result: dict[str, Any]) -> None:
        """Add one result."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(self._line(key, result))

    @staticmethod
    def _line(key: str, result: dict[str, Any]) -> str:
        return json.dumps({"key": key, "result": result}) + "\n"
