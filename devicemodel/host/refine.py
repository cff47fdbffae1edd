"""`Refined`: a device whose readings are corrected by the residual that a digital product shows.

    unit diagonal -> read at +b and at -b -> r = b - A x, digitally -> the same program solves A d = r -> x + d -> ...

What is left of a first reading's error, of codes, mismatch and settling, is an error of the operator, B for A^-1, and each round multiplies
it by I - B A. Nothing here solves a system: a round is one product with A, in double precision and with A as it was given, so that the
residual is an honest error bar,

    |x - A^-1 b| <= |b - A x| / floor

for a symmetric A without an eigenvalue below the floor > 0 (`systems.eigenvalue_floor`). Mixed-precision in-memory computing: M. Le Gallo
et al., Nature Electronics 1:246 (2018); of analog solvers: npj Unconventional Computing 2 (2025), s44335-025-00044-2.

Equilibrated. The device is programmed with D A D, D = diag(A)^-1/2, of unit diagonal, on its equal capacitors, and runs for max A_ii times
the duration (of coupled oscillators for the root of it times) in its own unit of time, which is about as much shorter: the seconds stay. So
the path from x0 to the solution is another one than that of A. (The compiler's `equilibrate` makes the capacitors unequal and keeps the
path, on a board made to order.)

Chopped. Half the difference of readings at b and at -b is free of every constant error and of even-order nonlinearity, and has half the
variance of one reading.

A batch of dies is refined side by side, each die with its own residual, rounds and outcome.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, TypeVar, cast, overload

import torch
from torch import Tensor

from ...circuits.errors import InputError, UnrealisableError
from ...compiler.linear_system import LinearSystem
from ...compiler.validate import check_damping
from ..checks import check_duration
from ..device import (
    BatchSolution,
    Device,
    DeviceBatch,
    Outcome,
    Refinement,
    RunRows,
    Solution,
    check_rows,
    order_of,
    solve_many,
)
from ..device_like import as_device
from ..systems import changes, check_vector
from .iterations import Iterated, Iteration, Product, flexible_cg, richardson
from .loaded import Loaded, load
from .readings import Readings

DeviceT = TypeVar("DeviceT", bound=Device | DeviceBatch, covariant=True)
METHODS: dict[str, Callable[[Product, Tensor, int, float], Iteration]] = {
    "richardson": richardson,
    "fcg": flexible_cg,
}
ROUNDS, MAX_ROUNDS = 2, 20
"""Rounds without a number and without a tolerance, and the most for a tolerance alone."""
SETTLED, SWUNG = 5.0, 7.1
"""Slowest time constants after which a circuit counts as settled, to e^-5 = 0.7 %; of oscillators as long, (1 + y) e^-y."""
SMALLEST_DRIVE = 1e-130
"""Of a drive's largest entry: the square of a residual of 1e-16 of it is still a double-precision number."""


def settling(floor: float, order: int = 1) -> float:
    """tau after which a mode of eigenvalue `floor` >= 0 counts as settled: `SETTLED` / floor; of oscillators, order 2, with the friction
    that is right for it `SWUNG` / sqrt(floor)."""
    if floor == 0:
        return math.inf
    return SETTLED / floor if order == 1 else SWUNG / math.sqrt(floor)


def settles(duration: float, floor: float, order: int = 1) -> bool:
    """Whether a run of `duration` tau is read at its end; never without a floor."""
    return floor > 0 and duration >= settling(floor, order)


