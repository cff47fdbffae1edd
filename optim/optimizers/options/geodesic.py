"""Geodesic acceleration: the second-order term of the path along which residuals fall as the Gauss-Newton model predicts.

With v the step and f_vv the second derivative of the outputs along it, the parabola theta + t v + t^2 / 2 a with

    a = argmin |L^T (f_vv + J a)|^2 + lambda |a|^2 = -(C + lambda I)^-1 M^T L^T f_vv

keeps to the model's outputs to third order in t. It costs two evaluations of the closure, and a solution with another right-hand side.
Steps with t |a| > alpha |v| are outside of what second order describes, and are straight.

Source: M. Transtrum and J. Sethna, arXiv 1207.4999 and 1201.5885 (2012).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ....circuits.errors import InputError
from ...curvature.curvature import Curvature
from ...curvature.factor import DetachedFactor
from .path import Path
from .reevaluation import Evaluation, Reevaluation

_NEGLIGIBLE = 1e-6
"""Third derivative of a loss over its second, for outputs that change by about 1, that rounding may leave."""


def require_least_squares(found: Curvature) -> None:
    """InputError unless the outputs have the digits, and the loss is quadratic in them: its third derivative along a direction is zero."""
    outputs, slope = found.batch.outputs, found.slope
    if outputs.dtype.itemsize < 4:
        raise InputError(
            f"geodesic takes second differences of the outputs, which are {outputs.dtype}: leave it out, or run the model without autocast"
        )
    if not slope.requires_grad:
        return
    probe = torch.linspace(0.5, 1.5, outputs.numel(), dtype=outputs.dtype, device=outputs.device).view_as(outputs)
    (curved,) = torch.autograd.grad(slope, outputs, probe, create_graph=True)
    if not curved.requires_grad:
        return
    (bent,) = torch.autograd.grad(curved, outputs, probe, retain_graph=True, allow_unused=True)
    if bent is not None and float(bent.norm()) > _NEGLIGIBLE * float(curved.detach().norm()):
        raise InputError(
            "geodesic is for squared errors, and the loss is not quadratic in the outputs (its third derivative is not zero): leave it out"
        )


def curved_sources(path: Path, again: Reevaluation, parts: Sequence[Curvature | DetachedFactor]) -> list[Tensor]:
    """-L^T f_vv of each batch, (b, m), by a central second difference of the outputs.

    Args:
        path: straight so far.
        again: the batches.
        parts: their factors.
    """
    # Truncation grows with h^2 and rounding with eps / h^2, in steps as long as the parameters.
    h = torch.finfo(again.first[0].outputs.dtype).eps ** 0.25 * max(path.size, 1.0) / path.speed
    path.move_to(h)
    ahead = again.evaluate()
    path.move_to(-h)
    behind = again.evaluate()
    path.move_to(0.0)
    again.count += 2
    return [
        -torch.einsum("bcm,bc->bm", part.loss.factor, _second(now, plus, minus, h, part.loss.factor.shape[0]))
        for part, now, plus, minus in zip(parts, again.first, ahead, behind, strict=True)
    ]


def _second(now: Evaluation, ahead: Evaluation, behind: Evaluation, h: float, samples: int) -> Tensor:
    """(f(h) - 2 f(0) + f(-h)) / h^2, (b, c)."""
    f = now.outputs.double()
    return ((ahead.outputs.double() - f) + (behind.outputs.double() - f)).reshape(samples, -1) / h**2
