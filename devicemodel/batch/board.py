"""`DieBatchBoard`: one program on many dies, as the host drives it: relaxations batched over dies in torch, with gradients.

Where a die settles is the equilibrium of its own law, with its own parts; the matrix that was asked for is not solved with anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...circuits.amplifiers.output_stage import is_limited
from ...compiler.matrices import comparison_matrix
from ...compiler.program import AnalogProgram
from ..device import Outcome
from ..devices.circuit import ProgramUnits
from ..devices.dense_law import UNFILTERED
from ..devices.flicker import REST, Flicker, Section
from ..devices.overload import largest_share
from ..host.board import Voltages
from ..ou.doubling import Transition, integrate
from ..ou.gaussian import root, rows
from .law import StackedLaw
from .noise import Draws, Noise, RunNoise

Law = Callable[[slice], StackedLaw]
"""The law of the dies from one place to another."""
LawInRange = Callable[[int], tuple[AnalogProgram, Law]]
"""The nominal program, and the law of its dies, with input resistors of a range."""
AT_ONCE = 1 << 16
"""Matrix entries of the dies whose law is computed together: a processor's second-level cache holds some such arrays."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DifferentiableVoltages(Voltages):
    """Voltages with the graph that they came by.

    Attributes:
        tensor: (dies, n) V at the end of the run.
    """

    tensor: Tensor


