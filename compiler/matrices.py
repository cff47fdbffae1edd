"""Dense and sparse symmetric matrices behind one interface.

Dense ones are numpy arrays, sparse ones `scipy.sparse.csr_array`; every function accepts either and returns the same kind.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csgraph
from scipy.sparse import linalg as sparse_linalg

Matrix: TypeAlias = Any
"""np.ndarray or scipy.sparse.csr_array, (n, n), float64."""
DIRECT = 1000
"""Unknowns up to which a sparse matrix is treated as a dense one."""
ITERATIONS = 1500
"""Steps of conjugate gradients before a factorisation is tried instead."""
BAND = 10_000_000
"""Entries of a band, size times bandwidth, up to which a symmetric sparse matrix is factorised without trying conjugate gradients."""
PROBES = 32
"""Random vectors behind an estimated Frobenius norm of a sparse matrix's inverse."""


def is_sparse(matrix: Matrix) -> bool:
    """Whether the matrix is sparse."""
    return sparse.issparse(matrix)


def dense(matrix: Matrix) -> np.ndarray:
    """The matrix as a numpy array."""
    return np.asarray(matrix.toarray() if is_sparse(matrix) else matrix)


def diagonal(matrix: Matrix) -> np.ndarray:
    """The diagonal, (n,)."""
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
        return _sparse_solver(matrix)
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
        if (symmetric.diagonal() <= margin).any():
            return False
        if n > DIRECT:
            return dominance(symmetric) is not None or _has_positive_pivots(symmetric, margin)
        return is_positive_definite(dense(symmetric))
    try:
        np.linalg.cholesky(symmetric - margin * np.eye(n))
    except np.linalg.LinAlgError:
        return False
    return True


def _has_positive_pivots(symmetric: Matrix, margin: float) -> bool:
    """Sylvester's law of inertia: with its own diagonal as pivots, in a symmetric order, their signs are the eigenvalues'."""
    shifted = sparse.csc_array(symmetric - margin * sparse.eye_array(symmetric.shape[0]))
    try:
        factors = sparse_linalg.splu(
            shifted, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        )
    except RuntimeError:  # exactly singular
        return False
    return bool((factors.U.diagonal() > 0).all() and (factors.perm_r == factors.perm_c).all())


def comparison_matrix(matrix: Matrix) -> Matrix:
    """M(A): |A_ii| on the diagonal, -|A_ij| off it."""
    compared = -abs(matrix)
    if is_sparse(matrix):
        return sparse.csr_array(compared + sparse.diags_array(2 * np.abs(diagonal(matrix))))
    np.fill_diagonal(compared, np.abs(np.diag(matrix)))
    return compared


def dominance(matrix: Matrix) -> np.ndarray | None:
    """d > 0 with M(A) d > 0 for the comparison matrix M, or None where none was found; diag(A) must be positive.

    Such a d proves that M is a nonsingular M-matrix and A positive definite, whatever made d: here M^-1 diag(A).
    """
    compared, own = comparison_matrix(matrix), diagonal(matrix)
    try:
        d = solver(compared)(own)
    except (np.linalg.LinAlgError, RuntimeError):  # singular
        return None
    proof = np.isfinite(d).all() and d.min() > 0 and (compared @ d).min() > 0
    return np.asarray(d) if proof else None


def smallest_eigenvalue(matrix: Matrix) -> float:
    """Smallest eigenvalue of a symmetric matrix; to about six digits if it is sparse."""
    if not is_sparse(matrix):
        return float(np.linalg.eigvalsh(matrix)[0])
    if matrix.shape[0] <= DIRECT:
        return smallest_eigenvalue(dense(matrix))
    if is_positive_definite(matrix):
        shape, solve = matrix.shape, solver(matrix)
        inverse = sparse_linalg.LinearOperator(shape, matvec=solve, dtype=np.float64)
        return float(_extreme(matrix, sigma=0.0, which="LM", OPinv=inverse))
    return float(_extreme(matrix, which="SA"))


def largest_eigenvalue(matrix: Matrix) -> float:
    """Largest eigenvalue of a symmetric matrix; to about six digits if it is sparse."""
    if not is_sparse(matrix) or matrix.shape[0] <= DIRECT:
        return float(np.linalg.eigvalsh(dense(matrix))[-1])
    return float(_extreme(matrix, which="LA"))


