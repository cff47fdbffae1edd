"""Random stacks of layers, for h of (b, d), (b, t, d) and (b, c, height, width)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.nn.utils import spectral_norm as old_spectral_norm
from torch.nn.utils import weight_norm as old_weight_norm

from .draws import Draw
from .layers import (
    Apply,
    Attend,
    ByChannels,
    Encoder,
    FusedAttention,
    Gate,
    Habit,
    Mixup,
    Parameter,
    PositionsFirst,
    PositionTable,
    RandomScale,
    Recurrent,
    Remembers,
    Residual,
    SharedWeight,
    Transposed,
    Twice,
    Unrolled,
)

WIDTHS = (2, 3, 4, 6)


def activation(draw: Draw) -> nn.Module:
    inplace = draw.chance(0.3)
    kinds: list[Callable[[], nn.Module]] = [
        nn.Tanh,
        nn.Sigmoid,
        nn.GELU,
        nn.Softplus,
        lambda: nn.ReLU(inplace=inplace),
        lambda: nn.SiLU(inplace=inplace),
        lambda: nn.ELU(inplace=inplace),
        lambda: nn.LeakyReLU(0.1, inplace=inplace),
        lambda: nn.PReLU(),
        lambda: nn.Hardtanh(inplace=inplace),
    ]
    return draw.pick(kinds)()


def wrapped(draw: Draw, layer: nn.Module) -> nn.Module:
    """Sometimes parametrised, pruned or partly frozen."""
    kind = draw.count(0, 19)
    if kind == 0:
        return parametrizations.weight_norm(layer)
    if kind == 1:
        return parametrizations.spectral_norm(layer)
    if kind == 2:
        prune.random_unstructured(layer, "weight", 0.4)
    elif kind == 3:
        return old_weight_norm(layer)
    elif kind == 4:
        return old_spectral_norm(layer)
    elif kind == 5:
        layer.weight.requires_grad_(False)
    elif kind == 6 and layer.bias is not None:
        layer.bias.requires_grad_(False)
    return layer


def linear(draw: Draw, width: int, out: int) -> nn.Module:
    return wrapped(draw, nn.Linear(width, out, bias=draw.chance(0.8)))


HABITS = (
    "checkpointed", "by keyword", "positions joined", "positions first", "changed in place", "overwritten", "half detached", "rounded",
    "reversed gradient", "hooked", "half the samples", "not contiguous",
)  # fmt: skip


def habit(draw: Draw, h: Tensor) -> nn.Module:
    """A layer of its own width, called as users do."""
    d = h.shape[-1]
    layers: list[nn.Module] = [nn.Linear(d, d), nn.LayerNorm(d), wrapped(draw, nn.Linear(d, d))]
    if h.dim() == 4:
        layers = [nn.Conv2d(h.shape[1], h.shape[1], 3, padding=1), nn.GroupNorm(1, h.shape[1])]
    kind = draw.pick([one for one in HABITS if "positions" not in one or h.dim() == 3])
    # (a checkpoint runs its layer again in each backward pass, and power iterations with it)
    return Habit(layers[0] if kind == "checkpointed" else draw.pick(layers), kind)


def _mode(draw: Draw, layer: Any) -> nn.Module:
    """Mark some batch normalisations as kept in evaluation mode (`make_case`)."""
    layer.kept_in_evaluation = draw.chance(0.4)
    return cast(nn.Module, layer)


def vector_layer(draw: Draw, h: Tensor) -> nn.Module:
    """A layer for (b, d)."""
    d = h.shape[-1]
    kinds = {
        "linear": 6, "activation": 4, "norm": 1, "batch": 2, "dropout": 2, "group": 1, "residual": 2, "tied": 1, "gate": 1,
        "scale": 1, "transposed": 1, "shared": 1, "random": 1, "remember": 1, "bilinear": 1, "positions": 1, "habit": 2, "mixup": 1,
    }  # fmt: skip
    kind = draw.pick([name for name, weight in kinds.items() for _ in range(weight)])
    if kind == "habit":
        return habit(draw, h)
    if kind == "mixup":
        return Mixup()
    if kind == "activation":
        return activation(draw)
    if kind == "norm":
        return draw.pick(
            [nn.LayerNorm(d), nn.LayerNorm(d, elementwise_affine=False), nn.RMSNorm(d), nn.LayerNorm(d, bias=False)]
        )
    if kind == "batch":
        return _mode(draw, nn.BatchNorm1d(d, affine=draw.chance(0.8), track_running_stats=draw.chance(0.8)))
    if kind == "dropout":
        return draw.pick([nn.Dropout(0.3), nn.AlphaDropout(0.2)])
    if kind == "group":
        return nn.GroupNorm(draw.pick([g for g in (1, 2, 3) if d % g == 0 and d // g > 1] or [1]), d)
    if kind == "residual":
        return Residual(nn.Sequential(linear(draw, d, d), activation(draw)), draw.chance(0.3))
    if kind == "tied":
        return Twice(linear(draw, d, d))
    if kind == "gate":
        return Gate(d)
    if kind == "scale":
        return Parameter(draw.pick([(d,), (1,), (1, d), ()]), draw.chance(0.5))
    if kind == "transposed":
        return Transposed(d, draw.pick(WIDTHS))
    if kind == "shared":
        return SharedWeight(d)
    if kind == "random":
        return RandomScale(draw.pick(["random", "numpy", "torch", "functional"]))
    if kind == "remember":
        return Remembers(draw.chance(0.5), draw.count(0, 3))
    if kind == "bilinear":
        return Squared(nn.Bilinear(d, d, draw.pick(WIDTHS)))
    if kind == "positions" and d > 3:
        return (
            Apply("unflatten", lambda h: h.unflatten(1, (2, -1)).transpose(1, 2).reshape(len(h), -1))
            if d % 2 == 0
            else Gate(d)
        )
    return linear(draw, d, draw.pick(WIDTHS))


class Squared(nn.Module):
    """A bilinear layer of h with itself."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, h: Tensor) -> Tensor:
        return self.layer(h, h)


