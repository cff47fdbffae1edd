"""What the quadratic model of a step predicts, which Levenberg and Marquardt's rule compares with what the loss did."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..curvature.factor import Factor


class QuadraticModel:
    """q(d) = g . d + d . C d / 2 at the parameters as they are when it is made.

    Args:
        factor: of the batch.
        parameters: of the optimizer.
        graph: whether products with C go through the graph that was recorded at these parameters, rather than through the rows of M.
    """

    def __init__(self, factor: Factor, parameters: Sequence[Tensor], graph: bool) -> None:
        self._factor, self._parameters, self._graph = factor, list(parameters), graph
        self._before = [p.detach().clone() for p in parameters]
        self._gradient = factor.gradient()

    def step(self) -> list[Tensor]:
        """The change of the parameters since."""
        return [p.detach() - b for p, b in zip(self._parameters, self._before, strict=True)]

    def predicted(self, step: Sequence[Tensor]) -> float:
        """q of a step."""
        d = self._factor.scaled(step)
        curved = self._by_graph(d) if self._graph else float(self._factor.matvec(d).double().square().sum())
        return dot(d, self._gradient) + curved / 2

    def _by_graph(self, step: Sequence[Tensor]) -> float:
        """step . C step, with the parameters put back meanwhile."""
        now = [p.detach().clone() for p in self._parameters]
        with torch.no_grad(), torch.autograd._unsafe_preserve_version_counter(tuple(self._parameters)):
            for p, value in zip(self._parameters, self._before, strict=True):
                p.copy_(value)
        try:
            product = self._factor.product(step)
        finally:
            with torch.no_grad():
                for p, value in zip(self._parameters, now, strict=True):
                    p.copy_(value)
        return dot(step, product)


def dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """Scalar product of N-vectors, summed in float64."""
    return sum(float((u * v).double().sum()) for u, v in zip(a, b, strict=True))
