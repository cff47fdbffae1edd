"""1/f noise of amplifiers' inputs, as a sum of sections that are states of the device: slow ones last from run to run.

The density e^2 (1 + f_c / f) has the 1/f part of Ornstein-Uhlenbeck processes e_k of the rates 2 pi f_k, D apart in ln f, with the variance
D e^2 f_c each: the same sections, on the same corners, as in a netlist (`circuits.amplifiers.noise_source`). An amplifier of the
gain-bandwidth product w = 2 pi GBW passes on a w / (w + r) of a section's variance and r w / (w + r) for its rate, as fast as it can.

In a run an amplifier's sections drive its cell as its white noise does (`amplifier_noise`): dy/dt = F y + H e_k, and N e_k is read besides.
Given e_k at both ends of a span h, with E = exp(F h), q = exp(-r h), R = (F + r)^-1 H and J = (F - r)^-1 (q E - 1),

    y(h) = E y(0) + A_0 e_k(0) + A_1 e_k(h) + noise,       A_1 = 2 r J R / (1 - q^2) - R,   A_0 = (E - q) R - q A_1,

and what both ends leave open adds to the covariance of y the integral of exp(F u) Q exp(F u)^T, Q = 2 r s^2 R R^T, less
4 r^2 s^2 / (1 - q^2) J R (J R)^T, s^2 the section's variance: exact, for any rate. A section that hardly moves in a span, r h < `STILL`, is
held at where it ends.

So no reading is any wiser about 1/f noise than a circuit's: what is slower than two runs is common to both, as to a run and its auto-zero;
what is slower than the readings of one run is common to these, and averages no further.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...circuits.amplifiers.noise_source import SECTIONS_PER_DECADE, flicker_corners
from ...circuits.technology.parts import OpAmp
from ...compiler.fabrics.base import Fabric
from ...compiler.inverters import Inverters
from ...compiler.linear_law import LinearLaw

STILL = 0.02
"""Rate times span below which a section stands still."""
REST = 1000.0
"""Tau that a run to rest counts for."""
APART = 1e5
"""Of R over H / r, above which a rate is so close to one of the cells' that it is moved by a thousandth."""


class Section(NamedTuple):
    """The sections of one kind of source, one source for each cell, in the law of the cells.

    Attributes:
        deviations: s, standard deviation of each section, (k,) V or A.
        rates: r, (k,) 1/time.
        slow: H, (n, n) V/time for a unit.
        share: N, (n, n) V for a unit; None: nothing.
    """

    deviations: Tensor
    rates: Tensor
    slow: Tensor
    share: Tensor | None


class Source(NamedTuple):
    """A kind of source with 1/f noise, one source for each cell.

    Attributes:
        deviations: standard deviation of each section, (k,) V or A.
        rates: r, (k,) 1/s.
        currents: what a constant one drives into the cells, (..., n, n) A for a unit, an array or a tensor.
        is_voltage: whether it is the voltage at the input of a cell's own amplifier, which is seen at its output besides.
    """

    deviations: np.ndarray
    rates: np.ndarray
    currents: Any
    is_voltage: bool


class SectionSpan(NamedTuple):
    """A_0 and A_1, (n, n) each, of one section over a span, for states of unit variance; and the covariance that both ends take away."""

    carried: Tensor
    arrived: Tensor
    known: Tensor


def rates_of(opamp: OpAmp, fabric: Fabric) -> list[np.ndarray]:
    """(k,) 1/s for each kind of source that has 1/f noise: voltages of the cells' amplifiers, currents, then those of inverters; or, of a
    fabric with a linear law, of its `slow_inputs`."""
    if fabric.has_linear_law:
        kinds = [_densities(opamp)[kind == "current"] for kind in fabric.slow_inputs]
        # The amplifiers' bandwidth is among its states.
        return [rates for rates, _ in (_sections(*one, math.inf) for one in kinds) if len(rates)]
    if not fabric.active:
        return []
    found = [rates for rates, _ in (_sections(*one, opamp.gbw) for one in _densities(opamp)) if len(rates)]
    return found * (2 if fabric.outputs == 1 else 1)


def _densities(opamp: OpAmp) -> tuple[tuple[float, float], ...]:
    """White density and corner frequency of input voltages and currents."""
    return (opamp.noise_voltage, opamp.noise_voltage_corner), (opamp.noise_current, opamp.noise_current_corner)


