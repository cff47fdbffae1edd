"""The linear systems a device can be programmed with: checked records, no physics.

A device relaxes by dx/dt = -(A x - b). `Dense` gives A itself, `LowRank` gives A = J^T H J + damping I by its factors,
so that the N x N matrix is never formed (the three resistor arrays J, H, J^T of the paper), and `Kronecker` gives
A (x) B + damping I, the form of a layer's K-FAC curvature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..circuits.errors import InputError
from ..compiler.factors import kronecker_factors, low_rank_factors
from ..compiler.validate import check_symmetric

DENSE_LIMIT = 20_000
"""Largest N for which `LowRank.dense()` forms the N x N matrix (3.2 GB in float64)."""


@dataclass(frozen=True, eq=False)
class Dense:
    """A system given by its matrix.

    Args:
        A: (n, n) symmetric matrix, float32 or float64. Positive semi-definiteness is the device's business: a device
            given an indefinite matrix answers `Outcome.UNSTABLE`.
        floor: >= 0, where no eigenvalue is known to be below it, as of K + floor I with K a Gram matrix. It is taken at its word, by
            `IdealDevice` alone, which then need not look for the eigenvalues; 0 says nothing.

    Raises:
        InputError: A is not a square, finite, symmetric floating-point matrix (the message names the first bad entry); floor negative
            or not finite.
    """

    A: Tensor
    floor: float = 0.0

    def __post_init__(self) -> None:
        _check_matrix("A", self.A)
        check_symmetric("A", self.A)
        if not (math.isfinite(self.floor) and self.floor >= 0):
            raise InputError(f"floor is {self.floor}: give a finite number >= 0 that no eigenvalue of A is below")

    @property
    def size(self) -> int:
        """Number of cells n."""
        return self.A.shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """float32 or float64."""
        return self.A.dtype

    @property
    def damping(self) -> float:
        """0: none is known apart from A."""
        return 0.0

    def diagonal(self) -> Tensor:
        """The diagonal of A, (n,)."""
        return self.A.diagonal()

    def dense(self) -> Tensor:
        """The matrix, (n, n)."""
        return self.A

    def matvec(self, x: Tensor) -> Tensor:
        """A x for x of shape (n,) or (..., n)."""
        return x @ self.A.mT


@dataclass(frozen=True, eq=False)
class LowRank:
    """A = J^T H J + damping I, kept as its factors.

    Args:
        J: (k, N), float32 or float64, one row for each output of the batch.
        H: (k, k) symmetric, or None for the identity.
        damping: lambda >= 0, in the units of A.

    Raises:
        InputError: wrong shapes or types, an entry that is not finite, H not symmetric, damping negative or not finite.
    """

    J: Tensor
    H: Tensor | None = None
    damping: float = 0.0

    def __post_init__(self) -> None:
        _check_matrix("J", self.J, square=False)
        if self.H is not None:
            _check_matrix("H", self.H)
            if self.H.shape[0] != self.J.shape[0] or self.H.dtype != self.J.dtype:
                raise InputError(
                    f"H is {tuple(self.H.shape)} {self.H.dtype} but J is {tuple(self.J.shape)} {self.J.dtype}: give H "
                    f"as ({self.J.shape[0]}, {self.J.shape[0]}) in J's type, or None for the identity"
                )
            check_symmetric("H", self.H)
        if not (math.isfinite(self.damping) and self.damping >= 0):
            raise InputError(f"damping is {self.damping}: give a finite number >= 0")

    @property
    def size(self) -> int:
        """Number of cells N."""
        return self.J.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """float32 or float64."""
        return self.J.dtype

    def dense(self) -> Tensor:
        """The (N, N) matrix. InputError above `DENSE_LIMIT` cells."""
        if self.size > DENSE_LIMIT:
            raise InputError(
                f"the dense matrix of {self.size} cells would hold {self.size**2:.1e} entries (at most {DENSE_LIMIT} "
                "cells): use matvec, or a device that takes the factors"
            )
        HJ = self.J if self.H is None else self.H @ self.J
        return self.J.mT @ HJ + self.damping * torch.eye(self.size, dtype=self.dtype, device=self.J.device)

    def diagonal(self) -> Tensor:
        """The diagonal of A, (N,)."""
        HJ = self.J if self.H is None else self.H @ self.J
        return (self.J * HJ).sum(0) + self.damping

    def factors(self) -> tuple[Any, ...]:
        """J^T, H, J (without H two), scipy sparse; InputError where H is not positive semi-definite."""
        return low_rank_factors(self.J, self.H)

    def matvec(self, x: Tensor) -> Tensor:
        """A x for x of shape (N,) or (..., N), in O(k N)."""
        y = x @ self.J.mT
        if self.H is not None:
            y = y @ self.H.mT
        return y @ self.J + self.damping * x


@dataclass(frozen=True, eq=False)
class Kronecker:
    """A (x) B + damping I, kept as its factors: x = vec(X) row by row, (A (x) B) vec(X) = vec(A X B).

    Args:
        A: (p, p) symmetric, float32 or float64. B: (q, q) symmetric, of the same type.
        damping: lambda >= 0, in the units of A (x) B.

    Raises:
        InputError: as `LowRank`.
    """

    A: Tensor
    B: Tensor
    damping: float = 0.0

    def __post_init__(self) -> None:
        for name, factor in (("A", self.A), ("B", self.B)):
            _check_matrix(name, factor)
            check_symmetric(name, factor)
        if self.A.dtype != self.B.dtype:
            raise InputError(f"A is {self.A.dtype} but B is {self.B.dtype}: give both in one type")
        if not (math.isfinite(self.damping) and self.damping >= 0):
            raise InputError(f"damping is {self.damping}: give a finite number >= 0")

    @property
    def size(self) -> int:
        """Number of cells p q."""
        return self.A.shape[0] * self.B.shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """float32 or float64."""
        return self.A.dtype

    def dense(self) -> Tensor:
        """The (p q, p q) matrix. InputError above `DENSE_LIMIT` cells."""
        if self.size > DENSE_LIMIT:
            raise InputError(
                f"the dense matrix of {self.size} cells would hold {self.size**2:.1e} entries (at most {DENSE_LIMIT} "
                "cells): use matvec, or a device that takes the factors"
            )
        eye = torch.eye(self.size, dtype=self.dtype, device=self.A.device)
        return torch.kron(self.A, self.B) + self.damping * eye

    def diagonal(self) -> Tensor:
        """The diagonal of A (x) B + damping I, (p q,)."""
        return torch.outer(self.A.diagonal(), self.B.diagonal()).reshape(-1) + self.damping

    def factors(self) -> tuple[Any, ...]:
        """A (x) 1 and 1 (x) B, scipy sparse; InputError where one is not positive semi-definite."""
        return kronecker_factors(self.A, self.B)

    def matvec(self, x: Tensor) -> Tensor:
        """A x for x of shape (p q,) or (..., p q), in O(p q (p + q))."""
        X = x.reshape(*x.shape[:-1], self.A.shape[0], self.B.shape[0])
        return (self.A @ X @ self.B).reshape(x.shape) + self.damping * x


@runtime_checkable
class RowProducts(Protocol):
    """A (k, N) matrix J that is known by its products alone."""

    @property
    def shape(self) -> tuple[int, int]:
        """(k, N)."""

    @property
    def dtype(self) -> torch.dtype:
        """Of vectors of N."""

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
        InputError: damping not positive or not finite.
    """

    J: RowProducts
    damping: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.damping) and self.damping > 0):
            raise InputError(f"damping is {self.damping}: give a finite number > 0, or write J out as LowRank(J)")

    @property
    def size(self) -> int:
        """Number of cells N."""
        return self.J.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """float32 or float64."""
        return self.J.dtype

    def matvec(self, x: Tensor) -> Tensor:
        """A x for x of shape (N,)."""
        return self.J.rmatvec(self.J.matvec(x)) + self.damping * x

    def dense(self) -> Tensor:
        """Not supported, since J is known by its products alone: InputError."""
        raise InputError("an Implicit system has no entries to write out: give LowRank(J, None, damping)")


