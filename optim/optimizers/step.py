"""One step: the direction that was found, and the record of what it took."""

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
        cells: size of the system solved, 0 when it was not reached.
        analog_seconds: s, physical time of the device, delays included.
        attempts: runs of the device.
        digital_seconds: s, measured: forward, curvature, gradient, mapping and update (and the solution, where it is
            digital).
        device_seconds: s, measured: what simulating the device took.
        damping: lambda of the step.
        iterations: of an iterative solution, 0 for a direct one.
        fallbacks: positions, among all parameters, of those whose Jacobian was taken sample by sample for want of a direct form.
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
    """The preconditioned gradient x, shaped as the parameters (None: nothing to apply), and how it came about."""

    x: list[Tensor] | None
    outcome: Outcome
    cells: int
    analog_seconds: float = 0.0
    attempts: int = 0
    device_seconds: float = 0.0
    iterations: int = 0
