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
from .functional_products import functional_products
from .hooks import Call
from .layers.registry import row_dimensions, use_of
from .layers.use import Use
from .sample_layout import Layouts, sample_layouts


@dataclass(frozen=True)
class Structure:
    """What is known of a model whose calls have certain shapes.

    Attributes:
        layouts: of the calls' samples, as `sample_layouts` numbers and proves them.
        separate: whether direct forms, and rows from the nodes that use a parameter (`rows.node_rows`), hold at all.
    """

    layouts: Layouts
    separate: bool = True


@dataclass(frozen=True, eq=False)
class Assignment:
    """Parameters, grouped by the layers that use them.

    Attributes:
        layers: (position of the weight, of the bias, calls) of each layer with a direct form.
        fallbacks: positions of the other parameters.
        structure: what of it holds for all models of these shapes.
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
    outputs = batch.outputs
    assert outputs.grad_fn is not None
    structure = structure or Structure({})
    graph = users(outputs.grad_fn)
    modules = {call.node: call for call in batch.recorder.calls}
    using = {i: calls_of(parameters[i], graph, modules) for i in trained}
    rest = [parameters[i] for i, (used, calls) in using.items() if used and not calls]
    products = functional_products(rest, graph, modules)
    found = {i: calls or products.get(id(parameters[i]), []) for i, (used, calls) in using.items() if used}
    calls = list({call.node: call for some in found.values() for call in some}.values())
    for call in calls:
        _check_input(call, dtype)
    layouts, proved = sample_layouts(batch, calls, structure.layouts) if structure.separate else ({}, {})
    b, uses = outputs.shape[0], dict[Node, Use]()
    for (
        number,
        inner,
    ) in layouts.items():  # inner is 0 of a call without rows, as of an expert that no sample is routed to
        call = calls[number]
        use = None if not inner else use_of(call.samples_first(row_dimensions(call)[0], b, inner), dtype)
        if use is not None:
            uses[call.node] = use
    fallbacks: list[int] = []
    layers: dict[tuple[int, ...], tuple[list[int | None], list[Use]]] = {}
    for i, group in found.items():
        p = parameters[i]
        roles = {p is call.weight for call in group}
        direct = [uses[call.node] for call in group if call.node in uses]
        if not group or len(direct) < len(group) or len(roles) > 1:
            fallbacks.append(i)
            continue
        pair, _ = layers.setdefault(tuple(id(use) for use in direct), ([None, None], direct))
        slot = 0 if roles == {True} else 1
        if pair[slot] is None:
            pair[slot] = i
        else:
            fallbacks.append(i)
    return Assignment(
        [(pair[0], pair[1], group) for pair, group in layers.values()], fallbacks, Structure(proved, structure.separate)
    )


def _check_input(call: Call, dtype: torch.dtype) -> None:
    """InputError if the input of a trained layer was overwritten."""
    if call.input._version != call.version and call.input.dtype == dtype:
        raise InputError(
            f"the input of a {type(call.module).__name__} was changed in place after the layer ran: make that "
            "operation out of place"
        )
