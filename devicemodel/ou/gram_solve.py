"""(K + lambda I) u = s for a Gram matrix K = M M^T, by iterative refinement on residuals that are taken through M.

In float32 K is off by a rounding of its largest eigenvalue, which a small damping amplifies; products with M and M^T are not. So Cholesky's
factor of the float32 matrix is only a preconditioner: the residual s - lambda u - M M^T u is taken through M, and one or two corrections
leave the error of the entries of M.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..implicit_gram import GramProducts

_TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}
"""Relative error of M^T u, by a bound: |M^T (K + lambda)^-1| <= 1 / (2 sqrt lambda), so a residual r leaves |r| / (2 sqrt lambda)."""
_NEGLIGIBLE_ROUNDING = {torch.float32: 2e-5, torch.float64: 0.0}
"""Rounding of K over lambda, below which the residual is not computed."""
_MAX_CORRECTIONS = 8


def solve_gram(M: GramProducts, lower: Tensor, s: Tensor, damping: float) -> tuple[Tensor, Tensor] | None:
    """u, (k,) float64, and Cholesky's factor of K + damping I, of K's type; None if there is none, or the residuals do not fall.

    Args:
        M: of which K is the Gram matrix.
        lower: K on and below the diagonal; overwritten.
        s: (k,) float64.
        damping: lambda >= 0.
    """
    root = gram_root(lower, damping)
    u = None if root is None else solve_rooted(M, root, s, damping)
    return None if root is None or u is None else (u, root)


def gram_root(lower: Tensor, damping: float) -> Tensor | None:
    """Cholesky's factor of K + damping I, of K's type; None if there is none. Arguments as `solve_gram`'s."""
    lower.diagonal().add_(damping)
    root, info = torch.linalg.cholesky_ex(lower)
    return root if int(info) == 0 else None


def solve_rooted(M: GramProducts, root: Tensor, s: Tensor, damping: float) -> Tensor | None:
    """u, (k,) float64, with `gram_root`'s factor; None if the residuals do not fall. The other arguments are `solve_gram`'s."""
    u, r, size = torch.zeros_like(s), s, float(s.norm())
    last = torch.finfo(root.dtype).eps * float(root.norm()) ** 2 <= _NEGLIGIBLE_ROUNDING[M.dtype] * damping
    for _ in range(_MAX_CORRECTIONS):
        u = u + half_solved(root, half_solved(root, r, lower=True), lower=False)
        if last:
            break
        image = M.gram_product(u)
        r = s - damping * u - image
        before, size = size, float(r.norm())
        length = math.sqrt(max(float(u @ image), 0.0))  # of M^T u
        enough = _TOLERANCE[M.dtype] * 2 * math.sqrt(damping) * length
        if size <= enough:
            break
        if not size < 0.5 * before:
            return None
        last = size / before * size <= enough  # the next residual falls by as much again
    return u


def solve_formed(K: Tensor, s: Tensor, damping: float) -> Tensor | None:
    """u, (k,), by the matrix K in float64 alone, where residuals do not fall; None if it is singular and damping is 0.

    Where damping is below the rounding of K, eigenvalues that rounding made negative count as zero.
    """
    A = K.clone()
    A.diagonal().add_(damping)
    root, info = torch.linalg.cholesky_ex(A)
    if int(info) == 0:
        u = torch.cholesky_solve(s.unsqueeze(1), root).squeeze(1)
        return u + torch.cholesky_solve((s - A @ u).unsqueeze(1), root).squeeze(1)
    if damping == 0:
        return None
    w, V = torch.linalg.eigh(K)
    return V @ ((V.mT @ s) / (w.clamp(min=0) + damping))


def half_solved(root: Tensor, v: Tensor, lower: bool) -> Tensor:
    """R^-1 v, or R^-T v, (k,) float64, for a lower triangular R in its own type."""
    triangle = root if lower else root.mT
    return torch.linalg.solve_triangular(triangle, v.to(root.dtype).unsqueeze(1), upper=not lower).squeeze(1).double()
