"""`KrylovRuns`: runs of a large program with amplifiers' direct and 1/f noise and a sampler of finite bandwidth; as `DenseLaw`.

The direct noise z is drawn first, and of the slow motion y the share that is known with it: V of `amplifier_noise` is all but diagonal, and
what e did in the last 2/a is taken off y's own noise. A sampler is a state beside each cell, [y, s], whose resolvent is y's
(`ou.krylov.shift_invert.Followed`). One that is `FAST` times as fast as the array filters y's noise as 1 + F / 2w, and z as there; a
slower one has white noise N e of its own in ds/dt, the same e as y's.

1/f noise is taken for constant over spans that grow towards the past (`flicker.bridged`): with g_j what the j-th would make of the cells
at rest,

    sum_j [exp(F u_j) - exp(F u_j+1)] g_j = g_0 + sum_j exp(F u_j) (g_j - g_j-1) - exp(F h) g_last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ...compiler.program import AnalogProgram
from ..card import DeviceCard
from ..ou.exponential_sum import exponential_sum
from ..ou.gaussian import normal, root, rows
from ..ou.krylov.shift_invert import Followed, terms
from .amplifier_noise import DirectNoise, direct_noise
from .cell_coefficients import CellCoefficients
from .cell_law import cell_law, sources_of
from .dense_law import UNFILTERED, DenseLaw, Motion
from .flicker import REST, bridged
from .krylov_law import ACCURACY, AT_REST, FINEST, NOISE_ACCURACY, RELATIVE, KrylovLaw

FIRST, GROWTH, FLICKER_ACCURACY = 0.5, 3.0, 5e-3
"""Of the spans that 1/f noise is taken for constant in: the last one times the fastest rate, and each one over the next: its deviation is
right to 1 %. And the accuracy of its steps."""
FAST = 20.0
"""Bandwidth of a sampler over the fastest rate, from which its lag behind the cells' noise is taken to first order."""


