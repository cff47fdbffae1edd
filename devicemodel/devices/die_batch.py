"""`DieBatch`: one system on many dies of a calibrated device, in one call.

Every die is a fresh `SurrogateDevice` of that seed, with its own parts, converters, signal level and noise, and gives the same reading to
rounding, with the same outcome; what is shared is the arithmetic, which is batched over dies in torch. Where a die settles is the
equilibrium of its own law, with its own parts; the matrix that was asked for is not solved with anywhere. For yield, distributions and
gradients with respect to the card's parameters; training on one die is `SurrogateDevice`'s.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...circuits.technology.die import Die
from ...compiler.compile import lay_out
from ...compiler.fabrics.array import ArrayParts
from ...compiler.matrices import comparison_matrix
from ...compiler.program import AnalogProgram
from ...compiler.validate import real_array, validate
from ..card import DeviceCard
from ..device import Outcome
from ..host.converters import Adc, Dac
from ..ou import transition
from ..ou.gaussian import root
from ..ou.transition import Transition
from ..systems import check_duration
from .circuit import MAX_ATTEMPTS, TARGET
from .die_batch_law import Stack, StackedLaw, parameters_of, stack, stacked_law


@dataclass(frozen=True, eq=False)
class BatchSolution:
    """Readings of many dies.

    Attributes:
        x: (dies, n), problem units; nan where a die is unstable.
        outcomes: one for each die. attempts: (dies,) analog runs that each took.
        elapsed: (dies,) analog time, s.
        crossed: for each die what its run was outside of, a sentence for each bound of the card's range (see `SurrogateDevice.crossed`).
    """

    x: Tensor
    outcomes: tuple[Outcome, ...]
    attempts: np.ndarray
    elapsed: np.ndarray
    crossed: tuple[tuple[str, ...], ...]


class DieBatch:
    """Dies of one card.

    Args:
        card: of fabric crossbar or dual_rail.
        dies: their seeds.
        dtype: of the arithmetic; float32 is twice as fast and right to some 1e-6 of the largest voltage.
        extrapolate: answer outside of the card's range of validity, too; the solution's `crossed` then names the bounds.
        progress: called with (dies drawn, dies) while they are drawn, once for each number of unknowns.

    Raises:
        InputError: no dies, a seed that is not an integer >= 0, or another dtype than float32 and float64.

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
        if dtype not in (torch.float32, torch.float64):
            raise InputError(f"dtype is {dtype}: give torch.float32 or torch.float64")
        self.card, self.dtype, self.extrapolate, self.progress = card, dtype, extrapolate, progress
        self.dies = [Die(card.technology, die) for die in _seeds(dies)]
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
            InputError: shapes that do not fit, values that are not finite, an unknown parameter or one out of its range (`card.RANGES`), a
                seed that is not an integer >= 0; unless extrapolate, a system outside of the card's range, or one that takes a die there
                that does not clip.
        """
        a, drive, start, duration = _checked(matrix, b, x0, duration)
        if not isinstance(seed, int | np.integer) or seed < 0:
            raise InputError(f"seed is {seed!r}: give an integer >= 0")
        values = parameters_of(self.card, parameters, self.dtype, len(self))
        crossed = self._crossed(a, duration)
        program = lay_out(a, self.card.fabric, self.card.technology)
        stacked = self._stacks.get(len(a))
        if stacked is None:
            stacked = stack(
                self.dies, cast("ArrayParts", program.parts), program.fabric.symmetric, self.dtype, self.progress
            )
            self._stacks[len(a)] = stacked
        law = stacked_law(program, stacked, values)
        noisy = self.card.technology.thermal.johnson_noise and bool((values["noise"] > 0).any())
        return self._run(program, law, drive, start, duration, seed, noisy, crossed)

    def _crossed(self, a: np.ndarray, duration: float) -> list[tuple[str, ...]]:
        """For each die what the system and the run are outside of."""
        validity = self.card.validity
        system = validity.crossed_by_system(a)
        crossed = [(*system, *validity.crossed_by_run(duration, die.temperatures)) for die in self.dies]
        self._refuse(tuple(dict.fromkeys(text for die in crossed for text in die)))
        return crossed

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
        noisy: bool,
        crossed: list[tuple[str, ...]],
    ) -> BatchSolution:
        """The host's routine of `CircuitDevice`, for all dies at once; a die that is done keeps its level."""
        count, technology = len(self), self.card.technology
        alive = np.flatnonzero(_stable(law))
        law = law.of(alive)
        held, move, factor = self._transition(law, program.tau, duration, noisy)
        law, alive = law.of(held), alive[held]
        place_of = np.full(count, -1)
        place_of[alive] = np.arange(len(alive))
        rail = min(technology.opamp.output_limit, self.card.adc.full_scale)
        per_volt = program.parts.drive_nominal or 1.0 / technology.resistors.unit
        level = np.full(count, _first_level(program, b, start, per_volt, rail, self.card.dac.full_scale))
        attempts, pending = np.ones(count, dtype=int), place_of >= 0
        outcomes = [Outcome.UNSTABLE] * count
        found: dict[int, Tensor] = {}
        for attempt in range(1, MAX_ATTEMPTS + 1):
            rows = np.flatnonzero(pending)
            if not len(rows):
                break
            attempts[rows] = attempt
            requested = (program.conductance_unit * program.scaling * b / per_volt) * level[rows, None]
            driven = np.stack([self._dacs[k].convert(volts) for k, volts in zip(rows, requested, strict=True)])
            noises = [np.random.default_rng([seed, self.dies[k].seed or 0, 0, attempt]) for k in rows]
            begin = torch.from_numpy(start / program.scaling * level[rows, None]).to(self.dtype)
            currents = torch.from_numpy(driven * per_volt).to(self.dtype)
            draws = torch.stack([_draw(noise, len(b)) for noise in noises]).to(self.dtype) if noisy else None
            picked = torch.from_numpy(place_of[rows])
            volts = _relaxed(law, move, factor, picked, currents, begin, duration, draws)
            held_at = self.card.clamp * technology.opamp.output_limit
            volts = volts.clamp(-held_at, held_at)
            seen = volts.detach().double().numpy()
            for place, k in enumerate(rows):
                if not np.isfinite(seen[place]).all():
                    pending[k] = False
                    continue
                peak = float(np.abs(seen[place]).max())
                reading = self._adcs[k].convert(np.clip(seen[place], -rail, rail), noises[place])
                over = peak > rail or self._dacs[k].clips(requested[place]) or reading.clipped
                if over and attempt < MAX_ATTEMPTS:
                    level[k] *= _shrink(peak, rail, attempt)
                    continue
                pending[k] = False
                read = torch.from_numpy(reading.volts).to(self.dtype)
                scale = torch.from_numpy(program.scaling / level[k]).to(self.dtype)
                found[int(k)] = scale * (read + (volts[place] - volts[place].detach()))
                outcomes[k] = Outcome.CLIPPED
                if not over:
                    outcomes[k] = self._judge(int(k), peak, crossed)
        x = torch.full((count, len(b)), math.nan, dtype=self.dtype)
        if found:
            x = x.index_put((torch.tensor(list(found)),), torch.stack(list(found.values())))
        return BatchSolution(x, tuple(outcomes), attempts, attempts * duration * program.tau, tuple(crossed))

    def _judge(self, k: int, peak: float, crossed: list[tuple[str, ...]]) -> Outcome:
        """As `SurrogateDevice`: what a run is whose voltages went up to `peak` volts, within the rails; adds to `crossed[k]`."""
        beyond = self.card.validity.crossed_by_level(peak)
        self._refuse(tuple(f"die {self.dies[k].seed}: {text}" for text in beyond))
        crossed[k] += beyond
        return Outcome.EXTRAPOLATED if crossed[k] else Outcome.OK

    def _transition(
        self, law: StackedLaw, tau: float, duration: float, noisy: bool
    ) -> tuple[np.ndarray, Tensor | None, Tensor | None]:
        """The dies that have a state after that time, (m,) places, and of them propagators (None: all of the start is gone) and factors of
        the covariances (None: no noise), (m, n, n)."""
        every = np.arange(len(law.drift))
        if duration == 0 or not len(every):
            return every, torch.eye(law.drift.shape[-1], dtype=self.dtype).expand_as(law.drift), None
        if math.isinf(duration) and not noisy:
            return np.flatnonzero(_positive(-law.drift, torch.ones_like(law.delay))), None, None
        rows, steps = _steps(law, tau, duration, noisy)
        if not len(rows):
            return rows, None, None
        move = torch.cat([step.propagator for step in steps])
        found = [step.covariance for step in steps if step.covariance is not None]
        return rows, None if math.isinf(duration) else move, _factor(torch.cat(found)) if found else None


