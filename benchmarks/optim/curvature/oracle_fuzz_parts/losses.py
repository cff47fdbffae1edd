"""Random losses of outputs (b, ...), with masks, weights and reductions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .draws import Draw


@dataclass
class Loss:
    """A loss.

    Attributes:
        name: what it is made of.
        run: outputs to a scalar.
        flat: it has no second derivative in torch, but is piecewise linear.
    """

    name: str
    run: Callable[[Tensor], Tensor]
    flat: bool = False


def _mask(draw: Draw, shape: tuple[int, ...]) -> tuple[str, Tensor | None]:
    """A weight for each number of this shape; None for none."""
    kind = draw.pick(["none"] * 4 + ["rows", "entries", "weights", "all", "padded"])
    if kind == "none":
        return "", None
    if kind == "all":
        return "all masked", torch.zeros(shape)
    if kind == "rows":
        keep = torch.rand(shape[:1]) < 0.6
        return "rows masked", keep.double().reshape(-1, *[1] * (len(shape) - 1)).expand(shape)
    if kind == "entries":
        return "entries masked", (torch.rand(shape) < 0.6).double()
    if kind == "padded" and len(shape) > 1:
        lengths = torch.randint(0, shape[1] + 1, shape[:1])
        padded = (torch.arange(shape[1]) < lengths.unsqueeze(1)).double()
        return "padded", padded.reshape(*shape[:2], *[1] * (len(shape) - 2)).expand(shape)
    return "weights", torch.rand(shape) + 0.1


def _reduced(draw: Draw, name: str, each: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> Loss:
    """Sum or mean of `each`, a number for each of `shape`, masked."""
    masked, w = _mask(draw, shape)
    how = draw.pick(["mean", "sum", "count"])

    def run(z: Tensor) -> Tensor:
        found = each(z)
        if w is not None:
            found = found * w.to(found)
        if how == "count" and w is not None:
            return found.sum() / float(w.sum().clamp(min=1))
        return found.sum() if how == "sum" else found.mean()

    return Loss(f"{name} {masked} {how}".replace("  ", " "), run)


def cross_entropy(draw: Draw, z: Tensor) -> Loss:
    """Cross-entropy over the last or the second dimension, as torch takes it or masked by hand."""
    axis = draw.pick([1, z.dim() - 1])
    C = z.shape[axis]
    if C < 2:
        return squared(draw, z)
    rows = z.movedim(axis, -1).shape[:-1]
    labels = torch.randint(C, rows)
    weight = torch.rand(C) + 0.2 if draw.chance(0.3) else None
    smoothing = draw.pick([0.0, 0.0, 0.1])
    kind = draw.pick(["plain", "plain", "ignored", "soft", "masked"])
    if kind == "soft":
        soft = torch.softmax(torch.randn(*rows, C), -1)
        labels = soft.movedim(-1, axis)
    if kind == "ignored":
        labels = torch.where(torch.rand(rows) < 0.4, torch.full_like(labels, -100), labels)

    def each(z: Tensor) -> Tensor:
        w = None if weight is None else weight.to(z)
        logits = z if axis == 1 else z.movedim(-1, 1)
        goal = labels if kind != "soft" else (labels if axis == 1 else labels.movedim(-1, 1)).to(z)
        return F.cross_entropy(logits, goal, weight=w, label_smoothing=smoothing, reduction="none")

    name = f"cross-entropy axis {axis} of {z.dim()} {kind} weights {weight is not None} smoothing {smoothing}"
    if kind in ("masked", "soft") or (kind == "ignored" and bool((labels == -100).all())):
        return _reduced(draw, name, each, tuple(rows))
    reduction = draw.pick(["mean", "sum"])

    def run(z: Tensor) -> Tensor:
        w = None if weight is None else weight.to(z)
        logits = z if axis == 1 else z.movedim(-1, 1)
        return F.cross_entropy(logits, labels, weight=w, label_smoothing=smoothing, reduction=reduction)

    return Loss(f"{name} {reduction}", run)


def squared(draw: Draw, z: Tensor) -> Loss:
    """A squared error."""
    y = torch.randn(z.shape)
    return _reduced(draw, "squared", lambda z: F.mse_loss(z, y.to(z), reduction="none"), tuple(z.shape))


def _elementwise(draw: Draw, z: Tensor) -> Loss:
    shape = tuple(z.shape)
    y = torch.randn(shape) * draw.pick([1.0, 1.0, 3.0])
    sign = torch.where(torch.rand(shape) < 0.5, -1.0, 1.0)
    hard, soft = (torch.rand(shape) < 0.5).double(), torch.rand(shape)
    delta = draw.pick([0.3, 1.0])
    positive = torch.rand(shape[-1:]) + 0.5
    quantile = draw.pick([0.1, 0.5, 0.9])
    variance = torch.rand(shape) + 0.3
    goal = hard if draw.chance(0.6) else soft
    kinds: dict[str, Callable[[Tensor], Tensor]] = {
        "bernoulli": lambda z: F.binary_cross_entropy_with_logits(z, goal.to(z), reduction="none"),
        "bernoulli with pos_weight": lambda z: F.binary_cross_entropy_with_logits(
            z, goal.to(z), pos_weight=positive.to(z), reduction="none"
        ),
        "huber": lambda z: F.huber_loss(z, y.to(z), delta=delta, reduction="none"),
        "smooth L1": lambda z: F.smooth_l1_loss(z, y.to(z), beta=delta, reduction="none"),
        "L1": lambda z: F.l1_loss(z, y.to(z), reduction="none"),
        "quantile": lambda z: torch.maximum(quantile * (y.to(z) - z), (quantile - 1) * (y.to(z) - z)),
        "hinge": lambda z: torch.relu(1 - sign.to(z) * z),
        "squared hinge": lambda z: torch.relu(1 - sign.to(z) * z).square(),
        "softplus": lambda z: F.softplus(-sign.to(z) * z),
        "steep softplus": lambda z: F.softplus(8 * (y.to(z) - z)),
        "soft margin": lambda z: F.soft_margin_loss(z, sign.to(z), reduction="none"),
        "poisson": lambda z: F.poisson_nll_loss(
            z.clamp(max=20.0), (y.to(z)).abs().round(), log_input=True, reduction="none"
        ),
        "gaussian": lambda z: 0.5 * ((z - y.to(z)).square() / variance.to(z) + variance.to(z).log()),
        "log cosh": lambda z: torch.log(torch.cosh((z - y.to(z)).clamp(-20, 20))),
        "exponential": lambda z: torch.exp((-sign.to(z) * z).clamp(max=5.0)),
        "quartic": lambda z: (z - y.to(z)) ** 4,
        "expectile": lambda z: torch.where(z > y.to(z), quantile, 1 - quantile) * (z - y.to(z)).square(),
        "clipped square": lambda z: (z - y.to(z)).square().clamp(max=1.0),
        "tanh square": lambda z: (torch.tanh(z) - y.to(z)).square(),
        "sigmoid square": lambda z: (torch.sigmoid(z) - goal.to(z)).square(),
        "bernoulli of sigmoid": lambda z: F.binary_cross_entropy(torch.sigmoid(z), goal.to(z), reduction="none"),
        "own bernoulli": lambda z: F.softplus(z) - goal.to(z) * z,
        "epsilon-insensitive": lambda z: torch.relu((z - y.to(z)).abs() - 0.3),
    }
    kind = draw.pick(list(kinds))
    return _reduced(draw, kind, kinds[kind], shape)


def _classes(draw: Draw, z: Tensor) -> Loss:
    """Losses of a row of scores, the last dimension."""
    C = z.shape[-1]
    if C < 2:
        return squared(draw, z)
    rows = tuple(z.shape[:-1])
    labels = torch.randint(C, rows)
    soft = torch.softmax(torch.randn(*rows, C), -1)
    y = torch.randn(z.shape)
    many = (torch.rand(z.shape) < 0.4).double()
    true = F.one_hot(labels, C).double()
    kinds: dict[str, Callable[[Tensor], Tensor]] = {
        "kl": lambda z: F.kl_div(F.log_softmax(z, -1), soft.to(z), reduction="none").sum(-1),
        "own softmax": lambda z: torch.logsumexp(z, -1) - z.gather(-1, labels.unsqueeze(-1)).squeeze(-1),
        "nll of log-probabilities": lambda z: -z.gather(-1, labels.unsqueeze(-1)).squeeze(-1),
        "focal": lambda z: _focal(z, labels),
        "cosine": lambda z: 1 - F.cosine_similarity(z, y.to(z), dim=-1),
        "norm": lambda z: (z - y.to(z)).norm(dim=-1),
        "brier": lambda z: (torch.softmax(z, -1) - true.to(z)).square().sum(-1),
        "multi-hinge": lambda z: torch.relu(1 + z - (z * true.to(z)).sum(-1, keepdim=True)).mul(1 - true.to(z)).sum(-1),
        "crammer-singer": lambda z: (1 + z - true.to(z) - (z * true.to(z)).sum(-1, keepdim=True)).amax(-1),
        "multilabel soft margin": lambda z: (
            -(many.to(z) * F.logsigmoid(z) + (1 - many.to(z)) * F.logsigmoid(-z)).mean(-1)
        ),
        "correlated square": lambda z: (z - y.to(z)).cumsum(-1).square().sum(-1),
        "sum square": lambda z: (z - y.to(z)).sum(-1).square(),
    }
    kind = draw.pick([*kinds, "multi_margin"])
    if kind == "multi_margin" and z.dim() == 2:
        return Loss("multi_margin_loss", lambda z: F.multi_margin_loss(z, labels), flat=True)
    kind = "kl" if kind == "multi_margin" else kind
    return _reduced(draw, kind, kinds[kind], rows)


def _focal(z: Tensor, labels: Tensor) -> Tensor:
    chosen = F.log_softmax(z, -1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return -((1 - chosen.exp()) ** 2) * chosen


def _coupled(draw: Draw, z: Tensor) -> Loss:
    """A loss that is no sum over samples."""
    flat = draw.pick(["contrast", "smoothness", "variance", "total", "root"])
    runs: dict[str, Callable[[Tensor], Tensor]] = {
        "contrast": lambda z: torch.logsumexp(z.flatten(), 0) - z.flatten()[0],
        "smoothness": lambda z: (z[1:] - z[:-1]).square().sum() + z[0].square().sum(),
        "variance": lambda z: (z - z.mean(0)).square().mean() + 0.1 * z.square().mean(),
        "total": lambda z: (z.sum() - 1).square() + z.square().sum(),
        "root": lambda z: (z.square().mean() + 0.1).sqrt(),
    }
    return Loss(f"coupled {flat}", runs[flat])


def make_loss(draw: Draw, z: Tensor) -> Loss:
    """A loss for outputs like z."""
    kind = draw.pick(
        ["cross-entropy"] * 5
        + ["squared"] * 2
        + ["elementwise"] * 7
        + ["classes"] * 3
        + ["sum", "linear", "linear", "scaled"]
        + ["coupled"] * (draw.chance(0.3))
    )
    if kind == "cross-entropy" and z.dim() > 1:
        return cross_entropy(draw, z)
    if kind == "squared":
        return squared(draw, z)
    if kind == "classes" and z.dim() > 1:
        return _classes(draw, z)
    if kind == "coupled":
        return _coupled(draw, z)
    if kind == "sum":
        first, second = make_loss(draw, z), make_loss(draw, z)
        share = draw.pick([0.1, 1.0])
        return Loss(
            f"{first.name} + {share} ({second.name})",
            lambda z: first.run(z) + share * second.run(z),
            first.flat or second.flat,
        )
    if kind == "linear":
        first = make_loss(draw, z)
        a = torch.randn(z.shape) * draw.pick([1e-3, 0.1, 1.0]) * (torch.rand(z.shape) < 0.7)
        return Loss(f"{first.name} + linear", lambda z: first.run(z) + (a.to(z) * z).mean(), first.flat)
    if kind == "scaled":
        first = make_loss(draw, z)
        factor = draw.pick([1e-4, 1e3, 30.0])
        return Loss(f"{factor:g} ({first.name})", lambda z: factor * first.run(z), first.flat)
    return _elementwise(draw, z)
