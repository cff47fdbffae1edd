"""The stage that refines the readings of one system, in ngspice and by the surrogate of the same dies."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...circuits.parallel import parallel_map
from ...compiler.linear_system import LinearSystem
from ...devicemodel.card import DeviceCard
from ...devicemodel.device import Device, Outcome, Solution
from ...devicemodel.devices.ideal import IdealDevice
from ...devicemodel.devices.spice import SpiceDevice
from ...devicemodel.devices.surrogate import SurrogateDevice
from ...devicemodel.host.refine import Refined
from ...devicemodel.systems import Dense
from ...optim.tasks.digits import digits
from ...optim.training.curvature_systems import curvature_systems
from .settings import DIES, Plan, Progress

IMAGES, STEP = 3, 100
"""Of the system: 27 unknowns, a size that ngspice simulates in a second, once the network has learnt."""
ROUNDS = 4
SPREAD = 20
"""Dies of the surrogate."""


class NoDie(IdealDevice):
    """The control: reads what it is driven with, so that flexible CG is plain CG on the unit-diagonal matrix."""

    def solve(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        """b itself."""
        return Solution(b, Outcome.OK, 0.0)


class Once:
    """A device without noise that repeats what it has read: after k + 1 rounds it is asked first what it was after k.

    Args:
        device: whose answers are kept, by the drive; for one system.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self._known: dict[bytes, Solution] = {}

    def accepts(self, system: LinearSystem) -> bool:
        """As the device."""
        return self.device.accepts(system)

    def solve(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        """The device's answer, from before if there is one."""
        key = b.numpy().tobytes()
        if key not in self._known:
            self._known[key] = self.device.solve(system, b, duration, x0)
        return self._known[key]

    def evolve(self, duration: float) -> Solution:
        """Run on."""
        return self.device.evolve(duration)

    def state_dict(self) -> dict[str, Any]:
        """Of the device."""
        return self.device.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Of the device."""
        self.device.load_state_dict(state)


def refinement_stage(card: DeviceCard, plan: Plan, workers: int, report: Progress) -> dict[str, Any]:
    """Errors |x - A^-1 b| / |A^-1 b| of one system: bare, and refined after each round."""
    [system] = curvature_systems(digits(), [STEP], IMAGES, settings=plan.settings("tngd"))
    exact = np.linalg.solve(system.matrix, system.b)
    A, b = Dense(torch.from_numpy(system.matrix), floor=plan.damping), torch.from_numpy(system.b)
    scaling = np.diag(system.matrix) ** -0.5

    def errors(device: Device, method: Any = "richardson") -> dict[str, Any]:
        found = [Refined(device, rounds=k, method=method).solve(A, b, plan.duration) for k in range(1 + ROUNDS)]
        last = found[-1].refinement
        assert last is not None
        return {
            "errors": [float(np.linalg.norm(one.x.numpy() - exact) / np.linalg.norm(exact)) for one in found],
            "residual": last.residual,
            "bound": None if last.bound is None else last.bound / float(np.linalg.norm(exact)),
            "runs": found[-1].attempts,
        }

    def one(job: tuple[str, int]) -> dict[str, Any]:
        torch.set_num_threads(1)
        kind, die = job
        device: Device
        if kind == "spice":
            device = SpiceDevice(card.technology, die, card.fabric, johnson_noise=False, timeout=600.0)
        else:
            device = SurrogateDevice(card, die, extrapolate=True)
        bare = device.solve(A, b, plan.duration, x0=torch.zeros_like(b))
        off = float(np.linalg.norm(bare.x.numpy() - exact) / np.linalg.norm(exact))
        return {"kind": kind, "die": die, "bare": off, **errors(Once(device))}

    jobs = [("spice", die) for die in DIES] + [("surrogate", die) for die in range(1, 1 + SPREAD)]
    report("refined readings", 0, len(jobs))
    dies = list(parallel_map(one, jobs, workers, progress=lambda k, n: report("refined readings", k, n)))
    return {
        "technology": card.technology.name,
        "step": system.step,
        "unknowns": len(exact),
        "damping": plan.damping,
        "condition": float(np.linalg.cond(system.matrix)),
        "scaled_condition": float(np.linalg.cond(system.matrix * np.outer(scaling, scaling))),
        "dies": dies,
        "control": errors(NoDie(), "fcg")["errors"],
    }
