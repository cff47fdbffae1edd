"""`SurrogateDevice`: a calibrated law in place of the circuit, thousands of times faster than SPICE.

It is the first-order law of the cells (`cell_law`), or, of fabrics that have one, the linear law with all states of the circuit
(`state_space_law`), propagated exactly over the duration (see `ou`); the differences to the circuit (in first order also rails of unequal
parts; slewing) are what calibration measures as the residual.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...circuits.technology.die import Die
from ...circuits.technology.redraw import Redraw
from ...compiler.fabrics.registry import fabric_named
from ...compiler.limitations import not_modelled
from ...compiler.linear_system import LinearSystem
from ...compiler.program import AnalogProgram
from ...compiler.programming import Programming
from ..card import DeviceCard, MeasuredArray
from ..device import Solution
from ..host.board import Voltages
from ..host.calibrated_range import CalibratedRange
from ..host.host import WITHOUT_DRIVE, Run
from ..host.readout import ReadOut
from ..systems import Dense
from .cell_coefficients import extracted, schematic
from .cell_law import cell_law, force
from .circuit import CircuitDevice, ProgramBoard
from .dense_law import DenseLaw
from .flicker import REST, Flicker, rates_of
from .krylov_runs import KrylovRuns
from .overload import overload
from .state_space_law import StateSpaceLaw

WRITTEN_OUT = 128
"""Most unknowns of a program whose transitions are written out."""
STATES = 1024
"""Most states of a linear law, whose transitions always are."""
FLICKER = 200
"""Number of the noise stream of the amplifiers' 1/f noise between runs, beyond those of runs."""
Law = DenseLaw | KrylovRuns | StateSpaceLaw
REMEDY = "Calibrate with systems of this kind (systems=)"


