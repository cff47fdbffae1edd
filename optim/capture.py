"""Watching a forward pass: which linear layers ran, on what, and which module made the outputs.

While the optimizer's closure runs, hooks that torch calls for every module note each `nn.Linear` call (its input, and
the edge of its output in the autograd graph, taken at once so that an in-place activation afterwards cannot move it)
and each outermost module call. So the optimizer needs no reference to the model.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook


@dataclass(frozen=True, eq=False)
class LinearCall:
    """One call of an `nn.Linear`: the parameters that it read, its input, the edge of its output."""

    weight: Tensor | None
    bias: Tensor | None
    input: Tensor
    version: int
    output_shape: torch.Size
    output_dtype: torch.dtype
    edge: GradientEdge


@dataclass(frozen=True, eq=False)
class RootCall:
    """One call of an outermost module."""

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any


class Recorder:
    """Context manager that fills `linear`, `roots`, `coupling` and `random` while modules run in this thread."""

    def __init__(self) -> None:
        self.linear: list[LinearCall] = []
        self.roots: list[RootCall] = []
        self.coupling: list[
            str
        ] = []  # batch normalisation in training mode: outputs of one sample depend on the others
        self.random: list[str] = []  # dropout in training mode: another run of the module gives another output
        self._depth = 0
        self._thread = threading.get_ident()
        self._handles: list[Any] = []

    def __enter__(self) -> Recorder:
        self._handles = [
            register_module_forward_pre_hook(self._before),
            register_module_forward_hook(self._after, with_kwargs=True, always_call=True),
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def root_of(self, outputs: Tensor) -> tuple[RootCall, int] | None:
        """The last outermost call whose result contains `outputs`, and the position among the result's leaves."""
        for call in reversed(self.roots):
            for i, leaf in enumerate(torch.utils._pytree.tree_leaves(call.output)):
                if leaf is outputs:
                    return call, i
        return None

    def _before(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if threading.get_ident() == self._thread:
            self._depth += 1

    def _after(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        self._depth -= 1
        if self._depth == 0:
            self.roots.append(RootCall(module, args, kwargs, output))
        if isinstance(module, _BatchNorm) and (module.training or module.running_mean is None):
            self.coupling.append(type(module).__name__)
        elif isinstance(module, _DropoutNd) and module.training and module.p > 0:
            self.random.append(type(module).__name__)
        elif isinstance(module, nn.Linear) and type(module).forward is nn.Linear.forward:
            self._linear(module, args, kwargs, output)

    def _linear(self, module: nn.Linear, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        x = args[0] if args else kwargs.get("input")
        if not (isinstance(output, Tensor) and output.requires_grad and isinstance(x, Tensor)):
            return
        weight, bias = (
            module._parameters.get("weight"),
            module._parameters.get("bias"),
        )  # None when parametrised or pruned
        self.linear.append(
            LinearCall(weight, bias, x.detach(), x._version, output.shape, output.dtype, get_gradient_edge(output))
        )


def users(root: Node) -> dict[Node, list[Node]]:
    """For every node of the autograd graph under `root`, the nodes that use its value, once for each use."""
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


def reached_beside(loss: Tensor, outputs: Tensor, leaves: Iterable[Tensor]) -> list[int]:
    """Positions of the leaves that the loss depends on other than through the outputs."""
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


def sole_layer(
    parameter: Tensor, graph: dict[Node, list[Node]], calls: dict[Node, LinearCall]
) -> tuple[bool, LinearCall | None]:
    """(whether the outputs depend on the parameter, the linear call that is its only use).

    A weight reaches its matrix product through a transpose, so up to three nodes are climbed, each used once.
    """
    node = get_gradient_edge(parameter).node
    if node not in graph:
        return False, None
    for _ in range(4):
        call = calls.get(node)
        if call is not None:
            return True, call if parameter is call.weight or parameter is call.bias else None
        above = graph[node]
        if len(above) != 1:
            break
        node = above[0]
    return True, None
