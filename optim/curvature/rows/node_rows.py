"""Rows of M = L^T J from the nodes of the autograd graph that use a parameter, by m + 1 backward passes instead of b m.

A parameter enters the graph at nodes whose values have rows of single samples, such as the product x W^T, or the products that
derivatives of a network consist of. Where each row belongs to one sample, which backward passes prove (`owners`), the sensitivities
of those nodes to all samples come out of the same pass, and what is left is local to the node (`node_operands`).

What lies between node and parameter (a transpose, spectral normalisation) depends on no sample, and takes a backward pass of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from ..autograd_graph import users
from .graph_rows import CHUNK_ENTRIES
from .node_operands import Cut, Operands
from .owners import Codes, codes_for, masks, owners_by_masks, owners_of, reached

_MAX_DEPTH = 12
"""Nodes between a parameter and one with rows of single samples: spectral normalisation has five, and casts of autocast come between."""


@torch.no_grad()  # (saved tensors and nodes of double backward have graphs of their own)
def node_rows(outputs: Tensor, factor: Tensor, parameters: Sequence[Tensor]) -> list[Tensor | None]:
    """L^T J for these parameters, (b m, numel) each; None for one that rows of single samples do not lead to.

    Args:
        outputs: (b, ...) with a graph, which is kept.
        factor: L, (b, c, m).
        parameters: of one type, each of which the outputs depend on.
    """
    assert outputs.grad_fn is not None
    m = factor.shape[2]
    graph = users(outputs.grad_fn)
    leaves = [get_gradient_edge(p).node for p in parameters]
    passes = _Passes(outputs, factor, _ancestors(leaves, graph))
    above = [_cuts_above(leaf, graph, passes) for leaf in leaves]
    of_nodes: dict[Node, dict[int, Cut]] = {}
    for cut in (cut for cuts in above for cut in cuts or ()):
        of_nodes.setdefault(cut.node, {})[cut.slot] = cut
    found: list[Tensor | None] = [None] * len(parameters)
    if not of_nodes:
        return found
    D = passes.sensitivities(list(of_nodes))
    operands = Operands(factor.shape[0], m)
    failed = {node for node, cuts in of_nodes.items() if not operands.add(list(cuts.values()), D.pop(node))}
    wanted = [i for i, cuts in enumerate(above) if cuts is not None and not any(cut.node in failed for cut in cuts)]
    used = {cut.key: cut for i in wanted for cut in above[i] or ()}
    if not used or not _separate(used.values()):
        return found
    rows = _to_parameters(operands.rows(used.values()), [parameters[i] for i in wanted], factor.shape[0] * m)
    for i, part in zip(wanted, rows, strict=True):
        found[i] = part
    return found


class _Passes:
    """Backward passes to some nodes of the graph.

    The proof is by cotangents v that are as large for all samples, whatever L is: a sample with little curvature must show, too.
    """

    def __init__(self, outputs: Tensor, factor: Tensor, nodes: list[Node]) -> None:
        self.outputs, self.factor = outputs, factor.to(outputs.dtype)
        b = factor.shape[0]
        v = 1 + torch.rand(outputs.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(20240517))
        v = v.to(outputs)
        self._plain = self._values(nodes, v)
        self._probe = v.reshape(b, -1)
        found = [part for parts in self._plain.values() for part in parts if part is not None]
        around = [b] + [1] * (v.dim() - 1)

        def coded(c: Tensor) -> dict[Node, list[Tensor | None]]:
            return self._values(nodes, v * c.to(v.dtype).reshape(around))

        self._codes: Codes | None = None
        self._coded: list[dict[Node, list[Tensor | None]]] = []
        self._reached: list[dict[Node, list[list[Tensor] | None]]] = []
        dtype = min((part.dtype for part in found), key=lambda t: t.itemsize, default=torch.float64)
        if dtype.itemsize < 4:
            for c in masks(b, v.device):
                values = coded(c)
                self._reached.append(
                    {node: [None if D is None else reached(D) for D in values[node]] for node in nodes}
                )
        else:
            self._codes = codes_for(b, dtype, v.device)
            self._coded = [coded(c) for c in self._codes.factors]
        self._owners: dict[Node, tuple[int, Tensor] | None] = {}

    def owner(self, node: Node) -> tuple[int, Tensor] | None:
        """The output of a node that matters, and whose its rows are; None if several do, or rows belong to several samples."""
        if node not in self._owners and node in self._plain and node.name() != "TBackward0":
            self._owners[node] = self._found(node)
        return self._owners.get(node)

    def _found(self, node: Node) -> tuple[int, Tensor] | None:
        live = [(i, part) for i, part in enumerate(self._plain[node]) if part is not None]
        if len(live) != 1:
            return None
        ((i, D),) = live
        if self._codes is None:
            seen = [rows for parts in self._reached if (rows := parts[node][i]) is not None]
            owner = owners_by_masks(seen, self.factor.shape[0])
        else:
            coded = [part for parts in self._coded if (part := parts[node][i]) is not None]
            owner = owners_of(D, coded, self._codes)
        return None if owner is None else (i, owner)

    def sensitivities(self, nodes: list[Node]) -> dict[Node, list[Tensor]]:
        """D of each node's value for the columns of L, a list over the m directions."""
        single = self.factor.shape[1:] == (1, 1)
        passes = (
            [self._plain]
            if single
            else [self._values(nodes, L.reshape(self.outputs.shape)) for L in self.factor.unbind(2)]
        )
        found: dict[Node, list[Tensor]] = {}
        for node in nodes:
            known = self.owner(node)
            assert known is not None
            output, owner = known
            like = self._plain[node][output]
            assert like is not None
            parts = [one[node][output] for one in passes]
            found[node] = [torch.zeros_like(like) if part is None else part for part in parts]
            if single:  # rows are linear in their sample's cotangent
                ratio = (self.factor[:, 0, 0] / self._probe[:, 0])[owner]
                found[node] = [part * ratio.to(part.dtype) for part in found[node]]
        return found

    def _values(self, nodes: list[Node], cotangent: Tensor) -> dict[Node, list[Tensor | None]]:
        edges = [GradientEdge(node, i) for node in nodes for i in range(len(node._input_metadata))]
        parts = iter(torch.autograd.grad(self.outputs, edges, cotangent, retain_graph=True, allow_unused=True))
        return {node: [next(parts) for _ in node._input_metadata] for node in nodes}


