"""The H-matrix test: can positive two-terminal parts hold this matrix, and with which scaling of the unknowns?

A symmetric matrix with positive diagonal is a network of positive resistors (dual rail where couplings are positive)
exactly when its comparison matrix M(A), |diagonal| on and -|off-diagonal| off, is positive definite; then
d = M(A)^-1 diag(A) > 0 scales it to D A D with positive row sums, d_i (M d)_i = d_i A_ii. Since M(A + s I) = M(A) + s I, the
least damping that makes A passive is lambda* = max(0, -lambda_min(M(A))), exactly.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from .matrices import (
    Matrix,
    comparison_matrix,
    diagonal,
    dominance,
    is_positive_definite,
    is_sparse,
    smallest_eigenvalue,
)

ROUNDING = 1e-12
"""Share of the mean diagonal below which a lack of damping is that of a singular matrix."""


def lambda_star(matrix: Matrix) -> float:
    """The least damping, added to this matrix, that lets positive resistors realise it; 0 when they already can."""
    own = diagonal(matrix)
    signed = comparison_matrix(matrix)
    # A negative diagonal keeps its sign: damping has to make up for it first.
    lack = np.minimum(own, 0.0) * 2
    signed = signed + (sparse.diags_array(lack) if is_sparse(matrix) else np.diag(lack))
    return max(0.0, -smallest_eigenvalue(signed))


def passive_scaling(matrix: Matrix) -> tuple[np.ndarray | None, str]:
    """d (n,), largest entry one, or None and the reason in words, with lambda*."""
    own = diagonal(matrix)
    if own.min() > 0 and (is_sparse(matrix) or is_positive_definite(comparison_matrix(matrix))):
        scaling = dominance(matrix)
        if scaling is not None:
            return scaling / scaling.max(), "its comparison matrix is positive definite (lambda* = 0)"
    needed, mean = lambda_star(matrix), float(own.mean())
    if needed <= ROUNDING * mean:
        return None, "its comparison matrix is singular; positive parts need some damping, however little"
    ratio = f", {needed / mean:.3g} times the mean diagonal" if mean > 0 else ""
    return None, (
        "its comparison matrix is not positive definite; positive parts need "
        f"{needed:.4g} more damping (lambda* = {needed:.4g}{ratio})"
    )
