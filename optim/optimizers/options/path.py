"""The parameters along a step: theta(t) = theta + t v + t^2 / 2 a, from t = 0, where they are restored to the last bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

import torch
from torch import Tensor

from .line_search import search
from .reevaluation import Reevaluation


class Path:
    """A straight line or a parabola from the parameters as they are, to which an error inside its `with` brings them back.

    Args:
        parameters: that are moved; frozen ones stay.
        velocity: v, shaped as the parameters.
    """

    def __init__(self, parameters: Sequence[Tensor], velocity: Sequence[Tensor]) -> None:
        self._parameters = list(parameters)
        self._start = [p.detach().clone() for p in parameters]
        self.velocity = list(velocity)
        self._acceleration: list[Tensor] | None = None
        self._straight_from = 0.0

    def __enter__(self) -> Path:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.move_to(0.0)

    @property
    def speed(self) -> float:
        """|v|."""
        return _length(self.velocity)

    @property
    def size(self) -> float:
        """|theta|."""
        return _length(self._start)

    def accelerate(self, acceleration: Sequence[Tensor], limit: float) -> None:
        """Bend the path by a for all t with 2 |t^2 a / 2| <= limit |t v|, in the metric of the parameters; the others stay straight."""
        size = _length(acceleration)
        if size > 0:
            self._acceleration, self._straight_from = list(acceleration), limit * self.speed / size

    def bends_at(self, t: float) -> bool:
        """Whether the acceleration is part of the step to t."""
        return self._acceleration is not None and t <= self._straight_from

    @torch.no_grad()
    def move_to(self, t: float) -> None:
        """Set the parameters to theta(t)."""
        bent = self._acceleration if self.bends_at(t) else None
        # Graphs that were recorded at t = 0 are valid there again afterwards.
        with torch.autograd._unsafe_preserve_version_counter(tuple(self._parameters)):
            for i, (p, start, v) in enumerate(zip(self._parameters, self._start, self.velocity, strict=True)):
                if not p.requires_grad:
                    continue
                p.copy_(start)
                if t != 0:
                    p.add_(v, alpha=t)
                    if bent is not None:
                        p.add_(bent[i], alpha=t * t / 2)

    def settle(self) -> None:
        """Let no graph of t = 0 be used at the parameters as they are."""
        torch.autograd.graph.increment_version([p for p in self._parameters if p.requires_grad])


def _length(values: Sequence[Tensor]) -> float:
    return float(torch.stack([part.double().square().sum() for part in values]).sum().sqrt())


@dataclass(frozen=True)
class Taken:
    """The length t that was taken, the change of the loss with it where it was looked at, the evaluations it took, and whether the path
    is bent there."""

    length: float = 1.0
    change: float = math.nan
    trials: int = 0
    accelerated: bool = False


def take(path: Path, again: Reevaluation, last: float | None) -> Taken:
    """Go along a path: to the length that a search finds from the `last` one on, or all of it where that is None.

    Where no length reduces the loss the parameters stay, to the last bit.
    """
    length, change = 1.0, math.nan
    if last is not None:

        def change_at(t: float) -> float:
            path.move_to(t)
            return again.change()

        found = search(change_at, last)
        length, change = (found.length, found.change) if found.length else (0.0, math.inf)
    path.move_to(length)
    if length:
        path.settle()
    return Taken(length, change, again.count, path.bends_at(length) and length > 0)
