"""`DieBatch`: one system on many dies of a calibrated device, in one call.

Every die is a fresh `SurrogateDevice` of that seed, with its own parts, converters, signal level and noise, and gives the same reading to
rounding; what is shared is the arithmetic, which is batched over dies in torch. Where a die settles is the equilibrium of its own law, with
its own parts; the matrix that was asked for is not solved with anywhere. For yield, distributions and gradients with respect to the
card's parameters; training on one die is `SurrogateDevice`'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..circuits.errors import InputError
from ..compiler.compile import lay_out
from ..compiler.program import AnalogProgram
from .card import DeviceCard
from .circuit_device import MAX_ATTEMPTS, TARGET
from .converters import Adc, Dac
from .device import Outcome
from .ou import transition
from .stacked_parts import Stack, StackedLaw, parameters_of, stack, stacked_law
from .systems import check_duration


@dataclass(frozen=True, eq=False)
class BatchSolution:
    """Readings of many dies.

    Attributes:
        x: (dies, n), problem units; nan where a die is unstable.
        outcomes: one for each die. attempts: (dies,) analog runs that each took.
        elapsed: (dies,) analog time, s.
    """

    x: Tensor
    outcomes: tuple[Outcome, ...]
    attempts: np.ndarray
    elapsed: np.ndarray


class DieBatch:
    """Dies of one card.

    Args:
        card: of fabric crossbar or dual_rail.
        dies: their seeds.
        dtype: of the arithmetic; float32 is twice as fast and right to some 1e-6 of the largest voltage.
        extrapolate: answer outside of the card's range of validity, too.
        progress: called with (dies drawn, dies) while they are drawn, once for each number of unknowns.

    Raises:
        InputError: no dies, or a seed that is not an integer >= 0.

    Example:
        >>> batch = DieBatch(card, range(1000))                                      # doctest: +SKIP
        >>> errors = batch.solve(A, b, duration=20.0).x - torch.linalg.solve(A, b)   # doctest: +SKIP
    """

    def __init__(
        self,
        card: DeviceCard,
        dies: Sequence[int],
        dtype: torch.dtype = torch.float64,
        extrapolate: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        if not len(dies):
            raise InputError("dies is empty: give one seed or more, such as range(1000)")
        self.card, self.dtype, self.extrapolate, self.progress = card, dtype, extrapolate, progress
        self.dies = [card.technology.fabricate(int(die)) for die in dies]
        self._dacs = [Dac(card.dac, die) for die in self.dies]
        self._adcs = [Adc(card.adc, die) for die in self.dies]
        self._stacks: dict[int, Stack] = {}

    def __len__(self) -> int:
        return len(self.dies)

    def solve(
        self, matrix: Any, b: Any, duration: float, x0: Any = None, seed: int = 0, **parameters: Any
    ) -> BatchSolution:
        """Program A, load b, run for `duration` tau from x0 and read, on every die; see `Device.solve`.

        Args:
            matrix: A, (n, n). b: (n,). x0: (n,); None: zeros.
            duration: tau; math.inf: at rest.
            seed: of the noise, as that of `SurrogateDevice`.
            parameters: values in place of the card's, numbers or tensors of shape () or (dies, 1): gain, leak, lag, pole, mismatch,
                capacitor_mismatch, offset, noise. Gradients flow from `x` to them; converters pass them unchanged (straight-through), and
                signal levels count as constants.

        Raises:
            InputError: shapes that do not fit, values that are not finite, an unknown parameter; a system outside of the card's range,
                unless extrapolate.
        """
        a, drive, start, duration = _checked(matrix, b, x0, duration)
        crossed = self._crossed(a, duration)
        program = lay_out(a, self.card.fabric, self.card.technology)
        stacked = self._stacks.get(len(a))
        if stacked is None:
            stacked = stack(self.dies, program.parts, program.fabric.symmetric, self.dtype, self.progress)
            self._stacks[len(a)] = stacked
        law = stacked_law(program, stacked, parameters_of(self.card, parameters, self.dtype))
        return self._run(program, law, drive, start, duration, seed, crossed)

    def _crossed(self, a: np.ndarray, duration: float) -> bool:
        validity = self.card.validity
        crossed = list(validity.crossed_by_system(a))
        for die in self.dies:
            crossed += [text for text in validity.crossed_by_run(duration, die.temperatures) if text not in crossed]
        self._refuse(tuple(crossed))
        return bool(crossed)

    def _refuse(self, crossed: tuple[str, ...]) -> None:
        if crossed and not self.extrapolate:
            raise InputError(
                f"outside of what this card was calibrated for: {'; '.join(crossed[:3])}. Calibrate with systems of this kind (systems=), "
                "or pass extrapolate=True"
            )

    def _run(
        self,
        program: AnalogProgram,
        law: StackedLaw,
        b: np.ndarray,
        start: np.ndarray,
        duration: float,
        seed: int,
        crossed: bool,
    ) -> BatchSolution:
        """The host's routine of `CircuitDevice`, for all dies at once; a die that is done keeps its level."""
        count, technology = len(self), self.card.technology
        stable, noisy = _stable(law.drift), technology.thermal.johnson_noise and self.card.noise.value > 0
        move, factor = self._transition(law, program.tau, duration, noisy)
        rail = min(technology.opamp.rail, self.card.adc.full_scale)
        per_volt = program.parts.drive_nominal or 1.0 / technology.resistors.unit
        level = np.full(count, _first_level(program, b, start, per_volt, rail, self.card.dac.full_scale))
        attempts, clipped = np.ones(count, dtype=int), np.zeros(count, dtype=bool)
        x = torch.full((count, len(b)), math.nan, dtype=self.dtype)
        pending, outcomes = stable.copy(), [Outcome.OK if fine else Outcome.UNSTABLE for fine in stable]
        found: dict[int, Tensor] = {}
        for attempt in range(1, MAX_ATTEMPTS + 1):
            rows = np.flatnonzero(pending)
            if not len(rows):
                break
            requested = (program.conductance_unit * program.scaling * b / per_volt) * level[rows, None]
            driven = np.stack([self._dacs[k].convert(volts) for k, volts in zip(rows, requested, strict=True)])
            noises = [np.random.default_rng([seed, self.dies[k].seed or 0, 0, attempt]) for k in rows]
            begin = torch.from_numpy(start / program.scaling * level[rows, None]).to(self.dtype)
            currents = torch.from_numpy(driven * per_volt).to(self.dtype)
            draws = torch.stack([_draw(noise, len(b)) for noise in noises]).to(self.dtype) if noisy else None
            volts = _relaxed(law, move, factor, torch.from_numpy(rows), currents, begin, duration, draws)
            held = self.card.clamp * technology.opamp.rail
            volts = volts.clamp(-held, held)
            seen = volts.detach().double().numpy()
            peaks = np.abs(seen).max(axis=1)
            for place, k in enumerate(rows):
                reading = self._adcs[k].convert(np.clip(seen[place], -rail, rail), noises[place])
                over = peaks[place] > rail or self._dacs[k].clips(requested[place]) or reading.clipped
                attempts[k], clipped[k] = attempt, over
                if over and attempt < MAX_ATTEMPTS:
                    level[k] *= TARGET * rail / peaks[place] if peaks[place] > TARGET * rail else 0.5
                    continue
                pending[k] = False
                read = torch.from_numpy(reading.volts).to(self.dtype)
                scale = torch.from_numpy(program.scaling / level[k]).to(self.dtype)
                found[int(k)] = scale * (volts[place] + (read - volts[place]).detach())
                beyond = self.card.validity.crossed_by_level(float(peaks[place]))
                self._refuse(beyond)
                if over:
                    outcomes[k] = Outcome.CLIPPED
                elif crossed or beyond:
                    outcomes[k] = Outcome.EXTRAPOLATED
        if found:
            x = x.index_put((torch.tensor(list(found)),), torch.stack(list(found.values())))
        return BatchSolution(x, tuple(outcomes), attempts, attempts * duration * program.tau)

    def _transition(
        self, law: StackedLaw, tau: float, duration: float, noisy: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """Propagators (None: all of the start is gone) and factors of the covariances (None: no noise), (dies, n, n)."""
        if duration == 0:
            return torch.eye(law.drift.shape[-1], dtype=self.dtype).expand_as(law.drift), None
        if math.isinf(duration) and not noisy:
            return None, None
        nothing = torch.zeros_like(law.delay)
        step = transition(law.drift * tau, nothing, duration, law.diffusion * tau if noisy else None)
        factor = None if step.covariance is None else _factor(step.covariance)
        return (None if math.isinf(duration) else step.propagator), factor


def _relaxed(
    law: StackedLaw,
    move: Tensor | None,
    factor: Tensor | None,
    rows: Tensor,
    currents: Tensor,
    begin: Tensor,
    duration: float,
    draws: Tensor | None,
) -> Tensor:
    """Voltages (rows, n) of some dies at the end of the run."""
    drift, push = law.drift[rows], law.slow[rows] @ (law.driven[rows] * currents + law.pushed[rows]).unsqueeze(-1)
    if duration == 0:
        return begin
    rest = -torch.linalg.solve(drift, push).squeeze(-1)
    volts = rest
    if move is not None:
        delay = law.delay[rows]
        eye = torch.eye(drift.shape[-1], dtype=drift.dtype)
        slope = torch.linalg.solve(eye + drift * delay.unsqueeze(-2), drift @ begin.unsqueeze(-1) + push).squeeze(-1)
        offset = (begin - delay * slope - rest).unsqueeze(-1)
        volts = rest + (move[rows] @ offset).squeeze(-1)
    if factor is not None and draws is not None:
        volts = volts + (factor[rows] @ draws.unsqueeze(-1)).squeeze(-1)
    return volts


def _draw(noise: np.random.Generator, n: int) -> Tensor:
    """The deviates that `SurrogateDevice` would draw from this generator."""
    generator = torch.Generator().manual_seed(int(noise.integers(2**63)))
    return torch.randn(n, generator=generator, dtype=torch.float64)


def _factor(covariance: Tensor) -> Tensor:
    """As in `ou.sample`: the Cholesky factor with a jitter that keeps it from failing on rounding."""
    symmetric = (covariance + covariance.mT) / 2
    jitter = 1e-13 if covariance.dtype == torch.float64 else 1e-6
    size = jitter * symmetric.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    return torch.linalg.cholesky(symmetric + size * torch.eye(symmetric.shape[-1], dtype=symmetric.dtype))


def _stable(drift: Tensor) -> np.ndarray:
    """(dies,) whether every mode decays: surely where the symmetric part is negative definite, else by eigenvalues."""
    held = drift.detach()
    _, info = torch.linalg.cholesky_ex(-(held + held.mT) / 2)
    stable = (info == 0).numpy()
    for k in np.flatnonzero(~stable):
        stable[k] = bool(torch.linalg.eigvals(held[k]).real.max() < 0)
    return np.asarray(stable)


def _first_level(
    program: AnalogProgram, b: np.ndarray, start: np.ndarray, per_volt: float, rail: float, full_scale: float
) -> float:
    """As `CircuitDevice` chooses it for a fresh device."""
    strongest = program.conductance_unit / per_volt * float(np.abs(program.scaling * b).max())
    largest = float(np.abs(start / program.scaling).max())
    levels = [full_scale / strongest] if strongest > 0 else []
    levels += [min(TARGET * rail, full_scale) / largest] if largest > 0 else []
    return min(levels, default=1.0)


def _checked(matrix: Any, b: Any, x0: Any, duration: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    def array(value: Any) -> np.ndarray:
        return np.array(value.detach().cpu() if isinstance(value, Tensor) else value, dtype=float)

    a, drive = array(matrix), array(b)
    start = np.zeros(len(drive)) if x0 is None else array(x0)
    if a.ndim != 2 or a.shape[0] != a.shape[1] or drive.shape != a.shape[:1] or start.shape != drive.shape:
        raise InputError(f"A has shape {a.shape}, b {drive.shape}, x0 {start.shape}; (n, n), (n,) and (n,) are needed")
    if not (np.isfinite(drive).all() and np.isfinite(start).all()):
        raise InputError("b or x0 holds a value that is not finite")
    return (a + a.T) / 2 if np.allclose(a, a.T, rtol=1e-6) else a, drive, start, check_duration(duration)
