"""Random networks with their inputs, and the ways in which closures make outputs of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .draws import Draw
from .grammar import stack
from .layers import Apply, Parameter

Run = Callable[[Any], Tensor]


@dataclass
class Network:
    """A network and its batches.

    Attributes:
        net: holds all parameters, as modules and parameters.
        batches: for each micro-batch the function from the net to its outputs.
        words: what it is.
    """

    net: Any
    batches: list[Run]
    words: list[str] = field(default_factory=list)


class TakesMore(nn.Module):
    """A body whose forward takes more than the batch, and returns more than the outputs."""

    def __init__(self, body: nn.Module, result: str) -> None:
        super().__init__()
        self.body, self.result = body, result

    def forward(self, x: Tensor, table: Tensor | None = None, scale: float = 1.0) -> object:
        h = self.body(x)
        z = h if table is None else h + table.sum() * scale
        return {"tuple": (h, z), "dict": {"outputs": z}}.get(self.result, z)


def _inputs(draw: Draw, kind: str, b: int, t: int) -> Tensor:
    if kind == "vector":
        return torch.randn(b, draw.pick([2, 3, 5]))
    if kind == "sequence":
        return torch.randn(b, t, draw.pick([2, 4]))
    if kind == "tokens" or kind == "bag":
        return torch.randint(1, 6, (b, t))
    return torch.randn(b, draw.pick([1, 2]), draw.pick([3, 4, 5]), draw.pick([3, 4]))


def _pool(draw: Draw, h: Tensor) -> nn.Module:
    if h.dim() == 3:
        kinds: dict[str, Callable[[Tensor], Tensor]] = {
            "mean over positions": lambda h: h.mean(1), "last position": lambda h: h[:, -1], "first position": lambda h: h[:, 0],
            "flatten": lambda h: h.flatten(1), "maximum over positions": lambda h: h.amax(1),
        }  # fmt: skip
    else:
        kinds = {"mean over pixels": lambda h: h.mean((2, 3)), "flatten": lambda h: h.flatten(1)}
    name = draw.pick(list(kinds))
    return Apply(name, kinds[name])


def make_network(draw: Draw) -> Network:
    """A network with one to three micro-batches."""
    if draw.chance(0.08):
        return _differential(draw)
    kind = draw.pick(["vector"] * 4 + ["sequence"] * 3 + ["tokens"] * 2 + ["bag"] + ["image"] * 4)
    b, t = draw.count(1, 6), draw.count(2, 5)
    b = t if draw.chance(0.3) else b
    first = _inputs(draw, kind, b, t)
    parts: list[nn.Module] = []
    h = first
    words = [f"{kind} {tuple(first.shape)}"]
    if kind == "tokens":
        kinds: list[dict[str, Any]] = [
            {},
            {},
            {"padding_idx": 1},
            {"scale_grad_by_freq": True},
            {"max_norm": 1.0},
            {"sparse": True},
        ]
        parts.append(nn.Embedding(6, draw.pick([2, 4]), **draw.pick(kinds)))
        h = parts[-1](first)
    elif kind == "bag":
        parts.append(nn.EmbeddingBag(6, draw.pick([2, 4]), mode=draw.pick(["sum", "mean", "max"])))
        h = parts[-1](first)
    body, h = stack(draw, h, draw.count(1, 4))
    parts.append(body)
    keep = draw.chance(0.3) and h[0].numel() <= 16
    if h.dim() > 2 and not keep:
        parts.append(_pool(draw, h))
        h = parts[-1](h)
        more, h = stack(draw, h, draw.count(0, 2))
        parts.append(more)
    classes = draw.count(1, 4)
    if not (keep and draw.chance(0.5)) or h[0].numel() > 20:
        head: nn.Module = nn.Conv2d(h.shape[1], classes, 1) if h.dim() == 4 else nn.Linear(h.shape[-1], classes)
        parts.append(head)
        if draw.chance(0.1):
            parts.append(Apply("times 30", lambda z: 30 * z))
        if draw.chance(0.08):
            parts.append(nn.LogSoftmax(-1))
    whole = nn.Sequential(*parts)
    net, run = _outputs(draw, whole, first, words)
    batches = [first]
    for _ in range(draw.pick([0, 0, 0, 1, 2])):
        size = first.shape[0] if draw.chance(0.6) else draw.count(1, 6)
        more_x = (
            torch.randint(1, 6, (size, *first.shape[1:]))
            if not first.is_floating_point()
            else torch.randn(size, *first.shape[1:])
        )
        batches.append(more_x)
    return Network(net, [_with(run, x) for x in batches], words)


def _with(run: Callable[[Any, Tensor], Tensor], x: Tensor) -> Run:
    def on(net: Any) -> Tensor:
        like = next(net.parameters())
        return run(net, x.to(like, copy=True) if x.is_floating_point() else x)  # (layers may change it in place)

    return on


def _outputs(
    draw: Draw, whole: nn.Sequential, x: Tensor, words: list[str]
) -> tuple[nn.Module, Callable[[Any, Tensor], Tensor]]:
    """The net and what a closure makes of it."""
    kind = draw.pick(
        ["plain"] * 8
        + [
            "slice",
            "two modules",
            "sum of two",
            "reshape",
            "scaled outside",
            "tuple",
            "dict",
            "some samples",
            "flattened rows",
            "twice",
            "argument",
            "squeezed",
            "mean removed",
            "penultimate",
            "reversed",
            "joined",
        ]
    )
    words.append(f"outputs: {kind}")
    net: Any = nn.Module()
    net.whole = whole
    if kind == "slice":
        return net, lambda net, x: net.whole(x)[:, :1]
    if kind == "two modules":
        cut = draw.count(1, max(1, len(whole) - 1))
        net = nn.Module()
        net.first, net.second = whole[:cut], whole[cut:]
        return net, lambda net, x: net.second(torch.tanh(net.first(x)))
    if kind == "sum of two" and x.dim() == 2 and x.is_floating_point():
        net.other = nn.Linear(x.shape[1], 1)
        return net, lambda net, x: (lambda z: z + net.other(x).reshape(len(x), *[1] * (z.dim() - 1)))(net.whole(x))
    if kind == "reshape":
        return net, lambda net, x: net.whole(x).reshape(len(x), -1)
    if kind == "scaled outside":
        net.scale = Parameter((1,), True)
        return net, lambda net, x: net.whole(x) * net.scale.value
    if kind in ("tuple", "dict", "argument"):
        net = TakesMore(whole, kind)
        if kind == "argument":
            table = torch.randn(len(x), draw.pick([1, len(x)]))
            return net, lambda net, x: net(x, table.to(next(net.parameters())), scale=0.5)
        name: str | int = 1 if kind == "tuple" else "outputs"
        return net, lambda net, x: net(x)[name]
    if kind == "some samples":
        return net, lambda net, x: net.whole(x)[: max(1, len(x) - 1)]
    if kind == "flattened rows":
        return net, lambda net, x: (lambda z: z.reshape(-1, z.shape[-1]))(net.whole(x))
    if kind == "twice" and x.is_floating_point():
        return net, lambda net, x: net.whole(x) - net.whole(0.5 * x)
    if kind == "reversed":
        return net, lambda net, x: net.whole(x).flip(0)
    if kind == "joined" and x.is_floating_point():
        return net, lambda net, x: torch.cat([net.whole(x), net.whole(0.5 * x)])
    if kind == "squeezed":
        return net, lambda net, x: net.whole(x).flatten(1).sum(1)
    if kind == "mean removed":
        return net, lambda net, x: (lambda z: z - 0.5 * z.mean(0, keepdim=True))(net.whole(x))
    if kind == "penultimate":
        net.head = nn.LazyLinear(2)
        with torch.no_grad():
            net.head(whole(x).flatten(1))
        return net, lambda net, x: net.head(torch.tanh(net.whole(x)).flatten(1))
    return net, lambda net, x: net.whole(x)


def _differential(draw: Draw) -> Network:
    """Residuals of a differential equation, with derivatives of the network inside."""
    d = draw.pick([1, 2])
    width = draw.pick([3, 5])
    net: Any = nn.Module()
    smooth = draw.pick([nn.Tanh, nn.SiLU, nn.Softplus])
    net.u = nn.Sequential(nn.Linear(d, width), smooth(), nn.Linear(width, width), smooth(), nn.Linear(width, 1))
    if draw.chance(0.3):
        net.u[2] = nn.utils.parametrizations.weight_norm(net.u[2])
    net.k = Parameter((1,), True)
    x, edge = torch.rand(draw.count(1, 5), d), torch.rand(draw.count(1, 3), d)
    weight = draw.pick([1.0, 5.0])
    kind = draw.pick(["first order", "second order", "boundary", "energy"])

    def run(net: Any) -> Tensor:
        like = next(net.parameters())
        inside = x.to(like).requires_grad_(True)
        u = net.u(inside)
        (slope,) = torch.autograd.grad(u.sum(), inside, create_graph=True)
        if kind == "first order":
            return slope.sum(1, keepdim=True) + net.k.value * u
        if kind == "energy":
            return torch.cat([slope, u], 1)
        second = [torch.autograd.grad(slope[:, i].sum(), inside, create_graph=True)[0][:, i] for i in range(d)]
        residual = torch.stack(second, 1).sum(1, keepdim=True) + net.k.value * u**2
        if kind == "second order":
            return residual
        return torch.cat([residual, weight * net.u(edge.to(like))])

    return Network(net, [run], [f"differential equation, {kind}, {len(x)} points, {d} coordinates"])
