"""`DieBatch`: one system on many dies of a calibrated device, in one call.

Every die is a fresh `SurrogateDevice` of that seed, with its own parts, converters, signal level and noise, and gives the same reading to
rounding, with the same outcome; above 128 unknowns its thermal noise is another draw (`krylov_law`). What is shared is the
arithmetic, which is batched over dies in torch. Where a die settles is the equilibrium of its own law, with its own parts; the matrix
that was asked for is not solved with anywhere. Dies of other circuits than arrays of first order are run one after the other, without
gradients (`one_by_one`). For yield, distributions and gradients with respect to the card's parameters; training on
one die is `SurrogateDevice`'s.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...circuits.technology.die import Die
from ...circuits.technology.drive_resistors import drive_conductances
from ...compiler.compile import lay_out
from ...compiler.conductance_errors import errs
from ...compiler.fabrics.array import ArrayParts
from ...compiler.fabrics.registry import fabric_named
from ...compiler.limitations import not_modelled
from ...compiler.linear_system import LinearSystem
from ...compiler.program import AnalogProgram
from ..card import DeviceCard
from ..device import BatchSolution, RunRows, Solution
from ..devices.flicker import Flicker, rates_of
from ..devices.surrogate import FLICKER, REMEDY
from ..host.calibrated_range import CalibratedRange
from ..host.host import Host, Run
from ..host.readout import ReadOut
from ..implicit_gram import ImplicitGram
from ..systems import Dense, Implicit
from .arguments import RealArray, checked_seed, checked_system, seeds_of
from .board import DieBatchBoard, DifferentiableVoltages, Law
from .errors import errors_of
from .heat import WarmingDies
from .law import (
    Parameter,
    Stack,
    StackedLaw,
    at_temperatures,
    parameters_of,
    stack,
    stacked_law,
    with_drive,
)
from .one_by_one import OneByOne, is_stacked


class DieBatch:
    """Many dies of one calibrated device.

    Args:
        card: of any fabric that can be calibrated.
        dies: their seeds.
        dtype: of the arithmetic; float32 is twice as fast and right to some 1e-6 of the largest voltage.
        extrapolate: answer outside of the card's range of validity, too; the solution's `violations` then name the bounds.
        progress: called with (dies drawn, dies) while they are drawn, once for each number of unknowns.

    Raises:
        InputError: no dies, a seed that is not an integer >= 0, or another dtype than float32 and float64; float32 of a fabric whose
            dies are run one after the other.

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
        calibrated = CalibratedRange(card, extrapolate, REMEDY)
        self._stacked = is_stacked(fabric_named(card.fabric))
        if dtype == torch.float32 and not self._stacked:
            raise InputError(
                f"dtype is torch.float32, and dies of fabric {card.fabric} are run in float64: leave it out"
            )
        self.card, self.dtype, self.progress = card, dtype, progress
        self.technology = card.technology
        self.dies = [Die(self.technology, die) for die in seeds_of(dies)]
        self._host = Host(self.technology, self.dies, ReadOut(), calibrated)
        self._one_by_one = OneByOne(card, self.dies, extrapolate)
        self._stacks: dict[tuple[int, bytes], Stack] = {}
        self._kept: tuple[np.ndarray, float, Hashable, DieBatchBoard, list[tuple[str, ...]]] | None = None

    def __len__(self) -> int:
        return len(self.dies)

    @property
    def order(self) -> int:
        """See `order_of`."""
        return fabric_named(self.card.fabric).states

    def solve(
        self,
        system: LinearSystem | RealArray,
        b: RealArray,
        duration: float,
        x0: RealArray | None = None,
        seed: int = 0,
        *,
        gain: Parameter | None = None,
        leak: Parameter | None = None,
        lag: Parameter | None = None,
        pole: Parameter | None = None,
        mismatch: Parameter | None = None,
        capacitor_mismatch: Parameter | None = None,
        inductor_mismatch: Parameter | None = None,
        offset: Parameter | None = None,
        noise_power: Parameter | None = None,
    ) -> BatchSolution:
        """Program A, load b, run for `duration` tau from x0 and read, on every die; see `Device.solve`.

        Args:
            system: what is programmed, or its matrix A, (n, n). b: (n,) drive. x0: (n,); None: zeros.
            duration: tau; math.inf: at rest.
            seed: of the noise, as that of `SurrogateDevice`.
            gain, leak, lag, pole, mismatch, capacitor_mismatch, inductor_mismatch, offset, noise_power: in place of the card's value, a
                number or a tensor of shape () or (dies, 1). Gradients flow from `x` to them, of dies that are not run one after the other;
                converters pass them unchanged (straight-through), and signal levels count as constants.

        Raises:
            InputError: shapes that do not fit, values that are not finite, a parameter out of its range (`card.RANGES`), a
                seed that is not an integer >= 0; unless extrapolate, a system outside of the card's range, or one that takes a die there
                that does not clip.
        """
        a, drive, start, duration = checked_system(system, b, x0, duration)
        seed = checked_seed(seed)
        given = {
            "gain": gain,
            "leak": leak,
            "lag": lag,
            "pole": pole,
            "mismatch": mismatch,
            "capacitor_mismatch": capacitor_mismatch,
            "inductor_mismatch": inductor_mismatch,
            "offset": offset,
            "noise_power": noise_power,
        }
        own = {name: one for name, one in given.items() if one is not None}
        if not self._stacked:
            known = system if isinstance(system, LinearSystem) else Dense(torch.from_numpy(a))
            return self._one_by_one.solve(known, drive, duration, start, seed, own, self.progress)
        board, violations = self._loaded(a, duration, own, seed)
        runs = _Runs(self._host, board, duration, violations, seed).take(range(len(self)), drive, start)
        attempts = np.array([run.attempts for run in runs])
        return BatchSolution(
            self._readings(board, runs),
            tuple(run.outcome for run in runs),
            attempts * duration * board.tau,
            attempts,
            tuple(run.violations for run in runs),
            not_modelled=not_modelled("DieBatch", fabric_named(self.card.fabric)),
        )

    def accepts(self, system: LinearSystem) -> bool:
        """True for systems that can be written out, entry by entry."""
        return isinstance(system, LinearSystem) and not isinstance(system, Implicit | ImplicitGram)

    def program(self, system: LinearSystem, duration: float, seed: int) -> RunRows:
        """New dies programmed with a system; see `DeviceBatch.program`.

        Raises:
            InputError: as `solve`, and for a technology whose conductances drift: they would do so from run to run.
        """
        n, resistors = system.size, self.technology.resistors
        if resistors.conductance_drift or resistors.conductance_drift_spread:
            raise InputError(
                f"technology {self.technology.name} has resistors.conductance_drift = {resistors.conductance_drift:g} and "
                f"conductance_drift_spread = {resistors.conductance_drift_spread:g}, by which the dies of a batch do not change from run "
                "to run: use a SurrogateDevice for each die, or set both to 0"
            )
        a, _, _, duration = checked_system(system, np.zeros(n), None, duration)
        seed = checked_seed(seed)
        if not self._stacked:
            return self._one_by_one.program(system, duration, seed)
        warming = None
        if self.technology.thermal.dynamic:
            warming = WarmingDies(lay_out(a, self.card.fabric, self.technology), self.dies, self.card, seed)
        board, violations = self._loaded(a, duration, {}, seed)
        state = _Runs(self._host, board, duration, violations, seed)

        def run(rows: Sequence[int], drives: Tensor, starts: Tensor) -> list[Solution]:
            found: dict[int, Solution] = {}
            for turn in _turns(rows):
                dies = [rows[i] for i in turn]
                b, start = np.zeros((len(self), n)), np.zeros((len(self), n))
                b[dies], start[dies] = (values[turn].detach().cpu().double().numpy() for values in (drives, starts))
                counts = [state.counts[die] for die in dies]
                if warming is not None:
                    state.board, _ = self._loaded(a, duration, {}, seed, state.counts, warming.dies())
                    state.violations = self._violations(warming.cells(), a, duration)
                elif resistors.read_noise:
                    state.board, _ = self._loaded(a, duration, {}, seed, state.counts)
                runs = state.take(dies, b, start)
                if warming is not None:
                    warming.follow(dies, runs, counts, state.board, duration)
                solutions = _solutions(board, runs, duration)
                found |= dict(zip(turn, solutions, strict=True))
            return [found[i] for i in range(len(rows))]

        return run

    def _loaded(
        self,
        a: np.ndarray,
        duration: float,
        given: Mapping[str, Parameter],
        seed: int,
        counts: Sequence[int] = (),
        warmed: Sequence[Die] = (),
    ) -> tuple[DieBatchBoard, list[tuple[str, ...]]]:
        """The dies programmed with A for runs of `duration` tau, and what they are outside of; with the card's parameters kept until
        another A, duration, or draw of the errors that are drawn anew: by the seed, and the number of runs that each die has had; or
        the same dies at other temperatures, `warmed`."""
        numbers, dies = tuple(counts) or (0,) * len(self), warmed or self.dies
        drawn = (seed, numbers) if errs(self.technology.resistors) else None, tuple(warmed)
        if not given and self._kept is not None:
            matrix, span, of, board, violations = self._kept
            if span == duration and of == drawn and np.array_equal(matrix, a):
                return board, violations
        values = parameters_of(self.card, given, self.dtype, len(self))
        program = lay_out(a, self.card.fabric, self.technology)
        violations = self._violations([program.parts.supplied(die).temperatures for die in dies], a, duration)
        # With one rail, which inverters there are and heat the die is a matter of the signs.
        kind = len(a), program.parts.amplifier_heat(self.dies[0]).tobytes()
        stacked = self._stacks.get(kind)
        if stacked is None:
            stacked = stack(
                self.dies, cast("ArrayParts", program.parts), program.fabric.symmetric, self.dtype, self.progress
            )
            self._stacks[kind] = stacked
        if warmed:
            stacked = at_temperatures(stacked, dies, program.fabric.symmetric)
        ranges = drive_conductances(self.technology.resistors)
        erring = errors_of(self.dies, cast("ArrayParts", program.parts), seed, numbers, self.dtype)

        def in_range(place: int) -> tuple[AnalogProgram, Law]:
            ranged, stack_in_range = program, stacked
            if place > 0 and program.parts.drive_nominal:
                ranged = program.with_drive(float(ranges[place]))
                stack_in_range = with_drive(stacked, self.dies, cast("ArrayParts", ranged.parts))

            def law(dies: slice) -> StackedLaw:
                own = {name: value[dies] if value.ndim else value for name, value in values.items()}
                return stacked_law(
                    ranged, stack_in_range.of(dies), own, {kind: one.of(dies) for kind, one in erring.items()}
                )

            return ranged, law

        noisy = self.technology.thermal.johnson_noise and bool((values["noise_power"] > 0).any())
        # With the largest input resistors, which load the amplifiers least, it shows which dies are stable.
        board = DieBatchBoard(in_range, len(self), len(ranges) - 1, self.card.clamp, duration, noisy)
        if not given:
            self._kept = (a, duration, drawn, board, violations)
        return board, violations

    def _violations(self, maps: Sequence[np.ndarray], a: np.ndarray, duration: float) -> list[tuple[str, ...]]:
        """For each die what the system and the run are outside of. InputError unless that is allowed."""
        validity = self.card.validity
        system = validity.violations_by_system(a)
        found = [(*system, *validity.violations_by_run(duration, cells)) for cells in maps]
        self._host.calibrated.check(tuple(dict.fromkeys(text for die in found for text in die)))
        return found

    def _readings(self, board: DieBatchBoard, runs: Sequence[Run]) -> Tensor:
        """(dies, n) what was read, with the slopes of the voltages that it was read of."""
        x, found = torch.full((len(runs), board.size), math.nan, dtype=self.dtype), {}
        for k, run in enumerate(runs):
            if run.trial is None:
                continue
            voltages, place = run.trial.source
            assert isinstance(voltages, DifferentiableVoltages)
            volts = voltages.tensor[place]
            read = torch.from_numpy(run.trial.readings.mean).to(self.dtype)
            scale = torch.from_numpy(board.read_scale / run.level).to(self.dtype)
            found[k] = scale * (read + (volts - volts.detach()))
        if found:
            x = x.index_put((torch.tensor(list(found)),), torch.stack(list(found.values())))
        return x


