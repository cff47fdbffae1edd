"""The trajectory of a training through parameter space, with the training loss along it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...circuits.errors import InputError
from ...devicemodel.device import Device
from ..tasks.classification import Classification, classification
from ..tasks.task import Task
from .train import train

MAX_POINTS = 200
"""Largest number of points of a path that are kept, evenly over its steps."""
SAMPLES = 2048
"""Number of training samples of which the loss is the mean, if the task has more."""
CHUNK = 512
"""Samples in a forward pass."""
DIVERGED = 2.0
"""A training that ends with more than this many times its first loss has diverged."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The trajectory of one training.

    Attributes:
        label: name of the training.
        steps: (T,) updates done at each point, from 0.
        points: (T, N) trainable parameters in the model's type.
        loss: (T,) of the same training samples at each point, in evaluation mode.
        diverged: recorded step from which on the loss was not finite, or above `DIVERGED` times the first, to the end; the points end
            before it. None: it did not diverge.
        model: the network at the end.
    """

    label: str
    steps: np.ndarray
    points: np.ndarray
    loss: np.ndarray
    diverged: int | None
    model: nn.Module


def follow(
    task: Task,
    optimizer: str,
    steps: int | None = None,
    batch: int | None = None,
    seed: int = 0,
    device: Device | None = None,
    samples: int = SAMPLES,
    label: str = "",
    progress: Callable[[int, int], None] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Trajectory:
    """Train and record the trajectory. The initial weights are those that `train` takes for this seed.

    Args:
        task: a classification.
        optimizer, steps, batch, seed, device, settings: as `train`.
        samples: number of training samples for the loss at each point.
        label: of the trajectory; by default the optimizer's name.
        progress: called with (steps done, steps).

    Raises:
        InputError: as `train`; another kind of task; samples < 1.
    """
    steps = task.plan.steps if steps is None else steps
    samples_of = classification(task, "the loss along a trajectory")
    inputs, targets = subset(samples_of, samples, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = task.model()
    wanted = set(np.linspace(0, max(steps, 1), min(max(steps, 1), MAX_POINTS) + 1).round().astype(int).tolist())
    kept: list[tuple[int, np.ndarray, float]] = []

    def keep(done: int, _: object = None) -> None:
        if done in wanted:
            kept.append((done, _parameter_vector(model), mean_loss(model, samples_of.loss, inputs, targets)))
        if progress is not None:
            progress(done, steps)

    keep(0)
    train(
        task,
        optimizer,
        steps,
        batch,
        seed,
        device=device,
        model=model,
        callbacks=[keep],
        evaluate_every=0,
        settings=settings,
    )
    at, points, loss = (np.array(column) for column in zip(*kept, strict=True))
    end = _points_before_divergence(points, loss)
    diverged = int(at[end]) if end < len(at) else None
    return Trajectory(label or optimizer, at[:end], points[:end], loss[:end], diverged, model)


def subset(task: Classification, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets of at most `samples` training samples, a fixed choice, in their order."""
    if samples < 1:
        raise InputError(f"samples is {samples}: give at least 1 training sample for the loss")
    n = len(task.train_inputs)
    if samples >= n:
        return task.train_inputs, task.train_targets
    chosen = torch.from_numpy(np.sort(np.random.default_rng(seed).permutation(n)[:samples]))
    return task.train_inputs[chosen], task.train_targets[chosen]


@torch.no_grad()
def mean_loss(model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, targets: Tensor) -> float:
    """Mean of a loss that is itself a mean over its batch, in evaluation mode, `CHUNK` samples at a time."""
    training = model.training
    model.eval()
    parts = [
        float(loss(model(some), wanted)) * len(some)
        for some, wanted in zip(inputs.split(CHUNK), targets.split(CHUNK), strict=True)
    ]
    model.train(training)
    return sum(parts) / len(inputs)


def _points_before_divergence(points: np.ndarray, loss: np.ndarray) -> int:
    """Number of points before the path diverged for good; excursions from which it came back are part of it."""
    finite = np.isfinite(points).all(axis=1) & np.isfinite(loss)
    end = len(loss) if finite.all() else int(np.argmin(finite))
    while end and not abs(loss[end - 1]) <= DIVERGED * abs(loss[0]):
        end -= 1
    return end


def _parameter_vector(model: nn.Module) -> np.ndarray:
    """The trainable parameters, (N,)."""
    return torch.cat([p.detach().reshape(-1).cpu() for p in model.parameters() if p.requires_grad]).numpy()
