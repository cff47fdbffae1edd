"""One case: a network, a loss for each micro-batch, an optimizer, and how many steps it takes."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

import thermograd as tg
from thermograd.optim import NGDWoodbury

from .draws import Draw
from .losses import Loss, make_loss
from .networks import Network, make_network

CG_TOLERANCE = 1e-4
"""Of NGD(method="cg")."""


@dataclass
class Case:
    """A case, built anew from its seed for each replica.

    Attributes:
        net, network, losses: the model, its batches, and the loss of each.
        groups: positions of the parameters in each group, and its damping.
        make: the optimizer of parameter groups.
        solver: its name.
        steps: number of steps.
        resumed: whether each step is one of a fresh optimizer with the state of the last.
    """

    net: nn.Module
    network: Network
    losses: list[Loss]
    groups: list[tuple[list[int], float]]
    make: Callable[[list[dict[str, Any]]], Any]
    solver: str
    steps: int
    resumed: bool
    words: list[str]

    @property
    def parameters(self) -> list[Tensor]:
        """In the order of the groups."""
        own = list(self.net.parameters())
        return [own[i] for members, _ in self.groups for i in members]

    @property
    def dampings(self) -> list[float]:
        """Of each parameter."""
        return [damping for members, damping in self.groups for _ in members]

    def closure(self, batch: int) -> Callable[[], tuple[Tensor, Tensor]]:
        """The closure of a micro-batch."""

        def run() -> tuple[Tensor, Tensor]:
            z = self.network.batches[batch](self.net)
            return self.losses[batch].run(z), z

        return run


def seed_all(seed: int) -> None:
    """The global generators, from which models draw."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002


def make_case(seed: int, place: int) -> Case | None:
    """The case of a seed; None if its network does not run, as batch normalisation of one sample."""
    draw = Draw(f"{seed}/{place}")
    seed_all(1000003 * seed + place)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            network = make_network(draw)
        except ValueError:
            return None
        net = network.net
        dtype = torch.float64 if draw.chance(0.85) else torch.float32
        net.to(dtype)
        net.train(draw.chance(0.8))
        for module in net.modules():
            if isinstance(module, _BatchNorm) and getattr(module, "kept_in_evaluation", False):
                module.eval()
        if not list(net.parameters()):
            return None
        found: dict[tuple[int, ...], Loss] = {}
        losses = []
        try:
            for run in network.batches:
                z = run(net).detach()
                if tuple(z.shape) not in found:
                    found[tuple(z.shape)] = make_loss(draw, z)
                losses.append(found[tuple(z.shape)])
        except (ValueError, RuntimeError):
            return None
    if draw.chance(0.1):
        for p in list(net.parameters())[: draw.count(1, 4)]:
            p.requires_grad_(False)
    groups = _groups(draw, len(list(net.parameters())), 1e-2 if dtype == torch.float32 else 1e-3)
    solver, make = _optimizer(draw, len(groups) == 1)
    for module in net.modules():  # its table changes in each forward pass, and Levenberg and Marquardt take one more
        if isinstance(module, nn.Embedding) and "Levenberg" in solver:
            module.max_norm = None
    words = [*network.words, str(dtype), f"training {net.training}", *(loss.name for loss in found.values())]
    steps = draw.count(1, 3)
    resumed = draw.chance(0.2)
    words.append(f"dampings {[damping for _, damping in groups]}")
    return Case(net, network, losses, groups, make, solver, steps, resumed, words)


def _groups(draw: Draw, count: int, lowest: float) -> list[tuple[list[int], float]]:
    damping = draw.pick([d for d in (1e-3, 1e-2, 0.1, 1.0) if d >= lowest])
    if count > 1 and draw.chance(0.2):
        cut = draw.count(1, count - 1)
        other = draw.pick([d for d in (1e-3, 1e-2, 0.1, 1.0) if d >= lowest])
        return [(list(range(cut, count)), damping), (list(range(cut)), other)]
    first = (
        draw.count(0, count - 1) if draw.chance(0.1) else 0
    )  # (the others are trained by nobody, and have gradients)
    return [(list(range(first, count)), damping)]


def _optimizer(draw: Draw, one_damping: bool) -> tuple[str, Callable[[list[dict[str, Any]]], Any]]:
    lr = 0.3
    adapted = one_damping and draw.chance(0.15)

    def start(groups: list[dict[str, Any]]) -> tuple[Any, Any]:
        if not adapted:
            return groups, groups[0]["damping"]
        return [{"params": g["params"]} for g in groups], tg.LevenbergMarquardt(start=groups[0]["damping"])

    kinds: dict[str, Callable[[Any, Any], Any]] = {
        "NGD": lambda p, d: tg.NGD(p, lr=lr, damping=d),
        "NGD gram": lambda p, d: tg.NGD(p, lr=lr, damping=d, method="gram"),
        "NGD cg": lambda p, d: tg.NGD(p, lr=lr, damping=d, method="cg"),
        "NGDWoodbury": lambda p, d: NGDWoodbury(p, lr=lr, damping=d),
        "NGDCG": lambda p, d: tg.NGDCG(p, lr=lr, damping=d, tolerance=1e-12, max_iter=3000),
        "TNGD dual": lambda p, d: tg.TNGD(p, lr=lr, damping=d, duration=float("inf"), device=tg.IdealDevice()),
        "TNGD primal": lambda p, d: tg.TNGD(
            p, lr=lr, damping=d, duration=float("inf"), device=tg.IdealDevice(), system="primal"
        ),
    }
    name = draw.pick(
        ["NGD"] * 3
        + [
            "NGD gram",
            "NGD cg",
            "NGDWoodbury",
            "NGDWoodbury",
            "NGDCG",
            "NGDCG",
            "TNGD dual",
            "TNGD dual",
            "TNGD primal",
        ]
    )
    return name + (" Levenberg-Marquardt" if adapted else ""), lambda groups: kinds[name](*start(groups))
