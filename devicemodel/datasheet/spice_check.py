"""Some of a data sheet's bare readings once more in ngspice: the same die, corner, temperature and run, without noise on either side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ..card import DeviceCard
from ..devices.spice import SpiceDevice
from ..devices.surrogate import SurrogateDevice
from ..systems import Dense
from .corners import CornerDie
from .readings import Task


class Repeated(NamedTuple):
    """A reading that is repeated.

    Attributes:
        task: system, corner and temperature. die: its seed. seconds: of the run.
    """

    task: Task
    die: int
    seconds: float


class Compared(NamedTuple):
    """|x - A^-1 b| / |A^-1 b| of both, and their difference over |A^-1 b|; nan: one of them has no reading."""

    surrogate: float
    spice: float
    difference: float


def repeated(job: Repeated) -> Compared:
    """The surrogate's reading and ngspice's, of the technology as it is at the corner: also what a card's fit got wrong shows.

    Raises:
        SimulatorMissing: there is no ngspice.
    """
    task, quiet = job.task, {"thermal__johnson_noise": False, "adc__noise": 0.0}
    technology = task.card.technology.replace(**quiet)
    card: DeviceCard = task.card.replace(technology=technology)
    die = CornerDie(technology, job.die, task.corner)
    tau, b = task.nominal().tau, torch.from_numpy(task.b)
    system = Dense(torch.from_numpy(task.matrix), task.floor or 0.0)
    seed, duration, start = task.conditions.seed, job.seconds / tau, torch.zeros_like(b)
    devices = (
        SurrogateDevice(card, die, seed, extrapolate=True),
        SpiceDevice(technology, die, card.fabric, johnson_noise=False, seed=seed),
    )
    found = [device.solve(system, b, duration, x0=start) for device in devices]
    if not all(one.outcome.readable for one in found):
        return Compared(math.nan, math.nan, math.nan)
    read, exact = [one.x.double().numpy() for one in found], np.linalg.solve(task.matrix, task.b)
    size = float(np.linalg.norm(exact))
    errors = [float(np.linalg.norm(x - exact)) / size for x in read]
    return Compared(errors[0], errors[1], float(np.linalg.norm(read[0] - read[1])) / size)


def chosen(errors: np.ndarray, count: int) -> list[int]:
    """Numbers of the readings that are repeated: that of the largest error, then others in equal distances.

    Args:
        errors: of all readings, (m,); nan: there is none.
    """
    there = np.flatnonzero(np.isfinite(errors))
    if not len(there) or count == 0:
        return []
    worst = int(there[np.argmax(errors[there])])
    spread = there[np.linspace(0, len(there) - 1, min(count, len(there))).round().astype(int)]
    return list(dict.fromkeys([worst, *map(int, spread)]))[:count]


def summary(compared: Sequence[Compared]) -> dict[str, Any]:
    """Plain data: how many, the rms and the largest difference, and both errors of each."""
    differences = np.array([one.difference for one in compared])
    known = differences[np.isfinite(differences)]
    return {
        "readings": len(compared),
        "without": int(len(differences) - len(known)),
        "rms_difference": float(np.sqrt(np.mean(known**2))) if len(known) else None,
        "largest_difference": float(known.max()) if len(known) else None,
        "surrogate_errors": [one.surrogate for one in compared],
        "spice_errors": [one.spice for one in compared],
    }
