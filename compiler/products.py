"""Systems that are given by factors: A = F_1 F_2 ... + damping, for a curvature matrix that is never multiplied out on the board.

What the floors above call `LowRank(J, H, damping)`, `Kronecker(A, B, damping)` and `Dense(A)` is known here by its attributes, so that the
compiler needs neither them nor torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from ..circuits.errors import InputError
from .passes.damp import check_damping
from .validate import real_array, symmetry_of, validate

LARGEST = 3000
"""Most unknowns of a product: its errors are stated against the multiplied-out matrix, which the compiler holds once."""


@dataclass(frozen=True)
class Product:
    """A = factors[0] @ factors[1] @ ... + damping I; factors are sparse, `damping` >= 0."""

    factors: tuple[sparse.csr_array, ...]
    damping: float

    def dense(self) -> np.ndarray:
        """The product with its damping, (n, n)."""
        whole = self.factors[-1].toarray()
        for factor in reversed(self.factors[:-1]):
            whole = factor @ whole
        return (whole + whole.T) / 2 + self.damping * np.eye(len(whole))

    def resistors(self) -> int:
        """Resistors of one rail of a cascade: arrays, feedback, damping and input."""
        n = self.factors[0].shape[0]
        feedback = sum(factor.shape[0] for factor in self.factors[1:])
        return sum(int(factor.nnz) for factor in self.factors) + feedback + 2 * n


def as_system(system: Any) -> Any | Product:
    """The matrix of a dense system, or the product of one that is given by factors.

    Args:
        system: with attributes J, H (or None) and damping; or A, B and damping; or A alone; or a matrix. Arrays or tensors.

    Raises:
        InputError: none of these, shapes that do not fit, entries that are not finite, an H, A or B that is not symmetric.
    """
    if hasattr(system, "J"):
        J = _array("J", system.J)
        k, n = J.shape
        _check_size(n)
        if J.size == 0 or not np.isfinite(J).all():
            raise InputError(f"J, {J.shape}, must be non-empty with finite entries")
        if not J.any():
            raise InputError(
                "J is zero everywhere: the system is its damping alone; use compile_matrix for a diagonal matrix"
            )
        middle: tuple[sparse.csr_array, ...] = ()
        if system.H is not None:
            H = _definite("H", system.H)
            if H.shape != (k, k):
                raise InputError(f"H is {H.shape}, but J has {k} rows: H must be ({k}, {k})")
            middle = (sparse.csr_array(H),)
        outer = sparse.csr_array(J)
        return Product((sparse.csr_array(outer.T), *middle, outer), check_damping(system.damping))
    if hasattr(system, "A") and hasattr(system, "B"):
        A, B = (_definite(name, getattr(system, name)) for name in "AB")
        _check_size(len(A) * len(B))
        left = sparse.csr_array(sparse.kron(A, sparse.eye_array(len(B))))
        right = sparse.csr_array(sparse.kron(sparse.eye_array(len(A)), B))
        return Product((left, right), check_damping(system.damping))
    if hasattr(system, "A"):
        return system.A.detach().cpu().numpy() if hasattr(system.A, "detach") else system.A
    if hasattr(system, "shape"):
        return system
    raise InputError(
        f"system is a {type(system).__name__}: give Dense(A), LowRank(J, H, damping) or Kronecker(A, B, damping)"
    )


def _array(name: str, value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.double() if value.is_floating_point() else value
    array = real_array(name, "an array of real numbers", value)
    if array.ndim != 2:
        raise InputError(f"{name} has shape {array.shape}; it must be a matrix")
    return array


def _definite(name: str, given: Any) -> np.ndarray:
    """Symmetric and positive semi-definite to the rounding of the type in which it was given; what is below zero is cut off."""
    tolerance, array = symmetry_of(given), _array(name, given)
    largest = float(np.abs(array).max(initial=0.0))
    if (
        array.shape[0] == array.shape[1]
        and np.isfinite(array).all()
        and np.abs(array - array.T).max(initial=0.0) <= tolerance * largest
    ):
        array = (array + array.T) / 2
    try:
        checked: np.ndarray = validate(array)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    values, vectors = np.linalg.eigh(checked)
    if values[0] < -max(1e-10, tolerance) * abs(values[-1]):
        raise InputError(f"{name} has the eigenvalue {values[0]:.4g}; it must be positive semi-definite")
    return checked if values[0] >= 0 else (vectors * np.maximum(values, 0.0)) @ vectors.T


def _check_size(n: int) -> None:
    if n > LARGEST:
        raise InputError(f"the system has {n} unknowns; at most {LARGEST} can be compiled from factors")