LinearSystem = Dense | LowRank | Kronecker | Implicit
"""What `Device.solve` accepts."""


def check_vector(name: str, value: Tensor, system: LinearSystem | Implicit) -> None:
    """InputError unless `value` is a finite (n,) vector in the type of the system."""
    if not isinstance(value, Tensor) or value.shape != (system.size,) or value.dtype != system.dtype:
        got = f"{tuple(value.shape)} {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
        raise InputError(
            f"{name} is {got}: the system takes a tensor of shape ({system.size},) and type {system.dtype}"
        )
    _check_finite(name, value)


def check_duration(duration: float) -> float:
    """The duration as a float; InputError unless it is >= 0 (inf means settled)."""
    duration = float(duration)
    if math.isnan(duration) or duration < 0:
        raise InputError(f"duration is {duration}: give a number of tau >= 0, or math.inf for the settled state")
    return duration


def _check_matrix(name: str, value: Tensor, square: bool = True) -> None:
    if not isinstance(value, Tensor) or value.dim() != 2 or value.dtype not in (torch.float32, torch.float64):
        got = f"{tuple(value.shape)} {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
        raise InputError(f"{name} is {got}: give a 2-D tensor of float32 or float64")
    if 0 in value.shape or (square and value.shape[0] != value.shape[1]):
        raise InputError(
            f"{name} has shape {tuple(value.shape)}: give a {'square ' if square else ''}matrix with at least one entry"
        )
    _check_finite(name, value)


def _check_finite(name: str, value: Tensor) -> None:
    if not math.isfinite(float(value.sum())) and not torch.isfinite(value).all():
        where = tuple(torch.nonzero(~torch.isfinite(value))[0].tolist())
        raise InputError(
            f"{name}{list(where)} is {value[where].item()}: every entry must be finite (a diverged model?)"
        )
