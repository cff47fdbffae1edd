"""`CascadeDevice`: a device of N cells behind arrays of a matrix's factors, for the N of a whole network or of a layer.

A = J^T H J + damping is the paper's device, three arrays J, H, J^T; A (x) B + damping, a layer's K-FAC curvature, has an array B for each
row of cells and an array A for each column (`kronecker_array` says why). It takes the factors and never multiplies them out:
`low_rank_array` and `kronecker_array` make the parts of the die block by block, from counters, and `low_rank_dynamics` and
`kronecker_dynamics` move the cells. The host's side is that of every device (`host.hosted_device`).

    x(t) = v(t) / level,     C dv/dt = -(product of the arrays + g_damp + L / A0) v + I + offsets + noise

of resistors and of amplifiers' inputs. Left out, since the law is one of slow cells: amplifiers' bandwidth, but for what is read of their
noise, and slew rate, their 1/f noise, conductance drift, wires, temperature differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ...circuits.amplifiers.output_stage import is_limited, share_of_limits
from ...circuits.errors import InputError
from ...circuits.technology.drive_resistors import drive_conductances
from ...circuits.technology.parts import PROGRAMMING_ERRORS, OpAmp
from ...circuits.technology.presets import as_technology
from ...circuits.technology.technology import Technology
from ...compiler.fabrics.registry import fabric_named
from ...compiler.fabrics.requirements import require_buildable
from ...compiler.limitations import not_modelled
from ...compiler.linear_system import LinearSystem
from ..card import DeviceCard
from ..device import Outcome
from ..host.board import Board, Voltages
from ..host.calibrated_range import CalibratedRange
from ..host.hosted_device import HostedDevice
from ..host.readout import ReadOut
from ..systems import Kronecker, LowRank
from .cells import StandardDeviations
from .input_noise import InputNoise
from .kronecker_array import KroneckerArray
from .kronecker_dynamics import KroneckerDynamics
from .low_rank_array import LowRankArray
from .low_rank_dynamics import LowRankDynamics

Dynamics = LowRankDynamics | KroneckerDynamics
"""The law of the cells behind the arrays of a system's factors."""
STILL = 1e-30
"""Units of the law's time in which nothing moves."""
FABRIC = "factored"


class CascadeBoard(Board):
    """A system programmed into the arrays of its factors.

    Args:
        dynamics: of its arrays. Its unit of time is 2^-e tau, with e the exponent that the arrays split off, and b is taken in that unit.
        gain: of the drive path. clamp: where amplifiers hold their outputs, over their output limit. opamp: their limits.
        make: the dynamics with input resistors of a range.
        drive_gains: of all ranges, see `Board`.
    """

    runaway = Outcome.NOT_FINITE

    def __init__(
        self,
        dynamics: Dynamics,
        gain: float,
        clamp: float,
        opamp: OpAmp,
        make: Callable[[int], Dynamics],
        drive_gains: np.ndarray,
    ) -> None:
        self.dynamics, self._gain, self._make = dynamics, gain, make
        self._opamp, self._most, self._clamp = opamp, clamp, clamp * opamp.output_limit
        self.size, self.tau = dynamics.array.size, _shifted(dynamics.array.tau, dynamics.array.exponent)
        self._gains, self.drive_gains = drive_gains, tuple(drive_gains.tolist())
        self._ranges: dict[int, CascadeBoard] = {0: self}
        self._direct = dynamics.direct_deviation()

    def in_range(self, place: int) -> CascadeBoard:
        """See `Board`."""
        if place not in self._ranges:
            board = CascadeBoard(self._make(place), self._gain, self._most, self._opamp, self._make, self._gains)
            self._ranges[place] = board
        return self._ranges[place]

    def obstacles(self, duration: float) -> Sequence[Outcome | None]:
        """See `Board`."""
        if not self.dynamics.stable:
            return [Outcome.UNSTABLE]
        return [Outcome.NOT_FINITE if math.isinf(self._own(duration)) and not self.dynamics.settles else None]

    def strongest(self, b: np.ndarray) -> np.ndarray:
        """See `Board`."""
        array = self.dynamics.array
        return np.asarray(array.unit / array.drive_nominal * np.abs(np.ldexp(b, -array.exponent)).max(axis=-1))

    def requested(self, b: np.ndarray, level: np.ndarray) -> np.ndarray:
        """See `Board`."""
        array = self.dynamics.array
        return np.asarray(array.unit * level / array.drive_nominal * np.ldexp(b, -array.exponent))

    def relax(
        self,
        dies: np.ndarray,
        driven: np.ndarray,
        start: np.ndarray,
        spans: tuple[float, ...],
        streams: Sequence[np.random.Generator],
    ) -> Voltages:
        """See `Board`."""
        [drive], [volts], [stream], dynamics = driven, start, streams, self.dynamics
        currents, cells, internal, error = self._gain * drive * dynamics.array.drive_nominal, [], 0.0, 0.0
        used = 0.0
        for span in spans:
            t = self._own(span)
            motion = dynamics.motion(currents, volts, t)
            volts = motion.volts + dynamics.fluctuation(t, stream)
            if not all(np.isfinite(values).all() for values in (volts, motion.stages)):
                return Voltages(np.full((1, len(spans), self.size), math.nan))
            used = max(used, self._overload(volts, motion.stages))
            volts = np.clip(volts, -self._clamp, self._clamp)
            read = volts + self._direct * stream.standard_normal(self.size) if self._direct.any() and t > 0 else volts
            cells.append(np.clip(read, -self._clamp, self._clamp))
            internal = max(internal, min(float(np.abs(motion.stages).max()), self._clamp))
            # No mode grows, so that what an earlier span was wrong by is no larger now, up to the cells' unequal capacitors.
            error += motion.bound
        overload = np.array([used]) if is_limited(self._opamp) else None
        return Voltages(np.array(cells)[None], np.array([internal]), np.array([error]), overload, volts[None])

    def _overload(self, volts: np.ndarray, stages: np.ndarray) -> float:
        """Largest share of its range that an amplifier uses for what it drives, two rails each; capacitors' currents are left out."""
        if not is_limited(self._opamp):
            return 0.0
        shares = (
            share_of_limits(self._opamp, one, load * one / 2).max()
            for one, load in zip((volts, stages), self.dynamics.array.amplifier_loads, strict=True)
        )
        return min(float(max(shares)), self._most)

    def _own(self, duration: float) -> float:
        """A time in tau in the unit of the law."""
        own = _shifted(duration, self.dynamics.array.exponent)
        return 0.0 if own < STILL else own