def _sparse_solver(matrix: Matrix) -> Callable[[np.ndarray], np.ndarray]:
    """Conjugate gradients where they converge fast, else a sparse LU factorisation.

    Random coupling graphs fill their factors almost completely but are well conditioned; meshes are the other way round, and those of a
    small bandwidth are factorised at once.
    """
    csr = sparse.csr_array(matrix)
    own = csr.diagonal()
    factors: list[Any] = []
    # A realised matrix is scaled from the left and the right, which leaves the rounding of either side.
    symmetric = abs(csr - csr.T).max() <= 1e-14 * largest_entry(csr)
    iterative = csr.shape[0] > DIRECT and own.min() > 0 and symmetric and not _is_narrow(csr)
    preconditioner = sparse.diags_array(1.0 / np.where(own > 0, own, 1.0))

    def direct(b: np.ndarray) -> np.ndarray:
        if not factors:
            factors.append(sparse_linalg.splu(sparse.csc_array(matrix)))
        return np.asarray(factors[0].solve(b))

    def solve(b: np.ndarray) -> np.ndarray:
        b = np.asarray(b, dtype=float)
        if b.ndim == 2:
            return np.column_stack([solve(column) for column in b.T])
        if iterative and not factors:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # a breakdown is answered by the factorisation below
                x, failed = sparse_linalg.cg(csr, b, rtol=1e-13, maxiter=ITERATIONS, M=preconditioner)
            if not failed and np.isfinite(x).all():
                return np.asarray(x)
        return direct(b)

    return solve


def _is_narrow(matrix: sparse.csr_array) -> bool:
    """Whether a reverse Cuthill-McKee order bounds the fill of the factors of a symmetric matrix by `BAND` entries."""
    order = csgraph.reverse_cuthill_mckee(matrix, symmetric_mode=True)
    place = np.empty_like(order)
    place[order] = np.arange(len(order), dtype=order.dtype)
    entries = matrix.tocoo()
    return bool(np.abs(place[entries.row] - place[entries.col]).max(initial=0) * matrix.shape[0] <= BAND)


def _extreme(matrix: Matrix, **options: Any) -> float:
    start = np.random.default_rng(0).standard_normal(matrix.shape[0])  # else ARPACK draws its own
    try:
        values = sparse_linalg.eigsh(
            sparse.csc_array(matrix), k=1, v0=start, tol=1e-6, return_eigenvectors=False, **options
        )
    except sparse_linalg.ArpackNoConvergence:
        # Gershgorin's bound: only used to state how much damping is surely enough
        own = diagonal(matrix)
        off = np.asarray(abs(matrix).sum(axis=1)).ravel() - np.abs(own)
        return float((own - off).min() if options.get("which") != "LA" else (own + off).max())
    return float(values[0])


def relative_inverse_error(wanted: Matrix, *found: Matrix) -> float:
    """||mean(found^-1) - wanted^-1||_F / ||wanted^-1||_F: the relative rms error of a solution, or a mean of several, over random b.

    Sparse matrices: from `PROBES` random right-hand sides, which is right to about ten percent.
    """
    n = wanted.shape[0]
    right = np.random.default_rng(0).standard_normal((n, PROBES)) if is_sparse(wanted) else np.eye(n)
    exact, realised = solver(wanted)(right), np.mean([solver(matrix)(right) for matrix in found], axis=0)
    return float(np.linalg.norm(realised - exact) / np.linalg.norm(exact))


def solution_error(wanted: Matrix, found: Matrix, b: np.ndarray) -> float:
    """|found^-1 b - wanted^-1 b| / |wanted^-1 b| for one b, (n,); 0 for b = 0."""
    exact = solver(wanted)(b)
    return float(np.linalg.norm(solver(found)(b) - exact) / np.linalg.norm(exact)) if b.any() else 0.0


def relative_inverse_bound(found: Matrix, wanted: Matrix) -> float:
    """An upper bound of |found^-1 b - wanted^-1 b| / |wanted^-1 b| over all b: ||found^-1 wanted - 1||_2.

    Sharp for dense matrices. Sparse ones must be symmetric positive definite; the bound is then ||found - wanted||_inf /
    lambda_min(found), which can be far too careful. inf where it says nothing.
    """
    if is_sparse(wanted):
        difference = float(np.asarray(abs(found - wanted).sum(axis=1)).max())
        return difference / smallest_eigenvalue(sparse.csr_array((found + found.T) / 2)) if difference > 0 else 0.0
    return float(np.linalg.norm(solver(found)(wanted - found), ord=2))


def frobenius(matrix: Matrix) -> float:
    """Frobenius norm of the matrix."""
    return float(sparse_linalg.norm(matrix) if is_sparse(matrix) else np.linalg.norm(matrix))
