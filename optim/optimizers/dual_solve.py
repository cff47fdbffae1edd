"""(K + lambda I) u = s for the Gram matrix K of a batch, solved by iterative refinement on residuals from the layers.

In float32 K is off by a rounding of its largest eigenvalue, which a small damping amplifies; the products with M and M^T are not. So the
Cholesky factor of the float32 matrix is only a preconditioner: the residual s - lambda u - M (M^T u) is taken through the layers, and one
or two corrections leave the error of the layers' own numbers. The last M^T u is the step, so that a correction costs one product with M
and one with M^T. Where that does not converge, the matrix is formed and solved in float64.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...circuits.errors import InputError
from ..curvature.batch import all_finite
from ..curvature.factor import Factor
from .remainder import check_damped, solve_remainder

_TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}
"""Relative error of x, by a bound: |M^T (K + lambda)^-1| <= 1 / (2 sqrt lambda), so a residual r leaves |r| / (2 sqrt lambda)."""
_NEGLIGIBLE_ROUNDING = {torch.float32: 2e-5, torch.float64: 0.0}
"""Rounding of K over lambda, below which the residual is not computed."""
_MAX_CORRECTIONS = 8


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
    K = factor.lower_gram(dtype)
    found = _refined(factor, K, s, damping)
    if found is None and not all_finite(factor.lower_gram(dtype)):
        return None
    if found is None:
        found = _direct(factor, s, damping)
    if found is None:
        raise InputError(f"the curvature is singular in float64 and damping is {damping}: give damping > 0")
    return found


def _refined(factor: Factor, K: Tensor, s: Tensor, damping: float) -> list[Tensor] | None:
    """By refinement; None if K has no Cholesky factor or the residuals do not fall."""
    K.diagonal().add_(damping)
    root, info = torch.linalg.cholesky_ex(K)
    if int(info) != 0:
        return None
    u, r, size = torch.zeros_like(s), s, float(s.norm())
    last = torch.finfo(K.dtype).eps * float(root.norm()) ** 2 <= _NEGLIGIBLE_ROUNDING[factor.dtype] * damping
    for _ in range(_MAX_CORRECTIONS):
        half = torch.linalg.solve_triangular(root, r.to(root.dtype).unsqueeze(1), upper=False)
        u = u + torch.linalg.solve_triangular(root.mT, half, upper=True).squeeze(1).double()
        x = factor.rmatvec(u)
        if last:
            return x
        r = s - damping * u - factor.matvec(x).double()
        before, size = size, float(r.norm())
        length = math.hypot(*(float(part.norm()) for part in x))
        enough = _TOLERANCE[factor.dtype] * 2 * math.sqrt(damping) * length
        if size <= enough:
            return x
        if not size < 0.5 * before:
            return None
        last = size / before * size <= enough  # the next residual falls by as much again
    return x


def _direct(factor: Factor, s: Tensor, damping: float) -> list[Tensor] | None:
    """In float64 by the matrix alone; None if it is singular and damping is 0.

    Where damping is below the rounding of K, eigenvalues that rounding made negative count as zero.
    """
    K = factor.gram(torch.float64)
    A = K.clone()
    A.diagonal().add_(damping)
    root, info = torch.linalg.cholesky_ex(A)
    if int(info) == 0:
        u = torch.cholesky_solve(s.unsqueeze(1), root).squeeze(1)
        u = u + torch.cholesky_solve((s - A @ u).unsqueeze(1), root).squeeze(1)
        return factor.rmatvec(u)
    if damping == 0:
        return None
    w, V = torch.linalg.eigh(K)
    return factor.rmatvec(V @ ((V.mT @ s) / (w.clamp(min=0) + damping)))
