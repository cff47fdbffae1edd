"""Conjugate gradients for (C + lambda I) x = g by products with C.

Hestenes and Stiefel (1952). Scalar products are summed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ...circuits.errors import InputError
from ..curvature.factor import Factor

_NEGATIVE = {torch.float32: 1e-3, torch.float64: 1e-6}
"""Cosine between a direction and its product below which (negative) the matrix is indefinite beyond rounding."""


def conjugate_gradients(
    factor: Factor,
    gradient: Sequence[Tensor],
    damping: float,
    tolerance: float,
    max_iter: int,
    x0: Sequence[Tensor] | None = None,
    indefinite: bool = False,
) -> tuple[list[Tensor], int]:
    """Solve until |g - (C + lambda I) x| <= tolerance |g|, or for `max_iter` iterations.

    Args:
        factor: gives the products.
        gradient: g.
        damping: lambda >= 0.
        tolerance: of the residual, relative to |g|.
        max_iter: limit of iterations.
        x0: initial guess; None: zero.
        indefinite: whether C may be indefinite; the solution then ends at the first direction of negative curvature.

    Returns:
        x, and the number of iterations. x is not a number where a product is not.

    Raises:
        InputError: C + lambda I has negative curvature along a direction and `indefinite` is False.
    """
    x = [torch.zeros_like(g) for g in gradient] if x0 is None else [part.clone() for part in x0]
    r = list(gradient)
    if x0 is not None:
        r = [g - c - damping * v for g, c, v in zip(gradient, factor.product(x), x, strict=True)]
    direction = [part.clone() for part in r]
    size, goal = _dot(r, r), tolerance**2 * _dot(gradient, gradient)
    for count in range(max_iter):
        if size <= goal:
            return x, count
        Ap = [c + damping * v for c, v in zip(factor.product(direction), direction, strict=True)]
        curvature = _dot(direction, Ap)
        if math.isnan(curvature):
            return [torch.full_like(part, math.nan) for part in x], count
        if not curvature > 0:
            limit = _NEGATIVE.get(gradient[0].dtype, 1e-3) * math.sqrt(_dot(direction, direction) * _dot(Ap, Ap))
            if curvature < -limit and not indefinite:
                raise InputError(
                    f"the loss is not convex in the outputs: a direction has the curvature {curvature / _dot(direction, direction):.3g}, "
                    f"damping {damping:g} included, so the Gauss-Newton matrix is not positive semi-definite; return as outputs the values "
                    "that a convex loss (cross-entropy, squared error) is taken of"
                )
            return x, count
        alpha = size / curvature
        for target, source, sign in ((x, direction, alpha), (r, Ap, -alpha)):
            for i, part in enumerate(source):
                target[i] = target[i] + sign * part
        before, size = size, _dot(r, r)
        direction = [part + (size / before) * old for part, old in zip(r, direction, strict=True)]
    return x, max_iter


def _dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    return float(sum((u.double() * v.double()).sum() for u, v in zip(a, b, strict=True)))