def _steps(law: StackedLaw, tau: float, duration: float, noisy: bool) -> tuple[np.ndarray, list[Transition]]:
    """The dies that have a state after that time, and their transitions, in batches whose order is theirs."""

    def over(rows: np.ndarray) -> Transition:
        some = law.of(rows)
        diffusion = some.diffusion * tau if noisy else None
        return transition(some.drift * tau, torch.zeros_like(some.delay), duration, diffusion)

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


def _shrink(peak: float, rail: float, attempt: int) -> float:
    """By what `CircuitDevice` scales down after a clipped attempt."""
    return (TARGET * rail / peak if peak > TARGET * rail else 0.5) * (1.0 if attempt == 1 else 0.25)


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
    rest = -torch.linalg.solve_ex(drift, push)[0].squeeze(-1)
    volts = rest
    if move is not None:
        delay = law.delay[rows]
        eye = torch.eye(drift.shape[-1], dtype=drift.dtype)
        slope, _ = torch.linalg.solve_ex(eye + drift * delay.unsqueeze(-2), drift @ begin.unsqueeze(-1) + push)
        offset = (begin - delay * slope.squeeze(-1) - rest).unsqueeze(-1)
        volts = rest + (move[rows] @ offset).squeeze(-1)
    if factor is not None and draws is not None:
        volts = volts + (factor[rows] @ draws.unsqueeze(-1)).squeeze(-1)
    return volts


