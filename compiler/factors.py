"""Factors of structured matrices as scipy sparse arrays, checked: what `FactoredSystem.factors` of the torch classes gives the compiler.

A product of positive semi-definite factors around its middle is positive semi-definite, so that only damping has to be added for it to
have an inverse. Arguments are array-like or torch tensors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from ..circuits.errors import InputError
from .validate import matrix_of, semidefinite


def low_rank_factors(J: Any, H: Any = None) -> tuple[sparse.csr_array, ...]:
    """(J^T, H, J), or (J^T, J) without H.

    Args:
        J: (k, n). H: (k, k), symmetric positive semi-definite; None for the identity.

    Raises:
        InputError: shapes that do not fit, entries that are not finite, J zero everywhere, an H that is not semi-definite.
    """
    rows = matrix_of("J", J)
    if rows.size == 0 or not np.isfinite(rows).all():
        raise InputError(f"J, {rows.shape}, must be non-empty with finite entries")
    if not rows.any():
        raise InputError(
            "J is zero everywhere: the system is its damping alone; use compile_matrix for a diagonal matrix"
        )
    outer = sparse.csr_array(rows)
    if H is None:
        return sparse.csr_array(outer.T), outer
    core, k = semidefinite("H", H), len(rows)
    if core.shape != (k, k):
        raise InputError(f"H is {core.shape}, but J has {k} rows: H must be ({k}, {k})")
    return sparse.csr_array(outer.T), sparse.csr_array(core), outer


def kronecker_factors(A: Any, B: Any) -> tuple[sparse.csr_array, ...]:
    """(A (x) 1, 1 (x) B), whose product is A (x) B.

    Args:
        A: (p, p), B: (q, q), symmetric positive semi-definite.

    Raises:
        InputError: entries that are not finite, a factor that is not symmetric or not semi-definite.
    """
    left, right = semidefinite("A", A), semidefinite("B", B)
    return (
        sparse.csr_array(sparse.kron(left, sparse.eye_array(len(right)))),
        sparse.csr_array(sparse.kron(sparse.eye_array(len(left)), right)),
    )


def multiplied(factors: tuple[sparse.csr_array, ...]) -> np.ndarray:
    """The product of the factors, (n, n), symmetric."""
    whole = factors[-1].toarray()
    for factor in reversed(factors[:-1]):
        whole = factor @ whole
    return (whole + whole.T) / 2
