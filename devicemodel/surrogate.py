"""`SurrogateDevice`: a calibrated first-order law in place of the circuit, thousands of times faster than SPICE.

    [C (1 + leak) + lag L] dv/dt = -(K + leak L) v + gain * I + L Vos + noise,

with K, L, C of the same parts that the SPICE device would build for this die (same seed, same places), and with leak = 1/A0,
lag = 1/(2 pi GBW), the standard deviations of mismatch and offset, the gain and the noise power taken from a `DeviceCard`; lot shift and
gradient are those of the card's technology. The law is propagated exactly over the analog time (see `ou`); the differences to the
circuit (the amplifiers' second-order term, rails of unequal parts) are what calibration measures as the residual.
"""

from __future__ import annotations

import numpy as np
import torch

from ..compiler.program import AnalogProgram
from .card import DeviceCard
from .circuit_device import CircuitDevice
from .ou import sample, transition


class SurrogateDevice(CircuitDevice):
    """A device that behaves as its card says.

    Args:
        card: from `calibrate` or `DeviceCard.read`.
        die: seed of the die, the same die as `SpiceDevice(card.technology, die)`; None has nominal parts.
        seed: of the noise; runs of one device draw anew.
    """

    def __init__(self, card: DeviceCard, die: int | None = None, seed: int = 0) -> None:
        super().__init__(card.technology, die, card.fabric, seed, card.dac, card.adc)
        self.card = card

    def _fabricated(self, nominal: AnalogProgram) -> AnalogProgram:
        card = self.card
        return nominal.on(self.die, card.mismatch.value, card.capacitor_mismatch.value, card.offset.value)

    def _relax(
        self, program: AnalogProgram, currents: np.ndarray, state: np.ndarray, duration: float, rng: np.random.Generator
    ) -> np.ndarray:
        volts, covariance = propagate(
            program, currents, state, duration, self.card, self.technology.thermal.johnson_noise
        )
        if covariance is not None:
            generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
            volts = volts + sample(covariance, generator).numpy()
        return volts


def propagate(
    program: AnalogProgram, currents: np.ndarray, state: np.ndarray, duration: float, card: DeviceCard, noisy: bool
) -> tuple[np.ndarray, torch.Tensor | None]:
    """Mean (n,) in V and, with noise, covariance (n, n) in V^2 of the differential voltages after `duration` tau.

    NaN, without covariance, for the settled state of a law that has none.
    """
    drift, drive, diffusion = law(program, currents, card)
    # Time in units of tau keeps the numbers near one.
    tau = program.tau
    step = transition(
        torch.from_numpy(drift * tau),
        torch.from_numpy(drive * tau),
        duration,
        torch.from_numpy(diffusion * tau) if noisy and card.noise.value > 0 else None,
    )
    if not step.settled:
        return np.full(program.size, np.nan), None
    return (step.propagator @ torch.from_numpy(state) + step.mean).numpy(), step.covariance


def law(program: AnalogProgram, currents: np.ndarray, card: DeviceCard) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Drift F (n, n) in 1/s, drive u (n,) in V/s and diffusion Q (n, n) in V^2/s of the differential voltages."""
    behaviour, offset = program.behaviour, program.parts.offset
    leak, lag = card.leak.value, card.lag.value
    inertia = behaviour.capacitance * (1.0 + leak) + lag * behaviour.load
    stiffness = behaviour.stiffness + np.diag(leak * behaviour.load)
    injected = card.gain.value * behaviour.drive * currents + behaviour.load * offset
    diffusion = card.noise.value * behaviour.noise / np.outer(inertia, inertia)
    return -stiffness / inertia[:, None], injected / inertia, diffusion
