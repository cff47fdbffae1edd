"""The H-matrix test: can positive two-terminal parts hold this matrix, and with which scaling of the unknowns?

A symmetric matrix with positive diagonal is a network of positive resistors (dual rail where couplings are positive)
exactly when its comparison matrix M(A), |diagonal| on and -|off-diagonal| off, is positive definite; then
d = M(A)^-1 diag(A) > 0 scales it to D A D with positive row sums, d_i (M d)_i = d_i A_ii. Since M(A + s I) = M(A) + s I, the
least damping that makes A passive is lambda* = max(0, -lambda_min(M(A))), exactly.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ..matrices import Matrix, diagonal, is_positive_definite, is_sparse, smallest_eigenvalue, solver


def comparison_matrix(matrix: Matrix) -> Matrix:
    """M(A): |A_ii| on the diagonal, -|A_ij| off it."""
    compared = -abs(matrix)
    if is_sparse(matrix):
        return sparse.csr_array(compared + sparse.diags_array(2 * np.abs(diagonal(matrix))))
    np.fill_diagonal(compared, np.abs(np.diag(matrix)))
    return compared


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
    compared = comparison_matrix(matrix)
    if own.min() > 0 and is_positive_definite(compared):
        scaling = solver(compared)(own)
        return scaling / scaling.max(), "its comparison matrix is positive definite (lambda* = 0)"
    needed, mean = lambda_star(matrix), float(own.mean())
    ratio = f", {needed / mean:.3g} times the mean diagonal" if mean > 0 else ""
    return None, (
        "its comparison matrix is not positive definite; positive resistors need "
        f"{needed:.4g} more damping (lambda* = {needed:.4g}{ratio})"
    )
