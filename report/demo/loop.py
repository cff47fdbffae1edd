"""The stage that puts ngspice in the place of the surrogate, on systems that the trained die reached."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from ...circuits.parallel import parallel_map
from ...devicemodel.card import DeviceCard
from ...devicemodel.device import Device
from ...devicemodel.devices.spice import SpiceDevice
from ...devicemodel.devices.surrogate import SurrogateDevice
from ...devicemodel.host.refine import Refined
from ...devicemodel.systems import Dense
from ...optim.training.curvature_systems import CurvatureSystem
from .settings import DIES, Plan, Progress


def loop_stage(
    card: DeviceCard, systems: list[CurvatureSystem], plan: Plan, workers: int, report: Progress
) -> dict[str, Any]:
    """The systems once more, in ngspice and by the surrogate of the same die: a bare reading, or the first one of a refined solution."""
    first = "refined" in plan.readings

    def read(device: Device, system: CurvatureSystem) -> np.ndarray:
        A, b = Dense(torch.from_numpy(system.matrix)), torch.from_numpy(system.b)
        if first:
            return Refined(device, rounds=0).solve(A, b, plan.duration).x.numpy()
        return device.solve(A, b, plan.duration, x0=torch.from_numpy(system.start)).x.numpy()

    def compared(system: CurvatureSystem) -> dict[str, Any]:
        torch.set_num_threads(1)
        exact = np.linalg.solve(system.matrix, system.b)
        x, spent = {}, {}
        spice = SpiceDevice(card.technology, DIES[0], card.fabric, johnson_noise=False, timeout=600.0)
        for name, device in (("spice", spice), ("surrogate", SurrogateDevice(card, DIES[0], extrapolate=True))):
            begin = time.perf_counter()
            x[name] = read(device, system)
            spent[name] = time.perf_counter() - begin
        scale = float(np.linalg.norm(exact))
        errors = {name: (value - exact) / scale for name, value in x.items()}
        centred = errors["spice"] - errors["spice"].mean()
        left = errors["spice"] - errors["surrogate"]
        return {
            "step": system.step,
            "unknowns": len(exact),
            "spice_error": float(np.linalg.norm(errors["spice"])),
            "surrogate_error": float(np.linalg.norm(errors["surrogate"])),
            "difference": float(np.linalg.norm(left)),
            "explained": 1.0 - float(left @ left) / float(centred @ centred),
            "spice": x["spice"].tolist(),
            "surrogate": x["surrogate"].tolist(),
            "exact": exact.tolist(),
            "spice_seconds": spent["spice"],
            "surrogate_seconds": spent["surrogate"],
        }

    report("SPICE in the loop", 0, len(systems))
    done = parallel_map(compared, systems, workers, progress=lambda k, total: report("SPICE in the loop", k, total))
    reading = "first readings, with a unit diagonal and at +b and -b" if first else "bare readings"
    return {"die": DIES[0], "technology": card.technology.name, "reading": reading, "systems": list(done)}
