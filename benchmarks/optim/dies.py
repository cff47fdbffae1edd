"""What the benchmarks of trained dies share: a card without a calibration, a device without a die, means with their intervals, a
line of progress."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats
from torch import Tensor

from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.device import Outcome, Solution
from thermograd.devicemodel.devices.ideal import IdealDevice


class NoDie(IdealDevice):
    """Reads what it is driven with: flexible CG preconditioned by it is plain CG."""

    def solve(self, system: Any, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        return Solution(b, Outcome.OK, 0.0)


def card_of_preset() -> DeviceCard:
    """That of the integrated preset."""
    return DeviceCard.uncalibrated(preset("integrated"))


def interval(values: Sequence[float] | np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Mean of independent values, and half the width of its interval by Student's t (nan for one value)."""
    found = np.asarray(values, dtype=float)
    if len(found) < 2:
        return float(found.mean()), math.nan
    error = found.std(ddof=1) / math.sqrt(len(found))
    return float(found.mean()), float(stats.t.ppf((1 + level) / 2, len(found) - 1) * error)


def counted(done: int, total: int) -> None:
    """Say how many runs are done, on one line."""
    print(f"\r{done} of {total} runs", end="", file=sys.stderr, flush=True)
