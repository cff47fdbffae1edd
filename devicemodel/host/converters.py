"""The converters at the device's edge: what the host requests and what it reads.

A converter is a uniform quantiser over +-full scale with step 2 FS / (2^bits - 1), whose gain, channel offsets and nonlinearity
(`linearity`) belong to the die. Inside the range its error is uniform, variance step^2 / 12; outside it clips, and says so.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ...circuits.errors import InputError
from ...circuits.technology.converters import Converter
from ...circuits.technology.die import Die
from .nonlinearity import approximate, bow, level_error

ROUNDING = 1e-9
"""Share of the full scale by which a voltage may pass it and still count as within: the host's arithmetic."""


def step_of(converter: Converter) -> float:
    """Volts between adjacent codes; 0 without quantisation."""
    return 0.0 if converter.bits is None else 2 * converter.full_scale / (2**converter.bits - 1)


def code_of(volts: np.ndarray, converter: Converter) -> np.ndarray:
    """Nearest code, from 0 to 2^bits - 1; of a converter with bits. InputError for NaN, which no code stands for."""
    unknown = np.flatnonzero(np.isnan(volts))
    if len(unknown):
        raise InputError(f"volts[{unknown[0]}] is nan: a converter has codes for numbers only; did the circuit settle?")
    codes, half = 2 ** (converter.bits or 1), 2 ** (converter.bits or 1) // 2
    clipped = np.clip(volts, -converter.full_scale, converter.full_scale)
    # Codes lie at half steps around zero, as those of a 2^bits-level converter do.
    return np.clip(np.round(clipped / step_of(converter) - 0.5).astype(int) + half, 0, codes - 1)


def volts_of(code: np.ndarray, converter: Converter) -> np.ndarray:
    """What a code, from 0 to 2^bits - 1, stands for, V."""
    return np.asarray((code - 2 ** (converter.bits or 1) // 2 + 0.5) * step_of(converter))


def quantise(volts: np.ndarray, converter: Converter) -> np.ndarray:
    """Nearest code's voltage; clipped to the full scale. NaN stays NaN."""
    if converter.bits is None:
        return np.clip(volts, -converter.full_scale, converter.full_scale)
    return _unless_nan(volts, volts_of(code_of(_numbers(volts), converter), converter))


class Dac:
    """The drive side of one die: volts asked for -> volts at the circuit."""

    def __init__(self, converter: Converter, die: Die) -> None:
        self.converter, self._die = converter, die
        self._gain = 1.0 + converter.gain_error * die.deviates("dac_gain", (1, 1))[0, 0]

    def clips(self, volts: np.ndarray) -> bool:
        """Whether any of the voltages asked for is beyond the range."""
        return bool(np.abs(volts).max(initial=0.0) > self.converter.full_scale * (1 + ROUNDING))

    def convert(self, volts: np.ndarray) -> np.ndarray:
        """(n,) -> (n,): quantised, then with this die's nonlinearity, gain and channel offsets."""
        converter, die = self.converter, self._die
        offset = converter.offset * die.deviates("dac_offset", (1, len(volts)))[0]
        level = quantise(volts, converter)
        level = level + bow(level, converter, die, "dac_inl")
        if converter.dnl > 0:
            level = level + step_of(converter) * level_error(code_of(_numbers(volts), converter), converter, die)
        return self._gain * level + offset


class Reading(NamedTuple):
    """What an ADC gave: volts (n,), the gain of the amplifier before it, and whether any channel was beyond the range."""

    volts: np.ndarray
    gain: float
    clipped: bool


class Adc:
    """The reading side of one die: volts at the circuit -> volts that the host reads."""

    def __init__(self, converter: Converter, die: Die) -> None:
        self.converter, self._die = converter, die
        self._gain = 1.0 + converter.gain_error * die.deviates("adc_gain", (1, 1))[0, 0]

    def gain_for(self, volts: np.ndarray) -> float:
        """Setting of the programmable amplifier: the largest power of two that keeps the reading inside the range."""
        peak = float(np.abs(volts).max(initial=0.0))
        if peak == 0 or self.converter.max_gain < 2:
            return 1.0
        _, exponent = math.frexp(min(self.converter.full_scale / peak, self.converter.max_gain))
        return 2.0 ** max(0, exponent - 1)

    def convert(self, volts: np.ndarray, rng: np.random.Generator) -> Reading:
        """(n,) -> (n,): channel offset and noise at the input, then amplified, bent by the nonlinearity, quantised and scaled back.

        A channel of NaN reads NaN.
        """
        converter, die = self.converter, self._die
        offset = converter.offset * die.deviates("adc_offset", (1, len(volts)))[0]
        seen = self._gain * volts + offset + converter.noise * rng.standard_normal(len(volts))
        gain = self.gain_for(seen)
        amplified = gain * seen
        # Half a step beyond the last code's own voltage is still that code.
        clipped = bool(
            np.abs(amplified).max(initial=0.0) > converter.full_scale * (1 + ROUNDING) + step_of(converter) / 2
        )
        # A transition that lies higher by the bow is met by a voltage that is lower by it.
        bent = amplified - bow(amplified, converter, die, "adc_inl")
        if converter.dnl > 0:
            level = _unless_nan(bent, volts_of(approximate(bent, converter, die), converter))
            return Reading(level / gain, gain, clipped)
        return Reading(quantise(bent, converter) / gain, gain, clipped)


def _numbers(volts: np.ndarray) -> np.ndarray:
    """With 0 in the places of NaN."""
    return np.where(np.isnan(volts), 0.0, volts)


def _unless_nan(volts: np.ndarray, found: np.ndarray) -> np.ndarray:
    """What was found, but NaN where the volts are."""
    return np.where(np.isnan(volts), math.nan, found)
