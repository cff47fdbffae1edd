"""`SurrogateDevice`: a calibrated first-order law in place of the circuit, thousands of times faster than SPICE.

With the elements K, L, C, K_1, L_1 of the same parts that the SPICE device would build for this die (same seed, same places; see
`elements`), and with amplifiers of A(s) = 1 / (leak + s lag), each followed by a pole 1 / (1 + s pole), the cells obey

    [T s^3 + P s^2 + M s + K'] v = gain drive I + L Vos + noise,      l_1 = lag + leak pole,  l_2 = lag pole,

    K' = K + leak L,  M = C (1 + leak) + K_1 + leak L_1 + l_1 L,  P = l_1 (C + L_1) + l_2 L,  T = l_2 C.

The terms of higher order are small, since amplifiers are faster than the array, and reduce to a law of n states. On the slow motion
s^2 P = -s P M^-1 K' to first order. An output at rest has no slope at first; P dv/dt + M v, which does not change while it picks up speed,
says from where the slow motion sets out:

    (M - P M^-1 K') dv/dt = -K' v + gain drive I + L Vos,      v(0) = v_0 - D dv/dt(0),      D = M^-1 P.

Noise of density S enters with (1/2) [(M - P M^-1 K')^-1 S M_3^-T + transposed], M_3 = M - T P^-1 K', so that the voltages at rest have
the variance S / (2 K' M_3) of the full law (exact for one cell). States of the amplifiers' own, 2 n or 3 n in all, gain nothing that
could be seen: with the figures of the `integrated` preset this is within 2e-6 of the full law, and without D within 5e-4.

leak = 1/A0, lag = 1/(2 pi GBW), pole = 1/(2 pi f_2), the standard deviations of mismatch and offset, the gain and the noise power are the
`DeviceCard`'s; die-to-die variation and gradient are those of the card's technology. The law is propagated exactly over the duration (see
`ou`); the differences to the circuit (rails of unequal parts, slewing) are what calibration measures as the residual.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from ...compiler.linear_system import LinearSystem
from ...compiler.program import AnalogProgram
from ..card import DeviceCard
from ..host.calibrated_range import CalibratedRange
from ..host.readout import ReadOut
from ..ou import transition
from ..ou.gaussian import sample
from ..ou.transition import Transition
from .cell_law import Elements, extracted, schematic
from .circuit import CircuitDevice, matrix_of

REMEDY = "Calibrate with systems of this kind (systems=)"


class SurrogateDevice(CircuitDevice):
    """A device that behaves as its card says.

    Args:
        card: from `calibrate` or `DeviceCard.read`.
        die: seed of the die, the same die as `SpiceDevice(card.technology, die)`; None has nominal parts.
        seed: of the noise; runs of one device draw anew.
        read_out, layout: see `CircuitDevice`.
        extrapolate: True: answer outside of the card's range of validity, too, with the outcome `EXTRAPOLATED`; the solution's
            `violations` then name the bounds.

    Raises:
        InputError: in `solve` and `evolve`, a system, analog time, temperature, layout or signal level outside of the card's range, with
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
        )
        self.card, self.extrapolate = card, extrapolate
        self._elements: tuple[AnalogProgram, Elements] | None = None

    def _fabricated(self, nominal: AnalogProgram) -> AnalogProgram:
        card = self.card
        return nominal.on(self.die, card.mismatch.value, card.capacitor_mismatch.value, card.offset.value)

    def _is_stable(self, program: AnalogProgram) -> bool:
        if not all(np.isfinite(values).all() for values in (program.behaviour.conductance, program.behaviour.load)):
            return False
        if not self.layout:
            return program.is_stable()
        # Oscillations of the lines' own capacitances are beyond this law; `layout_effect` judges them.
        drift = law(program, np.zeros(program.size), self.card, self._elements_of(program)).drift
        return bool(np.isfinite(drift).all() and np.linalg.eigvals(drift).real.max() < 0)

    def _elements_of(self, program: AnalogProgram) -> Elements:
        # A layout costs far more than a run: keep that of the loaded program.
        if self._elements is None or self._elements[0] is not program:
            self._elements = program, (extracted if self.layout else schematic)(program)
        return self._elements[1]

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
        found = law(program, currents, self.card, self._elements_of(program))
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


