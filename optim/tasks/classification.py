"""Classification: data in memory, batches of shuffled epochs, and the test accuracy as the score."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ...circuits.errors import InputError
from .task import Plan, Score, Task, TaskClosure

EVALUATION_BATCH = 1000
"""Number of test samples that are classified at once, so that memory does not grow with the test set."""
ACCURACY = Score("test accuracy", more_is_better=True, target=0.95, percent=True)
"""Fraction of the test set that is classified correctly."""


@dataclass(frozen=True, eq=False)
class Classification(Task):
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

    @property
    def score(self) -> Score:
        """`ACCURACY`."""
        return ACCURACY

    @property
    def dtype(self) -> torch.dtype:
        """Of the inputs; float32 where these are indices."""
        return self.train_inputs.dtype if self.train_inputs.is_floating_point() else torch.float32

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

    def closure(self, model: nn.Module, step: int, batch: int | None, seed: int) -> TaskClosure:
        """Loss and outputs of batch number `step`. InputError as `batch`; no size."""
        if batch is None:
            raise InputError(f"batch is None: the task {self.name} needs a number of samples a step")
        inputs, targets = self.batch(step, batch, seed)

        def closure() -> tuple[Tensor, Tensor]:
            outputs = model(inputs)
            return self.loss(outputs, targets), outputs

        return closure

    @torch.no_grad()
    def evaluate(self, model: nn.Module) -> float:
        """Fraction of the test set that the model classifies correctly, in evaluation mode."""
        training = model.training
        model.eval()
        parts = zip(self.test_inputs.split(EVALUATION_BATCH), self.test_targets.split(EVALUATION_BATCH), strict=True)
        hits = sum(int((model(inputs).argmax(dim=-1) == targets).sum()) for inputs, targets in parts)
        model.train(training)
        return hits / len(self.test_targets)


def classification(task: Task, purpose: str) -> Classification:
    """The task as a classification. InputError if it is another kind, which the purpose cannot take."""
    if not isinstance(task, Classification):
        raise InputError(
            f"task is {task.name}: {purpose} needs labelled samples; give digits, mnist or a Classification"
        )
    return task


@functools.lru_cache(maxsize=2)
def _order(n: int, seed: int, epoch: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng((seed, epoch)).permutation(n))
