"""`FactoredDevice`: a device of N cells behind arrays of a matrix's factors, for the N of a whole network or of a layer.

A = J^T H J + damping is the paper's device, three arrays J, H, J^T; A (x) B + damping, a layer's K-FAC curvature, has an array B for each
row of cells and an array A for each column (`factored_kronecker` says why). It takes the factors and never multiplies them out:
`factored_array` and `factored_kronecker` make the parts of the die block by block, from counters, and `factored_law` and
`factored_kronecker_law` move the cells. The host's side is `CircuitDevice`'s: drive through the DAC at its full scale, or at what
served the last system; if a cell or a summing amplifier was beyond its rail, scale down and run again; read through the ADC.

    x(t) = v(t) / level,     C dv/dt = -(product of the arrays + g_damp + L / A0) v + I + offsets + Johnson noise

Left out, since the law is one of slow cells: amplifiers' bandwidth and slew rate, conductance drift, wires, temperature differences.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...circuits.technology.die import Die
from ...circuits.technology.technology import Technology
from ..card import DeviceCard
from ..device import Outcome, Solution
from ..devices.circuit import MAX_ATTEMPTS, TARGET
from ..host.converters import Adc, Dac
from ..systems import Implicit, Kronecker, LinearSystem, LowRank, check_duration, check_vector
from .cells import FactoredCells, Scatter
from .kronecker_array import KroneckerArray
from .kronecker_law import KroneckerLaw
from .low_rank_array import FactoredArray
from .low_rank_law import FactoredLaw

STILL = 1e-30
"""Units of the law's time in which nothing moves."""


