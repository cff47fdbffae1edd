"""The law that a loss is the negative logarithm of: categorical, Bernoulli or Gaussian, each output with a weight.

    L = sum_rows w_row (-log p(y | z_row)),      H = w (diag p - p p^T),   w p (1 - p),   w

A reduction, class weights, `ignore_index`, label smoothing and soft labels change the weights and the slope only, so the law is recognised
by the Hessian: products of it with fixed vectors, through the loss's own graph, against the law's. Then H needs no pass for each output:
its factor is a formula, labels can be drawn from it where outputs are many, and the weights put the empirical Fisher on the loss's scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..circuits.errors import InputError

Law = Literal["categorical", "bernoulli", "gaussian"]
_FLOOR = 1e-12
"""Of probabilities: where a softmax saturates the sources stay finite, and L s = r exact. L changes by the root of it."""


@dataclass(frozen=True, eq=False)
class OutputLaw:
    """The law of one batch's outputs, in float64.

    Attributes:
        law: which.
        p: probabilities, (b, rows, C); for a Gaussian the outputs themselves. Bernoulli and Gaussian outputs are rows of C = 1.
        w: weights, (b, rows, 1).
        residual: dL/dz, (b, rows, C).
        order: shape of the outputs with the classes last, and the axis they come from.
    """

    law: Law
    p: Tensor
    w: Tensor
    residual: Tensor
    order: tuple[tuple[int, ...], int]

    def factor(self) -> tuple[Tensor, Tensor]:
        """(L, s): H_i = L_i L_i^T, (b, c, m), and L s = r, (b, m); m = rows (C - 1) for a categorical law, else c.

        Categorical: L = sqrt(w) diag(sqrt p) Q with Q an orthonormal basis of what is orthogonal to sqrt p, from one reflection.
        """
        root = self.w.sqrt()
        inverse = torch.where(self.w > 0, 1 / root, 0.0)
        if self.law == "categorical":
            v = self.p.sqrt()
            C = v.shape[-1]
            u = v + torch.eye(C, dtype=v.dtype, device=v.device)[0]
            Q = torch.eye(C, dtype=v.dtype, device=v.device)[:, 1:] - u.unsqueeze(-1) * (
                v[..., 1:] / (1 + v[..., :1])
            ).unsqueeze(-2)
            L = root.unsqueeze(-1) * v.unsqueeze(-1) * Q
            s = ((self.residual / v * inverse).unsqueeze(-2) @ Q).squeeze(-2)
        else:
            deviation = root if self.law == "gaussian" else root * (self.p * (1 - self.p)).sqrt()
            L = deviation.unsqueeze(-1)
            s = torch.where(deviation > 0, self.residual / deviation, 0.0)
        return self._outputs_first(self._block(L)), s.flatten(1)

    def sampled(self, samples: int, generator: torch.Generator) -> Tensor:
        """(b, c, samples): columns of mean square H, from labels drawn from the law itself."""
        b, rows, C = self.p.shape
        shape = (b, rows, C, samples)
        if self.law == "categorical":
            drawn = torch.multinomial(self.p.reshape(-1, C).cpu(), samples, True, generator=generator)
            labels = drawn.to(self.p.device).reshape(b, rows, 1, samples)
            score = (
                self.p.unsqueeze(-1).expand(shape).scatter_add(2, labels, -torch.ones_like(labels, dtype=self.p.dtype))
            )
        elif self.law == "bernoulli":
            uniform = torch.rand(shape, dtype=torch.float64, generator=generator).to(self.p.device)
            score = self.p.unsqueeze(-1) - (uniform < self.p.unsqueeze(-1)).to(self.p.dtype)
        else:
            score = torch.randn(shape, dtype=torch.float64, generator=generator).to(self.p.device)
        columns = (self.w / samples).sqrt().unsqueeze(-1) * score
        return self._outputs_first(columns.reshape(b, rows * C, samples))

    def empirical(self) -> Tensor:
        """(b, c, 1): r / sqrt w, whose square is the empirical Fisher on the scale of the loss."""
        scaled = torch.where(self.w > 0, self.residual / self.w.sqrt(), 0.0)
        return self._outputs_first(scaled.reshape(len(self.p), -1, 1))

    def _block(self, L: Tensor) -> Tensor:
        """(b, rows, C, m) -> (b, rows C, rows m), one block for each row."""
        b, rows, C, m = L.shape
        if rows == 1:
            return L.reshape(b, C, m)
        whole = L.new_zeros(b, rows, C, rows, m)
        index = torch.arange(rows, device=L.device)
        whole[:, index, :, index] = L.transpose(0, 1)
        return whole.reshape(b, rows * C, rows * m)

    def _outputs_first(self, columns: Tensor) -> Tensor:
        """Back from classes last to the order of the outputs."""
        shape, axis = self.order
        if axis == len(shape) - 1:
            return columns
        return columns.reshape(*shape, -1).movedim(-2, axis).reshape(columns.shape)


def recognise(slope: Tensor, outputs: Tensor, before: OutputLaw | None = None) -> OutputLaw | None:
    """The law of a loss, or None.

    Args:
        slope: dL/dz with a graph (of `torch.autograd.grad(..., create_graph=True)`).
        outputs: (b, ...) z. Classes may be the last dimension, or the second, as `torch.nn.functional.cross_entropy` takes them.
        before: the law of an earlier batch of the same loss: a diverged network's softmax is all but certain everywhere, and shows no law
            of its own.
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
    tolerance = 1e-4 if outputs.dtype != torch.float64 else 1e-9
    last = outputs.dim() - 1
    axes = [last, 1] if last > 1 else [last]
    found: OutputLaw | None = None
    if bool(h.any()):
        for axis in axes if last >= 1 else []:
            found = found or _categorical(z, r, h, v, axis, tolerance)
        found = found or _elementwise(z, r, h, v, tolerance)
    if found is None and before is not None and before.law == "categorical":
        return _categorical(z, r, h, v, before.order[1], tolerance=1e6)
    return found


