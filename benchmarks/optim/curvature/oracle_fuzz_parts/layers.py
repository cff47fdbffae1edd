"""Modules beside torch's own: residual and tied layers, bare parameters, masks, and what draws or remembers in forward."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Apply(nn.Module):
    """A function without parameters."""

    def __init__(self, name: str, run: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.name, self.run = name, run

    def forward(self, h: Tensor) -> Tensor:
        return self.run(h)

    def extra_repr(self) -> str:
        return self.name


class Residual(nn.Module):
    def __init__(self, inner: nn.Module, inplace: bool) -> None:
        super().__init__()
        self.inner, self.inplace = inner, inplace

    def forward(self, h: Tensor) -> Tensor:
        if self.inplace:
            out: Tensor = self.inner(h)
            out += h
            return out
        return h + self.inner(h)


class Gate(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate, self.value = nn.Linear(width, width), nn.Linear(width, width, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        return torch.sigmoid(self.gate(h)) * self.value(h)


class Twice(nn.Module):
    """A layer that runs twice."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, h: Tensor) -> Tensor:
        return torch.tanh(self.layer(torch.tanh(self.layer(h))))


class Transposed(nn.Module):
    """A Linear, and its weight transposed."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, inner)

    def forward(self, h: Tensor) -> Tensor:
        return torch.tanh(self.layer(h)) @ self.layer.weight


class SharedWeight(nn.Module):
    """Two modules with one weight."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.second.weight = self.first.weight

    def forward(self, h: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(h)))


class Parameter(nn.Module):
    """A bare parameter, added or multiplied."""

    def __init__(self, shape: tuple[int, ...], times: bool) -> None:
        super().__init__()
        self.times = times
        self.value = nn.Parameter(torch.randn(shape) * 0.3 + (1.0 if times else 0.0))

    def forward(self, h: Tensor) -> Tensor:
        return h * self.value if self.times else h + self.value


class PositionTable(nn.Module):
    """An Embedding of the positions, whose first size may be the batch's by chance."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(length, width)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.table(torch.arange(h.shape[1]))


class Attend(nn.Module):
    """Self-attention, with or without a mask of positions."""

    def __init__(self, width: int, heads: int, length: int, causal: bool, need_weights: bool, bias: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True, bias=bias)
        self.need_weights = need_weights
        mask = torch.triu(torch.ones(length, length, dtype=torch.bool), 1) if causal else None
        self.register_buffer("mask", mask)

    def forward(self, h: Tensor) -> Tensor:
        return self.attention(h, h, h, attn_mask=self.mask, need_weights=self.need_weights)[0]


class FusedAttention(nn.Module):
    """Attention by a user's own projections."""

    def __init__(self, width: int, causal: bool) -> None:
        super().__init__()
        self.projection, self.causal = nn.Linear(width, 3 * width), causal

    def forward(self, h: Tensor) -> Tensor:
        q, k, v = self.projection(h).unsqueeze(1).chunk(3, dim=-1)
        return F.scaled_dot_product_attention(q, k, v, is_causal=self.causal).squeeze(1)


class Encoder(nn.Module):
    """TransformerEncoderLayer, with or without a causal mask."""

    def __init__(self, layer: nn.Module, length: int, causal: bool) -> None:
        super().__init__()
        self.layer = layer
        mask = nn.Transformer.generate_square_subsequent_mask(length) if causal else None
        self.register_buffer("mask", mask)

    def forward(self, h: Tensor) -> Tensor:
        return (
            self.layer(h, src_mask=self.mask)
            if isinstance(self.layer, nn.TransformerEncoderLayer)
            else self.layer(h, mask=self.mask)
        )


class Recurrent(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, h: Tensor) -> Tensor:
        return self.layer(h)[0]


class Unrolled(nn.Module):
    """A recurrent cell, step by step."""

    def __init__(self, cell: nn.Module, width: int) -> None:
        super().__init__()
        self.cell, self.width = cell, width

    def forward(self, h: Tensor) -> Tensor:
        state = h.new_zeros(len(h), self.width)
        found = []
        for step in h.unbind(1):
            state = self.cell(step, state)
            found.append(state)
        return torch.stack(found, 1)


