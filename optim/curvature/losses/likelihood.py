"""The likelihood whose negative logarithm a loss is: categorical, Bernoulli or Gaussian, with a weight for each output.

    L = sum_rows w_row (-log p(y | z_row)),      H = w (diag p - p p^T),   w p (1 - p),   w

A reduction, class weights, `ignore_index`, label smoothing and soft labels change the weights and the labels only, so that one form holds
for all of them (`likelihood_detection` finds it). Then the factor of H is a formula that needs no backward pass for each output, labels
can be drawn from the model, and the weights put the empirical Fisher on the loss's scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from ....circuits.errors import InputError

Family: TypeAlias = Literal["categorical", "bernoulli", "gaussian"]


@dataclass(frozen=True, eq=False)
class Likelihood:
    """The likelihood of one batch of outputs, in float64.

    Attributes:
        family: of the distribution.
        p: probabilities, (b, rows, C); for a Gaussian the outputs themselves. Bernoulli and Gaussian outputs are rows of C = 1.
        w: weights, (b, rows, 1).
        residual: dL/dz, (b, rows, C).
        order: shape of the outputs with the classes last, and the axis of the classes.
        least: of a row's curvature, over its largest slope. Where a softmax is certain of the wrong class, the sources stay finite so, and
            L s = r stays exact.
    """

    family: Family
    p: Tensor
    w: Tensor
    residual: Tensor
    order: tuple[tuple[int, ...], int]
    least: float = 0.0

    @property
    def directions(self) -> int:
        """Number of columns m of L for each sample: rows (C - 1) for a categorical distribution, else the number of outputs."""
        _, rows, C = self.p.shape
        return rows * (C - 1) if self.family == "categorical" else rows * C

    def factor(self) -> tuple[Tensor, Tensor]:
        """(L, s): H_i = L_i L_i^T, (b, c, m), and L s = r, (b, m); m = rows (C - 1) for a categorical distribution, else c.

        Categorical: L = sqrt(w) diag(sqrt p) Q with Q an orthonormal basis of what is orthogonal to sqrt p, from one reflection.
        """
        root = self.w.sqrt()
        inverse = torch.where(self.w > 0, 1 / root, 0.0)
        least = torch.where(self.w > 0, self.least * self.residual.abs().amax(-1, keepdim=True) / self.w, 0.0)
        if self.family == "categorical":
            p = torch.maximum(self.p, least.clamp(min=torch.finfo(self.p.dtype).tiny))
            v = (p / p.sum(-1, keepdim=True)).sqrt()
            C = v.shape[-1]
            u = v + torch.eye(C, dtype=v.dtype, device=v.device)[0]
            Q = torch.eye(C, dtype=v.dtype, device=v.device)[:, 1:] - u.unsqueeze(-1) * (
                v[..., 1:] / (1 + v[..., :1])
            ).unsqueeze(-2)
            L = root.unsqueeze(-1) * v.unsqueeze(-1) * Q
            s = ((self.residual / v * inverse).unsqueeze(-2) @ Q).squeeze(-2)
        else:
            bernoulli = self.family == "bernoulli"
            deviation = root * torch.maximum(self.p * (1 - self.p), least).sqrt() if bernoulli else root
            L = deviation.unsqueeze(-1)
            s = torch.where(deviation > 0, self.residual / deviation, 0.0)
        return self._outputs_first(self._block(L)), s.flatten(1)

    def sampled(self, samples: int, generator: torch.Generator) -> Tensor:
        """(b, c, samples): columns whose mean square is H, from labels drawn from the distribution itself."""
        b, rows, C = self.p.shape
        shape = (b, rows, C, samples)
        if self.family == "categorical":
            drawn = torch.multinomial(self.p.reshape(-1, C).cpu(), samples, True, generator=generator)
            labels = drawn.to(self.p.device).reshape(b, rows, 1, samples)
            score = (
                self.p.unsqueeze(-1).expand(shape).scatter_add(2, labels, -torch.ones_like(labels, dtype=self.p.dtype))
            )
        elif self.family == "bernoulli":
            uniform = torch.rand(shape, dtype=torch.float64, generator=generator).to(self.p.device)
            score = self.p.unsqueeze(-1) - (uniform < self.p.unsqueeze(-1)).to(self.p.dtype)
        else:
            score = torch.randn(shape, dtype=torch.float64, generator=generator).to(self.p.device)
        columns = (self.w / samples).sqrt().unsqueeze(-1) * score
        return self._outputs_first(columns.reshape(b, rows * C, samples))

    def empirical(self) -> Tensor:
        """(b, c, 1): r / sqrt w, whose outer product is the empirical Fisher on the scale of the loss."""
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
        """Columns with classes last, in the order of the outputs."""
        shape, axis = self.order
        if axis == len(shape) - 1:
            return columns
        return columns.reshape(*shape, -1).movedim(-2, axis).reshape(columns.shape)


def require_likelihood(likelihood: Likelihood | None, what: str) -> Likelihood:
    """The likelihood; InputError if it is None.

    Args:
        likelihood: of a loss, None if it was not recognised.
        what: what needs it, for the message.
    """
    if likelihood is None:
        raise InputError(
            f"{what} needs a loss that is a negative log-likelihood, and this loss is not recognised as one: use cross-entropy over the "
            "last or the second dimension of the outputs, binary cross-entropy with logits, or a squared error (each with mean or sum); "
            'or the curvature "ggn"'
        )
    return likelihood