class _Runs:
    """Runs of new dies of a batch on one board: their ranging memory and their noise go on from run to run.

    Attributes:
        board, violations: as they are in the next run. counts: runs that each die has had.
    """

    def __init__(
        self, host: Host, board: DieBatchBoard, duration: float, violations: Sequence[tuple[str, ...]], seed: int
    ) -> None:
        self.board, self.violations, self.counts = board, violations, [0] * len(host.dies)
        self._host, self._duration = host, duration
        self._seed, self._headroom = seed, [1.0] * len(host.dies)
        program = board.program
        self._between = program.technology.thermal.between_runs
        rates = rates_of(program.technology.opamp, program.fabric) if board.noisy else []
        self._flicker = [Flicker(rates, [seed, die.seed or 0, FLICKER]) for die in host.dies] if rates else []

    def take(self, dies: Sequence[int], b: np.ndarray, start: np.ndarray) -> list[Run]:
        """A run of some dies; see `Host.run`."""
        for die in dies if self._flicker else ():
            seed = [self._seed, self._host.dies[die].seed or 0, self.counts[die], FLICKER]
            self._flicker[die].begin(self.board.size, [[]], [], 0.0, seed)
        self.board.flicker[:] = self._flicker
        runs = self._host.run(
            self.board, b, start, None, self._headroom, self._duration, self._stream, self.violations, among=dies
        )
        for die, run in zip(dies, runs, strict=True):
            self._headroom[die], self.counts[die] = run.headroom, self.counts[die] + 1
            if self._flicker:
                self._flicker[die].commit()
                self._flicker[die].elapsed = run.attempts * self._between
        return runs

    def _stream(self, die: int, attempt: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, self._host.dies[die].seed or 0, self.counts[die], attempt])


def _turns(rows: Sequence[int]) -> list[list[int]]:
    """Places of `rows` in as few groups as have no row twice, in order."""
    turns: list[list[int]] = []
    met: Counter[int] = Counter()
    for place, row in enumerate(rows):
        if met[row] == len(turns):
            turns.append([])
        turns[met[row]].append(place)
        met[row] += 1
    return turns


def _solutions(board: DieBatchBoard, runs: Sequence[Run], duration: float) -> list[Solution]:
    """What a device would answer for each run."""
    read = np.full((len(runs), board.size), math.nan)
    for place, run in enumerate(runs):
        if run.trial is not None:
            read[place] = run.trial.readings.mean
    x = torch.from_numpy(board.values(read, np.array([[run.level] for run in runs])))
    return [
        Solution(
            x[place],
            run.outcome,
            run.attempts * duration * board.tau,
            run.attempts,
            run.violations,
            not_modelled=not_modelled("DieBatch", board.program.fabric),
        )
        for place, run in enumerate(runs)
    ]