class ByChannels(nn.Module):
    """A layer over (b, c, t) for h of (b, t, c)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, h: Tensor) -> Tensor:
        return self.layer(h.transpose(1, 2)).transpose(1, 2)


class RandomScale(nn.Module):
    """Draws a number in training mode, outside of torch's dropout modules."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source

    def forward(self, h: Tensor) -> Tensor:
        if not self.training:
            return h
        if self.source == "random":
            return h * (0.5 + random.random())
        if self.source == "numpy":
            return h * (0.5 + np.random.rand())  # noqa: NPY002 (what a user's module does)
        if self.source == "torch":
            return h * (0.5 + torch.rand(h.shape[1:], dtype=h.dtype))
        return F.dropout(h, 0.3)

    def extra_repr(self) -> str:
        return self.source


class Remembers(nn.Module):
    """Scales by a count of its calls, in a buffer or in an attribute, from some call on."""

    count: Tensor

    def __init__(self, buffer: bool, start: int) -> None:
        super().__init__()
        self.start, self.buffer = start, buffer
        self.calls = 0
        self.register_buffer("count", torch.zeros(()))

    def forward(self, h: Tensor) -> Tensor:
        if self.buffer:
            self.count += 1
            return h * (1 + 0.1 * torch.relu(self.count - self.start))
        self.calls += 1
        return h * (1 + 0.1 * max(0, self.calls - self.start))

    def get_extra_state(self) -> Any:
        return {"calls": self.calls}

    def set_extra_state(self, state: Any) -> None:
        self.calls = state["calls"]

    def extra_repr(self) -> str:
        return f"buffer={self.buffer}, start={self.start}"


class Reverse(torch.autograd.Function):
    """Identity whose gradient has the other sign, as in domain adaptation: a user's own function, which vmap does not know."""

    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        return h.view_as(h)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Tensor:
        return -gradient[0]


class Habit(nn.Module):
    """A layer, called in one of the ways that users have."""

    def __init__(self, layer: nn.Module, kind: str) -> None:
        super().__init__()
        self.layer, self.kind = layer, kind

    def forward(self, h: Tensor) -> Tensor:
        layer = self.layer
        if self.kind == "checkpointed":
            return checkpoint(lambda h: torch.tanh(layer(h)), h, use_reentrant=False)
        if self.kind == "by keyword":
            return layer(input=h)
        if self.kind == "positions joined":
            return layer(h.reshape(-1, h.shape[-1])).reshape(*h.shape[:-1], -1)
        if self.kind == "positions first":
            return layer(h.transpose(0, 1)).transpose(0, 1)
        z = layer(h)
        if self.kind == "changed in place":
            z[:, 0] *= 0.5
        elif self.kind == "overwritten":
            z[:, -1] = 0.1
        elif self.kind == "half detached":
            z = 0.5 * z + 0.5 * z.detach()
        elif self.kind == "rounded":
            z = z + (torch.round(2 * z) / 2 - z).detach()
        elif self.kind == "reversed gradient":
            z = Reverse.apply(z)
        elif self.kind == "hooked" and z.requires_grad:
            z.register_hook(lambda gradient: 0.3 * gradient)
        elif self.kind == "half the samples":
            z = torch.cat([z[: len(z) // 2], layer(0.5 * h[len(z) // 2 :])])
        elif self.kind == "not contiguous":
            z = z.transpose(0, -1).contiguous().transpose(0, -1)
        return z

    def extra_repr(self) -> str:
        return self.kind


class Mixup(nn.Module):
    """In training mode samples are mixed with others, in an order that is drawn."""

    def forward(self, h: Tensor) -> Tensor:
        return 0.7 * h + 0.3 * h[torch.randperm(len(h))] if self.training else h


class PositionsFirst(nn.Module):
    """A recurrent layer over (t, b, d)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, h: Tensor) -> Tensor:
        return self.layer(h.transpose(0, 1))[0].transpose(0, 1)
