"""Dense or sparse symmetric matrices behind the few questions that the compiler asks of them.

Dense ones are numpy arrays, sparse ones `scipy.sparse.csr_array`; every function takes either and gives back the same kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import linalg as sparse_linalg

Matrix: TypeAlias = Any
"""np.ndarray or scipy.sparse.csr_array, (n, n), float64."""
PROBES = 32
"""Random vectors behind an estimated Frobenius norm of a sparse matrix's inverse."""


def is_sparse(matrix: Matrix) -> bool:
    """Whether the matrix is a sparse one."""
    return sparse.issparse(matrix)


def dense(matrix: Matrix) -> np.ndarray:
    """As a numpy array."""
    return np.asarray(matrix.toarray() if is_sparse(matrix) else matrix)


def diagonal(matrix: Matrix) -> np.ndarray:
    """(n,)."""
    return np.asarray(matrix.diagonal())


def largest_entry(matrix: Matrix) -> float:
    """max |A_ij|."""
    return float(abs(matrix).max())


def scaled(matrix: Matrix, left: np.ndarray, right: np.ndarray) -> Matrix:
    """diag(left) A diag(right)."""
    if is_sparse(matrix):
        return sparse.csr_array(sparse.diags_array(left) @ matrix @ sparse.diags_array(right))
    return left[:, None] * matrix * right


def with_diagonal_added(matrix: Matrix, extra: float | np.ndarray) -> Matrix:
    """A + diag(extra)."""
    values = np.broadcast_to(np.asarray(extra, dtype=float), (matrix.shape[0],))
    if is_sparse(matrix):
        return sparse.csr_array(matrix + sparse.diags_array(values))
    return matrix + np.diag(values)


def upper_entries(matrix: Matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and values of the non-zero entries above the diagonal, row by row."""
    if is_sparse(matrix):
        entries = sparse.triu(matrix, k=1).tocoo()
        entries.eliminate_zeros()
        order = np.lexsort((entries.col, entries.row))
        return entries.row[order].astype(np.intp), entries.col[order].astype(np.intp), entries.data[order]
    rows, columns = np.nonzero(np.triu(matrix, 1))
    return rows, columns, matrix[rows, columns]


def solver(matrix: Matrix) -> Callable[[np.ndarray], np.ndarray]:
    """b -> A^-1 b, factored once; b is (n,) or (n, k)."""
    if is_sparse(matrix):
        factors = sparse_linalg.splu(sparse.csc_array(matrix))
        return lambda b: np.asarray(factors.solve(np.asarray(b, dtype=float)))
    if is_positive_definite(matrix) and np.array_equal(matrix, matrix.T):
        factor = cho_factor(matrix)
        return lambda b: np.asarray(cho_solve(factor, b))
    return lambda b: np.asarray(np.linalg.solve(matrix, b))


def is_positive_definite(matrix: Matrix) -> bool:
    """Whether the symmetric part is positive definite beyond rounding (then every real part of the spectrum is positive)."""
    symmetric = (matrix + matrix.T) / 2
    n = matrix.shape[0]
    margin = n * np.finfo(float).eps * largest_entry(symmetric)
    if is_sparse(matrix):
        # Its own diagonal as pivots, in a symmetric order: then the pivots' signs are those of the eigenvalues.
        shifted = sparse.csc_array(symmetric - margin * sparse.eye_array(n))
        if (shifted.diagonal() <= 0).any():
            return False
        try:
            factors = sparse_linalg.splu(
                shifted, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
            )
        except RuntimeError:  # exactly singular
            return False
        return bool((factors.U.diagonal() > 0).all() and (factors.perm_r == factors.perm_c).all())
    try:
        np.linalg.cholesky(symmetric - margin * np.eye(n))
    except np.linalg.LinAlgError:
        return False
    return True


def smallest_eigenvalue(matrix: Matrix) -> float:
    """Of a symmetric matrix; for a sparse one to about six digits."""
    if not is_sparse(matrix):
        return float(np.linalg.eigvalsh(matrix)[0])
    if matrix.shape[0] < 100:
        return smallest_eigenvalue(dense(matrix))
    if is_positive_definite(matrix):
        return float(_extreme(matrix, sigma=0.0, which="LM"))
    return float(_extreme(matrix, which="SA"))


def largest_eigenvalue(matrix: Matrix) -> float:
    """Of a symmetric matrix; for a sparse one to about six digits."""
    if not is_sparse(matrix) or matrix.shape[0] < 100:
        return float(np.linalg.eigvalsh(dense(matrix))[-1])
    return float(_extreme(matrix, which="LA"))


def _extreme(matrix: Matrix, **options: Any) -> float:
    start = np.random.default_rng(0).standard_normal(matrix.shape[0])  # else ARPACK draws its own
    values = sparse_linalg.eigsh(
        sparse.csc_array(matrix), k=1, v0=start, tol=1e-6, return_eigenvectors=False, **options
    )
    return float(values[0])


def relative_inverse_error(found: Matrix, wanted: Matrix) -> float:
    """||found^-1 - wanted^-1||_F / ||wanted^-1||_F: the relative rms error of a solution over random right-hand sides.

    Sparse matrices: from `PROBES` random right-hand sides, which is right to about ten percent.
    """
    n = wanted.shape[0]
    right = np.random.default_rng(0).standard_normal((n, PROBES)) if is_sparse(wanted) else np.eye(n)
    exact, realised = solver(wanted)(right), solver(found)(right)
    return float(np.linalg.norm(realised - exact) / np.linalg.norm(exact))


def frobenius(matrix: Matrix) -> float:
    """Frobenius norm."""
    return float(sparse_linalg.norm(matrix) if is_sparse(matrix) else np.linalg.norm(matrix))
