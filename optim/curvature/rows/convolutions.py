"""Rows of the weight and the bias of a convolution from its node in the autograd graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from ..hooks import Call
from ..layers.matrix import ConvolutionUse

_MODULES: tuple[type[nn.Conv1d | nn.Conv2d | nn.Conv3d], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def convolution_rows(node: Node, slot: int, D: Sequence[Tensor]) -> Tensor | None:
    """(images, m, *shape of the operand): its gradient for each image alone; None for a convolution of an unusual kind.

    Args:
        node: of a convolution.
        slot: of the operand, 1 for the weight, 2 for the bias.
        D: sensitivities of the output for each of m directions.
    """
    if slot == 2:
        return torch.stack([one.flatten(2).sum(2) for one in D], 1)
    saved: Any = node
    x, weight = saved._saved_input.detach(), saved._saved_weight.detach()
    dims = weight.dim() - 2
    if not 1 <= dims <= len(_MODULES) or x.dim() != weight.dim():
        return None
    stride, padding, dilation = (tuple(getattr(saved, f"_saved_{name}")) for name in ("stride", "padding", "dilation"))
    groups, outer = saved._saved_groups, weight.shape[0]
    module = _MODULES[dims - 1](
        weight.shape[1] * groups,
        outer,
        tuple(weight.shape[2:]),
        stride,
        padding,
        dilation,
        groups,
        False,
        device="meta",
    )
    side = torch.stack(list(D), 1)
    images, m = side.shape[:2]
    if saved._saved_transposed:  # the weight of the convolution back: its input is D, its cotangent x
        side, x = x.unsqueeze(1).expand(-1, m, *x.shape[1:]).flatten(0, 1).unsqueeze(1), side.flatten(0, 1)
    call = Call(module, None, None, x, 0, torch.Size((side.shape[0], *side.shape[2:])), x.dtype, None)
    rows, _ = ConvolutionUse(call).rows(side, weight=True, bias=False)
    assert rows is not None
    return rows.reshape(images, m, *weight.shape)
