"""A supervised task: data, network, loss and score."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...circuits.errors import InputError

EVALUATION_BATCH = 1000
"""Number of test samples that are classified at once, so that memory does not grow with the test set."""


@dataclass(frozen=True)
class Plan:
    """How a task is trained by default.

    Attributes:
        steps: number of updates.
        batch: samples of a step.
        evaluate_every: steps between evaluations on the test set.
        settings: of the optimizers by name, such as {"adam": {"lr": 0.003}}, tuned for this batch and length; they take precedence over
            those in `optimizers.registry.OPTIMIZERS`.
    """

    steps: int = 300
    batch: int = 16
    evaluate_every: int = 10
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Task:
    """Classification data in memory with a network for it.

    Attributes:
        name: for reports and checkpoints.
        train_inputs, train_targets: (n, ...) and (n,) class indices.
        test_inputs, test_targets: of the held-out set.
        model: builds the network, with weights from torch's default generator.
        loss: (outputs, targets) -> scalar, a mean over the batch.
        plan: how it is trained by default.
    """

    name: str
    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor
    model: Callable[[], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy
    plan: Plan = field(default_factory=Plan)

    def batch(self, step: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
        """Batch number `step` of an endless sequence of shuffled epochs (the incomplete last batch of each is left
        out).

        A function of its arguments alone, so that a resumed run sees the batches that it would have seen.

        Raises:
            InputError: size outside 1..n, or step or seed negative.
        """
        n = len(self.train_inputs)
        if not 1 <= size <= n:
            raise InputError(f"batch is {size}: the task {self.name} has {n} training samples, give 1 to {n}")
        if step < 0 or seed < 0:
            raise InputError(f"step is {step}, seed {seed}: both must be >= 0")
        epoch, position = divmod(step, n // size)
        chosen = _order(n, seed, epoch)[position * size : (position + 1) * size]
        return self.train_inputs[chosen], self.train_targets[chosen]

    @torch.no_grad()
    def accuracy(self, model: nn.Module) -> float:
        """Fraction of the test set that the model classifies correctly, in evaluation mode."""
        training = model.training
        model.eval()
        parts = zip(self.test_inputs.split(EVALUATION_BATCH), self.test_targets.split(EVALUATION_BATCH), strict=True)
        hits = sum(int((model(inputs).argmax(dim=-1) == targets).sum()) for inputs, targets in parts)
        model.train(training)
        return hits / len(self.test_targets)


@functools.lru_cache(maxsize=2)
def _order(n: int, seed: int, epoch: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng((seed, epoch)).permutation(n))
