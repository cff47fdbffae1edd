"""The digital side of iterative refinement: A x = b by products with A and a reading for each residual.

A reading z of r is what a device makes of A z = r: about A^-1 r, but neither symmetric nor linear nor the same twice. An iteration is a
generator, which yields r and is sent z: so the readings of many iterations can be taken in one call of the device.

    Richardson      x <- x + reading of b - A x                                error <- (I - B A) error, for a linear reading B
    flexible CG     the A-norm of the error is minimised along each reading, made A-orthogonal to all earlier ones
    GCR             |b - A x| is minimised over all readings

Richardson converges where the spectral radius of I - B A is below one. Flexible CG (Y. Notay, SIAM J. Sci. Comput. 22:1444, 2000) takes any
B of positive definite symmetric part; with z = r it is the conjugate gradient method. Where it meets r^T z <= 0 or no curvature, or
the residual stalls, the readings so far are kept and GCR goes on (S. Eisenstat, H. Elman, M. Schultz, SIAM J. Numer. Anal. 20:345, 1983).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]
"""x (n,) -> A x, float64."""
STALL, CG_STALL = 3, 10
"""Rounds without a smaller residual after which Richardson's iteration is given up, and GCR takes over from CG (whose residual may rise for
some rounds, while the A-norm of the error falls)."""
RECURRENCE = 1e-12
"""Residual over |b| below which what CG subtracts is not taken for one: its rounding, kappa times that of the type, does not shrink."""
DEPENDENT = 1e-10
"""Share of a product that must be new for its direction to count."""


@dataclass(frozen=True, eq=False)
class Iterated:
    """Where an iteration ended.

    Attributes:
        x: (n,), the one of the smallest residual. residuals: |b - A x| / |b| after each reading. products: with A.
        complete: False: a reading failed.
    """

    x: Tensor
    residuals: tuple[float, ...]
    products: int
    complete: bool


Iteration: TypeAlias = Generator[Tensor, Tensor | None, Iterated]
"""Yields r, (n,) float64, and is sent what a device makes of A z = r, of the same kind, or None: nothing."""


def richardson(product: Product, b: Tensor, rounds: int, tolerance: float) -> Iteration:
    """At most 1 + `rounds` readings, until |b - A x| <= tolerance |b|, b != 0."""
    x, best, r, scale = torch.zeros_like(b), torch.zeros_like(b), b, float(b.norm())
    residuals: list[float] = []
    for _ in range(1 + rounds):
        z = yield r
        if z is None:
            return Iterated(best, tuple(residuals), len(residuals), False)
        x = x + z
        r = b - product(x)
        residuals.append(float(r.norm()) / scale)
        if residuals[-1] <= min(residuals):
            best = x
        if residuals[-1] <= tolerance or _stalls(residuals, STALL) or not bool(torch.isfinite(r).all()):
            break
    return Iterated(best, tuple(residuals), len(residuals), True)


def flexible_cg(product: Product, b: Tensor, rounds: int, tolerance: float) -> Iteration:
    """As `richardson`. A round takes one product, and the residual that ends the iteration, or is near the rounding, one more."""
    x, best, r, scale = torch.zeros_like(b), torch.zeros_like(b), b, float(b.norm())
    residuals: list[float] = []
    space, products = Space(), 0
    for k in range(1 + rounds):
        z = yield r
        if z is None:
            return Iterated(best, tuple(residuals), products, False)
        q = product(z)
        step = space.step(z, q, r, stalled=_stalls(residuals, CG_STALL))
        products += 1
        if step is None:
            # The reading says nothing new: so would the next one.
            break
        x, r = x + step[0], r - step[1]
        if k == rounds or float(r.norm()) <= max(tolerance, RECURRENCE) * scale:
            # What was subtracted has its rounding: the last word is that of a product.
            r, products = b - product(x), products + 1
        residuals.append(float(r.norm()) / scale)
        if residuals[-1] <= min(residuals):
            best = x
        if residuals[-1] <= tolerance:
            break
    return Iterated(best, tuple(residuals), products, True)


class Space:
    """The directions of an iteration and their products with A: A-orthogonal at first, with orthonormal products after a failure of CG."""

    def __init__(self) -> None:
        self._p: list[Tensor] = []
        self._q: list[Tensor] = []
        self.minimises_residual = False

    def step(self, z: Tensor, q: Tensor, r: Tensor, stalled: bool) -> tuple[Tensor, Tensor] | None:
        """Change of x and of A x for a reading z with q = A z, at the residual r; None: z brings nothing new."""
        if not self.minimises_residual:
            found = None if stalled or float(r @ z) <= 0 else self._conjugate(z, q, r)
            if found is not None:
                return found
        return self._residual(z, q, r)

    def _conjugate(self, z: Tensor, q: Tensor, r: Tensor) -> tuple[Tensor, Tensor] | None:
        """A step of flexible CG; None without curvature."""
        p, size = z, float(z @ q)
        for one, image in zip(self._p, self._q, strict=True):
            share = float(p @ image) / float(one @ image)
            p, q = p - share * one, q - share * image
        curvature = float(p @ q)
        if not curvature > DEPENDENT * abs(size):
            return None
        self._p.append(p)
        self._q.append(q)
        length = float(p @ r) / curvature
        return length * p, length * q

    def _residual(self, z: Tensor, q: Tensor, r: Tensor) -> tuple[Tensor, Tensor] | None:
        """A step of GCR; the first one minimises the residual over all earlier directions, too."""
        new = [(z, q)]
        if not self.minimises_residual:
            new = [*zip(self._p, self._q, strict=True), (z, q)]
            self._p, self._q, self.minimises_residual = [], [], True
        change, image = torch.zeros_like(z), torch.zeros_like(z)
        for one, product in new:
            p, u, size = one, product, float(product.norm())
            # Twice is enough (W. Kahan, in B. Parlett, The Symmetric Eigenvalue Problem, 1980).
            for _ in range(2):
                for other, unit in zip(self._p, self._q, strict=True):
                    share = float(u @ unit)
                    p, u = p - share * other, u - share * unit
            length = float(u.norm())
            if not length > DEPENDENT * size:
                continue
            p, u = p / length, u / length
            self._p.append(p)
            self._q.append(u)
            share = float(u @ r)
            change, image = change + share * p, image + share * u
        return (change, image) if float(image.norm()) > 0 else None


def _stalls(residuals: list[float], rounds: int) -> bool:
    """Whether the last rounds brought no smaller residual."""
    return len(residuals) > rounds and min(residuals[-rounds:]) >= min(residuals[:-rounds])