def _sections(density: float, corner: float, gbw: float) -> tuple[np.ndarray, np.ndarray]:
    """Rates (1/s) and standard deviations of the sections, (k,); none without noise or a corner."""
    rates = 2 * math.pi * flicker_corners(corner if density > 0 else 0.0)
    passed = 1 / (1 + rates / (2 * math.pi * gbw))
    variance = density**2 * math.log(10) / SECTIONS_PER_DECADE * corner
    return rates * passed, np.sqrt(variance * passed)


def amplifier_sections(load: Any, inverters: Inverters | None, opamp: OpAmp, rails: int, leak: Any) -> list[Source]:
    """The sources of the amplifiers of an active array, in the order of `rates_of`.

    Args:
        load: L, (..., n, n) S, an array or a tensor, as are the inverters' figures.
        inverters: if there are any. opamp: its noise. rails: inputs that noise currents flow into.
        leak: 1 / A0, () or (..., 1).
    """
    eye = np.eye(load.shape[-1]) if isinstance(load, np.ndarray) else torch.eye(load.shape[-1], dtype=load.dtype)
    voltages, inputs = [load], [math.sqrt(rails) * eye]
    if inverters is not None:
        passed = 1 / (1 + (1 + inverters.ratio) * leak)
        into = inverters.coupling * passed[..., None, :]
        voltages.append(into * (1 + inverters.ratio)[..., None, :])
        inputs.append(into * inverters.feedback[..., None, :])
    found = []
    for place, pair in enumerate(zip(voltages, inputs, strict=True)):
        for kind, (driven, (density, corner)) in enumerate(zip(pair, _densities(opamp), strict=True)):
            rates, deviations = _sections(density, corner, opamp.gbw)
            if len(rates):
                found.append(Source(deviations, rates, driven, place == kind == 0))
    return found


def linear_sections(law: LinearLaw, opamp: OpAmp, noise_power: float) -> list[Section]:
    """The sections of a linear law, in the order of `rates_of`; their `slow`, (m, n), is that of its states, per second.

    Args:
        opamp: its noise. noise_power: factor of variances.
    """
    found = []
    for one in law.slow:
        sections = _sections(*_densities(opamp)[one.kind == "current"], math.inf)
        rates, deviations = (torch.from_numpy(part) for part in sections)
        if len(rates):
            found.append(Section(math.sqrt(noise_power) * deviations, rates, torch.from_numpy(one.into), None))
    return found


class Flicker:
    """The sections of a device's amplifiers, each in units of its standard deviation, and where they are in time.

    Runs that are computed together follow one another all the same: each begins where the one before ends if nothing had to be tried again.

    Args:
        rates: of each kind of source, (k,) 1/s.
        seed: of what they are at first.

    Attributes:
        state: (kinds, k, n) at the end of the last run that counts; None before the first.
        elapsed: s since then.
    """

    def __init__(self, rates: Sequence[np.ndarray], seed: Sequence[int]) -> None:
        self._rates, self._seed = np.stack(rates), list(seed)
        self.state: np.ndarray | None = None
        self.elapsed = 0.0
        self._begun: list[np.ndarray] = []
        self._now: list[np.ndarray] = []

    @property
    def shape(self) -> tuple[int, ...]:
        """Kinds of sources, and sections of each."""
        return self._rates.shape

    def begin(
        self, size: int, runs: Sequence[Sequence[int]], seconds: Sequence[float], waited: float, seed: Sequence[int]
    ) -> None:
        """Lay out runs one after another.

        Args:
            size: cells.
            runs: for each, the seeds of the analog runs that it takes if nothing has to be tried again. seconds: of the spans of one.
            waited: s besides `elapsed` before the first one. seed: of that time.
        """
        state = self._held(size)
        if self.elapsed + waited > 0:
            state = self._path(state, [self.elapsed + waited], seed)[-1]
        self._begun = []
        for seeds in runs:
            self._begun.append(state)
            for one in seeds:
                state = self._path(state, seconds, [one])[-1]
        self._begun.append(state)
        self._now = self._begun[:-1]

    def run(self, place: int, size: int, seconds: Sequence[float], seed: int) -> np.ndarray:
        """States of `size` cells at the start and after each span of an analog run, (spans + 1, kinds, k, size).

        Args:
            place: of the run that it belongs to among those laid out; where none are, what it does to the sections is forgotten.
        """
        start = self._now[place] if self._now else self._held(size)
        path = self._path(start, seconds, [seed])
        if self._now:
            self._now[place] = path[-1]
        return np.concatenate([start[None], path])[..., :size]

    def commit(self) -> bool:
        """The first of the runs laid out counts. Whether the next one begins where it ended."""
        self.state, self.elapsed = self._now.pop(0), 0.0
        self._begun.pop(0)
        return bool(np.array_equal(self.state, self._begun[0]))

    def forget(self) -> None:
        """No run is laid out."""
        self._begun, self._now = [], []

    def _held(self, size: int) -> np.ndarray:
        """States of that many cells at least; those that were not used so far are as they were at first."""
        if self.state is not None and self.state.shape[-1] >= size:
            return self.state
        drawn = np.random.default_rng(self._seed).standard_normal((size, *self._rates.shape))
        states = np.moveaxis(drawn, 0, -1).copy()
        if self.state is not None:
            states[..., : self.state.shape[-1]] = self.state
        return states

    def _path(self, state: np.ndarray, seconds: Sequence[float], seed: Sequence[int]) -> np.ndarray:
        """States after each of some times one after another, (times, kinds, k, n)."""
        chance, found = np.random.default_rng(list(seed)), []
        for time in seconds:
            if time > 0:
                left = np.exp(-self._rates * time)[..., None]
                drawn = np.moveaxis(chance.standard_normal((state.shape[-1], *self._rates.shape)), 0, -1)
                state = left * state + np.sqrt(1 - left**2) * drawn
            found.append(state)
        return np.stack(found)


