"""Derivatives of a network in its inputs, for residuals of differential equations.

u(x) is the model at x, (d,), with values of any shape; at a batch (..., d) of samples that the model treats one by one, all derivatives
have the batch's dimensions. They go by the forward Laplacian where the model consists of operations that it has rules for (linear layers,
activations, sums, products, concatenations), and by torch.func, forward over reverse mode, elsewhere; the numbers are the same to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.func import jvp, vjp, vmap

from ....circuits.errors import InputError
from .forward_laplacian import NoRuleError, Taylor
from .written_out import WrittenOut

_REFUSALS = (
    NoRuleError,
    AssertionError,
    AttributeError,
    IndexError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a model may raise where it is given no tensor. An error of the model's own comes again from torch.func."""

Function: TypeAlias = Callable[[Tensor], Tensor]


class Derivatives(NamedTuple):
    """Value and derivatives of u at x.

    Attributes:
        value: u.
        gradient: du/dx, shaped as u with a last dimension d.
        laplacian: sum_i w_i d2u/dx_i2, shaped as u.
    """

    value: Tensor
    gradient: Tensor
    laplacian: Tensor


def gradient(model: Function, x: Tensor) -> Tensor:
    """du/dx, shaped as u with a last dimension d."""
    return value_and_gradient(model, x)[1]


def value_and_gradient(model: Function, x: Tensor) -> tuple[Tensor, Tensor]:
    """(u, du/dx), du/dx shaped as u with a last dimension d."""
    value, slopes, _ = _derivatives(model, x, _coordinates(x), None, order=1)
    return value, slopes.movedim(0, -1)


def second_derivative(model: Function, x: Tensor, direction: Tensor | Sequence[float]) -> Tensor:
    """d2/dt2 u(x + t direction) at t = 0, shaped as u.

    Args:
        model: u.
        x: (..., d).
        direction: (d,), such as (1, 0) for the second derivative in the first of two coordinates.
    """
    coordinates = _coordinates(x)
    if not isinstance(direction, Tensor):
        if not isinstance(direction, Sequence) or isinstance(direction, str):
            raise InputError(
                f"direction is {direction!r}: give d numbers, such as (1, 0) for the first of two coordinates"
            )
        direction = coordinates.new_tensor(direction)
    if direction.shape != x.shape[-1:]:
        raise InputError(
            f"direction is of shape {tuple(direction.shape)}: give ({x.shape[-1]},), one number for each coordinate of x"
        )
    return _derivatives(model, x, direction.to(x.dtype).unsqueeze(0), None, order=2)[2]


def laplacian(model: Function, x: Tensor, weights: Tensor | Sequence[float] | None = None) -> Tensor:
    """sum_i w_i d2u/dx_i2, shaped as u.

    Args:
        model: u.
        x: (..., d).
        weights: w, (d,), such as (1, -c^2, -c^2) for a wave in coordinates (t, x, y); None: all 1.
    """
    return _derivatives(model, x, _coordinates(x), weights, order=2)[2]


def value_gradient_laplacian(
    model: Function, x: Tensor, weights: Tensor | Sequence[float] | None = None
) -> Derivatives:
    """u, du/dx and sum_i w_i d2u/dx_i2 in one pass.

    Args:
        model, x, weights: as `laplacian` takes them.
    """
    value, slopes, second = _derivatives(model, x, _coordinates(x), weights, order=2)
    return Derivatives(value, slopes.movedim(0, -1), second)


def _coordinates(x: Tensor) -> Tensor:
    """Unit directions, (d, d)."""
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise InputError(f"x is of {kind}: give a floating-point tensor, samples of shape (..., d)")
    if x.dim() == 0:
        raise InputError("x is a scalar: give a sample of shape (d,), or samples of shape (..., d)")
    return torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)


def _derivatives(
    model: Function, x: Tensor, directions: Tensor, weights: Tensor | Sequence[float] | None, order: int
) -> tuple[Tensor, Tensor, Tensor]:
    """u, its derivatives along the directions (r, d), (r, ...), and the weighted sum of the second ones."""
    if weights is not None:
        weights = torch.as_tensor(weights, dtype=x.dtype, device=x.device)
        if weights.shape != directions.shape[:1]:
            raise InputError(
                f"weights are of shape {tuple(weights.shape)}: give {len(directions)}, one for each coordinate"
            )
    along = directions.reshape(len(directions), *(1 for _ in x.shape[1:]), -1).expand(-1, *x.shape)
    try:
        u = model(Taylor(x.unsqueeze(0), along, None, weights, order))  # type: ignore[arg-type]
    except _REFUSALS:
        u = None
    if isinstance(u, Taylor):
        return u.value[0], u.slopes, torch.zeros_like(u.value[0]) if u.second is None else u.second[0]
    return _forward_over_reverse(model, x, along, weights, order)


def _forward_over_reverse(
    model: Function, x: Tensor, along: Tensor, weights: Tensor | None, order: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The same by torch.func."""
    batch = x.dim() - 1

    def jacobian(y: Tensor) -> tuple[Tensor, Tensor]:
        with WrittenOut():
            u, pull = vjp(model, y)
        inner = u.shape[batch:]
        basis = torch.eye(inner.numel(), dtype=u.dtype, device=u.device)
        cotangents = basis.reshape(-1, *(1 for _ in range(batch)), *inner).expand(-1, *u.shape)
        return vmap(lambda c: pull(c)[0])(cotangents).movedim(0, -2).reshape(*u.shape, x.shape[-1]), u

    def slope(y: Tensor, v: Tensor) -> Tensor:
        J = jacobian(y)[0]
        return (J * v.reshape(*v.shape[:batch], *(1 for _ in J.shape[batch:-1]), -1)).sum(-1)

    _, value = jacobian(x)
    slopes = vmap(lambda v: slope(x, v))(along)
    if order == 1:
        return value, slopes, value
    second = vmap(lambda v: jvp(lambda y: slope(y, v), (x,), (v,))[1])(along)
    return value, slopes, second.sum(0) if weights is None else torch.tensordot(weights, second, 1)
