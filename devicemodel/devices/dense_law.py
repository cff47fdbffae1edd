"""`DenseLaw`: the law of a program's cells with its transitions written out, kept while the program is loaded.

Propagator, response and the root of the covariance over a span are computed once, by doubling, and serve all runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..ou.doubling import integrate
from ..ou.gaussian import normal, root, rows
from ..ou.recent import Recent
from .cell_coefficients import CellCoefficients
from .cell_law import CellLaw


class Span(NamedTuple):
    """v(t) = E v(0) + W u + R z, (n, n) each, for a constant u and a standard normal z. R is None without noise."""

    propagator: Tensor
    response: Tensor
    root: Tensor | None


class DenseLaw:
    """Runs of one program.

    Args:
        law: finite; its drive is not used. cells: what it is of. tau: s, the unit of durations. noisy: whether there is thermal noise.
    """

    def __init__(self, law: CellLaw, cells: CellCoefficients, tau: float, noisy: bool) -> None:
        self.cells, self.noisy, self._law, self._tau = cells, noisy, law, tau
        self._drift, self._slow, self._delay = (
            torch.from_numpy(part) for part in (law.drift * tau, law.slow * tau, law.delay / tau)
        )
        self._spans: Recent[Span | None] = Recent()

    @property
    def stable(self) -> bool:
        """Whether every mode decays."""
        return float(torch.linalg.eigvals(self._drift).real.max()) < 0

    def slow_start(self, state: Tensor, force: Tensor) -> Tensor:
        """See `cell_law.CellLaw.slow_start`; rows (m, n)."""
        eye = torch.eye(state.shape[1], dtype=state.dtype)
        slope = rows(self._drift, state) + rows(self._slow, force)
        return state - rows(self._delay, torch.linalg.solve(eye + self._drift @ self._delay, slope.mT).mT)

    def mean(self, start: Tensor, force: Tensor, duration: float, standing: bool = False) -> Tensor | None:
        """Voltages (m, n) after `duration` tau from starts (m, n) under forces (m, n) A; None: there are none.

        Args:
            standing: whether cells stand still at first (`slow_start`).
        """
        if standing:
            start = self.slow_start(start, force)
        span = self._span(duration)
        return None if span is None else rows(span.propagator, start) + rows(span.response, rows(self._slow, force))

    def noise(self, duration: float, generators: Sequence[torch.Generator]) -> Tensor | None:
        """Thermal noise (m, n) V of a run of `duration` tau, a row by each generator; None: there is none that is finite."""
        span = self._span(duration)
        if span is None or span.root is None:
            return None
        return torch.stack([rows(span.root, normal((len(span.root),), one, span.root)) for one in generators])

    def _span(self, duration: float) -> Span | None:
        return self._spans.get(duration, lambda: self._made(duration))

    def _made(self, duration: float) -> Span | None:
        diffusion = torch.from_numpy(self._law.diffusion * self._tau) if self.noisy else None
        step = integrate(self._drift, None, duration, diffusion)
        parts = [part for part in (step.propagator, step.mean, step.covariance) if part is not None]
        if not step.settled or not all(bool(torch.isfinite(part).all()) for part in parts):
            return None
        return Span(step.propagator, step.mean, None if step.covariance is None else root(step.covariance))
