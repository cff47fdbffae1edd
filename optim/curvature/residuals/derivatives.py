"""Derivatives of a network in its inputs, for residuals of differential equations.

All are forward mode, so that one more derivative in the parameters is one backward pass. u(x) is the model at one sample x, (d,), with
values of any shape.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jvp, vmap

Function = Callable[[Tensor], Tensor]


def gradient(model: Function, x: Tensor) -> Tensor:
    """du/dx, shaped as u(x) with a last dimension d."""
    return value_and_gradient(model, x)[1]


def value_and_gradient(model: Function, x: Tensor) -> tuple[Tensor, Tensor]:
    """(u, du/dx), du/dx shaped as u(x) with a last dimension d."""
    value, slopes = vmap(lambda v: jvp(model, (x,), (v,)), out_dims=(None, -1))(_directions(x))
    return value, slopes


def second_derivative(model: Function, x: Tensor, direction: Tensor) -> Tensor:
    """d2/dt2 u(x + t direction) at t = 0, shaped as u(x)."""
    found: Tensor = jvp(lambda y: jvp(model, (y,), (direction,))[1], (x,), (direction,))[1]
    return found


def laplacian(model: Function, x: Tensor) -> Tensor:
    """Sum of the second derivatives of u in all coordinates of x, shaped as u(x)."""
    found: Tensor = vmap(lambda v: second_derivative(model, x, v))(_directions(x)).sum(0)
    return found


def _directions(x: Tensor) -> Tensor:
    return torch.eye(x.numel(), dtype=x.dtype, device=x.device)
