"""The exact law of a system whose eigenvalues nobody needs: N states with A = J^T J + damping and J known by its products alone, or k
states with A = K + damping and K = J J^T.

The state at t is a sum of functions of A: e^{-A t} x0 + phi(A, t) b + sqrt(kappa0 phi(A, 2t)) xi. All of them are taken
through the k x k Gram matrix at once (`ou.gram`), by Lanczos' method with its error bound where it converges in few steps and
by eigenvalues else, so that the work beside the Gram matrix is one product with J for each vector and one with J^T.
"""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from ..systems import Dense, Implicit
from .functions import Decay, Function, Response, Spread
from .gram import Gram

_TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-8}
LARGE = 256
"""Rows below which eigenvalues are as fast as a few steps of Lanczos' method."""


class ProductLaw:
    """The law of an `Implicit` system; stable and with a settled state, since its damping is positive."""

    unstable = False

    def __init__(self, system: Implicit) -> None:
        self.system = system

    @cached_property
    def gram(self) -> Gram:
        """J J^T."""
        return Gram(self.system.J.gram())

    def state(self, x0: Tensor, b: Tensor, t: float, kappa0: float, xi: Tensor | None) -> Tensor:
        """x(t), (N,) float64, from x0 under the drive b, for the standard normal numbers xi (None: the mean)."""
        if t == 0:
            return x0.clone()
        terms = terms_of(x0, b, t, kappa0, xi)
        J, damping = self.system.J, float(self.system.damping)
        at_damping = torch.tensor(damping, dtype=torch.float64, device=b.device)
        outside = torch.zeros_like(b)
        for f, v in terms:
            outside += f(at_damping) * v
        pushed = {id(v): J.matvec(v).double() for v in {id(v): v for _, v in terms}.values()}
        inner: list[tuple[Function, Tensor]] = [(f, pushed[id(v)]) for f, v in terms]
        tolerance = _TOLERANCE[self.system.dtype]
        found = self.gram.sum(inner, damping, outside.norm(), tolerance, _method(self.gram))
        return outside + J.rmatvec(found.coefficients).double()


class ShiftedLaw:
    """The law of a `Dense` system with a floor > 0; stable and with a settled state."""

    unstable = False

    def __init__(self, system: Dense) -> None:
        self.system = system
        K = system.A.detach().double().clone()
        K.diagonal().sub_(system.floor)
        self.gram = Gram(K)

    def state(self, x0: Tensor, b: Tensor, t: float, kappa0: float, xi: Tensor | None) -> Tensor:
        """x(t), (k,) float64; see `ProductLaw.state`."""
        if t == 0:
            return x0.clone()
        terms, tolerance = terms_of(x0, b, t, kappa0, xi), _TOLERANCE[self.system.dtype]
        return self.gram.inside(terms, self.system.floor, tolerance, _method(self.gram)).coefficients


def terms_of(x0: Tensor, b: Tensor, t: float, kappa0: float, xi: Tensor | None) -> list[tuple[Function, Tensor]]:
    """Functions of A and what they are applied to; one vector where drive and start are equal."""
    terms: list[tuple[Function, Tensor]] = [(Response(t), b)]
    if math.isfinite(t):
        terms.append((Decay(t), b if torch.equal(x0, b) else x0))
    if xi is not None:
        terms.append((Spread(t, 2 * kappa0), xi))
    return terms


def _method(gram: Gram) -> str:
    return "lanczos" if gram.matrix.shape[-1] >= LARGE and "eigen" not in gram.__dict__ else "auto"
