"""A step where parameters are few: the least-squares problem that it is, by an orthogonal factorisation of M.

    x = argmin |M x - s|^2 + lambda |x|^2 = R^-1 Q^T (s, 0),     (M; sqrt(lambda) I) = Q R

for the part in the range of M^T, and R^-1 R^-T g_r for the remainder. The k x k Gram matrix of k > N rows has rank N, and squares the
condition of M; the factorisation does neither, so that steps are right to rounding at any damping.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...circuits.errors import InputError
from ..curvature.batch import all_finite
from ..curvature.factor import Factor
from .remainder import check_damped

MAX_ENTRIES = 2**26
"""Largest number of entries of M that is factorised, 512 MiB in float64."""


def few_parameters(factor: Factor) -> bool:
    """Whether M has at least twice as many rows as columns, and room: 2 N^2 k operations in place of k^2 N + k^3 / 3."""
    n = sum(p.numel() for p in factor.parameters if p.requires_grad)
    return 2 * n <= factor.cells and n * factor.cells <= MAX_ENTRIES


class _Factorised:
    """Q and R of (M; sqrt(damping) I), Q as Householder vectors.

    Attributes:
        indices: positions of the parameters, whose columns follow one another.
        sizes: number of columns of each.
        R: (N, N) upper triangular, float64.
    """

    def __init__(self, factor: Factor, damping: float) -> None:
        columns = {i: rows for block in factor.blocks for i, rows in zip(block.indices, block.rows(), strict=True)}
        self.indices, self.sizes = list(columns), [rows.shape[1] for rows in columns.values()]
        k, n = factor.cells, sum(self.sizes)
        # LAPACK takes columns one after another, and would copy others.
        A = torch.zeros(n, k + n, dtype=torch.float64, device=factor.parameters[0].device).mT
        if columns:
            torch.cat([rows.double() for rows in columns.values()], dim=1, out=A[:k])
        A[k:].fill_diagonal_(math.sqrt(damping))
        self.finite, self._rows = all_finite(A), k + n
        if self.finite and n:
            self._reflectors, self._scales = torch.geqrf(A)
            self.R = self._reflectors[:n].triu()
        else:
            self.R = A[:n]

    def projected(self, s: Tensor) -> Tensor:
        """The first N entries of Q^T (s, 0), (N, 1)."""
        n = len(self.R)
        if not n:
            return self.R.new_zeros(0, 1)
        b = self.R.new_zeros(self._rows, 1)
        b[: len(s), 0] = s
        return torch.ormqr(self._reflectors, self._scales, b, left=True, transpose=True)[:n]


def solve_least_squares(factor: Factor, damping: float) -> list[Tensor] | None:
    """x = (C + lambda I)^-1 g, shaped as the parameters; None if M or s is not finite.

    Raises:
        InputError: with damping 0, M has no full column rank, or there is a remainder.
    """
    rest, parameters = factor.remainder, factor.parameters
    if rest is not None:
        check_damped(damping)
    found = factor.once(("least squares", damping), lambda: _Factorised(factor, damping))
    if not (found.finite and all_finite(factor.sources)):
        return None
    R, y = found.R, found.projected(factor.sources)
    pivots, n = R.diagonal().abs(), len(R)
    if damping == 0 and n and float(pivots.min()) <= n * torch.finfo(R.dtype).eps * float(pivots.max()):
        raise InputError(f"the curvature is singular in float64 and damping is {damping}: give damping > 0")
    if rest is not None:
        g = torch.cat([rest[i].reshape(-1) for i in found.indices]).double().unsqueeze(1)
        y = y + torch.linalg.solve_triangular(R.mT, g, upper=False)
    x = torch.linalg.solve_triangular(R, y, upper=True).squeeze(1)
    shaped = [
        torch.zeros_like(p, requires_grad=False) if rest is None else rest[i] / damping
        for i, p in enumerate(parameters)
    ]
    for i, part in zip(found.indices, x.split(found.sizes), strict=True):
        shaped[i] = part.to(factor.dtype).reshape(parameters[i].shape)
    return shaped
