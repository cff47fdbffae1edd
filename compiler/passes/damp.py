"""Damping, and the check that the damped matrix is positive definite, so that the circuit has a stable rest."""

from __future__ import annotations

from ...circuits.errors import InputError
from ..matrices import Matrix, is_positive_definite, largest_entry, smallest_eigenvalue, with_diagonal_added
from ..validate import check_damping


def damp(matrix: Matrix, damping: float) -> Matrix:
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
