"""A least-squares loss of residuals, such as those of a differential equation inside a domain and on its boundary.

    L = sum_t w_t / 2 mean_i |r_t(model, x_ti)|^2 = |s|^2 / 2,    s = sqrt(w_t / b_t) r_t,    M = ds/dtheta

so that the gradient is M^T s, and C = M^T M the Gauss-Newton matrix: all that an exact natural gradient needs is s and M.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ....circuits.errors import InputError
from ..blocks import RowsBlock
from ..factor import DetachedFactor
from ..losses.loss_hessian import LossCurvature
from .term import Residual, ResidualTerm


class ResidualLoss:
    """A loss of residuals that is its own closure.

        problem = ResidualLoss(model, residual=interior, samples=x) + ResidualLoss(model, residual=boundary, samples=y, weight=50.0)
        optimizer.step(problem)                          # NGD, NGDCG, NGDWoodbury, TNGD: rows by torch.func
        loss, _ = problem(); loss.backward()             # any optimizer of torch

    The loss is the sum over terms of weight / 2 times the mean over samples of |residual(model, sample)|^2.

    Args:
        model: a module; all parameters that the residual depends on are its own.
        residual: function of the model and ONE sample, without the batch's dimension; returns a scalar or a vector. Inside, derivatives
            are taken by `laplacian` and its like (`derivatives`) or by torch.func.
        samples: a tensor (b, ...), or a tuple, list or dict of tensors, of which each sample has one entry.
        weight: > 0.

    Raises:
        InputError: an argument of another kind; when called, a residual that fails or returns no floating-point tensor, batch normalisation
            by batch statistics, active dropout.
    """

    def __init__(self, model: nn.Module, residual: Residual, samples: Any, weight: float = 1.0) -> None:
        self.terms: tuple[ResidualTerm, ...] = (ResidualTerm(model, residual, samples, weight),)

    def __add__(self, other: ResidualLoss) -> ResidualLoss:
        if not isinstance(other, ResidualLoss):
            return NotImplemented
        total = object.__new__(ResidualLoss)
        total.terms = self.terms + other.terms
        return total

    def __call__(self) -> tuple[Tensor, Tensor]:
        """(loss, outputs): the loss, and all residuals, (k, 1), term by term; with a graph where gradients are enabled."""
        found = [term.values() for term in self.terms]
        loss = sum(term.scale**2 / 2 * r.square().sum() for term, r in zip(self.terms, found, strict=True))
        assert isinstance(loss, Tensor)
        return loss, torch.cat([r.reshape(-1, 1) for r in found])

    def loss(self) -> Tensor:
        """The loss, without a graph."""
        with torch.no_grad():
            return self()[0]

    def linearise(self, parameters: Sequence[Tensor]) -> tuple[float, DetachedFactor]:
        """(loss, M with its sources and gradient), from one pass over the samples.

        Args:
            parameters: of an optimizer; frozen ones, and those that a term's model does not have, are zero columns.

        Raises:
            InputError: as when called; the residual depends on one of the parameters that is not its model's; none of them is.
        """
        trained = [i for i, p in enumerate(parameters) if p.requires_grad]
        parts = [term.rows(parameters, trained) for term in self.terms]
        used = [i for i in trained if any(i in rows for _, rows in parts)]
        if not used:
            raise InputError(
                "none of the optimizer's parameters is one of the model's that requires a gradient: are all parameters frozen, or is the "
                "optimizer of another model?"
            )
        like = parameters[used[0]]
        scales = torch.cat(
            [like.new_full((r.numel(),), term.scale) for term, (r, _) in zip(self.terms, parts, strict=True)]
        )
        r = torch.cat([r.reshape(-1) for r, _ in parts]).double()
        weights = scales.double()
        s = r * weights
        blocks = []
        for i in used:
            n = parameters[i].numel()
            rows = [J[i] if i in J else like.new_zeros(values.numel(), n) for values, J in parts]
            blocks.append(RowsBlock(i, None, [_joined(rows, like.dtype).mul_(scales.unsqueeze(1))], len(s)))
        found = LossCurvature((s * weights).unsqueeze(1), weights.reshape(-1, 1, 1), s.unsqueeze(1))
        gradient = [torch.zeros_like(p, requires_grad=False) for p in parameters]
        for i, block in zip(used, blocks, strict=True):
            gradient[i] = block.rmatvec(s)[0].reshape(parameters[i].shape)
        factor = DetachedFactor(list(parameters), like.dtype, list(blocks), found, s, None, gradient, [])
        return float(s.square().sum()) / 2, factor


def _joined(rows: list[Tensor], dtype: torch.dtype) -> Tensor:
    """torch.cat in a type, without a copy of a single part."""
    rows = [part.to(dtype) for part in rows]
    return torch.cat(rows) if len(rows) > 1 else rows[0]


def residual_rows(
    closure: Any, parameters: Sequence[Tensor], curvature: str, layers: bool
) -> tuple[float, DetachedFactor | None] | None:
    """(loss, M) of a `ResidualLoss`, M None where the loss is not finite; None for another closure, or another curvature than M^T M.

    Args:
        closure: as an optimizer is given.
        parameters: of the optimizer.
        curvature: which matrix it takes.
        layers: whether it needs inputs and sensitivities of layers.

    Raises:
        InputError: it needs those of layers, which a residual has not; as `ResidualLoss.linearise`.
    """
    if not isinstance(closure, ResidualLoss):
        return None
    if layers:
        raise InputError(
            "a ResidualLoss has rows of samples, and no inputs and sensitivities of layers for Kronecker factors: use NGD, or "
            'TNGD with system="dual" or "primal"'
        )
    if curvature not in ("ggn", "fisher"):
        return None
    loss, factor = closure.linearise(parameters)
    return loss, factor if math.isfinite(loss) else None
