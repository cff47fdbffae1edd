"""Operations written out, for derivatives of high order.

torch 2.13 takes mean and variance for constants in the second derivative of `layer_norm` by forward mode, and in the third by reverse mode,
both without an error, so that the gradient of a loss with second derivatives of the network inside is wrong. It cannot differentiate
`prelu` of single samples under vmap. Written out both are right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode


class WrittenOut(TorchFunctionMode):
    """Context manager in which `layer_norm` and `prelu` consist of operations whose derivatives of any order are right."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.layer_norm or func is torch.layer_norm:
            func = layer_norm
        elif func is F.prelu or func is torch.prelu:
            func = prelu
        return func(*args, **(kwargs or {}))


def layer_norm(
    input: Any,
    normalized_shape: Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Any:
    """As `torch.nn.functional.layer_norm`, also of a `Taylor`."""
    over = tuple(range(-len(normalized_shape), 0))
    centred = input - input.mean(over, keepdim=True)
    found = centred * torch.rsqrt((centred * centred).mean(over, keepdim=True) + eps)
    if weight is not None:
        found = found * weight
    return found if bias is None else found + bias


def prelu(input: Any, weight: Any) -> Any:
    """As `torch.nn.functional.prelu`: the channels are the second dimension, or the only one."""
    if weight.numel() > 1 and input.dim() > 1:
        weight = weight.reshape(-1, *(1 for _ in input.shape[2:]))
    return torch.where(input >= 0, input, weight * input)
