"""Pruning: couplings too small to matter are left out, within a bound on what that does to the solution.

With A - E in place of A and x' the solution of (A - E) x' = b, x' - x = (A - E)^-1 E x, so that in the Euclidean norm

    |x' - x| / |x| <= e / (lambda_min(A) - e),     e >= ||E||_2,

for every b, as long as e < lambda_min. For symmetric E the largest row sum of |E| is such an e.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ...circuits.errors import InputError
from ..matrices import Matrix, is_sparse, smallest_eigenvalue, upper_entries


@dataclass(frozen=True)
class Pruned:
    """A matrix without its smallest couplings.

    Attributes:
        matrix: A - E, of the kind of A; positive definite if A is.
        removed: couplings (pairs i < j) left out.
        kept: couplings that are left.
        bound: largest relative change of A^-1 b, for any b.
    """

    matrix: Matrix
    removed: int
    kept: int
    bound: float


def prune(matrix: Matrix, change: float) -> Pruned:
    """Leave out couplings, smallest first, while the bound on the relative change of A^-1 b stays below `change`.

    Args:
        matrix: A, symmetric positive definite, (n, n).
        change: 0 <= change < 1; 0 keeps everything.

    Raises:
        InputError: `change` out of range.
    """
    if not (isinstance(change, int | float) and 0 <= change < 1):
        raise InputError(f"prune is {change!r}: give the relative change of A^-1 b to allow, a number >= 0 and < 1")
    rows, columns, values = upper_entries(matrix)
    # e / (lambda - e) <= change
    budget = smallest_eigenvalue(matrix) * change / (1 + change)
    weight = np.abs(values)
    row_sums, removed = np.zeros(matrix.shape[0]), np.zeros(len(values), dtype=bool)
    for k in np.argsort(weight, kind="stable"):
        i, j = rows[k], columns[k]
        if weight[k] > budget:
            break
        if max(row_sums[i], row_sums[j]) + weight[k] <= budget:
            row_sums[i] += weight[k]
            row_sums[j] += weight[k]
            removed[k] = True
    i, j, v = rows[removed], columns[removed], values[removed]
    n = matrix.shape[0]
    error = sparse.csr_array(sparse.coo_array((np.r_[v, v], (np.r_[i, j], np.r_[j, i])), shape=(n, n)))
    left = matrix - (error if is_sparse(matrix) else error.toarray())
    if is_sparse(left):
        left = sparse.csr_array(left)
        left.eliminate_zeros()
    worst = float(row_sums.max(initial=0.0))
    bound = worst / (smallest_eigenvalue(matrix) - worst) if worst > 0 else 0.0
    return Pruned(left, int(removed.sum()), int((~removed).sum()), bound)
