"""Settings of the demo: dies, seeds, sizes, optimizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

TECHNOLOGY = "integrated"
DIES = (1, 2, 3)
SEEDS = (0, 1, 2)
STEPS = 300
BATCH = 8
DAMPING = 0.3
DURATION = 20.0
"""tau: six times the slowest time constant 1 / damping."""
SETTINGS: dict[str, dict[str, Any]] = {
    "sgd": {"lr": 0.3},
    "adam": {"lr": 0.005},
    "ngd": {"lr": 0.3, "damping": DAMPING},
    "tngd": {"lr": 0.3, "damping": DAMPING, "duration": DURATION},
}
"""Settings of each optimizer, from the grid of `benchmarks/optim/tune_digits.py`; TNGD uses those of exact NGD.

For NGD, the second best, within a standard error of the best: with the best one's damping of 0.1 the calibrated dies do not train."""
SHOWN_IMAGES = 7
"""Images of the system that is shown: 7 images with 9 independent logit directions each are 63 unknowns."""
EVALUATE_EVERY = 20
Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""
