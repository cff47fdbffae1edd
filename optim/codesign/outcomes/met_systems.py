"""The systems that a device meets in training, and what a die was driven with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ....circuits.errors import InputError
from ....compiler.linear_system import LinearSystem
from ....devicemodel.device import Device, Solution, order_of, solve_many
from ....devicemodel.devices.ideal import IdealDevice
from ....devicemodel.implicit_gram import ImplicitGram
from ....devicemodel.systems import Implicit, eigenvalue_floor
from ...tasks.task import Task
from ...training.train import train

LARGEST = 4096
"""Unknowns of a system that is written out: 128 MiB."""
KEPT = 24
"""Trainings whose systems a process keeps."""
_OF_DEVICES = ("reads", "read_interval", "delay_time", "reset", "program_every", "curvature_age", "curvature_every")
"""Settings of TNGD without a meaning for an exact solution."""


@dataclass(frozen=True, eq=False)
class MetSystem:
    """One system that a device was programmed with, and its first drive.

    Attributes:
        step: of the training, from 0.
        matrix: A, (k, k) float64. b: drive, (k,). start: initial state, (k,).
        duration: of the run, tau.
        floor: which no eigenvalue of A is below; 0: not known.
    """

    step: int
    matrix: Tensor
    b: Tensor
    start: Tensor
    duration: float
    floor: float

    @property
    def exact(self) -> Tensor:
        """A^-1 b."""
        return torch.linalg.solve(self.matrix, self.b)


class MeetingDevice:
    """A device that passes every call on to another one, and keeps the systems of some steps.

    Args:
        device: a device. steps: numbers of the steps, from 0, whose systems are kept, each with its first drive.

    Attributes:
        met: the kept systems. step: number of the present step, which a training's callback sets.
    """

    def __init__(self, device: Device, steps: Sequence[int]) -> None:
        self.device, self.steps = device, frozenset(steps)
        self.met: list[MetSystem] = []
        self.step = 0
        self._last: LinearSystem | None = None

    @property
    def order(self) -> int:
        """Of the device's cells."""
        return order_of(self.device)

    @property
    def card(self) -> Any:
        """Of the device, by which hardware is priced."""
        return getattr(self.device, "card", self.device)

    def accepts(self, system: LinearSystem) -> bool:
        """Whether the device accepts it, and it can be written out."""
        return not isinstance(system, Implicit | ImplicitGram) and self.device.accepts(system)

    def solve(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        """Solve, and keep the system if it is a new one of a chosen step. InputError for one that is too large to be written out."""
        self._meet(system, b, duration, x0)
        return self.device.solve(system, b, duration, x0)

    def solve_many(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> list[Solution]:
        """As `solve`, of many drives, with the first of them."""
        if len(b):
            self._meet(system, b[0], duration, None if x0 is None else x0[0])
        return solve_many(self.device, system, b, duration, x0)

    def _meet(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None) -> None:
        if self.step in self.steps and system is not self._last:
            if len(b) > LARGEST:
                raise InputError(
                    f"a system of {len(b)} unknowns is not written out (at most {LARGEST}): give tngd.system = dual or kfac, or "
                    "a smaller batch"
                )
            matrix = system.dense().detach().cpu().double()
            start = torch.zeros_like(b) if x0 is None else x0
            floor = eigenvalue_floor(system) or 0.0
            kept = [one.detach().cpu().double().clone() for one in ((matrix + matrix.mT) / 2, b, start)]
            self.met.append(MetSystem(self.step, kept[0], kept[1], kept[2], duration, floor))
        self._last = system

    def evolve(self, duration: float) -> Solution:
        """Run on."""
        return self.device.evolve(duration)

    def state_dict(self) -> dict[str, Any]:
        """State of the device."""
        return self.device.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state of the device."""
        self.device.load_state_dict(state)


def exact_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of TNGD with which the ideal device makes the exact natural gradient of the same training."""
    kept = {name: value for name, value in settings.items() if name not in _OF_DEVICES}
    # A system without factored damping has no other reading.
    reading = "bare" if kept.get("factored_damping", True) else "refined"
    return {**kept, "reading": reading, "duration": math.inf}


def systems_of_exact_ngd(
    task: Task, batch: int | None, seed: int, steps: Sequence[int], settings: Mapping[str, Any]
) -> list[MetSystem]:
    """The systems that exact NGD meets at these steps of a training.

    Args:
        batch, seed: as `train`. steps: numbers, from 0. settings: of TNGD, in place of those of the task's plan.

    Raises:
        InputError: as `train`; a system that is too large to be written out; none was solved.
    """
    meeting = MeetingDevice(IdealDevice(), steps)

    def count(done: int, _: Any) -> None:
        meeting.step = done

    chosen = exact_settings(settings)
    train(task, "tngd", max(steps) + 1, batch, seed, meeting, callbacks=[count], evaluate_every=0, settings=chosen)
    if not meeting.met:
        raise InputError(
            f"exact NGD solved no system at the steps {list(steps)} of {task.name}: its loss was not finite there; give a higher "
            "tngd.damping, a lower tngd.lr, or earlier steps"
        )
    return meeting.met