class Law(NamedTuple):
    """dv/dt = F v + u + white noise of covariance Q dt, for the differential voltages v.

    Attributes:
        drift: F, (n, n) 1/s. drive: u, (n,) V/s. diffusion: Q, (n, n) V^2/s.
        delay: D, (n, n) s: a circuit at v_0 sets out as if it were at v_0 - D dv/dt (see `slow_start`).
    """

    drift: np.ndarray
    drive: np.ndarray
    diffusion: np.ndarray
    delay: np.ndarray

    @property
    def is_finite(self) -> bool:
        """Whether every entry is."""
        return all(bool(np.isfinite(values).all()) for values in self)

    def slow_start(self, state: np.ndarray) -> np.ndarray:
        """Start (n,) of the first-order motion for cells at rest at voltages `state`, (n,)."""
        # dv/dt at the start that is sought: (1 + F D)^-1 (F state + u).
        slope = np.linalg.solve(np.eye(len(state)) + self.drift @ self.delay, self.drift @ state + self.drive)
        return np.asarray(state - self.delay @ slope)

    def over(self, duration: float, tau: float, noisy: bool) -> Transition:
        """The exact transition over `duration` in units of tau (s), which keep the numbers near one."""
        return transition(
            torch.from_numpy(self.drift * tau),
            torch.from_numpy(self.drive * tau),
            duration,
            torch.from_numpy(self.diffusion * tau) if noisy else None,
        )


def _finite(step: Transition) -> bool:
    """Whether a transition stayed within the numbers, as that of a mode that grows for long does not."""
    parts = [part for part in (step.propagator, step.mean, step.covariance) if part is not None]
    return all(bool(torch.isfinite(part).all()) for part in parts)


def propagate(
    program: AnalogProgram, currents: np.ndarray, state: np.ndarray, duration: float, card: DeviceCard, noisy: bool
) -> tuple[np.ndarray, torch.Tensor | None]:
    """Mean (n,) in V and, with noise, covariance (n, n) in V^2 of the differential voltages after `duration` tau.

    NaN, without covariance, for the settled state of a law that has none.
    """
    found = law(program, currents, card)
    step = found.over(duration, program.tau, noisy and card.noise_power.value > 0)
    if not step.settled:
        return np.full(program.size, np.nan), None
    start = found.slow_start(state) if duration > 0 else state
    return step.propagator.numpy() @ start + step.mean.numpy(), step.covariance


def law(program: AnalogProgram, currents: np.ndarray, card: DeviceCard, elements: Elements | None = None) -> Law:
    """The first-order law of a program on its die.

    Args:
        program: of fabric crossbar or dual_rail, on a die.
        currents: differential drive currents, (n,) A.
        card: the amplifiers' figures, gain and noise power.
        elements: the program's; default those of its schematic.
    """
    parts = elements or schematic(program)
    leak, lag, pole = card.leak.value, card.lag.value, card.pole.value
    first, second = lag + leak * pole, lag * pole
    load, capacitance = parts.load, parts.capacitance
    stiffness = parts.stiffness + leak * load
    inertia = (1.0 + leak) * capacitance + parts.coupled_capacitance + leak * parts.load_capacitance + first * load
    bend = first * (capacitance + parts.load_capacitance) + second * load
    slow = np.linalg.inv(inertia - bend @ np.linalg.solve(inertia, stiffness))
    # Without a gain-bandwidth product the second pole has nothing to act together with.
    third = second * capacitance @ np.linalg.solve(bend, stiffness) if second > 0 else 0.0
    heard = slow @ (card.noise_power.value * parts.noise) @ np.linalg.inv(inertia - third).T
    return Law(
        drift=-slow @ stiffness,
        drive=slow @ (card.gain.value * parts.drive * currents + load @ program.parts.offset),
        diffusion=(heard + heard.T) / 2,
        delay=np.linalg.solve(inertia, bend),
    )
