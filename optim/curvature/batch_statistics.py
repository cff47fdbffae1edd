"""Batch normalisation in training mode, with statistics that a backward pass can hold constant.

    y = w (x - mu) / sigma + b,      mu, sigma of the batch

makes every output depend on the whole batch, so that there is no Jacobian of a sample. The curvature takes mu and sigma as constants,
as implementations of K-FAC do; the gradient is exact, through mu and sigma. One graph serves both: the output of each module is handed on
through an autograd Function that has either backward pass.

Source of the exact one: Ioffe and Szegedy, arXiv 1502.03167, section 3.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class BatchStatistics:
    """How the backward passes of one run treat the statistics of its batch.

    An object, and not a variable of the thread: autograd may call a backward pass in a thread of its own.

    Attributes:
        modules: types of the modules that ran with statistics of the batch.
    """

    def __init__(self) -> None:
        self.modules: list[str] = []
        self._constant = False
        self._inputs_only = False

    @contextlib.contextmanager
    def constant(self, inputs_only: bool = False) -> Iterator[None]:
        """Hold statistics constant in the backward passes inside.

        Args:
            inputs_only: no gradient of scales and shifts is asked for.
        """
        before = self._constant, self._inputs_only
        self._constant, self._inputs_only = True, inputs_only
        try:
            yield
        finally:
            self._constant, self._inputs_only = before

    def attached(self, module: _BatchNorm, x: Tensor, output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(output on its own graph, mean, 1 / standard deviation) of a module that ran with the statistics of the batch."""
        self.modules.append(type(module).__name__)
        node = output.grad_fn
        mean, inverse = getattr(node, "_saved_result1", None), getattr(node, "_saved_result2", None)
        if mean is None or inverse is None:
            wide = x.detach().to(torch.promote_types(x.dtype, torch.float32))
            variance, mean = torch.var_mean(wide, _others(x), correction=0)
            inverse = (variance + module.eps).rsqrt()
        mean, inverse = mean.detach(), inverse.detach()
        own = module._parameters
        found: Tensor = _Normalised.apply(
            x, own.get("weight"), own.get("bias"), output.detach(), mean, inverse, module.eps, self
        )
        return found, mean, inverse


def uses_batch_statistics(module: nn.Module) -> bool:
    """Whether a module normalises by the statistics of its batch."""
    return isinstance(module, _BatchNorm) and (module.training or module.running_mean is None)


def can_hold_constant(module: nn.Module, x: object) -> bool:
    """Whether `BatchStatistics.attached` may take the module: torch's own forward pass, scale and shift its own parameters."""
    plain = type(module).forward is _BatchNorm.forward
    own = all(name in module._parameters for name in ("weight", "bias"))
    return plain and own and isinstance(x, Tensor) and not torch._C._functorch.is_functorch_wrapped_tensor(x)


class _Normalised(torch.autograd.Function):
    """Hands on a value that was computed before; its backward pass is that of batch normalisation."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        value: Tensor,
        mean: Tensor,
        inverse: Tensor,
        eps: float,
        statistics: BatchStatistics,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.eps, ctx.statistics = eps, statistics
        return value.new_empty(0).set_(value)  # type: ignore[call-overload]  # no view, which could not be changed in place afterwards

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        (g,) = cotangents
        need = list(ctx.needs_input_grad[:3])
        if not ctx.statistics._constant:
            found = torch.ops.aten.native_batch_norm_backward(
                g, x, weight, None, None, mean, inverse, True, ctx.eps, need
            )
            return (*(part if needed else None for part, needed in zip(found, need, strict=True)), *[None] * 5)
        if ctx.statistics._inputs_only:
            need[1:] = [False, False]
        others, shape = _others(x), (-1, *[1] * (x.dim() - 2))
        scale = inverse if weight is None else inverse * weight
        return (
            (g * scale.view(shape)).to(x.dtype) if need[0] else None,
            (g * ((x - mean.view(shape)) * inverse.view(shape))).sum(others).to(weight.dtype) if need[1] else None,
            g.sum(others).to(mean.dtype) if need[2] else None,
            *[None] * 5,
        )


def _others(x: Tensor) -> list[int]:
    """All dimensions but the channels'."""
    return [i for i in range(x.dim()) if i != 1]
