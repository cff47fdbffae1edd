"""Refined readings of an optimizer's systems, and what is done where one does not converge.

    refine (A + lambda I) x = b -> not converged: with more damping, twice -> x = b / (largest row sum of |A + lambda I|)

The last is a step of gradient descent that is no longer than one with the exact curvature along any direction could be.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ....compiler.linear_system import LinearSystem
from ....devicemodel.device import Device, Outcome, Solution, worst
from ....devicemodel.host.kronecker_columns import KroneckerColumns
from ....devicemodel.host.refine import Refined
from ....devicemodel.systems import norm_bound
from ..step import Direction, Reading, Spent, usable

TOLERANCE, ROUNDS = 1e-2, 8
"""Of a refined reading: |b - A x| / |b|, and the most corrections for it."""
RAISE, RETRIES = 4.0, 2
"""Factor of the damping of a further try, and number of such tries."""


def raised(damping: float, retries: int) -> float:
    """The damping of a solution that took so many further tries."""
    return damping * RAISE**retries


@dataclass(frozen=True, eq=False)
class Answer:
    """What the device made of one system, or of several (fields as in `Solution` and `StepRecord`)."""

    x: Tensor
    outcome: Outcome
    seconds: float
    attempts: int
    violations: tuple[str, ...] = ()
    reading: Reading = "bare"
    retries: int = 0
    rounds: int = 0
    residual: float | None = None
    products: int = 0
    programmings: int = 0

    @property
    def applies(self) -> bool:
        """Whether a step may be taken with x."""
        return self.reading == "gradient" or usable(self.outcome)

    def after(self, earlier: Answer) -> Answer:
        """This x, and what both took."""
        residuals = [one for one in (self.residual, earlier.residual) if one is not None]
        return Answer(
            self.x,
            worst((self.outcome, earlier.outcome)),
            self.seconds + earlier.seconds,
            self.attempts + earlier.attempts,
            tuple(dict.fromkeys((*earlier.violations, *self.violations))),
            "gradient" if "gradient" in (self.reading, earlier.reading) else self.reading,
            max(self.retries, earlier.retries),
            max(self.rounds, earlier.rounds),
            max(residuals, default=None),
            self.products + earlier.products,
            self.programmings + earlier.programmings,
        )


class Columns(NamedTuple):
    """The devices of Kronecker systems that are read column by column: as they are, refined, and what is programmed for the latter."""

    bare: Device
    refined: Device
    programmed: KroneckerColumns


def by_columns(device: Device, refining: Refined[Device], factored: bool) -> Columns:
    """Devices that solve a layer's system by columns.

    Args:
        refining: of the device, with the options of refined readings.
        factored: whether the system has factored damping, and each column is refined with its factor. False: each reading of all columns
            preconditions the system as it is, to which `refining`'s rounds go.
    """
    bare = KroneckerColumns(device)
    if factored:
        columns = KroneckerColumns(refining)
        return Columns(bare, columns, columns)
    columns = KroneckerColumns(refining.device, factored_damping=True, equilibrate=refining.equilibrate)
    further = Refined(
        columns,
        refining.rounds,
        refining.tolerance,
        chopped=refining.chopped,
        method=refining.method if device is refining else "fcg",
        added_damping=refining.added_damping,
        deflation=refining.deflation,
    )
    return Columns(bare, further, columns)


def as_it_is(found: Solution) -> Answer:
    """A bare reading."""
    return Answer(found.x, found.outcome, found.seconds, found.attempts, found.violations, products=found.products)


def averaged(
    device: Device, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None, reads: int, interval: float
) -> Answer:
    """The mean of bare readings along one run, with the worst of their outcomes; those after a reading that is not usable are left out.

    Args:
        b: (n,). x0: (n,) start; None: the state that the device is in.
        duration: tau, until the first of `reads` readings; `interval`: tau, from one to the next.
    """
    first = device.solve(system, b, duration, x0=x0)
    total, seconds, attempts, outcome = first.x, first.seconds, first.attempts, first.outcome
    violations = first.violations
    for _ in range(reads - 1):
        if not usable(outcome):
            break
        late = device.evolve(interval)
        total, seconds, attempts = total + late.x, seconds + late.seconds, attempts + late.attempts
        outcome, violations = worst((outcome, late.outcome)), (*violations, *late.violations)
    return Answer(total / reads, outcome, seconds, attempts, tuple(dict.fromkeys(violations)), products=first.products)


def refined(
    device: Device, system_at: Callable[[float], LinearSystem], b: Tensor, damping: float, duration: float
) -> Answer:
    """A refined reading of (A + damping I) x = b, with more damping, or the scaled gradient.

    Args:
        device: whose solutions have a `Refinement`.
        system_at: the system for a damping.
        b: (n,). duration: of each run, tau.
    """
    total = Answer(b, Outcome.OK, 0.0, 0)
    for retries in range(1 + (RETRIES if damping > 0 else 0)):
        found = device.solve(system_at(raised(damping, retries)), b, duration)
        assert found.refinement is not None
        total = Answer(
            found.x,
            found.outcome,
            total.seconds + found.seconds,
            total.attempts + found.attempts,
            tuple(dict.fromkeys((*total.violations, *found.violations))),
            "refined",
            retries,
            found.refinement.rounds,
            found.refinement.residual,
            total.products + found.refinement.products,
            total.programmings + found.refinement.programmings,
        )
        if found.outcome in (Outcome.OK, Outcome.EXTRAPOLATED):
            return total
    return dataclasses.replace(total, x=b / norm_bound(system_at(damping)), reading="gradient")


def direction_of(x: list[Tensor] | None, answer: Answer, cells: int, spent: Spent) -> Direction:
    """The direction x with what its answer took."""
    return Direction(
        x,
        answer.outcome,
        cells,
        answer.seconds,
        answer.attempts,
        spent.seconds,
        spent.processor,
        reading=answer.reading,
        retries=answer.retries,
        rounds=answer.rounds,
        residual=answer.residual,
        products=answer.products,
        programmings=answer.programmings,
    )
