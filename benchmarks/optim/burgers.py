"""Burgers' equation: relative error, time, and what each part of the method is worth.

    python benchmarks/optim/burgers.py [--rows ...] [--seeds 0,1,2,3,4] [--out out/burgers] [--docs docs/residuals.md]
    python benchmarks/optim/burgers.py --alone            # the large network by wall time; run with nothing beside it, and all threads
    python benchmarks/optim/burgers.py --tune             # the search that Adam's rate comes from, on seed 0

The task `burgers` (`optim/tasks/burgers.py`), nu = 0.01 / pi, float64. "Small" is the task's default, 3 layers of 16 tanh units (624
parameters) and 1,000 points; "large" has 4 layers (896 parameters), 2,500 points and a damping of 1e-9. A seed is that of the
weights and of the points. The error is |u - u_exact| / |u_exact| over 101 x 401 points of t and x. Times are processor time of one thread,
evaluations left out; they hold beside other work. Runs are stored one by one: an interrupted table resumes.

Variants: "the same points" takes those of step 0 throughout; "edges by weight" is a plain network of t and x with the same layers, and
terms for the initial and the boundary values (200 and 100 points, new ones in every step) with a weight of 100. Adam has the
fastest of three closures (`ByAutograd`).
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor, nn

from thermograd.circuits.files import output_folder, write_text
from thermograd.circuits.job_store import JobStore, job_key
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.optim.curvature.residuals.residual_loss import ResidualLoss
from thermograd.optim.optimizers.damping import LevenbergMarquardt
from thermograd.optim.tasks.burgers import GRID, VISCOSITY, Burgers, burgers, points, solution
from thermograd.optim.tasks.task import TaskClosure
from thermograd.optim.training.train import History, train
from thermograd.report.figures.style import BLACK, BLUE, DIVERGING, GREEN, GREY, ORANGE, SKY, log_ticks, save, styled

sys.path.insert(0, str(Path(__file__).resolve().parent))

from dies import card_of_preset, counted

TARGETS = (1e-3, 1e-4, 1e-5, 4.75e-7)
ADAM_RATES, ADAM_SEARCH_STEPS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1), 1000
MARKS = ("<!-- burgers -->\n", "<!-- end -->")
DIE_DAMPING = LevenbergMarquardt(start=1.0, factor=0.7, lowest=1e-3)
"""As for the task `poisson` (`poisson_table.py`); less was not tried."""


class SamePoints(Burgers):
    """The points of step 0 in every step."""

    def closure(self, model: nn.Module, step: int, batch: int | None, seed: int) -> TaskClosure:
        return super().closure(model, 0, batch, seed)


class ByAutograd(Burgers):
    """The same loss by two backward passes, in half of a `ResidualLoss`'s time where no rows are needed."""

    def closure(self, model: nn.Module, step: int, batch: int | None, seed: int) -> TaskClosure:
        assert batch is not None
        at = points(batch, seed, step).requires_grad_()

        def run() -> tuple[Tensor, Tensor]:
            u = model(at)[:, 0]
            (slopes,) = torch.autograd.grad(u.sum(), at, create_graph=True)
            (second,) = torch.autograd.grad(slopes[:, 1].sum(), at, create_graph=True)
            r = slopes[:, 0] + u * slopes[:, 1] - self.viscosity * second[:, 1]
            return r.square().mean() / 2, r[:, None]

        return run


