"""Products x W^T with a parameter that are no module's call: `F.linear`, of which `nn.MultiheadAttention` is made.

A node `MmBackward0` or `AddmmBackward0` that takes the transposed parameter as its second factor has saved the first one, x as rows
(R, q); the rows of the node's values are the products'.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from .hooks import Call
from .layers.registry import FunctionalLinear

_SLOTS = {"MmBackward0": 1, "AddmmBackward0": 2}
"""Position of the second factor among a node's operands."""
_PLAIN = {"ViewBackward0", "UnsafeViewBackward0", "ReshapeAliasBackward0"}
"""Nodes that hand on the same rows."""
_MODULE = FunctionalLinear()


def functional_products(parameters: Iterable[Tensor], graph: dict[Node, list[Node]]) -> dict[int, list[Call]]:
    """Calls that stand for the products of each parameter, by its id, where it is used in no other way.

    Args:
        parameters: weights and biases, of which no module's call with a direct form is known.
        graph: of the outputs, as `users` finds it.
    """
    parameters = list(parameters)
    products: dict[int, list[Node]] = {}
    for p in parameters:
        nodes = _products_of(p, graph) if p.dim() == 2 else None
        if nodes:
            products[id(p)] = nodes
    weights = {node: p for p in parameters for node in products.get(id(p), [])}
    biases: dict[int, list[Node]] = {}
    for p in parameters:
        nodes = _sums_with(p, graph, weights) if p.dim() == 1 else None
        if nodes:
            biases[id(p)] = nodes
    shifts = {node: p for p in parameters for node in biases.get(id(p), [])}
    calls = {node: _call(node, p, shifts.get(node)) for node, p in weights.items()}
    found = {key: [calls[node] for node in nodes] for key, nodes in (products | biases).items()}
    return {key: [c for c in some if c is not None] for key, some in found.items() if None not in some}


def _above(p: Tensor, graph: dict[Node, list[Node]]) -> list[tuple[Node, Node]]:
    """(node, its user) for all users of a parameter, or of its casts."""
    found: list[tuple[Node, Node]] = []
    stack = [get_gradient_edge(p).node]
    while stack:
        node = stack.pop()
        for user in dict.fromkeys(graph.get(node, ())):
            if user.name() == "ToCopyBackward0":
                stack.append(user)
            else:
                found.append((node, user))
    return found


def _products_of(p: Tensor, graph: dict[Node, list[Node]]) -> list[Node] | None:
    """Nodes of the products x p^T; None if there is another use."""
    found: list[Node] = []
    for _, transposed in _above(p, graph):
        if transposed.name() != "TBackward0":
            return None
        for node in dict.fromkeys(graph.get(transposed, ())):
            operands = [child for child, _ in node.next_functions]
            slot = _SLOTS.get(node.name())
            if slot is None or operands.count(transposed) != 1 or operands[slot] is not transposed:
                return None
            if slot == 2 and _scale(node, "alpha") != 1:
                return None
            found.append(node)
    return found


def _sums_with(p: Tensor, graph: dict[Node, list[Node]], products: dict[Node, Tensor]) -> list[Node] | None:
    """Nodes of the products to whose rows p is added; None if there is another use."""
    found: list[Node] = []
    for below, node in _above(p, graph):
        operands = [child for child, _ in node.next_functions]
        if operands.count(below) != 1:
            return None
        if node in products and operands[0] is below and node.name() == "AddmmBackward0" and _scale(node, "beta") == 1:
            found.append(node)
            continue
        if node.name() != "AddBackward0" or _scale(node, "alpha") != 1:
            return None
        other = next(child for child in operands if child is not below)
        while other is not None and other.name() in _PLAIN and len(graph.get(other, ())) == 1:
            other = other.next_functions[0][0]
        if other is None or other not in products or len(graph.get(other, ())) != 1:
            return None
        if products[other].shape[0] != p.shape[0]:
            return None
        found.append(other)
    return found


def _scale(node: Any, name: str) -> float:
    return float(getattr(node, f"_saved_{name}"))


def _call(node: Any, weight: Tensor, bias: Tensor | None) -> Call | None:
    """None where the saved factor was changed in place, or is not what the parameter takes."""
    try:
        x = node._saved_self if node.name() == "MmBackward0" else node._saved_mat1
    except RuntimeError:
        return None
    if not isinstance(x, Tensor) or x.dim() != 2 or x.shape[1] != weight.shape[1]:
        return None
    x = x.detach()
    shape = torch.Size((x.shape[0], weight.shape[0]))
    return Call(_MODULE, weight, bias, x, x._version, shape, x.dtype, GradientEdge(node, 0))
