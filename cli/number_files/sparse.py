"""Sparse matrices of files, as `csr_array`."""

from __future__ import annotations

from typing import Any

import numpy as np

LARGEST = 200_000
"""Maximum number of unknowns of a sparse matrix file."""


def from_coordinates(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> Any:
    """The matrix of these entries; entries of one place are added, as scipy does. ValueError where an index is out of range."""
    from scipy import sparse

    return checked(sparse.coo_array((values, (rows, columns)), shape=shape))


def checked(matrix: Any) -> Any:
    """As `csr_array`; ValueError beyond `LARGEST` unknowns."""
    from scipy import sparse

    if max(matrix.shape) > LARGEST:
        raise ValueError(f"it has shape {matrix.shape}, and at most {LARGEST} unknowns are supported")
    return sparse.csr_array(matrix)
