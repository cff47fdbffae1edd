"""First pass: is this a matrix that any fabric could realise?"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...circuits.errors import InputError

SYMMETRY = 1e-8
"""Largest |A - A^T|, relative to the largest entry, that counts as rounding."""
LARGEST = 1e100
"""Upper bound of the largest entry, its inverse the lower: beyond, voltages would leave double precision."""


def validate(matrix: Any) -> np.ndarray:
    """The matrix as a symmetric float64 array (n, n).

    Raises:
        InputError: not numeric, not square, empty, not finite, or not symmetric; names the entry.
    """
    a = _real_array("matrix", "an array of real numbers, (n, n)", matrix)
    if a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise InputError(f"matrix must be square, (n, n); got shape {a.shape}")
    if a.size == 0:
        raise InputError("matrix has size 0; at least one unknown is needed")
    if not np.isfinite(a).all():
        i, j = np.argwhere(~np.isfinite(a))[0]
        raise InputError(f"matrix entry [{i}, {j}] is {a[i, j]}; all entries must be finite")
    largest = np.abs(a).max()
    if largest == 0:
        raise InputError("matrix is zero everywhere; a solution needs a positive definite matrix: add damping before")
    if not 1 / LARGEST <= largest <= LARGEST:
        i, j = np.unravel_index(np.argmax(np.abs(a)), a.shape)
        raise InputError(
            f"matrix entry [{i}, {j}], the largest, is {a[i, j]:.4g}; its size must be between {1 / LARGEST:g} and "
            f"{LARGEST:g}: choose other units"
        )
    skew = np.abs(a - a.T)
    i, j = np.unravel_index(np.argmax(skew), skew.shape)
    if skew[i, j] > SYMMETRY * largest:
        raise InputError(
            f"matrix is not symmetric: entry [{i}, {j}] is {a[i, j]:.6g} but [{j}, {i}] is {a[j, i]:.6g}; "
            "pass (A + A.T) / 2 if the difference is rounding"
        )
    return (a + a.T) / 2


def validate_drive(b: Any, size: int) -> np.ndarray:
    """The right-hand side as a finite float64 vector (n,).

    Raises:
        InputError: wrong length, or an entry that is not finite.
    """
    vector = _real_array("b", "a vector of real numbers", b)
    if vector.shape != (size,):
        raise InputError(f"b has shape {vector.shape} but the program has {size} unknowns; it must be ({size},)")
    if not np.isfinite(vector).all():
        i = int(np.argmax(~np.isfinite(vector)))
        raise InputError(f"b[{i}] is {vector[i]}; all entries must be finite")
    return vector


def _real_array(name: str, what: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
        # numpy would only warn that it drops the imaginary parts
        if np.iscomplexobj(array):
            raise TypeError("its entries are complex")
        return np.array(array, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        # RuntimeError: a torch tensor that requires grad
        raise InputError(f"{name} must be {what}: {error}") from None
