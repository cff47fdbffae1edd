"""`CovarianceDevice`: A^-1 b, and A^-1, from the covariance that noise gives the cells of an `spu`.

    white current noise of two-sided density S into each cell, and Johnson noise  ->  Cov(v) = k T_e C^-1,   T_e = T + S R / 2k
    C = u D A D  ->  A^-1 = (u / k T_e) D Cov(v) D

The host lets the circuit run until it has forgotten its start, samples all cells at equal intervals, and averages: S' b takes
v (D v . D b) of each sample, S' the products of all pairs. The mean of v is taken off, which is the offsets of the converters (that of the
noise is zero), and from the variances the ADC's noise and LSB^2 / 12 (Sheppard), as its technology states them. What is left of the
samples' scatter is the error bar (`block_moments`); `sampling_law` is what theory says of it. Deviations of the die's parts, gain errors
and the samplers' bandwidth shift the mean: no time averages them out, and no error bar of one die shows them.

kT / C of Johnson noise alone is microvolts, below the steps of any ADC. So noise is injected, as in the published unit (D. Melanson et
al., Nature Communications 16:3757, 2025; the algorithm: M. Aifer et al., arXiv 2308.05660), through the DACs, whose gain errors are its.
The host sets it by trying: so that the largest rms voltage is a sixth of the ADC's full scale.

Matrices: what an `spu` holds, nonsingular M-matrices (no positive coupling, and a positive definite one). Others are rejected.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.constants import Boltzmann
from torch import Tensor

from ...circuits.errors import InputError
from ...circuits.technology.die import Die
from ...circuits.technology.presets import as_technology
from ...circuits.technology.technology import Technology
from ...compiler.compile import lay_out
from ...compiler.fabrics.registry import fabric_named
from ...compiler.limitations import not_modelled
from ...compiler.linear_system import LinearSystem
from ...compiler.matrices import diagonal
from ...compiler.program import AnalogProgram
from ..checks import check_duration
from ..cost.digital_host import HostWork
from ..device import Device, Outcome, Solution
from ..devices.circuit import matrix_of
from ..host.converters import Adc, Dac, step_of
from ..systems import Implicit, changes, check_vector
from .block_moments import BlockMoments, mean_and_error
from .sampling_cost import work_of_samples
from .voltage_paths import LawPath, VoltagePath

CREST = 6.0
"""Full scale of the ADC over the largest rms voltage: a normal variable is beyond it twice in 10^9 samples."""
LEAST_CREST, MOST_CREST = 4.5, 9.0
"""What a pilot run may see and keep its level."""
PILOT, MAX_ATTEMPTS = 256, 8
"""Samples of the run that shows the level, and most runs of it."""
FORGOTTEN = 5.0
"""Slowest time constants before the first sample: exp(-10) is left of the difference of a covariance from the settled one."""
LEAST_BLOCKS, MOST_BLOCKS = 8, 64
BLOCK = 2.0
"""Least length of a block in slowest time constants of a voltage, four of a product of two."""
DENSITY_OF_SAMPLES = 0.5
"""Default interval over R C_ii, the least of all cells."""
NOT_MODELLED = (
    "band limit and steps of injected noise",
    "codes of programmed capacitors",
    "temperatures that move from run to run",
)
"""Beside what a `SpiceDevice` leaves out of an `spu`."""


@dataclass(frozen=True, eq=False)
class InverseEstimate:
    """A^-1 from one run.

    Attributes:
        matrix: (n, n), symmetric. standard_error: (n, n), of each entry, from the samples alone.
        outcome, seconds, attempts, not_modelled: see `Solution`.
        samples: of each cell.
    """

    matrix: Tensor
    standard_error: Tensor
    outcome: Outcome
    seconds: float
    attempts: int
    samples: int
    not_modelled: tuple[str, ...] = dataclasses.field(default=(), repr=False)


class CovarianceDevice(Device):
    """A device that solves by sampling its own noise.

    A run of `duration` tau gives the whole inverse, so that `solve_many` and `inverse` take one run. `evolve` samples on and
    sharpens the estimate. Each call of `solve`, `solve_many` and `inverse` begins anew.

    Args:
        technology: parts, converters, temperature.
        die: seed of the die; None has nominal parts.
        noise_density: S of the injected current noise, two-sided, A^2/Hz; None: as the host chooses for the ADC's range; 0: Johnson noise
            alone.
        interval: between samples, tau; None: half of the least R C_ii of the cells, or as fast as the ADCs convert.
        seed: of the noise; runs of one device draw anew.

    Attributes:
        program: as it is loaded, with the parts of the die; None at first.
        work: of the host on the last call's samples, its multiply-adds.
        density: S of the last run, A^2/Hz. gain: of the amplifier before the ADC. spacing: between its samples, tau.

    Raises:
        InputError: a seed that is not an integer >= 0, a density or interval out of range; in `solve` and the others, a duration that is
            too short for an error bar, an interval faster than the ADCs, an initial state, no noise.
        UnrealisableError: in the same, a matrix that is not a nonsingular M-matrix; the message says what is in the way.
    """

    kinds = "Dense(A), LowRank(J, H, damping) or Kronecker(A, B, damping)"

    def __init__(
        self,
        technology: Technology | str,
        die: int | None = None,
        noise_density: float | None = None,
        interval: float | None = None,
        seed: int = 0,
    ) -> None:
        if not isinstance(seed, int) or seed < 0:
            raise InputError(f"seed is {seed!r}: give an integer >= 0")
        if noise_density is not None and not 0 <= noise_density < math.inf:
            raise InputError(f"noise_density is {noise_density!r}: give A^2/Hz >= 0, or None")
        if interval is not None and not 0 < interval < math.inf:
            raise InputError(f"interval is {interval!r}: give finite tau > 0 between samples, or None")
        self.technology, self.die, self.seed = as_technology(technology), Die(as_technology(technology), die), seed
        self.noise_density, self.interval = noise_density, interval
        self.program: AnalogProgram | None = None
        self.density, self.gain, self.spacing = 0.0, 1.0, 0.0
        self.work = HostWork()
        self._adc = Adc(self.technology.adc, self.die)
        self._nominal: AnalogProgram | None = None
        self._system: LinearSystem | None = None
        self._changes: tuple[int, ...] = ()
        self._path: VoltagePath | None = None
        self._moments: BlockMoments | None = None
        self._drive: Tensor | None = None
        self._outcome = Outcome.OK
        self._known = False  # the level of the loaded system
        self._runs = 0

    @property
    def not_modelled(self) -> tuple[str, ...]:
        """What the device leaves out; see `Solution.not_modelled`."""
        return (*NOT_MODELLED, *not_modelled("SpiceDevice", fabric_named("spu")))

    def accepts(self, system: LinearSystem) -> bool:
        """True for systems that can be written out, entry by entry; see `Device.accepts`."""
        return isinstance(system, LinearSystem) and not isinstance(system, Implicit)

    def solve(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        """A^-1 b from a run that is sampled for `duration` tau; `standard_error` says how well.

        Args:
            system, b: see `Device.solve`.
            duration: tau, finite; rounded up to whole samples.
            x0: None, or zeros: noise has no initial state.
        """
        return self._solutions(system, b[None], duration, x0)[0]

    def solve_many(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> list[Solution]:
        """A^-1 b for each row of b, (m, n), all from one run; time and attempts are those of the first."""
        if b.dim() != 2:
            raise InputError(f"b has shape {tuple(b.shape)}: give (m, n), one drive a row")
        return self._solutions(system, b, duration, x0)

    def inverse(self, system: LinearSystem, duration: float) -> InverseEstimate:
        """A^-1 from a run that is sampled for `duration` tau."""
        self._require_accepted(system)
        self._drive = None
        attempts, seconds = self._begin(system, duration)
        dtype = getattr(system, "dtype", torch.float64)
        matrix, error = (torch.from_numpy(part).to(dtype) for part in mean_and_error(*self._blocks()))
        samples = self._samples
        self.work = work_of_samples(samples, system.size, None)
        return InverseEstimate(matrix, error, self._outcome, seconds, attempts, samples, self.not_modelled)

    def evolve(self, duration: float) -> Solution:
        """Sample on for `duration` tau with what is loaded; the solution is that of all samples since `solve`."""
        if self._moments is None or self._drive is None:
            raise InputError(
                "the device has no system and drive yet (they are not part of a saved state): call solve first"
            )
        before, seconds = self._samples, self._sample(duration)
        self.work = work_of_samples(self._samples - before, len(self._drive), 1)
        return self._solution(self._drive, self._blocks(), seconds, 1)

    def state_dict(self) -> dict[str, Any]:
        """The number of runs, and whose they are: each begins anew."""
        return {"identity": self._identity, "runs": self._runs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state of `state_dict`; the loaded system is not part of it.

        Raises:
            InputError: not such a state, or one of another die or technology.
        """
        if missing := [key for key in ("identity", "runs") if key not in state]:
            raise InputError(
                f"state lacks {' and '.join(missing)}: give what state_dict() of a {type(self).__name__} returned"
            )
        if state["identity"] != self._identity:
            raise InputError("the state is of another device, die or technology: resume on the same, or leave it out")
        if not (isinstance(state["runs"], int) and state["runs"] >= 0):
            raise InputError(f"state['runs'] is {state['runs']!r}: it is an integer >= 0")
        self._runs = state["runs"]
        self.program = self._nominal = self._system = self._path = self._moments = self._drive = None

    @property
    def _identity(self) -> dict[str, Any]:
        name = type(self).__name__
        return {"device": name, "technology": self.technology.model_dump_json(), "die": self.die.seed}

    def _solutions(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None) -> list[Solution]:
        self._require_accepted(system)
        for row in b:
            check_vector("b", row, system)
        if x0 is not None and bool((x0 != 0).any()):
            raise InputError("x0 is given, but a sampled covariance has no initial state: leave it out")
        attempts, seconds = self._begin(system, duration)
        blocks, found = self._blocks(), []
        self.work = work_of_samples(self._samples, system.size, len(b))
        for k, row in enumerate(b):
            found.append(self._solution(row, blocks, 0.0 if k else seconds, 0 if k else attempts))
            self._drive = row
        return found

    def _require_accepted(self, system: LinearSystem) -> None:
        if not self.accepts(system):
            raise InputError(f"system is a {type(system).__name__}: {type(self).__name__} takes {self.kinds}")

    # Programming

    def _load(self, system: LinearSystem) -> AnalogProgram:
        """The nominal program; on the die it is `program`."""
        if self._nominal is None or system is not self._system or changes(system) != self._changes:
            nominal = lay_out(matrix_of(system), "spu", self.technology)
            self.program = nominal if self.die.seed is None else nominal.on(self.die)
            self._nominal, self._system, self._changes = nominal, system, changes(system)
            self._known = False
        return self._nominal

    def _spacing(self, nominal: AnalogProgram) -> float:
        """Interval between samples, s."""
        adc = self.technology.adc
        least = math.ceil(nominal.size / (adc.count or nominal.size)) / adc.rate
        if self.interval is None:
            return max(DENSITY_OF_SAMPLES * self._resistance(nominal) * _least_capacitance(nominal), least)
        if self.interval * nominal.tau < least:
            raise InputError(
                f"interval is {self.interval:g} tau, {self.interval * nominal.tau:.3g} s, and the ADCs take {least:.3g} s for the "
                f"{nominal.size} cells: give {least / nominal.tau:.3g} tau or more, or None"
            )
        return self.interval * nominal.tau

    def _resistance(self, nominal: AnalogProgram) -> float:
        parts: Any = nominal.parts
        return float(1.0 / parts.shunt[0, 0])

    def _temperature(self, nominal: AnalogProgram) -> float:
        """T_e as the host knows it, K."""
        thermal = self.technology.thermal
        own = thermal.ambient if thermal.johnson_noise else 0.0
        return own + self.density * self._resistance(nominal) / (2 * Boltzmann)

    # Runs

    def _begin(self, system: LinearSystem, duration: float) -> tuple[int, float]:
        """Program, find the level and sample: runs and seconds that it took."""
        nominal = self._load(system)
        spacing = self._spacing(nominal)
        self.spacing = spacing / nominal.tau
        self._block_count(duration)  # before anything runs
        rest, seconds, attempts = FORGOTTEN * self._slowest, 0.0, 0
        known = self._known
        if not known:
            self.density = self._first_density(nominal)
            self.gain = 1.0 if self.noise_density is None else _power_of_two(self.technology.adc.max_gain)
        while True:
            attempts += 1
            self._open(nominal, spacing)
            assert self._path is not None
            self._path.rest(rest)
            seconds += rest
            if not known:
                seen, clipped = self._adc.sample(self._path.samples(PILOT), self.gain, self._stream(attempts))
                seconds += PILOT * spacing
                known = self._level_found(seen, clipped) or attempts >= MAX_ATTEMPTS
                if not known:
                    continue
            self._moments, self._outcome = BlockMoments(nominal.size), Outcome.OK
            seconds += self._sample(duration)
            if self._outcome is Outcome.OK or attempts >= MAX_ATTEMPTS or not self._turned_down():
                self._runs, self._known = self._runs + 1, self._outcome is Outcome.OK
                return attempts, seconds

    def _first_density(self, nominal: AnalogProgram) -> float:
        """That of cells which no coupling loads, or the one that is given."""
        if self.noise_density is not None:
            if self.noise_density == 0 and not self.technology.thermal.johnson_noise:
                raise InputError(
                    "noise_density is 0 and the technology's Johnson noise is off: there is nothing to sample"
                )
            return self.noise_density
        volts = self.technology.adc.full_scale / CREST
        return 2 * volts**2 * _least_capacitance(nominal) / self._resistance(nominal)

    def _level_found(self, seen: np.ndarray, clipped: bool) -> bool:
        """Whether the noise and the gain are right after a pilot run; where not, they are set anew."""
        full, rms = self.technology.adc.full_scale, float(seen.std(axis=0).max())
        if self.noise_density is None:
            if not clipped and full / MOST_CREST <= rms <= full / LEAST_CREST:
                return True
            self.density *= 1 / 16 if clipped else (full / CREST / max(rms, full * 1e-3)) ** 2
            return False
        if clipped and self.gain > 1:
            self.gain = max(1.0, self.gain / 8)
            return False
        if rms > 0:
            self.gain = _power_of_two(min(full / (CREST * rms), self.technology.adc.max_gain))
        return True

    def _turned_down(self) -> bool:
        """Less of the range after a run that clipped; False where nothing can be turned down."""
        if self.gain > 1:
            self.gain /= 2
        elif self.noise_density is None:
            self.density /= 4
        else:
            return False
        return True

    def _open(self, nominal: AnalogProgram, spacing: float) -> None:
        assert self.program is not None
        amplitudes = Dac(self.technology.dac, self.die).gains(nominal.size)
        seed = int(self._stream(0).integers(2**63))
        self._path = self._voltage_path(self.program, self.density * amplitudes**2, spacing, seed)

    def _voltage_path(self, program: AnalogProgram, density: np.ndarray, spacing: float, seed: int) -> VoltagePath:
        """The circuit's voltages, sampled every `spacing` s, with noise of `density` injected, (n,) A^2/Hz."""
        return LawPath(program, density, self.technology.adc.bandwidth, spacing, seed)

    def _stream(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.die.seed or 0, self._runs, number])

    @property
    def _slowest(self) -> float:
        """Bound of the slowest time constant of the nominal circuit, s, from its largest row: no eigenvalue is looked for."""
        nominal = self._nominal
        assert nominal is not None
        return nominal.fabric.settling(nominal.parts, 0.0, nominal.conductance_unit, nominal.technology)

    def _block_count(self, duration: float) -> tuple[int, int]:
        """Number of blocks of a run, and samples of each. InputError for a run too short for an error bar."""
        nominal, duration = self._nominal, check_duration(duration)
        assert nominal is not None
        shortest = BLOCK * self._slowest / nominal.tau
        if math.isinf(duration):
            raise InputError("duration is inf, but a covariance is sampled: give a finite time, in tau")
        blocks = min(MOST_BLOCKS, math.floor(duration / max(shortest, self.spacing)))
        if blocks < LEAST_BLOCKS:
            least = LEAST_BLOCKS * max(shortest, self.spacing)
            raise InputError(f"duration is {duration:g} tau, too short for an error bar: give {least:.4g} tau or more")
        return blocks, math.ceil(duration / self.spacing / blocks)

    def _sample(self, duration: float) -> float:
        """Sample for `duration` tau; the seconds that it takes."""
        assert self._moments is not None
        assert self._nominal is not None
        blocks, length = self._block_count(duration)
        rng = self._stream(MAX_ATTEMPTS + 1 + len(self._moments.lengths))
        for volts in self._chunks(blocks, length):
            seen, clipped = self._adc.sample(volts, self.gain, rng)
            for block in seen.reshape(-1, length, seen.shape[1]):
                self._moments.add(block)
            if clipped:
                self._outcome = Outcome.CLIPPED
        return blocks * length * self.spacing * self._nominal.tau

    def _chunks(self, blocks: int, length: int) -> Iterator[np.ndarray]:
        """Voltages of some blocks at a time."""
        assert self._path is not None
        at_once = max(1, self._path.most // length)
        for first in range(0, blocks, at_once):
            yield self._path.samples(min(at_once, blocks - first) * length)

    # What the host makes of it

    @property
    def _samples(self) -> int:
        """Samples of each cell since the run began."""
        return 0 if self._moments is None else self._moments.samples

    def _blocks(self) -> tuple[np.ndarray, list[int]]:
        """Estimates of A^-1, (K, n, n), and samples of each block."""
        nominal, moments = self._nominal, self._moments
        assert nominal is not None
        assert moments is not None
        adc, covariances = self.technology.adc, moments.covariances()
        converted = adc.noise**2 + (step_of(adc) / self.gain) ** 2 / 12
        cells = np.arange(nominal.size)
        covariances[:, cells, cells] -= converted
        unit = nominal.decode_covariance(np.ones((nominal.size, nominal.size)), self._temperature(nominal))
        return unit * covariances, moments.lengths

    def _solution(self, b: Tensor, blocks: tuple[np.ndarray, list[int]], seconds: float, attempts: int) -> Solution:
        estimates, lengths = blocks
        x, error = mean_and_error(estimates @ b.detach().cpu().double().numpy(), lengths)
        answer, bar = (torch.from_numpy(part).to(b) for part in (x, error))
        return Solution(answer, self._outcome, seconds, attempts, not_modelled=self.not_modelled, standard_error=bar)


def _least_capacitance(nominal: AnalogProgram) -> float:
    """Least C_ii, F."""
    return float(diagonal(nominal.fabric.realised(nominal.parts, nominal.technology)).min())


def _power_of_two(most: float) -> float:
    """The largest one up to `most`, at least 1."""
    return 2.0 ** max(0, math.floor(math.log2(most)))
