"""Which layer has which direct form."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from ..hooks import Call
from .embedding import EmbeddingUse
from .matrix import ConvolutionUse, LinearUse
from .scaling import ScalingUse, scaled_input
from .use import Use


class FunctionalLinear(nn.Module):
    """Stands for the module of a call that is a product of the autograd graph, x W^T, and no module's."""


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
    if not x.is_floating_point():
        return None
    if isinstance(module, nn.Linear | FunctionalLinear):
        return LinearUse(dataclasses.replace(call, input=x.to(dtype)))  # under autocast it was rounded
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        whole = x.dim() == len(module.kernel_size) + 2
        return ConvolutionUse(dataclasses.replace(call, input=x.to(dtype))) if whole else None
    scaled = scaled_input(call, dtype)
    return None if scaled is None else ScalingUse(dataclasses.replace(call, input=scaled))
