"""A training run with the clocks of its steps."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

import thermograd as tg
from thermograd.circuits.files import read_text, write_text
from thermograd.optim.optimizers.registry import make_optimizer
from thermograd.optim.tasks.poisson_cube import PoissonCube, poisson_cube

WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "ngd": ("ngd", {}),
    "straight": ("ngd", {"geodesic": None}),
    "levenberg": (
        "ngd",
        {"line_search": False, "geodesic": None, "damping": tg.LevenbergMarquardt(1e-2, 0.7, lowest=1e-14)},
    ),
    "spring": ("ngd", {"spring": 0.3}),
    "small": ("ngd", {"damping": 1e-10}),
    "tngd": ("tngd", {}),
    "adam": ("adam", {}),
}
"""Optimizer by name, and changes to the settings of the task's plan."""
LABELS = {
    "ngd": "NGD, line search, acceleration",
    "straight": "NGD, line search",
    "levenberg": "NGD, Levenberg-Marquardt",
    "spring": "NGD, line search, acceleration, SPRING 0.3",
    "small": "NGD, line search, acceleration, damping 1e-10",
    "tngd": "the first, TNGD on the ideal device",
    "adam": "Adam",
}
EVERY = {"2d": 5, "5d": 1, "5d-large": 1}
"""Steps between evaluations; Adam's are `ADAM` times as many."""
ADAM = 20
SHOWN = 30.0
"""Seconds between lines of progress, at which a run is also stored."""


@dataclass
class Run:
    """What a run did. Times are of the steps alone, s, summed up to each evaluation.

    Attributes:
        preset, way, seed, threads: which run.
        steps, wall, processor, errors: at each evaluation.
        finished: whether it came to its end.
    """

    preset: str
    way: str
    seed: int
    threads: int
    steps: list[int] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    finished: bool = False

    def first(self, error: float) -> int | None:
        """Position of the first evaluation at most the error."""
        return next((k for k, found in enumerate(self.errors) if found <= error), None)

    def best_at(self, seconds: float, wall: bool = True) -> float | None:
        """The least error up to a wall or processor time; None if the run ended before."""
        times = self.wall if wall else self.processor
        if not times or times[-1] < seconds * 0.98:
            return None
        return min((error for error, at in zip(self.errors, times, strict=True) if at <= seconds), default=math.inf)


def trained(
    preset: str, way: str, seed: int, seconds: float, until: float, processor: bool, path: Path, threads: int
) -> Run:
    """The run of a file, or a new one, whose clocks are written to it.

    Args:
        preset, way, seed: which run.
        seconds: limit of the time of its steps.
        until: error at which it ends.
        processor: whether the limit is of processor time, else of wall time.
        path: of the file.
        threads: of torch.
    """
    if path.exists():
        found = Run(**json.loads(read_text(path)))
        if found.finished:
            return found
    run, task = Run(preset, way, seed, threads), poisson_cube(preset, seed=seed)  # type: ignore[arg-type]
    torch.manual_seed(seed)
    model = task.model()
    step, every = stepper(task, model, way, seed)
    wall = spent = shown = 0.0
    number, limit = 0, EVERY[preset] * every
    while (spent if processor else wall) < seconds:
        began, used = time.perf_counter(), time.process_time()
        step(number)
        wall, spent = wall + time.perf_counter() - began, spent + time.process_time() - used
        number += 1
        if number % limit == 0:
            run.steps.append(number)
            run.wall.append(wall)
            run.processor.append(spent)
            run.errors.append(task.evaluate(model))
            if wall > shown + SHOWN:
                shown = wall
                write_text(path, json.dumps(dataclasses.asdict(run)))
                print(f"  {preset} {way} step {number}: {wall:.0f} s, error {run.errors[-1]:.2e}", flush=True)
            if run.errors[-1] <= until:
                break
    run.finished = True
    write_text(path, json.dumps(dataclasses.asdict(run)))
    return run


def stepper(task: PoissonCube, model: nn.Module, way: str, seed: int) -> tuple[Callable[[int], None], int]:
    """What makes step number k, drawing of its points included, and how often it is evaluated less than others."""
    name, changes = WAYS[way]
    settings = {**task.plan.settings[name], **changes}
    if name == "adam":
        adam = torch.optim.Adam(model.parameters(), **settings)

        def by_adam(number: int) -> None:
            adam.zero_grad()
            loss, _ = task.closure(model, number, None, seed)()
            loss.backward()
            adam.step()

        return by_adam, ADAM
    optimizer = make_optimizer(name, model.parameters(), settings=settings)

    def natural(number: int) -> None:
        optimizer.step(task.closure(model, number, None, seed))  # type: ignore[arg-type]

    return natural, 1


def warm_up() -> None:
    """Load what torch loads with the first step."""
    task = poisson_cube("2d")
    model = task.model()
    step, _ = stepper(task, model, "ngd", 0)
    for number in range(2):
        step(number)
