"""The linear systems of the torch floors: checked records, no physics, each a `compiler.linear_system.LinearSystem`.

A device relaxes by dx/dt = -(A x - b), a process by the same drift. `Dense` gives A itself, `LowRank` gives A = J^T H J + damping I by its
factors, so that the N x N matrix is never formed (the three resistor arrays J, H, J^T of the paper), `Kronecker` gives A (x) B + damping I,
the form of a layer's K-FAC curvature, and `Implicit` gives J^T J + damping I with J known by its products alone.

Factors may be batches, with leading axes that broadcast; a device takes one system at a time, `ou.process.OU` takes batches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..circuits.errors import InputError
from ..compiler.factors import kronecker_factors, low_rank_factors
from ..compiler.linear_system import LinearSystem
from ..compiler.validate import check_damping, check_symmetric
from .checks import batch_of, check_alike, check_square, check_tensor
from .implicit_gram import ImplicitGram

DENSE_LIMIT = 20_000
"""Largest N for which the N x N matrix is written out (3.2 GB in float64)."""


@dataclass(frozen=True, eq=False)
class Dense:
    """A system given by its matrix.

    Args:
        A: (..., n, n) symmetric, float32 or float64. It need not be positive semi-definite: a device that is programmed with an indefinite
            matrix answers `Outcome.UNSTABLE`.
        floor: >= 0, where no eigenvalue is known to be below it, as of K + floor I with K a Gram matrix. It is taken at its word: by
            `IdealDevice` and a card's validity range, which then need not look for the eigenvalues, and by `Refined` for its error bound.
            0 says nothing.

    Raises:
        InputError: A is not a square, finite, symmetric floating-point matrix (the message names the first bad entry); floor negative
            or not finite.
    """

    A: Tensor
    floor: float = 0.0

    def __post_init__(self) -> None:
        check_square("A", self.A)
        check_symmetric("A", self.A)
        if not (math.isfinite(self.floor) and self.floor >= 0):
            raise InputError(f"floor is {self.floor}: give a finite number >= 0 that no eigenvalue of A is below")

    @property
    def size(self) -> int:
        """Number of unknowns n."""
        return self.A.shape[-1]

    @property
    def batch(self) -> torch.Size:
        """Shape of the leading axes."""
        return self.A.shape[:-2]

    @property
    def dtype(self) -> torch.dtype:
        """float32 or float64."""
        return self.A.dtype

    @property
    def device(self) -> torch.device:
        """Where the matrix is."""
        return self.A.device

    @property
    def damping(self) -> float:
        """0: none is known apart from A."""
        return 0.0

    def matvec(self, x: Tensor) -> Tensor:
        """A x for x of shape (..., n)."""
        return _times(self.A, x)

    def diagonal(self) -> Tensor:
        """The diagonal of A, (..., n)."""
        return self.A.diagonal(dim1=-2, dim2=-1)

    def dense(self) -> Tensor:
        """The matrix, (..., n, n)."""
        return self.A


@dataclass(frozen=True, eq=False)
class LowRank:
    """A = J^T H J + damping I, kept as its factors.

    Args:
        J: (..., k, N), float32 or float64, one row for each output of the batch.
        H: (..., k, k) symmetric, or None for the identity.
        damping: lambda >= 0, in the units of A.

    Raises:
        InputError: wrong shapes or types, an entry that is not finite, H not symmetric, damping negative or not finite.
    """

    J: Tensor
    H: Tensor | None = None
    damping: float = 0.0

    def __post_init__(self) -> None:
        check_tensor("J", self.J, 2)
        if self.H is not None:
            check_square("H", self.H)
            if self.H.shape[-1] != self.J.shape[-2]:
                raise InputError(
                    f"H has shape {tuple(self.H.shape)} but J {tuple(self.J.shape)}: H must be ({self.J.shape[-2]}, "
                    f"{self.J.shape[-2]}), or None for the identity"
                )
            check_alike("H", self.H, "J", self.J)
            check_symmetric("H", self.H)
        _ = self.batch
        check_damping(self.damping)

    @property
    def size(self) -> int:
        """Number of unknowns N."""
        return self.J.shape[-1]

    @property
    def batch(self) -> torch.Size:
        """Shape of the leading axes."""
        return _common(self.J, *([] if self.H is None else [self.H]))

    @property
    def dtype(self) -> torch.dtype:
        """float32 or float64."""
        return self.J.dtype

    @property
    def device(self) -> torch.device:
        """Where the factors are."""
        return self.J.device

    def matvec(self, x: Tensor) -> Tensor:
        """A x for x of shape (..., N), in O(k N)."""
        y = _times(self.J, x)
        if self.H is not None:
            y = _times(self.H, y)
        return _times(self.J.mT, y) + self.damping * x

    def diagonal(self) -> Tensor:
        """The diagonal of A, (..., N)."""
        HJ = self.J if self.H is None else self.H @ self.J
        return (self.J * HJ).sum(-2) + self.damping

    def dense(self) -> Tensor:
        """The matrix, (..., N, N). InputError above `DENSE_LIMIT` unknowns."""
        _check_dense(self.size)
        HJ = self.J if self.H is None else self.H @ self.J
        return self.J.mT @ HJ + self.damping * torch.eye(self.size, dtype=self.dtype, device=self.device)

    def factors(self) -> tuple[Any, ...]:
        """J^T, H, J (without H two), scipy sparse; InputError where H is not positive semi-definite, and of a batch."""
        return low_rank_factors(self.J, self.H)


@dataclass(frozen=True, eq=False)
class Kronecker:
    """A (x) B + damping I, kept as its factors: x = vec(X) row by row, (A (x) B) vec(X) = vec(A X B).

    Args:
        A: (..., p, p) symmetric, float32 or float64. B: (..., q, q) symmetric, of the same type.
        damping: lambda >= 0, in the units of A (x) B.
        floor: >= 0, where no eigenvalue of either factor is known to be below it, as of `factored_damping`; of each as that of a `Dense`
            where they are solved with one after the other. 0 says nothing.

    Raises:
        InputError: as `LowRank`; floor negative or not finite.
    """

    A: Tensor
    B: Tensor
    damping: float = 0.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        for name, factor in (("A", self.A), ("B", self.B)):
            check_square(name, factor)
            check_symmetric(name, factor)
        check_alike("B", self.B, "A", self.A)
        _ = self.batch
        check_damping(self.damping)
        if not (math.isfinite(self.floor) and self.floor >= 0):
            raise InputError(f"floor is {self.floor}: give a finite number >= 0 that no eigenvalue of A or B is below")

    @property
    def size(self) -> int:
        """Number of unknowns p q."""
        return self.A.shape[-1] * self.B.shape[-1]

    @property
    def batch(self) -> torch.Size:
        """Shape of the leading axes."""
        return _common(self.A, self.B)

    @property
    def dtype(self) -> torch.dtype:
        """float32 or float64."""
        return self.A.dtype

    @property
    def device(self) -> torch.device:
        """Where the factors are."""
        return self.A.device

    def matvec(self, x: Tensor) -> Tensor:
        """A x for x of shape (..., p q), in O(p q (p + q))."""
        X = x.reshape(*x.shape[:-1], self.A.shape[-1], self.B.shape[-1])
        return (self.A @ X @ self.B).flatten(-2) + self.damping * x

    def diagonal(self) -> Tensor:
        """The diagonal of A (x) B + damping I, (..., p q)."""
        a, b = (factor.diagonal(dim1=-2, dim2=-1) for factor in (self.A, self.B))
        return (a.unsqueeze(-1) * b.unsqueeze(-2)).flatten(-2) + self.damping

    def dense(self) -> Tensor:
        """The matrix, (..., p q, p q). InputError above `DENSE_LIMIT` unknowns."""
        _check_dense(self.size)
        entries = self.A[..., :, None, :, None] * self.B[..., None, :, None, :]
        product = entries.reshape(*entries.shape[:-4], self.size, self.size)
        return product + self.damping * torch.eye(self.size, dtype=self.dtype, device=self.device)

    @property
    def sides(self) -> tuple[int, int]:
        """(p, q)."""
        return self.A.shape[-1], self.B.shape[-1]

    def factors(self) -> tuple[Any, ...]:
        """A (x) 1 and 1 (x) B, scipy sparse; InputError where one is not positive semi-definite, and of a batch."""
        return kronecker_factors(self.A, self.B)


@runtime_checkable
class RowProducts(Protocol):
    """A (k, N) matrix J that is known by its products alone."""

    @property
    def shape(self) -> tuple[int, int]:
        """(k, N)."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of vectors of N."""

    def gram(self) -> Tensor:
        """J J^T, (k, k) float64."""

    def matvec(self, v: Tensor) -> Tensor:
        """J v for v (N,)."""

    def rmatvec(self, u: Tensor) -> Tensor:
        """J^T u for u (k,)."""


