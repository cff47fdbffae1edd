"""Gradient and Hessian of the loss in the outputs, by autograd on the loss graph alone.

For outputs z of shape (b, c): r = dL/dz and the block-diagonal H = d2L/dz2, (b, c, c), both with the loss's own 1/b. H
is factored as H_i = L_i L_i^T with L_i of shape (c, m), and the sources s and the remainder satisfy r = L s + remainder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ....circuits.errors import InputError
from .products import LossProducts

MAX_OUTPUTS = 4096
"""Largest number of outputs of a sample, for a loss without a formula for its Hessian."""


@dataclass(frozen=True, eq=False)
class LossCurvature:
    """Residual, factor of the Hessian and sources of one batch, in float64.

    Attributes:
        residual: (b, c) r = dL/dz.
        factor: (b, c, m) L, with H_i = L_i L_i^T; m = c - 1 for a softmax cross-entropy, whose Hessian annihilates the
            constant vector.
        sources: (b, m) s.
        remainder: (b, c) r - L s, of a loss with slope where it has no curvature (L1, hinge, the outliers of Huber's loss), or of drawn
            labels; None where it is zero.
    """

    residual: Tensor
    factor: Tensor
    sources: Tensor
    remainder: Tensor | None = None


def loss_curvature(loss: LossProducts) -> LossCurvature:
    """Factor the loss's Hessian in the outputs.

    Any loss built from differentiable operations on the outputs will do (reduction mean or sum), as long as it is convex
    in the outputs and adds up over samples. The Hessian of one that adds up over outputs, too, is diagonal, and takes two products; any
    other takes one for each output of a sample. Along eigenvectors of H whose eigenvalue is below 1e-12 (float64) or 1e-7 (float32) of the
    largest the sources are zero, and the slope is part of the remainder.

    Raises:
        InputError: the loss is not twice differentiable, is not convex in the outputs, or couples samples.
    """
    b, c = loss.outputs.shape[0], loss.outputs[0].numel()
    r, eps = loss.slope.detach().double().reshape(b, c), torch.finfo(loss.dtype).eps
    d = diagonal_of(loss)
    if d is not None:
        return _diagonal(r, d.reshape(b, c), eps)
    H = _hessian(loss, b, c)
    single = loss.dtype != torch.float64
    # H = w (p - p^2) loses its digits by cancellation where a softmax saturates: what is left of it is to be judged against the rounding of
    # p, which is of order one, and w by the slope where a class is wrong, not against its own size
    rounding = 4 * eps * max(1.0, float(r.abs().max()))
    Q = _curved_directions(H, 4 * eps * c)
    mu, V = torch.linalg.eigh(Q.mT @ H @ Q)
    top = float(mu.abs().amax()) if mu.numel() else 0.0
    low = float(mu.amin()) if mu.numel() else 0.0
    if low < -(1e-5 if single else 1e-9) * top - rounding * c * _unit(loss):
        raise _not_convex(low, top)
    V, mu = Q @ V, mu.clamp(min=0)
    factor = V * mu.sqrt()[:, None, :]
    curved = mu > (1e-7 if single else 1e-12) * top
    sources = torch.where(curved, torch.einsum("bcm,bc->bm", V, r) / mu.sqrt(), 0.0)
    return LossCurvature(r, factor, sources, remainder_of(r, factor, sources, eps))


def remainder_of(r: Tensor, factor: Tensor, sources: Tensor, eps: float) -> Tensor | None:
    """r - L s, (b, c); None if it is rounding, of a type with this eps."""
    outside = r - torch.einsum("bcm,bm->bc", factor, sources)
    size = float(r.abs().max()) if r.numel() else 0.0
    rounding = 32 * math.sqrt(r.shape[-1]) * eps * size
    return outside if size > 0 and float(outside.abs().max()) > rounding else None


def in_the_range_of(columns: Tensor, r: Tensor, eps: float) -> LossCurvature:
    """The curvature L L^T of one column a sample, (b, c, 1), with s of the least remainder."""
    square = columns.square().sum(1)
    sources = torch.where(square > 0, (columns * r.unsqueeze(-1)).sum(1) / square, 0.0)
    return LossCurvature(r, columns, sources, remainder_of(r, columns, sources, eps))


def diagonal_of(loss: LossProducts) -> Tensor | None:
    """The diagonal of the loss's Hessian, shaped as the outputs, float64; None if the Hessian is not diagonal."""
    found, probes = loss.probed.double(), loss.probes.double()
    d = (found * probes).sum(0) / (probes * probes).sum(0)
    off = (found - d * probes).abs() > roundings(loss.dtype) * d.abs() * probes.abs().amax(0)
    return None if bool(off.any()) or not bool(torch.isfinite(d).all()) else d


def roundings(dtype: torch.dtype) -> float:
    """Relative error that an entry of a product may have."""
    eps = torch.finfo(dtype).eps
    return 64 * eps if eps < 1e-6 else 8 * eps


def _diagonal(r: Tensor, d: Tensor, eps: float) -> LossCurvature:
    """The curvature of a loss that adds up over outputs."""
    top = float(d.amax()) if d.numel() else 0.0
    if d.numel() and float(d.amin()) < -32 * eps * max(top, 0.0):
        raise _not_convex(float(d.amin()), top)
    root = d.clamp(min=0).sqrt()
    sources = torch.where(d > (1e-12 if eps > 1e-12 else 1e-16) * top, r / root, 0.0)
    outside = r - root * sources
    given = bool((outside.abs() > 8 * eps * r.abs()).any())
    return LossCurvature(r, torch.diag_embed(root), sources, outside if given else None)


def _not_convex(low: float, top: float) -> InputError:
    return InputError(
        f"the loss is not convex in the outputs: its Hessian has the eigenvalue {low:.3g} (largest {top:.3g}), so "
        "the Gauss-Newton matrix is not positive semi-definite; return as outputs the values that a convex loss "
        "(cross-entropy, squared error) is taken of"
    )


def _unit(loss: LossProducts) -> float:
    """Size of the terms whose differences slope and Hessian are: the loss may have a large weight."""
    return max(1.0, float(loss.slope.detach().abs().max()))


def _hessian(loss: LossProducts, b: int, c: int) -> Tensor:
    """H (b, c, c) in float64."""
    if c > MAX_OUTPUTS:
        raise InputError(
            f"each sample has {c} outputs and the loss is none of those that have a formula: its Hessian takes a pass for each output (at "
            f"most {MAX_OUTPUTS}); use cross-entropy, binary cross-entropy with logits, or a sum over outputs"
        )
    # one cotangent for each output (its column sum over samples is the block column), and a pseudo-random one over all
    # samples, which agrees with the blocks only if samples do not couple
    shape, eps = loss.outputs.shape, torch.finfo(loss.dtype).eps
    probe = loss.probes[:1]
    cotangents = torch.eye(c, dtype=loss.dtype, device=probe.device)[:, None, :].expand(c, b, c).reshape(c, *shape)
    columns = loss.products(torch.cat([cotangents, probe]))
    columns = columns.double().reshape(c + 1, b, c)
    H = columns[:-1].permute(1, 2, 0)
    H = (H + H.mT) / 2
    flat = probe.double().reshape(b, c)
    # (rounding of the two orders of summation is below these tolerances; a coupling that matters is not)
    mismatch = float((torch.einsum("bij,bj->bi", H, flat) - columns[-1]).abs().max())
    scale = float(H.abs().sum(-1).max())
    if mismatch > (1e-9 if loss.dtype == torch.float64 else 1e-4) * scale + 8 * c * eps * _unit(loss):
        raise InputError(
            "the loss couples samples of the batch (its Hessian in the outputs is not block diagonal): give a loss "
            "that is a sum or mean over samples"
        )
    return H


def _curved_directions(H: Tensor, rounding: float) -> Tensor:
    """(c, m) orthonormal basis of the output directions in which some sample of the batch has curvature.

    The constant vector is tried first, and the fixed contrasts orthogonal to it are returned: with a softmax, one basis serves all
    batches, and m does not change as probabilities come near zero.
    """
    c = H.shape[-1]
    top = float(H.abs().max()) if H.numel() else 0.0
    if c > 1 and float(H.sum(-1).abs().max()) <= rounding * top:
        return _contrasts(c).to(H)
    w, V = torch.linalg.eigh(H.sum(0))
    return V[:, w.abs() > rounding * float(w.abs().max())] if top > 0 else V


def _contrasts(c: int) -> Tensor:
    """Helmert contrasts, (c, c - 1): orthonormal columns that sum to zero."""
    Q = torch.zeros(c, c - 1, dtype=torch.float64)
    for j in range(1, c):
        Q[:j, j - 1] = 1.0
        Q[j, j - 1] = -float(j)
    return Q / Q.norm(dim=0)


def fixed_probe(n: int) -> Tensor:
    """n pseudo-random normal numbers, always the same, to test identities with."""
    return torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(20240517))
