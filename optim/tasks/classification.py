"""Classification: data in memory, batches of shuffled epochs, and the test accuracy as the score."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ...circuits.errors import InputError
from .shuffled_batches import batch_indices, held_out_from
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

    def batch(self, step: int, size: int | None, seed: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of batch number `step`. InputError as `batch_indices`."""
        chosen = batch_indices(self.name, len(self.train_inputs), step, size, seed)
        return self.train_inputs[chosen], self.train_targets[chosen]

    def closure(self, model: nn.Module, step: int, batch: int | None, seed: int) -> TaskClosure:
        """Loss and outputs of batch number `step`. InputError as `batch_indices`."""
        inputs, targets = self.batch(step, batch, seed)

        def closure() -> tuple[Tensor, Tensor]:
            outputs = model(inputs)
            return self.loss(outputs, targets), outputs

        return closure

    def held_out(self) -> Classification:
        """The task with the last quarter of its training samples in the place of the test set."""
        kept = held_out_from(self.name, len(self.train_inputs))
        return dataclasses.replace(
            self,
            name=f"{self.name}, held out",
            train_inputs=self.train_inputs[:kept],
            train_targets=self.train_targets[:kept],
            test_inputs=self.train_inputs[kept:],
            test_targets=self.train_targets[kept:],
        )

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
            f"task is {task.name}: {purpose} needs labelled samples; give digits, mnist, fashion-mnist or a Classification"
        )
    return task
