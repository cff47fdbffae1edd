"""The stages that train: every optimizer, SPICE in the loop, and the studies."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...circuits.parallel import parallel_map
from ...circuits.technology.presets import preset
from ...devicemodel.card import DeviceCard
from ...devicemodel.cost.model import step_time
from ...devicemodel.device import Outcome
from ...devicemodel.devices.ideal import IdealDevice
from ...devicemodel.devices.spice import SpiceDevice
from ...devicemodel.devices.surrogate import SurrogateDevice
from ...devicemodel.systems import Dense
from ...optim.codesign.knobs import KNOBS
from ...optim.codesign.study import run_study
from ...optim.optimizers.step import usable
from ...optim.tasks.digits import digits
from ...optim.training.curvature_systems import CurvatureSystem, RecordingDevice
from ...optim.training.train import History, train
from .settings import (
    BATCH,
    DIES,
    DURATION,
    EVALUATE_EVERY,
    SEEDS,
    SETTINGS,
    STEPS,
    Progress,
)


def training_stage(card: DeviceCard, workers: int, report: Progress) -> tuple[dict[str, Any], list[CurvatureSystem]]:
    """Three seeds of each optimizer; also returns the systems of the last steps of the first die's run."""
    jobs: list[tuple[str, str, int, int | None]] = []
    for k, seed in enumerate(SEEDS):
        jobs += [("sgd", "SGD", seed, None), ("adam", "Adam", seed, None), ("ngd", "exact NGD", seed, None)]
        jobs += [("tngd", "TNGD, ideal device", seed, None)]
        jobs += [("tngd", f"TNGD, die {die}", seed, die) for die in (DIES if k == 0 else ())]
    jobs += [("tngd", f"TNGD, die {die}", seed, die) for seed in SEEDS[1:] for die in DIES]
    report("training", 0, len(jobs))
    text = card.model_dump_json()
    done = parallel_map(
        lambda job: _train_one(*job, text), jobs, workers, progress=lambda k, total: report("training", k, total)
    )
    runs, systems = [], list[CurvatureSystem]()
    for (_, _, seed, die), (record, found) in zip(jobs, done, strict=True):
        runs.append(record)
        if seed == SEEDS[0] and die == DIES[0]:
            systems = found
    groups = dict.fromkeys(record["group"] for record in runs)
    table = [_row(label, [record for record in runs if record["group"] == label]) for label in groups]
    note = (
        f"digits, batch {BATCH}, {STEPS} steps, network 64-32-10. Hybrid time: digital work is measured on one core of this "
        "machine (median of the steps), transfers and settling are modelled; the time of simulating the device is left out."
    )
    return {"task": "digits", "steps": STEPS, "batch": BATCH, "runs": runs, "table": table, "note": note}, systems


def _train_one(
    optimizer: str, label: str, seed: int, die: int | None, card_text: str
) -> tuple[dict[str, Any], list[CurvatureSystem]]:
    """Train once; returns the record of the run and its last systems."""
    torch.set_num_threads(1)  # the digital work is timed on one core
    card = DeviceCard(**json.loads(card_text))
    recorder = None
    if optimizer == "tngd":
        # A training's systems are not known in advance; those outside of the card's range are counted.
        device = IdealDevice() if die is None else SurrogateDevice(card, die, seed, extrapolate=True)
        recorder = RecordingDevice(device, set(range(STEPS - 5, STEPS)))
    history = train(
        digits(),
        optimizer,
        STEPS,
        BATCH,
        seed,
        device=recorder,
        evaluate_every=EVALUATE_EVERY,
        settings=SETTINGS[optimizer],
    )
    link = preset("paper").link if die is None else card.technology.link
    parts = _step_parts(history, recorder.systems[0].b.size if recorder else 0, link)
    steps = [step for step, _ in history.evaluations]
    group = "TNGD, calibrated dies" if die is not None else label
    record = {
        "optimizer": optimizer,
        "label": label,
        "group": group,
        "die": die,
        "seed": seed,
        "steps": steps,
        "accuracy": [accuracy for _, accuracy in history.evaluations],
        "loss": [
            float(np.mean(history.loss[max(0, step - EVALUATE_EVERY) : step] or history.loss[:1])) for step in steps
        ],
        "hybrid_seconds": [step * sum(parts.values()) for step in steps],
        "seconds_per_step": parts,
        "skipped": sum(not usable(Outcome(outcome)) for outcome in history.outcome),
        "clipped": history.outcome.count(Outcome.CLIPPED.value),
        "extrapolated": history.outcome.count("extrapolated"),
        "steps_to_95": history.steps_to(0.95),
    }
    return record, recorder.systems if recorder else []


def _step_parts(history: History, cells: int, link: Any) -> dict[str, float]:
    """Seconds of a median step on the hybrid machine, by part."""
    digital = float(np.median(history.digital_seconds))
    time_of = step_time(cells, float(np.mean(history.analog_seconds)), link, digital)
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
        **{end: sum(record[end] for record in records) for end in ("clipped", "skipped", "extrapolated")},
    }


def loop_stage(card: DeviceCard, systems: list[CurvatureSystem], report: Progress) -> dict[str, Any]:
    """Solve the last systems of the finished run again, in ngspice and by the surrogate of the same die."""
    die = DIES[0]
    compared = []
    report("SPICE in the loop", 0, len(systems))
    for done, system in enumerate(systems, start=1):
        args = Dense(torch.from_numpy(system.matrix)), torch.from_numpy(system.b), DURATION
        exact = np.linalg.solve(system.matrix, system.b)
        start = torch.from_numpy(system.start)
        x, spent = {}, {}
        spice = SpiceDevice(card.technology, die, card.fabric, johnson_noise=False, timeout=600.0)
        for name, device in (("spice", spice), ("surrogate", SurrogateDevice(card, die, extrapolate=True))):
            begin = time.perf_counter()
            x[name] = device.solve(*args, x0=start).x.numpy()
            spent[name] = time.perf_counter() - begin
        scale = float(np.linalg.norm(exact))
        errors = {name: (value - exact) / scale for name, value in x.items()}
        centred = errors["spice"] - errors["spice"].mean()
        left = errors["spice"] - errors["surrogate"]
        compared.append(
            {
                "step": system.step,
                "unknowns": len(exact),
                "spice_error": float(np.linalg.norm(errors["spice"])),
                "surrogate_error": float(np.linalg.norm(errors["surrogate"])),
                "difference": float(np.linalg.norm(left)),
                "explained": 1.0 - float(left @ left) / float(centred @ centred),
                "spice": x["spice"].tolist(),
                "surrogate": x["surrogate"].tolist(),
                "exact": exact.tolist(),
                "spice_seconds": spent["spice"],
                "surrogate_seconds": spent["surrogate"],
            }
        )
        report("SPICE in the loop", done, len(systems))
    return {"die": die, "technology": card.technology.name, "systems": compared}


def studies_stage(card: DeviceCard, folder: Path, workers: int, report: Progress) -> list[dict[str, Any]]:
    """Run the studies."""
    studies = []
    for name in KNOBS:
        study = run_study(
            name,
            card,
            dies=DIES,
            steps=STEPS,
            batch=BATCH,
            workers=workers,
            out=folder / "studies",
            progress=lambda done, total, name=name: report(f"study: {name}", done, total),  # type: ignore[misc]
            settings=SETTINGS["tngd"],
        )
        studies.append(study.to_dict())
    return studies
