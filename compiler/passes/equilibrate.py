"""Equilibration: unknowns scaled to a unit diagonal, so that couplings of cells of different curvature use the same range of values.

Jacobi's scaling d_i = A_ii^-1/2 makes D A D a matrix of unit diagonal; among diagonal scalings it is within a factor n of the least
condition number (A. van der Sluis, Numerische Mathematik 14:14, 1969). Passive fabrics have a scaling of their own.
"""

from __future__ import annotations

import numpy as np

from ..matrices import Matrix, diagonal


def jacobi_scaling(matrix: Matrix) -> np.ndarray:
    """d = diag(A)^-1/2, (n,), with its largest entry one; ones where a diagonal entry is not positive."""
    own = diagonal(matrix)
    if own.min() <= 0:
        return np.ones(len(own))
    jacobi = 1.0 / np.sqrt(own)
    return np.asarray(jacobi / jacobi.max())
