"""Thermal noise of arrays with a system each: drawn by products with vectors, as `krylov_law` and `krylov_runs` do for one large array.

White noise of the slow motion is a sum over instants before the reading, of the covariance

    int_0^t exp(F s) Q exp(F s)^T ds ~ sum_j w_j exp(F s_j) Q exp(F s_j)^T,

by Gauss's rule of three points over spans that grow four times towards the past, the first of them 1 / (fastest rate): right to 3e-3.
Its root is that of
`krylov_law`, with what amplifiers' lag makes of it to second order; the direct noise of `amplifier_noise` is drawn by its variances, and
the slow motion's share of it is known with it. 1/f noise is constant over spans that grow towards the past, given where its sections
start and end (`krylov_runs`). So a reading has the distribution of `SurrogateDevice`'s to about 1 %, and draws of its own, which depend on
the dies that are computed with it: instants are those of the fastest of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.constants import Boltzmann
from torch import Tensor

from ..card import DeviceCard
from ..devices.amplifier_noise import amplifier_lags, voltage_noise
from ..devices.flicker import STILL, Section, amplifier_sections
from ..devices.krylov_runs import FIRST, GROWTH
from .arrays_law import ArraysLaw, DieParts, Excitation, scaled_span

PANEL = np.polynomial.legendre.leggauss(3)
"""Gauss's rule over a span."""
PANELS_GROW = 4.0
"""Ratio of a span to the one after it."""
RAILS = 2
DRAWS = 201
"""Number of the stream of a run's white noise, beside that of its sections."""


