"""The stage that solves Poisson's equation with a network: by exact natural gradients, on an ideal device, on refined dies, and by Adam."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...circuits.parallel import parallel_map
from ...devicemodel.card import DeviceCard
from ...devicemodel.devices.surrogate import SurrogateDevice
from ...devicemodel.host.refine import Refined
from ...optim.optimizers.readings.reading import ROUNDS, TOLERANCE
from ...optim.optimizers.registry import make_optimizer
from ...optim.optimizers.step import StepRecord
from ...optim.optimizers.tngd import TNGD
from ...optim.tasks.poisson import poisson
from ...optim.training.train import History, settings_for, train
from .settings import DIES, POISSON_STEPS, SEEDS, TIME_CONSTANTS, Progress

TIMES = 50
"""Adam's steps for each of a natural gradient's."""
ADAM_RATE, ADAM_WEIGHT = 1e-2, 1000.0
"""First rate, which falls along a cosine, and boundary weight: the best of `benchmarks/optim/poisson_first_order.py --tune`."""
DAMPING, DEFLATION = 1e-2, 25
"""Of dies. With the largest eigenvectors taken out they bear this damping (`docs/pinns.md`)."""
TARGETS = (1e-3, 1e-4)


class _Job(NamedTuple):
    kind: str
    label: str
    seed: int
    die: int | None = None


def poisson_stage(card: DeviceCard, workers: int, report: Progress) -> dict[str, Any]:
    """Three seeds of each way to train; each seed has a die of its own."""
    jobs: list[_Job] = []
    for seed, die in zip(SEEDS, DIES, strict=True):
        jobs += [_Job("die", f"TNGD on {len(DIES)} dies, refined", seed, die), _Job("adam", "Adam", seed)]
        jobs += [_Job("ngd", "exact NGD", seed), _Job("tngd", "TNGD, ideal device", seed)]
    report("Poisson's equation", 0, len(jobs))
    text = card.model_dump_json()
    done = parallel_map(
        lambda job: _train_one(job, text),
        jobs,
        workers,
        progress=lambda k, total: report("Poisson's equation", k, total),
    )
    runs = list(done)
    labels = dict.fromkeys(run["label"] for run in runs)
    return {
        "runs": runs,
        "table": [_row(label, [run for run in runs if run["label"] == label]) for label in labels],
        "parameters": 1185,
        "residuals": 360,
        "damping": DAMPING,
        "deflation": DEFLATION,
        "extrapolated": max(run["extrapolated"] / max(run["steps"]) for run in runs if run["kind"] == "die"),
    }


def _train_one(job: _Job, card_text: str) -> dict[str, Any]:
    torch.set_num_threads(1)
    device, made, records = None, list[torch.optim.Optimizer](), list[StepRecord]()
    task = poisson(seed=job.seed) if job.kind != "adam" else poisson(seed=job.seed, weight=ADAM_WEIGHT, form="graph")
    settings = settings_for(task, {"die": "tngd"}.get(job.kind, job.kind))
    steps = POISSON_STEPS
    if job.die is not None:
        die = SurrogateDevice(DeviceCard(**json.loads(card_text)), job.die, job.seed, extrapolate=True)
        device = Refined(die, ROUNDS, TOLERANCE, deflation=DEFLATION)
        settings |= {"damping": DAMPING, "duration": TIME_CONSTANTS / DAMPING}
    if job.kind == "adam":
        settings, steps = {"lr": ADAM_RATE}, TIMES * POISSON_STEPS
    schedules: list[torch.optim.lr_scheduler.LRScheduler] = []

    def optimizer(params: Iterable[Tensor]) -> torch.optim.Optimizer:
        made.append(make_optimizer("tngd" if job.kind == "die" else job.kind, params, device, settings))
        if job.kind == "adam":
            schedules.append(torch.optim.lr_scheduler.CosineAnnealingLR(made[0], steps))
        return made[0]

    def watch(_: int, __: History) -> None:
        for schedule in schedules:
            schedule.step()
        if isinstance(made[0], TNGD):
            records.append(made[0].last)

    every = 1 if job.kind != "adam" else TIMES
    history = train(task, optimizer, steps, seed=job.seed, callbacks=[watch], evaluate_every=every)
    reached = [history.steps_to(target) for target in TARGETS]
    return {
        "kind": job.kind,
        "label": job.label,
        "seed": job.seed,
        "die": job.die,
        "steps": [step for step, _ in history.evaluations],
        "errors": [error for _, error in history.evaluations],
        "reached": reached,
        "digital_seconds": statistics.median(history.digital_seconds),
        "analog_runs": statistics.mean(one.attempts for one in records) if job.die is not None else 0.0,
        "products": statistics.mean(one.products for one in records) if job.die is not None else 0.0,
        "retried": sum(one.retries > 0 for one in records),
        "extrapolated": history.outcome.count("extrapolated"),
    }


def _row(label: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    final = [run["errors"][-1] for run in runs]
    reached = []
    for found in zip(*(run["reached"] for run in runs), strict=True):
        middle = statistics.median(math.inf if one is None else one for one in found)
        reached.append(middle if math.isfinite(middle) else None)
    return {
        "label": label,
        "runs": len(runs),
        "steps": max(runs[0]["steps"]),
        "error": statistics.median(final),
        "least": min(final),
        "most": max(final),
        "reached": reached,
        **{name: statistics.mean(run[name] for run in runs) for name in ("digital_seconds", "analog_runs", "products")},
        "retried": sum(run["retried"] for run in runs),
    }
