"""A bound, known while it runs, of the error of Lanczos' method for functions of A = J^T J + damping.

With w = a - damping, G = J J^T and y = J v:  f(A) v = f(damping) v - J^T s(G) y,  s(w) = (f(damping) - f(damping + w)) / w. After m steps
from y, G V = V T + beta v e_m^T, and |y| V s(T) e_1 stands for s(G) y. Cauchy's formula, on a contour that f is analytic to the right
of, and the residual |y| beta v e_m^T (w - T)^-1 e_1 of each resolvent give in the norm of the states

    error <= |y| beta / 2 pi  int |s(w)| |e_m^T (w - T)^-1 e_1| r(w) |dw|,
    e_m^T (w - T)^-1 e_1 = prod beta_j / prod (w - theta_j),   theta: the eigenvalues of T,
    r(w) = max over eigenvalues q >= 0 of sqrt(q) / |w - q| = 1 / sqrt(2 (|w| - Re w)).

The contour, in a, is the line Re a = damping - max(2 / t, damping / 2); for decay, which falls as e^{-t Re a}, it is the line
Re a = damping - 2 / t. The square root of spread branches at the zeros +-i pi n / t of 1 - e^{-2 a t}: where the line would be left of
them, its contour goes up the imaginary axis, and only below the first of them round the origin to the line. Along each piece all
factors fall, away from the real axis and to the left (|f| is taken at the left end there), so that a sum with each cell's first value is
above the integral: the bound is proven, up to the rounding of the recurrence. There is no cancellation in it.

The residual is that of Botchev, Grimm and Hochbruck, SIAM J. Sci. Comput. 35, A1376 (2013); Frommer, Guettel and Schweitzer, SIAM J. Matrix
Anal. Appl. 35, 661 (2014), use contours in the same way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..functions import Bounded, Decay, Spread

CELLS = 8
"""Cells on each of the two short pieces round the origin."""
RATIO = 1.25
"""From one cell to the next on the way to infinity."""


@dataclass(frozen=True)
class _Contour:
    """Upper half of the contour: of each cell the point x + iy that is nearest to the spectrum, and the length. `near_axis` marks
    the cells below the ray to infinity; `left` is their smallest x."""

    x: Tensor
    y: Tensor
    length: Tensor
    near_axis: Tensor
    left: float


def lanczos_bound(function: Bounded, damping: float, theta: Tensor, off_diagonal: Tensor, largest: float) -> Tensor:
    """The bound over |y|, (...).

    Args:
        function: f; for t = inf the damping must be > 0.
        damping: >= 0.
        theta: eigenvalues of T, (..., m), >= 0.
        off_diagonal: beta_1 .. beta_m, (..., m).
        largest: any number at least as large as all eigenvalues of G.
    """
    path = _contour(function, damping, largest, theta)
    w, y = path.x - damping, path.y
    distance = torch.hypot(w, y)
    at_base = function(torch.full_like(y, damping))
    leftmost = function.modulus(torch.full_like(y, path.left), torch.zeros_like(y))
    size = torch.where(path.near_axis, leftmost, function.modulus(path.x, y))
    slope = (at_base + size) / distance
    factors = torch.log(torch.hypot(theta.unsqueeze(-2) - w.unsqueeze(-1), y.unsqueeze(-1))).sum(-1)
    corner = torch.exp((torch.log(off_diagonal).sum(-1, keepdim=True) - factors).clamp(max=700.0))
    density = slope * corner / torch.sqrt(2 * (distance - w))
    # beyond the last cell the density falls at least as y^-2
    return ((density * path.length).sum(-1) + 2 * density[..., -1] * y[-1]) / math.pi


def _contour(function: Bounded, damping: float, largest: float, like: Tensor) -> _Contour:
    t = function.t
    left = damping - (2 / t if isinstance(function, Decay) else max(2 / t, damping / 2))
    height = damping if math.isinf(t) else 0.7 * math.pi / t
    ends = torch.linspace(0, 1, CELLS + 1, dtype=like.dtype, device=like.device)[:-1]
    zero = torch.zeros_like(ends)
    pieces, right = [(zero + left, height * ends, zero + height / CELLS)], left
    if isinstance(function, Spread) and left < 0:
        right = 0.0
        pieces.append((left * ends, zero + height, zero - left / CELLS))
    count = 1 + max(0, math.ceil(math.log(1e3 * (largest + damping + 1 / height) / height) / math.log(RATIO)))
    rising = height * RATIO ** torch.arange(count, dtype=like.dtype, device=like.device)
    near = CELLS * len(pieces)
    pieces.append((torch.full_like(rising, right), rising, rising * (RATIO - 1)))
    x, y, length = (torch.cat(part) for part in zip(*pieces, strict=True))
    return _Contour(x, y, length, torch.arange(len(x), device=like.device) < near, left)
