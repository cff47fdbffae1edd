"""`OldCurvature`: the curvature of an earlier step, as a machine has it whose host, link and array are at work at the same time."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

SystemsT = TypeVar("SystemsT")


class OldCurvature(Generic[SystemsT]):
    """Keeps what was formed until it is old enough; nothing of it is part of a state.

    At step n the curvature in use is the latest of the steps 0, m, 2 m, ... that is at least `age` steps old; at first,
    where there is none, the oldest there is.

    Args:
        age: steps, >= 0. every: m >= 1.

    Attributes:
        fresh: whether the latest step formed a curvature.
    """

    def __init__(self, age: int, every: int) -> None:
        self.age, self.every, self.fresh = age, every, True
        self._kept: deque[tuple[int, SystemsT]] = deque()
        self._steps = 0

    def serve(self, new: SystemsT) -> SystemsT:
        """The curvature in use at the step that could form this one."""
        self.fresh = self._steps % self.every == 0
        if self.fresh:
            self._kept.append((self._steps, new))
        while len(self._kept) > 1 and self._kept[1][0] <= self._steps - self.age:
            self._kept.popleft()
        self._steps += 1
        return self._kept[0][1]
