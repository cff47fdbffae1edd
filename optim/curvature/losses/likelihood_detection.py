"""Which likelihood a loss is the negative logarithm of, found from the loss itself.

Its Hessian is probed: products with two fixed vectors, through the loss's own graph, must be those of the likelihood, in every entry to
the rounding of that entry, and its slope must be w (p - y) with y a possible label, the same for soft labels. Each row has a weight of its
own, from the products. What is small in a softmax that is nearly certain is as accurate as anything else: p_i < 1e-30 has seven digits in
float32, and so has the curvature w p_i, so that a certain row is told from one without curvature. Only a row whose probabilities are zero
to the type says nothing; then the graph must show that the loss is a linear function of log-probabilities. What is not proved so is no
likelihood, and its Hessian is taken as it is. Losses that add up over outputs are told apart by their third derivatives, too.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from .likelihood import Likelihood
from .loss_hessian import diagonal_of, roundings
from .products import LossProducts

_LEAST = {torch.float64: 1e-20}
_USUAL_LEAST = 1e-12
"""`Likelihood.least` by the loss's type: below the rounding of its Hessian."""
_CERTAIN, _PLAUSIBLE = 1e-3, 1e4
"""Probability of other classes below which a row's own weight must be plausible: at most that many times its slope, or the weight of rows
that are not so certain. (Any two-class row has some weight.)"""
_HARD = 1e-3
"""Relative error of the slope of a hard label."""


def detect_likelihood(loss: LossProducts) -> Likelihood | None:
    """The likelihood of a loss; None if it is none of the three.

    Classes may be the last dimension of the outputs, or the second, as `torch.nn.functional.cross_entropy` takes them.
    """
    outputs = loss.outputs
    if not loss.slope.requires_grad:
        return None
    z, r, h, v = (part.detach().double() for part in (outputs, loss.slope, loss.probed, loss.probes))
    if not bool(torch.isfinite(h).all()):
        return None
    last = outputs.dim() - 1
    for axis in [last, 1] if last > 1 else [last] if last == 1 else []:
        found = _categorical(loss, z, r, h, v, axis)
        if found is not None:
            return found
    d = diagonal_of(loss)
    if d is None:
        return None
    # third derivatives; where they are zero everywhere, as of a Bernoulli row at zero, the fourth, which are so of squares alone
    bends = list(itertools.islice(loss.bends(), 1))
    if bends and not bool(bends[0].any()):
        bends = list(itertools.islice(loss.bends(), 2))
    found = None if any(bool(one.any()) for one in bends) else _gaussian(z, r, d, roundings(loss.dtype))
    return found or (_bernoulli(loss, z, r, d, [one.double() for one in bends]) if bends else None)


def _categorical(loss: LossProducts, z: Tensor, r: Tensor, h: Tensor, v: Tensor, axis: int) -> Likelihood | None:
    z, r = z.movedim(axis, -1), r.movedim(axis, -1)
    h, v = h.movedim(axis + 1, -1), v.movedim(axis + 1, -1)
    C = z.shape[-1]
    if C < 2:
        return None
    info = torch.finfo(loss.dtype)
    gap = z.amax(-1, keepdim=True) - z
    p = torch.softmax(z, dim=-1)
    rounding = roundings(loss.dtype) * (1 + gap)  # of p_i, relative
    seen = p > 1e8 * info.tiny
    live = seen.sum(-1, keepdim=True) > 1
    centred = v - (p * v).sum(-1, keepdim=True)
    ratio = torch.where(seen, h / p, 0.0)
    exact = torch.where(seen, centred, 0.0) / (1 + gap) ** 2
    w = torch.where(
        live, (ratio * exact).sum((0, -1), keepdim=True)[0] / (centred * exact).sum((0, -1), keepdim=True)[0], 0.0
    )
    reach = v.abs().amax((0, -1), keepdim=True)[0]
    close = (ratio - w * centred).abs() <= rounding * w * reach
    unseen = h.abs() <= 1e10 * info.tiny * (w.amax() + r.abs().amax()) * reach
    if not bool(torch.where(seen & live, close, unseen | (seen & ~live)).all()):
        return None
    sloping = r.abs().amax(-1, keepdim=True) > 0
    dead = sloping & ~live
    if bool((sloping & live & (w == 0)).any()):
        return None
    certain = 1 - p.amax(-1, keepdim=True) < _CERTAIN
    known = torch.maximum(torch.where(certain, 0.0, w).amax(), r.abs().amax(-1, keepdim=True))
    odd = dead | (certain & (w > _PLAUSIBLE * known))
    if (bool(odd.any()) or not float(w.max()) > 0) and not loss.is_affine_in("LogSoftmaxBackward0"):
        return None
    # of a certain class that is not the label: the other rows' weight, or the slope for a hard label
    w = torch.where(dead, torch.maximum(r.amax(-1, keepdim=True), w.amax()), w)
    label = torch.where(w > 0, p - r / w, p)
    # rounding of p, of w, and of what is next to nothing
    slack = (
        rounding * p
        + rounding.topk(2, largest=False).values[..., 1:] * label.abs()
        + 1e10 * info.tiny * (1 + torch.where(w > 0, 1 / w, 0.0))
    )
    if bool((label < -slack).any()) or bool(((label.sum(-1) - 1).abs() > slack.sum(-1)).any()):
        return None
    if not bool(gap.any()) and not any(bool(one.any()) for one in itertools.islice(loss.bends(), 2)):
        return None  # squares of differences, at equal outputs
    shape = (z.shape[0], -1, C)
    order, least = (tuple(z.shape), axis), _LEAST.get(loss.dtype, _USUAL_LEAST)
    return Likelihood("categorical", p.reshape(shape), w.reshape(shape[0], -1, 1), r.reshape(shape), order, least)