class EdgesByWeight(Burgers):
    """A plain network N(t, x), whose initial and boundary values are terms of the loss."""

    WEIGHT = 100.0

    def model(self) -> nn.Sequential:  # type: ignore[override]
        sizes, parts = (2, *(self.width for _ in range(self.layers))), []
        for before, after in itertools.pairwise(sizes):
            parts += [nn.Linear(before, after, dtype=self.dtype), nn.Tanh()]
        return nn.Sequential(*parts, nn.Linear(self.width, 1, dtype=self.dtype))

    def closure(self, model: nn.Module, step: int, batch: int | None, seed: int) -> TaskClosure:
        assert batch is not None
        at = points(batch, seed, step)
        sides = (torch.arange(batch) % 2 * 2 - 1).to(self.dtype)
        at[:, 1] *= sides
        start = torch.stack([torch.zeros_like(sides), at[:, 1]], 1)[: batch // 5]
        walls = torch.stack([at[:, 0], sides], 1)[: batch // 10]

        def value(net: nn.Module, point: Tensor) -> Tensor:
            return net(point)[0] - solution_at_edge(point)

        return (
            ResidualLoss(model, self.residual, at)
            + ResidualLoss(model, value, start, self.WEIGHT)
            + ResidualLoss(model, value, walls, self.WEIGHT)
        )


def solution_at_edge(point: Tensor) -> Tensor:
    """-sin(pi x), which is 0 at the walls."""
    return -torch.sin(math.pi * point[1])


@dataclass(frozen=True)
class Row:
    """One way to train.

    Attributes:
        optimizer: a name of `OPTIMIZERS`.
        steps: number of updates.
        layers, batch: of the network, points of a step.
        viscosity: nu.
        settings: of the optimizer, over the plan's.
        kind: of task.
        every: steps between evaluations.
        seeds: largest number of them.
        die: seed of the die.
        colour: in the picture; "" is not shown.
    """

    optimizer: str
    steps: int = 120
    layers: int = 3
    batch: int = 1000
    viscosity: float = VISCOSITY
    settings: dict[str, Any] = field(default_factory=dict)
    kind: type[Burgers] = Burgers
    every: int = 5
    seeds: int = 5
    die: int | None = None
    colour: str = ""

    def task(self) -> Burgers:
        """The task."""
        plain = burgers(self.viscosity, layers=self.layers)
        return self.kind(plain.name, plain.viscosity, plain.width, plain.layers)


LARGE = Row("ngd", 200, layers=4, batch=2500, settings={"damping": 1e-9}, colour=BLACK)
ROWS = {
    "NGD, large": LARGE,
    "NGD, small": Row("ngd", colour=BLUE),
    "Adam, small, 50 times the steps": Row(
        "adam", 6000, settings={"lr": 3e-2}, kind=ByAutograd, every=250, seeds=3, colour=ORANGE
    ),
    "Adam, small, equal time": Row("adam", 2400, settings={"lr": 3e-2}, kind=ByAutograd, every=100, seeds=1),
    "TNGD on the ideal device, small": Row("tngd", colour=SKY),
    "NGD, small, the same points": Row("ngd", kind=SamePoints, seeds=1, colour=GREEN),
    "NGD, small, edges by weight": Row("ngd", kind=EdgesByWeight, seeds=1, colour=GREY),
    "TNGD on a die, 300 points": Row("tngd", 100, batch=300, settings={"damping": DIE_DAMPING}, seeds=1, die=1),
    "TNGD on the ideal device, 300 points": Row("tngd", 100, batch=300, seeds=1),
}


def one(row: Row, seed: int) -> dict[str, Any]:
    """One training."""
    torch.set_num_threads(1)
    device = None if row.die is None else SurrogateDevice(card_of_preset(), die=row.die, extrapolate=True)
    task = row.task()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = task.model()
    history = train(
        task, row.optimizer, row.steps, row.batch, seed, device, model, evaluate_every=row.every, settings=row.settings
    )
    return {
        "evaluations": history.evaluations,
        "seconds": [0.0, *itertools.accumulate(history.processor_seconds)],
        "loss": history.loss[-1],
        "outcomes": dict(Counter(history.outcome)),
        "readings": dict(Counter(history.reading)),
        "weights": torch.cat([p.detach().flatten() for p in model.parameters()]).tolist(),
    }


def first(run: dict[str, Any], error: float) -> int | None:
    """First evaluated step at or below an error."""
    return next((step for step, value in run["evaluations"] if value <= error), None)


def spread(values: list[float], text: Callable[[float], str]) -> str:
    """Median, with least and largest where they differ; "-" where it is infinite."""
    low, middle, high = min(values), statistics.median(values), max(values)
    shown = [text(value) if math.isfinite(value) else "-" for value in (middle, low, high)]
    return shown[0] if shown[1] == shown[2] else f"{shown[0]} ({shown[1]} to {shown[2]})"


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    """Markdown: steps and seconds to each target."""
    heads = ["", "seeds", *(f"to {target:g}" for target in TARGETS), "steps", "time, s", "final error"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, runs in found.items():
        cells = [name, str(len(runs))]
        for target in TARGETS:
            reached = [first(run, target) for run in runs]
            steps = [math.inf if step is None else float(step) for step in reached]
            spent = [math.inf if s is None else run["seconds"][s] for s, run in zip(reached, runs, strict=True)]
            whole = spread(steps, lambda value: f"{value:.0f}")
            cells.append("-" if whole == "-" else f"{whole} steps, {spread(spent, lambda value: f'{value:.0f}')} s")
        cells.append(str(ROWS[name].steps))
        cells.append(spread([run["seconds"][-1] for run in runs], lambda value: f"{value:.0f}"))
        cells.append(spread([run["evaluations"][-1][1] for run in runs], lambda value: f"{value:.1e}"))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


@styled
def picture(found: dict[str, list[dict[str, Any]]], name: str) -> Figure:
    """Solution and error of the first run of a row, and error against time of all."""
    figure = Figure(figsize=(9.4, 6.2), layout="constrained")
    (left, right), (below, beside) = figure.subplots(2, 2)
    row, run = ROWS[name], found[name][0]
    task = row.task()
    model = task.model()
    nn.utils.vector_to_parameters(torch.tensor(run["weights"], dtype=task.dtype), model.parameters())
    at, exact = task.grid
    with torch.no_grad():
        u = model(at)[:, 0].reshape(GRID)
        wrong = (u - exact.reshape(GRID)).abs().clamp(min=1e-12)
    box = {"extent": (0, 1, -1, 1), "origin": "lower", "aspect": "auto", "interpolation": "nearest"}
    for ax, values, kind, title in (
        (left, u, {"cmap": DIVERGING, "vmin": -1, "vmax": 1}, "u, the network's"),
        (right, wrong, {"cmap": "magma", "norm": LogNorm(1e-10, float(wrong.max()))}, "|u - u_exact|"),
    ):
        image = ax.imshow(values.T.numpy(), **box, **kind)
        bar = figure.colorbar(image, ax=ax)
        if ax is right:
            log_ticks(bar.ax.yaxis)
        ax.set(xlabel="t", ylabel="x", title=f"{title}, {name}, seed 0")
    x = torch.linspace(-0.04, 0.04, 401, dtype=task.dtype)
    for t, colour in ((0.25, SKY), (0.5, BLUE), (1.0, BLACK)):
        line = torch.stack([torch.full_like(x, t), x], 1)
        with torch.no_grad():
            below.plot(x, model(line)[:, 0], color=colour, linewidth=1.6, label=f"network, t = {t:g}")
        below.plot(x[::20], solution(line, row.viscosity)[::20], "o", color=colour, markersize=3, mfc="none")
    below.set(xlabel="x", ylabel="u", title="The front (circles: exact)")
    below.legend()
    for label, runs in found.items():
        if ROWS[label].colour:
            for k, each in enumerate(runs):
                steps, errors = zip(*each["evaluations"][1:], strict=True)
                seconds = [each["seconds"][step] for step in steps]
                beside.plot(seconds, errors, color=ROWS[label].colour, linewidth=1.2, label=label if k == 0 else None)
    beside.axhline(TARGETS[-1], color=GREY, linewidth=0.6, linestyle=":")
    beside.set(
        xscale="log",
        yscale="log",
        xlabel="processor time of one thread, s",
        ylabel="relative L2 error",
        title="Training (dotted: 4.75e-7)",
        xlim=(0.03, None),  # room for the legend
    )
    log_ticks(beside.xaxis)
    log_ticks(beside.yaxis)
    # Its frame keeps the dotted line off the text.
    beside.legend(fontsize=6.5, loc="lower left", handlelength=1.2, frameon=True, framealpha=1.0, edgecolor="none")
    return figure


def alone(seed: int) -> None:
    """Wall time of the large row, with all threads."""
    task, start, spent = LARGE.task(), time.perf_counter(), [0.0]
    _ = task.grid

    def follow(done: int, history: History) -> None:
        if history.evaluations[-1][0] == done:
            spent.append(time.perf_counter() - start)
            print(f"{done:4d} steps  {spent[-1]:6.1f} s  error {history.evaluations[-1][1]:.2e}", flush=True)

    history = train(
        task,
        "ngd",
        LARGE.steps,
        LARGE.batch,
        seed,
        callbacks=[follow],
        evaluate_every=LARGE.every,
        settings=LARGE.settings,
    )
    for target in TARGETS:
        reached = history.steps_to(target)
        when = "not reached" if reached is None else f"{reached} steps, {spent[reached // LARGE.every]:.1f} s"
        print(f"relative error {target:g}: {when}, {torch.get_num_threads()} threads")


def computed(store: JobStore[dict[str, Any]], jobs: list[tuple[Row, int]], workers: int) -> list[dict[str, Any]]:
    """Results of trainings, in order."""
    keys = {_key(*job): job for job in jobs}
    found = dict(store.map(lambda job: one(*job), keys, workers, progress=counted))
    print(file=sys.stderr)
    return [found[_key(*job)] for job in jobs]


def _key(row: Row, seed: int) -> str:
    return job_key(repr(replace(row, colour="", seeds=0, kind=Burgers)), row.kind.__name__, seed)


def tune(store: JobStore[dict[str, Any]], workers: int) -> None:
    """Adam's rates, by the final loss and error."""
    jobs = [
        (Row("adam", ADAM_SEARCH_STEPS, settings={"lr": rate}, kind=ByAutograd, every=100), 0) for rate in ADAM_RATES
    ]
    print(f"| Adam's rate, cosine | loss after {ADAM_SEARCH_STEPS} steps | error |\n|---|---|---|")
    for rate, run in zip(ADAM_RATES, computed(store, jobs, workers), strict=True):
        print(f"| {rate:g} | {run['loss']:.2e} | {run['evaluations'][-1][1]:.2e} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--rows", default=";".join(ROWS), help="of the table, separated by ;")
    parser.add_argument("--alone", action="store_true", help="wall time of the large network instead, seed 0")
    parser.add_argument("--tune", action="store_true", help="search for Adam's rate instead")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/burgers"), help="folder that keeps the runs")
    parser.add_argument(
        "--docs", type=Path, help=f"page whose table after {MARKS[0].strip()} is replaced; the picture beside it"
    )
    arguments = parser.parse_args()
    if arguments.alone:
        alone(0)
        return
    store: JobStore[dict[str, Any]] = JobStore(output_folder(arguments.out))
    if arguments.tune:
        tune(store, arguments.workers)
        return
    seeds, names = [int(seed) for seed in arguments.seeds.split(",")], arguments.rows.split(";")
    jobs = [(name, seed) for name in names for seed in seeds[: ROWS[name].seeds]]
    runs = computed(store, [(ROWS[name], seed) for name, seed in jobs], arguments.workers)
    found: dict[str, list[dict[str, Any]]] = {}
    for (name, _), run in zip(jobs, runs, strict=True):
        found.setdefault(name, []).append(run)
    text = table(found)
    print(text)
    for name in (name for name in names if ROWS[name].die is not None):
        print(f"{name}: {found[name][0]['outcomes']}, {found[name][0]['readings']}")
    if not any(ROWS[name].colour for name in names):
        return
    drawn = picture(found, names[0])
    save(drawn, arguments.out / "burgers.png")
    if arguments.docs is not None:
        page = arguments.docs.read_text(encoding="utf-8")
        before, rest = page.split(MARKS[0])
        write_text(arguments.docs, f"{before}{MARKS[0]}{text}\n{rest[rest.index(MARKS[1]) :]}")
        save(drawn, arguments.docs.parent / "burgers.png")


if __name__ == "__main__":
    main()
