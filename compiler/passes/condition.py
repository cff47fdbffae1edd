"""Second pass: damping, and the proof that the damped matrix has an equilibrium to find."""

from __future__ import annotations

import sys

import numpy as np

from ...circuits.errors import InputError


def condition(matrix: np.ndarray, damping: float) -> np.ndarray:
    """A + damping * I, checked to be positive definite.

    Raises:
        InputError: negative damping, or a smallest eigenvalue that is not positive; names the damping needed.
    """
    real = isinstance(damping, int | float | np.integer | np.floating)
    if not (real and 0 <= damping <= sys.float_info.max):
        raise InputError(f"damping must be a finite number >= 0, got {damping!r}")
    damped = matrix + float(damping) * np.eye(len(matrix))
    if is_positive_definite(damped):
        return damped
    smallest = float(np.linalg.eigvalsh(matrix)[0])
    kind = "singular" if abs(smallest) <= 1e-10 * np.abs(matrix).max() else "indefinite"
    raise InputError(
        f"matrix is {kind}: its smallest eigenvalue is {smallest:.4g}, with damping {damping:.4g} it is not positive; "
        f"the circuit would have no stable equilibrium. Use damping > {max(-smallest, 0.0):.4g}"
        + (", for example 1e-3 of the mean diagonal" if kind == "singular" else "")
    )


def is_positive_definite(matrix: np.ndarray) -> bool:
    """Whether the symmetric part is positive definite beyond rounding (then every real part of the spectrum is positive)."""
    symmetric = (matrix + matrix.T) / 2
    margin = len(matrix) * np.finfo(float).eps * np.abs(symmetric).max()
    try:
        np.linalg.cholesky(symmetric - margin * np.eye(len(matrix)))
    except np.linalg.LinAlgError:
        return False
    return True
