"""Products with J and with the Hessian of the loss in the parameters, by differentiating backward passes.

J^T w is linear in w; its derivative along v is J v. What torch cannot differentiate twice has no such product (its fused attention,
`nn.EmbeddingBag`), or another one (an embedding with `scale_grad_by_freq`, some users' own functions), which is noticed.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from ...circuits.errors import InputError
from .batch import Batch
from .factor import filled
from .losses.loss_hessian import fixed_probe


class GraphProducts:
    """Products for one batch.

    Args:
        batch: with its graph, which is kept.
        parameters: all of them; trained: positions of those that are not frozen.
    """

    def __init__(self, batch: Batch, parameters: Sequence[Tensor], trained: Sequence[int]) -> None:
        self.batch, self.parameters, self.trained = batch, list(parameters), list(trained)
        self._wanted = [self.parameters[i] for i in self.trained]
        self._adjoint: tuple[Tensor, tuple[Tensor | None, ...]] | None = None
        self._slopes: tuple[Tensor | None, ...] | None = None
        self._impossible = False
        self._warned = False

    def tangent(self, values: Sequence[Tensor]) -> Tensor | None:
        """J v, shaped as the outputs, by one backward pass (the first: two).

        None, with a warning, if the model cannot be differentiated twice.
        """
        if self._impossible:
            return None
        first = self._adjoint is None
        try:
            found = self._tangent(values)
            if not first or self._is_adjoint(found, values):
                return found
            why = "its second derivatives do not belong to its backward pass"
        except RuntimeError as error:
            why = str(error).strip().splitlines()[0]
        self._impossible, self._adjoint = True, None
        warnings.warn(
            f"the model cannot be differentiated twice ({why}): products take the rows of its Jacobian instead, with their memory; fused "
            "attention can be under torch.nn.attention.sdpa_kernel(SDPBackend.MATH)",
            stacklevel=5,
        )
        return None

    def _is_adjoint(self, tangent: Tensor, values: Sequence[Tensor]) -> bool:
        """Whether u . (J v) = (J^T u) . v for a fixed pseudo-random u."""
        outputs = self.batch.outputs
        u = fixed_probe(outputs.numel()).to(outputs).reshape(outputs.shape)
        back = torch.autograd.grad(outputs, self._wanted, u, retain_graph=True, allow_unused=True)
        pairs = [
            (part.to_dense().double(), values[i].double())
            for part, i in zip(back, self.trained, strict=True)
            if part is not None
        ]
        expected = float(sum(((a * b).sum() for a, b in pairs), torch.zeros(())))
        size = float(sum((a.norm() * b.norm() for a, b in pairs), torch.zeros(())))
        eps = torch.finfo(outputs.dtype).eps
        found = float((u.double() * tangent.double()).sum())
        if not math.isfinite(found - expected):
            return True  # what is not a number is seen elsewhere
        return abs(found - expected) <= eps**0.5 * float(u.norm() * tangent.norm()) + 1e3 * eps * size

    def _tangent(self, values: Sequence[Tensor]) -> Tensor:
        outputs = self.batch.outputs
        if self._adjoint is None:
            w = torch.zeros_like(outputs, requires_grad=True)
            self._adjoint = w, torch.autograd.grad(outputs, self._wanted, w, create_graph=True, allow_unused=True)
        w, adjoint = self._adjoint
        live = [
            (part, values[i].to(part.dtype))
            for part, i in zip(adjoint, self.trained, strict=True)
            if part is not None and part.requires_grad
        ]
        if not live:
            return torch.zeros_like(outputs, requires_grad=False)
        (found,) = torch.autograd.grad([part for part, _ in live], w, [v for _, v in live], retain_graph=True)
        return found

    def hessian(self, values: Sequence[Tensor]) -> list[Tensor]:
        """(d2L/dtheta2) v by two backward passes. Warns once of a negative v.Hv.

        Raises:
            InputError: model or loss cannot be differentiated twice.
        """
        try:
            result = self._hessian(values)
        except RuntimeError as error:
            raise InputError(
                f"model and loss cannot be differentiated twice ({str(error).strip().splitlines()[0]}), which the Hessian needs: run "
                'fused attention under torch.nn.attention.sdpa_kernel(SDPBackend.MATH), or give the curvature "ggn"'
            ) from error
        quadratic = sum(float((result[i].double() * values[i].double()).sum()) for i in self.trained)
        if quadratic < 0 and not self._warned:
            self._warned = True
            warnings.warn(
                f"the Hessian is not positive semi-definite here (v.Hv = {quadratic:.3g} for a direction v): natural-gradient "
                'steps on it may go uphill; raise damping, or use the curvature "ggn"',
                stacklevel=4,
            )
        return result

    def _hessian(self, values: Sequence[Tensor]) -> list[Tensor]:
        if self._slopes is None:
            self._slopes = torch.autograd.grad(self.batch.loss, self._wanted, create_graph=True, allow_unused=True)
        live = [
            (g, values[i].to(g.dtype))
            for g, i in zip(self._slopes, self.trained, strict=True)
            if g is not None and g.requires_grad
        ]
        result: list[Tensor | None] = [None] * len(self.parameters)
        if live:
            found = torch.autograd.grad(
                [g for g, _ in live], self._wanted, [v for _, v in live], retain_graph=True, allow_unused=True
            )
            for i, part in zip(self.trained, found, strict=True):
                result[i] = part
        return filled(result, self.parameters)
