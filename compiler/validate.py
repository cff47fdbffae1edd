"""First pass: is this a matrix that any fabric could realise?"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from ..circuits.errors import InputError
from .matrices import Matrix, is_sparse

SYMMETRY = 1e-8
"""Largest |A - A^T|, relative to the largest entry, that counts as rounding of double precision."""
ROUNDINGS = 1e3
"""Units in the last place of a shorter type that count as its rounding."""
LARGEST = 1e100
"""Upper bound of the largest entry, its inverse the lower: beyond, voltages would leave double precision."""


def validate(matrix: Any) -> Matrix:
    """The matrix as a symmetric float64 array (n, n); a scipy sparse one as `csr_array`.

    Raises:
        InputError: not numeric, not square, empty, not finite, or not symmetric; names the entry.
    """
    if is_sparse(matrix):
        return _validate_sparse(matrix)
    a = real_array("matrix", "an array of real numbers, (n, n)", matrix)
    tolerance = symmetry_of(matrix)
    if a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise InputError(f"matrix must be square, (n, n); got shape {a.shape}")
    if a.size == 0:
        raise InputError("matrix has size 0; at least one unknown is needed")
    if not np.isfinite(a).all():
        i, j = np.argwhere(~np.isfinite(a))[0]
        raise InputError(f"matrix entry [{i}, {j}] is {a[i, j]}; all entries must be finite")
    i, j = np.unravel_index(np.argmax(np.abs(a)), a.shape)
    _check_size(int(i), int(j), float(a[i, j]))
    skew = np.abs(a - a.T)
    row, column = np.unravel_index(np.argmax(skew), skew.shape)
    _check_symmetry(int(row), int(column), float(a[row, column]), float(a[column, row]), abs(float(a[i, j])), tolerance)
    return (a + a.T) / 2


def _validate_sparse(matrix: Any) -> Matrix:
    a = sparse.csr_array(matrix)
    if a.dtype.kind not in "biuf":
        raise InputError(f"matrix must be an array of real numbers, (n, n): its entries are {a.dtype}")
    a = a.astype(np.float64)
    if a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise InputError(f"matrix must be square, (n, n); got shape {a.shape}")
    if a.shape[0] == 0:
        raise InputError("matrix has size 0; at least one unknown is needed")
    a.sum_duplicates()
    entries = a.tocoo()
    bad = np.flatnonzero(~np.isfinite(entries.data))
    if len(bad):
        k = bad[0]
        raise InputError(
            f"matrix entry [{entries.row[k]}, {entries.col[k]}] is {entries.data[k]}; all entries must be finite"
        )
    k = int(np.argmax(np.abs(entries.data))) if entries.nnz else -1
    i, j = (int(entries.row[k]), int(entries.col[k])) if entries.nnz else (0, 0)
    largest = float(entries.data[k]) if entries.nnz else 0.0
    _check_size(i, j, largest)
    skew = abs(a - a.T).tocoo()
    if skew.nnz:
        k = int(np.argmax(skew.data))
        row, column = int(skew.row[k]), int(skew.col[k])
        _check_symmetry(row, column, float(a[row, column]), float(a[column, row]), abs(largest), symmetry_of(matrix))
    symmetric = sparse.csr_array((a + a.T) / 2)
    symmetric.eliminate_zeros()
    return symmetric


def _check_size(i: int, j: int, largest: float) -> None:
    if largest == 0:
        raise InputError("matrix is zero everywhere; a solution needs a positive definite matrix: add damping before")
    if not 1 / LARGEST <= abs(largest) <= LARGEST:
        raise InputError(
            f"matrix entry [{i}, {j}], the largest, is {largest:.4g}; its size must be between {1 / LARGEST:g} and "
            f"{LARGEST:g}: choose other units"
        )


def symmetry_of(matrix: Any) -> float:
    """The tolerance of symmetry, relative, for the type in which a matrix was given."""
    name = str(getattr(matrix, "dtype", "float64")).removeprefix("torch.")
    if name == "bfloat16":
        return ROUNDINGS * 2.0**-7
    return max(SYMMETRY, ROUNDINGS * float(np.finfo(name).eps)) if name in ("float32", "float16") else SYMMETRY


def _check_symmetry(i: int, j: int, one: float, other: float, largest: float, tolerance: float) -> None:
    if abs(one - other) > tolerance * largest:
        raise InputError(
            f"matrix is not symmetric: entry [{i}, {j}] is {one:.9g} but [{j}, {i}] is {other:.9g}; "
            "pass (A + A.T) / 2 if the difference is rounding"
        )


def validate_drive(b: Any, size: int) -> np.ndarray:
    """The right-hand side as a finite float64 vector (n,).

    Raises:
        InputError: wrong length, or an entry that is not finite.
    """
    vector = real_array("b", "a vector of real numbers", b)
    if vector.shape != (size,):
        raise InputError(f"b has shape {vector.shape} but the program has {size} unknowns; it must be ({size},)")
    if not np.isfinite(vector).all():
        i = int(np.argmax(~np.isfinite(vector)))
        raise InputError(f"b[{i}] is {vector[i]}; all entries must be finite")
    return vector


def real_array(name: str, what: str, value: Any) -> np.ndarray:
    """`value` as a float64 array; InputError where it is not numeric, or complex."""
    try:
        array = np.asarray(value)
        # numpy would only warn that it drops the imaginary parts
        if np.iscomplexobj(array):
            raise TypeError("its entries are complex")
        return np.array(array, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        # RuntimeError: a torch tensor that requires grad
        raise InputError(f"{name} must be {what}: {error}") from None
