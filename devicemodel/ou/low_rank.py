"""Laws of A = J^T H J + damping I with the same noise in each of the N states, without N x N numbers.

With H = R R^T, J' = R^T J and the eigenvalues w of the k x k Gram matrix J' J'^T = U diag(w) U^T:

    f(A) v = f(damping) v - J'^T s(J' J'^T) J' v,   s(w) = (f(damping) - f(damping + w)) / w.

The divided difference needs no normalised right vectors J'^T U w^{-1/2}, so small singular values cost no accuracy. Sums over the N states
are taken in float64 whatever the type of J, since stiff directions are differences: b / damping less nearly all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor

from ...circuits.errors import InputError
from ..checks import batch_of
from ..systems import LowRank
from .functions import Decay, Function, Response, Spread
from .gaussian import normal, rows
from .gram import Gram
from .recurrence import Decays, diagonal_recurrence, runs
from .spectral import SpectralLaw

COLUMNS = 8192
"""Columns of a float32 J that are held in float64 at a time."""
TOLERANCE = {torch.float32: 1e-7, torch.float64: 1e-9}
"""Of functions taken by Lanczos' method, relative."""


class LowRankLaw(SpectralLaw):
    """The laws of a process with a low-rank drift.

    Args:
        drift: J with fewer rows than columns, H, damping.
        rate: of the noise, D = rate I.
    """

    def __init__(self, drift: LowRank, rate: float) -> None:
        self.J, self.damping, self.rate = drift.J, float(drift.damping), rate
        self.root = None if drift.H is None else _root(drift.H)
        self.batch = drift.batch

    @cached_property
    def gram(self) -> Gram:
        """J' J'^T."""
        total = sum(part @ part.mT for _, part in self._parts(self.J[..., :1, :]))
        assert isinstance(total, Tensor)
        return Gram(total if self.root is None else self.root.mT @ total @ self.root)

    @cached_property
    def modes(self) -> Tensor:
        """J'^T U, (..., N, k), in the type of J."""
        U = self.gram.eigen[1]
        return self.J.mT @ (U if self.root is None else self.root @ U).to(self.J.dtype)

    def apply(self, terms: list[tuple[Function, Tensor]]) -> Tensor:
        """sum of f(A) v, by the method that `Gram` chooses."""
        outside: Tensor | None = None
        for f, v in terms:
            part = self._at_damping(f) * v
            outside = part if outside is None else outside + part
        assert outside is not None
        inner = [(f, self._to_rows(v)) for f, v in terms]
        found = self.gram.sum(inner, self.damping, outside.norm(dim=-1), TOLERANCE[self.J.dtype])
        return outside + self._to_states(found.coefficients)

    def draw(self, deviation: Function, xi: Tensor) -> Tensor:
        """f(A) xi."""
        return self.apply([(deviation, xi)])

    def variance(self, deviation: Function) -> Tensor:
        """Diagonal of f(A)^2."""
        square: Function = lambda a: deviation(a) ** 2  # noqa: E731
        slopes = self.gram.slopes(square, self.damping).unsqueeze(-1)
        taken = torch.cat([(slopes * part**2).sum(-2) for part in self._modes()], dim=-1)
        return self._at_damping(square) - taken

    def outer(self, deviation: Function) -> Tensor:
        """f(A)^2."""
        return self._dense(lambda a: deviation(a) ** 2)

    def propagator(self, t: float) -> Tensor:
        """exp(-A t)."""
        return self._dense(Decay(t))

    def slowest(self) -> float:
        """The damping: J has fewer rows than columns."""
        return self.damping

    def walk(self, x: Tensor, u: Tensor, steps: Tensor, generator: torch.Generator | None) -> Tensor:
        """States after each step: x = xi + B d, B = J'^T U.

        xi is what the process would be without J', one rate for all states; d, in the k modes, is what J' takes away from it:

            d <- e^{-(damping + w) h} d - s_decay(w) B^T xi - s_response(w) B^T u - s_spread(w) B^T (the step's shock).
        """
        w, B, u = self.gram.eigen[0], self.modes, u.to(x.dtype).unsqueeze(-2)
        batch = batch_of(self.batch, x.shape[:-1], u.shape[:-2])
        pushed = u @ B
        base = torch.full((1,), self.damping, dtype=w.dtype, device=w.device)
        pieces = []
        for step, count in runs(steps):
            decay, response, spread = Decay(step), Response(step), Spread(step, self.rate)
            slopes = {f: self.gram.slopes(f, self.damping).unsqueeze(-2).to(x.dtype) for f in (decay, response, spread)}
            held = torch.full((count,), step, dtype=torch.float64, device="cpu")
            shocks = x.new_zeros(*batch, count, x.shape[-1])
            if generator is not None:
                shocks = normal(shocks.shape, generator, x)
            struck = shocks @ B
            alone = shocks.mul_(float(spread(base))).add_(float(response(base)) * u)
            inner = float(spread(base)) * struck + float(response(base)) * pushed
            first = (x.unsqueeze(-2) @ B).squeeze(-2)
            free = Decays.of(base, held, x.dtype)
            inner = diagonal_recurrence(inner, first, free)
            before = torch.cat([first.unsqueeze(-2).expand_as(inner[..., :1, :]), inner[..., :-1, :]], dim=-2)
            taken = -(slopes[decay] * before + slopes[response] * pushed + slopes[spread] * struck)
            bound = Decays.of(w + self.damping, held, x.dtype)
            taken = diagonal_recurrence(taken, torch.zeros_like(taken[..., 0, :]), bound)
            alone = diagonal_recurrence(alone, x, free)
            pieces.append(alone + taken @ B.mT)
            x = pieces[-1][..., -1, :]
        return torch.cat(pieces, dim=-2)

    def _at_damping(self, function: Function) -> Tensor:
        return function(torch.full((), self.damping, dtype=torch.float64, device=self.J.device))

    def _parts(self, v: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """v and J in float64, a range of columns at a time."""
        width = self.J.shape[-1] if self.J.dtype == torch.float64 else COLUMNS
        for some, part in zip(v.split(width, dim=-1), self.J.split(width, dim=-1), strict=True):
            yield some.double(), part.double()

    def _to_rows(self, v: Tensor) -> Tensor:
        """J' v."""
        total = sum(rows(part, some) for some, part in self._parts(v))
        assert isinstance(total, Tensor)
        return total if self.root is None else rows(self.root.mT, total)

    def _to_states(self, c: Tensor) -> Tensor:
        """J'^T c."""
        mixed = c if self.root is None else rows(self.root, c)
        return torch.cat([rows(part.mT, mixed) for _, part in self._parts(self.J[..., :1, :])], dim=-1)

    def _modes(self) -> Iterator[Tensor]:
        """U^T J' in float64, a range of columns at a time."""
        U = self.gram.eigen[1]
        mixed = U if self.root is None else self.root @ U
        for _, part in self._parts(self.J[..., :1, :]):
            yield mixed.mT @ part

    def _dense(self, function: Function) -> Tensor:
        modes = torch.cat(list(self._modes()), dim=-1)
        eye = torch.eye(self.J.shape[-1], dtype=modes.dtype, device=modes.device)
        return self._at_damping(function) * eye - modes.mT @ (
            self.gram.slopes(function, self.damping).unsqueeze(-1) * modes
        )


def _root(H: Tensor) -> Tensor:
    """R with R R^T = H in float64: Cholesky's factor, or by eigenvalues where H is singular (as a softmax' is)."""
    symmetric = (H.double() + H.double().mT) / 2
    factor, info = torch.linalg.cholesky_ex(symmetric)
    if not bool((info > 0).any()):
        return factor
    mu, vectors = torch.linalg.eigh(symmetric)
    if bool((mu < -1e3 * torch.finfo(H.dtype).eps * mu.abs().amax(-1, keepdim=True)).any()):
        raise InputError(
            f"H has the eigenvalue {float(mu.min()):.3g}: a low-rank drift takes a positive semi-definite H; give the dense matrix "
            "instead"
        )
    return vectors * mu.clamp(min=0).sqrt().unsqueeze(-2)
