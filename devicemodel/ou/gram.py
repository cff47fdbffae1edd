"""Functions of A = J^T J + damping through the k x k Gram matrix G = J J^T, for J of k rows and any number of columns.

For every f,  f(A) v = f(damping) v - J^T s(G) J v,   s(w) = (f(damping) - f(damping + w)) / w  (the `slope` of f),

so that everything happens on k numbers; J is used once on the way in and once on the way out, by the caller. s(G) y is taken by an
eigendecomposition, or, for few vectors and a large k, by Lanczos' method, which stops when its error bound is small enough: see
`lanczos_bound`.

In the space of the rows themselves,  f(G + damping) y = f(damping) y - G s(G) y,  by the same s(G) y; its error is at most sqrt |G| times
that of J^T s(G) y.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from .functions import Bounded, Function
from .gaussian import rows
from .krylov.lanczos_bound import lanczos_bound

ROWS_PER_VECTOR = 320
"""A Gram matrix of at least this many rows for each vector is worth Lanczos' method (measured: docs/ou.md)."""
TOLERANCE = 1e-9
"""Of Lanczos' method: error bound over the result."""
FIRST_CHECK = 24
"""Steps before the bound is first computed."""
Term = tuple[Function, Tensor]


@dataclass(frozen=True)
class GramSum:
    """x = sum f(damping) v + J^T coefficients, up to `bound` in the norm of x.

    Attributes:
        coefficients: (..., k).
        bound: (...), see `lanczos_bound`; 0 for an eigendecomposition, which has rounding alone.
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
            bounded = [(f, y) for f, y in terms if isinstance(f, Bounded)]
            pulled = _at_damping(bounded, damping)  # J of what is outside

            def length(coefficients: Tensor) -> Tensor:
                square = norm**2 + (coefficients * (2 * pulled + rows(self.matrix, coefficients))).sum(-1)
                return square.clamp(min=0).sqrt()

            found = self._by_lanczos(bounded, damping, length, tolerance)
            if found is not None:
                return found
        inner = self._in_eigenvectors([(self.slopes(f, damping), y) for f, y in terms])
        return GramSum(-inner, inner.new_zeros(inner.shape[:-1]), 0)

    def inside(
        self, terms: Sequence[Term], damping: float, tolerance: float = TOLERANCE, method: str = "auto"
    ) -> GramSum:
        """sum f(G + damping) y over the terms themselves, as `coefficients`; arguments as for `sum`."""
        if method != "eigen" and self._suits_lanczos(terms, damping, method):
            bounded = [(f, y) for f, y in terms if isinstance(f, Bounded)]
            outside, widening = _at_damping(bounded, damping), math.sqrt(self._largest)
            found = self._by_lanczos(
                bounded, damping, lambda c: (outside + rows(self.matrix, c)).norm(dim=-1) / widening, tolerance
            )
            if found is not None:
                x = outside + rows(self.matrix, found.coefficients)
                return GramSum(x, widening * found.bound, found.steps)
        x = self._in_eigenvectors([(f(self.eigen[0] + damping), y) for f, y in terms])
        return GramSum(x, x.new_zeros(x.shape[:-1]), 0)

    def _in_eigenvectors(self, parts: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """sum of V diag(values) V^T y."""
        vectors = self.eigen[1]
        return rows(vectors, _total([values * rows(vectors.mT, y) for values, y in parts]))

    @cached_property
    def _largest(self) -> float:
        """At least as large as every eigenvalue."""
        return float(torch.linalg.matrix_norm(self.matrix).max())

    def _suits_lanczos(self, terms: Sequence[Term], damping: float, method: str) -> bool:
        if not all(isinstance(f, Bounded) and f.t > 0 and (damping > 0 or f.t < math.inf) for f, _ in terms):
            return False
        size = self.matrix.shape[-1]
        vectors = sum(y.numel() for _, y in terms) / size / (self.matrix.numel() / size**2)
        fresh = "eigen" not in self.__dict__
        return method == "lanczos" or (fresh and size >= ROWS_PER_VECTOR * vectors)

    def _by_lanczos(
        self, terms: list[tuple[Bounded, Tensor]], damping: float, length: Callable[[Tensor], Tensor], tolerance: float
    ) -> GramSum | None:
        """Coefficients -sum s(G) y with a bound of at most `tolerance` times their `length`; None after k / 4 steps from a vector."""
        vectors = list({id(y): y for _, y in terms}.values())
        start = [next(i for i, y in enumerate(vectors) if y is own) for _, own in terms]
        limit, check = max(self.matrix.shape[-1] // 4, 1), FIRST_CHECK
        recurrence = _Lanczos(self.matrix, torch.stack(torch.broadcast_tensors(*vectors)), limit)
        before: tuple[int, float] | None = None
        while recurrence.steps < limit:
            recurrence.extend_to(min(check, limit))
            m = recurrence.steps
            slopes = [(i, partial(f.slope, damping)) for i, (f, _) in zip(start, terms, strict=True)]
            coefficients = -recurrence.apply(slopes)
            bound = torch.zeros_like(coefficients[..., 0])
            for i, (f, _) in zip(start, terms, strict=True):
                part = lanczos_bound(f, damping, recurrence.theta[i], recurrence.next[i, ..., :m], self._largest)
                bound = bound + recurrence.size[i] * part
            goal = tolerance * length(coefficients)
            if bool((bound <= goal).all()):
                return GramSum(coefficients, bound, m)
            missing = math.log(float((bound / goal.clamp(min=torch.finfo(goal.dtype).tiny)).max()))
            check, before = m + _further(m, missing, before), (m, missing)
        return None


def _further(m: int, missing: float, before: tuple[int, float] | None) -> int:
    """Steps to where the bound would meet its goal if its logarithm went on along a line through the last two checks; at most m."""
    if before is None or not missing < before[1] < math.inf:
        return math.ceil(m / 2)
    rate = (before[1] - missing) / (m - before[0])
    return math.ceil(min(max(missing / rate, 2), m))


def _at_damping(terms: Sequence[tuple[Bounded, Tensor]], damping: float) -> Tensor:
    """sum f(damping) y."""
    base = torch.full((), damping, dtype=terms[0][1].dtype, device=terms[0][1].device)
    return _total([f(base) * y for f, y in terms])


def _total(parts: Sequence[Tensor]) -> Tensor:
    """Sum of the parts, of which there is at least one."""
    return sum(parts[1:], parts[0])


class _Lanczos:
    """Lanczos' recurrence on G from each of the vectors y, (starts, ..., k), orthogonalised against all before, twice, up to `limit` steps.

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
            V = self.basis[..., : j + 1, :]
            w = rows(self.matrix, self.basis[..., j, :]).unsqueeze(-1)
            overlap = V @ w
            w = w - V.mT @ overlap
            again = V @ w
            w = (w - V.mT @ again).squeeze(-1)
            self.diagonal[..., j] = (overlap + again)[..., j, 0]
            beta = w.norm(dim=-1)
            self.next[..., j] = torch.where(beta > self.smallest, beta, 0.0)
            self.basis[..., j + 1, :] = _unit(w, beta, self.smallest)
        off = torch.diag_embed(self.next[..., : steps - 1], offset=1)
        theta, self.S = torch.linalg.eigh(torch.diag_embed(self.diagonal[..., :steps]) + off + off.mT)
        self.theta, self.steps = theta.clamp(min=0), steps

    def apply(self, terms: Sequence[tuple[int, Function]]) -> Tensor:
        """sum of |y_i| V_i f(T_i) e_1 over pairs of a start i and a function f, (..., k)."""
        values = torch.zeros_like(self.theta)
        for i, f in terms:
            values[i] += f(self.theta[i])
        small = self.S @ (values * self.S[..., 0, :]).unsqueeze(-1)
        found = self.size.unsqueeze(-1) * (small.mT @ self.basis[..., : self.steps, :]).squeeze(-2)
        return found.sum(0)


def _unit(vector: Tensor, length: Tensor, smallest: Tensor) -> Tensor:
    kept = length > smallest
    return torch.where(kept.unsqueeze(-1), vector / torch.where(kept, length, 1.0).unsqueeze(-1), 0.0)