class DieBatchBoard(ProgramUnits):
    """The dies of a batch, programmed for runs of one duration.

    What a run takes of a die's law, R, T and X below, is computed once; a run is then three products,

        v(t) = X v(0) + R (driven i + pushed) + noise,       X = E (1 - D W F),    R = K'^-1 - E (D W slow + K'^-1),    W = (1 + F D)^-1,

    with E = exp(F t), v(0) - D dv/dt(0) the start of the slow motion (`cell_law`), and the noise of `noise`. A sampler of finite
    bandwidth has a state of its own for each cell, which is read.

    Args:
        law_in_range: of the dies. dies: their number. drive_range: of the input resistors.
        clamp: where amplifiers hold their outputs, over their output limit. duration: tau.
        noisy: whether there is noise of resistors and amplifiers.

    Attributes:
        noisy: as given.
        flicker: of each die, the sections of its amplifiers' 1/f noise, laid out for the next run (`Flicker.begin`); empty: there is none.
    """

    def __init__(
        self, law_in_range: LawInRange, dies: int, drive_range: int, clamp: float, duration: float, noisy: bool
    ) -> None:
        program, self._law = law_in_range(drive_range)
        super().__init__(program, drive_range)
        self._ranges = {drive_range: self}
        self._law_in_range, self._dies, self._opamp = law_in_range, dies, program.technology.opamp
        self._clamp, self._duration, self.noisy = clamp, duration, noisy
        sampler = 2 * math.pi * program.technology.adc.bandwidth * self.tau
        self._noise = Noise(self.tau, duration, sampler if sampler < UNFILTERED else math.inf)
        self.flicker: list[Flicker] = []
        # Whose rates and standard deviations are those of all dies.
        self._sections: tuple[Section, ...] = ()

    def in_range(self, place: int) -> DieBatchBoard:
        """See `Board`."""
        if place not in self._ranges:
            given = (self._clamp, self._duration, self.noisy)
            self._ranges[place] = DieBatchBoard(self._law_in_range, self._dies, place, *given)
            self._ranges[place].flicker = self.flicker
        return self._ranges[place]

    def obstacles(self, duration: float) -> Sequence[Outcome | None]:
        """See `Board`."""
        return [None if can else Outcome.UNSTABLE for can in self._can_run]

    @cached_property
    def _can_run(self) -> np.ndarray:
        """(dies,) whether a die can be run at all. With input resistors to choose from, those of this range show it."""
        if len(self.drive_gains) == 1:
            return self._responses[0] >= 0
        return np.concatenate([_stable(self._law(some)) for some in self._portions()])

    @cached_property
    def _responses(self) -> tuple[np.ndarray, _Response]:
        """(dies,) places of the dies among the responses, -1 for those without one, and the responses."""
        parts, alive = [], []
        for some in self._portions():
            law = self._law(some)
            self._sections = law.sections
            stable = np.flatnonzero(_stable(law))
            fit = law.of(stable)
            held, part = _response(fit, self._noise, self.noisy)
            if is_limited(self._opamp) and self.program.fabric.active:
                conductance = None if math.isinf(self._duration) else fit.conductance[held]
                part = replace(part, loads=fit.loads[held], conductance=conductance)
            parts.append(part)
            alive.append(some.start + stable[held])
        places, found = np.full(self._dies, -1), np.concatenate(alive)
        places[found] = np.arange(len(found))
        return places, _Response.joined(parts)

    def _portions(self) -> list[slice]:
        """The dies, some at a time."""
        step = max(1, AT_ONCE // self.size**2)
        return [slice(first, min(first + step, self._dies)) for first in range(0, self._dies, step)]

    def relax(
        self,
        dies: np.ndarray,
        driven: np.ndarray,
        start: np.ndarray,
        spans: tuple[float, ...],
        streams: Sequence[np.random.Generator],
    ) -> DifferentiableVoltages:
        """See `Board`; one span, of the board's duration."""
        places, responses = self._responses
        held = places[dies] >= 0
        response, dtype = responses.of(places[dies][held]), responses.driven.dtype
        currents = torch.from_numpy(driven[held] * self.amperes_per_volt).to(dtype)
        begin = torch.from_numpy(start[held]).to(dtype) if start.any() else None
        volts = response.volts(currents, begin)
        if self.noisy:
            volts = volts + self._drawn(response, dies, held, streams)
        used = self._overload(response, volts, currents)
        most = self._clamp * self._opamp.output_limit
        volts = volts.clamp(-most, most)
        if not held.all():
            # A die may be unstable in this range alone.
            every = torch.full((len(dies), self.size), math.nan, dtype=dtype)
            volts = every.index_put((torch.from_numpy(np.flatnonzero(held)),), volts)
            used = None if used is None else np.bincount(np.flatnonzero(held), used, len(dies))
        return DifferentiableVoltages(cells=volts.detach().double().numpy()[:, None], overload=used, tensor=volts)

    def _drawn(
        self, response: _Response, dies: np.ndarray, held: np.ndarray, streams: Sequence[np.random.Generator]
    ) -> Tensor | float:
        """What the noise of a run makes of the readings of those dies that are held, (dies, n) V."""
        # Also where it is not used, since the ADC's noise follows in the same stream.
        seeds = [int(one.integers(2**63)) for one in streams]
        if self._duration == 0:
            return 0.0
        sums = None
        if self.flicker:
            seconds = [self.tau * (REST if math.isinf(self._duration) else self._duration)]
            pairs = zip(dies.tolist(), seeds, strict=True)
            paths = np.stack([self.flicker[die].run(0, self.size, seconds, seed) for die, seed in pairs])[held]
            start, end = (self._noise.sums(self._sections, torch.from_numpy(paths[:, k])) for k in range(2))
            sums = start, end
        states = self._noise.states(self.size)
        draws = [Draws(seed, states, self.size) for seed, one in zip(seeds, held, strict=True) if one]
        return response.noise.volts(draws, sums)

    def _overload(self, response: _Response, volts: Tensor, currents: Tensor) -> np.ndarray | None:
        """See `overload.overload`; at rest nothing charges."""
        if response.loads is None or not len(volts):
            return None
        cells = volts.detach().double().numpy()[:, None]
        charging: np.ndarray | float = 0.0
        if response.conductance is not None:
            into = response.driven * currents + response.pushed - rows(response.conductance, volts)
            charging = into.detach().double().numpy()[:, None]
        loads = response.loads.detach().double().numpy()
        used = largest_share(self._opamp, cells, loads, charging, self.program.parts.rails)
        return np.minimum(used, self._clamp)


@dataclass(frozen=True, eq=False)
class _Response:
    """What dies make of a run: `start` is X, (dies, n, n), or None where nothing of the start is left; `current` R, V/A, (dies, n, n), or
    None for a run of no length; `driven`, `pushed` (dies, n). Where amplifiers' currents count, `loads` (dies, kinds, n) S and, unless
    cells are at rest, `conductance` (dies, n, n) S."""

    start: Tensor | None
    current: Tensor | None
    noise: RunNoise
    driven: Tensor
    pushed: Tensor
    loads: Tensor | None = None
    conductance: Tensor | None = None

    @classmethod
    def joined(cls, parts: Sequence[_Response]) -> _Response:
        """The dies of all parts."""
        if len(parts) == 1:
            return parts[0]
        # One without dies has neither noise nor response.
        names = [name for name in vars(parts[0]) if name != "noise"]
        found = {name: [vars(part)[name] for part in parts if vars(part)[name] is not None] for name in names}
        columns: dict[str, Any] = {name: torch.cat(column) if column else None for name, column in found.items()}
        return cls(noise=RunNoise.joined([part.noise for part in parts]), **columns)

    def of(self, places: np.ndarray) -> _Response:
        """Some of the dies."""
        if len(places) == len(self.driven) and bool((places == np.arange(len(places))).all()):
            return self
        tensors = {name: one for name, one in vars(self).items() if name != "noise"}
        some: dict[str, Any] = {name: None if one is None else one[places] for name, one in tensors.items()}
        return _Response(noise=self.noise.of(places), **some)

    def volts(self, currents: Tensor, begin: Tensor | None) -> Tensor:
        """Readings (dies, n) at the end of a run from `begin`, None: from zero; without noise."""
        volts = torch.zeros_like(currents)
        if self.current is not None:
            volts = rows(self.current, self.driven * currents + self.pushed)
        if begin is not None and self.start is not None:
            volts = volts + rows(self.start, begin)
        return volts


def _response(law: StackedLaw, noise: Noise, noisy: bool) -> tuple[np.ndarray, _Response]:
    """The dies that have a state after that time, (m,) places, and what they make of a run of it."""
    every, duration = np.arange(len(law.drift)), noise.duration
    n, eye = law.drift.shape[-1], torch.eye(law.drift.shape[-1], dtype=law.drift.dtype)
    if duration == 0 or not len(every):
        return every, _Response(eye.expand_as(law.drift), None, RunNoise(), law.driven, law.pushed)
    if math.isinf(duration) and not noisy:
        held = np.flatnonzero(positive(-law.drift, torch.ones_like(law.capacitance)))
        move, added = None, RunNoise()
    else:
        held, move, added = _transition(law, noise, noisy)
    law = law.of(held)
    rest = -torch.linalg.solve_ex(law.drift, law.slow)[0]
    if move is None:
        return held, _Response(None, rest, added, law.driven, law.pushed)
    diagonal = law.delay.dim() == 2
    late = law.drift * law.delay.unsqueeze(-2) if diagonal else law.drift @ law.delay
    slope, _ = torch.linalg.solve_ex(eye + late, torch.cat([law.drift, law.slow], -1))
    delayed = law.delay.unsqueeze(-1) * slope if diagonal else law.delay @ slope
    slow, moved = eye - delayed[..., :n], delayed[..., n:] + rest
    if move.shape[-1] > n:
        # The sampler has followed the cells to where they start, and settles where they do.
        slow, moved = torch.cat([slow, eye.expand_as(slow)], -2), torch.cat([moved, rest], -2)
        move = move[..., -n:, :]
    return held, _Response(move @ slow, rest - move @ moved, added, law.driven, law.pushed)


def _transition(law: StackedLaw, noise: Noise, noisy: bool) -> tuple[np.ndarray, Tensor | None, RunNoise]:
    """The dies whose law converges, (m,) places, and of them propagators (None: all of the start is gone) of all states, (m, x, x), and the
    noise."""
    found, steps = _steps(law, noise, noisy)
    if not len(found):
        return found, None, RunNoise()
    sizes, added, first = [len(step.propagator) for step in steps], [], 0
    for step, size in zip(steps, sizes, strict=True):
        some = law.of(found[first : first + size])
        added.append(noise.over(some, step, _factor) if noisy else RunNoise())
        first += size
    move = torch.cat([step.propagator for step in steps])
    return found, None if math.isinf(noise.duration) else move, RunNoise.joined(added)


def _steps(law: StackedLaw, noise: Noise, noisy: bool) -> tuple[np.ndarray, list[Transition]]:
    """The dies that have a state after that time, and their transitions, in batches whose order is theirs."""

    def over(rows: np.ndarray) -> Transition:
        some = law.of(rows)
        diffusion = noise.diffusion(some) if noisy else None
        drift = noise.drift(some)
        # The response to a drive is that at rest, and what the propagator leaves of it; sections that stand still need the integral.
        drives = None if noisy and some.sections else drift[..., :0]
        return integrate(drift, drives, noise.duration, diffusion)

    every = np.arange(len(law.drift))
    step = over(every)
    if step.settled:
        fine = _finite(step.propagator, step.covariance)
        # Anew without the others, whose infinities would be in the gradients.
        return every[fine], [step] if fine.all() else [over(every[fine])] if fine.any() else []
    # One that never settles keeps the others of its batch from it.
    alone = {k: over(every[k : k + 1]) for k in every}
    kept = {k: one for k, one in alone.items() if one.settled and _finite(one.propagator, one.covariance).all()}
    return np.array(list(kept), dtype=int), list(kept.values())


def _finite(*values: Tensor | None) -> np.ndarray:
    """(dies,) whether every entry of theirs is."""
    checks = [torch.isfinite(value.detach()).flatten(1).all(1) for value in values if value is not None]
    return np.asarray(torch.stack(checks).all(0).numpy())


def _factor(covariance: Tensor) -> Tensor:
    """As in `ou.sample`, for each die by itself."""
    if covariance.dtype == torch.float32:
        # What is lost in rounding can exceed the smallest eigenvalue; 1e-6 of each variance keeps the factor that of double precision.
        covariance = covariance + 1e-6 * torch.diag_embed(covariance.diagonal(dim1=-2, dim2=-1))
    factor = root(covariance)
    if bool(factor.detach().triu(1).any()):
        # A singular one among them has all of them factored by eigenvalues, and would change the draws of the others.
        factor = torch.stack([root(one) for one in covariance])
    return factor


def _stable(law: StackedLaw) -> np.ndarray:
    """(dies,) what `AnalogProgram.is_stable` says of each; False for a law that is not finite."""
    fine = _finite(*law.tensors().values())
    if law.active:
        return fine & positive(law.conductance, law.capacitance)
    compared = [comparison_matrix(one) for one in law.conductance.detach().double().numpy()]
    return fine & _definite(torch.from_numpy(np.stack(compared)))


def positive(matrix: Tensor, effective_capacitance: Tensor) -> np.ndarray:
    """(dies,) whether effective_capacitance^-1 matrix has eigenvalues of positive real part alone; False where an entry is not finite."""
    positive = _definite(matrix)
    for k in np.flatnonzero(~positive & _finite(matrix, effective_capacitance)):
        ratio = matrix[k].detach().double() / effective_capacitance[k].detach().double().unsqueeze(-1)
        positive[k] = bool(np.linalg.eigvals(ratio.numpy()).real.min() > 0)
    return positive


def _definite(matrix: Tensor) -> np.ndarray:
    """(dies,) whether the symmetric part is positive definite beyond rounding, as `matrices.is_positive_definite` has it."""
    held = matrix.detach()
    eye, fine = torch.eye(held.shape[-1], dtype=held.dtype), torch.from_numpy(_finite(held))
    symmetric = torch.where(fine[:, None, None], (held + held.mT) / 2, -eye)
    margin = len(eye) * torch.finfo(held.dtype).eps * symmetric.abs().amax((-2, -1))
    _, info = torch.linalg.cholesky_ex(symmetric - margin[:, None, None] * eye)
    return np.asarray((info == 0).numpy())
