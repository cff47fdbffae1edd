"""What every device can do: the protocol that the optimizers see, and its answers.

Three devices share it: the exact law (`ideal`), the calibrated surrogate and SPICE. Time is in units of tau, x and b
are in problem units; a device keeps its analog state between calls, as the cells keep their charge.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from ..circuits.errors import InputError
from ..compiler.linear_system import LinearSystem


class Outcome(enum.Enum):
    """How a run of the device ended. Not an error of the caller: data to act on."""

    OK = "ok"
    """The reading is within the device's range."""
    CLIPPED = "clipped"
    """A cell or a converter is at the end of its range because of the drive, at the least level that was tried or that the DAC resolves:
    there is a reading, but a wrong one. Try more damping, or amplifiers and converters of a wider range."""
    OFFSET_CLIPPED = "clipped by offsets"
    """A cell or a converter is at the end of its range even for b = 0, by what offsets of amplifiers and DAC come to over a
    small eigenvalue: there is a reading, but it says nothing of b, and no smaller drive helps. Try more damping, parts of less offset, or
    a DAC of more bits."""
    EXTRAPOLATED = "extrapolated"
    """The reading is within the device's range, but the model was not calibrated for such a run. Try systems like this one in the
    calibration."""
    UNSTABLE = "unstable"
    """The programmed matrix has a growing mode. Try more damping, or finer programming."""
    NOT_CONVERGED = "not converged"
    """The residual |b - A x| / |b| of a refined reading is above the tolerance: there is a reading, the best of its rounds, but too wrong a
    one. Try more damping, more rounds, method="fcg", or finer programming."""
    NOT_FINITE = "not finite"
    """There is no settled state to read (a driven cell without restoring force). Try damping > 0, or a finite analog
    time."""

    @property
    def readable(self) -> bool:
        """True when `Solution.x` is a reading, if perhaps a clipped, an extrapolated or a bad one."""
        return self not in (Outcome.UNSTABLE, Outcome.NOT_FINITE)

    @property
    def clipped(self) -> bool:
        """True when a part was at the end of its range, whatever brought it there."""
        return self in (Outcome.CLIPPED, Outcome.OFFSET_CLIPPED)


_SEVERITY = [
    Outcome.OK,
    Outcome.EXTRAPOLATED,
    Outcome.CLIPPED,
    Outcome.OFFSET_CLIPPED,
    Outcome.NOT_CONVERGED,
    Outcome.UNSTABLE,
    Outcome.NOT_FINITE,
]


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The one that says most about a solution that is made of several readings; OK for none."""
    return max(outcomes, key=_SEVERITY.index, default=Outcome.OK)


@dataclass(frozen=True)
class Refinement:
    """How a refined reading came about (`host.refine`).

    Attributes:
        residuals: |b - A x| / |b| after the first reading and after each round, with A and b as given.
        bound: |x - A^-1 b| <= bound in the Euclidean norm, but for the rounding of the products with A; None: no floor of A is known.
        products: digital products with A.
        equilibrated: whether the matrix was programmed with a unit diagonal.
        programmings: systems that were programmed for it: 0 where a program that was there already served, for this system or, by
            `program_every`, for an earlier one.
    """

    residuals: tuple[float, ...]
    bound: float | None
    products: int
    equilibrated: bool
    programmings: int = 0

    @property
    def residual(self) -> float:
        """|b - A x| / |b| of the solution (before it is rounded to the type of b), the smallest of all; inf without a reading."""
        return min(self.residuals, default=math.inf)

    @property
    def rounds(self) -> int:
        """Corrections after the first reading."""
        return max(0, len(self.residuals) - 1)


@dataclass(frozen=True, eq=False)
class Solution:
    """One reading of a device.

    Attributes:
        x: (n,) the reading in problem units, of the type and shape of b. Meaningless unless `outcome.readable`.
        outcome: how the run ended.
        seconds: physical analog time of all attempts, s (inf for a settled run of a device without a clock).
        attempts: number of analog runs behind this reading (rescaling counts, and so does a run without drive).
        violations: what the run was outside of, of all that the device's card was calibrated for: a sentence for each bound; empty for a
            device without a card.
        error_bound: of the numerical error of x, in the Euclidean norm and without noise and quantisation; inf: not proven; None: the
            device computes none.
        refinement: of a refined reading; None for a bare one.
        products: digital products with A that the device's own host made for it, as for the bias of offset nulling; 0 for most. Of a
            refined reading they are among `refinement.products`.
        not_modelled: names of the physical effects that the device leaves out (`compiler.limitations`); empty for a device of one's own
            that states none.
        standard_error: (n,) of each entry of x, where it is an estimate from samples of noise (`devicemodel.sampling`); None: it is not.
    """

    x: Tensor
    outcome: Outcome
    seconds: float
    attempts: int = 1
    violations: tuple[str, ...] = ()
    error_bound: float | None = None
    refinement: Refinement | None = None
    products: int = 0
    not_modelled: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    standard_error: Tensor | None = None


@dataclass(frozen=True, eq=False)
class BatchSolution:
    """Readings of one system on many dies.

    Attributes:
        x: (dies, n), problem units; nan where a die is unstable.
        outcomes: one for each die.
        seconds: (dies,) physical analog time of all attempts, s. attempts: (dies,) analog runs that each took.
        violations: for each die what its run was outside of; see `Solution.violations`.
        refinements: one for each die, of refined readings; None for bare ones.
        not_modelled: see `Solution.not_modelled`.
    """

    x: Tensor
    outcomes: tuple[Outcome, ...]
    seconds: np.ndarray
    attempts: np.ndarray
    violations: tuple[tuple[str, ...], ...]
    refinements: tuple[Refinement | None, ...] | None = None
    not_modelled: tuple[str, ...] = ()

    @classmethod
    def of(cls, solutions: Sequence[Solution]) -> BatchSolution:
        """The solutions of refined dies, one for each."""
        unread = [not one.outcome.readable for one in solutions]
        x = torch.stack([one.x for one in solutions])
        x[torch.tensor(unread)] = math.nan
        return cls(
            x,
            tuple(one.outcome for one in solutions),
            np.array([one.seconds for one in solutions]),
            np.array([one.attempts for one in solutions]),
            tuple(one.violations for one in solutions),
            tuple(one.refinement for one in solutions),
            tuple(dict.fromkeys(effect for one in solutions for effect in one.not_modelled)),
        )

    def __repr__(self) -> str:
        dies, n = self.x.shape
        counts = ", ".join(f"{outcome.name} {count}" for outcome, count in Counter(self.outcomes).items())
        return f"BatchSolution({n} unknowns on {dies} dies; outcomes {counts})"


@runtime_checkable
class Device(Protocol):
    """A machine that relaxes by dx/dt = -(A x - b) + noise, or as coupled oscillators (`order_of`), and is read after a given time."""

    def accepts(self, system: LinearSystem) -> bool:
        """Whether the device can be programmed with a system of this kind, whatever its numbers are. `solve` raises for any other."""
        ...

    def solve(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        """Program the system, load the drive, run and read.

        Args:
            system: the matrix A, of n cells; of a kind that the device `accepts`.
            b: (n,) drive, in the type of the system.
            duration: tau; math.inf is the settled state.
            x0: (n,) initial state, of oscillators with x' = 0; None goes on from the present analog state (zeros at first, and after
                a change of n), of oscillators with the x' that they have.
        """
        ...

    def evolve(self, duration: float) -> Solution:
        """Let it run on for `duration` tau with the system and drive that are loaded, and read. InputError when nothing
        is loaded."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next `solve` depends on, as tensors and plain numbers (safe for
        torch.load(weights_only=True))."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state; the continuation is bit-exact."""
        ...


