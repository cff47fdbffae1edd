"""The forward Laplacian: value, first derivatives and Laplacian of a function pass through it together.

For z = f(y) with y(x) in R^n, and d/dx_i y = y_i, sum_i w_i d2/dx_i2 y = y_L,

    z_i = f'(y) y_i,    z_L = f'(y) y_L + sum_i w_i f''(y)[y_i, y_i]:

a matrix acts on all d + 2 of them in one product, an activation on each entry. That is a d-th of the work of d second derivatives, and the
weight of a layer occurs once, so that a Jacobian in the parameters costs one product of positions for each layer.

`Taylor` stands in for the tensor x while a model runs; torch hands it the operations by `__torch_function__`. What has no rule here raises
`NoRuleError`, and the caller goes by torch.func.

Source: R. Li et al., arXiv 2307.08214 (the forward Laplacian, as in folx); F. Dangel et al., arXiv 2505.13644 (Taylor mode, collapsed).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import grad, vmap
from torch.utils._pytree import tree_map_only

from .written_out import layer_norm


class NoRuleError(Exception):
    """An operation that the forward Laplacian has no rule for."""


class Taylor:
    """A tensor with its derivatives in the d coordinates of x.

    Attributes:
        value: (1, ...).
        slopes: (d, ...) first derivatives.
        second: (1, ...) sum over i of weights_i times the second derivative; None is zero.
        weights: (d,); None: all 1.
        order: 1: `second` is not wanted, and stays None.
    """

    __class__ = property(lambda self: Tensor)
    """So that a model that asks whether it was given a tensor takes the way that it takes for one."""

    def __init__(
        self, value: Tensor, slopes: Tensor, second: Tensor | None, weights: Tensor | None, order: int
    ) -> None:
        self.value, self.slopes, self.second, self.weights, self.order = value, slopes, second, weights, order

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _apply(func.__name__.strip("_"), func, args, kwargs or {})

    def __getattr__(self, name: str) -> Any:
        if name in ("shape", "ndim", "dtype", "device", "dim", "size", "numel"):
            return getattr(self.value[0], name)
        if name.startswith("_") or not (name in _RULES or name in _ELEMENTWISE or name in _LINEAR):
            raise NoRuleError(name)
        return lambda *args, **kwargs: _apply(name, getattr(Tensor, name), (self, *args), kwargs)

    def __len__(self) -> int:
        return len(self.value[0])

    def __iter__(self) -> Iterator[Taylor]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Taylor:
        found: Taylor = self._mapped(vmap(lambda part: part[index]))
        return found

    def __neg__(self) -> Taylor:
        return _mul(self, -1.0)

    def __add__(self, other: Any) -> Taylor:
        return _add(self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Taylor:
        return _add(self, -other)

    def __rsub__(self, other: Any) -> Taylor:
        return _add(-self, other)

    def __mul__(self, other: Any) -> Taylor:
        return _mul(self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Taylor:
        return _div(self, other)

    def __rtruediv__(self, other: Any) -> Taylor:
        return _div(other, self)

    def __pow__(self, exponent: Any) -> Taylor:
        return _elementwise(torch.pow, (self, exponent), {})

    def __matmul__(self, other: Any) -> Taylor:
        return _matmul(self, other)

    def __rmatmul__(self, other: Any) -> Taylor:
        return _matmul(other, self)

    def _stacked(self, whole: bool = False) -> Tensor:
        """(d + 1, ...) or (d + 2, ...): value, slopes, and what is there of the second derivatives; with zeros for None if `whole`."""
        parts = [self.value, self.slopes]
        if self.second is not None:
            parts.append(self.second)
        elif whole and self.order > 1:
            parts.append(torch.zeros_like(self.value))
        return torch.cat(parts)

    def _split(self, stacked: Tensor) -> Taylor:
        d = len(self.slopes)
        parts = stacked.split([1, d, len(stacked) - d - 1])
        return self._with(parts[0], parts[1], parts[2] if len(stacked) > d + 1 else None)

    def _with(self, value: Tensor, slopes: Tensor, second: Tensor | None) -> Taylor:
        return Taylor(value, slopes, second, self.weights, self.order)

    def _expanded(self, other: torch.Size) -> Taylor:
        """Broadcast against a shape."""
        shape = torch.broadcast_shapes(self.shape, other)
        if shape == self.shape:
            return self
        found: Taylor = self._mapped(vmap(lambda part: part.expand(shape)))
        return found

    def _mapped(self, linear: Callable[[Tensor], Any]) -> Any:
        """A linear map of each part; of several results one each."""
        return tree_map_only(Tensor, self._split, linear(self._stacked()))

    def _contracted(self, products: Tensor) -> Tensor | None:
        """sum_i weights_i products_i, (1, ...)."""
        if self.order < 2:
            return None
        if self.weights is not None:
            products = products * self.weights.reshape(-1, *(1 for _ in products.shape[1:]))
        return products.sum(0, keepdim=True)


def _apply(name: str, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    if rule := _RULES.get(name):
        return rule(*args, **kwargs)
    if (
        not args
        or not isinstance(args[0], Taylor)
        or kwargs.get("inplace")
        or any(isinstance(a, Taylor) for a in args[1:])
    ):
        raise NoRuleError(name)
    if name in _ELEMENTWISE:
        return _elementwise(func, args, kwargs)
    if name in _LINEAR:
        return args[0]._mapped(vmap(lambda part: func(part, *args[1:], **kwargs)))
    raise NoRuleError(name)


def _elementwise(func: Callable[..., Tensor], args: Sequence[Any], kwargs: dict[str, Any]) -> Taylor:
    """An activation f: f(y), f'(y) y_i, f'(y) y_L + f''(y) sum_i w_i y_i^2."""
    y = args[0]
    if len(args) > 1 and any(isinstance(a, Taylor) for a in args[1:]):
        raise NoRuleError(func.__name__)
    value, slope, curvature = _DERIVATIVES.get(func.__name__, _by_autograd)(
        lambda v: func(v, *args[1:], **kwargs), y.value
    )
    squares = y._contracted(y.slopes.square())
    second = None if squares is None else curvature() * squares
    if second is not None and y.second is not None:
        second = slope * y.second + second
    found: Taylor = y._with(value, slope * y.slopes, second)
    return found


def _by_autograd(func: Callable[[Tensor], Tensor], y: Tensor) -> tuple[Tensor, Tensor, Callable[[], Tensor]]:
    slope = grad(lambda v: func(v).sum())
    return func(y), slope(y), lambda: grad(lambda v: slope(v).sum())(y)


def _tanh(func: Callable[[Tensor], Tensor], y: Tensor) -> tuple[Tensor, Tensor, Callable[[], Tensor]]:
    value = func(y)
    slope = 1 - value * value
    return value, slope, lambda: -2 * value * slope


def _sigmoid(func: Callable[[Tensor], Tensor], y: Tensor) -> tuple[Tensor, Tensor, Callable[[], Tensor]]:
    value = func(y)
    slope = value * (1 - value)
    return value, slope, lambda: slope * (1 - 2 * value)


def _sin(func: Callable[[Tensor], Tensor], y: Tensor) -> tuple[Tensor, Tensor, Callable[[], Tensor]]:
    value = func(y)
    return value, torch.cos(y), lambda: -value


def _cos(func: Callable[[Tensor], Tensor], y: Tensor) -> tuple[Tensor, Tensor, Callable[[], Tensor]]:
    value = func(y)
    return value, -torch.sin(y), lambda: -value


def _exp(func: Callable[[Tensor], Tensor], y: Tensor) -> tuple[Tensor, Tensor, Callable[[], Tensor]]:
    value = func(y)
    return value, value, lambda: value


def _linear(input: Any, weight: Any, bias: Any = None) -> Taylor:
    if not isinstance(input, Taylor) or isinstance(weight, Taylor) or isinstance(bias, Taylor):
        raise NoRuleError("linear")
    found: Taylor = input._mapped(lambda parts: F.linear(parts, weight))
    return found if bias is None else found._with(found.value + bias, found.slopes, found.second)


def _add(a: Any, b: Any, alpha: float = 1) -> Taylor:
    if alpha != 1:
        b = b * alpha
    if not isinstance(a, Taylor):
        a, b = b, a
    if not isinstance(b, Taylor):
        if not isinstance(b, Tensor):
            return a._with(a.value + b, a.slopes, a.second)
        if b.dim() >= a.value.dim():
            raise NoRuleError("add")
        a = a._expanded(b.shape)
        return a._with(a.value + b, a.slopes, a.second)
    a, b = a._expanded(b.value.shape[1:]), b._expanded(a.value.shape[1:])
    second = a.second if b.second is None else b.second if a.second is None else a.second + b.second
    return a._with(a.value + b.value, a.slopes + b.slopes, second)


def _sub(a: Any, b: Any, alpha: float = 1) -> Taylor:
    return _add(a, -b, alpha=alpha)


def _mul(a: Any, b: Any) -> Taylor:
    """Product rule; a constant multiplies all parts."""
    if not isinstance(a, Taylor):
        a, b = b, a
    if not isinstance(b, Taylor):
        if isinstance(b, Tensor) and b.dim() >= a.value.dim():
            raise NoRuleError("mul")
        return a._with(a.value * b, a.slopes * b, None if a.second is None else a.second * b)
    a, b = a._expanded(b.value.shape[1:]), b._expanded(a.value.shape[1:])
    second = a._contracted(a.slopes * b.slopes)
    if second is not None:
        second = 2 * second
        if a.second is not None:
            second = second + a.second * b.value
        if b.second is not None:
            second = second + a.value * b.second
    return a._with(a.value * b.value, a.slopes * b.value + a.value * b.slopes, second)


def _div(a: Any, b: Any) -> Taylor:
    if not isinstance(b, Taylor):
        return _mul(a, 1 / b)
    return _mul(a, _elementwise(torch.reciprocal, (b,), {}))


def _matmul(a: Any, b: Any) -> Taylor:
    if isinstance(a, Taylor) and isinstance(b, Taylor):
        raise NoRuleError("matmul")
    found: Taylor = (
        a._mapped(vmap(lambda part: part @ b)) if isinstance(a, Taylor) else b._mapped(vmap(lambda part: a @ part))
    )
    return found


def _joined(join: Callable[..., Tensor]) -> Callable[..., Taylor]:
    def rule(tensors: Sequence[Any], dim: int = 0) -> Taylor:
        like = next(one for one in tensors if isinstance(one, Taylor))
        parts = [
            one._stacked(whole=True)
            if isinstance(one, Taylor)
            else torch.cat([one.unsqueeze(0), one.new_zeros(len(like.slopes) + like.order - 1, *one.shape)])
            for one in tensors
        ]
        return like._split(vmap(lambda *one: join(one, dim=dim))(*parts))

    return rule


_DERIVATIVES = {"tanh": _tanh, "sigmoid": _sigmoid, "sin": _sin, "cos": _cos, "exp": _exp}
# fmt: off
_ELEMENTWISE = frozenset(_DERIVATIVES) | {
    "atan", "cosh", "elu", "erf", "expm1", "gelu", "leaky_relu", "log", "log1p", "mish", "pow", "reciprocal",
    "relu", "rsqrt", "silu", "sinh", "softplus", "sqrt", "square",
}
_LINEAR = {
    "chunk", "flatten", "mean", "movedim", "narrow", "permute", "reshape", "split", "squeeze", "sum", "transpose",
    "unbind", "unsqueeze", "view",
}
# fmt: on
_RULES: dict[str, Callable[..., Any]] = {
    "linear": _linear,
    "layer_norm": layer_norm,
    "add": _add,
    "radd": _add,
    "sub": _sub,
    "rsub": lambda a, b: _sub(b, a),
    "mul": _mul,
    "rmul": _mul,
    "div": _div,
    "true_divide": _div,
    "truediv": _div,
    "rtruediv": lambda a, b: _div(b, a),
    "neg": operator.neg,
    "matmul": _matmul,
    "rmatmul": lambda a, b: _matmul(b, a),
    "cat": _joined(torch.cat),
    "concat": _joined(torch.cat),
    "stack": _joined(torch.stack),
}