def _ancestors(leaves: Sequence[Node], graph: dict[Node, list[Node]]) -> list[Node]:
    """The nodes above the leaves, up to `_MAX_DEPTH`."""
    found: dict[Node, None] = {}
    level = list(leaves)
    for _ in range(_MAX_DEPTH):
        level = list(dict.fromkeys(user for node in level for user in graph.get(node, ()) if user not in found))
        found |= dict.fromkeys(level)
    return list(found)


def _cuts_above(leaf: Node, graph: dict[Node, list[Node]], passes: _Passes) -> list[Cut] | None:
    """The first nodes with rows of single samples on every path from the leaf to the outputs; None if a path has none."""
    cuts: list[Cut] = []
    seen, stack = {leaf}, [(leaf, 0)]
    while stack:
        node, depth = stack.pop()
        if depth == _MAX_DEPTH or not graph.get(node):
            return None
        for user in dict.fromkeys(graph[node]):
            known = passes.owner(user)
            if known is not None:
                slots = [i for i, (child, _) in enumerate(user.next_functions) if child is node]
                cuts += [Cut(user, slot, *known) for slot in slots]
            elif user not in seen:
                seen.add(user)
                stack.append((user, depth + 1))
    return cuts


def _separate(cuts: Collection[Cut]) -> bool:
    """Whether no cut lies below another one's operand, where its rows would count twice."""
    nodes = {cut.node for cut in cuts}
    stack = [cut.operand[0] for cut in cuts]
    seen = set(stack)
    while stack:
        node = stack.pop()
        if node in nodes:
            return False
        for child, _ in node.next_functions:
            if child is not None and child not in seen:
                seen.add(child)
                stack.append(child)
    return True


def _to_parameters(operands: dict[tuple[Node, int], Tensor], parameters: Sequence[Tensor], k: int) -> list[Tensor]:
    """Rows of the operands as rows of the parameters, (k, numel)."""
    found = [p.new_zeros(k, p.numel(), requires_grad=False) for p in parameters]
    at = {get_gradient_edge(p).node: i for i, p in enumerate(parameters)}
    edges: list[GradientEdge] = []
    cotangents: list[Tensor] = []
    for (node, number), rows in operands.items():
        rows = rows.flatten(0, 1)
        if node in at:
            found[at[node]] += rows.reshape(k, -1).to(found[0].dtype)
        else:
            edges.append(GradientEdge(node, number))
            cotangents.append(rows)
    if not edges:
        return found
    entries = sum(rows[0].numel() for rows in cotangents) + sum(p.numel() for p in parameters)
    step = max(1, CHUNK_ENTRIES // (4 * entries))
    for start in range(0, k, step):
        some = [rows[start : start + step] for rows in cotangents]
        parts: tuple[Tensor | None, ...]
        try:
            parts = torch.autograd.grad(
                edges, parameters, some, is_grads_batched=True, retain_graph=True, allow_unused=True
            )
        except RuntimeError:
            singles = [
                torch.autograd.grad(edges, parameters, [rows[i] for rows in some], retain_graph=True, allow_unused=True)
                for i in range(len(some[0]))
            ]
            parts = tuple(_stacked(group) for group in zip(*singles, strict=True))
        for M, part in zip(found, parts, strict=True):
            if part is not None:
                M[start : start + step] += part.to_dense().reshape(len(part), -1).to(M.dtype)
    return found


def _stacked(parts: Sequence[Tensor | None]) -> Tensor | None:
    live = [part.to_dense() for part in parts if part is not None]
    return torch.stack(live) if live else None
