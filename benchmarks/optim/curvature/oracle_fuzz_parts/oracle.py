"""The dense step (J^T H J + Lambda)^-1 g in float64. Nothing here is shared with the package.

J has a backward pass for each number in the outputs, H is the dense Hessian of the loss in all outputs of the batch, and g is the gradient
of the loss by one backward pass. Batch normalisation in training mode: J holds the batch's mean and variance constant, g does not.
"""

from __future__ import annotations

import random
import types
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .cases import Case

F64 = torch.float64


@dataclass
class Truth:
    """What a step should be.

    Attributes:
        loss: before the step.
        x: direction, (N,).
        C, g: curvature and gradient of all micro-batches.
        tolerance: of x in the norm, from rounding and damping.
        convex, coupled: whether all Hessians of the loss are positive semi-definite; whether one is not block diagonal.
        finite: whether everything is.
    """

    loss: float
    x: Tensor
    C: Tensor
    g: Tensor
    tolerance: float
    convex: bool
    coupled: bool
    finite: bool


class NotDifferentiable(Exception):
    """Torch cannot differentiate the model once, as after a wrong change in place: no case."""


def random_state() -> tuple[Any, ...]:
    """Of all global generators."""
    return torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002


def restore(state: tuple[Any, ...]) -> None:
    """Put the generators back."""
    torch.set_rng_state(state[0])
    random.setstate(state[1])
    np.random.set_state(state[2])  # noqa: NPY002


def same_random_state(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    """Whether no generator moved."""
    return bool(torch.equal(a[0], b[0])) and a[1] == b[1] and bool((a[2][1] == b[2][1]).all()) and a[2][2] == b[2][2]


def copy_state(source: nn.Module, target: nn.Module) -> None:
    """Parameters, buffers and extra state of a model into a replica built from the same seed."""
    with torch.no_grad():
        tensors = [[*one.parameters(), *one.buffers()] for one in (source, target)]
        for a, b in zip(*tensors, strict=True):
            b.copy_(a)
    for one, two in zip(source.modules(), target.modules(), strict=True):
        if type(one).get_extra_state is not nn.Module.get_extra_state:
            two.set_extra_state(one.get_extra_state())


def hold_statistics(net: nn.Module) -> bool:
    """Make batch normalisations in training mode take the batch's statistics as constants. Whether there is one."""
    found = False
    for module in net.modules():
        if isinstance(module, _BatchNorm) and (module.training or module.running_mean is None):
            module.forward = types.MethodType(_with_constant_statistics, module)  # type: ignore[method-assign]
            found = True
    return found


def _with_constant_statistics(self: Any, h: Tensor) -> Tensor:
    axes = [0, *range(2, h.dim())]
    shape = (1, -1, *[1] * (h.dim() - 2))
    mean = h.detach().mean(axes)
    variance = h.detach().var(axes, unbiased=False)
    out = (h - mean.view(shape)) / (variance.view(shape) + self.eps).sqrt()
    return out * self.weight.view(shape) + self.bias.view(shape) if self.affine else out


def true_step(case: Case, replicas: list[Case], dampings: list[float]) -> Truth:
    """The step of all micro-batches.

    Args:
        case: at the parameters, buffers and random state before the step.
        replicas: two more of it, built from its seed.
        dampings: of each parameter.
    """
    state = random_state()
    once, fixed = replicas
    for replica in replicas:
        copy_state(case.net, replica.net)
    held = hold_statistics(fixed.net)
    n = sum(p.numel() for p in case.parameters)
    C, g, loss = torch.zeros(n, n, dtype=F64), torch.zeros(n, dtype=F64), 0.0
    convex, coupled, finite, noise, spread = True, False, True, 0.0, 0.0
    single = case.parameters[0].dtype == torch.float32
    eps = torch.finfo(case.parameters[0].dtype).eps
    for i in range(len(case.losses)):
        before = random_state()
        value, z = once.closure(i)()
        try:
            gradient = _flat(torch.autograd.grad(value, _live(once), retain_graph=True, allow_unused=True), once)
        except RuntimeError as error:
            raise NotDifferentiable(str(error)) from error
        if held:
            after = random_state()
            restore(before)
            z_fixed = fixed.network.batches[i](fixed.net)
            restore(after)
            if float((z_fixed - z).abs().max()) > 1e3 * eps * float(1 + z.abs().max()):
                raise NotDifferentiable("replica")
            z = z_fixed
        J = torch.stack(
            [
                _flat(
                    torch.autograd.grad(one, _live(fixed if held else once), retain_graph=True, allow_unused=True), once
                )
                for one in z.reshape(-1)
            ]
        )
        flat = z.detach().double().reshape(-1)
        finite = (
            finite
            and bool(torch.isfinite(flat).all())
            and bool(torch.isfinite(value))
            and bool(torch.isfinite(J).all())
        )
        H = torch.zeros(len(flat), len(flat), dtype=F64)
        if finite and not case.losses[i].flat:
            H = torch.autograd.functional.hessian(lambda v, i=i, z=z: case.losses[i].run(v.view_as(z)), flat)
            H = (H + H.T) / 2
            w = torch.linalg.eigvalsh(H)
            convex = convex and float(w[0]) >= -(1e-2 if single else 1e-6) * float(w[-1].abs()) - 1e-14
            b = len(z)
            blocks = H.view(b, len(flat) // b, b, -1).abs().amax((1, 3))
            coupled = coupled or float((blocks - blocks.diagonal().diag()).abs().max()) > 1e-6 * float(blocks.max())
        share = 1 / len(case.losses)
        C += share * J.T @ H @ J
        g += share * gradient
        loss += share * float(value)
        slope = torch.autograd.functional.vjp(case.losses[i].run, z.detach().double())[1] if finite else flat
        spread += share * eps * float(J.norm()) ** 2 * float(H.abs().max())
        noise += share * eps * max(float(J.norm()), 1.0) * (1 + float(slope.norm()) + float(H.abs().max()))
    restore(state)
    damped = (
        C
        + torch.tensor(
            [d for d, p in zip(dampings, case.parameters, strict=True) for _ in range(p.numel())], dtype=F64
        ).diag()
    )
    x = torch.linalg.solve(damped, g) if finite else g
    relative, allowed = (2e-3, 30) if single else (1e-6, 1000)
    rounding = allowed * (noise + spread * float(x.norm())) / min(dampings)
    tolerance = relative * float(x.norm()) + rounding
    return Truth(loss, x, C, g, tolerance, convex, coupled, finite)


def _live(case: Case) -> list[Tensor]:
    return [p for p in case.parameters if p.requires_grad]


def _flat(parts: tuple[Tensor | None, ...], case: Case) -> Tensor:
    found = iter(parts)
    pieces = []
    for p in case.parameters:
        part = next(found) if p.requires_grad else None
        pieces.append(
            torch.zeros(p.numel(), dtype=F64) if part is None else part.detach().to_dense().double().reshape(-1)
        )
    return torch.cat(pieces)
