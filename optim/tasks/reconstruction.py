"""Reconstruction: a network that returns its inputs, judged by the squared error of those it has not seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from ...circuits.errors import InputError
from .shuffled_batches import batch_indices, held_out_from
from .task import Plan, Score, Task, TaskClosure

EVALUATION_BATCH = 1000
"""Number of test samples that are reconstructed at once."""
ReconstructionLoss: TypeAlias = Literal["cross-entropy", "squared"]


@dataclass(frozen=True, eq=False)
class Reconstruction(Task):
    """Samples x in memory with a network z(x) of their own shape. With sums over the p pixels and means over the samples, the loss is

        cross-entropy:   L = mean sum -x log s(z) - (1 - x) log(1 - s(z)),   s the logistic function;
        squared:         L = 1/2 mean sum (x - z)^2.

    Attributes:
        name: for reports and checkpoints.
        train_inputs, test_inputs: (n, p), in [0, 1] for cross-entropy.
        model: builds the network (n, p) -> (n, p), with weights from torch's default generator.
        loss: which of the two.
        target: score to which tables count the steps, such as PCA's.
        plan: how it is trained by default.

    Raises:
        InputError: unknown loss; inputs outside [0, 1] for cross-entropy.
    """

    name: str
    train_inputs: Tensor
    test_inputs: Tensor
    model: Callable[[], nn.Module]
    loss: ReconstructionLoss = "cross-entropy"
    target: float = 0.0
    plan: Plan = field(default_factory=Plan)

    def __post_init__(self) -> None:
        if self.loss not in get_args(ReconstructionLoss):
            raise InputError(f"loss is {self.loss!r}: give {' or '.join(get_args(ReconstructionLoss))}")
        for part in (self.train_inputs, self.test_inputs):
            if self.loss == "cross-entropy" and not bool(((part >= 0) & (part <= 1)).all()):
                raise InputError(
                    f"inputs of {self.name} are from {float(part.min()):.3g} to {float(part.max()):.3g}: cross-entropy takes 0 to 1; "
                    'scale them, or give loss="squared"'
                )

    @property
    def score(self) -> Score:
        """Squared error of an image, summed over its pixels: sum (x - s(z))^2 or sum (x - z)^2, mean over the test set."""
        return Score("squared error of an image", more_is_better=False, target=self.target)

    @property
    def dtype(self) -> torch.dtype:
        """Of the inputs."""
        return self.train_inputs.dtype

    def closure(self, model: nn.Module, step: int, batch: int | None, seed: int) -> TaskClosure:
        """Loss and outputs z of batch number `step`. InputError as `batch_indices`."""
        inputs = self.train_inputs[batch_indices(self.name, len(self.train_inputs), step, batch, seed)]

        def closure() -> tuple[Tensor, Tensor]:
            outputs = model(inputs)
            if self.loss == "squared":
                return (outputs - inputs).square().sum() / (2 * len(inputs)), outputs
            total = nn.functional.binary_cross_entropy_with_logits(outputs, inputs, reduction="sum")
            return total / len(inputs), outputs

        return closure

    @torch.no_grad()
    def evaluate(self, model: nn.Module) -> float:
        """Squared error of an image in the test set, in evaluation mode."""
        training = model.training
        model.eval()
        total = 0.0
        for inputs in self.test_inputs.split(EVALUATION_BATCH):
            outputs = model(inputs)
            found = outputs if self.loss == "squared" else torch.sigmoid(outputs)
            total += float((found - inputs).double().square().sum())
        model.train(training)
        return total / len(self.test_inputs)

    def held_out(self) -> Reconstruction:
        """The task with the last quarter of its training samples in the place of the test set."""
        kept = held_out_from(self.name, len(self.train_inputs))
        train_part, test_part = self.train_inputs[:kept], self.train_inputs[kept:]
        return dataclasses.replace(self, name=f"{self.name}, held out", train_inputs=train_part, test_inputs=test_part)


def pca_error(train_inputs: Tensor, test_inputs: Tensor, components: int) -> float:
    """Squared error of a test sample, summed over its p entries, where its deviation from the training mean is projected onto the training
    samples' leading principal components: the best that a linear autoencoder of this code can do on the training samples (P. Baldi and
    K. Hornik, Neural Networks 2, 53 (1989)).

    Args:
        train_inputs, test_inputs: (n, p).
        components: number of them, 0 to p.
    """
    x, y = train_inputs.double(), test_inputs.double()
    mean = x.mean(dim=0)
    centred = x - mean
    _, vectors = torch.linalg.eigh(centred.mT @ centred)
    rest = (y - mean) @ vectors[:, : x.shape[1] - components]
    return float(rest.square().sum() / len(y))