def _draw(noise: np.random.Generator, n: int) -> Tensor:
    """The deviates that `SurrogateDevice` would draw from this generator."""
    generator = torch.Generator().manual_seed(int(noise.integers(2**63)))
    return torch.randn(n, generator=generator, dtype=torch.float64)


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
        return fine & _positive(law.stiffness, law.capacitance)
    compared = [comparison_matrix(one) for one in law.stiffness.detach().double().numpy()]
    return fine & _definite(torch.from_numpy(np.stack(compared)))


def _positive(matrix: Tensor, inertia: Tensor) -> np.ndarray:
    """(dies,) whether inertia^-1 matrix has eigenvalues of positive real part alone; False where an entry is not finite."""
    positive = _definite(matrix)
    for k in np.flatnonzero(~positive & _finite(matrix, inertia)):
        ratio = matrix[k].detach().double() / inertia[k].detach().double().unsqueeze(-1)
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


def _first_level(
    program: AnalogProgram, b: np.ndarray, start: np.ndarray, per_volt: float, rail: float, full_scale: float
) -> float:
    """As `CircuitDevice` chooses it for a fresh device."""
    strongest = program.conductance_unit / per_volt * float(np.abs(program.scaling * b).max())
    largest = float(np.abs(start / program.scaling).max())
    levels = [full_scale / strongest] if strongest > 0 else []
    levels += [min(TARGET * rail, full_scale) / largest] if largest > 0 else []
    return min(levels, default=1.0)


def _seeds(dies: Sequence[int]) -> Iterator[int]:
    """The dies' seeds as integers."""
    if not hasattr(dies, "__len__") or isinstance(dies, str | bytes):
        raise InputError(f"dies is {dies!r:.60}: give a sequence of seeds, such as range(1000)")
    if not len(dies):
        raise InputError("dies is empty: give one seed or more, such as range(1000)")
    for place, die in enumerate(dies):
        try:
            yield operator.index(die)
        except TypeError:
            raise InputError(f"dies[{place}] is {die!r:.60}: a die seed must be an integer >= 0") from None


def _checked(matrix: Any, b: Any, x0: Any, duration: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """A as a symmetric matrix (n, n), b and x0 as vectors (n,), and the duration."""

    def array(name: str, value: Any) -> np.ndarray:
        return real_array(
            name, "an array of real numbers", value.detach().cpu() if isinstance(value, Tensor) else value
        )

    a, drive = array("A", matrix), array("b", b)
    start = np.zeros(drive.shape) if x0 is None else array("x0", x0)
    if a.ndim != 2 or a.shape[0] != a.shape[1] or drive.shape != a.shape[:1] or start.shape != drive.shape:
        raise InputError(f"A has shape {a.shape}, b {drive.shape}, x0 {start.shape}; (n, n), (n,) and (n,) are needed")
    if not (np.isfinite(drive).all() and np.isfinite(start).all()):
        raise InputError("b or x0 holds a value that is not finite")
    # Products in single precision are symmetric up to their rounding.
    return validate((a + a.T) / 2 if np.allclose(a, a.T, rtol=1e-6) else a), drive, start, check_duration(duration)
