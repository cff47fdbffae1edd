"""The exact law of A = J^T J + damping with J known by its products alone, in N states and with noise in each of them.

The state at t is a sum of functions of A: e^{-A t} x0 + phi(A, t) b + sqrt(kappa0 phi(A, 2t)) xi. All of them are taken
through the k x k Gram matrix at once (`ou.gram`), by Lanczos' method with its error bound where it converges in few steps and
by eigenvalues else, so that the work beside the Gram matrix is one product with J for each vector and one with J^T.
"""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from .ou.functions import Decay, Function, Response, Spread
from .ou.gram import Gram
from .systems import Implicit

_TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-10}
_SMALL = 256
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

    def state(self, x0: Tensor, b: Tensor, t: float, noise: float, xi: Tensor | None) -> Tensor:
        """x(t), (N,) float64, from x0 under the drive b, for the standard normal numbers xi (None: the mean)."""
        if t == 0:
            return x0.clone()
        terms: list[tuple[Function, Tensor]] = [(Response(t), b)]
        if math.isfinite(t):
            terms.append((Decay(t), x0))
        if xi is not None:
            terms.append((Spread(t, 2 * noise), xi))
        J, damping = self.system.J, float(self.system.damping)
        at_damping = torch.tensor(damping, dtype=torch.float64, device=b.device)
        outside = torch.zeros_like(b)
        for f, v in terms:
            outside += f(at_damping) * v
        driven = J.push(b).double()
        inner: list[tuple[Function, Tensor]] = [(terms[0][0], driven)]
        for f, v in terms[1:]:
            inner.append((f, driven if v is x0 and torch.equal(x0, b) else J.push(v).double()))
        method = "lanczos" if self.gram.matrix.shape[-1] >= _SMALL and "eigen" not in self.gram.__dict__ else "auto"
        found = self.gram.sum(inner, damping, outside.norm(), _TOLERANCE[self.system.dtype], method)
        return outside + J.pull(found.coefficients).double()
