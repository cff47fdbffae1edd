"""`nn.ConvTranspose1d`, `2d` and `3d`: each input position t adds W^T x_t to a patch of the output."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..hooks import Call
from .matrix import unfolded
from .use import Pair, Use

_ENTRIES = 2**22
"""Entries of the sensitivities' patches that are made at once."""


class TransposedConvolutionUse(Use):
    """On (b, channels, ...), any stride, padding, output padding, dilation and groups."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.module = cast(nn.ConvTranspose2d, call.module)
        self._reach = [d * (k - 1) + 1 for d, k in zip(self.module.dilation, self.module.kernel_size, strict=True)]

    @property
    def _output_padding(self) -> list[int]:
        """By the output's size, which a caller may have chosen."""
        sizes = zip(
            self.call.shape[2:], self.call.input.shape[2:], self.module.stride, self._padding, self._reach, strict=True
        )
        return [out - ((own - 1) * step - 2 * around + reach) for out, own, step, around, reach in sizes]

    @property
    def _padding(self) -> tuple[int, ...]:
        return cast(tuple[int, ...], self.module.padding)

    def jvp(self, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        """The layer with V for its weight."""
        if weight is None:
            assert bias is not None
            return bias.reshape(-1, *[1] * len(self._reach)).expand(self.call.shape)
        module, convolve = (
            self.module,
            (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[len(self._reach) - 1],
        )
        return convolve(
            self.call.input,
            weight,
            bias,
            module.stride,
            self._padding,
            self._output_padding,
            module.groups,
            module.dilation,
        )

    def vjp(self, cotangent: Tensor, weight: bool, bias: bool) -> Pair:
        """The convolution's own backward pass."""
        module, x = self.module, self.call.input
        shape = (module.in_channels, module.out_channels // module.groups, *module.kernel_size)
        _, dW, db = torch.ops.aten.convolution_backward(
            cotangent.contiguous(), x, x.new_empty(1).expand(shape), [module.out_channels], module.stride, self._padding,
            module.dilation, True, self._output_padding, module.groups, [False, weight, bias],
        )  # fmt: skip
        return dW, db

    def rows(self, D: Tensor, weight: bool, bias: bool, hold: bool = False) -> Pair:
        """x_t times the patch of D that it adds to, summed over t."""
        b, groups = D.shape[0], self.module.groups
        sums = D.flatten(3).sum(3) if bias else None
        if not weight:
            return None, sums
        x = self.call.input.reshape(b, 1, groups, self.module.in_channels // groups, -1)
        each = D[:, :1].numel() * self.module.weight[0, 0].numel()
        parts = [x @ self._patches(some) for some in D.split(max(1, _ENTRIES // each), dim=1)]
        return torch.cat(parts, 1).flatten(2), sums

    def _patches(self, D: Tensor) -> Tensor:
        """(b, m, g, T, channels of a group times the kernel's entries)."""
        module = self.module
        y = F.pad(D.flatten(0, 1), [side for around in reversed(self._padding) for side in (around, around)])
        for i, (own, step, reach) in enumerate(zip(self.call.input.shape[2:], module.stride, self._reach, strict=True)):
            y = y.narrow(2 + i, 0, (own - 1) * step + reach)
        columns = unfolded(y, module.kernel_size, module.dilation, module.stride)
        return columns.reshape(*D.shape[:2], module.groups, -1, columns.shape[-1]).mT
