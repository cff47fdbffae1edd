"""Which calls of layers hold the parameters of a model, found in the autograd graph of one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import Node

from ...circuits.errors import InputError
from .autograd_graph import calls_of, users
from .batch import Batch
from .hooks import Call
from .layers.registry import use_of
from .layers.use import Use
from .losses.loss_hessian import fixed_probe


@dataclass(frozen=True, eq=False)
class Assignment:
    """Parameters, grouped by the layers that use them.

    Attributes:
        layers: (position of the weight, of the bias, calls) of each layer with a direct form.
        fallbacks: positions of the other parameters.
        unbatched: numbers of the calls whose first dimension is not the batch, although it has its size.
    """

    layers: list[tuple[int | None, int | None, list[Use]]]
    fallbacks: list[int]
    unbatched: frozenset[int]


def assign(
    batch: Batch,
    parameters: Sequence[Tensor],
    trained: Sequence[int],
    dtype: torch.dtype,
    unbatched: frozenset[int] | None,
) -> Assignment:
    """Assign each trained parameter to the layer calls that use it, or to the fallback.

    Args:
        batch: the forward pass.
        parameters: all parameters.
        trained: positions of those that are not frozen.
        dtype: of the parameters.
        unbatched: as in `Assignment`, if known; None: found by one backward pass.

    Raises:
        InputError: a layer's input was changed in place after it ran.
    """
    outputs, recorder = batch.outputs, batch.recorder
    assert outputs.grad_fn is not None
    graph = users(outputs.grad_fn)
    uses = {call.node: use_of(call, outputs.shape[0], dtype) for call in recorder.calls}
    held = {id(parameters[i]) for i in trained}
    for use in uses.values():
        if use is not None and (id(use.call.weight) in held or id(use.call.bias) in held):
            _check_input(use.call, dtype)
    if unbatched is None:
        unbatched = _unbatched(batch, [uses[call.node] is not None for call in recorder.calls])
    for i in unbatched:
        uses[recorder.calls[i].node] = None
    fallbacks: list[int] = []
    calls: dict[Node, Call] = {call.node: call for call in recorder.calls}
    layers: dict[tuple[int, ...], tuple[list[int | None], list[Use]]] = {}
    for i in trained:
        p = parameters[i]
        used, found = calls_of(p, graph, calls)
        if not used:
            continue
        group = [uses[call.node] for call in found or []]
        roles = {p is call.weight for call in found or []}
        direct = [use for use in group if use is not None]
        if not group or len(direct) < len(group) or len(roles) > 1:
            fallbacks.append(i)
            continue
        pair, _ = layers.setdefault(tuple(id(use) for use in direct), ([None, None], direct))
        slot = 0 if roles == {True} else 1
        if pair[slot] is None:
            pair[slot] = i
        else:
            fallbacks.append(i)
    return Assignment([(pair[0], pair[1], group) for pair, group in layers.values()], fallbacks, unbatched)


def _check_input(call: Call, dtype: torch.dtype) -> None:
    """InputError if the input of a trained layer was overwritten."""
    if call.input._version != call.version and call.input.dtype == dtype:
        raise InputError(
            f"the input of a {type(call.module).__name__} was changed in place after the layer ran: make that "
            "operation out of place"
        )


def _unbatched(batch: Batch, candidates: list[bool]) -> frozenset[int]:
    """Calls whose rows are not samples (positions, say): rows after the first have an influence on the first sample's outputs."""
    outputs, calls = batch.outputs, batch.recorder.calls
    chosen = [i for i, candidate in enumerate(candidates) if candidate]
    if not chosen or outputs.shape[0] < 2:
        return frozenset()
    cotangent = torch.zeros_like(outputs)
    cotangent[0] = fixed_probe(outputs[0].numel()).to(outputs).reshape(outputs[0].shape)
    edges = [edge for i in chosen if (edge := calls[i].edge) is not None]
    found = torch.autograd.grad(outputs, edges, cotangent, retain_graph=True, allow_unused=True)
    pairs = zip(chosen, found, strict=True)
    return frozenset(i for i, part in pairs if part is not None and bool(part[1:].nan_to_num().any()))
