"""Third pass: which fabric, and with which scaling of the unknowns.

A symmetric matrix with positive diagonal is a network of positive resistors (dual rail where couplings are positive)
exactly when its comparison matrix M(A), |diagonal| on and -|off-diagonal| off, is positive definite; then
d = M(A)^-1 diag(A) > 0 scales it to D A D with positive row sums, d_i (M d)_i = d_i A_ii. Since M(A + s I) = M(A) + s I, the
least damping that makes A passive is lambda* = max(0, -lambda_min(M(A))), exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...circuits.errors import UnrealisableError
from ..fabrics import Fabric, fabric_named
from .condition import is_positive_definite


@dataclass(frozen=True)
class Realisation:
    """The choice: a fabric, the scaling d (n,), lambda* (problem units), and the reason in words."""

    fabric: Fabric
    scaling: np.ndarray
    lambda_star: float
    reason: str


def comparison_matrix(matrix: np.ndarray) -> np.ndarray:
    """M(A): |A_ii| on the diagonal, -|A_ij| off it."""
    compared = -np.abs(matrix)
    np.fill_diagonal(compared, np.abs(np.diag(matrix)))
    return compared


def lambda_star(matrix: np.ndarray) -> float:
    """The least damping, added to this matrix, that lets positive resistors realise it; 0 when they already can."""
    signed = -np.abs(matrix)
    np.fill_diagonal(signed, np.diag(matrix))  # with its sign: damping has to make up for a negative diagonal first
    return max(0.0, -float(np.linalg.eigvalsh(signed)[0]))


def realise(matrix: np.ndarray, fabric: str) -> Realisation:
    """Choose the fabric (`auto`) or check the one asked for.

    Raises:
        UnrealisableError: `dual_rail` for a matrix that is not passive; names lambda*.
        InputError: a fabric of that name does not exist.
    """
    n = len(matrix)
    compared = comparison_matrix(matrix)
    passive = bool(np.diag(matrix).min() > 0) and is_positive_definite(compared)
    needed = 0.0 if passive else lambda_star(matrix)
    mean = float(np.diag(matrix).mean())
    ratio = needed / mean if mean > 0 else np.inf
    if fabric == "auto":
        fabric = "dual_rail" if passive else "crossbar"
        asked = ""
    else:
        asked = f"{fabric} was asked for; "
    chosen = fabric_named(fabric)
    if chosen.name == "dual_rail":
        if not passive:
            raise UnrealisableError(
                f"fabric dual_rail cannot realise this matrix: its comparison matrix is not positive definite. Positive "
                f"resistors need {needed:.4g} more damping (lambda* = {needed:.4g}, {ratio:.3g} times the mean diagonal); "
                "add it, or use fabric='crossbar', which realises any sign"
            )
        scaling = np.linalg.solve(compared, np.diag(matrix))
        scaling /= scaling.max()
        reason = "lambda* = 0: the comparison matrix is positive definite, so positive resistors suffice; no amplifiers"
    else:
        scaling = np.ones(n)
        reason = (
            "positive resistors would suffice (lambda* = 0), amplifiers are used all the same"
            if passive
            else f"lambda* = {needed:.4g} ({ratio:.3g} times the mean diagonal) more damping would be needed for positive "
            "resistors alone, so the couplings need amplifiers"
        )
    return Realisation(chosen, scaling, needed, asked + reason)