class KrylovRuns(KrylovLaw):
    """Runs of one program.

    Args:
        program, card, cells, noisy: see `KrylovLaw`.
        bandwidth: of the sampler, Hz.

    Raises:
        InputError: amplifier noise of infinite bandwidth.
    """

    def __init__(
        self,
        program: AnalogProgram,
        card: DeviceCard,
        cells: CellCoefficients,
        noisy: bool,
        bandwidth: float = math.inf,
    ) -> None:
        super().__init__(program, card, cells, noisy)
        pole = 2 * math.pi * bandwidth * self._tau
        self._bandwidth = bandwidth
        self._pole = pole if math.isinf(pole) or pole < UNFILTERED * self._rates[1] else math.inf
        self._direct: DirectNoise | None = None if self._voltage is None else direct_noise(self._voltage, pole)
        self._sources = sources_of(program, card, cells) if noisy else []

    def begin(self, state: Tensor, force: Tensor, standing: bool, sections: Tensor | None = None) -> Motion:
        """See `DenseLaw`."""
        slow = self.slow_start(state, force) if standing else state
        slow = slow - self._seen_of(sections)
        return Motion(
            slow if math.isinf(self._pole) else torch.cat([slow, state], 1), torch.zeros_like(state), sections
        )

    def advance(
        self,
        motion: Motion,
        force: Tensor,
        duration: float,
        generators: Sequence[torch.Generator] = (),
        sections: Tensor | None = None,
    ) -> Motion | None:
        """See `DenseLaw`."""
        arrived = motion.sections if sections is None else sections
        filtered = math.isfinite(self._pole)
        slow = self._followed(motion.slow, force, duration) if filtered else self.mean(motion.slow, force, duration)
        if slow is None:
            return self._whole.advance(motion, force, duration, generators, sections) if filtered else None
        direct = motion.direct
        if generators and self.noisy:
            together = self._voltage is not None and self._pole < FAST * self._rates[1]
            disturbed = self._followed_noise(duration, generators) if together else self.noise(duration, generators)
            if disturbed is None:
                return self._whole.advance(motion, force, duration, generators, sections)
            if filtered and not together:
                # To first order in what the sampler lags.
                late = disturbed - self._lagged(disturbed) / (2 * self._pole)
                disturbed = torch.cat([disturbed, late], dim=1)
            slow = slow + disturbed
            if self._direct is not None and not together:
                fresh, left = self._fresh(generators, duration)
                known = rows(self._direct.cross, fresh / self._direct.covariance.diagonal())
                seen = self._pole / (self._pole + float(self._direct.rate)) * known if filtered else known
                slow = slow + (torch.cat([known, seen], dim=1) if filtered else known)
                direct = left * direct + fresh
        if motion.sections is not None and arrived is not None and self._sources:
            slow = slow + self._flickered(motion.sections, arrived, duration, generators)
        return Motion(slow, direct, arrived)

    def read(self, motion: Motion) -> Tensor:
        """See `DenseLaw`."""
        if math.isfinite(self._pole):
            return motion.slow[:, len(self._conductance) :] + motion.direct
        return self.left(motion) + motion.direct

    def left(self, motion: Motion) -> Tensor:
        """See `DenseLaw`."""
        return motion.slow[:, : len(self._conductance)] + self._seen_of(motion.sections)

    def _fresh(self, generators: Sequence[torch.Generator], duration: float) -> tuple[Tensor, float]:
        """Draws (m, n) of what z has after `duration` tau that it had not at first, and the share of the latter that is left."""
        assert self._direct is not None
        left, size = math.exp(-float(self._direct.rate) * duration), (len(self._conductance),)
        drawn = [rows(self._direct_root, normal(size, one, self._direct_root)) for one in generators]
        return math.sqrt(1 - left**2) * torch.stack(drawn), left

    @cached_property
    def _direct_root(self) -> Tensor:
        assert self._direct is not None
        return root(self._direct.covariance)

    def _followed(self, start: Tensor, force: Tensor, duration: float) -> Tensor | None:
        """[y, s] after `duration` tau, (m, 2 n), without noise; None: not by a Krylov space, or there is none."""
        rest = torch.cat([self._rest(force)] * 2, dim=1)
        if not bool(torch.isfinite(rest).all()) or math.isinf(duration):
            return rest
        times = torch.full((len(start),), duration, dtype=start.dtype)
        scale = torch.maximum(rest.norm(dim=1), start.norm(dim=1))
        for accuracy in (ACCURACY, FINEST):
            moved = self._sampler.exponential(start - rest, times, accuracy * scale)
            if moved is not None and bool((accuracy * scale <= RELATIVE * (rest + moved).norm(dim=1)).all()):
                return rest + moved
        return None

    def _followed_noise(self, duration: float, generators: Sequence[torch.Generator]) -> Tensor | None:
        """Noise (m, 2 n) of [y, s] in a run, with what a slow sampler sees of e; None: not by a Krylov space."""
        slowest, fastest = self._filtered_rates
        if not self._expands:
            return None
        if duration * slowest > AT_REST:
            found = terms(self._sampler.gamma, slowest, fastest)
            if found is None:
                return None
            count, alpha = found
            return self._sampler.at_rest(self._followed_pushes(count + 1, generators), alpha)
        sums = self._sums.get(("followed", duration), lambda: exponential_sum(slowest, fastest, duration))
        if sums is None:
            return None
        instants, weights = (torch.from_numpy(part).repeat(len(generators)) for part in sums)
        pushes = self._followed_pushes(len(sums[0]), generators).transpose(0, 1).flatten(0, 1)
        pushes = pushes * weights.sqrt().unsqueeze(1)
        tolerance = NOISE_ACCURACY * math.sqrt(slowest / fastest) * pushes.norm(dim=1)
        moved = self._sampler.exponential(pushes, instants, tolerance)
        return None if moved is None else moved.reshape(len(generators), -1, pushes.shape[1]).sum(1)

    def _followed_pushes(self, count: int, generators: Sequence[torch.Generator]) -> Tensor:
        """(count, runs, 2 n) draws of what noise adds to [y, s] in a tau."""
        assert self._voltage is not None
        assert self._direct is not None
        cells, voltages = self._draws(count, generators)
        own = self._pushed(cells, rows(self._driven_by_voltages, voltages))
        level = torch.sqrt(self._pole * self._direct.rate * self._voltage.density)
        return torch.cat([own, level * self._voltage.share * voltages], dim=-1)

    @cached_property
    def _filtered_rates(self) -> tuple[float, float]:
        slowest, fastest = self._rates
        return min(slowest, self._pole), max(fastest, min(self._pole, FAST * fastest))

    @cached_property
    def _sampler(self) -> Followed:
        slowest, fastest = self._filtered_rates
        gamma = 1 / math.sqrt(slowest * fastest)
        return Followed(self._resolvent(gamma, torch.float64), gamma, pole=self._pole)

    def _seen_of(self, sections: Tensor | None) -> Tensor | float:
        """N e, (m, n) V."""
        if sections is None or self._voltage is None:
            return 0.0
        seen = [
            torch.einsum("k,mkn->mn", torch.from_numpy(one.deviations), sections[:, k])
            for k, one in enumerate(self._sources)
            if one.is_voltage
        ]
        return self._voltage.share * sum(seen, torch.zeros(()))

    def _flickered(self, start: Tensor, end: Tensor, duration: float, generators: Sequence[torch.Generator]) -> Tensor:
        """What the sections of the 1/f noise make of the slow states, (m, x) V, from (m, kinds, k, n) at the start and the end."""
        past, span = [0.0], REST if math.isinf(duration) else duration
        while GROWTH * past[-1] < span:
            past.append(min(max(GROWTH * past[-1], FIRST / self._rates[1]), span))
        if past[-1] < span:
            past.append(span)
        rates = torch.from_numpy(np.stack([one.rates for one in self._sources]) * self._tau)
        deviations = torch.from_numpy(np.stack([one.deviations for one in self._sources]))
        driven = torch.stack([torch.from_numpy(one.currents) for one in self._sources])
        filtered = math.isfinite(self._pole)
        each = zip(start, end, generators, strict=True)
        # (m, spans, kinds, n) V or A.
        means = torch.stack(
            [torch.einsum("skfn,kf->skn", bridged(a, z, rates, past, chance), deviations) for a, z, chance in each]
        )
        held = self._rest(torch.einsum("kin,mskn->msi", driven, means).flatten(0, 1)).unflatten(0, means.shape[:2])
        rest = held
        for k, one in enumerate(self._sources):
            if one.is_voltage and self._voltage is not None:
                rest = rest - self._voltage.share * means[:, :, k]
        rest = torch.cat([rest, held], dim=-1) if filtered else rest
        settles = math.isinf(duration) if filtered else self._settles(duration)
        last = rest.shape[1] - 1 if settles else rest.shape[1]
        steps = torch.diff(rest, dim=1, append=torch.zeros_like(rest[:, :1]))[:, :last]
        if not last:
            return rest[:, 0]
        moved = self._moved(steps.flatten(0, 1), past[1 : last + 1] * len(steps), duration)
        return rest[:, 0] + moved.unflatten(0, steps.shape[:2]).sum(1)

    def _moved(self, steps: Tensor, times: list[float], duration: float) -> Tensor:
        """exp(F t_k) w_k for steps w_k of the 1/f noise, (k, x)."""
        instants = torch.tensor(times, dtype=steps.dtype)
        tolerance = FLICKER_ACCURACY * steps.norm(dim=1).max().expand(len(times))
        by = self._sampler if math.isfinite(self._pole) else self._noisy(duration)
        found = by.exponential(steps, instants, tolerance)
        if found is not None:
            return found
        spans = [self._whole._span(time) for time in times]
        return torch.stack([rows(span.propagator, step) for span, step in zip(spans, steps, strict=True) if span])

    @cached_property
    def _whole(self) -> DenseLaw:
        """Written out, with all noise."""
        law = cell_law(self._program, np.zeros(self._program.size), self._card, self.cells)
        return DenseLaw(law, self.cells, self._tau, self.noisy, self._bandwidth)
