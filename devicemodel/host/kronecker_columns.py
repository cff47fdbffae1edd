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
from ..device import Device, Refinement, Solution, solve_many, worst
from ..systems import Dense, Kronecker, check_vector


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
    return Kronecker(A, B)


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
            preconditions it: `Refined(KroneckerColumns(device, True), method="fcg", chopped=False)` goes on to the solution.

    Raises:
        InputError: a device that takes no `Dense`; in `solve`, a damped system unless factored_damping.
    """

    def __init__(self, device: Device, factored_damping: bool = False) -> None:
        if isinstance(device, type) or not isinstance(device, Device):
            raise InputError(f"device is {device!r}: give a device, such as SurrogateDevice(card)")
        if not device.accepts(Dense(torch.eye(1, dtype=torch.float64))):
            raise InputError(
                f"device is a {type(device).__name__}, which takes no Dense(A): give one that is programmed with a matrix, such as "
                "SurrogateDevice(card)"
            )
        self.device, self.factored_damping = device, factored_damping
        self._loaded: tuple[LinearSystem, Dense, Dense] | None = None

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
        if not isinstance(system, Kronecker):
            raise InputError(f"system is a {type(system).__name__}: KroneckerColumns takes Kronecker(A, B, damping)")
        check_vector("b", b, system)
        if x0 is not None:
            check_vector("x0", x0, system)
        check_duration(duration)
        if self._loaded is None or self._loaded[0] is not system:
            self._loaded = system, *self._factors(system)
        _, A, B = self._loaded
        started = x0 is not None and bool(x0.any())
        G = b.reshape(A.size, B.size)
        rows = solve_many(self.device, B, G, duration, x0.reshape(G.shape) if x0 is not None and started else None)
        if not all(one.outcome.readable for one in rows):
            return _combined(torch.full_like(b, math.nan), rows)
        Y = torch.stack([one.x for one in rows]).mT.contiguous()
        columns = solve_many(self.device, A, Y, duration, Y if started else None)
        X = torch.stack([one.x for one in columns]).mT
        return _combined(X.reshape(-1), [*rows, *columns])

    def evolve(self, duration: float) -> Solution:
        """Not supported, since the states of all columns but the last are gone: InputError."""
        raise InputError("the columns are run one after another, and no state of them is held: call solve once more")

    def state_dict(self) -> dict[str, Any]:
        """The device's own state."""
        return {"device": self.device.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state of `state_dict`; the loaded system is not part of it. InputError for another one."""
        if "device" not in state:
            raise InputError("state lacks device: give what state_dict() of a KroneckerColumns returned")
        self.device.load_state_dict(state["device"])
        self._loaded = None

    def _factors(self, system: Kronecker) -> tuple[Dense, Dense]:
        floor = 0.0
        if system.damping > 0:
            if not self.factored_damping:
                raise InputError(
                    f"the system has the damping {system.damping:g}, and cannot be solved column by column: give "
                    "factored_damping(system), or KroneckerColumns(device, factored_damping=True) as a preconditioner"
                )
            floor, system = math.sqrt(system.damping), factored_damping(system)
        return Dense(system.A, floor=floor), Dense(system.B, floor=floor)


def _combined(x: Tensor, solutions: Sequence[Solution]) -> Solution:
    """x with what all runs took."""
    return Solution(
        x,
        worst(one.outcome for one in solutions),
        sum(one.seconds for one in solutions),
        sum(one.attempts for one in solutions),
        tuple(dict.fromkeys(text for one in solutions for text in one.violations)),
        refinement=_refinement([one.refinement for one in solutions if one.refinement is not None]),
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
