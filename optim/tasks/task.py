"""A supervised task: its data, its network and how to score it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ...circuits.errors import InputError


@dataclass(frozen=True, eq=False)
class Task:
    """Classification data in memory with a network for it.

    Attributes:
        name: for reports and checkpoints.
        train_inputs, train_targets: (n, ...) and (n,) class indices.
        test_inputs, test_targets: of the held-out set.
        model: builds the network, with weights from torch's default generator.
        loss: (outputs, targets) -> scalar, a mean over the batch.
    """

    name: str
    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor
    model: Callable[[], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy

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
        order = np.random.default_rng((seed, epoch)).permutation(n)
        chosen = torch.from_numpy(order[position * size : (position + 1) * size])
        return self.train_inputs[chosen], self.train_targets[chosen]

    @torch.no_grad()
    def accuracy(self, model: nn.Module) -> float:
        """Share of the whole test set that the model classifies correctly, in evaluation mode."""
        training = model.training
        model.eval()
        hits = model(self.test_inputs).argmax(dim=-1) == self.test_targets
        model.train(training)
        return float(hits.double().mean())
