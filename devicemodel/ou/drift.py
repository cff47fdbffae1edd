"""Drifts that are kept as their factors: checked records, in batches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...compiler.validate import check_symmetric


@dataclass(frozen=True, eq=False)
class LowRankDrift:
    """A = J^T H J + damping I of N states, never formed.

    Args:
        J: (..., k, N), float32 or float64.
        H: (..., k, k), symmetric positive semi-definite; None for the identity.
        damping: >= 0, in the units of A.

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
            check_symmetric("H", self.H)
            if self.H.shape[-1] != self.J.shape[-2]:
                raise InputError(
                    f"H has shape {tuple(self.H.shape)} but J {tuple(self.J.shape)}: H must be ({self.J.shape[-2]}, "
                    f"{self.J.shape[-2]}), or None for the identity"
                )
            check_alike("H", self.H, "J", self.J)
        check_damping(self.damping)

    @property
    def size(self) -> int:
        """Number of states N."""
        return self.J.shape[-1]

    @property
    def dtype(self) -> torch.dtype:
        """float32 or float64."""
        return self.J.dtype

    @property
    def device(self) -> torch.device:
        """Where the factors are."""
        return self.J.device


@dataclass(frozen=True, eq=False)
class KroneckerDrift:
    """A (x) B + damping I of p q states, never formed: (A (x) B) vec(X) = vec(A X B), rows of X first.

    Args:
        A: (..., p, p), symmetric, float32 or float64. B: (..., q, q), symmetric, of the same type.
        damping: >= 0, in the units of A (x) B.

    Raises:
        InputError: as `LowRankDrift`.
    """

    A: Tensor
    B: Tensor
    damping: float = 0.0

    def __post_init__(self) -> None:
        for name, factor in (("A", self.A), ("B", self.B)):
            check_square(name, factor)
            check_symmetric(name, factor)
        check_alike("B", self.B, "A", self.A)
        check_damping(self.damping)

    @property
    def size(self) -> int:
        """Number of states p q."""
        return self.A.shape[-1] * self.B.shape[-1]

    @property
    def dtype(self) -> torch.dtype:
        """float32 or float64."""
        return self.A.dtype

    @property
    def device(self) -> torch.device:
        """Where the factors are."""
        return self.A.device


def check_tensor(name: str, value: Tensor, dims: int) -> None:
    """InputError unless `value` is a finite float32 or float64 tensor of at least `dims` axes, none of them empty."""
    if not isinstance(value, Tensor) or value.dtype not in (torch.float32, torch.float64) or value.dim() < dims:
        got = f"{tuple(value.shape)} {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
        raise InputError(f"{name} is {got}: give a float32 or float64 tensor of {dims} axes, or more for a batch")
    if 0 in value.shape:
        raise InputError(f"{name} has shape {tuple(value.shape)}: give at least one entry")
    finite = torch.isfinite(value)
    if not bool(finite.all()):
        where = tuple(torch.nonzero(~finite)[0].tolist())
        raise InputError(f"{name}{list(where)} is {value[where].item()}: every entry must be finite")


def check_square(name: str, value: Tensor) -> None:
    """InputError unless `value` is a finite batch of square matrices."""
    check_tensor(name, value, 2)
    if value.shape[-1] != value.shape[-2]:
        raise InputError(f"{name} has shape {tuple(value.shape)}: give square matrices, (..., n, n)")


def check_alike(name: str, value: Tensor, other_name: str, other: Tensor) -> None:
    """InputError unless the two have one type and are on one device."""
    if value.dtype != other.dtype or value.device != other.device:
        raise InputError(
            f"{name} is {value.dtype} on {value.device} but {other_name} is {other.dtype} on {other.device}: give both in one "
            "type and place"
        )


def check_damping(damping: float) -> None:
    """InputError unless the damping is finite and >= 0."""
    if not (math.isfinite(damping) and damping >= 0):
        raise InputError(f"damping is {damping}: give a finite number >= 0")
