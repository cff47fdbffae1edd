"""What was computed for a step or window is kept for the next call with the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

KEPT = 8
"""Results that are kept; the oldest goes first."""
Value = TypeVar("Value")


class Recent(Generic[Value]):
    """The last results of a computation, by its arguments."""

    def __init__(self) -> None:
        self._results: dict[Hashable, Value] = {}

    def __len__(self) -> int:
        return len(self._results)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The result for the key, made now if it is not there."""
        if key not in self._results:
            result = make()
            if len(self._results) >= KEPT:
                self._results.pop(next(iter(self._results)))
            self._results[key] = result
        return self._results[key]
