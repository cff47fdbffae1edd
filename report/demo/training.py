"""The stages that train: every optimizer, on dies of refined and of bare readings, and the studies."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...circuits.parallel import parallel_map
from ...circuits.technology.presets import preset
from ...compiler.linear_system import LinearSystem
from ...devicemodel.card import DeviceCard
from ...devicemodel.cost.model import step_time
from ...devicemodel.device import Device, Outcome, Solution
from ...devicemodel.devices.ideal import IdealDevice
from ...devicemodel.devices.surrogate import SurrogateDevice
from ...devicemodel.host.refine import Refined
from ...optim.codesign.knobs.registry import ALIASES
from ...optim.codesign.studies import study
from ...optim.optimizers.readings.reading import ROUNDS, TOLERANCE
from ...optim.optimizers.registry import make_optimizer
from ...optim.optimizers.step import StepRecord
from ...optim.optimizers.tngd import TNGD
from ...optim.tasks.digits import digits
from ...optim.training.curvature_systems import CurvatureSystem
from ...optim.training.train import History, train
from .settings import (
    BATCH,
    DIES,
    EVALUATE_EVERY,
    SEEDS,
    STEPS,
    STUDY_STEPS,
    Plan,
    Progress,
)

KEPT = 2
"""Systems of the first die's last steps that are solved again in ngspice."""
_COUNTED = ("clipped", "skipped", "extrapolated", "retried", "gradient")


class _Job(NamedTuple):
    optimizer: str
    label: str
    seed: int
    die: int | None = None
    reading: str = ""


