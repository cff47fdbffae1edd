"""Real curvature systems: those that a device had to solve while a network trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ...circuits.errors import InputError
from ...compiler.linear_system import LinearSystem
from ...devicemodel.device import Device, Solution
from ...devicemodel.devices.ideal import IdealDevice
from ...devicemodel.implicit_gram import ImplicitGram
from ...devicemodel.systems import Implicit, eigenvalue_floor
from ..tasks.task import Task
from .train import train


@dataclass(frozen=True, eq=False)
class CurvatureSystem:
    """One dual system of a training.

    Attributes:
        step: number of the step, from 0.
        matrix: A = lambda I + K, (k, k) float64.
        b: drive, (k,).
        start: initial state, (k,).
        floor: >= 0, lambda, which no eigenvalue of A is below; 0: not known.
    """

    step: int
    matrix: np.ndarray
    b: np.ndarray
    start: np.ndarray
    floor: float = 0.0


class RecordingDevice:
    """A device that passes every call on to another and records the systems of chosen calls.

    Args:
        device: the device to record.
        calls: numbers of the `solve` calls to record, from 0.

    Attributes:
        systems, solutions: of the recorded calls.
    """

    def __init__(self, device: Device, calls: set[int]) -> None:
        self.device, self.calls = device, calls
        self.systems: list[CurvatureSystem] = []
        self.solutions: list[Solution] = []
        self._count = 0

    def accepts(self, system: LinearSystem) -> bool:
        """Whether the device accepts the system, and it can be written out."""
        return not isinstance(system, Implicit | ImplicitGram) and self.device.accepts(system)

    def solve(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        """Solve, and record the system if this call was chosen. InputError for a system that is not accepted."""
        if isinstance(system, Implicit | ImplicitGram):
            raise InputError(
                f"system is an {type(system).__name__}: it has no entries to keep; give a Dense, a LowRank or a Kronecker"
            )
        solution = self.device.solve(system, b, duration, x0)
        if self._count in self.calls:
            start = (b * 0 if x0 is None else x0).detach().double().numpy()
            matrix = system.dense().detach().double().numpy()
            symmetric, floor = (matrix + matrix.T) / 2, eigenvalue_floor(system) or 0.0
            self.systems.append(CurvatureSystem(self._count, symmetric, b.detach().double().numpy(), start, floor))
            self.solutions.append(solution)
        self._count += 1
        return solution

    def evolve(self, duration: float) -> Solution:
        """Run on."""
        return self.device.evolve(duration)

    def state_dict(self) -> dict[str, Any]:
        """State of the device."""
        return self.device.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state of the device."""
        self.device.load_state_dict(state)


def curvature_systems(
    task: Task, steps: Sequence[int], batch: int | None, seed: int = 0, settings: Mapping[str, Any] | None = None
) -> list[CurvatureSystem]:
    """The dual systems of TNGD on the ideal device, at the given steps of a training.

    Args:
        task: the task.
        steps: step numbers, from 0.
        batch: samples of a step, or None as for `train`; a system has batch * (outputs - 1) unknowns for cross-entropy.
        seed: of weights and batches.
        settings: of `TNGD`, in place of those of `settings_for`; readings are bare and steps straight, so that a step has one
            system, which is the training's.

    Raises:
        InputError: no steps, or a negative one.
    """
    if not steps or min(steps) < 0:
        raise InputError(f"steps are {list(steps)}; give at least one step number >= 0")
    recorder = RecordingDevice(IdealDevice(), set(steps))
    chosen = {**(settings or {}), "reading": "bare", "geodesic": None}
    train(task, "tngd", max(steps) + 1, batch, seed, device=recorder, evaluate_every=0, settings=chosen)
    return recorder.systems
