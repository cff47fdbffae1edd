"""Functions of A = J^T J + damping through the k x k Gram matrix G = J J^T, for J of k rows and any number of columns.

For every f,  f(A) v = f(damping) v - J^T s(G) J v,   s(w) = (f(damping) - f(damping + w)) / w  (the `slope` of f),

so that everything happens on k numbers; J is used once on the way in and once on the way out, by the caller. s(G) y is taken by an
eigendecomposition, or, for few vectors and a large k, by Lanczos' method, which stops when its error bound (`contour`) is small enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from .contour import lanczos_bound
from .functions import Bounded, Function
from .gaussian import rows

ROWS_PER_VECTOR = 320
"""A Gram matrix of at least this many rows for each vector is worth Lanczos' method (measured: docs/ou.md)."""
TOLERANCE = 1e-9
"""Of Lanczos' method: error bound over the result."""
FIRST_CHECK = 12
"""Steps before the bound is first computed; the next time is a third later, and so on."""
Term = tuple[Function, Tensor]


@dataclass(frozen=True)
class GramSum:
    """x = sum f(damping) v + J^T coefficients, up to `bound` in the norm of x.

    Attributes:
        coefficients: (..., k).
        bound: (...), see `contour`; 0 for an eigendecomposition, which has rounding alone.
        steps: of Lanczos' method; 0 for an eigendecomposition.
    """

    coefficients: Tensor
    bound: Tensor
    steps: int


