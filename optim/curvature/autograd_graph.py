"""Searches in the autograd graph of a forward pass: which nodes use a parameter, and what bypasses the outputs."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor
from torch.autograd.graph import Node, get_gradient_edge

from .hooks import Call

_MAX_DEPTH = 5
"""Nodes between a parameter and its layer's output: a cast (autocast), a transpose, the product, a view, a sum with the bias."""


def users(root: Node) -> dict[Node, list[Node]]:
    """For every node below `root`, the nodes that use its value, once for each use."""
    found: dict[Node, list[Node]] = {root: []}
    stack = [root]
    while stack:
        node = stack.pop()
        for child, _ in node.next_functions:
            if child is None:
                continue
            if child not in found:
                found[child] = []
                stack.append(child)
            found[child].append(node)
    return found


def leaves_bypassing(loss: Tensor, outputs: Tensor, leaves: Iterable[Tensor]) -> list[int]:
    """Positions of the leaves on which the loss depends other than through the outputs."""
    stop = outputs.grad_fn
    root = loss.grad_fn
    if root is None or root is stop:
        return []
    seen = {root}
    stack = [root]
    while stack:
        for child, _ in stack.pop().next_functions:
            if child is not None and child is not stop and child not in seen:
                seen.add(child)
                stack.append(child)
    return [i for i, leaf in enumerate(leaves) if get_gradient_edge(leaf).node in seen]


def calls_of(
    parameter: Tensor, graph: dict[Node, list[Node]], calls: dict[Node, Call]
) -> tuple[bool, list[Call] | None]:
    """(whether the outputs depend on the parameter, the layer calls that use it; None if anything else uses it)."""
    node = get_gradient_edge(parameter).node
    if node not in graph:
        return False, None
    found: list[Call] = []
    level = [node]
    for _ in range(_MAX_DEPTH + 1):
        above: list[Node] = []
        for place in level:
            call = calls.get(place)
            if call is None:
                if not graph[place]:  # the outputs themselves
                    return True, None
                above += [user for user in graph[place] if user not in above]
            elif parameter is call.weight or parameter is call.bias:
                found.append(call)
            else:
                return True, None
        if not above:
            return True, found
        level = above
    return True, None
