"""`StateSpaceLaw`: exact runs of a `LinearLaw`, with all of its states; as `DenseLaw` has them of cells of first order.

    dz/dt = F z + B u + c + noise of Q dt + H e,      v = R z,

over a span of time by doubling (`ou.doubling`), with the sampler's states ds/dt = w (R z - s) beside z and the sections e of the
amplifiers' 1/f noise given at both ends (`flicker`). Webers, volts and amperes are scaled to sizes that the drift balances, by powers of
two, so that nothing is rounded for it. A `Motion` of it has these states, in units of their scale, and nothing direct.

Cells that swing have their largest voltages between readings. `peak` looks for them without noise on a grid of equal steps, of which
`SWING` fall on one turn of the fastest mode that is kept: seen on it, a sine is within 1 - cos(pi / SWING) of its peak, 8 %. These steps
are those of the doubling.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from scipy.linalg import matrix_balance
from torch import Tensor

from ...circuits.technology.parts import OpAmp
from ...compiler.linear_law import LinearLaw
from ..ou.doubling import Transition, doublings, integrate
from ..ou.gaussian import normal, rows
from ..ou.recent import Recent
from .dense_law import UNFILTERED, Motion
from .flicker import linear_sections
from .law_span import LawSpan, driven_sections, law_span
from .overload import share_along

SWING, RUN, MOST, PIECE = 8, 64, 2**16, 1024
"""Points of the grid for peaks: of a turn, of a span at least where it is not short for every mode, at most, and at once of all runs."""
SEEN, LEFT, DOUBLINGS = 0.05, 0.1, 60
"""Modes of what is kept are told from one another once it has moved by so much, and while so much is left of each; most doublings."""
AT_REST = 12.0
"""Slowest time constants after which a settled run stands still."""


class StateSpaceLaw:
    """Runs of one program.

    Args:
        law: finite. opamp: of its amplifiers. tau: s, the unit of durations.
        noise_power: factor of all noise; 0: there is none.
        bandwidth: of the sampler, Hz.
    """

    def __init__(
        self, law: LinearLaw, opamp: OpAmp, tau: float, noise_power: float = 0.0, bandwidth: float = math.inf
    ) -> None:
        self.law, self.noisy, self._opamp, self._tau = law, noise_power > 0, opamp, tau
        _, (scale, _) = matrix_balance(law.drift * tau, permute=False, separate=True)
        m, n = law.order, law.size
        balanced, shown = law.drift * tau * scale / scale[:, None], law.read * scale
        sampler = 2 * math.pi * bandwidth * tau
        filtered = sampler < UNFILTERED * float(np.abs(balanced).sum(axis=1).max())
        # What a sampler holds is scaled so that its row of the drift is as large as its rate.
        held = 2.0 ** np.round(np.log2(np.abs(shown).sum(axis=1))) if filtered else np.ones(0)
        self._scale = np.concatenate([scale, held])
        x = len(self._scale)
        drift, diffusion = np.zeros((x, x)), np.zeros((x, x))
        drift[:m, :m] = balanced
        if filtered:
            drift[m:, :m], drift[m:, m:] = sampler * shown / held[:, None], -sampler * np.eye(n)
        diffusion[:m, :m] = noise_power * tau * (law.johnson + law.amplifiers) / np.outer(scale, scale)
        self._drift, self._diffusion = torch.from_numpy(drift), torch.from_numpy(diffusion)
        self._drive, self._constant = self._into(law.drive * tau), self._into(law.constant * tau)
        begun = np.concatenate([law.start, law.read @ law.start]) if filtered else law.start
        self._start = torch.from_numpy(begun / self._scale[:, None])
        self._kept = torch.from_numpy(np.pad(law.kept * scale, [(0, 0), (0, x - m)]))
        self._read = torch.from_numpy(np.eye(n, x, m) * self._scale if filtered else shown)
        sections = linear_sections(law, opamp, noise_power) if self.noisy else []
        self._sections = [one._replace(slow=self._into(one.slow.numpy())) for one in sections]
        self._spans: Recent[_Span | None] = Recent()

    def _into(self, values: np.ndarray) -> Tensor:
        """What drives the circuit's states, (m,) or (m, k), among all states, scaled."""
        m, more = len(values), len(self._scale) - len(values)
        return torch.from_numpy(np.concatenate([(values.T / self._scale[:m]).T, np.zeros((more, *values.shape[1:]))]))

    @property
    def stable(self) -> bool:
        """Whether every mode decays."""
        return float(torch.linalg.eigvals(self._drift).real.max()) < 0

    def begin(self, state: Tensor, force: Tensor, standing: bool = True, sections: Tensor | None = None) -> Motion:
        """Runs of cells set to voltages (runs, h).

        Args:
            force, standing: of no effect: what starts slowly is among the states.
            sections: see `Motion`; None: at zero, if there are any.
        """
        return Motion(rows(self._start, state), state[:, :0], sections)

    def advance(
        self,
        motion: Motion,
        force: Tensor,
        duration: float,
        generators: Sequence[torch.Generator] = (),
        sections: Tensor | None = None,
    ) -> Motion | None:
        """The runs `duration` tau > 0 later, under drive currents (runs, n) A, with noise from a generator for each, or none; None: there
        is no such state.

        Args:
            sections: those of the 1/f noise at the end; None: those of `motion`.
        """
        found = self._span(duration)
        if found is None:
            return None
        span = found.law
        moved = rows(span.propagator, motion.slow) + rows(span.response, self._driven(force))
        if generators and span.root is not None:
            moved = moved + torch.stack(
                [rows(span.root, normal((len(span.root),), one, span.root)) for one in generators]
            )
        arrived = motion.sections if sections is None else sections
        if span.carried is not None and span.arrived is not None and motion.sections is not None:
            assert arrived is not None
            moved = moved + rows(span.carried, motion.sections.flatten(1)) + rows(span.arrived, arrived.flatten(1))
        return Motion(moved, motion.direct, arrived)

    def read(self, motion: Motion) -> Tensor:
        """What a sampler holds, (runs, n) V."""
        return rows(self._read, motion.slow)

    def left(self, motion: Motion) -> Tensor:
        """What the next run goes on from, (runs, h) V."""
        return rows(self._kept, motion.slow)

    def mean(self, start: Tensor, force: Tensor, duration: float, standing: bool = False) -> Tensor | None:
        """Voltages that are kept, (runs, h), after `duration` tau from starts (runs, h) under currents (runs, n) A, without noise; None:
        there are none."""
        found = self.advance(self.begin(start, force, standing), force, duration)
        return None if found is None else self.left(found)

    def peak(self, motion: Motion, force: Tensor, duration: float) -> np.ndarray:
        """Largest share of its range that any amplifier uses within `duration` tau, without noise, (runs,): above 1 its output is not held.

        Args:
            motion: at first. force: drive currents, (runs, n) A. duration: inf allowed.

        Returns:
            zeros of a law without amplifiers, and of one that has no such state.
        """
        outputs, found = self.law.outputs, np.zeros(len(force))
        span = None if outputs is None else self._span(duration)
        if outputs is None or span is None:
            return found
        amperes = force.numpy()
        for path in _path(span.steps, motion.slow, self._driven(force)):
            states = path[..., : self.law.order].numpy() * self._scale[: self.law.order]
            found = np.maximum(found, share_along(self._opamp, outputs, states, amperes))
        return found

    def _driven(self, force: Tensor) -> Tensor:
        """B u + c, (..., x) of scaled states a tau."""
        return rows(self._drive, force) + self._constant

    def _span(self, duration: float) -> _Span | None:
        return self._spans.get(duration, lambda: self._made(duration))

    def _made(self, duration: float) -> _Span | None:
        diffusion = self._diffusion if self.noisy else None
        # What a section drives of the sampler's states is nothing, so that it counts as one of the circuit's.
        diffusion, driven = driven_sections(self._drift, diffusion, self._sections, math.inf, self._tau, duration)
        if math.isinf(duration):
            step, steps = integrate(self._drift, None, duration, diffusion), self._halved(self._pace.settled)
        else:
            steps = self._halved(duration, diffusion)
            step = steps[-1]
        parts = [part for part in (step.propagator, step.mean, step.covariance) if part is not None]
        if not step.settled or not all(bool(torch.isfinite(part).all()) for part in parts):
            return None
        return _Span(law_span(step, self._drift, len(self._drift), None, driven, math.inf, duration), steps)

    def _halved(self, duration: float, diffusion: Tensor | None = None) -> list[Transition]:
        """Transitions over duration / 2^k, short enough to see swings, ... up to duration, the last alone with its covariance."""
        halvings = math.ceil(math.log2(min(max(duration / self._pace.step, RUN), MOST)))
        *steps, whole = deque(doublings(self._drift, None, duration, diffusion), halvings + 1)
        return [*(replace(one, covariance=None) for one in steps), whole]

    @cached_property
    def _pace(self) -> _Pace:
        modes = kept_modes(self.law) * self._tau
        # What dies out within a turn does not overshoot.
        fastest = np.abs(modes.imag[np.abs(modes.imag) > np.abs(modes.real)]).max(initial=0.0)
        slowest = -float(modes.real.max())
        step = 2 * math.pi / (SWING * float(fastest)) if fastest > 0 else math.inf
        return _Pace(step, AT_REST / slowest if slowest > 0 else MOST * min(step, 1.0))