def driven_apart(drift: Tensor, rate: float, slow: Tensor) -> tuple[float, Tensor]:
    """A rate, and R = (F + r)^-1 H; the rate a little off where it meets one of the cells', and R would be infinite."""
    eye = torch.eye(drift.shape[-1], dtype=drift.dtype)
    for _ in range(3):
        found = torch.linalg.solve_ex(drift + rate * eye, slow)[0]
        if bool((found.detach().abs().amax((-2, -1)) <= APART * slow.detach().abs().amax((-2, -1)) / rate).all()):
            break
        rate *= 1.001
    return rate, found


def section_span(drift: Tensor, propagator: Tensor, rate: float, driven: Tensor, span: float) -> SectionSpan:
    """A section that moves; of unit variance.

    Args:
        drift, propagator: F and E. rate, driven: as of `driven_apart`. span: h; inf with a propagator of zeros.
    """
    left = math.exp(-rate * span)
    eye = torch.eye(drift.shape[-1], dtype=drift.dtype)
    over = torch.linalg.solve(drift - rate * eye, left * (propagator @ driven) - driven)
    share = 2 * rate / (1 - left**2)
    arrived = share * over - driven
    return SectionSpan(propagator @ driven - left * (driven + arrived), arrived, 2 * rate * share * over @ over.mT)


def bridged(start: Tensor, end: Tensor, rates: Tensor, past: Sequence[float], generator: torch.Generator) -> Tensor:
    """Means of sections over spans of time, given where they start and end: (spans, kinds, k, n), the latest first.

    An Ornstein-Uhlenbeck process of unit variance is drawn at the spans' ends, and its mean over a span given both, whose own variance is
    2 (1 - tanh(w) / w) / (2 w) for w = rate times half the span.

    Args:
        start, end: (kinds, k, n). rates: (kinds, k). past: ends of the spans before the end, ascending from 0 to the whole span.
    """
    # Of those that move; the others stand where they end.
    moving = ((rates * past[-1]) >= STILL).any(dim=0)
    rate, final, here = rates[:, moving].unsqueeze(-1), end[:, moving], start[:, moving]
    found = []
    for far, near in zip(past[:0:-1], past[-2::-1], strict=True):
        step, rest = torch.exp(-rate * (far - near)), torch.exp(-rate * near)
        mean = (step * (1 - rest**2) * here + rest * (1 - step**2) * final) / (1 - (step * rest) ** 2)
        spread = torch.sqrt((1 - step**2) * (1 - rest**2) / (1 - (step * rest) ** 2))
        there = mean + spread * torch.randn(here.shape, generator=generator, dtype=here.dtype)
        half = rate * (far - near) / 2
        drawn = torch.randn(here.shape, generator=generator, dtype=here.dtype)
        level = (here + there) / 2 * torch.tanh(half) / half + torch.sqrt(
            (1 - torch.tanh(half) / half).clamp(min=0) / half
        ) * drawn
        means = end.clone()
        means[:, moving] = level
        found.append(means)
        here = there
    return torch.stack(found[::-1])
