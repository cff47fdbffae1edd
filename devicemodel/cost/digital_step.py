"""Operations of a step of the digital optimizers, by the same host as that of the hybrid step (`model`).

N parameters, k rows of the curvature's factor J, F operations of a forward pass of the batch, c iterations, layers of a inputs (bias
included) and g outputs, which see r rows (samples, times the places of a layer that shares its weights):

| optimizer | operations |
|---|---|
| SGD, Adam | gradient, 3 F |
| NGD, by the k x k Gram matrix | derivatives of the dual layout, and k^3 / 3 + 2 k^2 for Cholesky's factorisation and its use |
| NGD, by a QR factorisation of J (N <= k / 2) | gradient, J, 2 N^2 k for the factorisation |
| NGD-CG | gradient, and 4 F for each of c products with C: a forward-mode and a backward pass |
| K-FAC | gradient, m backward passes of 2 F, r (a^2 + g^2) for the factors of a layer, 4 a g (a + g) for its step |
| K-FAC, every so many steps | 9 (a^3 + g^3) more, for the eigenvectors of a layer |

The orders are those of arXiv 2405.13817 (table 1), the factors those of the textbook algorithms: symmetric products at half of 2 n^2,
9 n^3 for eigenvectors of a symmetric matrix (G. H. Golub and C. F. Van Loan, Matrix Computations, 4th edition 2013, section 8.3). Updates,
of O(N), are left out. All count at the host's rate, as if its kernels were never short of work: of small networks, real machines take
longer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .workload import Workload

PRODUCT, EIGENVECTORS = 4.0, 9.0
"""Operations of a product with C, in forward passes; of a symmetric matrix' eigenvectors, in n^3."""


class DigitalWork(NamedTuple):
    """Operations of a digital step: of the derivatives, J and the Gram matrix among them, and of solving with them."""

    derivatives: float
    solve: float


def first_order(work: Workload) -> DigitalWork:
    """SGD, Adam, and others that take the gradient alone."""
    return DigitalWork(work.gradient_flops, 0.0)


def cholesky(unknowns: int) -> float:
    """Operations of a Cholesky factorisation, k^3 / 3, and of its use, 2 k^2."""
    k = float(unknowns)
    return k**3 / 3 + 2 * k**2


def by_gram(work: Workload) -> DigitalWork:
    """Exact natural gradient by Cholesky's factorisation of the Gram matrix."""
    return DigitalWork(work.derivatives("dual"), cholesky(work.sources))


def by_least_squares(work: Workload) -> DigitalWork:
    """Exact natural gradient by a QR factorisation of J."""
    return DigitalWork(work.gradient_flops + work.jacobian_flops, 2.0 * work.parameters**2 * work.sources)


def by_conjugate_gradients(work: Workload, iterations: int) -> DigitalWork:
    """Natural gradient by products with C."""
    return DigitalWork(work.gradient_flops, PRODUCT * work.forward_flops * iterations)


def by_kronecker_factors(
    work: Workload, layers: Iterable[tuple[int, int, int]], passes: int, refreshed: bool
) -> DigitalWork:
    """K-FAC.

    Args:
        layers: (a, g, r) of each. passes: m, backward passes for the factors.
        refreshed: whether the step computes the eigenvectors anew.
    """
    derivatives, solve = work.gradient_flops + 2 * work.forward_flops * passes, 0.0
    for a, g, rows in layers:
        derivatives += float(rows) * (a * a + g * g)
        solve += 4.0 * a * g * (a + g)
        solve += EIGENVECTORS * (a**3 + g**3) if refreshed else 0.0
    return DigitalWork(derivatives, solve)
