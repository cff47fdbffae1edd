"""Settings of the demo: dies, seeds, sizes, optimizers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TECHNOLOGY = "integrated"
DIES = (1, 2, 3)
SEEDS = (0, 1, 2)
STEPS = 300
POISSON_STEPS = 40
STUDY_STEPS = 100
BATCH = 8
TIME_CONSTANTS = 6.0
"""Length of a run, in slowest time constants 1 / damping."""
SHOWN_IMAGES = 7
"""Images of the system that is shown: 7 images with 9 independent logit directions each are 63 unknowns."""
EVALUATE_EVERY = 20
Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""


@dataclass(frozen=True)
class Plan:
    """How the dies are read, and what that allows.

    Attributes:
        readings: of the dies that train, "refined" and "bare".
        damping, rate: of exact NGD and of TNGD, by a grid on digits (today `benchmarks/optim/tune.py`).
    """

    readings: tuple[str, ...]
    damping: float
    rate: float

    @property
    def duration(self) -> float:
        """Of a run, tau."""
        return TIME_CONSTANTS / self.damping

    def settings(self, optimizer: str) -> dict[str, Any]:
        """Of an optimizer, by name."""
        natural = {"lr": self.rate, "damping": self.damping}
        return {
            "sgd": {"lr": 0.3},
            "adam": {"lr": 0.005},
            "ngd": natural,
            "tngd": {**natural, "duration": self.duration},
        }[optimizer]


PLANS = {
    "both": Plan(("refined", "bare"), 0.1, 0.2),
    "refined": Plan(("refined",), 0.1, 0.2),
    "bare": Plan(("bare",), 0.3, 0.3),
}
"""By `demo --reading`. NGD's best damping and rate; bare readings alone have its second best, within a standard error of them: with the
best damping no bare die trains."""
