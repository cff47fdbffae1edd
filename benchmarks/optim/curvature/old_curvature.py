"""What a curvature that is old, or that serves for several steps, costs in accuracy, and what its schedule saves.

    python benchmarks/optim/curvature/old_curvature.py [--seeds 3] [--steps 100] [--hidden 8] [--batch 16]

Digits by exact natural gradients, (C + lambda)^-1 g with C of an earlier step and g of this one (`TNGD(curvature_age, curvature_every)` on
the ideal device), beside time and energy of such a step by `devicemodel.cost.schedule` (factored arrays, `integrated`): overlapped for ages
from 1 on, in turn for age 0. Losses are means of the last tenth; +- is the standard deviation over seeds.
"""

from __future__ import annotations

import argparse
import math
import statistics

import torch

from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.cost.model import Scenario
from thermograd.devicemodel.cost.schedule import schedule_of
from thermograd.optim.tasks.digits import digits
from thermograd.optim.training.train import History, train

AGES = ((0, 1), (1, 1), (2, 1), (4, 1), (0, 4), (0, 16), (1, 4), (1, 16))
"""(age, every)."""


def trained(hidden: int, batch: int, steps: int, seed: int, age: int, every: int) -> History:
    settings = {"system": "primal", "duration": math.inf, "reading": "bare"}
    settings |= {"curvature_age": age, "curvature_every": every}
    return train(digits(hidden=hidden), "tngd", steps, batch, seed, evaluate_every=0, settings=settings)


def shown(values: list[float]) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.3g} +- {spread:.1g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, default in (("seeds", 3), ("steps", 100), ("hidden", 8), ("batch", 16)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)
    parameters = sum(p.numel() for p in digits(hidden=given.hidden).model().parameters())
    scenario = Scenario(parameters, given.batch, 10, "factored", preset("integrated"))
    print(f"digits, N = {parameters}, batch {given.batch}, {given.steps} steps, {given.seeds} seeds")
    print("| age | steps a curvature | training loss | test accuracy | step | energy |\n|---|---|---|---|---|---|")
    for age, every in AGES:
        histories = [trained(given.hidden, given.batch, given.steps, seed, age, every) for seed in range(given.seeds)]
        last = max(1, given.steps // 10)
        losses = [statistics.mean(one.loss[-last:]) for one in histories]
        scores = [one.final_score for one in histories]
        taken = schedule_of(scenario, "overlapped" if age else "in turn", every)
        print(
            f"| {age} | {every} | {shown(losses)} | {shown(scores)} | {1e6 * taken.seconds:.3g} us | {1e3 * taken.joules:.3g} mJ |",
            flush=True,
        )


if __name__ == "__main__":
    main()
