"""Checks of matrices, right-hand sides, factors and damping, with messages that name the entry."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

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
    if a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise InputError(f"matrix must be square, (n, n); got shape {a.shape}")
    if a.size == 0:
        raise InputError("matrix has size 0; at least one unknown is needed")
    if not np.isfinite(a).all():
        i, j = np.argwhere(~np.isfinite(a))[0]
        raise InputError(f"matrix entry [{i}, {j}] is {a[i, j]}; all entries must be finite")
    i, j = np.unravel_index(np.argmax(np.abs(a)), a.shape)
    _check_size(int(i), int(j), float(a[i, j]))
    if np.array_equal(a, a.T):
        return a
    check_symmetric("matrix", a, symmetry_tolerance(matrix))
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
        if float(skew.data[k]) > symmetry_tolerance(matrix) * abs(largest):
            _raise_skew("matrix", (row, column), float(a[row, column]), float(a[column, row]))
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


def symmetry_tolerance(matrix: Any) -> float:
    """Largest |A - A^T|, relative to the largest entry, that counts as rounding of the type in which a matrix is given.

    Args:
        matrix: numpy, scipy sparse or torch; without a dtype it is taken to be of double precision.
    """
    name = str(getattr(matrix, "dtype", "float64")).removeprefix("torch.")
    if name == "bfloat16":
        return ROUNDINGS * 2.0**-7
    return max(SYMMETRY, ROUNDINGS * float(np.finfo(name).eps)) if name in ("float32", "float16") else SYMMETRY


def check_symmetric(name: str, value: Any, tolerance: float | None = None) -> None:
    """Raise unless a matrix, or each of a batch, is symmetric: max |A - A^T| <= tolerance * max |A|.

    Args:
        name: what the message calls it.
        value: finite, (..., n, n), numpy or torch.
        tolerance: default `symmetry_tolerance` of the value's own type.

    Raises:
        InputError: names the pair of entries that differ most.
    """
    # Nearly every matrix is exactly symmetric, and torch's `equal` makes no intermediate array.
    if value.equal(value.mT) if hasattr(value, "equal") else np.array_equal(value, value.mT):
        return
    limit = symmetry_tolerance(value) if tolerance is None else tolerance
    skew, size = abs(value - value.mT), abs(value)
    # torch names the maximum over several axes amax
    largest = size.amax((-2, -1)) if hasattr(size, "amax") else size.max(axis=(-2, -1))
    excess = skew - limit * largest[..., None, None]
    if float(excess.max()) > 0:
        where = tuple(int(k) for k in np.unravel_index(int(excess.argmax()), tuple(excess.shape)))
        across = (*where[:-2], where[-1], where[-2])
        _raise_skew(name, where, float(value[where]), float(value[across]))


def _raise_skew(name: str, where: tuple[int, ...], one: float, other: float) -> NoReturn:
    across = [*where[:-2], where[-1], where[-2]]
    raise InputError(
        f"{name} is not symmetric: {name}{list(where)} = {one:.9g} but {name}{across} = {other:.9g}; "
        f"symmetrise it, ({name} + {name}.T) / 2, if the difference is rounding"
    )


def semidefinite(name: str, value: Any) -> np.ndarray:
    """A symmetric positive semi-definite matrix as float64, (n, n), numpy.

    Both are judged to the rounding of the type in which it is given. The two halves are averaged, and negative eigenvalues, which are
    rounding, are set to zero.

    Args:
        name: what messages call it.
        value: (n, n), array-like or a torch tensor.

    Raises:
        InputError: not a matrix of finite real numbers, not symmetric, or an eigenvalue that is negative beyond rounding.
    """
    tolerance, array = symmetry_tolerance(value), matrix_of(name, value)
    if array.shape[0] == array.shape[1] and array.size and np.isfinite(array).all():
        check_symmetric(name, array, tolerance)
        array = (array + array.T) / 2
    try:
        checked: np.ndarray = validate(array)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    values, vectors = np.linalg.eigh(checked)
    if values[0] < -max(1e-10, tolerance) * abs(values[-1]):
        raise InputError(f"{name} has the eigenvalue {values[0]:.4g}; it must be positive semi-definite")
    return checked if values[0] >= 0 else (vectors * np.maximum(values, 0.0)) @ vectors.T


def matrix_of(name: str, value: Any) -> np.ndarray:
    """An array-like or a torch tensor, on any device and with or without gradient, as a float64 matrix; InputError if it is none."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.double() if value.is_floating_point() else value
    array = real_array(name, "an array of real numbers", value)
    if array.ndim != 2:
        raise InputError(f"{name} has shape {array.shape}; it must be a matrix")
    return array


def check_damping(damping: float) -> float:
    """The damping as a float; InputError unless it is finite and >= 0."""
    real = isinstance(damping, int | float | np.integer | np.floating)
    if not (real and 0 <= damping <= sys.float_info.max):
        raise InputError(f"damping must be a finite number >= 0, got {damping!r}")
    return float(damping)


def check_floor(floor: float | None) -> float | None:
    """The lower bound of eigenvalues as a float, None for none (or 0, which bounds nothing); InputError unless it is finite and >= 0."""
    if floor is None:
        return None
    if not (isinstance(floor, int | float | np.integer | np.floating) and 0 <= floor <= sys.float_info.max):
        raise InputError(f"floor is a lower bound of the smallest eigenvalue: a finite number >= 0, got {floor!r}")
    return float(floor) or None


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
