"""`DenseLaw`: the law of a program's cells with its transitions written out, kept while the program is loaded.

Propagator, response and the root of the covariance over a span are computed once, by doubling, and serve all runs (`law_span`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..ou.doubling import integrate
from ..ou.gaussian import normal, rows
from ..ou.recent import Recent
from .amplifier_noise import direct_noise
from .cell_coefficients import CellCoefficients
from .cell_law import CellLaw
from .law_span import LawSpan, driven_sections, followed, law_span, padded

UNFILTERED = 1e8
"""Bandwidth of a sampler over the fastest rate from which it follows the slow motion to rounding."""


class Motion(NamedTuple):
    """Where some runs are, a row each.

    Attributes:
        slow: y, with a sampler of finite bandwidth [y, s], (m, n) or (m, 2 n) V.
        direct: z, (m, n) V.
        sections: of the 1/f noise, (m, kinds, k, n), of unit variance; None: there are none.
    """

    slow: Tensor
    direct: Tensor
    sections: Tensor | None = None


class DenseLaw:
    """Runs of one program.

    Args:
        law: finite; its drive is not used. cells: what it is of. tau: s, the unit of durations.
        noisy: whether there is noise of resistors and amplifiers.
        bandwidth: of the sampler, Hz.

    Raises:
        InputError: amplifier noise of infinite bandwidth.
    """

    def __init__(
        self, law: CellLaw, cells: CellCoefficients, tau: float, noisy: bool, bandwidth: float = math.inf
    ) -> None:
        self.cells, self.noisy, self._law, self._tau = cells, noisy, law, tau
        self._drift, self._slow, self._delay = (
            torch.from_numpy(part) for part in (law.drift * tau, law.slow * tau, law.delay / tau)
        )
        self._size = len(self._drift)
        sampler = 2 * math.pi * bandwidth * tau
        self._sampler = sampler if sampler < UNFILTERED * float(self._drift.abs().sum(dim=1).max()) else math.inf
        self._direct = None
        if noisy and law.voltage is not None:
            found = direct_noise(law.voltage, 2 * math.pi * bandwidth)
            self._direct = found._replace(rate=found.rate * tau)
        self._sections = law.sections if noisy else ()
        self._spans: Recent[LawSpan | None] = Recent()

    @property
    def stable(self) -> bool:
        """Whether every mode decays."""
        return float(torch.linalg.eigvals(self._drift).real.max()) < 0

    def slow_start(self, state: Tensor, force: Tensor) -> Tensor:
        """See `cell_law.CellLaw.slow_start`; rows (m, n)."""
        eye = torch.eye(state.shape[1], dtype=state.dtype)
        slope = rows(self._drift, state) + rows(self._slow, force)
        return state - rows(self._delay, torch.linalg.solve(eye + self._drift @ self._delay, slope.mT).mT)

    def begin(self, state: Tensor, force: Tensor, standing: bool, sections: Tensor | None = None) -> Motion:
        """Runs of cells at voltages (m, n), which a sampler has followed, under forces (m, n) A.

        Args:
            standing: whether cells stand still at first (`slow_start`).
            sections: see `Motion`; None: at zero, if there are any.
        """
        slow = self.slow_start(state, force) if standing else state
        slow = slow - self._seen_of(sections)
        if math.isfinite(self._sampler):
            slow = torch.cat([slow, state], dim=1)
        return Motion(slow, torch.zeros_like(state), sections)

    def advance(
        self,
        motion: Motion,
        force: Tensor,
        duration: float,
        generators: Sequence[torch.Generator] = (),
        sections: Tensor | None = None,
    ) -> Motion | None:
        """The runs `duration` tau > 0 later, with noise from a generator for each, or none; None: there is no such state.

        Args:
            sections: those of the 1/f noise at the end; None: those of `motion`.
        """
        span = self._span(duration)
        if span is None:
            return None
        slow = rows(span.propagator, motion.slow) + rows(span.response, rows(self._slow, force))
        direct = motion.direct
        if generators and span.root is not None:
            slow = slow + torch.stack(
                [rows(span.root, normal((len(span.root),), one, span.root)) for one in generators]
            )
        if generators and span.direct_root is not None and span.direct_slow is not None:
            drawn = [rows(span.direct_root, normal((self._size,), one, span.direct_root)) for one in generators]
            fresh = torch.stack(drawn)
            slow = slow + rows(span.direct_slow, fresh)
            assert span.direct_left is not None
            direct = span.direct_left * direct + fresh
        arrived = motion.sections if sections is None else sections
        if span.carried is not None and span.arrived is not None and motion.sections is not None:
            assert arrived is not None
            slow = slow + rows(span.carried, motion.sections.flatten(1)) + rows(span.arrived, arrived.flatten(1))
        return Motion(slow, direct, arrived)

    def read(self, motion: Motion) -> Tensor:
        """What a sampler holds, (m, n) V."""
        if math.isfinite(self._sampler):
            return motion.slow[:, self._size :] + motion.direct
        return motion.slow + motion.direct + self._seen_of(motion.sections)

    def left(self, motion: Motion) -> Tensor:
        """Where cells go on from, (m, n) V: without the direct noise, which the next run has of its own."""
        return motion.slow[:, : self._size] + self._seen_of(motion.sections)

    def mean(self, start: Tensor, force: Tensor, duration: float, standing: bool = False) -> Tensor | None:
        """Voltages (m, n) after `duration` tau from starts (m, n) under forces (m, n) A, without noise; None: there are none."""
        found = self.advance(self.begin(start, force, standing), force, duration)
        return None if found is None else self.left(found)

    def noise(self, duration: float, generators: Sequence[torch.Generator]) -> Tensor | None:
        """Noise (m, n) V of the slow motion in a run of `duration` tau, a row by each generator; None: there is none that is finite."""
        span = self._span(duration)
        if span is None or span.root is None:
            return None
        return torch.stack([rows(span.root, normal((len(span.root),), one, span.root)) for one in generators])

    def _seen_of(self, sections: Tensor | None) -> Tensor | float:
        """N e, (m, n) V."""
        if sections is None:
            return 0.0
        kinds = enumerate(self._sections)
        return sum(
            (rows(one.share, _weighted(one.deviations, sections[:, k])) for k, one in kinds if one.share is not None),
            torch.zeros(()),
        )

    def _span(self, duration: float) -> LawSpan | None:
        return self._spans.get(duration, lambda: self._made(duration))

    def _made(self, duration: float) -> LawSpan | None:
        drift, diffusion = followed(self._drift, self._sampler), None
        if self.noisy:
            diffusion = padded(torch.from_numpy(self._law.diffusion * self._tau), len(drift))
        diffusion, driven = driven_sections(drift, diffusion, self._sections, self._sampler, self._tau, duration)
        step = integrate(drift, None, duration, diffusion)
        parts = [part for part in (step.propagator, step.mean, step.covariance) if part is not None]
        if not step.settled or not all(bool(torch.isfinite(part).all()) for part in parts):
            return None
        return law_span(step, drift, self._size, self._direct, driven, self._sampler, duration)


def _weighted(deviations: Tensor, sections: Tensor) -> Tensor:
    """Their sum in V, (m, n), of sections (m, k, n) of unit variance."""
    return torch.einsum("k,mkn->mn", deviations, sections)
