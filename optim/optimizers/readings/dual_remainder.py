"""Readings of the dual cells where a part g_r of the gradient is not in the range of M^T.

    (K + lambda I) u = s - M g_r / lambda,      x = M^T u + g_r / lambda

holds of settled runs. On the way x(t) = M^T u(t) + a(t) g_r with a(t) = 1 / lambda + (1 - 1 / lambda) e^(-lambda t), and the cells would
follow x(t) with the drive s - a(t) M g_r, which is not constant: no device here has such a drive. The primal cells have x(t) at every t.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from torch import Tensor

from ....circuits.errors import InputError
from ....compiler.linear_system import LinearSystem
from ....devicemodel.systems import norm_bound
from ...curvature.factor import Factor
from ..remainder import check_damped, length
from .reading import TOLERANCE, Answer

_READINGS = 6
"""Most readings, the first and those of what the terms' cancellation leaves of it."""


def check_settled(damping: float, settled: bool) -> None:
    """InputError for damping 0, and for a bare reading at a finite time."""
    check_damped(damping)
    if not settled:
        raise InputError(
            "the gradient is not in the range of the curvature (a loss with slope but no curvature, such as L1, hinge or Huber's outliers, "
            "drawn labels, or batch normalisation in training mode), and a bare reading of the dual cells at a finite time would need "
            'a drive that changes with it: give TNGD(..., system="primal"), reading="refined", or duration=math.inf'
        )


def read_with(
    factor: Factor,
    rest: Sequence[Tensor],
    damping: float,
    system_at: Callable[[float], LinearSystem],
    read: Callable[[Callable[[float], LinearSystem], Tensor, float, Tensor | None], Answer],
) -> tuple[list[Tensor] | None, Answer]:
    """x of settled runs, None if there is no usable reading, and what the readings took.

    Args:
        rest: g_r, shaped as the parameters.
        system_at: K with a damping.
        read: the device's answer to (K + damping I) u = b, from a start that does not matter. Where it is refined, x is, too, to
            |g - (C + damping I) x| <= 1e-2 |g|, by readings for what is left, or else g over the largest row sum of |K + damping I|.
    """
    gradient, s = factor.gradient(), factor.sources
    x = [part.new_zeros(part.shape) for part in gradient]
    r, size, total = list(rest), float("inf"), None
    for _ in range(_READINGS):
        found = read(system_at, s - factor.matvec(r).double() / damping, damping, None)
        total = found if total is None else found.after(total)
        if not found.applies:
            return None, total
        if found.reading == "gradient":
            break
        back = factor.rmatvec(found.x)
        x = [old + c + a / damping for old, c, a in zip(x, back, r, strict=True)]
        if found.reading == "bare":
            return x, total
        curved = factor.rmatvec(factor.matvec(x))
        r = [g - c - damping * v for g, c, v in zip(gradient, curved, x, strict=True)]
        total = dataclasses.replace(total, products=total.products + 1)
        before, size = size, length(r)
        if size <= TOLERANCE * length(gradient):
            return x, total
        if not size < 0.5 * before:
            break
        s = s.new_zeros(s.shape)
    assert total is not None
    top = norm_bound(system_at(damping))
    return [g / top for g in gradient], dataclasses.replace(total, reading="gradient")