class _Pace(NamedTuple):
    """Longest step that still follows the swings of what is kept, tau, inf where nothing swings; and the time after which a run that does
    not end stands still."""

    step: float
    settled: float


class _Span(NamedTuple):
    """A span of time, and the transitions over 2^-k, ..., 1/2 of it and all of it, of a settled run those of the time until it stands."""

    law: LawSpan
    steps: list[Transition]


def _path(steps: Sequence[Transition], state: Tensor, driven: Tensor) -> Iterator[Tensor]:
    """States (runs, points, x) on a grid of the first of the steps, the start and the end among them, in pieces.

    Args:
        steps: each of twice the time of the one before. state, driven: (runs, x).
    """
    path, held = state.unsqueeze(1), 0
    while held < len(steps) - 1 and 2 * path.shape[1] * len(state) <= PIECE:
        path = torch.cat([path, _onward(steps[held], path, driven)], dim=1)
        held += 1
    for _ in range(2 ** (len(steps) - 1 - held) - 1):
        yield path
        path = _onward(steps[held], path, driven)
    yield path
    yield _onward(steps[0], path[:, -1:], driven)


def _onward(step: Transition, path: Tensor, driven: Tensor) -> Tensor:
    """States (runs, points, x) a step later, under what drives them, (runs, x)."""
    return rows(step.propagator, path) + rows(step.mean, driven).unsqueeze(1)


