"""Records of one step: the direction that was found, and what it took."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...devicemodel.device import Outcome


@dataclass(frozen=True)
class StepRecord:
    """What one step did.

    Attributes:
        loss: of the batch, before the update.
        outcome: of the device (OK for a digital solution). Nothing was updated unless `outcome.readable`.
        cells: size of the system that was solved; 0 if none was.
        analog_seconds: physical time of the device, delays included, s.
        attempts: number of runs of the device.
        digital_seconds: measured time of forward pass, curvature, gradient and update, and of a digital solution, s.
        device_seconds: measured time of simulating the device, s.
        damping: lambda of the step.
        iterations: of an iterative solution; 0 for a direct one.
        fallbacks: positions of the parameters without a direct form, whose Jacobian was taken sample by sample.
    """

    loss: float
    outcome: Outcome
    cells: int
    analog_seconds: float
    attempts: int
    digital_seconds: float
    device_seconds: float
    damping: float = 0.0
    iterations: int = 0
    fallbacks: tuple[int, ...] = ()

    @property
    def applied(self) -> bool:
        """Whether the parameters were updated."""
        return self.outcome.readable


@dataclass(frozen=True, eq=False)
class Direction:
    """The preconditioned gradient x, shaped as the parameters (None: nothing to apply), and what it took (fields as in `StepRecord`)."""

    x: list[Tensor] | None
    outcome: Outcome
    cells: int
    analog_seconds: float = 0.0
    attempts: int = 0
    device_seconds: float = 0.0
    iterations: int = 0
