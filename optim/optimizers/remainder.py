"""The part of a step that comes from what of the gradient is not in the range of M^T.

With g = M^T s + g_r, C = M^T M and K = M M^T,

    (C + lambda I)^-1 g = M^T u + g_r / lambda,     (K + lambda I) u = s - M g_r / lambda.

The two terms cancel by lambda / C where g_r lies in steep directions after all, and rounding with them, which corrections by the residual
g_r - (C + lambda I) x take away again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...circuits.errors import InputError
from ..curvature.batch import all_finite
from ..curvature.factor import Factor

_TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}
"""Relative error of x, by the bound |residual| / lambda."""
_ROUNDINGS = 16
"""Residual over |g_r|, in roundings of the products' type, below which nothing is gained: g_r is no better known."""
_MAX_CORRECTIONS = 8
MAX_ENTRIES = 2**26
"""Largest number of entries of M that is written out in float64."""


def check_damped(damping: float) -> None:
    """InputError unless damping > 0, as a remainder needs it: without, x is unbounded."""
    if not damping > 0:
        raise InputError(
            f"damping is {damping}, and the gradient has parts outside of the range of the curvature (a loss with slope but no curvature, "
            "such as L1, hinge or Huber's outliers, drawn labels, or batch normalisation in training mode), along which the "
            "step would be infinite: give damping > 0"
        )


def length(values: Sequence[Tensor]) -> float:
    """Norm of an N-vector."""
    return math.hypot(*(float(part.norm()) for part in values))


def solve_remainder(factor: Factor, rest: Sequence[Tensor], damping: float) -> list[Tensor] | None:
    """(C + lambda I)^-1 g_r for damping > 0, as exact as the products with M; None if K is not finite.

    In float32, corrections fail where lambda is below the rounding of C; then M is written out in float64, if it has room.

    Args:
        rest: g_r, shaped as the parameters.
    """
    K = factor.gram()
    if not all_finite(K):
        return None
    inverse = _inverse(K, damping)
    found, exact = _corrected(factor.matvec, factor.rmatvec, inverse, rest, damping, _TOLERANCE[factor.dtype])
    entries = factor.cells * sum(part.numel() for part in rest)
    if exact or factor.dtype == torch.float64 or entries > MAX_ENTRIES:
        return found
    M = factor.jacobian().double()
    g = torch.cat([part.reshape(-1) for part in rest]).double()
    (x,), _ = _corrected(
        lambda v: M @ v[0], lambda u: [u @ M], _inverse(M @ M.mT, damping), [g], damping, _TOLERANCE[torch.float64]
    )
    pieces = x.to(factor.dtype).split([part.numel() for part in rest])
    return [piece.reshape(part.shape) for piece, part in zip(pieces, rest, strict=True)]


def _inverse(K: Tensor, damping: float) -> Callable[[Tensor], Tensor]:
    """(K + damping I)^-1 in float64; eigenvalues that rounding made negative count as zero."""
    damped = K.clone()
    damped.diagonal().add_(damping)
    root, info = torch.linalg.cholesky_ex(damped)
    if int(info) == 0:
        return lambda v: torch.cholesky_solve(v.unsqueeze(1), root).squeeze(1)
    w, V = torch.linalg.eigh(K)
    return lambda v: V @ ((V.mT @ v) / (w.clamp(min=0) + damping))


def _corrected(
    matvec: Callable[[Sequence[Tensor]], Tensor],
    rmatvec: Callable[[Tensor], list[Tensor]],
    inverse: Callable[[Tensor], Tensor],
    g: Sequence[Tensor],
    damping: float,
    tolerance: float,
) -> tuple[list[Tensor], bool]:
    """(C + damping I)^-1 g, and whether its error is within the tolerance."""
    best = [torch.zeros_like(part) for part in g]
    r, size = list(g), length(g)
    start = size
    enough = _ROUNDINGS * torch.finfo(g[0].dtype).eps * size
    for _ in range(_MAX_CORRECTIONS):
        back = rmatvec(inverse(matvec(r).double()))
        x = [old + (a - c) / damping for old, a, c in zip(best, r, back, strict=True)]
        if enough <= tolerance * damping * length(x) and size == start:  # the terms did not cancel
            return x, True
        after = [a - c - damping * v for a, c, v in zip(g, rmatvec(matvec(x)), x, strict=True)]
        before, size = size, length(after)
        if not size < before:
            return best, before <= 4 * enough
        best, r = x, after
        if size <= max(enough, tolerance * damping * length(x)):
            return best, True
    return best, False
