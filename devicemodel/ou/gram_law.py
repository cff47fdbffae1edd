"""The exact law of k states with A = M M^T + damping, M known by its products (`ImplicitGram`).

At rest by Cholesky's factor R of A, refined on residuals through M (`gram_solve`): mean A^-1 b, and noise sqrt(kappa0) R^-T xi, whose
covariance is kappa0 A^-1. At a finite time by `rational_lanczos`, in the type of M where the rounding of K is small beside damping +
sigma, else in double precision on a Gram matrix that is summed from products in the type of M. For M in float32 the relative error of
M^T x(t) is at most 1e-4 (1e-5 to 3e-5 on the networks of docs/speed.md), that of M^T times a draw of noise at most 1e-2; in float64 1e-8
and 1e-6.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..implicit_gram import ImplicitGram
from ..systems import Dense
from .functions import Function
from .gram_solve import half_solved, solve_formed, solve_gram
from .krylov.rational_lanczos import POLE, rational_lanczos
from .product_law import ShiftedLaw, terms_of

MEAN = {torch.float32: 1e-5, torch.float64: 1e-10}
NOISE = {torch.float32: 1e-3, torch.float64: 1e-8}
"""Tolerances of the mean and of a draw of noise, by the type of M."""
ROUNDING = 5e-5
"""Of K in the type of M, over the shift: above, the sum is taken in double precision."""


class GramLaw:
    """The law; stable and with a settled state, since the damping is positive."""

    unstable = False

    def __init__(self, system: ImplicitGram) -> None:
        self.system = system

    def state(self, x0: Tensor, b: Tensor, t: float, kappa0: float, xi: Tensor | None) -> Tensor:
        """x(t), (k,) float64, from x0 under the drive b, for the standard normal numbers xi (None: the mean); nan if M is not finite."""
        if t == 0:
            return x0.clone()
        found = self._settled(b, kappa0, xi) if math.isinf(t) else self._on_the_way(x0, b, t, kappa0, xi)
        if found is not None:
            return found
        A = self.system.dense()
        if not math.isfinite(float(A.sum())):
            return torch.full_like(b, math.nan)
        if math.isinf(t) and xi is None:
            A.diagonal().sub_(self.system.damping)
            formed = solve_formed(A, b, self.system.damping)
            return torch.full_like(b, math.nan) if formed is None else formed
        return ShiftedLaw(Dense(A, floor=self.system.damping)).state(x0, b, t, kappa0, xi)

    def _settled(self, b: Tensor, kappa0: float, xi: Tensor | None) -> Tensor | None:
        M, damping = self.system.M, self.system.damping
        found = solve_gram(M, M.lower_gram(M.dtype), b, damping)
        if found is None:
            return None
        x, root = found
        return x if xi is None else x + math.sqrt(kappa0) * half_solved(root, xi, lower=False)

    def _on_the_way(self, x0: Tensor, b: Tensor, t: float, kappa0: float, xi: Tensor | None) -> Tensor | None:
        sigma, damping, M = POLE / t, self.system.damping, self.system.M
        root = _factor(M.lower_gram(M.dtype), damping + sigma, ROUNDING)
        if root is None:
            root = _factor(M.summed_gram(), damping + sigma, math.inf)
        if root is None:
            return None
        total, dtype = torch.zeros_like(b), self.system.M.dtype
        terms = terms_of(x0, b, t, kappa0, xi)
        for v in {id(v): v for _, v in terms}.values():
            f = _sum([f for f, own in terms if own is v])
            own_root, tolerance = (root.to(dtype), NOISE[dtype]) if v is xi else (root, MEAN[dtype])
            part = rational_lanczos(own_root, sigma, damping, v, f, tolerance)
            if part is None:
                return None
            total += part
        return total


def _factor(lower: Tensor, shift: float, rounding: float) -> Tensor | None:
    """Cholesky's factor of K + shift; None if there is none, or K in its type has more rounding than that part of the shift."""
    if float(lower.norm()) * torch.finfo(lower.dtype).eps > rounding * shift:
        return None
    lower.diagonal().add_(shift)
    root, info = torch.linalg.cholesky_ex(lower)
    return root if int(info) == 0 else None


def _sum(functions: list[Function]) -> Function:
    def total(a: Tensor) -> Tensor:
        parts = [f(a) for f in functions]
        return sum(parts[1:], parts[0])

    return total
