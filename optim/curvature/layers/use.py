"""Layers that are linear in their parameters: products with the Jacobian of a call's output in its parameters.

With x the input of a call and y its output, every layer here is linear in its parameters for fixed x. For one call and the
sensitivities D = d(L^T z) / dy of m directions, (b, m, ...), a `Use` gives

    jvp(V)    dy for a change V of the parameters            vjp(C)   the parameters' gradients for a cotangent C of y
    rows(D)       the call's part of L^T J, (b, m, numel)
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Self

from torch import Tensor

from ..hooks import Call

Pair = tuple[Tensor | None, Tensor | None]
"""Results for weight and bias; None for one that was not requested."""


class Use(ABC):
    """One use of a layer's parameters: a call on a batch, samples first."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def without_graph(self) -> Self:
        """The same, holding no autograd graph."""
        return type(self)(dataclasses.replace(self.call, edge=None))

    @abstractmethod
    def jvp(self, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        """dy, of the output's shape, for a change of the parameters."""

    @abstractmethod
    def vjp(self, cotangent: Tensor, weight: bool, bias: bool) -> Pair:
        """Gradients of sum(cotangent * y)."""

    @abstractmethod
    def rows(self, D: Tensor, weight: bool, bias: bool, hold: bool = False) -> Pair:
        """(b, m, numel) parts of L^T J, for D of (b, m, ...).

        Args:
            hold: keep the patches of the input for further calls.
        """

    def write_rows(self, D: Tensor, weight: Tensor | None, bias: Tensor | None) -> None:
        """Write the rows of some of the directions, D of (b, m, ...), to (b, m, numel) tensors; patches of the input are kept."""
        found = self.rows(D, weight is not None, bias is not None, hold=True)
        for target, part in zip((weight, bias), found, strict=True):
            if target is not None and part is not None:
                target.copy_(part)
