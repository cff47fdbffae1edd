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


@dataclass(frozen=True)
class Structure:
    """What is known of a model whose calls have certain shapes.

    Attributes:
        unbatched: numbers of the calls whose rows are not the samples, although the first dimension has the batch's size.
        through_nodes: whether rows of other parameters may come from the nodes of the graph that use them (`rows.node_rows`).
    """

    unbatched: frozenset[int]
    through_nodes: bool = True


@dataclass(frozen=True, eq=False)
class Assignment:
    """Parameters, grouped by the layers that use them.

    Attributes:
        layers: (position of the weight, of the bias, calls) of each layer with a direct form.
        fallbacks: positions of the other parameters.
        structure: what it rests on.
    """

    layers: list[tuple[int | None, int | None, list[Use]]]
    fallbacks: list[int]
    structure: Structure


def assign(
    batch: Batch,
    parameters: Sequence[Tensor],
    trained: Sequence[int],
    dtype: torch.dtype,
    structure: Structure | None,
) -> Assignment:
    """Assign each trained parameter to the layer calls that use it, or to the fallback.

    Args:
        batch: the forward pass.
        parameters: all parameters.
        trained: positions of those that are not frozen.
        dtype: of the parameters.
        structure: of the model, if known; None: found by two backward passes.

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
    if structure is None:
        structure = Structure(_unbatched(batch, [uses[call.node] is not None for call in recorder.calls]))
    for i in structure.unbatched:
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
    return Assignment([(pair[0], pair[1], group) for pair, group in layers.values()], fallbacks, structure)


def _check_input(call: Call, dtype: torch.dtype) -> None:
    """InputError if the input of a trained layer was overwritten."""
    if call.input._version != call.version and call.input.dtype == dtype:
        raise InputError(
            f"the input of a {type(call.module).__name__} was changed in place after the layer ran: make that "
            "operation out of place"
        )


def _unbatched(batch: Batch, candidates: list[bool]) -> frozenset[int]:
    """Calls whose rows are not the samples (positions, say): a row has an influence on outputs of samples that are not its own.

    Outputs of one half of the samples must not depend on rows of the other half, nor the other way round.
    """
    outputs, calls = batch.outputs, batch.recorder.calls
    chosen = [i for i, candidate in enumerate(candidates) if candidate]
    b = outputs.shape[0]
    if not chosen or b < 2:
        return frozenset()
    half = torch.zeros(b, dtype=torch.bool)
    half[torch.randperm(b, generator=torch.Generator().manual_seed(20240517))[: b // 2]] = True
    probe = fixed_probe(outputs.numel()).to(outputs).reshape(outputs.shape)
    edges = [edge for i in chosen if (edge := calls[i].edge) is not None]
    found: set[int] = set()
    for own in (half.to(outputs.device), ~half.to(outputs.device)):
        cotangent = probe * own.reshape(b, *[1] * (outputs.dim() - 1))
        parts = torch.autograd.grad(outputs, edges, cotangent, retain_graph=True, allow_unused=True)
        found |= {i for i, D in zip(chosen, parts, strict=True) if D is not None and bool(D[~own].nan_to_num().any())}
    return frozenset(found)
