"""(K + lambda I) u = s for the Gram matrix K of a batch, and the step M^T u.

By iterative refinement on residuals from the layers (`ou.gram_solve`); where that does not converge, the matrix is formed and solved in
float64.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...devicemodel.ou.gram_solve import gram_root, solve_formed, solve_rooted
from ..curvature.batch import all_finite
from ..curvature.factor import Factor
from .remainder import check_damped, solve_remainder


def solve_dual(factor: Factor, damping: float) -> list[Tensor] | None:
    """x = (C + lambda I)^-1 g, shaped as the parameters: M^T u with (K + lambda I) u = s, and the remainder's; None if K is not finite.

    Raises:
        InputError: with damping 0, K is singular in float64, or there is a remainder.
    """
    rest = factor.remainder
    if rest is None:
        return _in_range(factor, damping)
    check_damped(damping)
    if not bool(factor.sources.any()):
        return solve_remainder(factor, rest, damping)
    found, beyond = _in_range(factor, damping), solve_remainder(factor, rest, damping)
    return None if found is None or beyond is None else [a + b for a, b in zip(found, beyond, strict=True)]


def _in_range(factor: Factor, damping: float) -> list[Tensor] | None:
    """M^T u with (K + lambda I) u = s; None if K is not finite."""
    s, dtype = factor.sources, factor.dtype
    root = factor.once(("Gram root", damping), lambda: gram_root(factor.lower_gram(dtype), damping))
    refined = None if root is None else solve_rooted(factor, root, s, damping)
    if refined is not None:
        return factor.rmatvec(refined)
    if not all_finite(factor.lower_gram(dtype)):
        return None
    u = solve_formed(factor.gram(torch.float64), s, damping)
    if u is None:
        raise InputError(f"the curvature is singular in float64 and damping is {damping}: give damping > 0")
    return factor.rmatvec(u)