def _categorical(z: Tensor, r: Tensor, h: Tensor, v: Tensor, axis: int, tolerance: float) -> OutputLaw | None:
    z, r = z.movedim(axis, -1), r.movedim(axis, -1)
    h, v = h.movedim(axis + 1, -1), v.movedim(axis + 1, -1)
    C = z.shape[-1]
    if C < 2:
        return None
    p = torch.softmax(z, dim=-1).clamp(min=_FLOOR)
    p = p / p.sum(-1, keepdim=True)
    product = p * (v - (p * v).sum(-1, keepdim=True))
    size = (product * product).sum((0, -1), keepdim=True)[0]
    w = (h * product).sum((0, -1), keepdim=True)[0] / size
    # A row that is all but certain shows no curvature: its weight is taken from the others, unless it has no slope either.
    shown = p.amax(-1, keepdim=True) < 1 - (1e-8 if tolerance < 1e-6 else 1e-3)
    usual = float(w[shown].max()) if bool(shown.any()) else float(r.abs().max())
    w = torch.where(shown | (r.abs().amax(-1, keepdim=True) == 0), w, usual)
    if not _matches(h, torch.where(shown, w * product, h), tolerance) or float(w.min()) < -tolerance * usual:
        return None
    order = (tuple(z.shape), axis)
    shape = (z.shape[0], -1, C)
    return OutputLaw("categorical", p.reshape(shape), w.clamp(min=0).reshape(*shape[:2], 1), r.reshape(shape), order)


def _elementwise(z: Tensor, r: Tensor, h: Tensor, v: Tensor, tolerance: float) -> OutputLaw | None:
    """A Hessian that is diagonal, and uniform where it is not zero in one of the two laws."""
    d = (h * v).sum(0) / (v * v).sum(0)
    if not _matches(h, d * v, tolerance):
        return None
    shape = (z.shape[0], -1, 1)
    order = (tuple(z.shape), z.dim() - 1)
    live = d.abs() > tolerance * d.abs().max()
    sloping = r.abs() > tolerance * r.abs().max()
    top = d[live].max()
    if not bool((~live & sloping).any()) and bool(((d[live] - top).abs() <= 10 * tolerance * top).all()) and top > 0:
        w = torch.where(live, d, 0.0)
        return OutputLaw("gaussian", z.reshape(shape), w.reshape(shape), r.reshape(shape), order)
    p = torch.sigmoid(z).clamp(_FLOOR, 1 - _FLOOR)
    spread = p * (1 - p)
    shown = spread > (1e-8 if tolerance < 1e-6 else 1e-3)
    if not bool(shown.any()):
        return None
    usual = float((d / spread)[shown].max())
    w = torch.where(shown, d / spread, torch.where(r == 0, 0.0, usual))
    w = torch.where(w.abs() <= 10 * tolerance * usual, 0.0, w)
    if usual <= 0 or not bool(((w == 0) | ((w - usual).abs() <= 100 * tolerance * usual)).all()):
        return None
    return OutputLaw("bernoulli", p.reshape(shape), w.reshape(shape), r.reshape(shape), order)


def _matches(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    return float((found - expected).norm()) <= tolerance * float(found.norm())


def _probes(outputs: Tensor) -> Tensor:
    """(2, *outputs.shape) pseudo-random numbers, always the same."""
    generator = torch.Generator().manual_seed(20240517)
    return torch.randn(2, *outputs.shape, dtype=torch.float64, generator=generator).to(outputs)


def require_law(law: OutputLaw | None, what: str) -> OutputLaw:
    """The law; InputError for a loss that is not recognised."""
    if law is None:
        raise InputError(
            f"{what} needs the law that the loss is the logarithm of, and this loss is not recognised: use cross-entropy over the last or "
            "the second dimension of the outputs, binary cross-entropy with logits or a squared error (each with mean or sum), or the "
            'curvature "ggn"'
        )
    return law