def kept_modes(law: LinearLaw) -> np.ndarray:
    """Natural frequencies of what is kept, (h,) 1/s: those of the circuit without modes of the amplifiers, which are faster.

    Over a time s in which these have died out, M(s) = K exp(F s) H has the other modes alone, and M(s)^-1 M(2 s) their factors
    exp(lambda s). The longest s is taken in which none turns by more than a radian, or falls below `LEFT`.
    """
    _, (scale, _) = matrix_balance(law.drift, permute=False, separate=True)
    drift = torch.from_numpy(law.drift * scale / scale[:, None])
    time = 0.25 / float(drift.abs().sum(dim=1).max())
    onward = torch.linalg.matrix_exp(drift * time).numpy()
    start, kept = law.start / scale[:, None], law.kept * scale
    before, found = kept @ onward @ start, np.zeros(len(kept), complex)
    still = np.eye(len(kept))
    for _ in range(DOUBLINGS):
        onward = onward @ onward
        after = kept @ onward @ start
        if np.abs(after - still).max() > SEEN:
            factors = np.linalg.eigvals(np.linalg.solve(before, after)).astype(complex)
            turn, size = np.abs(np.angle(factors)).max(), np.abs(factors)
            if found.any() and not (turn <= 1.0 and LEFT <= size.min() <= size.max() <= 1 / LEFT):
                break
            found = np.log(factors) / time
        before, time = after, 2 * time
    return found
