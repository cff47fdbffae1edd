"""Dies of circuits that are not stacked: fresh `SurrogateDevice`s, one after the other.

A law of all states is of m = 4 to 6 states a cell, whose matrix products take most of a run's time, also of one die; and a network keeps
what its matrix has no entry for out of its law. Stacked with those of other dies they would gain little.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...circuits.technology.die import Die
from ...compiler.fabrics.base import Fabric
from ...compiler.linear_system import LinearSystem
from ..card import DeviceCard
from ..device import BatchSolution, RunRows, Solution
from ..devices.surrogate import SurrogateDevice
from ..estimate import Estimate
from .law import Parameter, parameters_of


def is_stacked(fabric: Fabric) -> bool:
    """Whether the dies of a fabric are computed together: arrays of first order."""
    return not (fabric.has_linear_law or fabric.keeps_sparse)


class OneByOne:
    """Dies of one card.

    Args:
        card, dies, extrapolate: see `DieBatch`.
    """

    def __init__(self, card: DeviceCard, dies: Sequence[Die], extrapolate: bool) -> None:
        self.card, self.dies, self.extrapolate = card, dies, extrapolate

    def solve(
        self,
        system: LinearSystem,
        b: np.ndarray,
        duration: float,
        start: np.ndarray,
        seed: int,
        given: Mapping[str, Parameter],
        progress: Callable[[int, int], None] | None,
    ) -> BatchSolution:
        """See `DieBatch.solve`; parameters that are `given` have no gradients.

        Raises:
            InputError: a parameter that asks for a gradient, or is out of range; else as `SurrogateDevice.solve`.
        """
        for name, value in given.items():
            if isinstance(value, Tensor) and value.requires_grad:
                raise InputError(
                    f"parameter {name} requires a gradient, which dies of fabric {self.card.fabric} do not have: give value.detach(), or "
                    "take a card of an array of first order, such as 'crossbar'"
                )
        values = parameters_of(self.card, given, torch.float64, len(self.dies))
        drive, begin, found = torch.from_numpy(b), torch.from_numpy(start), []
        for k, die in enumerate(self.dies):
            own = {name: float(values[name].expand(len(self.dies), 1)[k]) for name in given}
            card = self.card.model_copy(update={name: Estimate(value=one, std=0.0) for name, one in own.items()})
            device = SurrogateDevice(card, die.seed, seed, extrapolate=self.extrapolate)
            found.append(device.solve(system, drive, duration, x0=begin))
            if progress is not None:
                progress(k + 1, len(self.dies))
        return dataclasses.replace(BatchSolution.of(found), refinements=None)

    def program(self, system: LinearSystem, duration: float, seed: int) -> RunRows:
        """See `DieBatch.program`."""
        devices = [SurrogateDevice(self.card, die.seed, seed, extrapolate=self.extrapolate) for die in self.dies]

        def run(rows: Sequence[int], drives: Tensor, starts: Tensor) -> list[Solution]:
            return [
                devices[row].solve(system, b, duration, x0=x0) for row, b, x0 in zip(rows, drives, starts, strict=True)
            ]

        return run