class SurrogateDevice(CircuitDevice):
    """A device that behaves as its card says.

    Args:
        card: from `calibrate` or `DeviceCard.read`; or a `LaboratoryCard.programmed`.
        die: seed of the die, the same die as `SpiceDevice(card.technology, die)`, or the die; None has nominal parts, of a `LaboratoryCard`
            those that were measured, and a seed is a board like it.
        seed: of the noise; runs of one device draw anew.
        read_out, layout, programming: see `CircuitDevice`.
        extrapolate: True: answer outside of the card's range of validity, too, with the outcome `EXTRAPOLATED`; the solution's
            `violations` then name the bounds.

    Raises:
        InputError: in `solve` and `evolve`, a system, duration, temperature, layout or signal level outside of the card's range, with
            extrapolate=False.
    """

    def __init__(
        self,
        card: DeviceCard | MeasuredArray,
        die: int | Die | None = None,
        seed: int = 0,
        read_out: ReadOut | None = None,
        layout: bool = False,
        extrapolate: bool = False,
        programming: Programming | None = None,
    ) -> None:
        if isinstance(card, MeasuredArray) and not isinstance(die, Die):
            card, die = card.card_and_die(die)
        elif not isinstance(card, DeviceCard):
            raise InputError(f"card is {card!r:.200}: give a DeviceCard, from calibrate(...) or DeviceCard.read(path)")
        if layout and fabric_named(card.fabric).has_linear_law:
            raise InputError(
                f"layout=True with a card of fabric {card.fabric}: its law has no wires, switches or parasitic capacitances; use "
                "SpiceDevice(technology, layout=True), or leave layout out"
            )
        calibrated = CalibratedRange(card, extrapolate, REMEDY)
        super().__init__(
            card.technology,
            die,
            card.fabric,
            seed,
            read_out,
            layout,
            calibrated,
            programming,
        )
        self.card, self.extrapolate = card, extrapolate
        self._laws: dict[AnalogProgram, Law | None] = {}
        rates = rates_of(self.technology.opamp, fabric_named(card.fabric)) if self._noisy else []
        self._flicker = Flicker(rates, [seed, self.die.seed or 0, FLICKER]) if rates else None

    def _fabricated(self, nominal: AnalogProgram, writing: Redraw | None) -> AnalogProgram:
        return self.card.on(nominal, self._temperature.die_for(nominal.parts), writing)

    @property
    def not_modelled(self) -> tuple[str, ...]:
        """See `HostedDevice.not_modelled`."""
        return not_modelled("SurrogateDevice", self._fabric_shown, ["layout"] if self.layout else [])

    @property
    def nominal_leak(self) -> float:
        """1 / A0, the card's."""
        return self.card.leak.value

    def _with_drive(self, program: AnalogProgram, conductance: float) -> AnalogProgram:
        return program.with_drive(conductance, self._temperature.die_for(program.parts), self.card.mismatch.value)

    def _board_of(self, program: AnalogProgram, read_scale: np.ndarray) -> ProgramBoard:
        self._laws.clear()
        board, resistors = super()._board_of(program, read_scale), self.technology.resistors
        # Conductances that drift or fluctuate do so from run to run, and so do temperatures.
        moving = resistors.conductance_drift or resistors.conductance_drift_spread or resistors.read_noise
        board.takes_rows = not (moving or self.technology.thermal.dynamic)
        return board

    def _is_stable(self, program: AnalogProgram) -> bool:
        if program.fabric.has_linear_law:
            known = self._law_of(program) is not None
            return known and program.fabric.is_stable(program.parts, self.card.circuit_technology())
        if not all(np.isfinite(values).all() for values in (program.behaviour.conductance, program.behaviour.load)):
            return False
        law = self._law_of(program)
        if isinstance(law, KrylovRuns) and program.fabric.active:
            return law.stable
        if not self.layout:
            return program.is_stable()
        # Oscillations of the lines' own capacitances are beyond this law; `layout_effect` judges them.
        return law is not None and law.stable

    def _law_of(self, program: AnalogProgram) -> Law | None:
        """The law of a program of the loaded system, kept; None where it is not finite."""
        if program not in self._laws:
            self._laws[program] = self._law(program)
        return self._laws[program]

    def _law(self, program: AnalogProgram) -> Law | None:
        if program.fabric.has_linear_law:
            return self._linear_law(program)
        cells = (extracted if self.layout else schematic)(program)
        bandwidth = self.technology.adc.bandwidth
        if program.size > WRITTEN_OUT:
            return KrylovRuns(program, self.card, cells, self._noisy, bandwidth)
        found = cell_law(program, np.zeros(program.size), self.card, cells)
        return DenseLaw(found, cells, program.tau, self._noisy, bandwidth) if found.is_finite else None

    def _linear_law(self, program: AnalogProgram) -> StateSpaceLaw | None:
        technology = self.card.circuit_technology()
        opamp = self.technology.opamp
        # A card without a lag, but of such amplifiers, is a what-if: what only a bandwidth ends is left out of its readings.
        if program.fabric.active and self._noisy and opamp.noise_voltage > 0 and math.isinf(opamp.gbw):
            raise InputError(
                "opamp.noise_voltage with an infinite gain-bandwidth product has an infinite variance at the output: give opamp.gbw a "
                "finite value, or set opamp.noise_voltage to 0"
            )
        law = program.fabric.linear_law(program.parts, technology)
        if law.order > STATES:
            raise InputError(
                f"{program.size} unknowns of fabric {program.fabric_name} have {law.order} states (at most {STATES}): use fewer"
                f"{', or a CascadeDevice' if program.fabric.takes_factors else ''}"
            )
        power = self.card.noise_power.value if self._noisy else 0.0
        return (
            StateSpaceLaw(law, technology.opamp, program.tau, power, technology.adc.bandwidth)
            if law.is_finite
            else None
        )

    @property
    def _noisy(self) -> bool:
        return self.technology.thermal.johnson_noise and self.card.noise_power.value > 0

    def _violations_of_system(self, system: LinearSystem) -> tuple[str, ...]:
        floor = system.floor if isinstance(system, Dense) else 0.0
        return self.card.validity.violations_by_system(self._matrix_of(system), floor)

    def _violations_of_run(self, duration: float) -> tuple[str, ...]:
        validity = self.card.validity
        return (
            *validity.violations_by_run(duration, self.temperatures),
            *validity.violations_by_layout(self.layout),
        )

    def idle(self, seconds: float) -> None:
        """See `HostedDevice.idle`; the amplifiers' 1/f noise goes on."""
        super().idle(seconds)
        if self._flicker is not None:
            self._flicker.elapsed += seconds

    def state_dict(self) -> dict[str, Any]:
        """See `HostedDevice.state_dict`; with it the amplifiers' 1/f noise, and the time (s) since it was that."""
        kept = super().state_dict()
        if self._flicker is not None:
            state = self._flicker.state
            kept["flicker"] = None if state is None else torch.from_numpy(state.copy())
            kept["elapsed"] = self._flicker.elapsed
        return kept

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `HostedDevice.load_state_dict`."""
        if self._flicker is None:
            return super().load_state_dict(state)
        missing = [key for key in ("flicker", "elapsed") if key not in state]
        if missing:
            raise InputError(f"state lacks {', '.join(missing)}: give what state_dict() of a SurrogateDevice returned")
        held, elapsed = state["flicker"], float(state["elapsed"])
        if held is not None and not (isinstance(held, Tensor) and held.shape[:-1] == self._flicker.shape):
            got = tuple(held.shape) if isinstance(held, Tensor) else type(held).__name__
            raise InputError(
                f"state['flicker'] is {got}: give a tensor of shape {self._flicker.shape} and the cells, or None"
            )
        if held is not None and not bool(torch.isfinite(held).all()):
            raise InputError("state['flicker'] is not finite: give what state_dict() of a SurrogateDevice returned")
        if not (math.isfinite(elapsed) and elapsed >= 0):
            raise InputError(f"state['elapsed'] is {elapsed}: it is a finite time in s, >= 0")
        super().load_state_dict(state)
        self._flicker.state = None if held is None else held.numpy().copy()
        self._flicker.elapsed = elapsed
        return None

    def _runs_of(
        self,
        b: np.ndarray,
        starts: np.ndarray,
        without_drive: np.ndarray | None,
        duration: float,
        violations: tuple[str, ...],
    ) -> list[Run]:
        if self._flicker is None:
            return super()._runs_of(b, starts, without_drive, duration, violations)
        board, number = self._board_now(), self._runs
        seconds = _seconds(self.read_out.spans(duration), board.tau)
        expected = (1, WITHOUT_DRIVE) if self.read_out.auto_zero else (1,)
        seeds = [
            [_seed(np.random.default_rng([self.seed, self.die.seed or 0, number + place, one])) for one in expected]
            for place in range(len(b))
        ]
        # Those runs that sought a bias, or found the program unstable.
        waited = board.spent_runs * sum(seconds)
        assert self._nominal is not None
        # Amplifiers of a kind may be more than the cells.
        widest = self._nominal.parts.symbolic_size
        self._flicker.begin(widest, seeds, seconds, waited, [self.seed, self.die.seed or 0, number, FLICKER])
        try:
            return super()._runs_of(b, starts, without_drive, duration, violations)
        except BaseException:
            self._flicker.forget()
            raise

    def _heeded(self, run: Run, b: Tensor, duration: float) -> Solution:
        found = super()._heeded(run, b, duration)
        if self._flicker is not None:
            if not self._flicker.commit():
                self._steady = False
            self._flicker.elapsed = found.attempts * self.technology.thermal.between_runs
        return found

    def _relax(
        self,
        program: AnalogProgram,
        currents: np.ndarray,
        state: np.ndarray,
        spans: tuple[float, ...],
        streams: Sequence[np.random.Generator],
        places: np.ndarray,
    ) -> Voltages:
        law, nowhere = self._law_of(program), Voltages(np.full((len(currents), len(spans), program.size), np.nan))
        if law is None:
            return nowhere
        # The amplifiers' offsets are in a linear law.
        linear = law if isinstance(law, StateSpaceLaw) else None
        drives = self.card.gain.value * currents
        forces = torch.from_numpy(
            drives if isinstance(law, StateSpaceLaw) else force(program, currents, self.card, law.cells)
        )
        seeds = [_seed(rng) for rng in streams] if law.noisy else []
        noise = [torch.Generator().manual_seed(seed) for seed in seeds]
        path: list[Tensor | None] = [None] * (len(spans) + 1)
        if self._flicker is not None:
            seconds = _seconds(spans, program.tau)
            pairs = zip(places.tolist(), seeds, strict=True)
            runs = [self._flicker.run(place, program.parts.symbolic_size, seconds, seed) for place, seed in pairs]
            path = list(torch.from_numpy(np.stack(runs, axis=1)))
        motion = law.begin(torch.from_numpy(state), forces, spans[0] > 0, path[0])
        samples, peaks = [], np.zeros(len(currents))
        for span, sections in zip(spans, path[1:], strict=True):
            if span > 0:
                if linear is not None:
                    peaks = np.maximum(peaks, linear.peak(motion, forces, span))
                moved = law.advance(motion, forces, span, noise, sections)
                if moved is None:
                    return nowhere
                motion = moved
            samples.append(law.read(motion))
        held = self.card.clamp * self.technology.opamp.output_limit
        cells = torch.stack(samples, dim=1).numpy()
        used = overload(program, cells, currents) if linear is None else peaks
        # Amplifiers at their limits do not show how far beyond they would be.
        used = None if used is None else np.minimum(used, self.card.clamp)
        left = law.left(motion).numpy()
        # Nothing limits voltages that no amplifier makes.
        if linear is None or linear.law.outputs is not None:
            left = np.clip(left, -held, held)
        return Voltages(np.clip(cells, -held, held), overload=used, left=left)


def _seed(rng: np.random.Generator) -> int:
    """Of the noise of an analog run."""
    return int(rng.integers(2**63))


def _seconds(spans: tuple[float, ...], tau: float) -> list[float]:
    """For the 1/f noise, of spans in tau."""
    return [tau * (REST if math.isinf(span) else span) for span in spans]
