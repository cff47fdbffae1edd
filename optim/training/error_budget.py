"""The causes of a device's error on the systems that a training makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ...circuits.technology.technology import Technology
from ...devicemodel.card import DeviceCard
from ...devicemodel.error_budget.budget import ErrorBudget, Problem, error_budget
from ...devicemodel.error_budget.hardware import Hardware
from ...devicemodel.host.refine import ROUNDS
from ...devicemodel.systems import Dense
from ..tasks.task import Task
from .curvature_systems import curvature_systems
from .train import settings_for


def training_error_budget(
    task: Task,
    made_of: DeviceCard | Technology,
    steps: Sequence[int],
    dies: Sequence[int | None],
    batch: int | None = None,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    rounds: int = ROUNDS,
    layout: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ErrorBudget:
    """Train on the ideal device, and ask who makes the error of these dies on the systems of some of its steps.

    The systems are those of a training that goes well: a die that leads it astray would be asked about systems that it made itself.

    Args:
        task, batch, seed, settings: as `train`, of TNGD. made_of, dies, rounds, layout, progress: as `error_budget` and `Hardware`.
        steps: numbers of the steps, from 0.

    Raises:
        InputError: as those.
    """
    chosen = {**settings_for(task, "tngd"), **(settings or {})}
    batch = task.plan.batch if batch is None else batch
    found = curvature_systems(task, steps, batch, seed, settings)
    problems = [
        Problem(Dense(torch.from_numpy(one.matrix), one.floor), torch.from_numpy(one.b), torch.from_numpy(one.start))
        for one in found
    ]
    hardware = Hardware(made_of, float(chosen["duration"]), layout=layout)
    return error_budget(hardware, problems, dies, rounds, seed, progress)
