"""White noise of the amplifiers' inputs in a cascade.

Noise e of density S_e enters at each amplifier as its offset does: as a current L e into a cell, L its load, and as (L_t + f_t) e into a
stage. In a cell it is seen at the output at once besides, up to the amplifier's bandwidth, with the variance (S_e / 2) N^2 a of
`devices.amplifier_noise`. That both are parts of one noise is left out: it changes variances by some 1 / (a tau) of themselves.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ...circuits.errors import InputError
from ...circuits.technology.parts import OpAmp


class InputNoise(NamedTuple):
    """Densities are two-sided; of amplifiers with two inputs.

    Attributes:
        voltage: S_e, V^2/Hz. current: of the noise currents into both inputs, A^2/Hz.
        first, second: l_1 (s) and l_2 (s^2) of the amplifiers (`devices.cell_law`).
    """

    voltage: float = 0.0
    current: float = 0.0
    first: float = 0.0
    second: float = 0.0

    @classmethod
    def of(cls, opamp: OpAmp, power: float, leak: float, lag: float, pole: float) -> InputNoise:
        """Of amplifiers with the noise of `opamp` times `power`; leak, lag (s) and pole (s) as a card has them.

        Raises:
            InputError: noise voltage and no bandwidth.
        """
        if opamp.noise_voltage > 0 and power > 0 and lag == 0:
            raise InputError(
                "opamp.noise_voltage with an infinite gain-bandwidth product has an infinite variance at the output: give opamp.gbw a "
                "finite value, or set opamp.noise_voltage to 0"
            )
        voltage, current = (power * density**2 / 2 for density in (opamp.noise_voltage, opamp.noise_current))
        return cls(voltage, 2 * current, lag + leak * pole, lag * pole)

    def currents(self, load: np.ndarray) -> np.ndarray:
        """Density of the current that amplifiers of these loads (S) drive, A^2/Hz."""
        return self.voltage * load**2 + self.current

    def direct_deviation(self, load: np.ndarray, capacitance: np.ndarray, leak: float) -> np.ndarray:
        """Standard deviation of what is read of it at once, (n,) V, of cells with loads (n,) S and capacitances (n,) F."""
        if self.voltage == 0:
            return np.zeros_like(load)
        loading = load / capacitance
        inertia, lagging = 1 + leak + self.first * loading, self.first + self.second * loading
        return np.asarray(math.sqrt(self.voltage / 2) * np.sqrt(1 / (inertia * lagging)))


SILENT = InputNoise()
