"""Records of one step: the direction that was found, and what it took."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias

from torch import Tensor

from ...devicemodel.device import Outcome

Reading: TypeAlias = Literal["", "bare", "refined", "gradient"]
"""How the device was read. "gradient": no refined reading converged, and the gradient, over the largest row sum of |A|, took its place (in
one system at least)."""
_HELPED_BY_DAMPING = (Outcome.UNSTABLE, Outcome.OFFSET_CLIPPED, Outcome.NOT_CONVERGED)
"""Outcomes without a step that more damping may avoid."""
_MEASURED = ("device_seconds", "device_processor_seconds")
_OF_READINGS = ("reading", "retries", "rounds", "residual", "products", "programmings")


class Spent(NamedTuple):
    """Wall time and processor time of all threads of this process, s."""

    seconds: float = 0.0
    processor: float = 0.0

    @classmethod
    def now(cls) -> Spent:
        """Both clocks."""
        return cls(time.perf_counter(), time.process_time())

    def since(self, start: Spent) -> Spent:
        """From a reading of the clocks to this one."""
        return Spent(self.seconds - start.seconds, self.processor - start.processor)

    def and_also(self, other: Spent) -> Spent:
        """The sum of both."""
        return Spent(self.seconds + other.seconds, self.processor + other.processor)


def usable(outcome: Outcome) -> bool:
    """Whether a step may be taken with the reading: there is one, it depends on the drive, and is not known to be wrong."""
    return outcome.readable and outcome not in (Outcome.OFFSET_CLIPPED, Outcome.NOT_CONVERGED)


@dataclass(frozen=True)
class StepRecord:
    """What one step did.

    Attributes:
        loss: of the batch, before the update.
        outcome: of the device (OK for a digital solution). Parameters are updated only if it is `usable`.
        cells: size of the system that was solved; 0 if none was.
        analog_seconds: physical time of the device, delays included, s.
        attempts: number of runs of the device.
        digital_seconds: measured time of forward pass, curvature, gradient and update, and of a digital solution, s.
        device_seconds: measured time of simulating the device, s. device_processor_seconds: processor time of that, s.
        damping: lambda of the step.
        iterations: of an iterative solution; 0 for a direct one.
        fallbacks: positions of the parameters without a direct form, whose rows of M were written out.
        reading: how the device was read, see `Reading`; "" for a digital solution.
        retries: how often a refined reading was tried again with more damping, of the system that needed it most often.
        rounds, residual: of the refined readings, `Refinement`'s largest; 0 and None of bare ones.
        products: digital products with the systems' matrices. programmings: of the device, for refined readings (`Refinement`).
        length: t, share of lr x that was taken (`NaturalGradientConfig.line_search`); 0 where no length reduced the loss.
        trials: further evaluations of the closure, by a line search or for the acceleration.
        accelerated: whether the geodesic acceleration was part of the step.
    """

    loss: float
    outcome: Outcome
    cells: int
    analog_seconds: float
    attempts: int
    digital_seconds: float
    device_seconds: float
    device_processor_seconds: float = 0.0
    damping: float = 0.0
    iterations: int = 0
    fallbacks: tuple[int, ...] = ()
    reading: Reading = ""
    retries: int = 0
    rounds: int = 0
    residual: float | None = None
    products: int = 0
    programmings: int = 0
    length: float = 1.0
    trials: int = 0
    accelerated: bool = False

    @property
    def applied(self) -> bool:
        """Whether the parameters were updated."""
        return (usable(self.outcome) or self.reading == "gradient") and self.length > 0


@dataclass(frozen=True, eq=False)
class Direction:
    """The preconditioned gradient x, shaped as the parameters (None: nothing to apply), and what it took (fields as in `StepRecord`)."""

    x: list[Tensor] | None
    outcome: Outcome
    cells: int
    analog_seconds: float = 0.0
    attempts: int = 0
    device_seconds: float = 0.0
    device_processor_seconds: float = 0.0
    iterations: int = 0
    reading: Reading = ""
    retries: int = 0
    rounds: int = 0
    residual: float | None = None
    products: int = 0
    programmings: int = 0

    @property
    def needs_damping(self) -> bool:
        """Whether the device does not bear the damping of the step: it took more, or gave no reading for want of it."""
        return self.retries > 0 or (self.x is None and self.outcome in _HELPED_BY_DAMPING)

    def and_spent_on(self, other: Direction) -> Direction:
        """This direction, with what another solution of the same step took besides."""
        added = ("analog_seconds", "attempts", *_MEASURED, "iterations", "products", "programmings")
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in added})

    def of_readings(self) -> dict[str, Any]:
        """The fields of a `StepRecord` that tell how the device was read."""
        return {name: getattr(self, name) for name in _OF_READINGS}