class CascadeDevice(HostedDevice):
    """A device that is programmed with the factors of a low-rank or a Kronecker system.

    Args:
        hardware: a technology, whose nominal figures hold; or a calibrated card, of which 1/A0, drive gain, standard deviations, noise
            power and converters are taken. Of fabric "factored" it is this circuit's own, calibrated with its bandwidth, which is left out
            here, and its unknowns are a bound; one of another fabric has the same amplifiers and resistors, and a run with it is an
            extrapolation always.
        die: seed of the die; None has nominal parts.
        seed: of the noise. Run number i of the device draws from the stream (seed, die, i).
        extrapolate: True: answer with a card all the same, with the outcome `EXTRAPOLATED`; the solution's `violations` then name what it
            was not calibrated for.
        read_out: see `HostedDevice`.

    Attributes:
        dynamics: of the programmed system, in its own unit of time, `dynamics.array.tau`; None at first.

    The solution's `error_bound` is that of the law's mean, see `contour.Motion`.

    Raises:
        InputError: a seed that is not an integer >= 0, a technology of two slices, of programming errors, of a sampler of finite bandwidth,
            or whose amplifiers have one output. In `solve`, another system than a `LowRank` or a `Kronecker`, b or x0 of the wrong length
            or not finite, a negative duration, a factor that is zero everywhere or out of range, mismatch that makes modes oscillate, a
            card that is not of such a system, without `extrapolate`.
    """

    kinds = "LowRank(J, H, damping) or Kronecker(A, B, damping), whose factors are its arrays; give another one to a SurrogateDevice"

    def __init__(
        self,
        hardware: Technology | str | DeviceCard,
        die: int | None = None,
        seed: int = 0,
        extrapolate: bool = False,
        read_out: ReadOut | None = None,
    ) -> None:
        if not isinstance(hardware, Technology | DeviceCard | str):
            raise InputError(
                f"hardware is a {type(hardware).__name__}: give a Technology, a preset's name or a DeviceCard"
            )
        if extrapolate and not isinstance(hardware, DeviceCard):
            raise InputError("extrapolate=True with a technology: only a card has a validity range; leave it out")
        self.card = card = hardware if isinstance(hardware, DeviceCard) else None
        technology = hardware.technology if isinstance(hardware, DeviceCard) else as_technology(hardware)
        if technology.resistors.slices > 1:
            raise InputError(
                f"technology {technology.name} has resistors.slices = {technology.resistors.slices}, and arrays of factors have one slice: "
                "set it to 1, or use a SurrogateDevice or a SpiceDevice"
            )
        for name in PROGRAMMING_ERRORS:
            if value := getattr(technology.resistors, name):
                raise InputError(
                    f"technology {technology.name} has resistors.{name} = {value:g}, which arrays of factors do not model: set it to 0, or "
                    "use a SurrogateDevice or a SpiceDevice"
                )
        require_buildable(fabric_named(FABRIC), technology)
        super().__init__(
            technology, die, seed, read_out, CalibratedRange(card, extrapolate, "Give the card's technology")
        )
        if math.isfinite(technology.adc.bandwidth):
            raise InputError(
                f"technology {technology.name} has adc.bandwidth = {technology.adc.bandwidth:g}, a lag that arrays of factors do not "
                "model: set it to inf, or use a SurrogateDevice or a SpiceDevice"
            )
        clamp, noise, self._leak, self._gain = math.inf, 1.0, 1 / technology.opamp.gain, 1.0
        lags = [1 / (2 * math.pi * frequency) for frequency in (technology.opamp.gbw, technology.opamp.second_pole)]
        deviations = (technology.resistors.mismatch, technology.capacitors.mismatch, technology.opamp.offset_mismatch)
        if card is not None:
            clamp, noise, self._leak, self._gain = card.clamp, card.noise_power.value, card.leak.value, card.gain.value
            deviations = (card.mismatch.value, card.capacitor_mismatch.value, card.offset.value)
            lags = [card.lag.value, card.pole.value] if card.lag.value > 0 else lags
        self._deviations, self._clamp = StandardDeviations(*deviations), clamp
        self._noise = max(noise, 0.0) if technology.thermal.johnson_noise else 0.0
        self._amplifiers = InputNoise.of(technology.opamp, self._noise, self._leak, *lags)

    @property
    def not_modelled(self) -> tuple[str, ...]:
        """See `HostedDevice.not_modelled`."""
        return not_modelled("CascadeDevice", fabric_named(FABRIC))

    @property
    def dynamics(self) -> Dynamics | None:
        """The dynamics of the loaded system; None before there is one."""
        return self._board.dynamics if isinstance(self._board, CascadeBoard) else None

    @property
    def tau(self) -> float:
        """Of the programmed system, s. InputError before there is one."""
        if self._board is None:
            raise InputError("the device has no system yet: call solve first")
        return self._board.tau

    def accepts(self, system: LinearSystem) -> bool:
        """True for systems that are given by factors; see `Device.accepts`."""
        return isinstance(system, LowRank | Kronecker)

    def idle(self, seconds: float) -> None:
        """See `HostedDevice.idle`. InputError also for a technology whose conductances drift: here they keep the values programmed."""
        resistors = self.technology.resistors
        if resistors.conductance_drift or resistors.conductance_drift_spread:
            raise InputError(
                f"technology {self.technology.name} has resistors.conductance_drift = {resistors.conductance_drift:g} and "
                f"conductance_drift_spread = {resistors.conductance_drift_spread:g}, which arrays of factors do not model: use a "
                "SurrogateDevice or a SpiceDevice, or set both to 0"
            )
        super().idle(seconds)

    def _program(self, system: LinearSystem) -> CascadeBoard:
        def make(drive_range: int) -> Dynamics:
            if isinstance(system, LowRank):
                low_rank = LowRankArray(system, self.die, self._deviations, drive_range=drive_range)
                return LowRankDynamics(low_rank, self._leak, self._noise, self._amplifiers)
            assert isinstance(system, Kronecker)
            kronecker = KroneckerArray(system, self.die, self._deviations, drive_range=drive_range)
            return KroneckerDynamics(kronecker, self._leak, self._noise, self._amplifiers)

        conductances = drive_conductances(self.technology.resistors)
        return CascadeBoard(
            make(0), self._gain, self._clamp, self.technology.opamp, make, conductances[0] / conductances
        )

    def _violations_of_system(self, system: LinearSystem) -> tuple[str, ...]:
        """A condition number would need the matrix, and is not looked at."""
        if self.card is None:
            return ()
        fewest, most = self.card.validity.unknowns
        found = [] if self.card.fabric == FABRIC else [f"fabric {FABRIC}, calibrated as {self.card.fabric}"]
        if not fewest <= system.size <= most:
            found.append(f"{system.size} unknowns, calibrated for {fewest} to {most}")
        return tuple(found)

    def _violations_of_run(self, duration: float) -> tuple[str, ...]:
        return () if self.card is None else self.card.validity.violations_by_run(duration, np.array(self.die.ambient))


def _shifted(value: float, exponent: int) -> float:
    """value 2^exponent; inf where that is beyond all numbers."""
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.inf
