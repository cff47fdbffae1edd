"""`LinearSystem`: A x = b with a symmetric A that is known by what it does; shared by the compiler, the devices and the optimizers.

Arrays are whatever the implementation computes with (numpy, scipy.sparse, torch): this module needs none of them. The torch classes are
in `devicemodel.systems`.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class LinearSystem(Protocol):
    """A symmetric matrix A of n unknowns, or a batch of them (leading dimensions)."""

    @property
    def size(self) -> int:
        """Number of unknowns n."""
        ...

    @property
    def damping(self) -> float:
        """lambda >= 0, the multiple of the identity that is part of A; 0 where none is known."""
        ...

    def matvec(self, x: Any) -> Any:
        """A x for x of shape (..., n)."""
        ...

    def diagonal(self) -> Any:
        """The diagonal of A, (..., n)."""
        ...

    def dense(self) -> Any:
        """A written out, (..., n, n)."""
        ...


@runtime_checkable
class FactoredSystem(LinearSystem, Protocol):
    """A = F_1 F_2 ... F_m + damping I with A's factors at hand.

    One whose factors are A (x) 1 and 1 (x) B has an attribute `sides`, (p, q), besides: its parts are copies of A and B.
    """

    def factors(self) -> tuple[Any, ...]:
        """F_1, ..., F_m from left to right, each a sparse (scipy) matrix; positive semi-definiteness is checked here."""
        ...


def sides_of(system: FactoredSystem) -> tuple[int, ...]:
    """(p, q) of a Kronecker product; () of other systems."""
    p_and_q: tuple[int, ...] = getattr(system, "sides", ())
    return p_and_q
