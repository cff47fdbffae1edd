"""`SurrogateDevice`: a calibrated first-order law (`cell_law`) in place of the circuit, thousands of times faster than SPICE.

The law is propagated exactly over the duration (see `ou`); the differences to the circuit (rails of unequal parts, slewing) are what
calibration measures as the residual.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ...circuits.technology.redraw import Redraw
from ...compiler.limitations import not_modelled
from ...compiler.linear_system import LinearSystem
from ...compiler.program import AnalogProgram
from ...compiler.programming import Programming
from ..card import DeviceCard
from ..host.board import Voltages
from ..host.calibrated_range import CalibratedRange
from ..host.readout import ReadOut
from ..systems import Dense
from .cell_coefficients import extracted, schematic
from .cell_law import cell_law, force
from .circuit import CircuitDevice, ProgramBoard
from .dense_law import DenseLaw
from .krylov_law import KrylovLaw
from .overload import overload

WRITTEN_OUT = 128
"""Most unknowns of a program whose transitions are written out."""
REMEDY = "Calibrate with systems of this kind (systems=)"


class SurrogateDevice(CircuitDevice):
    """A device that behaves as its card says.

    Args:
        card: from `calibrate` or `DeviceCard.read`.
        die: seed of the die, the same die as `SpiceDevice(card.technology, die)`; None has nominal parts.
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
        card: DeviceCard,
        die: int | None = None,
        seed: int = 0,
        read_out: ReadOut | None = None,
        layout: bool = False,
        extrapolate: bool = False,
        programming: Programming | None = None,
    ) -> None:
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
        self._laws: dict[AnalogProgram, DenseLaw | KrylovLaw | None] = {}

    def _fabricated(self, nominal: AnalogProgram, writing: Redraw | None) -> AnalogProgram:
        card = self.card
        return nominal.on(self.die, card.mismatch.value, card.capacitor_mismatch.value, card.offset.value, writing)

    @property
    def not_modelled(self) -> tuple[str, ...]:
        """See `HostedDevice.not_modelled`."""
        return not_modelled("SurrogateDevice", self._fabric_shown, ["layout"] if self.layout else [])

    @property
    def nominal_leak(self) -> float:
        """1 / A0, the card's."""
        return self.card.leak.value

    def _with_drive(self, program: AnalogProgram, conductance: float) -> AnalogProgram:
        return program.with_drive(conductance, self.die, self.card.mismatch.value)

    def _board_of(self, program: AnalogProgram) -> ProgramBoard:
        self._laws.clear()
        board, resistors = super()._board_of(program), self.technology.resistors
        # Conductances that drift or fluctuate do so from run to run.
        board.takes_rows = not (
            resistors.conductance_drift or resistors.conductance_drift_spread or resistors.read_noise
        )
        return board

    def _is_stable(self, program: AnalogProgram) -> bool:
        if not all(np.isfinite(values).all() for values in (program.behaviour.conductance, program.behaviour.load)):
            return False
        law = self._law_of(program)
        if isinstance(law, KrylovLaw) and program.fabric.active:
            return law.stable
        if not self.layout:
            return program.is_stable()
        # Oscillations of the lines' own capacitances are beyond this law; `layout_effect` judges them.
        return law is not None and law.stable

    def _law_of(self, program: AnalogProgram) -> DenseLaw | KrylovLaw | None:
        """The law of a program of the loaded system, kept; None where it is not finite."""
        if program not in self._laws:
            self._laws[program] = self._law(program)
        return self._laws[program]

    def _law(self, program: AnalogProgram) -> DenseLaw | KrylovLaw | None:
        cells = (extracted if self.layout else schematic)(program)
        noisy = self.technology.thermal.johnson_noise and self.card.noise_power.value > 0
        if program.size > WRITTEN_OUT:
            return KrylovLaw(program, self.card, cells, noisy)
        found = cell_law(program, np.zeros(program.size), self.card, cells)
        return DenseLaw(found, cells, program.tau, noisy) if found.is_finite else None

    def _violations_of_system(self, system: LinearSystem) -> tuple[str, ...]:
        floor = system.floor if isinstance(system, Dense) else 0.0
        return self.card.validity.violations_by_system(self._matrix_of(system), floor)

    def _violations_of_run(self, duration: float) -> tuple[str, ...]:
        validity = self.card.validity
        return (
            *validity.violations_by_run(duration, self.temperatures),
            *validity.violations_by_layout(self.layout),
        )

    def _relax(
        self,
        program: AnalogProgram,
        currents: np.ndarray,
        state: np.ndarray,
        spans: tuple[float, ...],
        streams: Sequence[np.random.Generator],
    ) -> Voltages:
        law, nowhere = self._law_of(program), Voltages(np.full((len(currents), len(spans), program.size), np.nan))
        if law is None:
            return nowhere
        forces = torch.from_numpy(force(program, currents, self.card, law.cells))
        noise = [torch.Generator().manual_seed(int(rng.integers(2**63))) for rng in streams] if law.noisy else []
        volts, samples = torch.from_numpy(state), []
        for place, span in enumerate(spans):
            if span > 0:
                mean = law.mean(volts, forces, span, standing=place == 0)
                disturbed = law.noise(span, noise) if noise else None
                if mean is None:
                    return nowhere
                volts = mean if disturbed is None else mean + disturbed
            samples.append(volts)
        held = self.card.clamp * self.technology.opamp.output_limit
        cells = torch.stack(samples, dim=1).numpy()
        used = overload(program, cells, currents)
        # Amplifiers at their limits do not show how far beyond they would be.
        used = None if used is None else np.minimum(used, self.card.clamp)
        return Voltages(np.clip(cells, -held, held), overload=used)