def _gaussian(z: Tensor, r: Tensor, d: Tensor, rounding: float) -> Likelihood | None:
    """A uniform diagonal, except for zeros without slope, that does not depend on the outputs."""
    top = d.amax()
    live = d != 0
    if not float(top) > 0 or bool((~live & (r != 0)).any()):
        return None
    if bool((live & ((d - top).abs() > rounding * top)).any()):
        return None
    shape = (z.shape[0], -1, 1)
    return Likelihood("gaussian", z.reshape(shape), d.reshape(shape), r.reshape(shape), (tuple(z.shape), z.dim() - 1))


def _bernoulli(loss: LossProducts, z: Tensor, r: Tensor, d: Tensor, bends: Sequence[Tensor]) -> Likelihood | None:
    """w p (1 - p) with the same w, or with any w where labels are 0 or 1; d and r zero where masked.

    Its derivatives w p (1 - p) (1 - 2 p), w p (1 - p) (1 - 6 p (1 - p)) are looked at, too: where all outputs are alike, any diagonal is
    w p (1 - p).
    """
    eps = torch.finfo(loss.dtype).eps
    p = torch.sigmoid(z)
    spread = p * torch.sigmoid(-z)
    # p (1 - p) is computed from p, which is rounded near one
    least = 1e8 * torch.finfo(loss.dtype).tiny
    rounding = roundings(loss.dtype) * (1 + z.abs()) * spread + torch.where(z > 0, 8 * eps, least)
    shown = (d > 0) & (spread > 1e3 * rounding)
    masked = (d == 0) & (r == 0)
    seen = torch.where(shown, spread, 0.0)
    usual = (d / spread).flatten()[seen.argmax()]
    of_weight = torch.where(shown, rounding / spread, 0.0).flatten()[seen.argmax()]
    rounding = rounding + spread * of_weight
    if not float(seen.amax()) > _CERTAIN and not 0 < float(usual) <= _PLAUSIBLE * float(r.abs().amax()):
        if bool(masked.all()) or not loss.is_affine_in("BinaryCrossEntropyWithLogitsBackward0"):
            return None
        if not bool(shown.any()):  # the weight by the largest slope, for a hard label
            usual = (r / torch.where(r > 0, p, -torch.sigmoid(-z))).flatten()[r.abs().argmax()]
    alike = (d - usual * spread).abs() <= usual * rounding
    w = torch.where(masked, 0.0, torch.where(alike, usual, torch.where(shown, d / spread, -1.0)))
    label = torch.where(w > 0, p - r / w, p)
    slack = roundings(loss.dtype) + torch.where(shown, rounding / spread, 0.0)
    expected = w * torch.where(r > 0, p, -torch.sigmoid(-z))
    hard = (r - expected).abs() <= _HARD * expected.abs()
    possible = torch.where(alike | masked, (label >= -slack) & (label <= 1 + slack), hard)
    if float(w.min()) < 0 or not bool(possible.all()):
        return None
    for power, bend, ratio in zip((2, 3), bends, (1 - 2 * p, 1 - 6 * spread), strict=False):
        size = loss.probes[0].double() ** power
        if not bool(((bend - w * spread * ratio * size).abs() <= 8 * w * rounding * size.abs()).all()):
            return None
    shape = (z.shape[0], -1, 1)
    order, floor = (tuple(z.shape), z.dim() - 1), _LEAST.get(loss.dtype, _USUAL_LEAST)
    return Likelihood("bernoulli", p.reshape(shape), w.reshape(shape), r.reshape(shape), order, floor)
