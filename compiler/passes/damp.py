"""Second pass: damping, and the proof that the damped matrix has an equilibrium to find."""

from __future__ import annotations

import sys

import numpy as np

from ...circuits.errors import InputError
from ..matrices import Matrix, is_positive_definite, largest_entry, smallest_eigenvalue, with_diagonal_added


def condition(matrix: Matrix, damping: float) -> Matrix:
    """A + damping * I, checked to be positive definite.

    Raises:
        InputError: negative damping, or a smallest eigenvalue that is not positive; names the damping needed.
    """
    damped = with_diagonal_added(matrix, check_damping(damping))
    if is_positive_definite(damped):
        return damped
    smallest = smallest_eigenvalue(matrix)
    kind = "singular" if abs(smallest) <= 1e-10 * largest_entry(matrix) else "indefinite"
    raise InputError(
        f"matrix is {kind}: its smallest eigenvalue is {smallest:.4g}, with damping {damping:.4g} it is not positive; "
        f"the circuit would have no stable equilibrium. Use damping > {max(-smallest, 0.0):.4g}"
        + (", for example 1e-3 of the mean diagonal" if kind == "singular" else "")
    )


def check_damping(damping: float) -> float:
    """The damping as a float; InputError unless it is finite and >= 0."""
    real = isinstance(damping, int | float | np.integer | np.floating)
    if not (real and 0 <= damping <= sys.float_info.max):
        raise InputError(f"damping must be a finite number >= 0, got {damping!r}")
    return float(damping)
