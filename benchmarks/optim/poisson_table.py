"""The small physics-informed network: steps and time of natural gradients and of Adam to a given error.

    python benchmarks/optim/poisson_table.py [--seeds 0,1,2,3,4] [--rows ...] [--out out/poisson] [--docs docs/residuals.md]
    python benchmarks/optim/poisson_table.py --tune                     # the search that WEIGHT comes from, on seed 0
    python benchmarks/optim/poisson_table.py --times                    # times of a step alone

The task `poisson` (`optim/tasks/poisson.py`): network 2-32-32-1 with tanh, 1185 parameters, 200 points inside and 160 on the boundary,
float64. A seed is that of the points and of the weights. The error is |u - u_exact| / |u_exact| over a grid of 101 x 101 points; steps to
an error are the first evaluated step below it (natural gradients are evaluated after every 2 or 5 steps, Adam after every 50). Adam
has the best rate and boundary weight of its own search (`poisson_first_order.py`, where there are fewer steps and L-BFGS, too).

A step of `--times` is everything that the optimizer does, in processor time of one thread, ways interleaved in one process, after
20 steps of training; multiples are of Adam's step on the same network and points from the user's own closure, the faster of its two.
Runs are stored one by one: an interrupted table resumes. Dies are in `poisson_die.py`.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.optim import Optimizer

from thermograd.circuits.files import output_folder
from thermograd.circuits.job_store import JobStore, job_key
from thermograd.optim.optimizers.ngd import NGD, NGDWoodbury
from thermograd.optim.optimizers.tngd import TNGD
from thermograd.optim.tasks.poisson import DAMPING, WEIGHT, Form, poisson
from thermograd.optim.training.train import History, train
from thermograd.report.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    log_ticks,
    save,
    styled,
)

sys.path.insert(0, str(Path(__file__).resolve().parent))

from dies import counted
from poisson_first_order import ADAM
from poisson_runs import replace_table, spread, steps_to

STEPS, PATH_STEPS, ADAM_STEPS = 300, 60, 5000
TARGETS = (1e-4, 1e-5, 1e-6)
WEIGHTS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)


@dataclass(frozen=True)
class Row:
    """One way to train.

    Attributes:
        kind: of optimizer, a key of `OPTIMIZERS`.
        form: of the task's closure.
        steps: number of updates.
        weight: of the boundary.
        options: of the optimizer.
        every: steps between evaluations.
        cosine: whether the rate ends at zero.
        once: whether the first seed stands for all, since its steps are another row's to rounding, or take long.
        colour: in the picture; "" is not shown.
    """

    kind: str
    form: Form = "residual"
    steps: int = STEPS
    weight: float = WEIGHT
    options: dict[str, Any] = field(default_factory=dict)
    every: int = 5
    cosine: bool = False
    once: bool = False
    colour: str = ""


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "NGD": NGD,
    "NGDWoodbury": NGDWoodbury,
    "TNGD": TNGD,
    "Adam": torch.optim.Adam,
}
LM = {"lr": 1.0, "damping": DAMPING}
SETTLED = {**LM, "duration": math.inf}


LINE_SEARCH = {"lr": 1.0, "damping": 1e-9, "line_search": True}
PATH = {**LINE_SEARCH, "geodesic": 0.75}
ROWS = {
    "NGD, Levenberg-Marquardt": Row("NGD", options=LM, colour=GREY),
    "TNGD, Levenberg-Marquardt": Row("TNGD", options=SETTLED, colour=GREEN),
    "NGD, line search": Row("NGD", steps=PATH_STEPS, options=LINE_SEARCH, every=2, colour=BLUE),
    "NGD, line search, geodesic": Row("NGD", steps=PATH_STEPS, options=PATH, every=2, colour=BLACK),
    "the same, own closure": Row("NGD", "graph", steps=PATH_STEPS, options=PATH, every=2),
    "NGDWoodbury, line search, geodesic": Row("NGDWoodbury", steps=PATH_STEPS, options=PATH, every=2),
    "TNGD, line search, geodesic": Row(
        "TNGD", steps=PATH_STEPS, options={**PATH, "duration": math.inf}, every=2, colour=SKY
    ),
    "TNGD, own closure": Row(
        "TNGD", "graph", steps=PATH_STEPS, options={**PATH, "duration": math.inf}, every=2, once=True
    ),
    "Adam, cosine": Row(
        "Adam", "graph", ADAM_STEPS, ADAM[ADAM_STEPS][1], {"lr": ADAM[ADAM_STEPS][0]}, 50, True, colour=ORANGE
    ),
}


def one(row: Row, seed: int) -> dict[str, Any]:
    """One training."""
    torch.set_num_threads(1)
    options = dict(row.options)
    schedules: list[torch.optim.lr_scheduler.LRScheduler] = []

    def optimizer(params: Iterable[Tensor]) -> Optimizer:
        made = OPTIMIZERS[row.kind](params, **options)
        if row.cosine:
            schedules.append(torch.optim.lr_scheduler.CosineAnnealingLR(made, row.steps))
        return made

    def follow(done: int, _: History) -> None:
        for schedule in schedules:
            schedule.step()

    task = poisson(seed=seed, weight=row.weight, form=row.form)
    history = train(task, optimizer, row.steps, seed=seed, evaluate_every=row.every, callbacks=[follow])
    return {
        "evaluations": history.evaluations,
        "loss": history.loss[-1],
    }


def table(found: dict[str, list[dict[str, Any]]], times: dict[str, float]) -> str:
    """Markdown."""
    lines = [
        "| | boundary weight | steps to 1e-4 | to 1e-5 | to 1e-6 | steps | final error | a step, in Adam's |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in ROWS.items():
        runs = found.get(name)
        ratio = f"{times[name]:.1f}" if name in times else "-"
        if runs is None:
            continue
        reached = [spread([steps_to(run, target) for run in runs], ".0f") for target in TARGETS]
        final = spread([run["evaluations"][-1][1] for run in runs], ".1e")
        lines.append(f"| {name} | {row.weight:g} | {' | '.join(reached)} | {row.steps} | {final} | {ratio} |")
    return "\n".join(lines)


def step_times(rounds: int) -> dict[str, float]:
    """Median processor time of a step of each row, in steps of Adam from the own closure."""
    torch.set_num_threads(1)
    steps: dict[str, Callable[[], object]] = {}
    timed = {**ROWS, "Adam, ResidualLoss": Row("Adam", options=ROWS["Adam, cosine"].options)}
    for name, row in timed.items():
        task = poisson(form=row.form)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = task.model()
        optimizer = OPTIMIZERS[row.kind](model.parameters(), **row.options)
        steps[name] = _step(optimizer, task.closure(model, 0, None, 0), row.kind == "Adam")
        for _ in range(20):
            steps[name]()
    spent: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.process_time()
            step()
            spent[name].append(time.process_time() - start)
    unit = statistics.median(spent["Adam, cosine"])
    print(f"Adam's step takes {1e3 * unit:.2f} ms; {rounds} rounds")
    return {name: statistics.median(values) / unit for name, values in spent.items()}


def _step(optimizer: Optimizer, closure: Callable[[], tuple[Tensor, Tensor]], plain: bool) -> Callable[[], object]:
    def adam() -> None:
        optimizer.zero_grad()
        closure()[0].backward()
        optimizer.step()

    return adam if plain else lambda: optimizer.step(closure)  # type: ignore[arg-type]


@styled
def picture(found: dict[str, list[dict[str, Any]]]) -> Figure:
    """Error against steps: the median over seeds, and every seed."""
    figure = Figure(figsize=(8.4, 4.0), layout="constrained")
    ax = figure.subplots()
    for name, runs in found.items():
        colour = ROWS[name].colour
        if not colour:
            continue
        style = "--" if ROWS[name].kind == "TNGD" else "-"
        for run in runs:
            steps, errors = zip(*run["evaluations"][1:], strict=True)
            ax.plot(steps, errors, color=colour, linewidth=0.5, alpha=0.4)
        middle = [
            statistics.median(run["evaluations"][k][1] for run in runs) for k in range(1, len(runs[0]["evaluations"]))
        ]
        ax.plot(
            [step for step, _ in runs[0]["evaluations"][1:]],
            middle,
            color=colour,
            linewidth=1.6,
            label=name,
            linestyle=style,
        )
    for target in TARGETS:
        ax.axhline(target, color=GREY, linewidth=0.6, linestyle=":")
    ax.set(xscale="log", yscale="log", xlabel="step", ylabel="relative L2 error", title="Poisson, network 2-32-32-1")
    log_ticks(ax.xaxis)
    log_ticks(ax.yaxis)
    figure.legend(loc="outside right upper")
    return figure


def tune(store: JobStore[dict[str, Any]], workers: int) -> None:
    """The search for the boundary weight, printed."""
    rows = [Row("NGD", weight=weight, options=LM) for weight in WEIGHTS]
    found = computed(store, [(row, 0) for row in rows], workers)
    print("| boundary weight | steps to 1e-4 | steps to 1e-5 | error after 300 steps | loss |\n|---|---|---|---|---|")
    for row, run in zip(rows, found, strict=True):
        reached = [steps_to(run, target) for target in TARGETS]
        shown = " | ".join("-" if math.isinf(steps) else str(steps) for steps in reached)
        print(f"| {row.weight:g} | {shown} | {run['evaluations'][-1][1]:.1e} | {run['loss']:.1e} |")


def computed(store: JobStore[dict[str, Any]], jobs: list[tuple[Row, int]], workers: int) -> list[dict[str, Any]]:
    """Results of trainings, in order."""
    keys = {_key(*job): job for job in jobs}
    found = dict(store.map(lambda job: one(*job), keys, workers, progress=counted))
    print(file=sys.stderr)
    return [found[_key(*job)] for job in jobs]


def _key(row: Row, seed: int) -> str:
    return job_key(repr(replace(row, colour="", once=False)), seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--rows", default=";".join(ROWS), help="of the table, separated by ;")
    parser.add_argument("--tune", action="store_true", help="the search for the boundary weight instead")
    parser.add_argument("--times", action="store_true", help="times of a step alone")
    parser.add_argument("--rounds", type=int, default=15, help="of the times of a step; 0: no times")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/poisson"), help="folder that keeps the runs")
    parser.add_argument("--docs", type=Path, help="page whose table is replaced; the picture beside it")
    arguments = parser.parse_args()
    store: JobStore[dict[str, Any]] = JobStore(output_folder(arguments.out))
    if arguments.tune:
        tune(store, arguments.workers)
        return
    times = step_times(arguments.rounds) if arguments.rounds else {}
    print("\n".join(f"{name}: {ratio:.1f}" for name, ratio in times.items()) + "\n")
    if arguments.times:
        return
    seeds, names = [int(seed) for seed in arguments.seeds.split(",")], arguments.rows.split(";")
    jobs = [(name, seed) for name in names for seed in (seeds[:1] if ROWS[name].once else seeds)]
    runs = computed(store, [(ROWS[name], seed) for name, seed in jobs], arguments.workers)
    found: dict[str, list[dict[str, Any]]] = {}
    for (name, _), run in zip(jobs, runs, strict=True):
        found.setdefault(name, []).append(run)
    text = table(found, times)
    print(text)
    save(picture(found), arguments.out / "poisson.png")
    if arguments.docs is not None:
        replace_table(arguments.docs, "poisson", text)
        save(picture(found), arguments.docs.parent / "poisson.png")


if __name__ == "__main__":
    main()
