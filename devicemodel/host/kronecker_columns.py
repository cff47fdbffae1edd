"""`KroneckerColumns`: a Kronecker system on arrays that are as wide as its factors, solved column by column.

With x and b as (p, q) matrices X and G, row by row, (A (x) B) x = b is A X B = G:

    B y_i = g_i    one program, p runs: the rows of G
    A x_j = y_j    another one, q runs: the columns of Y

A damping of the whole, A (x) B + damping I, has no such form. Factored damping has (J. Martens and R. Grosse, arXiv 1503.05671,
section 6.3; on a device arXiv 2502.08603): with s = sqrt(damping) and pi^2 the ratio of the mean eigenvalues of B and of A,

    (A + s / pi I) (x) (B + pi s I) = (pi A + s I) (x) (B / pi + s I),

which is A (x) B + damping I + s (pi A (x) I + I (x) B / pi): another system, of more damping. On the right-hand side both factors have
the same mean eigenvalue and the same floor s, so that runs of one length suit both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...compiler.linear_system import LinearSystem
from ..checks import check_duration
from ..device import Device, Refinement, Solution, check_rows, order_of, solve_many, worst
from ..systems import Dense, Kronecker, changes, check_vector
from .loaded import Loaded, load


def factored_damping(system: Kronecker) -> Kronecker:
    """(pi A + s I) (x) (B / pi + s I) for A (x) B + damping I, s = sqrt(damping); see above.

    Args:
        system: of positive semi-definite factors. Where the trace of one is not positive, pi is 1.

    Raises:
        InputError: no damping.
    """
    if not system.damping > 0:
        raise InputError(f"damping is {system.damping}: factored damping is of a number > 0")
    s, (A, B) = math.sqrt(system.damping), (system.A, system.B)
    pi = trace_ratio(A.diagonal(), B.diagonal())
    A, B = pi * A, B / pi
    for factor in (A, B):
        factor.diagonal().add_(s)
    return Kronecker(A, B, floor=s)


def trace_ratio(a: Tensor, b: Tensor) -> float:
    """pi = sqrt(mean b / mean a), of the eigenvalues or the diagonals of A and B; 1 where a mean is not positive."""
    means = [float(one.double().mean()) for one in (a, b)]
    return math.sqrt(means[1] / means[0]) if min(means) > 0 else 1.0


class KroneckerColumns:
    """A `Device` for Kronecker systems that programs one factor at a time on another device.

    `Solution.refinement`, where that device is `Refined`: its residuals are the largest of any column's after each round, each with the
    factor that it was solved with; its products are those with a factor, for one column each. Violations, attempts and seconds are those
    of all runs, one after another; the outcome is the worst.

    Args:
        device: any that takes a `Dense`.
        factored_damping: True: a damped system A (x) B + damping I is answered with factored damping. That is not its solution, but
            preconditions it: `Refined(KroneckerColumns(device, True, True), method="fcg")` goes on to the solution.
        equilibrate: program each factor with a unit diagonal, D F D, for as many seconds, as `Refined` does; for a device that is not
            `Refined` itself.
        second: another array, for A, while `device` holds B: then both keep their programs. None: one device holds them in turn.

    Attributes:
        programmings: factors that were programmed so far.

    Raises:
        InputError: a device that takes no `Dense`, or two of different orders; in `solve`, a damped system unless factored_damping.
    """

    def __init__(
        self,
        device: Device,
        factored_damping: bool = False,
        equilibrate: bool = False,
        second: Device | None = None,
    ) -> None:
        for name, one in (("device", device), ("second", device if second is None else second)):
            if isinstance(one, type) or not isinstance(one, Device):
                raise InputError(f"{name} is {one!r}: give a device, such as SurrogateDevice(card)")
            if not one.accepts(Dense(torch.eye(1, dtype=torch.float64))):
                raise InputError(
                    f"{name} is a {type(one).__name__}, which takes no Dense(A): give one that is programmed with a matrix, such as "
                    "SurrogateDevice(card)"
                )
        self.second = device if second is None else second
        self.device, self.factored_damping, self.equilibrate = device, factored_damping, equilibrate
        if order_of(self.second) != order_of(device):
            raise InputError(
                "device and second have cells of different orders, so that no one duration suits both: give two of one kind"
            )
        self.order = order_of(device)
        self.programmings = 0
        self._loaded: tuple[LinearSystem, tuple[int, ...], Loaded, Loaded] | None = None

    def accepts(self, system: LinearSystem) -> bool:
        """True for `Kronecker` systems; see `Device.accepts`."""
        return isinstance(system, Kronecker)

    def solve(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        """Two programs, all rows with one and all columns with the other; see `Device.solve`.

        Args:
            duration: of each run, in tau of its factor.
            x0: (p q,) initial state of the rows' runs, from whose readings the columns' runs go on; so t = 0 reads x0. None: zeros for
                both, since no earlier state is left.

        Raises:
            InputError: as the device's own `solve`.
        """
        check_vector("b", b, system)
        if x0 is not None:
            check_vector("x0", x0, system)
        return self.solve_many(system, b.unsqueeze(0), duration, None if x0 is None else x0.unsqueeze(0))[0]

    def solve_many(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> list[Solution]:
        """Two programs for all drives, (m, p q): see `device.solve_many`. The runs of all with one, then those of all with the other."""
        if not isinstance(system, Kronecker):
            raise InputError(f"system is a {type(system).__name__}: KroneckerColumns takes Kronecker(A, B, damping)")
        starts = check_rows(b, x0)
        for row, start in zip(b, starts, strict=True):
            check_vector("b", row, system)
            check_vector("x0", start, system)
        check_duration(duration)
        if self._loaded is None or self._loaded[0] is not system or self._loaded[1] != changes(system):
            self._loaded = system, changes(system), *self._factors(system)
        _, _, A, B = self._loaded
        shape = (-1, system.A.shape[-1], system.B.shape[-1])
        G, X0 = b.reshape(shape), starts.reshape(shape)
        rows, Y = self._run(self.device, B, G, duration, X0)
        found = [_combined(torch.full_like(one, math.nan), some) for one, some in zip(b, rows, strict=True)]
        if kept := [i for i, some in enumerate(rows) if all(one.outcome.readable for one in some)]:
            Y = Y[kept].mT.contiguous()
            # A run that starts from zero does so with both factors.
            moving = X0[kept].flatten(1).any(dim=1)[:, None, None]
            columns, X = self._run(self.second, A, Y, duration, torch.where(moving, Y, 0.0))
            for i, some, x in zip(kept, columns, X.mT, strict=True):
                found[i] = _combined(x.reshape(-1), [*rows[i], *some])
        return found

    def evolve(self, duration: float) -> Solution:
        """Not supported, since the states of all columns but the last are gone: InputError."""
        raise InputError("the columns are run one after another, and no state of them is held: call solve once more")

    def state_dict(self) -> dict[str, Any]:
        """The device's own state, and the second one's."""
        second = {} if self.second is self.device else {"second": self.second.state_dict()}
        return {"device": self.device.state_dict(), **second}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state of `state_dict`; the loaded system is not part of it. InputError for another one."""
        known = (
            {"device": self.device} if self.second is self.device else {"device": self.device, "second": self.second}
        )
        if missing := [name for name in known if name not in state]:
            raise InputError(f"state lacks {missing[0]}: give what state_dict() of a KroneckerColumns returned")
        for name, device in known.items():
            device.load_state_dict(state[name])
        self._loaded = None

    def _factors(self, system: Kronecker) -> tuple[Loaded, Loaded]:
        if system.damping > 0:
            if not self.factored_damping:
                raise InputError(
                    f"the system has the damping {system.damping:g}, and cannot be solved column by column: give "
                    "factored_damping(system), or KroneckerColumns(device, factored_damping=True) as a preconditioner"
                )
            system = factored_damping(system)
        A, B = (
            load(Dense(one, floor=system.floor), self.device, self.equilibrate, 0.0, 0) for one in (system.A, system.B)
        )
        return A, B

    def _run(
        self, device: Device, factor: Loaded, drives: Tensor, duration: float, starts: Tensor
    ) -> tuple[list[list[Solution]], Tensor]:
        """One run with a factor for each row of the drives, (m, rows, n), and what was read, of the same shape."""
        self.programmings += 1
        n, dtype = drives.shape[-1], getattr(factor.programmed, "dtype", drives.dtype)
        flat = drives.reshape(-1, n)
        given, begin = factor.drive(flat).to(dtype), factor.start(starts.reshape(-1, n)).to(dtype)
        found = solve_many(device, factor.programmed, given, duration * factor.stretch, begin)
        x = factor.answer(flat, torch.stack([one.x for one in found])).to(drives.dtype)
        count = drives.shape[1]
        return [found[i : i + count] for i in range(0, len(found), count)], x.reshape(drives.shape)


def _combined(x: Tensor, solutions: Sequence[Solution]) -> Solution:
    """x with what all runs took."""
    return Solution(
        x,
        worst(one.outcome for one in solutions),
        sum(one.seconds for one in solutions),
        sum(one.attempts for one in solutions),
        tuple(dict.fromkeys(text for one in solutions for text in one.violations)),
        refinement=_refinement([one.refinement for one in solutions if one.refinement is not None]),
        products=sum(one.products for one in solutions),
        not_modelled=tuple(dict.fromkeys(effect for one in solutions for effect in one.not_modelled)),
    )


def _refinement(parts: Sequence[Refinement]) -> Refinement | None:
    if not parts:
        return None
    length = max(len(part.residuals) for part in parts)
    # The smallest so far: of a column that has stopped, and of one that diverges, that of its reading.
    reached = [[min(part.residuals[: k + 1], default=math.inf) for k in range(length)] for part in parts]
    return Refinement(
        tuple(max(column) for column in zip(*reached, strict=True)),
        None,
        sum(part.products for part in parts),
        all(part.equilibrated for part in parts),
        sum(part.programmings for part in parts),
    )
