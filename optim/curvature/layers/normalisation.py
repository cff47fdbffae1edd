"""Normalisations: a scale and a shift of inputs that are normalised without parameters."""

from __future__ import annotations

import math
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from ..hooks import Call
from .use import Pair, Use


class NormalisationUse(Use):
    """`nn.LayerNorm`, and batch normalisation in evaluation: y = w x^ + b with x^ fixed."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        module, x = call.module, call.input
        if isinstance(module, nn.LayerNorm):
            self._first, self._last = x.dim() - len(module.normalized_shape), x.dim()
            self._x = F.layer_norm(x, module.normalized_shape, eps=module.eps)
        else:
            norm = cast(nn.BatchNorm2d, module)
            self._first, self._last = 1, 2
            self._x = F.batch_norm(x, norm.running_mean, norm.running_var, eps=norm.eps)

    def jvp(self, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        """x^ V + v."""
        parts = [self._x * self._spread(weight)] if weight is not None else []
        parts += [self._spread(bias).expand(self.call.shape)] if bias is not None else []
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    def vjp(self, cotangent: Tensor, weight: bool, bias: bool) -> Pair:
        """Sums of outer products over samples and positions."""
        others = [i for i in range(cotangent.dim()) if not self._first <= i < self._last]
        return (
            (cotangent * self._x).sum(others) if weight else None,
            cotangent.sum(others) if bias else None,
        )

    def rows(self, D: Tensor, weight: bool, bias: bool, hold: bool = False) -> Pair:
        """Sums over the positions of each sample."""
        return self._rows(D * self._x.unsqueeze(1)) if weight else None, self._rows(D) if bias else None

    def _spread(self, values: Tensor) -> Tensor:
        return values.reshape(*values.shape, *[1] * (len(self.call.shape) - self._last))

    def _rows(self, D: Tensor) -> Tensor:
        b, m, n = D.shape[0], D.shape[1], math.prod(self.call.shape[self._first : self._last])
        return D.reshape(b, m, math.prod(self.call.shape[1 : self._first]), n, -1).sum((2, 4))
