"""One evaluation of the closure: loss, outputs, and the recorded calls."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, overload

import torch
from torch import Tensor

from ...circuits.errors import InputError
from .gradient_scaling import unscaled_loss
from .hooks import ForwardRecorder
from .run_state import RunState

Closure = Callable[[], tuple[Tensor, Tensor]]
"""Returns (loss, outputs) of a batch, without calling backward."""


@dataclass(eq=False)
class Batch:
    """Loss and outputs of a batch, with their autograd graphs, and the calls that made them.

    Attributes:
        again: runs the closure once more; if the batch is repeatable, with the same random draws, and buffers unmoved afterwards.
    """

    loss: Tensor
    outputs: Tensor
    recorder: ForwardRecorder = field(repr=False)
    again: Closure = field(repr=False)

    @property
    def finite(self) -> bool:
        """Whether the loss and all outputs are finite."""
        return all_finite(self.loss.detach(), self.outputs.detach())


def all_finite(*values: Tensor) -> bool:
    """Whether all entries are finite. A finite sum shows it in one pass; where it overflows, each entry is tested."""
    return all(math.isfinite(float(part.sum())) or bool(torch.isfinite(part).all()) for part in values)


@overload
def evaluate(closure: Closure, optional: Literal[False] = False, repeatable: bool = False) -> Batch: ...
@overload
def evaluate(closure: Closure, optional: bool, repeatable: bool = False) -> Batch | None: ...
def evaluate(closure: Closure, optional: bool = False, repeatable: bool = False) -> Batch | None:
    """Run the closure with gradients enabled, record its layers, and check what it returns; None if that is None and `optional`.

    Args:
        closure: of one batch.
        optional: whether it may return None.
        repeatable: whether `Batch.again` will be called.

    Raises:
        InputError: the closure does not return a scalar loss and outputs of shape (b, ...), both with an autograd graph, or scales the
            loss by a GradScaler; outputs are masked with -inf, or have a hook.
    """
    state = RunState() if repeatable else None
    recorder = ForwardRecorder(state)
    with torch.enable_grad(), recorder, unscaled_loss():
        result = closure()
    if optional and result is None:
        return None
    if not (isinstance(result, tuple) and len(result) == 2 and all(isinstance(part, Tensor) for part in result)):
        raise InputError(
            f"the closure returned {_kinds(result)}: return (loss, outputs), both tensors, outputs those that the loss is computed from "
            "(such as a model's .logits), and do not call backward"
        )
    loss, outputs = result
    if loss.numel() != 1:
        raise InputError(f"the loss has shape {tuple(loss.shape)}: reduce it to a scalar by mean or sum")
    if outputs.dim() < 1 or outputs.numel() == 0 or not outputs.is_floating_point():
        raise InputError(
            f"outputs are {tuple(outputs.shape)} {outputs.dtype}: return a floating-point tensor of shape (batch, ...)"
        )
    if outputs.grad_fn is None or loss.grad_fn is None:
        raise InputError(
            "loss or outputs carry no autograd graph: are all parameters frozen, or was the model run under no_grad?"
        )
    if outputs._backward_hooks:
        raise InputError(
            "the outputs have a hook (register_hook), which would run in the loss's backward pass and again in the model's: put it on a "
            "tensor before them, or return a tensor that is made of them"
        )
    _check_masks(loss.detach(), outputs.detach())
    return Batch(loss, outputs, recorder, closure if state is None else state.repeating(closure))


def _kinds(result: Any) -> str:
    """The type of what a closure returned, of a tuple those of its parts."""
    if isinstance(result, tuple):
        return f"({', '.join(type(part).__name__ for part in result)})"
    return type(result).__name__


def _check_masks(loss: Tensor, outputs: Tensor) -> None:
    """InputError where some outputs are -inf and the loss is finite all the same, as a mask makes them and divergence does not."""
    if math.isfinite(float(loss)) and not all_finite(outputs):
        masked = torch.isneginf(outputs)
        if bool((masked | torch.isfinite(outputs)).all()):
            raise InputError(
                f"{int(masked.sum())} of {outputs.numel()} outputs are -inf, but the loss is finite: mask with a finite number, such as "
                "-1e4, since a curvature of infinite outputs is not finite and every step would be skipped"
            )