class ArraysNoise:
    """The noise of the dies' programs in runs of one duration.

    Args:
        card: noisy. parts, law: of the dies. tau: (dies, 1) s. duration: > 0, finite, tau.
    """

    def __init__(self, card: DeviceCard, parts: DieParts, law: ArraysLaw, tau: Tensor, duration: float) -> None:
        self._law, self._tau, self._duration = law, tau, duration
        opamp, power = card.technology.opamp, card.noise_power.value
        kelvin = (law.coupled.abs() * parts.temperature).sum(-1) + parts.drive * parts.drive_temperature
        density = 2 * RAILS * Boltzmann * kelvin + RAILS * opamp.noise_current**2 / 2
        self._cells = (power * density / tau).sqrt() / law.inertia
        late = torch.where(law.second_order > 0, law.third_order / law.second_order, 0.0)
        self._lag = (law.delay + late) / law.inertia
        self._voltage = None
        if opamp.noise_voltage > 0:
            figures = [torch.tensor(one.value, dtype=torch.float64) for one in (card.leak, card.lag, card.pole)]
            first, second = amplifier_lags(opamp, *figures)
            given = (law.capacitance, law.load, law.inertia, law.conductance, first / tau, second / tau**2)
            self._voltage = voltage_noise(power * opamp.noise_voltage**2 / 2 / tau, *given)
        sources = amplifier_sections(torch.diag_embed(law.load), None, opamp, RAILS, card.leak.value)
        # Each is diagonal: its own amplifier's voltage, or current.
        self._sections = [
            Section(
                math.sqrt(power) * torch.from_numpy(one.deviations),
                torch.from_numpy(one.rates),
                torch.as_tensor(one.currents).diagonal(dim1=-2, dim2=-1),
                law.capacitance / law.inertia if one.is_voltage else None,
            )
            for one in sources
        ]

    def draw(self, places: Tensor, ends: np.ndarray | None, seeds: Sequence[int]) -> Excitation:
        """A run's noise of some dies, of any drive.

        Args:
            places: of the dies. ends: the sections at the start and the end, (dies, 2, kinds, k, n), None: there are none.
            seeds: of each die's draws.
        """
        law, n = self._law, self._law.load.shape[1]
        span = scaled_span(law.drift)
        instants, weights = _instants(span, self._duration)
        past = _past(span, self._duration) if ends is not None else []
        counts = [len(instants) * n, len(instants) * n, n]
        moving = self._moving()
        shape = (0,) if ends is None else (len(past) - 1, 2, ends.shape[2], len(moving), n)
        chances = [np.random.default_rng([seed, DRAWS]) for seed in seeds]
        drawn = np.stack([chance.standard_normal(sum(counts) + math.prod(shape), np.float32) for chance in chances])
        cells, volts, direct, bridges = torch.from_numpy(drawn).double().split([*counts, math.prod(shape)], dim=1)
        inertia, conductance = law.inertia[places], law.conductance[places]

        def lagged(vectors: Tensor, share: Tensor) -> Tensor:
            return (vectors @ conductance.mT) * share.unsqueeze(1)

        pushes = cells.unflatten(1, (-1, n)) * self._cells[places].unsqueeze(1)
        seen, begun = torch.zeros_like(direct), torch.zeros_like(direct)
        times, vectors = [instants], list[Tensor]()
        if self._voltage is not None:
            share, root = self._voltage.share[places], self._voltage.density[places].sqrt().unsqueeze(-1)
            given = volts.unflatten(1, (-1, n))
            driven = law.load[places].unsqueeze(1) * given - (given * share.unsqueeze(1)) @ conductance.mT
            driven = root * driven / inertia.unsqueeze(1)
            cutoff = self._voltage.cutoff[places].mean(-1)
            # Less what is drawn together with the direct noise.
            pushes = pushes + driven - (2 / cutoff)[:, None, None] * lagged(driven, 1 / inertia)
            z, known = self._direct(places, direct, cutoff)
            seen = seen + z + known
        lag = self._lag[places]
        once = lagged(pushes, lag)
        pushes = pushes + once / 2 + 3 / 8 * lagged(once, lag)
        vectors.append(pushes * torch.from_numpy(weights).sqrt()[None, :, None])
        if ends is not None:
            start, end = (torch.from_numpy(ends[:, k]) for k in range(2))
            rest, steps = self._flicker(places, start, end, past, bridges.unflatten(1, shape))
            times.append(np.array(past[1:]))
            vectors.append(steps)
            seen, begun = seen + rest + self._seen(places, end), self._seen(places, start)
        return Excitation(np.concatenate(times), torch.cat(vectors, 1), begun, seen)

    def _direct(self, places: Tensor, drawn: Tensor, cutoff: Tensor) -> tuple[Tensor, Tensor]:
        """The direct noise, and what of the slow motion is known with it, (dies, n) V."""
        noise = self._voltage
        assert noise is not None
        share, load, density = noise.share[places], noise.load[places], noise.density[places]
        powers, rates = density * share * share, noise.rates[places]
        own = rates.diagonal(dim1=-2, dim2=-1) * powers
        together = load * density * share - own
        variance = (
            powers * noise.cutoff[places] / 2 - together + (1 + noise.tail[places].mean(-1, keepdim=True)) / 2 * own
        )
        z = (-torch.expm1(-2 * cutoff * self._duration)).sqrt().unsqueeze(-1) * variance.sqrt() * drawn
        q = z / variance
        return z, load * density * share * q - ((powers * q).unsqueeze(1) @ rates.mT).squeeze(1)

    def _seen(self, places: Tensor, sections: Tensor) -> Tensor:
        """N e, (dies, n) V."""
        found = torch.zeros(len(places), sections.shape[-1], dtype=torch.float64)
        for k, one in enumerate(self._sections):
            if one.share is not None:
                found += one.share[places] * torch.einsum("f,dfn->dn", one.deviations, sections[:, k])
        return found

    def _moving(self) -> list[int]:
        """Places of the sections that move in the run of some die."""
        if not self._sections:
            return []
        rates = torch.stack([one.rates for one in self._sections])
        return torch.nonzero((rates * self._tau.max() * self._duration >= STILL).any(0)).flatten().tolist()

    def _flicker(
        self, places: Tensor, start: Tensor, end: Tensor, past: Sequence[float], drawn: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What the last span of 1/f noise makes of cells at rest, (dies, n) V, and steps to it, (dies, spans, n) V; see `krylov_runs`."""
        rates = torch.stack([one.rates for one in self._sections]) * self._tau[places].unsqueeze(-1)
        deviations = torch.stack([one.deviations for one in self._sections])
        some = self._moving()
        level = _bridged(start[:, :, some], end[:, :, some], rates[:, :, some], past, drawn)
        # The others stand where they end, all but nothing of them moves.
        still = torch.einsum("dfkn,fk->dfn", end, deviations)
        change = torch.einsum("sdfkn,fk->dsfn", level - end[:, :, some], deviations[:, some])
        means = still.unsqueeze(1) + change
        force = torch.zeros_like(means[:, :, 0])
        for k, one in enumerate(self._sections):
            slow = one.slow[places] if one.slow.dim() > 1 else one.slow
            force = force + (slow.unsqueeze(1) if slow.dim() > 1 else slow) * means[:, :, k]
        rest = torch.linalg.lu_solve(*(part[places] for part in self._law.rest), force.mT).mT
        for k, one in enumerate(self._sections):
            if one.share is not None:
                rest = rest - one.share[places].unsqueeze(1) * means[:, :, k]
        return rest[:, 0], torch.diff(rest, dim=1, append=torch.zeros_like(rest[:, :1]))


def _instants(span: float, duration: float) -> tuple[np.ndarray, np.ndarray]:
    """Instants and weights of the sum over the past, (j,)."""
    edges = [0.0, min(1 / span, duration)]
    while edges[-1] < duration:
        edges.append(min(PANELS_GROW * edges[-1], duration))
    halves, middles = np.diff(edges) / 2, (np.array(edges[1:]) + edges[:-1]) / 2
    return (middles[:, None] + halves[:, None] * PANEL[0]).ravel(), (halves[:, None] * PANEL[1]).ravel()


def _past(span: float, duration: float) -> list[float]:
    """Ends of the spans in which 1/f noise is constant, before the end of the run."""
    past = [0.0, min(FIRST / span, duration)]
    while past[-1] < duration:
        past.append(min(GROWTH * past[-1], duration))
    return past


def _bridged(start: Tensor, end: Tensor, rates: Tensor, past: Sequence[float], drawn: Tensor) -> Tensor:
    """As `flicker.bridged`, of dies whose time runs differently: (spans, dies, kinds, k, n), the latest first.

    Args:
        start, end: (dies, kinds, k, n). rates: (dies, kinds, k). past: ascending from 0.
        drawn: (dies, spans, 2, kinds, k, n), standard normal.
    """
    rate, here, found = rates.unsqueeze(-1), start, list[Tensor]()
    moving = rate * past[-1] >= STILL
    for place, (far, near) in enumerate(zip(past[:0:-1], past[-2::-1], strict=True)):
        step, rest = torch.exp(-rate * (far - near)), torch.exp(-rate * near)
        whole = 1 - (step * rest) ** 2
        mean = (step * (1 - rest**2) * here + rest * (1 - step**2) * end) / whole
        there = mean + torch.sqrt((1 - step**2) * (1 - rest**2) / whole) * drawn[:, place, 0]
        half = rate * (far - near) / 2
        flat = torch.tanh(half) / half
        level = (here + there) / 2 * flat + torch.sqrt((1 - flat).clamp(min=0) / half) * drawn[:, place, 1]
        found.append(torch.where(moving, level, end))
        here = there
    return torch.stack(found[::-1])
