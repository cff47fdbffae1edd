"""Layers that apply one matrix at every position t of each sample, y_t = W x_t: of a sequence, or of a convolution, x_t being its patch."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..hooks import Call
from .use import Pair, Use

_PATCH_ENTRIES = 2**21
"""Entries of the patches that are made at once, where they are not kept."""


class MatrixUse(Use):
    """A layer that applies one matrix at every position, in g groups of o outputs and q inputs."""

    groups: int
    """Number of groups g."""
    channels: int
    """Input channels of each group."""
    width: int
    """Inputs q of the matrix, a multiple of `channels`."""
    outputs: int
    """Outputs of all groups together."""
    transposed = False
    """Whether the parameter is (q, o)."""

    @abstractmethod
    def patches(self, ones: bool = False, channels: slice = slice(None)) -> Tensor:
        """The inputs x_t of some channels, (b, g, T, q); with `ones` (b, g, T, q + 1), the last entry 1."""

    def ranges(self, positions: int, max_entries: int) -> list[slice]:
        """Ranges of channels with at most `max_entries` numbers for each position, and no more patches than fit into a cache."""
        each = self.width // self.channels
        step = max(1, min(max_entries, _PATCH_ENTRIES // (positions * self.call.shape[0])) // each)
        return [slice(start, min(start + step, self.channels)) for start in range(0, self.channels, step)]

    @abstractmethod
    def by_position(self, D: Tensor) -> Tensor:
        """D as (b, g, m, o, T)."""

    def rows(self, D: Tensor, weight: bool, bias: bool, hold: bool = False) -> Pair:
        """Rows of shapes (b, m, g o q) and (b, m, g o)."""
        split = self.by_position(D)
        b, g, m, o, T = split.shape
        if not weight:
            return None, split.sum(-1).transpose(1, 2).flatten(2)
        sides = split.reshape(b, g, m * o, T)
        if hold:
            product = sides @ self._held
        else:
            parts = [sides @ self.patches(channels=part) for part in self.ranges(T * g, self.width)]
            product = parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
        rows = product.reshape(b, g, m, o, -1).transpose(1, 2).flatten(2)
        return rows, split.sum(-1).transpose(1, 2).flatten(2) if bias else None

    @cached_property
    def _held(self) -> Tensor:
        return self.patches()


class LinearUse(MatrixUse):
    """`nn.Linear` on (b, ..., q)."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.groups, self.channels, self.width = 1, call.input.shape[-1], call.input.shape[-1]
        self.outputs = call.shape[-1]

    def jvp(self, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        """x V^T + v."""
        if weight is None:
            assert bias is not None
            return bias.expand(self.call.shape)
        return F.linear(self.call.input, weight, bias)

    def vjp(self, cotangent: Tensor, weight: bool, bias: bool) -> Pair:
        """Sums of outer products over samples and positions."""
        C = cotangent.reshape(-1, cotangent.shape[-1])
        return (
            C.mT @ self.call.input.reshape(len(C), -1) if weight else None,
            C.sum(0) if bias else None,
        )

    def patches(self, ones: bool = False, channels: slice = slice(None)) -> Tensor:
        """(b, 1, T, q [+ 1])."""
        x = self.call.input[..., channels]
        x = x.reshape(x.shape[0], 1, -1, x.shape[-1])
        return torch.cat([x, x.new_ones(*x.shape[:-1], 1)], dim=-1) if ones else x

    def by_position(self, D: Tensor) -> Tensor:
        """(b, 1, m, o, T)."""
        b, m, o = D.shape[0], D.shape[1], D.shape[-1]
        return D.reshape(b, 1, m, -1, o).mT


class TransposedLinearUse(LinearUse):
    """The product x W with W (q, o)."""

    transposed = True

    def jvp(self, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        """x V + v."""
        return super().jvp(None if weight is None else weight.mT, bias)

    def vjp(self, cotangent: Tensor, weight: bool, bias: bool) -> Pair:
        """Sums of outer products over samples and positions."""
        dW, db = super().vjp(cotangent, weight, bias)
        return None if dW is None else dW.mT, db

    def rows(self, D: Tensor, weight: bool, bias: bool, hold: bool = False) -> Pair:
        """Rows of shapes (b, m, q o) and (b, m, o)."""
        dW, db = super().rows(D, weight, bias, hold)
        return None if dW is None else dW.unflatten(2, (self.outputs, self.width)).mT.flatten(2), db


class ConvolutionUse(MatrixUse):
    """`nn.Conv1d`, `nn.Conv2d` and `nn.Conv3d` on (b, channels, ...), any stride, padding, dilation and groups."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.module = cast(nn.Conv2d, call.module)
        self._dimensions = len(self.module.kernel_size)
        self.groups, self.channels = self.module.groups, self.module.in_channels // self.module.groups
        self.width = self.channels * math.prod(self.module.kernel_size)
        self.outputs = self.module.out_channels

    def jvp(self, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        """The layer with V for its weight."""
        if weight is None:
            assert bias is not None
            return bias.reshape(-1, *[1] * (len(self.call.shape) - 2)).expand(self.call.shape)
        module = self.module
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self._dimensions - 1]
        return convolve(self._padded(self.call.input), weight, bias, module.stride, 0, module.dilation, module.groups)

    def vjp(self, cotangent: Tensor, weight: bool, bias: bool) -> Pair:
        """The convolution's own backward pass."""
        module = self.module
        x, zeros = self._padded(self.call.input), (0,) * self._dimensions
        shape = (module.out_channels, module.in_channels // module.groups, *module.kernel_size)
        _, dW, db = torch.ops.aten.convolution_backward(
            cotangent.contiguous(), x, x.new_empty(1).expand(shape), [shape[0]], module.stride, zeros, module.dilation,
            False, zeros, module.groups, [False, weight, bias],
        )  # fmt: skip
        return dW, db

    def write_rows(self, D: Tensor, weight: Tensor | None, bias: Tensor | None) -> None:
        """Without a copy of one direction of a convolution without groups."""
        if weight is None or D.shape[1] > 1 or self.groups > 1:
            super().write_rows(D, weight, bias)
            return
        side = D.reshape(len(D), self.outputs, -1)
        torch.bmm(side, self._held[:, 0], out=weight[:, 0].unflatten(1, (self.outputs, self.width)))
        if bias is not None:
            torch.sum(side, -1, out=bias[:, 0])

    def patches(self, ones: bool = False, channels: slice = slice(None)) -> Tensor:
        """Patches of the images, contiguous: many small products are twice as fast then."""
        module = self.module
        some = self.call.input.unflatten(1, (module.groups, -1))[:, :, channels]
        x = self._padded(some.flatten(1, 2))
        columns = unfolded(x, module.kernel_size, module.dilation, module.stride)
        columns = columns.reshape(len(x), module.groups, -1, columns.shape[-1])
        b, g, q, T = columns.shape
        if not ones:
            return columns.mT.contiguous()
        augmented = columns.new_ones(b, g, T, q + 1)
        augmented[..., :q] = columns.mT
        return augmented

    def by_position(self, D: Tensor) -> Tensor:
        """D as (b, g, m, o, T)."""
        b, m, g = D.shape[0], D.shape[1], self.module.groups
        return D.reshape(b, m, g, self.module.out_channels // g, -1).transpose(1, 2)

    def _padded(self, x: Tensor) -> Tensor:
        around = self.module._reversed_padding_repeated_twice
        mode = self.module.padding_mode
        return F.pad(x, around, "constant" if mode == "zeros" else mode) if any(around) else x


def unfolded(x: Tensor, kernel: Sequence[int], dilation: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Patches of (b, channels, ...), as columns (b, channels times the kernel's entries, T)."""
    # A copy of a view takes a fifth of the time of F.unfold.
    for i, (size, apart, step) in enumerate(zip(kernel, dilation, stride, strict=True)):
        x = x.unfold(2 + i, apart * (size - 1) + 1, step)[..., ::apart]
    d = len(kernel)
    return x.permute(0, 1, *range(2 + d, 2 + 2 * d), *range(2, 2 + d)).reshape(
        len(x), -1, math.prod(x.shape[2 : 2 + d])
    )