class _Watched(Refined[Device]):
    """TNGD's own way of refining, and what it was asked last."""

    def __init__(self, device: Device) -> None:
        super().__init__(device, ROUNDS, TOLERANCE)
        self.asked: tuple[LinearSystem, Tensor] | None = None

    def solve(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        self.asked = system, b
        return super().solve(system, b, duration, x0)


class _WatchedBare:
    """A device as it is, and what it was asked last."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.asked: tuple[LinearSystem, Tensor] | None = None
        self.accepts, self.evolve = device.accepts, device.evolve
        self.state_dict, self.load_state_dict = device.state_dict, device.load_state_dict

    def solve(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        self.asked = system, b
        return self.device.solve(system, b, duration, x0)


def training_stage(
    card: DeviceCard, plan: Plan, workers: int, report: Progress
) -> tuple[dict[str, Any], list[CurvatureSystem]]:
    """Three seeds of each optimizer, on dies of their own; also returns the systems of the last steps of the first die's first run."""
    jobs: list[_Job] = []
    for seed in SEEDS:
        jobs += [_Job("sgd", "SGD", seed), _Job("adam", "Adam", seed), _Job("ngd", "exact NGD", seed)]
        jobs += [_Job("tngd", "TNGD, ideal device", seed)]
    for reading in plan.readings:
        # Each seed has a die of its own.
        jobs += [
            _Job("tngd", f"TNGD, die {die}, {reading}", seed, die, reading)
            for seed, die in zip(SEEDS, DIES, strict=True)
        ]
    report("training", 0, len(jobs))
    text = card.model_dump_json()
    done = parallel_map(
        lambda job: _train_one(job, plan, text), jobs, workers, progress=lambda k, total: report("training", k, total)
    )
    runs, systems = [], list[CurvatureSystem]()
    for job, (record, found) in zip(jobs, done, strict=True):
        runs.append(record)
        if (job.seed, job.die, job.reading) == (SEEDS[0], DIES[0], plan.readings[0]):
            systems = found
    groups = dict.fromkeys(record["group"] for record in runs)
    table = [_row(label, [record for record in runs if record["group"] == label]) for label in groups]
    note = (
        f"digits, batch {BATCH}, {STEPS} steps, network 64-32-10; damping {plan.damping:g} and rate {plan.rate:g} of exact NGD and TNGD. "
        "Hybrid time: digital work is measured on one core of this machine (median of the steps), transfers and settling are modelled; the "
        "time of simulating the device is left out."
    )
    return {"task": "digits", "steps": STEPS, "batch": BATCH, "runs": runs, "table": table, "note": note}, systems


def _train_one(job: _Job, plan: Plan, card_text: str) -> tuple[dict[str, Any], list[CurvatureSystem]]:
    """Train once; returns the record of the run and its last systems."""
    torch.set_num_threads(1)  # the digital work is timed on one core
    card = DeviceCard(**json.loads(card_text))
    device: Any = None
    settings = plan.settings(job.optimizer)
    if job.optimizer == "tngd":
        # A training's systems are not known in advance; those outside of the card's range are counted.
        plain = IdealDevice() if job.die is None else SurrogateDevice(card, job.die, job.seed, extrapolate=True)
        device = _Watched(plain) if job.reading == "refined" else _WatchedBare(plain)
        settings["reading"] = job.reading or "bare"
    made: list[Any] = []
    records: list[StepRecord] = []
    systems: list[CurvatureSystem] = []

    def optimizer(params: Iterable[Tensor]) -> torch.optim.Optimizer:
        made.append(make_optimizer(job.optimizer, params, device, settings))
        return made[0]

    def watch(done: int, _: History) -> None:
        if not isinstance(made[0], TNGD):
            return
        assert made[0].last is not None
        records.append(made[0].last)
        if done > STEPS - KEPT and device.asked is not None:
            system, b = device.asked
            matrix, drive = system.dense().detach().double().numpy(), b.detach().double().numpy()
            systems.append(CurvatureSystem(done - 1, (matrix + matrix.T) / 2, drive, drive))

    history = train(digits(), optimizer, STEPS, BATCH, job.seed, callbacks=[watch], evaluate_every=EVALUATE_EVERY)
    link = preset("paper").link if job.die is None else card.technology.link
    parts = _step_parts(history, records, link)
    steps = [step for step, _ in history.evaluations]
    record = {
        "optimizer": job.optimizer,
        "label": job.label,
        "group": job.label if job.die is None else f"TNGD, dies, {job.reading}",
        "die": job.die,
        "reading": job.reading,
        "seed": job.seed,
        "steps": steps,
        "accuracy": [accuracy for _, accuracy in history.evaluations],
        "loss": [
            float(np.mean(history.loss[max(0, step - EVALUATE_EVERY) : step] or history.loss[:1])) for step in steps
        ],
        "hybrid_seconds": [step * sum(parts.values()) for step in steps],
        "seconds_per_step": parts,
        "analog_runs": float(np.mean([one.attempts for one in records])) if records else 0.0,
        "products": float(np.mean([one.products for one in records])) if records else 0.0,
        "skipped": sum(not one.applied for one in records),
        "clipped": history.outcome.count(Outcome.CLIPPED.value),
        "extrapolated": history.outcome.count(Outcome.EXTRAPOLATED.value),
        "retried": sum(one.retries > 0 and one.reading == "refined" for one in records),
        "gradient": history.reading.count("gradient"),
        "steps_to_95": history.steps_to(0.95),
    }
    return record, systems


def _step_parts(history: History, records: list[StepRecord], link: Any) -> dict[str, float]:
    """Seconds of a median step on the hybrid machine, by part."""
    digital = float(np.median(history.digital_seconds))
    cells, runs = (records[0].cells, round(np.mean([one.attempts for one in records]))) if records else (0, 1)
    time_of = step_time(cells, float(np.mean(history.analog_seconds)), link, digital, attempts=max(1, runs))
    return {name: getattr(time_of, name) for name in ("digital", "programming", "drive", "analog", "reading")}


def _row(label: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    final = [record["accuracy"][-1] for record in records]
    reached = [record["steps_to_95"] for record in records]
    parts = {
        key: float(np.mean([r["seconds_per_step"][key] for r in records])) for key in records[0]["seconds_per_step"]
    }
    return {
        "label": label,
        "runs": len(records),
        "accuracy_mean": float(np.mean(final)),
        "accuracy_std": float(np.std(final, ddof=1)) if len(final) > 1 else 0.0,
        "steps_to_95": None if None in reached else float(np.mean(reached)),
        "hybrid_seconds": float(np.mean([record["hybrid_seconds"][-1] for record in records])),
        "seconds_per_step": parts,
        **{name: float(np.mean([record[name] for record in records])) for name in ("analog_runs", "products")},
        **{name: sum(record[name] for record in records) for name in _COUNTED},
    }


def studies_stage(card: DeviceCard, plan: Plan, folder: Path, workers: int, report: Progress) -> list[dict[str, Any]]:
    """Run the studies."""
    studies = []
    for name in ALIASES:
        found = study(
            "digits",
            name,
            dies=DIES,
            card=card,
            steps=STUDY_STEPS,
            batch=BATCH,
            workers=workers,
            out=folder / "studies",
            progress=lambda done, total, name=name: report(f"study: {name}", done, total),  # type: ignore[misc]
            settings=plan.settings("tngd"),
            readings=plan.readings,
        )
        studies.append(found.to_dict())
    return studies
