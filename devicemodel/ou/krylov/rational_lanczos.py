"""f(A) v by Lanczos' method on a resolvent B = (A + sigma)^-1, which one Cholesky factorisation gives.

    B V = V H + beta v e_m^T,   f(A) v ~ |v| V f(H^-1 - sigma) e_1

With sigma = 20 / t, functions that change over a ~ 1 / t, such as e^{-a t} and (1 - e^{-a t}) / a, converge in some 14 steps whatever the
largest eigenvalue is (J. van den Eshof, M. Hochbruck, SIAM J. Sci. Comput. 27:1438, 2006). Iteration ends where the change d by the
last three or four steps, in the norms of u and of M^T u, A = M M^T + damping, and that by those before, d', promise d^2 / d' below the
tolerance: convergence gets no slower on the way.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..functions import Function

POLE = 20.0
"""sigma t."""
CHECKS = (8, 11, 14, 17, 20, 24, 28, 32, 36, 40, 44, 48)
"""Steps at which the results are compared."""


def rational_lanczos(
    root: Tensor, sigma: float, damping: float, v: Tensor, function: Function, tolerance: float
) -> Tensor | None:
    """f(A) v, (k,) float64; None if it does not converge in the last of `CHECKS`.

    Args:
        root: Cholesky's lower factor of A + sigma, (k, k), in the type in which to work.
        sigma: > 0. damping: no eigenvalue of A is below it, > 0.
        v: (k,) float64. function: f of an eigenvalue. tolerance: relative.
    """
    k, size, smallest = len(v), float(v.norm()), 1e-14 / (sigma + damping)
    if size == 0:
        return torch.zeros_like(v)
    limit, upper = min(CHECKS[-1], k), root.mT
    basis, diagonal, beside = root.new_zeros(limit + 1, k), list[Tensor](), list[Tensor]()
    basis[0] = v / size
    before, change = v.new_zeros(0), math.inf
    for m in range(1, limit + 1):
        V = basis[:m]
        half = torch.linalg.solve_triangular(root, V[-1:].mT, upper=False)
        image = torch.linalg.solve_triangular(upper, half, upper=True).squeeze(1)
        shares = torch.mv(V, image)
        image = torch.addmv(image, V.mT, shares, alpha=-1)
        length = torch.linalg.vector_norm(image)
        torch.mul(image, 1 / length.clamp(min=smallest), out=basis[m])
        diagonal.append(shares[-1])
        beside.append(length)
        if m == limit or m in CHECKS:
            off = torch.diag(torch.stack(beside[:-1]), 1)
            h, S = torch.linalg.eigh((torch.diag(torch.stack(diagonal)) + off + off.mT).double())
            a = 1 / h.clamp(smallest, 1 / (sigma + damping)) - sigma
            now = S @ (function(a) * S[0])
            last, change = change, _change(now, before, S, a - damping) if len(before) else math.inf
            rate = 1.0 if math.isinf(last) else min(1.0, change / last)
            if m == k or change * rate <= tolerance:
                return size * (now.to(basis.dtype) @ V).double()
            before = now
    return None


def _change(now: Tensor, before: Tensor, S: Tensor, w: Tensor) -> float:
    """Relative difference of two results, in coefficients of the basis: by the Euclidean norm or with weights w of the eigenvectors S, the
    larger one."""
    difference = now.clone()
    difference[: len(before)] -= before
    squares = (torch.stack([difference, now]) @ S) ** 2
    sizes = squares @ torch.stack([torch.ones_like(w), w.clamp(min=0)]).mT
    return math.sqrt(max(part / whole if whole > 0 else 0.0 for part, whole in zip(*sizes.tolist(), strict=True)))
