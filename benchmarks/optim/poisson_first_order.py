"""The small physics-informed network with Adam and L-BFGS: what the usual optimizers reach with many times a natural gradient's steps.

    python benchmarks/optim/poisson_first_order.py [--seeds 0,1,2,3,4] [--docs docs/pinns.md]
    python benchmarks/optim/poisson_first_order.py --tune          # the search that ADAM comes from, on seed 0

The task `poisson`. Adam's rate falls to zero along a cosine; rate and boundary weight are the best of a grid for each number of steps, by
the error against the exact solution itself, which favours Adam. Numbers of steps: 10 and 50 times the 100 of a natural gradient; 100 of
TNGD's with line search and acceleration take the processor time of 1,700 of Adam's (`poisson_table.py`). L-BFGS (torch, strong Wolfe line
search, 100 pairs) is the field's second stage; its steps are evaluations of loss and gradient, as many as the fewer of Adam's.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from thermograd.circuits.files import output_folder
from thermograd.circuits.job_store import JobStore, job_key
from thermograd.optim.tasks.poisson import Poisson, poisson
from thermograd.optim.training.train import History, train

sys.path.insert(0, str(Path(__file__).resolve().parent))

from dies import counted
from poisson_runs import replace_table, spread, steps_to

RATES, WEIGHTS, STEPS = (3e-3, 1e-2, 3e-2), (100.0, 1000.0), (1000, 5000)
"""Searched, and numbers of steps."""
ADAM = {1000: (1e-2, 1000.0), 5000: (1e-2, 1000.0)}
"""Best rate and boundary weight, by the number of steps."""
EVERY, HISTORY = 50, 100
TARGETS = (1e-2, 1e-3, 1e-4)


@dataclass(frozen=True)
class Row:
    """Adam's steps, then L-BFGS's evaluations.

    Attributes:
        rate: of Adam. weight: of the boundary.
    """

    adam: int
    lbfgs: int = 0
    rate: float = 1e-2
    weight: float = 1000.0


def rows() -> dict[str, Row]:
    """Of the table."""
    found = {f"Adam, cosine, {steps} steps": Row(steps, 0, *ADAM[steps]) for steps in STEPS}
    found[f"L-BFGS, {STEPS[0]} evaluations"] = Row(0, STEPS[0], weight=ADAM[STEPS[0]][1])
    return found


def one(row: Row, seed: int) -> dict[str, Any]:
    """One training."""
    torch.set_num_threads(1)
    start = time.process_time()
    task = poisson(seed=seed, weight=row.weight, form="graph")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = task.model()
    evaluations: list[tuple[int, float]] = []
    if row.adam:
        schedules: list[torch.optim.lr_scheduler.LRScheduler] = []

        def optimizer(params: Iterable[Tensor]) -> torch.optim.Optimizer:
            made = torch.optim.Adam(params, lr=row.rate)
            schedules.append(torch.optim.lr_scheduler.CosineAnnealingLR(made, row.adam))
            return made

        def follow(_: int, __: History) -> None:
            schedules[0].step()

        history = train(task, optimizer, row.adam, seed=seed, model=model, evaluate_every=EVERY, callbacks=[follow])
        evaluations += history.evaluations
    if row.lbfgs:
        evaluations += quasi_newton(task, model, row)
    return {"evaluations": evaluations, "seconds": time.process_time() - start}


def quasi_newton(task: Poisson, model: nn.Module, row: Row) -> list[tuple[int, float]]:
    """L-BFGS from the model on; evaluations of the error."""
    closure, done, found = task.closure(model, 0, None, 0), 0, list[tuple[int, float]]()
    optimizer = torch.optim.LBFGS(
        model.parameters(),
        max_iter=EVERY,
        max_eval=EVERY,
        history_size=HISTORY,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def evaluated() -> Tensor:
        nonlocal done
        done += 1
        optimizer.zero_grad()
        loss, _ = closure()
        loss.backward()
        return loss

    while done < row.lbfgs:
        before = done
        optimizer.step(evaluated)
        found.append((row.adam + done, task.evaluate(model)))
        if done - before < 2:
            break
    return found


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    """Markdown."""
    lines = [
        "| | rate | boundary weight | steps to 1e-2 | to 1e-3 | to 1e-4 | final error | processor time, s |",
        "|---" * 8 + "|",
    ]
    for name, runs in found.items():
        row = rows()[name]
        rate = f"{row.rate:g}" if row.adam else "-"
        reached = " | ".join(spread([steps_to(run, target) for run in runs], ".0f") for target in TARGETS)
        final = spread([run["evaluations"][-1][1] for run in runs], ".1e")
        spent = spread([run["seconds"] for run in runs], ".0f")
        lines.append(f"| {name} | {rate} | {row.weight:g} | {reached} | {final} | {spent} |")
    return "\n".join(lines)


def computed(store: JobStore[dict[str, Any]], jobs: list[tuple[Row, int]], workers: int) -> list[dict[str, Any]]:
    """Results of trainings, in order."""
    keys = {job_key(repr(row), seed): (row, seed) for row, seed in jobs}
    found = dict(store.map(lambda job: one(*job), keys, workers, progress=counted))
    print(file=sys.stderr)
    return [found[job_key(repr(row), seed)] for row, seed in jobs]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--tune", action="store_true", help="the search for Adam's rate and boundary weight instead")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/poisson"), help="folder that keeps the runs")
    parser.add_argument("--docs", type=Path, help="page whose table is replaced")
    arguments = parser.parse_args()
    store: JobStore[dict[str, Any]] = JobStore(output_folder(arguments.out))
    if arguments.tune:
        tried = [Row(steps, 0, rate, weight) for steps in STEPS for weight in WEIGHTS for rate in RATES]
        print("| Adam's steps | boundary weight | rate | error |\n|---|---|---|---|")
        for row, run in zip(tried, computed(store, [(row, 0) for row in tried], arguments.workers), strict=True):
            print(f"| {row.adam} | {row.weight:g} | {row.rate:g} | {run['evaluations'][-1][1]:.1e} |")
        return
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    jobs = [(name, row, seed) for name, row in rows().items() for seed in seeds]
    runs = computed(store, [(row, seed) for _, row, seed in jobs], arguments.workers)
    found: dict[str, list[dict[str, Any]]] = {}
    for (name, _, _), run in zip(jobs, runs, strict=True):
        found.setdefault(name, []).append(run)
    text = table(found)
    print(text)
    if arguments.docs is not None:
        replace_table(arguments.docs, "poisson first order", text)


if __name__ == "__main__":
    main()
