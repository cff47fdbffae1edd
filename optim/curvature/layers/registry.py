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


def use_of(call: Call, batch: int, dtype: torch.dtype) -> Use | None:
    """The call as a `Use`; None where its output's first dimension is not the batch, or where it is not linear in its parameters."""
    module, x = call.module, call.input
    if len(call.shape) < 2 or call.shape[0] != batch or x.shape[:1] != call.shape[:1]:
        return None
    if isinstance(module, nn.Embedding):
        return None if module.max_norm is not None or module.scale_grad_by_freq or module.sparse else EmbeddingUse(call)
    if not x.is_floating_point():
        return None
    if isinstance(module, nn.Linear):
        return LinearUse(dataclasses.replace(call, input=x.to(dtype)))  # under autocast it was rounded
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        whole = x.dim() == len(module.kernel_size) + 2
        return ConvolutionUse(dataclasses.replace(call, input=x.to(dtype))) if whole else None
    if isinstance(module, nn.LayerNorm | nn.RMSNorm) and x.dim() <= len(module.normalized_shape):
        return None
    scaled = scaled_input(call, dtype)
    return None if scaled is None else ScalingUse(dataclasses.replace(call, input=scaled))
