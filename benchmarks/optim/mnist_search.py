"""Grid search of learning rate, damping and momentum on MNIST, for any of the named optimizers, in runs that may be short.

Scored on 5,000 training images outside of the 10,000 that are trained on, with seeds that no table uses, so that the
test set is held out. Every finished run is kept in a folder; an interrupted search resumes, a larger grid extends it.

    python benchmarks/optim/mnist_search.py --data mnist.npz --steps 1560
    python benchmarks/optim/mnist_search.py --data mnist.npz --optimizers tngd --lr 0.1,0.3 --damping 0.1,0.3,1
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.files import output_folder
from thermograd.circuits.job_store import JobStore, job_key
from thermograd.cli.options import numbers, seeds
from thermograd.optim.tasks.classification import Classification
from thermograd.optim.tasks.mnist import BATCH, PATH_VARIABLE, PLAN, mnist
from thermograd.optim.training.train import settings_for, train

TRAIN, VALIDATION = 10_000, 5_000
EPOCH = TRAIN // BATCH
ADAPTIVE = [0.0005, 0.001, 0.002, 0.003, 0.005]
LR = {"sgd": [0.01, 0.02, 0.05, 0.1, 0.2, 0.3], "adam": ADAPTIVE, "tngd-adam": ADAPTIVE}
NATURAL_GRADIENT_LR = [0.03, 0.1, 0.3, 1.0]
"""Of the optimizers that `LR` does not name."""
DAMPING = [0.1, 1.0, 10.0]
MOMENTUM = [0.0, 0.9]


def split(path: str) -> Classification:
    """The task with validation images in the place of its test set."""
    task = mnist(path, train=TRAIN + VALIDATION, test=1)
    return dataclasses.replace(
        task,
        train_inputs=task.train_inputs[:TRAIN],
        train_targets=task.train_targets[:TRAIN],
        test_inputs=task.train_inputs[TRAIN:],
        test_targets=task.train_targets[TRAIN:],
    )


def score(path: str, run: dict[str, Any]) -> dict[str, Any]:
    """The run with its accuracy on the validation images, the loss of its last tenth, and seconds a step."""
    torch.set_num_threads(1)
    steps = run["steps"]
    history = train(
        split(path), run["optimizer"], steps, PLAN.batch, run["seed"], evaluate_every=0, settings=run["settings"]
    )
    loss = float(np.mean(history.loss[-max(1, steps // 10) :]))
    return run | {
        "accuracy": history.final_score,
        "loss": loss if math.isfinite(loss) else None,
        "step_seconds": (sum(history.digital_seconds) + sum(history.device_seconds)) / steps,
        "not_ok": sum(outcome != "ok" for outcome in history.outcome),
    }


def grid(task: Classification, optimizer: str, given: dict[str, list[float] | None]) -> list[dict[str, float]]:
    """The settings to try: those given, and the usual ones for the optimizer's other settings."""
    axes = {"lr": given["lr"] or LR.get(optimizer, NATURAL_GRADIENT_LR)}
    for name, usual in (("damping", DAMPING), ("momentum", MOMENTUM)):
        if name in settings_for(task, optimizer):
            axes[name] = given[name] or usual
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def search(path: str, task: str, wanted: list[dict[str, Any]], folder: Path, workers: int) -> list[dict[str, Any]]:
    """Results of the runs: those stored in the folder, and the others, each stored as soon as it is done."""
    store: JobStore[dict[str, Any]] = JobStore(folder)
    jobs = {job_key(task, run): run for run in wanted}
    counted = lambda done, total: print(f"\r{done} of {total} runs", end="", file=sys.stderr, flush=True)  # noqa: E731
    found = dict(store.map(lambda run: score(path, run), jobs, workers, progress=counted))
    print(file=sys.stderr)
    return [found[key] for key in jobs]


def table(runs: list[dict[str, Any]]) -> None:
    """For each optimizer its settings, the best first."""
    grouped: dict[str, dict[tuple[Any, ...], list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        grouped[run["optimizer"]][tuple(sorted(run["settings"].items()))].append(run)
    for optimizer, settings in grouped.items():
        ranked = sorted(settings.items(), key=lambda item: -np.mean([run["accuracy"] for run in item[1]]))
        for chosen, group in ranked:
            values = [100 * run["accuracy"] for run in group]
            error = f"{np.std(values, ddof=1) / len(values) ** 0.5:.2f}" if len(values) > 1 else "?"
            losses = [run["loss"] for run in group]
            loss = "not finite" if None in losses else f"{np.mean(losses):.4f}"
            text = ", ".join(f"{name} {value:g}" for name, value in chosen)
            ms = 1e3 * np.mean([run["step_seconds"] for run in group])
            bad = sum(run["not_ok"] for run in group)
            print(
                f"  {optimizer:9} {text:26} {np.mean(values):6.2f} +- {error}   loss {loss}   {ms:.1f} ms a step"
                + (f"   {bad} steps not ok" if bad else "")
            )
        for name, best in ranked[0][0]:
            tried = sorted({dict(chosen)[name] for chosen in settings})
            if len(tried) > 1 and best in (tried[0], tried[-1]):
                print(f"  {optimizer}: the best {name}, {best:g}, is at the edge of the grid; extend it")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--data", default=os.environ.get(PATH_VARIABLE), help=f"mnist.npz or a folder of IDX files; {PATH_VARIABLE}"
    )
    parser.add_argument("--optimizers", default="sgd,adam", help="names, by commas")
    parser.add_argument("--steps", type=int, default=3 * EPOCH, help=f"of each run; {EPOCH} are an epoch")
    parser.add_argument("--lr", help="values to try, by commas")
    parser.add_argument("--damping", help="values to try, by commas")
    parser.add_argument("--momentum", help="values to try, by commas")
    parser.add_argument("--seeds", default="10,11", help="of the trainings, by commas")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/mnist_search"), help="folder that keeps the runs")
    asked = parser.parse_args()
    if not asked.data:
        print(f"left out: MNIST is not shipped; give --data or set {PATH_VARIABLE}")
        return
    kept = output_folder(asked.out)
    texts = {"lr": asked.lr, "damping": asked.damping, "momentum": asked.momentum}
    given = {name: numbers(f"--{name}", text) if text else None for name, text in texts.items()}
    task = split(asked.data)
    chosen = seeds("--seeds", asked.seeds)
    wanted = [
        {"optimizer": optimizer, "settings": settings, "seed": seed, "steps": asked.steps}
        for optimizer in asked.optimizers.split(",")
        for settings in grid(task, optimizer, given)
        for seed in chosen
    ]
    runs = search(asked.data, task.name, wanted, kept, asked.workers)
    print(
        f"{VALIDATION} validation images, accuracy in %, mean +- standard error of {len(chosen)} seeds, batch "
        f"{PLAN.batch}, {asked.steps} steps ({asked.steps / EPOCH:.3g} epochs)"
    )
    table(runs)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