@dataclass(frozen=True, eq=False)
class Implicit:
    """A = J^T J + damping I with J known by its products: for devices that need no element of it.

    Args:
        J: (k, N).
        damping: lambda > 0.

    Raises:
        InputError: damping not positive or not finite; in `diagonal` and `dense`, always.
    """

    J: RowProducts
    damping: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.damping) and self.damping > 0):
            raise InputError(f"damping is {self.damping}: give a finite number > 0, or write J out as LowRank(J)")

    @property
    def size(self) -> int:
        """Number of unknowns N."""
        return self.J.shape[1]

    @property
    def batch(self) -> torch.Size:
        """No leading axes."""
        return torch.Size()

    @property
    def dtype(self) -> torch.dtype:
        """float32 or float64."""
        return self.J.dtype

    def matvec(self, x: Tensor) -> Tensor:
        """A x for x of shape (N,)."""
        return self.J.rmatvec(self.J.matvec(x)) + self.damping * x

    def diagonal(self) -> Tensor:
        """Not supported: InputError."""
        raise InputError("the diagonal of an Implicit system is not known: give LowRank(J, None, damping)")

    def dense(self) -> Tensor:
        """Not supported: InputError."""
        raise InputError("an Implicit system has no entries to write out: give LowRank(J, None, damping)")