class FactoredDevice:
    """A device that is programmed with the factors of a low-rank or a Kronecker system.

    Args:
        parts: a technology, whose nominal figures hold; or a calibrated card, of which 1/A0, drive gain, standard deviations, noise power
            and converters are taken. A card is of another fabric, so that a run with one is an extrapolation always.
        die: seed of the die; None has nominal parts.
        seed: of the noise. Run number i of the device draws from the stream (seed, die, i).
        extrapolate: True: answer with a card all the same, with the outcome `EXTRAPOLATED`; `crossed` then names what was crossed. False:
            refuse.

    Attributes:
        crossed: what the last run was outside of, a sentence for each bound.
        bound: of the numerical error of the last run's mean voltages, V in the Euclidean norm; see `factored_law.Motion`.
        law: of the programmed system, in its own unit of time, `law.array.tau`; None at first.

    Raises:
        InputError: a seed that is not an integer >= 0. In `solve`, another system than a `LowRank` or a `Kronecker`, b or x0 of the wrong
            length or not finite, a negative duration, a factor zero everywhere or of no usable size, mismatch so large that modes swing,
            a card without `extrapolate`.
    """

    def __init__(
        self, parts: Technology | DeviceCard, die: int | None = None, seed: int = 0, extrapolate: bool = False
    ) -> None:
        if not isinstance(parts, Technology | DeviceCard):
            raise InputError(f"parts is a {type(parts).__name__}: give a Technology or a DeviceCard")
        if not isinstance(seed, int) or seed < 0:
            raise InputError(f"seed is {seed!r}: give an integer >= 0")
        self.card = parts if isinstance(parts, DeviceCard) else None
        self.technology = technology = parts.technology if isinstance(parts, DeviceCard) else parts
        self.seed, self.extrapolate = seed, extrapolate
        self.die: Die = Die(technology, die)
        clamp, noise, self._leak, self._gain = math.inf, 1.0, 1 / technology.opamp.gain, 1.0
        scatter = (technology.resistors.mismatch, technology.capacitors.mismatch, technology.opamp.offset_mismatch)
        if self.card is not None:
            card = self.card
            clamp, noise, self._leak, self._gain = card.clamp, card.noise.value, card.leak.value, card.gain.value
            scatter = (card.mismatch.value, card.capacitor_mismatch.value, card.offset.value)
        self._scatter, self._held = Scatter(*scatter), clamp * technology.opamp.output_limit
        self._noise = max(noise, 0.0) if technology.thermal.johnson_noise else 0.0
        self.dac, self.adc = Dac(parts.dac, self.die), Adc(parts.adc, self.die)
        self.law: FactoredLaw | KroneckerLaw | None = None
        self.crossed: tuple[str, ...] = ()
        self.bound = 0.0
        self._system: LinearSystem | None = None
        self._drive: Tensor | None = None
        self._state: np.ndarray | None = None
        self._headroom = 1.0
        self._runs = 0

    @property
    def tau(self) -> float:
        """Of the programmed system, s. InputError before there is one."""
        if self.law is None:
            raise InputError("the device has no system yet: call solve first")
        return _shifted(self.law.array.tau, self.law.array.exponent)

    def accepts(self, system: LinearSystem | Implicit) -> bool:
        """True for systems that are given by factors; see `Device.accepts`."""
        return isinstance(system, LowRank | Kronecker)

    def solve(self, system: LinearSystem | Implicit, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        """Program the factors, load b, run for `duration` tau and read; see `Device.solve`."""
        if not isinstance(system, LowRank | Kronecker):
            raise InputError(
                f"system is a {type(system).__name__}: arrays of factors take LowRank(J, H, damping) or Kronecker(A, B, damping); give "
                "another one to a SurrogateDevice"
            )
        check_vector("b", b, system)
        if x0 is not None:
            check_vector("x0", x0, system)
        duration = check_duration(duration)
        self._admit(system.size, duration)
        if system is not self._system:
            self.law, self._system = self._programmed(system), system
        self._drive = b
        if x0 is not None:
            self._state = x0.detach().cpu().double().numpy()
        elif self._state is not None and len(self._state) != system.size:
            self._state = None
        return self._run(b, duration)

    def evolve(self, duration: float) -> Solution:
        """Let it run on with the loaded system and drive, and read."""
        if self.law is None or self._drive is None:
            raise InputError("the device has no system and drive yet: call solve first")
        duration = check_duration(duration)
        self._admit(len(self._drive), duration)
        return self._run(self._drive, duration)

    def state_dict(self) -> dict[str, Any]:
        """The analog state, the ranging memory and the noise counter."""
        state = None if self._state is None else torch.from_numpy(self._state.copy())
        return {"state": state, "headroom": self._headroom, "runs": self._runs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state of `state_dict`; the loaded system is not part of it. InputError where it is none."""
        self._state, self._headroom, self._runs = _checked_state(state)
        self.law = self._system = self._drive = None

    def _programmed(self, system: LowRank | Kronecker) -> FactoredLaw | KroneckerLaw:
        if isinstance(system, LowRank):
            return FactoredLaw(FactoredArray(system, self.die, self._scatter), self._leak, self._noise)
        return KroneckerLaw(KroneckerArray(system, self.die, self._scatter), self._leak, self._noise)

    def _admit(self, size: int, duration: float) -> None:
        """Refuse, or note, what the card was not calibrated for. A condition number would need the matrix, and is not looked at."""
        if self.card is None:
            return
        validity = self.card.validity
        fewest, most = validity.unknowns
        found = [f"fabric factored, calibrated as {self.card.fabric}"]
        if not fewest <= size <= most:
            found.append(f"{size} unknowns, calibrated for {fewest} to {most}")
        self._refuse((*found, *validity.crossed_by_run(duration, np.array(self.die.ambient))))

    def _refuse(self, crossed: tuple[str, ...]) -> None:
        if crossed and not self.extrapolate:
            raise InputError(
                f"outside of what this card was calibrated for: {'; '.join(crossed)}. Pass extrapolate=True, or the card's technology"
            )
        self.crossed = crossed

    def _run(self, b: Tensor, duration: float) -> Solution:
        law, drive = self.law, b.detach().cpu().double().numpy()
        assert law is not None
        array = law.array
        duration, drive = _shifted(duration, array.exponent), np.ldexp(drive, -array.exponent)
        seconds, duration = duration * array.tau, 0.0 if duration < STILL else duration
        if not law.stable or (math.isinf(duration) and not law.settles):
            return self._unreadable(b, Outcome.NOT_FINITE if law.stable else Outcome.UNSTABLE, seconds)
        state = np.zeros(array.size) if self._state is None else self._state
        rail = min(self.technology.opamp.output_limit, self.adc.converter.full_scale)
        level = self._first_level(array, drive, state, rail)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            rng = np.random.default_rng([self.seed, self.die.seed or 0, self._runs, attempt])
            requested = array.unit * level / array.drive_nominal * drive
            driven = self._gain * self.dac.convert(requested)
            motion = law.motion(driven * array.drive_nominal, state * level, duration)
            volts = motion.volts + law.fluctuation(duration, rng)
            if not all(np.isfinite(values).all() for values in (requested, volts, motion.stages)):
                return self._unreadable(b, Outcome.NOT_FINITE, attempt * seconds, attempt)
            volts = np.clip(volts, -self._held, self._held)
            peak = float(np.abs(volts).max())
            summed = min(float(np.abs(motion.stages).max()), self._held)
            # Only amplifiers of the cells are before the ADC.
            worst = max(peak / rail, summed / self.technology.opamp.output_limit)
            volts = np.clip(volts, -rail, rail)
            reading = self.adc.convert(volts, rng)
            clipped = worst > 1 or self.dac.clips(requested) or reading.clipped
            if not clipped or attempt == MAX_ATTEMPTS:
                break
            # As in `CircuitDevice`: an amplifier held at its rail does not show how far beyond it would be.
            shrink = (TARGET / worst if worst > TARGET else 0.5) * (1.0 if attempt == 1 else 0.25)
            level, self._headroom = level * shrink, self._headroom * shrink
        if worst < TARGET / 4:
            self._headroom = min(1.0, 2 * self._headroom)
        self.bound = motion.bound
        outcome = Outcome.CLIPPED if clipped else self._judge(max(peak, summed))
        self._state, self._runs = volts / level, self._runs + 1
        x = torch.from_numpy(reading.volts / level).to(dtype=b.dtype, device=b.device)
        return Solution(x, outcome, attempt * seconds, attempt)

    def _unreadable(self, b: Tensor, outcome: Outcome, seconds: float, attempts: int = 1) -> Solution:
        self._runs, self._state = self._runs + 1, None
        return Solution(torch.full_like(b, math.nan), outcome, seconds, attempts)

    def _judge(self, peak: float) -> Outcome:
        if self.card is None:
            return Outcome.OK
        self._refuse((*self.crossed, *self.card.validity.crossed_by_level(peak)))
        return Outcome.EXTRAPOLATED

    def _first_level(self, array: FactoredCells, drive: np.ndarray, state: np.ndarray, rail: float) -> float:
        """Volts a problem unit with the DAC at full scale, times what the last systems left of it, within the rail."""
        strongest = array.unit / array.drive_nominal * float(np.abs(drive).max())
        start = float(np.abs(state).max())
        levels = [self.dac.converter.full_scale * self._headroom / strongest] if strongest > 0 else []
        levels += [min(TARGET * rail, self.dac.converter.full_scale) / start] if start > 0 else []
        return min(levels, default=1.0)


def _shifted(value: float, exponent: int) -> float:
    """value 2^exponent; inf where that is beyond all numbers."""
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.inf


def _checked_state(state: dict[str, Any]) -> tuple[np.ndarray | None, float, int]:
    """(state, headroom, runs) of a `state_dict`; InputError names what is wrong in it."""
    missing = [key for key in ("state", "headroom", "runs") if key not in state]
    if missing:
        raise InputError(f"state lacks {', '.join(missing)}: give what state_dict() of a FactoredDevice returned")
    held, headroom, runs = state["state"], float(state["headroom"]), int(state["runs"])
    if held is not None and not (isinstance(held, Tensor) and held.dim() == 1 and bool(torch.isfinite(held).all())):
        got = f"{tuple(held.shape)} {held.dtype}" if isinstance(held, Tensor) else type(held).__name__
        raise InputError(f"state['state'] is {got}: give a (n,) tensor of finite numbers, or None for cells at zero")
    if not 0 < headroom <= 1:
        raise InputError(f"state['headroom'] is {headroom}: it is above 0 and at most 1")
    if runs < 0:
        raise InputError(f"state['runs'] is {runs}: it is an integer >= 0")
    return None if held is None else held.detach().cpu().double().numpy().copy(), headroom, runs
