"""How a direction x becomes an update of the parameters: its limit, momentum, and Adam's moments of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def rates(groups: Sequence[dict[str, Any]]) -> list[float]:
    """The learning rate of each parameter."""
    return [float(group["lr"]) for group in groups for _ in group["params"]]


def clipped(x: list[Tensor], groups: Sequence[dict[str, Any]], limit: float | None) -> list[Tensor]:
    """x, or the part of it with |lr x| = limit."""
    if limit is None:
        return x
    size = math.sqrt(sum((lr * float(part.norm())) ** 2 for lr, part in zip(rates(groups), x, strict=True)))
    return x if size <= limit else [part * (limit / size) for part in x]


@torch.no_grad()
def apply(groups: Sequence[dict[str, Any]], state: Any, direction: Sequence[Tensor], adam: bool) -> None:
    """theta <- theta - lr (x + weight_decay theta), with momentum or Adam's moments of x."""
    parts = iter(direction)
    for group in groups:
        for p in group["params"]:
            x = next(parts)
            if not p.requires_grad:
                continue
            if group["weight_decay"]:
                p.mul_(1 - float(group["lr"]) * group["weight_decay"])
            if adam:
                _adam(p, x, state[p], group)
                continue
            if group["momentum"]:
                own = state[p]
                x = own["momentum"] = x + group["momentum"] * own["momentum"] if "momentum" in own else x
            p.add_(x, alpha=-float(group["lr"]))


def _adam(p: Tensor, x: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    """Adam's update with x for the gradient."""
    beta1, beta2 = group["betas"]
    if "step" not in state:
        state.update(step=0, exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))
    state["step"] += 1
    state["exp_avg"].lerp_(x, 1 - beta1)
    state["exp_avg_sq"].mul_(beta2).addcmul_(x, x, value=1 - beta2)
    scale = math.sqrt(1 - beta2 ** state["step"])
    denominator = state["exp_avg_sq"].sqrt().div_(scale).add_(group["eps"])
    p.addcdiv_(state["exp_avg"], denominator, value=-float(group["lr"]) / (1 - beta1 ** state["step"]))
