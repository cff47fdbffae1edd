"""Grid search of each optimizer's settings on the digits task at the demo's batch and length.

Scored on a validation part of the training set, with seeds that no table uses, so that the test set is held out.

    python benchmarks/optim/tune_digits.py
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import defaultdict
from typing import Any

import numpy as np
import torch

from thermograd.circuits.parallel import parallel_map
from thermograd.optim.tasks.digits import digits
from thermograd.optim.training.train import train
from thermograd.report.demo.settings import BATCH, STEPS

SEEDS = (10, 11, 12, 13)
VALIDATION = 360
GRID: dict[str, dict[str, tuple[float, ...]]] = {
    "sgd": {"lr": (0.1, 0.2, 0.3, 0.5, 1.0)},
    "adam": {"lr": (0.003, 0.005, 0.01, 0.02, 0.03)},
    "ngd": {"lr": (0.1, 0.2, 0.3, 0.5, 1.0), "damping": (0.1, 0.3, 1.0)},
}


def score(optimizer: str, settings: dict[str, Any], seed: int) -> float:
    """Accuracy on the validation part after training on the rest."""
    torch.set_num_threads(1)
    task = digits()
    split = dataclasses.replace(
        task,
        train_inputs=task.train_inputs[VALIDATION:],
        train_targets=task.train_targets[VALIDATION:],
        test_inputs=task.train_inputs[:VALIDATION],
        test_targets=task.train_targets[:VALIDATION],
    )
    return train(split, optimizer, STEPS, BATCH, seed, evaluate_every=0, settings=settings).final_score


def main() -> None:
    jobs = [
        (optimizer, dict(zip(grid, values, strict=True)), seed)
        for optimizer, grid in GRID.items()
        for values in itertools.product(*grid.values())
        for seed in SEEDS
    ]
    scores = parallel_map(lambda job: score(*job), jobs, workers=2)
    found = defaultdict(list)
    for (optimizer, settings, _), accuracy in zip(jobs, scores, strict=True):
        found[optimizer, tuple(settings.items())].append(100 * accuracy)
    print(f"validation accuracy in %, mean +- standard error of {len(SEEDS)} seeds, batch {BATCH}, {STEPS} steps")
    for optimizer in GRID:
        ranked = sorted(((v, s) for (o, s), v in found.items() if o == optimizer), key=lambda item: -np.mean(item[0]))
        for values, chosen in ranked:
            text = ", ".join(f"{name} {value:g}" for name, value in chosen)
            print(
                f"  {optimizer:5} {text:24} {np.mean(values):6.2f} +- {np.std(values, ddof=1) / len(values) ** 0.5:.2f}"
            )


if __name__ == "__main__":
    main()