@runtime_checkable
class OfOrder(Protocol):
    """A device that says of which order its cells are; see `order_of`."""

    @property
    def order(self) -> int:
        """1, or 2."""
        ...


def order_of(device: Any) -> int:
    """2 for cells that are coupled oscillators, x'' + gamma x' + A x = b; 1 for those that relax, as of a device that does not say."""
    return device.order if isinstance(device, OfOrder) else 1


def stretched(duration: float, factor: float, order: int) -> float:
    """tau in which a circuit that holds A / `factor` does what it does in `duration` tau with A: relaxation takes 1 / A, a swing the root
    of that."""
    return duration * factor ** (1.0 / order)


@runtime_checkable
class SolvesMany(Protocol):
    """A device that takes many drives of one program at once; see `solve_many`."""

    def solve_many(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> list[Solution]:
        """One run for each row of b, with the solutions of as many calls of `solve`, one after the other."""
        ...


RunRows: TypeAlias = Callable[[Sequence[int], Tensor, Tensor], Sequence[Solution]]
"""Numbers of the rows, their drives and their start states, (m, n) each -> a solution for each: runs of one number follow one another, and
those of earlier calls."""


@runtime_checkable
class DeviceBatch(Protocol):
    """Many dies that are programmed together, each of which can be driven with a drive of its own."""

    def __len__(self) -> int:
        """Number of dies."""
        ...

    def accepts(self, system: LinearSystem) -> bool:
        """As `Device.accepts`."""
        ...

    def program(self, system: LinearSystem, duration: float, seed: int) -> RunRows:
        """New dies programmed with a system, for runs of `duration` tau and noise of a seed: a row's number is the die's place."""
        ...


def solve_many(
    device: Device, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None
) -> list[Solution]:
    """Program the system once and run it for many drives, by the device's own `solve_many` if it has one.

    The same solutions as m calls of `device.solve(system, b[i], duration, x0=x0[i])`, noise included: a run begins at its own start,
    the ranging memory goes on from run to run, and the device is left in the state of the last one.

    Args:
        device: any.
        system, duration: see `Device.solve`.
        b: (m, n) drives. x0: (m, n) initial states; None: zeros.

    Raises:
        InputError: b without two axes, x0 of another shape; else as `Device.solve`.
    """
    starts = check_rows(b, x0)
    if isinstance(device, SolvesMany):
        return device.solve_many(system, b, duration, starts)
    return [device.solve(system, row, duration, x0=start) for row, start in zip(b, starts, strict=True)]


def check_rows(b: Tensor, x0: Tensor | None) -> Tensor:
    """Start states (m, n) of drives b. InputError unless b has two axes and x0 the same shape."""
    if b.dim() != 2:
        raise InputError(f"b has shape {tuple(b.shape)}: give (m, n), one drive a row")
    if x0 is not None and x0.shape != b.shape:
        raise InputError(f"x0 has shape {tuple(x0.shape)} but b {tuple(b.shape)}: give one start state for each drive")
    return torch.zeros_like(b) if x0 is None else x0
