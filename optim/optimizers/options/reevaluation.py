"""The losses of a step's batches at other parameters than those that the curvature was taken at, and the changes between them.

Near a minimum the change of a loss drowns in the loss's own rounding, eps L, long before steps cease to help. It is taken of the outputs
there: along the straight line between outputs f and f' = f + d the slope r = dL/df gives

    L' - L = (r + r') . d / 2 - O(d^3),

without an error term for squared errors, whose slope is linear. Its rounding is that of the outputs, and falls with the slopes (as the
approximate Wolfe conditions of Hager and Zhang, SIAM J. Optim. 16, 170 (2005), take derivatives in place of values).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...curvature.batch import Closure
from ...curvature.residuals.residual_loss import ResidualLoss


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Loss, outputs and slope of the loss in the outputs of one batch, without a graph."""

    loss: float
    outputs: Tensor
    slope: Tensor

    def change(self, later: Evaluation, through_outputs: bool = True) -> float:
        """The loss of `later` less this one, by the outputs where it is small; infinite where it is not finite."""
        difference = later.loss - self.loss
        if not math.isfinite(difference):
            return math.inf
        if not through_outputs or abs(difference) > math.sqrt(torch.finfo(self.outputs.dtype).eps) * abs(self.loss):
            return difference
        moved = later.outputs.double() - self.outputs.double()
        return float((moved * (self.slope.double() + later.slope.double())).sum()) / 2


def loss_again(closure: Closure) -> float:
    """The loss of a closure. With gradients enabled, since closures may take derivatives of the model."""
    if isinstance(closure, ResidualLoss):
        return float(closure.loss())
    with torch.enable_grad():
        return float(closure()[0].detach())


def evaluate_again(closure: Closure) -> Evaluation:
    """Loss, outputs and slope of a closure."""
    if isinstance(closure, ResidualLoss):
        return Evaluation(*closure.with_slope())
    with torch.enable_grad():
        loss, outputs = closure()
        (slope,) = torch.autograd.grad(loss, outputs)
    return Evaluation(float(loss.detach()), outputs.detach(), slope)


class Reevaluation:
    """The batches of a step at their first parameters, for comparisons with others.

    Args:
        closures: of the micro-batches, of equal weight. They run again with the same random draws, and leave buffers as they are.
        mean: over the processes of a group.
        through_outputs: whether the loss depends on the parameters through the outputs alone.

    Attributes:
        first: at the first parameters.
        count: evaluations so far.
    """

    def __init__(self, closures: Sequence[Closure], mean: Callable[[float], float], through_outputs: bool) -> None:
        self._closures, self._mean, self._through_outputs = list(closures), mean, through_outputs
        self.first = self.evaluate()
        self.count = 1

    def evaluate(self) -> list[Evaluation]:
        """All batches at the parameters as they are."""
        return [evaluate_again(closure) for closure in self._closures]

    def change(self) -> float:
        """Loss at the parameters as they are, less that at the first ones."""
        self.count += 1
        exact = self._through_outputs
        found = [one.change(now, exact) for one, now in zip(self.first, self.evaluate(), strict=True)]
        return self._mean(sum(found) / len(found))
