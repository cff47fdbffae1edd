"""Layers that scale, and shift, what has no parameters of its own: normalisations and PReLU."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from ..hooks import Call
from .use import Pair, Use


class ScalingUse(Use):
    """y = w x^ + b, with x^, the call's input here, as `scaled_input` makes it."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._first, self._last = _scaled_dimensions(call.module, call.input.dim())

    def jvp(self, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        """x^ V + v."""
        parts = [self.call.input * self._spread(weight)] if weight is not None else []
        parts += [self._spread(bias).expand(self.call.shape)] if bias is not None else []
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    def vjp(self, cotangent: Tensor, weight: bool, bias: bool) -> Pair:
        """Sums of outer products over samples and positions."""
        others = [i for i in range(cotangent.dim()) if not self._first <= i < self._last]
        return (
            (cotangent * self.call.input).sum(others) if weight else None,
            cotangent.sum(others) if bias else None,
        )

    def rows(self, D: Tensor, weight: bool, bias: bool, hold: bool = False) -> Pair:
        """Sums over the positions of each sample."""
        return self._rows(D * self.call.input.unsqueeze(1)) if weight else None, self._rows(D) if bias else None

    def _spread(self, values: Tensor) -> Tensor:
        return values.reshape(*values.shape, *[1] * (len(self.call.shape) - self._last))

    def _rows(self, D: Tensor) -> Tensor:
        b, m, n = D.shape[0], D.shape[1], math.prod(self.call.shape[self._first : self._last])
        return D.reshape(b, m, math.prod(self.call.shape[1 : self._first]), n, -1).sum((2, 4))


def scaled_input(call: Call, dtype: torch.dtype) -> Tensor | None:
    """x^ of a call, in `dtype`; None where the layer takes another input than one with a dimension of samples."""
    module, x = call.module, call.input.to(dtype)
    if isinstance(module, nn.LayerNorm):
        return F.layer_norm(x, module.normalized_shape, eps=module.eps)
    if isinstance(module, nn.RMSNorm):
        eps = torch.finfo(call.input.dtype).eps if module.eps is None else module.eps
        return F.rms_norm(x, list(module.normalized_shape), eps=eps)
    if isinstance(module, nn.GroupNorm):
        return F.group_norm(x, module.num_groups, eps=module.eps)
    if isinstance(module, nn.PReLU):
        return x.clamp(max=0)
    if isinstance(module, _InstanceNorm):
        if x.dim() == module._get_no_batch_dim():
            return None
        if module.training or module.running_mean is None:
            return F.instance_norm(x, eps=module.eps)
        return F.instance_norm(x, module.running_mean, module.running_var, use_input_stats=False, eps=module.eps)
    assert isinstance(module, _BatchNorm)
    if call.statistics is not None:
        mean, inverse = (part.to(dtype).view(-1, *[1] * (x.dim() - 2)) for part in call.statistics)
        return (x - mean) * inverse
    return F.batch_norm(x, module.running_mean, module.running_var, eps=module.eps)


def _scaled_dimensions(module: nn.Module, dimensions: int) -> tuple[int, int]:
    """First of the dimensions that the weight's entries lie along, and the one after the last."""
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        return dimensions - len(module.normalized_shape), dimensions
    if isinstance(module, nn.PReLU) and module.num_parameters == 1:
        return 1, 1
    return 1, 2