class Refined(Generic[DeviceT]):
    """A `Device` that refines the readings of another one, or of all dies of a batch.

    Args:
        device: any device. It keeps its own analog state, which correction runs overwrite. Or a `DeviceBatch`, such as `DieBatch`:
            `solve` refines all of its dies in one call, each as `Refined` does a new device of that die.
        rounds: corrections after the first reading, at most. Default: 2, or with a tolerance 20.
        tolerance: |b - A x| / |b| at which to stop. None: after the rounds alone.
        chopped: read at b and at -b.
        equilibrate: program D A D. `Dense` systems are scaled exactly; a `LowRank` or `Kronecker` one of up to 4096 unknowns is written
            out for it, if the device takes a `Dense`. What cannot be scaled is programmed as it is (D A D of a damped product of factors
            has no such factors): an `Implicit`, larger systems, devices that take factors alone, a diagonal that is not positive.
            `Solution.refinement.equilibrated` says which.
        method: "richardson", or "fcg": flexible conjugate gradients with the device as preconditioner, for a stable device whose
            error is too large for Richardson's iteration.
        added_damping: >= 0, added to the diagonal of the programmed matrix (of ones, where it is equilibrated) and of no other: "fcg"
            goes on towards the system as it was given, with a device that would be unstable without it.
        deflation: m, number of eigenvectors of D A D, those of the largest eigenvalues, which are solved for digitally while the device
            holds the rest (`host.deflation`); for systems that are written out. Its products, some 3 m + 10 for a program and 4 m / n
            for a reading, are counted; 16 n m bytes are kept with the program.
        program_every: m: of new systems of one kind and size every m-th is programmed, and those in between are refined, by residuals
            of their own, with the program of an earlier one. One that does not converge so, in at most one round more than twice those of
            the system that was programmed, is programmed after all. For systems that change slowly from one to the next; with one
            device, which starts anew from a saved state.

    A `Solution` has the x of the smallest residual, and `refinement`; runs, seconds and violations are those of all readings. Its outcome
    is OK (EXTRAPOLATED) if the residual is within the tolerance, whatever a single reading clipped at; else that of a clipped reading, or
    `NOT_CONVERGED`. Without a tolerance a reading that is worse than x = 0, |b - A x| >= |b|, has not converged. `UNSTABLE` and
    `NOT_FINITE` are the device's: program it with more damping.

    Iteration stops early where three rounds brought no smaller residual, as at the device's noise.

    Raises:
        InputError: rounds < 0, a tolerance not in (0, 1), an unknown method, deflation < 0, program_every < 1, or above it with a
            batch; in `solve`, as the device, and where deflation finds no written-out system of more than m unknowns.
    """

    def __init__(
        self,
        device: DeviceT,
        rounds: int | None = None,
        tolerance: float | None = None,
        chopped: bool = True,
        equilibrate: bool = True,
        method: Literal["richardson", "fcg"] = "richardson",
        added_damping: float = 0.0,
        deflation: int = 0,
        program_every: int = 1,
    ) -> None:
        if rounds is not None and (not isinstance(rounds, int) or isinstance(rounds, bool) or rounds < 0):
            raise InputError(f"rounds is {rounds!r}: give an integer >= 0")
        if tolerance is not None and not (isinstance(tolerance, int | float) and 0 < tolerance < 1):
            raise InputError(f"tolerance is {tolerance!r}: give |b - A x| / |b| above 0 and below 1, such as 1e-3")
        if not (isinstance(chopped, bool) and isinstance(equilibrate, bool)):
            raise InputError(f"chopped is {chopped!r}, equilibrate is {equilibrate!r}: give True or False")
        if method not in METHODS:
            raise InputError(f"method is {method!r}: give one of {', '.join(map(repr, METHODS))}")
        check_damping(added_damping)
        if not isinstance(deflation, int) or isinstance(deflation, bool) or deflation < 0:
            raise InputError(f"deflation is {deflation!r}: give a number of eigenvectors >= 0")
        if not isinstance(program_every, int) or isinstance(program_every, bool) or program_every < 1:
            raise InputError(f"program_every is {program_every!r}: give a number of systems >= 1")
        if program_every > 1 and isinstance(device, DeviceBatch):
            raise InputError(
                f"program_every is {program_every} with a {type(device).__name__}, whose dies are new in each call: leave it out"
            )
        if isinstance(device, type) or not isinstance(device, DeviceBatch):
            # A card becomes a device here, and all else raises.
            device = cast("DeviceT", as_device(device))
        if isinstance(device, Refined):
            raise InputError("device is Refined: give the device that it refines")
        self.device: DeviceT = device
        self.rounds = (ROUNDS if tolerance is None else MAX_ROUNDS) if rounds is None else rounds
        self.tolerance, self.chopped, self.equilibrate, self.method = tolerance, chopped, equilibrate, method
        self.added_damping, self.deflation, self.program_every = added_damping, deflation, program_every
        self.order = order_of(device)
        self._served = 0  # systems that the loaded program was used for
        self._rounds = 0  # that the first of them took
        self._held: tuple[LinearSystem, tuple[int, ...]] | None = None  # with its changes, when it was loaded
        self._loaded: Loaded | None = None
        self._spent = 0  # products to be counted with the next solution
        self._drive: Tensor | None = None

    def accepts(self, system: LinearSystem) -> bool:
        """As the device; see `Device.accepts`."""
        return self.device.accepts(system)

    @overload
    def solve(
        self: Refined[Device], system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None
    ) -> Solution: ...

    @overload
    def solve(
        self: Refined[DeviceBatch],
        system: LinearSystem,
        b: Tensor,
        duration: float,
        x0: Tensor | None = None,
        seed: int = 0,
    ) -> BatchSolution: ...

    def solve(
        self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None, seed: int = 0
    ) -> Solution | BatchSolution:
        """Program the system once, read and refine; see `Device.solve`.

        Args:
            duration: of each run, in tau of A.
            x0: (n,) state of the cells before the first reading (-x0 before that at -b); None: zeros, since no earlier state is left.
            seed: of a batch's noise, as that of `SurrogateDevice`. Another device has its own.

        Raises:
            InputError: as the device's own `solve`; a b whose largest entry is below 1e-130 or above 1e130.
        """
        batch = self.device if isinstance(self.device, DeviceBatch) else None
        if batch is None and seed != 0:
            raise InputError(f"seed is {seed!r}: the noise of a {type(self.device).__name__} has a seed of its own")
        if not self.accepts(system):
            if batch is None:
                # The device says best what it takes.
                self._single().solve(system, b, duration, x0=x0)
            raise InputError(f"system is a {type(system).__name__}, which the device does not accept")
        check_vector("b", b, system)
        if x0 is not None:
            check_vector("x0", x0, system)
        starts = torch.zeros_like(b) if x0 is None else x0
        if batch is None:
            return self.solve_many(system, b.unsqueeze(0), duration, starts.unsqueeze(0))[0]
        loaded = self._loaded_with(system)
        run = batch.program(loaded.programmed, check_duration(duration) * loaded.stretch, seed)
        rows, spent = (len(batch), -1), [loaded.products_of_loading] * len(batch)
        found = self._refine(loaded, b.expand(rows), starts.expand(rows), run, spent, self.rounds)
        return BatchSolution.of([_programmed(one, True) for one in found])

    def solve_many(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> list[Solution]:
        """Program the system once and refine many readings together; see `device.solve_many`.

        The device is asked for the readings of one round of all drives in one call, so that they are in another order than those of as many
        calls of `solve`, which for a device with noise is another draw.
        """
        starts = check_rows(b, x0)
        for row, start in zip(b, starts, strict=True):
            check_vector("b", row, system)
            check_vector("x0", start, system)
        check_duration(duration)
        device, known = self._single(), self._holds(system)
        loaded = self._loaded_with(system)
        self._drive = b[-1] if len(b) else None
        rounds = self.rounds if self._served == 1 else min(self.rounds, 2 * self._rounds + 1)
        run = _one_device(device, loaded, duration)
        found = self._refine(loaded, b, starts, run, self._spent_by_first(len(b)), rounds)
        programmed = self._served == 1 and not known
        poor = [i for i, one in enumerate(found) if one.outcome not in (Outcome.OK, Outcome.EXTRAPOLATED)]
        if self._served > 1 and poor:
            # The program may be too old for it.
            loaded, programmed = self._load(system), True
            run, spent = _one_device(device, loaded, duration), self._spent_by_first(len(poor))
            for i, one in zip(poor, self._refine(loaded, b[poor], starts[poor], run, spent, self.rounds), strict=True):
                found[i] = _both(found[i], one)
            if any(found[i].outcome not in (Outcome.OK, Outcome.EXTRAPOLATED) for i in poor):
                # What is tried next is another system, such as one of more damping.
                self._served = self.program_every
        if self._served == 1:
            self._rounds = max((one.refinement.rounds for one in found if one.refinement is not None), default=0)
        return [_programmed(one, i == 0 and programmed) for i, one in enumerate(found)]

    def evolve(self, duration: float) -> Solution:
        """Read and refine once more with the loaded system and drive, runs of `duration` tau each. InputError when nothing is loaded."""
        device = self._single()
        if self._loaded is None or self._drive is None:
            raise InputError(
                "the device has no system and drive yet (they are not part of a saved state): call solve first"
            )
        drive, run = self._drive.unsqueeze(0), _one_device(device, self._loaded, check_duration(duration))
        return self._refine(self._loaded, drive, torch.zeros_like(drive), run, [0], self.rounds)[0]

    def state_dict(self) -> dict[str, Any]:
        """The device's own state."""
        return {"device": self._single().state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state of `state_dict`; the loaded system is not part of it. InputError for another one."""
        if "device" not in state:
            raise InputError("state lacks device: give what state_dict() of a Refined returned")
        self._single().load_state_dict(state["device"])
        self._held = self._loaded = self._drive = None
        self._served = 0

    def _single(self) -> Device:
        """The device, which keeps its state between calls. InputError for a batch, which keeps none."""
        if isinstance(self.device, DeviceBatch):
            raise InputError(f"device is a {type(self.device).__name__}, whose dies are new in each call: call solve")
        return cast("Device", self.device)

    def _loaded_with(self, system: LinearSystem) -> Loaded:
        if self._loaded is not None and self._holds(system):
            return self._loaded
        if self._loaded is None or self._served >= self.program_every or not self._loaded.serves(system):
            return self._load(system)
        self._held, self._served = (system, changes(system)), self._served + 1
        self._loaded = self._loaded.for_system(system)
        return self._loaded

    def _holds(self, system: LinearSystem) -> bool:
        return self._held is not None and self._held[0] is system and self._held[1] == changes(system)

    def _load(self, system: LinearSystem) -> Loaded:
        self._loaded = load(system, self.device, self.equilibrate, self.added_damping, self.deflation)
        self._held, self._served, self._spent = (system, changes(system)), 1, self._loaded.products_of_loading
        return self._loaded

    def _spent_by_first(self, count: int) -> list[int]:
        """Products of loading for each of the next solutions: those that were not counted yet, with the first one."""
        if not count:
            return []
        spent, self._spent = self._spent, 0
        return [spent, *[0] * (count - 1)]

    def _refine(
        self, loaded: Loaded, b: Tensor, x0: Tensor, run: RunRows, spent: Sequence[int], rounds: int
    ) -> list[Solution]:
        """Refined readings of rows of drives; `spent`: products that are counted with each."""
        drives, starts = b.detach().double(), x0.detach().double()
        for largest in drives.abs().amax(dim=1).tolist():
            if largest and not SMALLEST_DRIVE <= largest <= 1 / SMALLEST_DRIVE:
                raise InputError(
                    f"b has a largest entry of {largest:.3g}, whose residuals' squares are beyond double precision: scale it to between "
                    f"{SMALLEST_DRIVE:g} and {1 / SMALLEST_DRIVE:g}, and x with it"
                )
        readings = [Readings(loaded, row, start, self.chopped) for row, start in zip(drives, starts, strict=True)]
        # x = 0 has no residual where there is no drive.
        driven = [i for i, row in enumerate(drives) if bool(row.any())]
        method = METHODS[self.method]
        iterations = {i: method(loaded.product, drives[i], rounds, self.tolerance or 0.0) for i in driven}
        residuals = {i: next(iteration) for i, iteration in iterations.items()}
        ended: dict[int, Iterated] = {}
        dtype: torch.dtype = getattr(loaded.programmed, "dtype", torch.float64)
        while residuals:
            asked = [(i, *runs) for i, r in residuals.items() for runs in readings[i].runs(r)]
            rows, *parts = zip(*asked, strict=True)
            found = iter(run(rows, *(torch.stack(part).to(dtype) for part in parts)))
            for i in list(residuals):
                try:
                    residuals[i] = iterations[i].send(readings[i].reading(found))
                except StopIteration as end:
                    ended[i] = end.value
                    del residuals[i]
        return [self._solution(loaded, row, readings[i], ended.get(i), spent[i]) for i, row in enumerate(b)]

    def _solution(self, loaded: Loaded, b: Tensor, readings: Readings, found: Iterated | None, spent: int) -> Solution:
        if found is None:
            nothing = Refinement((0.0,), 0.0, spent, loaded.equilibrated)
            return Solution(torch.zeros_like(b), Outcome.OK, 0.0, 0, refinement=nothing)
        products = spent + found.products + loaded.products(readings.count) + readings.products
        x = found.x.to(dtype=b.dtype)
        residual = min(found.residuals, default=math.inf)
        bound = None
        if loaded.floor is not None and found.residuals:
            bound = residual * float(b.double().norm()) / loaded.floor + float((x.double() - found.x).norm())
        return Solution(
            x,
            self._outcome(readings, found.complete, residual),
            readings.seconds,
            readings.attempts,
            tuple(dict.fromkeys(readings.violations)),
            refinement=Refinement(found.residuals, bound, products, loaded.equilibrated),
            not_modelled=readings.not_modelled,
        )

    def _outcome(self, readings: Readings, complete: bool, residual: float) -> Outcome:
        met = readings.outcomes
        if not complete:
            return met[-1]
        good = Outcome.EXTRAPOLATED if Outcome.EXTRAPOLATED in met else Outcome.OK
        if self.tolerance is not None and residual <= self.tolerance:
            return good
        for clipped in (Outcome.OFFSET_CLIPPED, Outcome.CLIPPED):
            if clipped in met:
                return clipped
        return Outcome.NOT_CONVERGED if self.tolerance is not None or not residual < 1 else good


def _both(first: Solution, then: Solution) -> Solution:
    """The second solution, with what both took."""
    assert first.refinement is not None
    assert then.refinement is not None
    return dataclasses.replace(
        then,
        seconds=first.seconds + then.seconds,
        attempts=first.attempts + then.attempts,
        violations=tuple(dict.fromkeys((*first.violations, *then.violations))),
        refinement=dataclasses.replace(then.refinement, products=first.refinement.products + then.refinement.products),
    )


def _programmed(solution: Solution, programmed: bool) -> Solution:
    if not programmed or solution.refinement is None:
        return solution
    return dataclasses.replace(solution, refinement=dataclasses.replace(solution.refinement, programmings=1))


def _one_device(device: Device, loaded: Loaded, duration: float) -> RunRows:
    """The runs of all rows by one device, for `duration` tau of A."""

    def run(rows: Sequence[int], drives: Tensor, starts: Tensor) -> Sequence[Solution]:
        try:
            return solve_many(device, loaded.programmed, drives, duration * loaded.stretch, starts)
        except UnrealisableError as error:
            if not loaded.equilibrated:
                raise
            # Its entries and lambda* are not those of A.
            raise UnrealisableError(f"scaled to a unit diagonal, as it is programmed to be refined: {error}") from error

    return run
