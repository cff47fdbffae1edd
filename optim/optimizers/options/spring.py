"""SPRING's momentum: of all directions that fit the batch, the one nearest to the last direction.

    phi_k = argmin |M phi - s|^2 + lambda |phi - mu phi_{k-1}|^2 = mu phi_{k-1} + M^T (K + lambda I)^-1 (s - mu M phi_{k-1})

so that the parts of a step that one batch does not determine are kept from earlier ones, where heavy-ball momentum would add to
those that are determined as well. With mu = 0 it is the natural gradient. Only the sources change: a device has the same matrix, and
another drive.

Source: G. Goldshlager, N. Abrahamsen and L. Lin, J. Comput. Phys. 516, 113351 (2024), arXiv 2401.10190; for differential equations
A. Guzman-Cordero, F. Dangel, G. Goldshlager and M. Zeinhofer, arXiv 2505.12149.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ...curvature.factor import Factor
from .redirected import RedirectedFactor

_KEY = "spring"
"""Of the last direction in an optimizer's state."""


def last_direction(state: Any, parameters: Sequence[Tensor]) -> list[Tensor] | None:
    """phi_{k-1}; None before the first step, and after one that was not taken."""
    if not all(_KEY in state.get(p, {}) for p in parameters):
        return None
    return [state[p][_KEY] for p in parameters]


def keep_direction(state: Any, parameters: Sequence[Tensor], direction: Sequence[Tensor] | None) -> None:
    """Keep phi_k; None forgets the last one."""
    for i, p in enumerate(parameters):
        if direction is not None:
            state[p][_KEY] = direction[i].clone()
        elif p in state:
            state[p].pop(_KEY, None)


def shifted(factor: Factor, kept: Sequence[Tensor], by_rows: bool) -> Factor:
    """The factor with s - M w for its sources, whose solution, and w, make SPRING's direction.

    Args:
        factor: of the batch.
        kept: w = mu phi_{k-1}, in the coordinates of M.
        by_rows: whether M is at hand; else the gradient alone is changed, to g - C w.
    """
    if by_rows:
        return RedirectedFactor(factor, factor.sources - factor.matvec(kept).double(), factor.remainder)
    gradient = [g - c for g, c in zip(factor.gradient(), factor.product(kept), strict=True)]
    return RedirectedFactor(factor, factor.sources, factor.remainder, gradient)
