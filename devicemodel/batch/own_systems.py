"""`OwnSystems`: dies of a calibrated device, each of which solves a system of its own, all in one call.

Where `DieBatch` has one system on many dies, a training on each die meets other systems from its first step on. What a die gives is what
`SurrogateDevice(card, die, seed, extrapolate=extrapolate)` gives that is asked for the same runs in turn: the same parts, converters,
ranging memory and draws of the ADC. Thermal noise has the same distribution, and draws of its own (`arrays_noise`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...circuits.amplifiers.output_stage import is_limited
from ...circuits.errors import InputError
from ...circuits.technology.die import Die
from ...compiler.compile import lay_out
from ...compiler.conductance_errors import errs
from ...compiler.fabrics.crossbar_parts import CrossbarParts
from ...compiler.fabrics.registry import fabric_named
from ...compiler.limitations import not_modelled
from ...compiler.passes.quantise import is_discrete, nearest
from ...compiler.program import AnalogProgram
from ..card import DeviceCard
from ..checks import check_duration
from ..device import Outcome, Solution
from ..devices.circuit import ProgramUnits
from ..devices.flicker import Flicker, rates_of
from ..devices.overload import largest_share
from ..devices.surrogate import FLICKER, REMEDY
from ..host.board import Voltages
from ..host.calibrated_range import CalibratedRange
from ..host.host import Host
from ..host.readout import ReadOut
from .arguments import checked_seed, seeds_of
from .arrays_law import ArraysLaw, DieParts
from .arrays_noise import ArraysNoise
from .board import positive

FABRIC = "crossbar"


class OwnSystems:
    """Dies of one card with a system each.

    Args:
        card: of fabric "crossbar", an integrator array with two rails.
        dies: their seeds; one may occur more than once.
        seed: of the noise, one for all or one for each die.
        extrapolate: see `SurrogateDevice`.

    Raises:
        InputError: a card that is not supported: another fabric, two slices, ranges of input resistors, conductances that
            drift or are drawn anew, temperatures that move, a sampler of finite bandwidth; no dies, a seed that is not an integer >= 0.
    """

    def __init__(
        self, card: DeviceCard, dies: Sequence[int], seed: int | Sequence[int] = 0, extrapolate: bool = False
    ) -> None:
        self._calibrated = CalibratedRange(card, extrapolate, REMEDY)
        check_supported(card)
        self.card, self.technology = card, card.technology
        self.dies = [Die(self.technology, die) for die in seeds_of(dies)]
        seeds = [seed] * len(self.dies) if isinstance(seed, int | np.integer) else list(seed)
        if len(seeds) != len(self.dies):
            raise InputError(
                f"seed has {len(seeds)} entries for {len(self.dies)} dies: give one seed, or one for each die"
            )
        self.seeds = [checked_seed(one) for one in seeds]
        self._host = Host(self.technology, self.dies, ReadOut(), self._calibrated)
        self._headroom, self._counts = [1.0] * len(self.dies), [0] * len(self.dies)
        self._drawn: _Drawn | None = None
        self.noisy = self.technology.thermal.johnson_noise and card.noise_power.value > 0
        rates = rates_of(self.technology.opamp, fabric_named(FABRIC)) if self.noisy else []
        pairs = list(zip(self.seeds, self.dies, strict=True))
        self._flicker = [Flicker(rates, [seed, die.seed or 0, FLICKER]) for seed, die in pairs] if rates else []

    def __len__(self) -> int:
        return len(self.dies)

    def program(self, matrices: Tensor, duration: float, floor: float = 0.0) -> ProgrammedDies:
        """Program a system on each die.

        Args:
            matrices: A, (dies, n, n) float64, symmetric. duration: of the runs, tau of each system.
            floor: a lower bound of the smallest eigenvalue of all systems, by which the card's range is judged.

        Raises:
            InputError: another shape, an entry that is not finite, zeros alone; unless
                extrapolate, what the card was not calibrated for.
        """
        duration = check_duration(duration)
        if self.noisy and math.isinf(duration):
            raise InputError(
                "duration is inf, and with thermal noise dies with a system each run for a finite time: give one, such as 20 tau, or set "
                "thermal.johnson_noise to false"
            )
        given = matrices.detach()
        if given.dim() != 3 or len(given) != len(self) or given.shape[1] != given.shape[2] or not given.shape[1]:
            raise InputError(
                f"matrices have shape {tuple(given.shape)}: give ({len(self)}, n, n), a system for each die"
            )
        largest = given.abs().amax((1, 2))
        wrong = torch.nonzero(~(torch.isfinite(largest) & (largest > 0)))
        if len(wrong):
            place = int(wrong[0])
            raise InputError(
                f"matrices[{place}] has a largest entry of {float(largest[place])}: finite entries are needed"
            )
        drawn, validity = self._parts(given[0].numpy()), self.card.validity
        violations = [
            (*validity.violations_by_system(one, floor), *validity.violations_by_run(duration, cells))
            for one, cells in zip(given.numpy(), drawn.temperatures, strict=True)
        ]
        self._calibrated.check(tuple(dict.fromkeys(text for die in violations for text in die)))
        resistors, fabric = self.technology.resistors, fabric_named(FABRIC)
        unit = 1.0 / resistors.unit / largest
        entries = (unit[:, None, None] * given).numpy()
        sizes = np.abs(entries)
        coded = nearest(sizes, resistors) if is_discrete(resistors) else sizes
        signed = torch.from_numpy(np.copysign(coded, entries))
        tau = torch.tensor([fabric.tau(one, self.technology) for one in unit.tolist()], dtype=torch.float64)
        law = ArraysLaw.of(self.card, drawn.parts, signed, tau.unsqueeze(-1))
        noise = None
        if self.noisy and duration > 0:
            noise = ArraysNoise(self.card, drawn.parts, law, tau.unsqueeze(-1), duration)
        boards = _Boards(drawn.program, law, self.card, duration, noise, self.noisy)
        return ProgrammedDies(self, boards, largest, tau, violations, duration)

    def _parts(self, matrix: np.ndarray) -> _Drawn:
        """The dies for systems of this size, drawn once."""
        if self._drawn is None or self._drawn.program.size != len(matrix):
            program = lay_out(matrix / np.abs(matrix).max(), FABRIC, self.technology)
            assert isinstance(program.parts, CrossbarParts)
            parts = DieParts.of(self.card, self.dies, program.parts)
            self._drawn = _Drawn(program, parts, [program.parts.supplied(die).temperatures for die in self.dies])
        return self._drawn


class _Drawn(NamedTuple):
    """A program of largest entry one, of which units are taken alone, the dies' parts, and each one's temperatures."""

    program: AnalogProgram
    parts: DieParts
    temperatures: list[np.ndarray]


class ProgrammedDies:
    """Dies that hold a system each; made by `OwnSystems.program`."""

    def __init__(
        self,
        dies: OwnSystems,
        boards: _Boards,
        largest: Tensor,
        tau: Tensor,
        violations: list[tuple[str, ...]],
        duration: float,
    ) -> None:
        self._dies, self._boards, self._largest, self._tau = dies, boards, largest, tau
        self._violations, self._duration = violations, duration

    def run(self, drives: Tensor, starts: Tensor | None = None, among: Sequence[int] | None = None) -> list[Solution]:
        """A run of each die, or of some.

        Args:
            drives: b, (dies, n); starts: (dies, n), None: zeros. Rows of dies that are not run do not matter.
            among: places of the dies that run, each once; None: all.
        """
        own, boards = self._dies, self._boards
        chosen = list(range(len(own)) if among is None else among)
        # The board is that of a largest entry of one, whose solution for b / max |A| is that of A for b.
        b = (drives.detach().double() / self._largest.unsqueeze(-1)).numpy()
        start = np.zeros_like(b) if starts is None else starts.detach().double().numpy()

        def stream(die: int, attempt: int) -> np.random.Generator:
            return np.random.default_rng([own.seeds[die], own.dies[die].seed or 0, own._counts[die], attempt])

        boards.flicker, boards.seconds = own._flicker, [self._duration * one for one in self._tau.tolist()]
        for die in chosen if own._flicker else ():
            seed = [own.seeds[die], own.dies[die].seed or 0, own._counts[die], FLICKER]
            own._flicker[die].begin(boards.size, [[]], [], 0.0, seed)
        runs = own._host.run(
            boards, b, start, None, own._headroom, self._duration, stream, self._violations, among=chosen
        )
        names, found = not_modelled("DieBatch", fabric_named(FABRIC)), []
        for die, run in zip(chosen, runs, strict=True):
            own._headroom[die], own._counts[die] = run.headroom, own._counts[die] + 1
            if own._flicker:
                own._flicker[die].commit()
                own._flicker[die].elapsed = run.attempts * own.technology.thermal.between_runs
            read = np.full(boards.size, math.nan) if run.trial is None else run.trial.readings.mean
            seconds = run.attempts * self._duration * float(self._tau[die])
            x = torch.from_numpy(boards.values(read, run.level))
            found.append(Solution(x, run.outcome, seconds, run.attempts, run.violations, not_modelled=names))
        return found


class _Boards(ProgramUnits):
    """The arrays of all dies, of programs whose largest entry is one.

    Args:
        program: such a one. law: of the dies. duration: of runs, tau. noise: in them. noisy: whether there is any, whatever their duration.

    Attributes:
        flicker: of each die, laid out for the next run; empty: there is none. seconds: of a run of each die.
    """

    def __init__(
        self,
        program: AnalogProgram,
        law: ArraysLaw,
        card: DeviceCard,
        duration: float,
        noise: ArraysNoise | None,
        noisy: bool,
    ) -> None:
        super().__init__(program)
        self._law, self._card, self._duration, self._noise, self._noisy = law, card, duration, noise, noisy
        self.flicker: list[Flicker] = []
        self.seconds: list[float] = []
        fine = torch.isfinite(law.drift).all(-1).all(-1).numpy()
        stable = positive(law.judged, torch.ones_like(law.load))
        self._can_run = fine & stable

    def obstacles(self, duration: float) -> Sequence[Outcome | None]:
        """See `Board`."""
        return [None if can else Outcome.UNSTABLE for can in self._can_run]

    def relax(
        self,
        dies: np.ndarray,
        driven: np.ndarray,
        start: np.ndarray,
        spans: tuple[float, ...],
        streams: Sequence[np.random.Generator],
    ) -> Voltages:
        """See `Board`; one span."""
        every = len(dies) == len(self._can_run) and bool(self._can_run.all())
        law = self._law if every else self._law.of_dies(torch.from_numpy(dies))
        excited = None
        if self._noisy:
            # As a single device draws them, so that the ADC's own draws, which follow in the same streams, are the same.
            seeds = [int(one.integers(2**63)) for one in streams]
            if self._noise is not None:
                excited = self._noise.draw(torch.from_numpy(dies), self._ends(dies, seeds), seeds)
        volts = law.volts(torch.from_numpy(driven), torch.from_numpy(start), self._duration, excited)
        opamp = self._card.technology.opamp
        used = None
        if is_limited(opamp):
            cells = volts.numpy()[:, None]
            charging: np.ndarray | float = 0.0
            if not math.isinf(self._duration):
                force = law.driven * torch.from_numpy(driven) + law.pushed
                charging = (force - torch.bmm(law.conductance, volts.unsqueeze(-1)).squeeze(-1)).numpy()[:, None]
            used = largest_share(opamp, cells, law.load.numpy()[:, None], charging, 2)
            used = np.minimum(used, self._card.clamp)
        most = self._card.clamp * opamp.output_limit
        return Voltages(volts.clamp(-most, most).numpy()[:, None], overload=used)

    def _ends(self, dies: np.ndarray, seeds: Sequence[int]) -> np.ndarray | None:
        """The sections of 1/f noise at the start and the end of a run, (dies, 2, kinds, k, n)."""
        if not self.flicker:
            return None
        pairs = zip(dies.tolist(), seeds, strict=True)
        return np.stack([self.flicker[die].run(0, self.size, [self.seconds[die]], seed) for die, seed in pairs])


def check_supported(card: DeviceCard) -> None:
    """InputError for a card whose dies cannot be computed with a system each; it names the figure and what to do."""
    technology, resistors = card.technology, card.technology.resistors
    thermal = technology.thermal
    moving = errs(resistors) or resistors.conductance_drift or resistors.conductance_drift_spread
    told: list[tuple[bool, str, str]] = [
        (card.fabric != FABRIC, f"fabric {card.fabric}", f"a card of fabric {FABRIC!r}"),
        (resistors.slices != 1, f"resistors.slices = {resistors.slices}", "resistors.slices = 1"),
        (
            resistors.drive_ranges != 1,
            f"resistors.drive_ranges = {resistors.drive_ranges}",
            "resistors.drive_ranges = 1",
        ),
        (bool(moving), "conductances that drift, fluctuate or are written with errors", "a card without them"),
        (thermal.dynamic, "temperatures that move (thermal.dynamic)", "thermal.dynamic false"),
        (math.isfinite(technology.adc.bandwidth), "adc.bandwidth", "adc.bandwidth infinite"),
    ]
    for met, what, remedy in told:
        if met:
            raise InputError(
                f"dies with a system each do not support {what} (technology {technology.name}): take {remedy}, or a SurrogateDevice for "
                "each die"
            )
