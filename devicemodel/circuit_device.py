"""`CircuitDevice`: the host's side of a device made of circuits, whoever computes the circuit's response.

Host and board share one routine: lay the matrix out, choose a signal level, drive through the DAC, let the circuit relax, read
through the ADC. `SpiceDevice` and `SurrogateDevice` differ only in `_relax`, so that what is compared is physics and not plumbing.

The host never solves the system to find the signal level. It starts at the DAC's full scale (or at the level that served the last
system), looks whether a cell passed its rail, and if so scales down and runs again, as an auto-ranging instrument does; each
attempt counts. A state that is kept between runs is recharged at the level of the next one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..circuits.die import Die
from ..circuits.errors import InputError
from ..circuits.technology import Converter, Technology
from ..compiler.compile import lay_out
from ..compiler.fabrics import AUTOMATIC
from ..compiler.program import AnalogProgram
from .converters import Adc, Dac
from .device import Outcome, Solution
from .systems import LinearSystem, check_duration, check_vector

MAX_ATTEMPTS = 5
TARGET = 0.8
"""Share of the rail that a scaled-down attempt aims at."""


@dataclass(frozen=True)
class Probe:
    """The last run as an oscilloscope at the board would see it.

    Attributes:
        requested, driven: drive voltages before and after the DAC, (n,) V.
        start, settled, read: differential node voltages at the start, at the end, and as the ADC gave the end, (n,) V.
        duration: of the run, tau.
        adc_gain: setting of the amplifier before the ADC.
    """

    requested: np.ndarray
    driven: np.ndarray
    start: np.ndarray
    settled: np.ndarray
    read: np.ndarray
    duration: float
    adc_gain: float


class CircuitDevice:
    """Common part of the devices that stand for a real board. Use `SpiceDevice` or `SurrogateDevice`.

    Args:
        technology: parts, converters and temperatures.
        die: seed of the die; None is a die with nominal parts.
        fabric: "auto", "rc", "dual_rail" or "crossbar".
        seed: of the noise, Johnson's and the ADC's. Run number i of the device draws from the stream (seed, die, i).
        dac, adc: converters (default: the technology's).

    Raises:
        InputError: a seed that is not an integer >= 0.
    """

    def __init__(
        self,
        technology: Technology,
        die: int | None,
        fabric: str,
        seed: int = 0,
        dac: Converter | None = None,
        adc: Converter | None = None,
    ) -> None:
        if not isinstance(seed, int) or seed < 0:
            raise InputError(f"seed is {seed!r}: give an integer >= 0")
        if fabric not in ("auto", *AUTOMATIC):
            raise InputError(f"fabric {fabric!r} has no device model; there are: auto, {', '.join(AUTOMATIC)}")
        self.technology, self.fabric, self.seed = technology, fabric, seed
        self.die: Die = technology.fabricate(die)
        self.dac, self.adc = Dac(dac or technology.dac, self.die), Adc(adc or technology.adc, self.die)
        self.program: AnalogProgram | None = None
        self.probe: Probe | None = None
        self._system: LinearSystem | None = None
        self._drive: Tensor | None = None
        self._state: np.ndarray | None = None
        self._headroom = 1.0
        self._runs = 0
        self._stable = True

    def solve(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        """Program the system, load b, run for `duration` tau and read; see `Device.solve`.

        Raises:
            InputError: a matrix that no fabric takes, b or x0 of the wrong length or not finite, a negative duration.
        """
        check_vector("b", b, system)
        if x0 is not None:
            check_vector("x0", x0, system)
        duration = check_duration(duration)
        if system is not self._system:
            dense = system.dense().detach().cpu().double()
            # float32 products are symmetric up to their rounding (the system checks it); the compiler would refuse that.
            matrix = ((dense + dense.mT) / 2).numpy()
            self.program = self._fabricated(lay_out(matrix, self.fabric, self.technology))
            self._system, self._stable = system, self.program.is_stable()
        assert self.program is not None
        self._drive = b
        if x0 is not None:
            self._state = x0.detach().cpu().double().numpy()
        elif self._state is None or len(self._state) != system.size:
            self._state = np.zeros(system.size)
        return self._run(self.program, b, duration)

    def evolve(self, duration: float) -> Solution:
        """Let it run on with the loaded system and drive, and read."""
        if self.program is None or self._drive is None:
            raise InputError("the device has no system and drive yet: call solve first")
        return self._run(self.program, self._drive, check_duration(duration))

    def state_dict(self) -> dict[str, Any]:
        """The analog state, the ranging memory and the noise counter."""
        state = None if self._state is None else torch.from_numpy(self._state.copy())
        return {"state": state, "headroom": self._headroom, "runs": self._runs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state of `state_dict`; the loaded system is not part of it."""
        self._state = None if state["state"] is None else state["state"].double().numpy().copy()
        self._headroom, self._runs = float(state["headroom"]), int(state["runs"])
        self.program = self._system = self._drive = None

    def _fabricated(self, nominal: AnalogProgram) -> AnalogProgram:
        """The program as this die has it."""
        return nominal.on(self.die)

    def _relax(
        self, program: AnalogProgram, currents: np.ndarray, state: np.ndarray, duration: float, rng: np.random.Generator
    ) -> np.ndarray:
        """Differential node voltages (n,) after `duration` tau from voltages `state`."""
        raise NotImplementedError

    def _run(self, program: AnalogProgram, b: Tensor, duration: float) -> Solution:
        if self._state is None:
            # After an unstable run the board is discharged.
            self._state = np.zeros(program.size)
        drive = b.detach().cpu().double().numpy()
        rail = min(self.technology.opamp.rail, self.adc.converter.full_scale)
        currents_per_volt = program.parts.drive_nominal or 1.0 / self.technology.resistors.unit
        level = self._first_level(program, drive, currents_per_volt, rail)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            rng = np.random.default_rng([self.seed, self.die.seed or 0, self._runs, attempt])
            requested = program.conductance_unit * level * program.scaling * drive / currents_per_volt
            driven = self.dac.convert(requested)
            start = self._state / program.scaling * level
            volts = self._relax(program, driven * currents_per_volt, start, duration, rng) if self._stable else None
            if volts is None or not np.isfinite(volts).all():
                self._runs, self._state = self._runs + 1, None
                return self._solution(np.full(len(drive), math.nan), b, Outcome.UNSTABLE, attempt, duration)
            peak = float(np.abs(volts).max())
            clipped = peak > rail or bool(
                np.abs(requested).max(initial=0.0) > self.dac.converter.full_scale * (1 + 1e-9)
            )
            if not clipped or attempt == MAX_ATTEMPTS:
                break
            shrink = TARGET * rail / peak if peak > rail else 0.5
            level, self._headroom = level * shrink, self._headroom * shrink
        if peak < TARGET * rail / 4:
            self._headroom = min(1.0, 2 * self._headroom)
        assert volts is not None
        volts = np.clip(volts, -rail, rail)
        read, gain = self.adc.convert(volts, rng)
        self.probe = Probe(requested, driven, start, volts, read, duration, gain)
        scale = program.scaling / level
        self._state, self._runs = scale * volts, self._runs + 1
        outcome = Outcome.CLIPPED if clipped else Outcome.OK
        return self._solution(scale * read, b, outcome, attempt, duration)

    def _first_level(self, program: AnalogProgram, drive: np.ndarray, per_volt: float, rail: float) -> float:
        """Volts a problem unit with the DAC at full scale, times what the last systems left of it, within the rail."""
        assert self._state is not None
        strongest = program.conductance_unit / per_volt * float(np.abs(program.scaling * drive).max())
        start = float(np.abs(self._state / program.scaling).max())
        levels = [self.dac.converter.full_scale * self._headroom / strongest] if strongest > 0 else []
        levels += [min(TARGET * rail, self.dac.converter.full_scale) / start] if start > 0 else []
        return min(levels, default=1.0)

    def _solution(self, x: np.ndarray, b: Tensor, outcome: Outcome, attempts: int, duration: float) -> Solution:
        assert self.program is not None
        reading = torch.from_numpy(x).to(dtype=b.dtype, device=b.device)
        return Solution(reading, outcome, attempts * duration * self.program.tau, attempts)