def eigenvalue_floor(system: LinearSystem) -> float | None:
    """A number > 0 that no eigenvalue of A is below, from what is known without the eigenvalues of A; None: nothing is.

    The damping, less what negative eigenvalues of the factors can take off it: H's are at least mu, so J^T H J's at least
    min(0, mu) |J|_F^2.
    """
    if isinstance(system, Dense):
        floor = system.floor
    elif isinstance(system, Implicit | ImplicitGram):
        floor = system.damping
    elif isinstance(system, LowRank):
        least = 0.0 if system.H is None else min(0.0, float(torch.linalg.eigvalsh(system.H.double())[..., 0].min()))
        floor = system.damping + (least * float(system.J.double().square().sum()) if least < 0 else 0.0)
    elif isinstance(system, Kronecker):
        ends = [torch.linalg.eigvalsh(factor.double())[..., [0, -1]] for factor in (system.A, system.B)]
        floor = system.damping + min(0.0, float((ends[0].unsqueeze(-1) * ends[1].unsqueeze(-2)).min()))
    else:
        return None
    return floor if floor > 0 else None


def changes(system: LinearSystem) -> tuple[int, ...]:
    """How often each tensor of a system was written to in place: a program of it is that of another matrix once they differ."""
    parts = [part for part in getattr(system, "__dict__", {}).values() if isinstance(part, Tensor)]
    return tuple(0 if part.is_inference() else part._version for part in parts)


def norm_bound(system: LinearSystem) -> float:
    """A number that no eigenvalue of A is above in size: the largest row sum of |A|, of a low-rank A that of its Gram matrix."""
    if isinstance(system, Implicit | LowRank):
        gram = system.J.gram() if isinstance(system, Implicit) else system.J.double() @ system.J.double().mT
        if isinstance(system, LowRank) and system.H is not None:
            gram = gram.abs() @ system.H.double().abs()
        return _row_sum(gram) + system.damping
    if isinstance(system, Kronecker):
        return _row_sum(system.A) * _row_sum(system.B) + system.damping
    return _row_sum(system.dense())


def check_vector(name: str, value: Tensor, system: LinearSystem) -> None:
    """InputError unless `value` is a finite (n,) vector in the type of the system, which is no batch."""
    batch, dtype = getattr(system, "batch", ()), getattr(system, "dtype", getattr(value, "dtype", None))
    if tuple(batch):
        raise InputError(f"the system is a batch of shape {tuple(batch)}: a device takes one system at a time")
    if not isinstance(value, Tensor) or value.shape != (system.size,) or value.dtype != dtype:
        got = f"{tuple(value.shape)} {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
        raise InputError(f"{name} is {got}: the system takes a tensor of shape ({system.size},) and type {dtype}")
    check_tensor(name, value, 1)


def _row_sum(matrix: Tensor) -> float:
    """Largest sum of absolute values over a row."""
    return float(matrix.double().abs().sum(-1).max())


def _times(matrix: Tensor, x: Tensor) -> Tensor:
    """Matrices (..., m, n) times vectors (..., n)."""
    return x @ matrix.mT if matrix.dim() == 2 else (matrix @ x.unsqueeze(-1)).squeeze(-1)


def _common(*factors: Tensor) -> torch.Size:
    """Batch that the leading axes of matrices broadcast to."""
    return batch_of(*(factor.shape[:-2] for factor in factors))


def _check_dense(size: int) -> None:
    if size > DENSE_LIMIT:
        raise InputError(
            f"the dense matrix of {size} unknowns would hold {size**2:.1e} entries (at most {DENSE_LIMIT} unknowns): use matvec, or a "
            "device that takes the factors"
        )
