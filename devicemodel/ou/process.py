"""`OU`: a linear stochastic differential equation, and its exact laws.

    dx = (u(t) - A x) dt + dW,   <dW dW^T> = D dt

Each method chooses its way by the drift: functions of eigenvalues where the modes are independent (`spectral`, `low_rank`), matrices of one
step everywhere else (`general`). Nothing is a small-step approximation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real

import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...compiler.validate import check_symmetric
from ..checks import batch_of, check_alike, check_square, check_tensor
from ..systems import Dense, Kronecker, LowRank
from .doubling import Transition
from .gaussian import DENSE_LIMIT, Covariance, Gaussian
from .general import GeneralLaw
from .inertia import Inertia
from .low_rank import LowRankLaw
from .modes import law_of_matrix, law_of_product
from .recurrence import merged
from .spectral import SpectralLaw

Drift = Tensor | Dense | LowRank | Kronecker


@dataclass(frozen=True, eq=False)
class PiecewiseConstant:
    """A drive that jumps: values[i] until switches[i], the last one for ever.

    A delay is one switch: while a reading is on its way, the device runs on the old drive.

    Args:
        values: tensors (..., n), one more than switches.
        switches: times > 0, increasing, finite.
    """

    values: tuple[Tensor, ...]
    switches: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.values) != len(self.switches) + 1:
            raise InputError(
                f"{len(self.values)} values with {len(self.switches)} switches: give one value more than switches"
            )
        for before, now in zip((0.0, *self.switches), self.switches, strict=False):
            if not before < now < math.inf:
                raise InputError(f"switches are {self.switches}: give finite times > 0 in increasing order")

    def pieces(self, start: float, stop: float) -> Iterator[tuple[float, Tensor]]:
        """(end, value) of the pieces that cover start..stop; at least one."""
        for end, value in zip((*self.switches, math.inf), self.values, strict=True):
            if end > start:
                yield min(end, stop), value
                if end >= stop:
                    return


@dataclass(frozen=True, eq=False)
class OU:
    """A linear SDE dx = (u - A x) dt + dW with <dW dW^T> = D dt, or a batch of them.

    Time is in whatever unit A is the inverse of. Batches broadcast: dies are leading axes of `drift`, right-hand sides of `drive`,
    start states of the x0 given to the methods. Results have the type of the drift; what is computed once (propagators, covariances,
    functions of eigenvalues) is computed in float64 whatever that type, what is drawn in bulk runs in it. The tensors are not copied: a
    process stands for the numbers they held when first used.

    Args:
        drift: A, (..., n, n), float32 or float64, any square matrix; or a `Dense`, `LowRank` or `Kronecker` system.
        drive: u, (..., n), or `PiecewiseConstant`; None is no drive.
        diffusion: D, (..., n, n), symmetric positive semi-definite; or a number c >= 0 for c I, which factored drifts need. (The
            paper's N(0, 2 kappa0 dt) is D = 2 kappa0.)

    Raises:
        InputError: wrong shapes or types, an entry that is not finite, D not symmetric or with a negative eigenvalue.
    """

    drift: Drift
    drive: Tensor | PiecewiseConstant | None = None
    diffusion: Tensor | float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.drift, Tensor):
            check_square("drift", self.drift)
        elif not isinstance(self.drift, Dense | LowRank | Kronecker):
            raise InputError(
                f"drift is a {type(self.drift).__name__}: give a square matrix, or a Dense, LowRank or Kronecker system"
            )
        for u in self._drives:
            check_tensor("drive", u, 1)
            self._check_vector("drive", u)
        if isinstance(self.diffusion, Tensor):
            self._check_diffusion(self.diffusion)
        elif not (isinstance(self.diffusion, Real) and 0 <= self.diffusion < math.inf):
            raise InputError(f"diffusion is {self.diffusion!r}: give a finite number >= 0, or a matrix as a tensor")
        _ = self.batch

    @classmethod
    def of_system(
        cls, system: Dense | LowRank | Kronecker, drive: Tensor | PiecewiseConstant, kappa0: float = 0.0
    ) -> OU:
        """The law of an ideal device: dx = -(A x - b) dt + N(0, 2 kappa0 dt).

        Args:
            system: A, as a device is programmed with it.
            drive: b.
            kappa0: >= 0.

        Raises:
            InputError: another system; as `OU`.
        """
        if not isinstance(system, Dense | LowRank | Kronecker):
            raise InputError(f"system is a {type(system).__name__}: give a Dense, a LowRank or a Kronecker system")
        if not (isinstance(kappa0, Real) and 0 <= kappa0 < math.inf):
            raise InputError(f"kappa0 is {kappa0!r}: give a finite number >= 0")
        return cls(system, drive, 2 * kappa0)

    @classmethod
    def underdamped(
        cls,
        mass: Tensor,
        friction: Tensor,
        stiffness: Tensor,
        force: Tensor | None = None,
        diffusion: Tensor | None = None,
    ) -> OU:
        """M q'' + G q' + K q = f + white noise of the force, as the first-order system of the 2 n states (q, q').

        An LC circuit has q the fluxes of its nodes, M its capacitances, G its conductances and K its inverse inductances. At one
        temperature its diffusion is 2 kT G (Johnson, Nyquist), and the settled law is kT K^-1 for q and kT M^-1 for q'.

        Args:
            mass, friction, stiffness: M, G, K, (..., n, n); M invertible.
            force: f, (..., n); None is none.
            diffusion: covariance rate of the force's white noise, (..., n, n); None is none.

        Raises:
            InputError: wrong shapes or types; a mass that is singular up to the rounding of its type, whatever the units of its states.
        """
        for name, value in (("mass", mass), ("friction", friction), ("stiffness", stiffness)):
            check_square(name, value)
            if value.shape[-1] != mass.shape[-1]:
                raise InputError(
                    f"{name} has shape {tuple(value.shape)} but mass {tuple(mass.shape)}: they must be of one size"
                )
            check_alike(name, value, "mass", mass)
        n, eye = mass.shape[-1], torch.eye(mass.shape[-1], dtype=mass.dtype, device=mass.device)
        given = {"force": (force, (n,)), "diffusion": (diffusion, (n, n))}
        for name, (part, shape) in given.items():
            if part is not None:
                check_tensor(name, part, len(shape))
                if part.shape[-len(shape) :] != shape:
                    wanted = ", ".join(str(side) for side in shape)
                    raise InputError(f"{name} has shape {tuple(part.shape)}: the {n} states take (..., {wanted})")
                check_alike(name, part, "mass", mass)
        of_vectors = [force.shape[:-1]] if force is not None else []
        matrices = (mass, friction, stiffness) if diffusion is None else (mass, friction, stiffness, diffusion)
        batch_of(*of_vectors, *(value.shape[:-2] for value in matrices))
        inertia = Inertia(mass)
        restoring, losses = inertia.solve(stiffness), inertia.solve(friction)
        restoring, losses, speed, zero = torch.broadcast_tensors(restoring, losses, -eye, torch.zeros_like(eye))
        drift = torch.cat([torch.cat([zero, speed], -1), torch.cat([restoring, losses], -1)], -2)
        drive = None
        if force is not None:
            acceleration = inertia.solve(force.unsqueeze(-1)).squeeze(-1)
            drive = torch.cat([torch.zeros_like(acceleration), acceleration], -1)
        if diffusion is None:
            return cls(drift, drive)
        check_symmetric("diffusion", diffusion)
        intensity = inertia.solve(inertia.solve(diffusion).mT)
        return cls(drift, drive, torch.nn.functional.pad((intensity + intensity.mT) / 2, (n, 0, n, 0)))

    @property
    def size(self) -> int:
        """Number of states n."""
        return self.drift.shape[-1] if isinstance(self.drift, Tensor) else self.drift.size

    @property
    def dtype(self) -> torch.dtype:
        """float32 or float64."""
        return self.drift.dtype

    @property
    def device(self) -> torch.device:
        """Device on which the process is computed."""
        return self.drift.device

    @cached_property
    def batch(self) -> torch.Size:
        """Common batch shape of drift, drive and diffusion."""
        of_drift = self.drift.shape[:-2] if isinstance(self.drift, Tensor) else self.drift.batch
        noise = [self.diffusion.shape[:-2]] if isinstance(self.diffusion, Tensor) else []
        return batch_of(of_drift, *(u.shape[:-1] for u in self._drives), *noise)

    def transition(self, t: float) -> Transition:
        """x(t) = E x(0) + m + N(0, S) with E, (..., n, n), m and S as tensors.

        Args:
            t: > 0, finite. A piecewise drive starts at time 0.

        Raises:
            InputError: t out of range, or more than `DENSE_LIMIT` states (use `marginal`).
        """
        t = _time("t", t, settled=False)
        if self.size > DENSE_LIMIT:
            raise InputError(f"the propagator of {self.size} states is more than {DENSE_LIMIT} square: use marginal")
        law = self.marginal(torch.zeros(self.size, dtype=self.dtype, device=self.device), t)
        return Transition(self._law.propagator(t).to(self.dtype), law.mean, law.covariance)

    def stationary(self) -> Gaussian:
        """The settled law, under the last value of a piecewise drive.

        Raises:
            InputError: the drift has no settled state; the message gives its slowest eigenvalue.
        """
        return self.marginal(torch.zeros(self.size, dtype=self.dtype, device=self.device), math.inf)

    def marginal(self, x0: Tensor, t: float) -> Gaussian:
        """The law of x(t) from x(0) = x0.

        Args:
            x0: (..., n), in the type of the process.
            t: >= 0; math.inf is the settled law, whatever x0.
        """
        self._check_start(x0)
        t = _time("t", t)
        return self._gaussian(self._mean_at(x0, t), self._law.covariance(t), x0)

    def time_average(self, x0: Tensor, start: float, window: float) -> Gaussian:
        """The law of (1 / window) int x(t) dt over start..start + window from x(0) = x0: what an integrating reading sees.

        Args:
            x0: (..., n), in the type of the process.
            start: >= 0; math.inf averages the settled process.
            window: > 0, finite.
        """
        self._check_start(x0)
        start, window = _time("start", start), _time("window", window, settled=False)
        state, total = self._mean_at(x0, start), torch.zeros_like(x0, dtype=torch.float64)
        if math.isfinite(start):
            drive, now = self._schedule, start
        else:
            drive, now = PiecewiseConstant((self._drives[-1].double(),), ()), 0.0
        for end, u in drive.pieces(now, now + window):
            total = total + self._law.average(state, u, end - now) * ((end - now) / window)
            state, now = self._law.mean(state, u, end - now), end
        return self._gaussian(total, self._law.average_covariance(start, window), x0)

    def trajectory(self, x0: Tensor, step: float, count: int, generator: torch.Generator | None = None) -> Tensor:
        """One path from x(0) = x0, seen at step, 2 step, ..., count step: (..., count, n). Exact in law for any step.

        Args:
            x0: (..., n), in the type of the process; expand it for many paths.
            step: > 0.
            count: >= 1.
            generator: of the noise, on the CPU or on the device of the process; None where the diffusion is the number 0.
        """
        if not (isinstance(count, Integral) and count >= 1):
            raise InputError(f"count is {count!r}: give a whole number of steps >= 1")
        step = _time("step", step, settled=False)
        return self._path(x0, torch.full((count,), step, dtype=torch.float64, device="cpu"), generator)

    def trajectory_at(self, x0: Tensor, times: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One path from x(0) = x0, seen at the given times: (..., T, n).

        Drifts with independent modes take any grid at the same speed; others compute the matrices of each step that differs from
        the one before.

        Args:
            x0: (..., n), in the type of the process.
            times: (T,), >= 0, not decreasing.
            generator: as in `trajectory`.
        """
        check_tensor("times", times, 1)
        if times.dim() != 1:
            raise InputError(f"times has shape {tuple(times.shape)}: give one axis, (T,); many paths are axes of x0")
        grid = times.detach().cpu().double()
        steps = torch.diff(grid, prepend=torch.zeros_like(grid[:1]))
        if bool((steps < 0).any()):
            raise InputError("times must be one axis of numbers >= 0 that do not decrease: sort them")
        # the steps of a grid written in floating point differ by the rounding of its last entry
        return self._path(x0, merged(steps, 4 * torch.finfo(times.dtype).eps * float(grid[-1])), generator)

    @cached_property
    def _law(self) -> SpectralLaw | GeneralLaw:
        if isinstance(self.drift, Tensor | Dense):
            A = self.drift if isinstance(self.drift, Tensor) else self.drift.A
            return law_of_matrix(A, self.diffusion)
        if isinstance(self.diffusion, Tensor):
            raise InputError("a factored drift takes the same noise in every state: give diffusion as a number")
        if isinstance(self.drift, Kronecker):
            return law_of_product(self.drift, self.diffusion)
        if self.drift.J.shape[-2] < self.size:
            return LowRankLaw(self.drift, self.diffusion)
        J = self.drift.J.double()
        A = J.mT @ (J if self.drift.H is None else self.drift.H.double() @ J)
        damping = self.drift.damping * torch.eye(self.size, dtype=A.dtype, device=A.device)
        return law_of_matrix((A + A.mT) / 2 + damping, self.diffusion)

    @property
    def _drives(self) -> tuple[Tensor, ...]:
        if isinstance(self.drive, PiecewiseConstant):
            return self.drive.values
        if self.drive is None:
            return (torch.zeros(self.size, dtype=self.dtype, device=self.device),)
        return (self.drive,)

    @property
    def _schedule(self) -> PiecewiseConstant:
        switches = self.drive.switches if isinstance(self.drive, PiecewiseConstant) else ()
        return PiecewiseConstant(tuple(u.double() for u in self._drives), switches)

    def _mean_at(self, x0: Tensor, t: float) -> Tensor:
        state, now = x0.double(), 0.0
        for end, u in self._schedule.pieces(0.0, t):
            state, now = self._law.mean(state, u, end - now), end
        return state

    @torch.no_grad()
    def _path(self, x0: Tensor, steps: Tensor, generator: torch.Generator | None) -> Tensor:
        self._check_start(x0)
        quiet = not isinstance(self.diffusion, Tensor) and self.diffusion == 0
        if generator is None and not quiet:
            raise InputError("the process has noise: give a generator, torch.Generator().manual_seed(0)")
        generator = None if quiet else generator
        schedule, times = self._schedule, steps.cumsum(0)
        if not schedule.switches:
            return self._law.walk(x0, schedule.values[0], steps, generator)
        # Pieces of one shape, though a batch may come with a later drive only.
        x0 = x0.expand(*batch_of(self.batch, x0.shape[:-1]), self.size)
        stop, now, first, pieces = float(times[-1]), 0.0, 0, []
        for end, u in schedule.pieces(0.0, stop):
            last = len(times) if end >= stop else int(torch.searchsorted(times, end, right=True))
            inside, here = steps[first:last].clone(), last - first
            if here:
                inside[0] = times[first] - now
            reached = float(times[last - 1]) if here else now
            rest = steps.new_tensor([end - reached]) if end > reached else steps[:0]
            states = self._law.walk(x0, u, torch.cat([inside, rest]), generator)
            pieces.append(states[..., :here, :])
            x0, now, first = states[..., -1, :], end, last
        return torch.cat(pieces, dim=-2)

    def _gaussian(self, mean: Tensor, covariance: Covariance, x0: Tensor) -> Gaussian:
        shape = (*batch_of(self.batch, x0.shape[:-1]), self.size)
        return Gaussian(mean.to(self.dtype).expand(shape), covariance)

    def _check_vector(self, name: str, value: Tensor) -> None:
        if value.shape[-1] != self.size or value.dtype != self.dtype or value.device != self.device:
            raise InputError(
                f"{name} is {tuple(value.shape)} {value.dtype} on {value.device}: the process takes (..., {self.size}) {self.dtype} "
                f"on {self.device}"
            )

    def _check_start(self, x0: Tensor) -> None:
        check_tensor("x0", x0, 1)
        self._check_vector("x0", x0)
        try:
            batch_of(self.batch, x0.shape[:-1])
        except InputError:
            raise InputError(
                f"x0 has the batch {tuple(x0.shape[:-1])} but the process {tuple(self.batch)}: each axis must be 1 or equal, counted from "
                "the right"
            ) from None

    def _check_diffusion(self, D: Tensor) -> None:
        check_square("diffusion", D)
        self._check_vector("diffusion", D)
        check_symmetric("diffusion", D)
        values = torch.linalg.eigvalsh(D.detach().double())
        if bool((values[..., 0] < -1e3 * torch.finfo(D.dtype).eps * values[..., -1].abs()).any()):
            raise InputError(
                f"diffusion has the eigenvalue {float(values.min()):.3g}: a covariance has none below zero; check its signs"
            )


def _time(name: str, value: float, settled: bool = True) -> float:
    value = float(value)
    if not (value >= 0 if settled else 0 < value < math.inf):
        allowed = "a number >= 0, or math.inf" if settled else "a finite number > 0"
        raise InputError(f"{name} is {value}: give {allowed}")
    return value