def sequence_layer(draw: Draw, h: Tensor) -> nn.Module:
    """A layer for (b, t, d)."""
    t, d = h.shape[1:]
    kinds = {
        "linear": 4, "activation": 3, "norm": 2, "attention": 3, "fused": 1, "encoder": 3, "recurrent": 2, "cell": 1, "convolution": 2,
        "position": 2, "table": 1, "dropout": 1, "batch": 1, "residual": 2, "tied": 1, "instance": 1, "random": 1, "remember": 1, "gate": 1,
        "habit": 2, "mixup": 1,
    }  # fmt: skip
    kind = draw.pick([name for name, weight in kinds.items() for _ in range(weight)])
    if kind == "habit":
        return habit(draw, h)
    if kind == "mixup":
        return Mixup()
    if kind == "activation":
        return activation(draw)
    if kind == "norm":
        return draw.pick([nn.LayerNorm(d), nn.LayerNorm([t, d]), nn.RMSNorm(d)])
    heads = draw.pick([n for n in (1, 2, 3) if d % n == 0])
    causal = draw.chance(0.5)
    if kind == "attention":
        attention = Attend(d, heads, t, causal, draw.chance(0.5), draw.chance(0.8))
        return Residual(attention, False) if draw.chance(0.5) else attention
    if kind == "fused":
        return FusedAttention(d, causal)
    if kind == "encoder":
        layer = nn.TransformerEncoderLayer(
            d,
            heads,
            4,
            dropout=draw.pick([0.0, 0.1]),
            activation=draw.pick(["relu", "gelu"]),
            batch_first=True,
            norm_first=draw.chance(0.4),
        )
        if draw.chance(0.3):
            return Encoder(nn.TransformerEncoder(layer, 1, enable_nested_tensor=False), t, causal)
        return Encoder(layer, t, causal)
    if kind == "recurrent":
        out = draw.pick(WIDTHS)
        made = draw.pick([nn.LSTM, nn.GRU, nn.RNN])
        if draw.chance(0.2):
            return PositionsFirst(made(d, out, num_layers=2, dropout=0.2))
        return Recurrent(made(d, out, batch_first=True, bidirectional=draw.chance(0.2)))
    if kind == "cell":
        return Unrolled(draw.pick([nn.GRUCell, nn.RNNCell])(d, d), d)
    if kind == "convolution":
        return ByChannels(
            wrapped(draw, nn.Conv1d(d, draw.pick(WIDTHS), draw.pick([1, 2 if t > 1 else 1, 3]), padding=1))
        )
    if kind == "position":
        return Parameter(draw.pick([(t, d), (1, t, d), (d,), (t, 1)]), draw.chance(0.3))
    if kind == "table":
        return PositionTable(t, d)
    if kind == "dropout":
        return nn.Dropout(0.3)
    if kind == "batch":
        return ByChannels(_mode(draw, nn.BatchNorm1d(d)))
    if kind == "residual":
        return Residual(nn.Sequential(nn.LayerNorm(d), linear(draw, d, d), activation(draw)), draw.chance(0.3))
    if kind == "tied":
        return Twice(linear(draw, d, d))
    if kind == "instance":
        return (
            ByChannels(nn.InstanceNorm1d(d, affine=draw.chance(0.6), track_running_stats=draw.chance(0.3)))
            if t > 1
            else nn.LayerNorm(d)
        )
    if kind == "random":
        return RandomScale(draw.pick(["random", "numpy", "torch", "functional"]))
    if kind == "remember":
        return Remembers(draw.chance(0.5), draw.count(0, 3))
    if kind == "gate":
        return Gate(d)
    return linear(draw, d, draw.pick(WIDTHS))


