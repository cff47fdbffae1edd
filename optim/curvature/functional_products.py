"""Products x W^T and x W with a parameter that are no module's call: `F.linear`, of which `nn.MultiheadAttention` is made, `x @ W`.

A node `MmBackward0` or `AddmmBackward0` that takes the parameter, or its transpose, as its second factor has saved the first one, x as
rows (R, q); the rows of the node's values are the products'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
_MODULES = {transposed: FunctionalLinear(transposed) for transposed in (False, True)}


def functional_products(
    parameters: Iterable[Tensor], graph: dict[Node, list[Node]], modules: Mapping[Node, Call]
) -> dict[int, list[Call]]:
    """Calls that stand for the products of each parameter, by its id, where it is used in no other way, beside modules' calls.

    Args:
        parameters: weights and biases, which modules' calls alone do not account for.
        graph: of the outputs, as `users` finds it.
        modules: calls of modules by their nodes.
    """
    parameters = list(parameters)
    products = {id(p): nodes for p in parameters if p.dim() == 2 and (nodes := _products_of(p, graph, modules))}
    weights = {node: (p, kind) for p in parameters for node, kind in products.get(id(p), {}).items()}
    sizes = {node: p.shape[1 if transposed else 0] for node, (p, transposed) in weights.items() if node not in modules}
    biases = {id(p): some for p in parameters if p.dim() == 1 and (some := _sums_with(p, graph, sizes))}
    shifts = {node: p for p in parameters for node in biases.get(id(p), ())}
    calls = {
        node: modules[node] if node in modules else _call(node, p, shifts.get(node), transposed)
        for node, (p, transposed) in weights.items()
    }
    found = {key: [calls[node] for node in nodes] for key, nodes in {**products, **biases}.items()}
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


def _products_of(p: Tensor, graph: dict[Node, list[Node]], modules: Mapping[Node, Call]) -> dict[Node, bool] | None:
    """Nodes of the products x p^T, or x p (True), and of modules' calls with p; None if there is another use."""
    found: dict[Node, bool] = {}
    for below, user in _above(p, graph):
        if user in modules and modules[user].weight is p:
            found[user] = False
            continue
        turned = user.name() == "TBackward0"
        operand = user if turned else below
        for node in dict.fromkeys(graph.get(user, ())) if turned else [user]:
            operands = [child for child, _ in node.next_functions]
            slot = _SLOTS.get(node.name())
            if node in modules and modules[node].weight is p:
                found[node] = False
                continue
            if slot is None or operands.count(operand) != 1 or operands[slot] is not operand:
                return None
            if node in found or (slot == 2 and _scale(node, "alpha") != 1):
                return None
            found[node] = not turned
    return found


def _sums_with(p: Tensor, graph: dict[Node, list[Node]], products: Mapping[Node, int]) -> list[Node] | None:
    """Nodes of the products, of known widths, to whose rows p is added; None if there is another use."""
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
        if products[other] != p.shape[0]:
            return None
        found.append(other)
    return found


def _scale(node: Any, name: str) -> float:
    return float(getattr(node, f"_saved_{name}"))


def _call(node: Any, weight: Tensor, bias: Tensor | None, transposed: bool) -> Call | None:
    """None where the saved factor was changed in place."""
    try:
        x = node._saved_self if node.name() == "MmBackward0" else node._saved_mat1
    except RuntimeError:
        return None
    width, outputs = weight.shape if transposed else weight.shape[::-1]
    if not isinstance(x, Tensor) or x.dim() != 2 or x.shape[1] != width:
        return None
    x, shape = x.detach(), torch.Size((x.shape[0], outputs))
    return Call(_MODULES[transposed], weight, bias, x, x._version, shape, x.dtype, GradientEdge(node, 0))
