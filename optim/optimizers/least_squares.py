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


def solve_least_squares(factor: Factor, damping: float) -> list[Tensor] | None:
    """x = (C + lambda I)^-1 g, shaped as the parameters; None if M is not finite.

    Raises:
        InputError: with damping 0, M has no full column rank, or there is a remainder.
    """
    rest, parameters = factor.remainder, factor.parameters
    if rest is not None:
        check_damped(damping)
    columns = {i: rows for block in factor.blocks for i, rows in zip(block.indices, block.rows(), strict=True)}
    k, n = factor.cells, sum(rows.shape[1] for rows in columns.values())
    A = torch.zeros(k + n, n + 1, dtype=torch.float64, device=parameters[0].device)
    if columns:
        torch.cat([rows.double() for rows in columns.values()], dim=1, out=A[:k, :n])
    A[:k, n] = factor.sources
    if not all_finite(A):
        return None
    A[k:, :n].fill_diagonal_(math.sqrt(damping))
    whole = torch.linalg.qr(A, mode="r").R
    R, y = whole[:n, :n], whole[:n, n:]
    pivots = R.diagonal().abs()
    if damping == 0 and n and float(pivots.min()) <= n * torch.finfo(A.dtype).eps * float(pivots.max()):
        raise InputError(f"the curvature is singular in float64 and damping is {damping}: give damping > 0")
    if rest is not None:
        g = torch.cat([rest[i].reshape(-1) for i in columns]).double().unsqueeze(1)
        y = y + torch.linalg.solve_triangular(R.mT, g, upper=False)
    x = torch.linalg.solve_triangular(R, y, upper=True).squeeze(1)
    found = [
        torch.zeros_like(p, requires_grad=False) if rest is None else rest[i] / damping
        for i, p in enumerate(parameters)
    ]
    for i, part in zip(columns, x.split([rows.shape[1] for rows in columns.values()]), strict=True):
        found[i] = part.to(factor.dtype).reshape(parameters[i].shape)
    return found
