"""Which layer has which direct form."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from ..hooks import Call
from .embedding import EmbeddingBagUse, EmbeddingUse
from .matrix import ConvolutionUse, LinearUse, TransposedLinearUse
from .scaling import ScalingUse, scaled_input
from .transposed_convolution import TransposedConvolutionUse
from .use import Use


class FunctionalLinear(nn.Module):
    """Stands for the module of a call that is a product of the autograd graph, and no module's.

    Args:
        transposed: x W with W (q, o), in place of x W^T.
    """

    def __init__(self, transposed: bool = False) -> None:
        super().__init__()
        self.transposed = transposed


def row_dimensions(call: Call) -> tuple[int, bool]:
    """(leading dimensions of the output among which the samples are, whether they may be flattened into one).

    Channels are the second dimension of images and the like, so that samples are the first.
    """
    module, dimensions = call.module, len(call.shape)
    if isinstance(module, nn.Linear | FunctionalLinear | nn.Embedding):
        return dimensions - 1, True
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        return dimensions - len(module.normalized_shape), True
    if isinstance(module, nn.PReLU) and module.num_parameters == 1:
        return dimensions - 1, True
    return min(dimensions - 1, 1), False


def use_of(call: Call, dtype: torch.dtype) -> Use | None:
    """The call, samples first, as a `Use`; None where it is not linear in its parameters, or takes no samples."""
    module, x = call.module, call.input
    if isinstance(module, nn.Embedding):
        return None if module.max_norm is not None or module.scale_grad_by_freq or module.sparse else EmbeddingUse(call)
    if isinstance(module, nn.EmbeddingBag):
        plain = x.dim() == 2 and module.mode != "max" and module.max_norm is None
        return EmbeddingBagUse(call) if plain and not module.scale_grad_by_freq and not module.sparse else None
    if not x.is_floating_point():
        return None
    rounded = dataclasses.replace(call, input=x.to(dtype))  # it was, under autocast
    if isinstance(module, nn.Linear | FunctionalLinear):
        transposed = isinstance(module, FunctionalLinear) and module.transposed
        return TransposedLinearUse(rounded) if transposed else LinearUse(rounded)
    if isinstance(module, _ConvNd):
        kind = TransposedConvolutionUse if isinstance(module, _ConvTransposeNd) else ConvolutionUse
        return kind(rounded) if x.dim() == len(module.kernel_size) + 2 else None
    scaled = scaled_input(call, dtype)
    return None if scaled is None else ScalingUse(dataclasses.replace(call, input=scaled))
