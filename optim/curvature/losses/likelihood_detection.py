"""Which likelihood a loss is the negative logarithm of, found from the loss itself.

Its Hessian is probed: products with two fixed vectors, through the loss's own graph, must be those of the likelihood, within the rounding
of the outputs' type; and its slope must be w (p - y) with y a possible label, the same for soft labels. Weights come from the products,
row by row. A row whose softmax is saturated shows none: its Hessian must be as small as that of the likelihood, and it takes the weight of
the row with most curvature; where all rows are saturated, that of an earlier batch, or the size of the slope where the certain class is
not the label.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .likelihood import MIN_PROBABILITY, Likelihood

_TOLERANCE = {torch.float64: 1e-9}
_USUAL_TOLERANCE = 1e-4
"""Tolerance of the Hessian's products, relative to their size."""
_ROUNDING = 8
"""Rounding of p in units of the type's eps: what is left of p (1 - p) below that is noise."""
_MIN_SIGNAL = 100
"""A row's curvature over the rounding, above which it determines the row's weight."""


def detect_likelihood(slope: Tensor, outputs: Tensor, previous: Likelihood | None = None) -> Likelihood | None:
    """The likelihood of a loss; None if it is none of the three.

    Args:
        slope: dL/dz with a graph (of `torch.autograd.grad(..., create_graph=True)`).
        outputs: (b, ...) z. Classes may be the last dimension, or the second, as `torch.nn.functional.cross_entropy` takes them.
        previous: likelihood of an earlier batch, for the weight of a batch that is saturated everywhere, as with a diverged network.
    """
    if not slope.requires_grad:
        return None
    probes = _probes(outputs)
    try:
        (curved,) = torch.autograd.grad(slope, outputs, probes, is_grads_batched=True, retain_graph=True)
    except RuntimeError:
        return None
    z, r, h, v = (part.detach().double() for part in (outputs, slope, curved, probes))
    if not bool(torch.isfinite(h).all()):
        return None
    tolerance = _TOLERANCE.get(outputs.dtype, _USUAL_TOLERANCE)
    rounding = _ROUNDING * torch.finfo(outputs.dtype).eps
    last = outputs.dim() - 1
    for axis in [last, 1] if last > 1 else [last] if last == 1 else []:
        found = _categorical(z, r, h, v, axis, tolerance, rounding, previous)
        if found is not None:
            return found
    return _elementwise(z, r, h, v, tolerance, rounding) if bool(h.any()) else None


def _categorical(
    z: Tensor,
    r: Tensor,
    h: Tensor,
    v: Tensor,
    axis: int,
    tolerance: float,
    rounding: float,
    previous: Likelihood | None,
) -> Likelihood | None:
    z, r = z.movedim(axis, -1), r.movedim(axis, -1)
    h, v = h.movedim(axis + 1, -1), v.movedim(axis + 1, -1)
    C = z.shape[-1]
    if C < 2:
        return None
    p = torch.softmax(z, dim=-1)
    product = p * (v - (p * v).sum(-1, keepdim=True))
    size = (product * product).sum((0, -1), keepdim=True)[0]
    w = (h * product).sum((0, -1), keepdim=True)[0] / size.clamp(min=1e-300)
    reach = (size / (v * v).sum((0, -1), keepdim=True)[0]).sqrt()
    shown = reach > _MIN_SIGNAL * rounding
    flat = r.abs().amax(-1, keepdim=True) == 0
    if bool((shown & ~flat).any()):
        usual = float(w.flatten()[torch.where(flat, 0.0, reach).argmax()])
    elif previous is not None and previous.family == "categorical":
        usual = float(previous.w.max())
    else:
        usual = _weight_by_slope(p, r)
    if not usual > 0:
        return None
    w = torch.where(shown, w, torch.where(flat, 0.0, usual))
    if _off(h, w * product, tolerance, rounding * usual * float(v.norm())) or float(w.min()) < -tolerance * usual:
        return None
    label = torch.where(w > tolerance * usual, p - r / w, p)
    slack = 10 * (tolerance + rounding + torch.where(shown, rounding / reach, 0.0))  # w itself is as uncertain as that
    if bool((label < -slack).any()) or bool(((label.sum(-1, keepdim=True) - 1).abs() > slack * C).any()):
        return None
    order = (tuple(z.shape), axis)
    shape = (z.shape[0], -1, C)
    p = p.clamp(min=MIN_PROBABILITY)
    p = p / p.sum(-1, keepdim=True)
    return Likelihood("categorical", p.reshape(shape), w.clamp(min=0).reshape(*shape[:2], 1), r.reshape(shape), order)


def _weight_by_slope(p: Tensor, r: Tensor) -> float:
    """Weight of rows that are all saturated, for hard labels: w p of the certain class where it is not the label, else w (1 - p)."""
    top = p.argmax(-1, keepdim=True)
    sure, slope = p.gather(-1, top), r.gather(-1, top)
    wrong = slope > 0
    if bool(wrong.any()):
        return float((slope / sure)[wrong].max())
    left = (1 - sure).sum()
    return float(-slope.sum() / left) if float(left) > 0 else 0.0


def _elementwise(z: Tensor, r: Tensor, h: Tensor, v: Tensor, tolerance: float, rounding: float) -> Likelihood | None:
    """A diagonal Hessian: Gaussian, where it is uniform except for zeros, or Bernoulli."""
    d = (h * v).sum(0) / (v * v).sum(0)
    if _off(h, d * v, tolerance, 0.0):
        return None
    shape = (z.shape[0], -1, 1)
    order = (tuple(z.shape), z.dim() - 1)
    live = d.abs() > tolerance * d.abs().max()
    sloping = r.abs() > tolerance * r.abs().max()
    top = d[live].max()
    if not bool((~live & sloping).any()) and bool(((d[live] - top).abs() <= 10 * tolerance * top).all()) and top > 0:
        w = torch.where(live, d, 0.0)
        return Likelihood("gaussian", z.reshape(shape), w.reshape(shape), r.reshape(shape), order)
    p = torch.sigmoid(z)
    spread = p * torch.sigmoid(-z)
    shown = spread > _MIN_SIGNAL * rounding
    if not bool(shown.any()):
        return None
    usual = float((d / spread).flatten()[torch.where(r == 0, 0.0, spread).argmax()])
    w = torch.where(shown, d / spread, torch.where(r == 0, 0.0, usual))
    w = torch.where(w.abs() <= 10 * tolerance * usual, 0.0, w)
    uneven = (w != 0) & ((w - usual).abs() * spread > 100 * tolerance * usual * spread + rounding * usual)
    if usual <= 0 or bool(uneven.any()) or _off(h, w * spread * v, tolerance, rounding * usual * float(v.norm())):
        return None
    label = p - r / usual
    slack = 100 * tolerance + 10 * rounding
    if bool(((w > 0) & ((label < -slack) | (label > 1 + slack))).any()):
        return None
    p = p.clamp(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    return Likelihood("bernoulli", p.reshape(shape), w.reshape(shape), r.reshape(shape), order)


def _off(found: Tensor, expected: Tensor, tolerance: float, rounding: float) -> bool:
    return float((found - expected).norm()) > tolerance * float(found.norm()) + rounding


def _probes(outputs: Tensor) -> Tensor:
    """(2, *outputs.shape) pseudo-random numbers, always the same."""
    generator = torch.Generator().manual_seed(20240517)
    return torch.randn(2, *outputs.shape, dtype=torch.float64, generator=generator).to(outputs)
