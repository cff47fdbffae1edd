"""The converters at the device's edge: what the host asks for and what it gets to see.

A converter is a uniform quantiser over +-full scale with step 2 FS / (2^bits - 1), whose gain and channel offsets belong to the
die. Inside the range its error is uniform, variance step^2 / 12; outside it clips, and says so.
"""

from __future__ import annotations

import math

import numpy as np

from ..circuits.die import Die
from ..circuits.technology import Converter


def step_of(converter: Converter) -> float:
    """Volts between adjacent codes; 0 without quantisation."""
    return 0.0 if converter.bits is None else 2 * converter.full_scale / (2**converter.bits - 1)


def quantise(volts: np.ndarray, converter: Converter) -> np.ndarray:
    """Nearest code's voltage; clipped to the full scale."""
    clipped = np.clip(volts, -converter.full_scale, converter.full_scale)
    step = step_of(converter)
    if not step:
        return clipped
    # Codes lie at half steps around zero, as those of a 2^bits-level converter do.
    codes = np.clip(
        np.round(clipped / step - 0.5), -(2 ** (converter.bits or 1)) // 2, 2 ** (converter.bits or 1) // 2 - 1
    )
    return (codes + 0.5) * step


class Dac:
    """The drive side of one die: volts asked for -> volts at the circuit."""

    def __init__(self, converter: Converter, die: Die) -> None:
        self.converter, self._die = converter, die

    def convert(self, volts: np.ndarray) -> np.ndarray:
        """(n,) -> (n,): quantised, then with this die's gain and channel offsets."""
        gain = 1.0 + self.converter.gain_error * self._die.deviates("dac_gain", (1, 1))[0, 0]
        offset = self.converter.offset * self._die.deviates("dac_offset", (1, len(volts)))[0]
        return gain * quantise(volts, self.converter) + offset


class Adc:
    """The reading side of one die: volts at the circuit -> volts that the host reads."""

    def __init__(self, converter: Converter, die: Die) -> None:
        self.converter, self._die = converter, die

    def gain_for(self, volts: np.ndarray) -> float:
        """Setting of the programmable amplifier: the largest power of two that keeps the reading inside the range."""
        peak = float(np.abs(volts).max(initial=0.0))
        if peak == 0 or self.converter.max_gain < 2:
            return 1.0
        _, exponent = math.frexp(min(self.converter.full_scale / peak, self.converter.max_gain))
        return 2.0 ** max(0, exponent - 1)

    def convert(self, volts: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """(n,) -> (n,): channel offset and noise at the input, then amplified, quantised and scaled back; and the amplifier's gain."""
        converter = self.converter
        error = 1.0 + converter.gain_error * self._die.deviates("adc_gain", (1, 1))[0, 0]
        offset = converter.offset * self._die.deviates("adc_offset", (1, len(volts)))[0]
        seen = error * volts + offset + converter.noise * rng.standard_normal(len(volts))
        gain = self.gain_for(seen)
        return quantise(gain * seen, converter) / gain, gain
