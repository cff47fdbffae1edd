"""Slope and Hessian products of a loss in the outputs, by autograd on the loss's own graph."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from ....circuits.errors import InputError


class LossProducts:
    """The first two derivatives of a loss in the outputs z, in the type in which the loss reads them.

    Under autocast a model's outputs are of 8 or 11 bits, and the loss casts them to float32 before anything else: derivatives in the cast
    outputs are not rounded to so few bits.

    Args:
        loss: with a graph.
        outputs: (b, ...) the tensor that the loss is computed of.

    Raises:
        InputError: the loss does not depend on the outputs.
    """

    def __init__(self, loss: Tensor, outputs: Tensor) -> None:
        self.loss, self.outputs = loss, outputs
        self.gradient = differentiate(loss, outputs)
        """dL/dz in the type of the outputs, with a graph."""
        self._casts = _casts(loss, outputs)
        self.dtype = outputs.dtype if not self._casts else _dtype_of(self._casts[0].node)
        """The type in which the loss reads the outputs."""

    @cached_property
    def slope(self) -> Tensor:
        """dL/dz, with a graph."""
        if not self._casts:
            return self.gradient
        parts = torch.autograd.grad(self.loss, self._casts, create_graph=True, allow_unused=True)
        return sum((part for part in parts if part is not None), torch.zeros_like(self.outputs, dtype=self.dtype))

    @cached_property
    def probes(self) -> Tensor:
        """(2, b, ...) pseudo-random numbers in the loss's type, always the same."""
        generator = torch.Generator().manual_seed(20240517)
        numbers = torch.randn(2, *self.outputs.shape, dtype=torch.float64, generator=generator)
        return numbers.to(self.outputs.device, self.dtype)

    @cached_property
    def probed(self) -> Tensor:
        """H v of the probes."""
        return self.products(self.probes)

    def products(self, vectors: Tensor) -> Tensor:
        """H v for each of the vectors, (n, b, ...), in the loss's type.

        Raises:
            InputError: the loss cannot be differentiated twice.
        """
        slope = self.slope
        if not slope.requires_grad:  # linear in the outputs
            return vectors.new_zeros(vectors.shape, dtype=self.dtype)
        vectors = vectors.to(self.dtype)
        with contextlib.suppress(RuntimeError):  # an operation that cannot be batched
            if len(vectors) > 1:
                return self._products(vectors, batched=True)
        try:
            return torch.cat([self._products(v, batched=False).unsqueeze(0) for v in vectors])
        except RuntimeError as error:
            if self._is_margin_loss():
                return torch.zeros_like(vectors)
            raise InputError(f"the loss cannot be differentiated twice in the outputs: {error}") from error

    def _products(self, vectors: Tensor, batched: bool) -> Tensor:
        inputs: Sequence[GradientEdge] = self._casts or [get_gradient_edge(self.outputs)]
        parts = torch.autograd.grad(
            self.slope, inputs, vectors, is_grads_batched=batched, retain_graph=True, allow_unused=True
        )
        return sum((part.detach() for part in parts if part is not None), torch.zeros_like(vectors))

    def bends(self) -> Iterator[Tensor]:
        """Derivatives in z of v . H v, of v . d(v . H v)/dz and so on, for the first probe v, until one is zero by the loss's graph.

        The first is not a number where the loss cannot be differentiated so often.
        """
        inputs: Sequence[GradientEdge] = self._casts or [get_gradient_edge(self.outputs)]
        v, found = self.probes[0], self.slope
        for order in itertools.count():
            if not found.requires_grad:
                return
            try:
                parts = torch.autograd.grad(found, inputs, v, create_graph=True, allow_unused=True)
            except RuntimeError:
                yield torch.full_like(v, math.nan)
                return
            found = sum((part for part in parts if part is not None), torch.zeros_like(v))
            if order:
                yield found.detach()

    def is_affine_in(self, operation: str) -> bool:
        """Whether the loss is an affine function of the results of one kind of operation, and depends on the outputs by them alone.

        Args:
            operation: name of its node, such as "LogSoftmaxBackward0".
        """
        edges = [GradientEdge(node, 0) for node in self._last(operation)]
        if not edges:
            return False
        q = torch.autograd.grad(self.loss, edges, create_graph=True)
        bent = [part for part in q if part.requires_grad]
        if not bent:
            return True
        seconds = torch.autograd.grad(
            bent, edges, [torch.ones_like(part) for part in bent], retain_graph=True, allow_unused=True
        )
        return not any(part is not None and bool(part.any()) for part in seconds)

    def _last(self, operation: str) -> list[Node]:
        """The nodes of an operation by which alone the loss depends on the outputs; none if there is another way."""
        edges = list(_edges(self.loss, self.outputs, operation))
        if any(child is None for _, child in edges):
            return []
        return list(dict.fromkeys(node for node, _ in edges if node.name() == operation))

    def _is_margin_loss(self) -> bool:
        """Whether it is a sum of margin losses, which are piecewise linear, and which torch differentiates only once."""
        several = self.is_affine_in("MultilabelMarginLossBackward0")
        linear = all(getattr(node, "_saved_p", 0) == 1 for node in self._last("MultiMarginLossBackward0"))
        return several or (linear and self.is_affine_in("MultiMarginLossBackward0"))


def differentiate(loss: Tensor, outputs: Tensor) -> Tensor:
    """dL/dz with a graph. InputError where the loss does not depend on the outputs."""
    try:
        (slope,) = torch.autograd.grad(loss, outputs, create_graph=True)
    except RuntimeError as error:
        raise InputError(
            f"the loss cannot be differentiated in the outputs ({error}): compute the loss from the very tensor that "
            "the closure returns as outputs"
        ) from error
    return slope


def _edges(loss: Tensor, outputs: Tensor, stop: str | None = None) -> Iterator[tuple[Node, Node | None]]:
    """(node, node below it) of the loss's graph, None below those that take the outputs themselves; not below a node with the name."""
    end = get_gradient_edge(outputs)
    root = loss.grad_fn
    if root is None:
        return
    seen, stack = {root}, [root]
    while stack:
        node = stack.pop()
        if node.name() == stop:
            yield node, node
            continue
        for child, place in node.next_functions:
            if child is end.node and place == end.output_nr:
                yield node, None
            elif child is not None:
                yield node, child
                if child not in seen and child is not end.node:
                    seen.add(child)
                    stack.append(child)


def _casts(loss: Tensor, outputs: Tensor) -> list[GradientEdge]:
    """The outputs cast to a wider type, if the loss takes them by casts to one such type alone; else none."""
    takers = list(dict.fromkeys(node for node, child in _edges(loss, outputs) if child is None))
    if not takers or any(node.name() != "ToCopyBackward0" for node in takers):
        return []
    dtypes = {_dtype_of(node) for node in takers}
    if len(dtypes) > 1 or torch.finfo(dtypes.pop()).eps >= torch.finfo(outputs.dtype).eps:
        return []
    return [GradientEdge(node, 0) for node in takers]


def _dtype_of(node: Node) -> torch.dtype:
    (result,) = node._input_metadata
    dtype: torch.dtype = result.dtype
    return dtype
