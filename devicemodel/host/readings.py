"""`Readings`: the readings behind one refined solution, and what they took."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..device import Outcome, Solution
from .loaded import Loaded

LARGEST_EXPONENT = 1000
"""Of two, by which a drive is amplified digitally."""


class Readings:
    """The readings behind one solution.

    Attributes:
        outcomes, attempts, seconds, violations, products: of all runs. count: answers. not_modelled: as the last one says.
    """

    def __init__(self, loaded: Loaded, b: Tensor, start: Tensor, chopped: bool) -> None:
        self._loaded, self._exponent, self._factor = loaded, _exponent(loaded.drive(b)), 1.0
        self._r, self._start, self._signs = b, loaded.start(start), (1, -1) if chopped else (1,)
        self.outcomes: list[Outcome] = []
        self.attempts, self.seconds, self.count, self.products = 0, 0.0, 0, 0
        self.violations: list[str] = []
        self.not_modelled: tuple[str, ...] = ()

    def runs(self, r: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Drives and starts of the runs that read for a residual r, (n,) float64.

        The drive is as large as that of b, by a power of two: a device with a noise of its own in problem units sees no smaller signal.
        """
        drive, self._r = self._loaded.drive(r), r
        self._factor = math.ldexp(1.0, min(self._exponent - _exponent(drive), LARGEST_EXPONENT))
        start, self._start = self._start, torch.zeros_like(drive)
        return [(sign * self._factor * drive, sign * start) for sign in self._signs]

    def reading(self, found: Iterator[Solution]) -> Tensor | None:
        """What of x the next of the runs found say, (n,) float64; None: the device gave none."""
        solutions = [next(found) for _ in self._signs]
        for one in solutions:
            self.outcomes.append(one.outcome)
            self.attempts, self.seconds = self.attempts + one.attempts, self.seconds + one.seconds
            self.violations += one.violations
            self.products += one.products
            self.not_modelled = one.not_modelled
            if not one.outcome.readable:
                return None
        mean = torch.stack([sign * one.x.double() for sign, one in zip(self._signs, solutions, strict=True)]).mean(0)
        self.count += 1
        return self._loaded.answer(self._r, mean / self._factor)


def _exponent(vector: Tensor) -> int:
    """Of two, of the largest entry; 0 of a vector of zeros."""
    return math.frexp(float(vector.abs().max()))[1]
