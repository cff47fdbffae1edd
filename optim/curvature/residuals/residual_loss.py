"""A least-squares loss of residuals, such as those of a differential equation inside a domain and on its boundary.

    L = sum_t w_t / 2 mean_i |r_t(model, x_ti)|^2 = |s|^2 / 2,    s = sqrt(w_t / b_t) r_t,    M = ds/dtheta

so that the gradient is M^T s, and C = M^T M the Gauss-Newton matrix: all that an exact natural gradient needs is s and M.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ....circuits.errors import InputError
from ..blocks import RowsBlock
from ..factor import DetachedFactor
from ..losses.loss_hessian import LossCurvature
from ..rows.graph_rows import TOTAL_ENTRIES
from .term import Residual, ResidualTerm


class ResidualLoss:
    """A loss of residuals that is its own closure.

        problem = ResidualLoss(model, residual=interior, samples=x) + ResidualLoss(model, residual=boundary, samples=y, weight=50.0)
        optimizer.step(problem)                          # NGD, NGDCG, NGDWoodbury, TNGD: rows by torch.func
        loss, _ = problem(); loss.backward()             # any optimizer of torch

    The loss is the sum over terms of weight / 2 times the mean over samples of |residual(model, sample)|^2.

    Args:
        model: a module. Parameters of the optimizer that are not its own, such as an unknown coefficient, may be captured by the residual.
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

    def __radd__(self, other: object) -> ResidualLoss:
        """0 + loss, so that `sum` adds a list of losses."""
        return self if other == 0 else NotImplemented

    def __call__(self) -> tuple[Tensor, Tensor]:
        """(loss, outputs): the loss, and all residuals, (k, 1), term by term; with a graph where gradients are enabled."""
        outputs, weights = self._outputs()
        return (weights * outputs.square()).sum() / 2, outputs

    def with_slope(self) -> tuple[float, Tensor, Tensor]:
        """The loss, the outputs, and the derivative of the loss in them, (k, 1), without a graph."""
        with torch.no_grad():
            outputs, weights = self._outputs()
        slope = weights * outputs
        return float((slope * outputs).sum()) / 2, outputs, slope

    def _outputs(self) -> tuple[Tensor, Tensor]:
        """All residuals, (k, 1), and w_t / b_t of each."""
        found = [term.values().reshape(-1, 1) for term in self.terms]
        weights = [r.new_full(r.shape, term.scale**2) for term, r in zip(self.terms, found, strict=True)]
        return torch.cat(found), torch.cat(weights)

    def loss(self) -> Tensor:
        """The loss, without a graph."""
        with torch.no_grad():
            return self()[0]

    def linearise(self, parameters: Sequence[Tensor]) -> tuple[float, DetachedFactor] | None:
        """(loss, M with its sources and gradient), from one pass over the samples; None if M would have more than `TOTAL_ENTRIES`.

        Args:
            parameters: of an optimizer; frozen ones, and those that a term's model does not have, are zero columns.

        Raises:
            InputError: as when called; the residual depends on a tensor computed before from one of the parameters, or on none of them.
        """
        trained = [i for i, p in enumerate(parameters) if p.requires_grad]
        chunks = [term.rows(parameters, trained) for term in self.terms]
        firsts = [next(one) for one in chunks]
        sizes = [term.samples * r.shape[1] for term, (r, _) in zip(self.terms, firsts, strict=True)]
        used = [i for i in trained if any(i in J for _, J in firsts)]
        if not used:
            raise InputError(
                "no residual depends on a parameter of the optimizer that requires a gradient: are all parameters frozen, or is the "
                "optimizer of another model?"
            )
        like, k = parameters[used[0]].detach(), sum(sizes)
        if k * sum(parameters[i].numel() for i in used) > TOTAL_ENTRIES:
            return None
        M = {i: like.new_empty(k, parameters[i].numel()) for i in used}
        for i, rows in M.items():
            if any(i not in J for _, J in firsts):
                rows.zero_()
        s = torch.empty(k, dtype=torch.float64, device=like.device)
        weights = torch.cat([s.new_full((size,), term.scale) for term, size in zip(self.terms, sizes, strict=True)])
        start = 0
        for term, first, rest in zip(self.terms, firsts, chunks, strict=True):
            for r, J in itertools.chain([first], rest):
                end = start + r.numel()
                s[start:end] = r.reshape(-1).double().mul_(term.scale)
                for i, rows in J.items():
                    torch.mul(rows.to(like.dtype), term.scale, out=M[i][start:end])
                start = end
        found = LossCurvature((s * weights).unsqueeze(1), weights.reshape(-1, 1, 1), s.unsqueeze(1))
        blocks = {i: RowsBlock(i, None, [rows], k) for i, rows in M.items()}
        gradient = [
            blocks[i].rmatvec(s)[0].reshape(p.shape) if i in blocks else torch.zeros_like(p, requires_grad=False)
            for i, p in enumerate(parameters)
        ]
        factor = DetachedFactor(list(parameters), like.dtype, list(blocks.values()), found, s, None, gradient, [])
        return float(s.square().sum()) / 2, factor


def residual_rows(
    closure: Any, parameters: Sequence[Tensor], curvature: str, layers: bool
) -> tuple[float, DetachedFactor | None] | None:
    """(loss, M) of a `ResidualLoss`, M None where the loss is not finite; None for another closure, another curvature, too large an M.

    What gives None goes by the graph that the closure returns, where products with C need no rows.

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
    found = closure.linearise(parameters)
    if found is None:
        return None
    loss, factor = found
    return loss, factor if math.isfinite(loss) else None
