"""`CircuitDevice`: the host's side of a device made of circuits, whoever computes the circuit's response.

Host and board share one routine: lay the matrix out, choose a signal level, drive through the DAC, let the circuit relax, read
through the ADC. `SpiceDevice` and `SurrogateDevice` differ only in `_relax`, so that what is compared is physics and not plumbing.

The host never solves the system to find the signal level. It starts at the DAC's full scale (or at the level that served the last
system), looks whether a cell passed its rail, and if so scales down and runs again, as an auto-ranging instrument does; each
attempt counts. A state that is kept between runs is recharged at the level of the next one. How the end is read, `ReadOut` says.

Conductances that drift after programming (`conductance_drift`) do so from run to run: the device's clock counts its runs and what `idle`
lets pass, a run takes them as they are at its start, and another system sets the clock to zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...circuits.technology.converters import Converter
from ...circuits.technology.die import Die
from ...circuits.technology.technology import Technology
from ...compiler.compile import lay_out
from ...compiler.fabrics.registry import fabric_names
from ...compiler.program import AnalogProgram
from ..device import Outcome, Solution
from ..host.converters import Adc, Dac, Reading
from ..host.readout import ReadOut
from ..systems import Dense, Implicit, Kronecker, LinearSystem, LowRank, check_duration, check_vector
from .conductance_drift import aged

MAX_ATTEMPTS = 5
TARGET = 0.8
"""Share of the rail that a scaled-down attempt aims at."""


@dataclass(frozen=True)
class Probe:
    """The last run as an oscilloscope at the board would see it.

    Attributes:
        requested, driven: drive voltages before and after the DAC, (n,) V.
        start, settled, read: differential node voltages at the start, when they were read, and as the ADC gave them, (n,) V; where
            several samples were read, their means.
        duration: of the run up to the first sample, tau.
        adc_gain: setting of the amplifier before the ADC, at the first sample.
        zero: what the run without drive read, (n,) V; None without auto-zero.
    """

    requested: np.ndarray
    driven: np.ndarray
    start: np.ndarray
    settled: np.ndarray
    read: np.ndarray
    duration: float
    adc_gain: float
    zero: np.ndarray | None = None


class CircuitDevice:
    """Common part of the devices that stand for a real board. Use `SpiceDevice` or `SurrogateDevice`.

    Args:
        technology: parts, converters and temperatures.
        die: seed of the die; None is a die with nominal parts.
        fabric: "auto", or one that `has_device_model` (`compiler.fabrics.registry`): "rc", "dual_rail", "crossbar".
        seed: of the noise, Johnson's and the ADC's. Run number i of the device draws from the stream (seed, die, i).
        dac, adc: converters (default: the technology's).
        read_out: number of samples, their distance, and auto-zero.
        layout: True: the array with its wires, switches, parasitic capacitances and DAC outputs (`compiler.layout.extraction`), not the
            schematic; of fabric crossbar alone.

    Raises:
        InputError: a seed that is not an integer >= 0, an unknown fabric, or one without a layout.
    """

    def __init__(
        self,
        technology: Technology,
        die: int | None,
        fabric: str,
        seed: int = 0,
        dac: Converter | None = None,
        adc: Converter | None = None,
        read_out: ReadOut | None = None,
        layout: bool = False,
    ) -> None:
        if not isinstance(seed, int) or seed < 0:
            raise InputError(f"seed is {seed!r}: give an integer >= 0")
        arrays, modelled = fabric_names("has_layout"), fabric_names("has_device_model")
        if layout and fabric not in arrays:
            raise InputError(
                f"layout=True with fabric {fabric!r}: only an array of crosspoints has one; use fabric='crossbar'"
            )
        if fabric not in ("auto", *modelled):
            raise InputError(f"fabric {fabric!r} has no device model; there are: auto, {', '.join(modelled)}")
        self.technology, self.fabric, self.seed = technology, fabric, seed
        self.die: Die = Die(technology, die)
        self.dac, self.adc = Dac(dac or technology.dac, self.die), Adc(adc or technology.adc, self.die)
        self.read_out, self.layout = read_out or ReadOut(), layout
        self.program: AnalogProgram | None = None
        self.probe: Probe | None = None
        self.age = 0.0
        self._fresh: AnalogProgram | None = None
        self._system: LinearSystem | None = None
        self._drive: Tensor | None = None
        self._state: np.ndarray | None = None
        self._rest: np.ndarray | None = None
        self._headroom = 1.0
        self._runs = 0
        self._stable = True

    def accepts(self, system: LinearSystem | Implicit) -> bool:
        """True for systems that can be written out, entry by entry; see `Device.accepts`."""
        return isinstance(system, Dense | LowRank | Kronecker)

    def solve(self, system: LinearSystem | Implicit, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        """Program the system, load b, run for `duration` tau and read; see `Device.solve`.

        Raises:
            InputError: a matrix that no fabric takes, b or x0 of the wrong length or not finite, a negative duration.
        """
        if not self.accepts(system) or isinstance(system, Implicit):
            raise InputError(
                f"system is a {type(system).__name__}: give Dense(A), LowRank(J, H, damping) or Kronecker(A, B, damping)"
            )
        check_vector("b", b, system)
        if x0 is not None:
            check_vector("x0", x0, system)
        duration = check_duration(duration)
        if system is not self._system:
            dense = system.dense().detach().cpu().double()
            # float32 products are symmetric up to their rounding (the system checks it); the compiler would refuse that.
            matrix = ((dense + dense.mT) / 2).numpy()
            self._admit(matrix, duration)
            self.program = self._fresh = self._fabricated(lay_out(matrix, self.fabric, self.technology))
            self._system, self._stable, self.age = system, self._is_stable(self.program), 0.0
        else:
            self._admit(None, duration)
        self._drive = b
        if x0 is not None:
            self._state, self._rest = x0.detach().cpu().double().numpy(), None
        elif self._state is None or len(self._state) != system.size:
            self._state, self._rest = np.zeros(system.size), None
        return self._run(b, duration)

    def evolve(self, duration: float) -> Solution:
        """Let it run on with the loaded system and drive, and read."""
        if self.program is None or self._drive is None:
            raise InputError("the device has no system and drive yet: call solve first")
        duration = check_duration(duration)
        self._admit(None, duration)
        return self._run(self._drive, duration)

    def idle(self, seconds: float) -> None:
        """Let time pass without a run: the cells keep their charge, programmed conductances age.

        Raises:
            InputError: a time that is negative or not finite.
        """
        if not (math.isfinite(seconds) and seconds >= 0):
            raise InputError(f"idle for {seconds!r} s: give a finite time >= 0")
        self.age += seconds

    def state_dict(self) -> dict[str, Any]:
        """The analog state, the ranging memory and the noise counter."""
        state = None if self._state is None else torch.from_numpy(self._state.copy())
        rest = None if self._rest is None else torch.from_numpy(self._rest.copy())
        return {"state": state, "rest": rest, "headroom": self._headroom, "runs": self._runs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state of `state_dict`; the loaded system is not part of it."""
        self._state = None if state["state"] is None else state["state"].double().numpy().copy()
        # A state saved before there was auto-zero has none.
        rest = state.get("rest")
        self._rest = None if rest is None else rest.double().numpy().copy()
        self._headroom, self._runs = float(state["headroom"]), int(state["runs"])
        self.program = self._fresh = self._system = self._drive = None

    def _fabricated(self, nominal: AnalogProgram) -> AnalogProgram:
        """The program as this die has it."""
        return nominal.on(self.die)

    def _is_stable(self, program: AnalogProgram) -> bool:
        """Whether the circuit can be run at all."""
        return program.is_stable()

    def _admit(self, matrix: np.ndarray | None, duration: float) -> None:
        """Asked before each run, before anything has changed: the matrix (n, n) to be programmed, None for the one that is."""

    def _judge(self, peak: float) -> Outcome:
        """What a run is whose voltages went up to `peak` volts, within the rails."""
        return Outcome.OK

    def _relax(
        self,
        program: AnalogProgram,
        currents: np.ndarray,
        state: np.ndarray,
        spans: tuple[float, ...],
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Differential node voltages (m, n) at m instants: after spans[0] tau from voltages `state`, after spans[1] more, ..."""
        raise NotImplementedError

    def _run(self, b: Tensor, duration: float) -> Solution:
        program = self._aged()
        if self._state is None:
            # After an unstable run the board is discharged.
            self._state, self._rest = np.zeros(program.size), None
        drive = b.detach().cpu().double().numpy()
        rail = min(self.technology.opamp.output_limit, self.adc.converter.full_scale)
        currents_per_volt = program.parts.drive_nominal or 1.0 / self.technology.resistors.unit
        level = self._first_level(program, drive, currents_per_volt, rail)
        spans = self.read_out.spans(duration)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            rng = self._generator(attempt)
            requested = program.conductance_unit * level * program.scaling * drive / currents_per_volt
            driven = self.dac.convert(requested)
            start = self._state / program.scaling * level
            volts = self._relax(program, driven * currents_per_volt, start, spans, rng) if self._stable else None
            if volts is None or not np.isfinite(volts).all():
                self._runs, self._state, self._rest = self._runs + 1, None, None
                return self._solution(np.full(len(drive), math.nan), b, Outcome.UNSTABLE, attempt, spans)
            peak = float(np.abs(volts).max())
            readings = [self.adc.convert(sample, rng) for sample in np.clip(volts, -rail, rail)]
            clipped = peak > rail or self.dac.clips(requested) or any(reading.clipped for reading in readings)
            if not clipped or attempt == MAX_ATTEMPTS:
                break
            # An amplifier held at its rail does not show how far beyond it would be: what a first step did not cure takes larger ones.
            shrink = (TARGET * rail / peak if peak > TARGET * rail else 0.5) * (1.0 if attempt == 1 else 0.25)
            level, self._headroom = level * shrink, self._headroom * shrink
        outcome = Outcome.CLIPPED if clipped else self._judge(peak)
        if peak < TARGET * rail / 4:
            self._headroom = min(1.0, 2 * self._headroom)
        assert volts is not None
        volts, scale, read = np.clip(volts, -rail, rail), program.scaling / level, _mean(readings)
        runs, zero = attempt, None
        if self.read_out.auto_zero:
            rest, zero, held = self._without_drive(program, spans, level, rail)
            outcome = outcome if held else Outcome.CLIPPED
            runs, self._rest = attempt + 1, scale * rest
        self.probe = Probe(requested, driven, start, volts.mean(axis=0), read, duration, readings[0].gain, zero)
        self._state, self._runs = scale * volts[-1], self._runs + 1
        return self._solution(scale * (read if zero is None else read - zero), b, outcome, runs, spans)

    def _without_drive(
        self, program: AnalogProgram, spans: tuple[float, ...], level: float, rail: float
    ) -> tuple[np.ndarray, np.ndarray, bool]:
        """The run of auto-zero: voltages (n,) at its end, their reading (n,), and whether nothing clipped.

        It goes on where the last such run ended, as the driven run does, so that both hold the offsets of the same time.
        """
        rng = self._generator(0)
        start = np.zeros(program.size) if self._rest is None else self._rest / program.scaling * level
        volts = self._relax(program, np.zeros(program.size), start, spans, rng)
        held = np.clip(volts, -rail, rail)
        readings = [self.adc.convert(sample, rng) for sample in held]
        return held[-1], _mean(readings), bool((held == volts).all()) and not any(one.clipped for one in readings)

    def _generator(self, attempt: int) -> np.random.Generator:
        """The noise of one analog run; attempts count from 1, and 0 is the run without drive."""
        return np.random.default_rng([self.seed, self.die.seed or 0, self._runs, attempt])

    def _aged(self) -> AnalogProgram:
        """The loaded program as it is now."""
        assert self.program is not None
        assert self._fresh is not None
        now = aged(self._fresh, self.die, self.age)
        if now is not self._fresh:
            self.program, self._stable = now, self._is_stable(now)
        return self.program

    def _first_level(self, program: AnalogProgram, drive: np.ndarray, per_volt: float, rail: float) -> float:
        """Volts a problem unit with the DAC at full scale, times what the last systems left of it, within the rail."""
        assert self._state is not None
        strongest = program.conductance_unit / per_volt * float(np.abs(program.scaling * drive).max())
        start = float(np.abs(self._state / program.scaling).max())
        levels = [self.dac.converter.full_scale * self._headroom / strongest] if strongest > 0 else []
        levels += [min(TARGET * rail, self.dac.converter.full_scale) / start] if start > 0 else []
        return min(levels, default=1.0)

    def _solution(self, x: np.ndarray, b: Tensor, outcome: Outcome, runs: int, spans: tuple[float, ...]) -> Solution:
        assert self.program is not None
        reading = torch.from_numpy(x).to(dtype=b.dtype, device=b.device)
        seconds = runs * sum(spans) * self.program.tau
        if math.isfinite(seconds):
            # A settled run has no length that a clock could count.
            self.age += seconds
        return Solution(reading, outcome, seconds, runs)


def _mean(readings: list[Reading]) -> np.ndarray:
    """Mean voltages (n,) of several readings."""
    return np.asarray(np.mean([reading.volts for reading in readings], axis=0))
