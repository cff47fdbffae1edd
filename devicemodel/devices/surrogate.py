"""`SurrogateDevice`: a calibrated first-order law (`cell_law`) in place of the circuit, thousands of times faster than SPICE.

The law is propagated exactly over the duration (see `ou`); the differences to the circuit (rails of unequal parts, slewing) are what
calibration measures as the residual.
"""

from __future__ import annotations

import numpy as np
import torch

from ...compiler.linear_system import LinearSystem
from ...compiler.program import AnalogProgram
from ...compiler.programming import Programming
from ..card import DeviceCard
from ..host.calibrated_range import CalibratedRange
from ..host.readout import ReadOut
from ..ou.doubling import Transition
from ..ou.gaussian import sample
from .cell_coefficients import CellCoefficients, extracted, schematic
from .cell_law import cell_law
from .circuit import CircuitDevice, matrix_of

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
        self._coefficients: tuple[AnalogProgram, CellCoefficients] | None = None

    def _fabricated(self, nominal: AnalogProgram) -> AnalogProgram:
        card = self.card
        return nominal.on(self.die, card.mismatch.value, card.capacitor_mismatch.value, card.offset.value)

    @property
    def nominal_leak(self) -> float:
        """1 / A0, the card's."""
        return self.card.leak.value

    def _with_drive(self, program: AnalogProgram, conductance: float) -> AnalogProgram:
        return program.with_drive(conductance, self.die, self.card.mismatch.value)

    def _is_stable(self, program: AnalogProgram) -> bool:
        if not all(np.isfinite(values).all() for values in (program.behaviour.conductance, program.behaviour.load)):
            return False
        if not self.layout:
            return program.is_stable()
        # Oscillations of the lines' own capacitances are beyond this law; `layout_effect` judges them.
        drift = cell_law(program, np.zeros(program.size), self.card, self._coefficients_of(program)).drift
        return bool(np.isfinite(drift).all() and np.linalg.eigvals(drift).real.max() < 0)

    def _coefficients_of(self, program: AnalogProgram) -> CellCoefficients:
        # A layout costs far more than a run: keep that of the loaded program.
        if self._coefficients is None or self._coefficients[0] is not program:
            self._coefficients = program, (extracted if self.layout else schematic)(program)
        return self._coefficients[1]

    def _violations_of_system(self, system: LinearSystem) -> tuple[str, ...]:
        return self.card.validity.violations_by_system(matrix_of(system))

    def _violations_of_run(self, duration: float) -> tuple[str, ...]:
        validity = self.card.validity
        return (
            *validity.violations_by_run(duration, self.die.temperatures),
            *validity.violations_by_layout(self.layout),
        )

    def _relax(
        self,
        program: AnalogProgram,
        currents: np.ndarray,
        state: np.ndarray,
        spans: tuple[float, ...],
        rng: np.random.Generator,
    ) -> np.ndarray:
        found = cell_law(program, currents, self.card, self._coefficients_of(program))
        nowhere = np.full((len(spans), program.size), np.nan)
        if not found.is_finite:
            return nowhere
        noisy = self.technology.thermal.johnson_noise and self.card.noise_power.value > 0
        generator = torch.Generator().manual_seed(int(rng.integers(2**63))) if noisy else None
        steps: dict[float, Transition] = {}
        volts, samples = found.slow_start(state) if spans[0] > 0 else state, []
        for span in spans:
            if span > 0:
                step = steps[span] = steps.get(span) or found.over(span, program.tau, noisy)
                if not (step.settled and _finite(step)):
                    return nowhere
                volts = step.propagator.numpy() @ volts + step.mean.numpy()
                if step.covariance is not None and generator is not None:
                    volts = volts + sample(step.covariance, generator).numpy()
            samples.append(volts)
        held = self.card.clamp * self.technology.opamp.output_limit
        return np.clip(samples, -held, held)


def _finite(step: Transition) -> bool:
    """Whether a transition stayed within the numbers, as that of a mode that grows for long does not."""
    parts = [part for part in (step.propagator, step.mean, step.covariance) if part is not None]
    return all(bool(torch.isfinite(part).all()) for part in parts)
