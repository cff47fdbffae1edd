"""How well a card predicts what it was not fitted to: SPICE's errors against the surrogate's, system by system."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..card import DeviceCard
from ..devices.surrogate import SurrogateDevice
from ..held_out import HeldOut
from ..systems import Dense
from .cases import Case


@dataclass(frozen=True)
class Comparison:
    """A held-out case: error vectors x - A^-1 b of SPICE and surrogate, relative to |A^-1 b|, (n,) each."""

    case: Case
    spice: np.ndarray
    surrogate: np.ndarray
    new_die: bool


@dataclass(frozen=True)
class Calibration:
    """A card and the held-out comparisons behind its figures."""

    card: DeviceCard
    comparisons: tuple[Comparison, ...]


def compare(case: Case, x: np.ndarray, card: DeviceCard, new_die: bool) -> Comparison:
    """A held-out case, of which SPICE read x (n,), on a surrogate of the card."""
    device = SurrogateDevice(card, case.die, seed=1)  # the noise must not be SPICE's own draw
    predicted = device.solve(Dense(torch.from_numpy(case.matrix)), torch.from_numpy(case.b), case.duration).x.numpy()
    scale = float(np.linalg.norm(case.solution))
    return Comparison(case, (x - case.solution) / scale, (predicted - case.solution) / scale, new_die)


def explained_variance(comparisons: Sequence[Comparison]) -> float:
    """1 - sum |e_spice - e_surrogate|^2 / sum |e_spice - mean(e_spice)|^2 over the comparisons; nan: nothing to explain; see `HeldOut`."""
    left = sum(float(np.sum((item.spice - item.surrogate) ** 2)) for item in comparisons)
    total = sum(float(np.sum((item.spice - item.spice.mean()) ** 2)) for item in comparisons)
    return 1.0 - left / total if total > 0 else math.nan


def summarised(comparisons: Sequence[Comparison]) -> HeldOut:
    """The figures of merit that the card records."""
    return HeldOut(
        systems=len(comparisons),
        explained_variance=explained_variance([item for item in comparisons if not item.new_die]),
        explained_variance_new_dies=explained_variance([item for item in comparisons if item.new_die]),
        spice_error=float(np.sqrt(np.mean([np.sum(item.spice**2) for item in comparisons]))),
        residual=float(np.sqrt(np.mean([np.sum((item.spice - item.surrogate) ** 2) for item in comparisons]))),
    )