def image_layer(draw: Draw, h: Tensor) -> nn.Module:
    """A layer for (b, c, height, width)."""
    c, high, wide = h.shape[1:]
    small = min(high, wide)
    kinds = {
        "convolution": 6, "activation": 4, "batch": 3, "group": 2, "instance": 1, "norm": 1, "pool": 2, "dropout": 2, "residual": 2,
        "scale": 1, "transposed": 1, "random": 1, "remember": 1, "tied": 1, "habit": 2, "mixup": 1,
    }  # fmt: skip
    kind = draw.pick([name for name, weight in kinds.items() for _ in range(weight)])
    if kind == "habit":
        return habit(draw, h)
    if kind == "mixup":
        return Mixup()
    if kind == "activation":
        return activation(draw)
    if kind == "batch":
        return _mode(draw, nn.BatchNorm2d(c, affine=draw.chance(0.8), track_running_stats=draw.chance(0.8)))
    if kind == "group":
        return nn.GroupNorm(draw.pick([g for g in (1, 2, 3) if c % g == 0]), c)
    if kind == "instance" and high * wide > 1:
        return nn.InstanceNorm2d(c, affine=draw.chance(0.6), track_running_stats=draw.chance(0.3))
    if kind == "norm":
        return nn.LayerNorm([c, high, wide])
    if kind == "pool" and small > 1:
        return draw.pick([nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1)])
    if kind == "dropout":
        return draw.pick([nn.Dropout(0.3), nn.Dropout2d(0.3)])
    if kind == "residual":
        inner = nn.Sequential(
            wrapped(draw, nn.Conv2d(c, c, 3, padding=1)),
            _mode(draw, nn.BatchNorm2d(c)) if draw.chance(0.3) else nn.Identity(),
        )
        return Residual(inner, draw.chance(0.3))
    if kind == "scale":
        return Parameter(draw.pick([(c, 1, 1), (1, c, 1, 1), (1,), (c, high, wide)]), draw.chance(0.5))
    if kind == "transposed" and small < 4:
        return nn.ConvTranspose2d(c, draw.pick([1, 2]), 2, stride=draw.pick([1, 2]))
    if kind == "random":
        return RandomScale(draw.pick(["random", "numpy", "torch", "functional"]))
    if kind == "remember":
        return Remembers(draw.chance(0.5), draw.count(0, 3))
    if kind == "tied":
        return Twice(nn.Conv2d(c, c, 3, padding=1))
    groups = draw.pick([g for g in (1, 2) if c % g == 0])
    kernel = draw.pick([k for k in (1, 2, 3) if k <= small + 2])
    out = groups * draw.pick([1, 2])
    layer = nn.Conv2d(
        c,
        out,
        kernel,
        stride=draw.pick([1, 1, 2]),
        padding=1 if kernel > small else draw.pick([0, 1]),
        groups=groups,
        bias=draw.chance(0.8),
    )
    return wrapped(draw, layer)


LAYERS = {2: vector_layer, 3: sequence_layer, 4: image_layer}


def stack(draw: Draw, h: Tensor, depth: int) -> tuple[nn.Sequential, Tensor]:
    """Layers on h, and what they make of it."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layer = LAYERS[h.dim()](draw, h)
        with torch.no_grad():
            found = layer(h.clone())
        if found[0].numel() > 64 or found.numel() == 0:
            continue
        layers.append(layer)
        h = found
    return nn.Sequential(*layers), h