class Gram:
    """The k x k matrix G = J J^T, (..., k, k), float64, positive semi-definite up to rounding."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = (matrix + matrix.mT) / 2

    @cached_property
    def eigen(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues (..., k), those of rounding size set to zero, and eigenvectors (..., k, k)."""
        w, vectors = torch.linalg.eigh(self.matrix)
        rounding = 4 * w.shape[-1] * torch.finfo(w.dtype).eps * w[..., -1:].abs()
        return torch.where(w <= rounding, 0.0, w), vectors

    def slopes(self, function: Function, damping: float) -> Tensor:
        """(f(damping) - f(damping + w)) / w on the eigenvalues, (..., k); zero where w = 0, where J^T has nothing."""
        w = self.eigen[0]
        safe = torch.where(w > 0, w, 1.0)
        if isinstance(function, Bounded):
            slope = function.slope(damping, safe)
        else:
            slope = (function(torch.full_like(w, damping)) - function(damping + safe)) / safe
        return torch.where(w > 0, slope, 0.0)

    def sum(
        self, terms: Sequence[Term], damping: float, norm: Tensor, tolerance: float = TOLERANCE, method: str = "auto"
    ) -> GramSum:
        """Coefficients of sum f(A) v over the terms.

        Args:
            terms: pairs of f and y = J v, y of (..., k).
            damping: >= 0.
            norm: |sum f(damping) v|, (...): from it follows the norm of the result.
            tolerance: Lanczos' method stops when its error bound is this part of the norm of the result.
            method: "eigen", "lanczos" (where there is a bound and k / 4 steps meet it), or "auto", by size.
        """
        if method != "eigen" and self._suits_lanczos(terms, damping, method):
            found = self._by_lanczos([(f, y) for f, y in terms if isinstance(f, Bounded)], damping, norm, tolerance)
            if found is not None:
                return found
        vectors = self.eigen[1]
        inner: Tensor | None = None
        for f, y in terms:
            part = self.slopes(f, damping) * rows(vectors.mT, y)
            inner = part if inner is None else inner + part
        assert inner is not None
        return GramSum(-rows(vectors, inner), inner.new_zeros(inner.shape[:-1]), 0)

    def _suits_lanczos(self, terms: Sequence[Term], damping: float, method: str) -> bool:
        if not all(isinstance(f, Bounded) and f.t > 0 and (damping > 0 or f.t < math.inf) for f, _ in terms):
            return False
        size = self.matrix.shape[-1]
        vectors = sum(y.numel() for _, y in terms) / size / (self.matrix.numel() / size**2)
        fresh = "eigen" not in self.__dict__
        return method == "lanczos" or (fresh and size >= ROWS_PER_VECTOR * vectors)

    def _by_lanczos(
        self, terms: list[tuple[Bounded, Tensor]], damping: float, norm: Tensor, tolerance: float
    ) -> GramSum | None:
        functions, y = [f for f, _ in terms], torch.stack(torch.broadcast_tensors(*(y for _, y in terms)))
        limit, check = max(self.matrix.shape[-1] // 4, 1), FIRST_CHECK
        recurrence = _Lanczos(self.matrix, y, limit)
        largest = float(torch.linalg.matrix_norm(self.matrix).max())
        outside = torch.stack([f(torch.full((), damping, dtype=y.dtype, device=y.device)) for f in functions])
        pulled = torch.einsum("t,t...->...", outside, y)  # J of what is outside
        while recurrence.steps < limit:
            recurrence.extend_to(min(check, limit))
            check = check * 4 // 3
            coefficients = -recurrence.apply([partial(f.slope, damping) for f in functions]).sum(0)
            parts = zip(
                functions, recurrence.size, recurrence.theta, recurrence.next[..., : recurrence.steps], strict=True
            )
            bound = sum(size * lanczos_bound(f, damping, theta, beta, largest) for f, size, theta, beta in parts)
            assert isinstance(bound, Tensor)
            square = norm**2 + (coefficients * (2 * pulled + rows(self.matrix, coefficients))).sum(-1)
            if bool((bound <= tolerance * square.clamp(min=0).sqrt()).all()):
                return GramSum(coefficients, bound, recurrence.steps)
        return None


class _Lanczos:
    """Lanczos' recurrence on G from each of the vectors y, (terms, ..., k), with full reorthogonalisation, up to `limit` steps.

    A start in an invariant subspace ends early: its next vector and beta are zero from there on, and so is its error.
    """

    def __init__(self, matrix: Tensor, y: Tensor, limit: int) -> None:
        self.matrix, self.size, self.steps = matrix, y.norm(dim=-1), 0
        self.smallest = 1e-14 * torch.linalg.matrix_norm(matrix)
        self.basis = y.new_zeros(*y.shape[:-1], limit + 1, y.shape[-1])
        self.basis[..., 0, :] = _unit(y, self.size, torch.zeros_like(self.size))
        self.diagonal, self.next = (y.new_zeros(*y.shape[:-1], limit) for _ in range(2))
        self.theta, self.S = self.diagonal, self.basis

    def extend_to(self, steps: int) -> None:
        """Go on to m = steps, and diagonalise T."""
        for j in range(self.steps, steps):
            v, V = self.basis[..., j, :], self.basis[..., : j + 1, :]
            w = rows(self.matrix, v)
            alpha = (w * v).sum(-1)
            w = w - alpha.unsqueeze(-1) * v
            if j:
                w = w - self.next[..., j - 1, None] * self.basis[..., j - 1, :]
            w = w - ((V @ w.unsqueeze(-1)).mT @ V).squeeze(-2)
            self.diagonal[..., j] = alpha
            beta = w.norm(dim=-1)
            self.next[..., j] = torch.where(beta > self.smallest, beta, 0.0)
            self.basis[..., j + 1, :] = _unit(w, beta, self.smallest)
        off = torch.diag_embed(self.next[..., : steps - 1], offset=1)
        theta, self.S = torch.linalg.eigh(torch.diag_embed(self.diagonal[..., :steps]) + off + off.mT)
        self.theta, self.steps = theta.clamp(min=0), steps

    def apply(self, functions: list[Function]) -> Tensor:
        """|y| V f(T) e_1 for the function of each term, (terms, ..., k)."""
        values = torch.stack([f(self.theta[i]) for i, f in enumerate(functions)])
        small = self.S @ (values * self.S[..., 0, :]).unsqueeze(-1)
        return self.size.unsqueeze(-1) * (small.mT @ self.basis[..., : self.steps, :]).squeeze(-2)


def _unit(vector: Tensor, length: Tensor, smallest: Tensor) -> Tensor:
    kept = length > smallest
    return torch.where(kept.unsqueeze(-1), vector / torch.where(kept, length, 1.0).unsqueeze(-1), 0.0)
