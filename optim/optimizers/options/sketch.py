"""(K + lambda I) u = s for many residuals, by conjugate gradients with a randomised Nystrom approximation of K as preconditioner.

From Y = K Q for an orthonormal basis Q of `rank` random vectors,

    K ~ Y (Q^T Y)^-1 Y^T = U diag(e) U^T,      P^-1 = U diag((e_min + lambda) / (e + lambda)) U^T + (I - U U^T)

so that P^-1 (K + lambda I) has a condition number near 1 where the eigenvalues that the sketch leaves out are below lambda, as those of
physics-informed networks soon are. K is not formed: its products go through M. The sketch sets the number of iterations, and never the
solution, which is that of K to the tolerance.

Source: Z. Frangella, J. Tropp and M. Udell, SIAM J. Matrix Anal. Appl. 44, 718 (2023), arXiv 2110.02820.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-8}
"""Relative error of x, by the bound |M^T (K + lambda)^-1 r| <= |r| / (2 sqrt lambda)."""
_MAX_ITERATIONS = 500


def solve_sketched(
    M: Tensor, s: Tensor, damping: float, rank: int, generator: torch.Generator
) -> tuple[Tensor, int] | None:
    """x = M^T u and the number of iterations; None where these do not reach the tolerance.

    Args:
        M: (k, N).
        s: (k,) float64.
        damping: lambda > 0.
        rank: of the sketch, at most k.
        generator: of its vectors, on the CPU.
    """
    inverse = _preconditioner(M, min(rank, len(M)), damping, generator)
    u, r = torch.zeros_like(s), s
    x = torch.zeros(M.shape[1], dtype=s.dtype, device=s.device)
    z = inverse(r)
    direction, size = z, float(r @ z)
    goal = _TOLERANCE[M.dtype] * 2 * math.sqrt(damping)
    for count in range(_MAX_ITERATIONS):
        if float(r.norm()) <= goal * float(x.norm()):
            # what rounding has made of the recursion's residual
            r = s - damping * u - _forward(M, x)
            if float(r.norm()) <= 2 * goal * float(x.norm()):
                return x, count
            z = inverse(r)
            direction, size = z, float(r @ z)
        back = _backward(M, direction)
        Ad = damping * direction + _forward(M, back)
        curvature = float(direction @ Ad)
        if not (math.isfinite(curvature) and curvature > 0):
            return (x, count) if size == 0 else None
        alpha = size / curvature
        u, x, r = u + alpha * direction, x + alpha * back, r - alpha * Ad
        z = inverse(r)
        before, size = size, float(r @ z)
        direction = z + (size / before) * direction
    return None


def _preconditioner(M: Tensor, rank: int, damping: float, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    """P^-1, up to a factor."""
    Q = torch.linalg.qr(torch.randn(len(M), rank, dtype=torch.float64, generator=generator).to(M.device))[0]
    Y = (M @ (M.mT @ Q.to(M.dtype))).double()
    shift = torch.finfo(M.dtype).eps * float(torch.linalg.matrix_norm(Y))
    Y = Y + shift * Q
    inner = Q.mT @ Y
    root, info = torch.linalg.cholesky_ex((inner + inner.mT) / 2)
    if int(info) != 0:
        return lambda v: v
    B = torch.linalg.solve_triangular(root, Y.mT, upper=False).mT
    U, singular, _ = torch.linalg.svd(B, full_matrices=False)
    e = (singular.square() - shift).clamp(min=0)
    gain = (e[-1] + damping) / (e + damping) - 1
    return lambda v: v + U @ (gain * (U.mT @ v))


def _forward(M: Tensor, v: Tensor) -> Tensor:
    return (M @ v.to(M.dtype)).double()


def _backward(M: Tensor, u: Tensor) -> Tensor:
    return (u.to(M.dtype) @ M).double()
