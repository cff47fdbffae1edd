"""The converters at the device's edge: what the host requests and what it reads.

A converter is a uniform quantiser over +-full scale with step 2 FS / (2^bits - 1), whose gain, channel offsets and nonlinearity
(`linearity`) belong to the die. Inside the range its error is uniform, variance step^2 / 12; outside it clips, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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


def drive_codes(volts: np.ndarray, converter: Converter) -> np.ndarray:
    """What a DAC's codes stand for when it is asked for voltages (n,), behind its attenuator as the host knows it: (n,) V."""
    ratio = 2.0 ** -attenuation_of(volts, converter)
    return quantise(volts / ratio, converter) * ratio


def attenuation_of(volts: np.ndarray, converter: Converter) -> int:
    """Setting k of the attenuator, from 0: the smallest ratio 2^-k at which none of the voltages is beyond the full scale."""
    largest = float(np.abs(volts).max(initial=0.0))
    if converter.attenuations == 1 or not math.isfinite(largest):
        return 0
    if largest == 0:
        return converter.attenuations - 1
    # room = m 2^e with 1/2 <= m < 1, so that 2^(e - 1) <= room.
    _, exponent = math.frexp(converter.full_scale * (1 + ROUNDING) / largest)
    return min(max(exponent - 1, 0), converter.attenuations - 1)


class Dac:
    """The drive side of one die: volts asked for -> volts at the circuit.

        code -> nonlinearity -> gain of the die and of the channel -> offset of the channel -> attenuator, one ratio for all channels

    With an attenuator a small drive has the steps and offsets of a converter of a smaller range.
    """

    def __init__(self, converter: Converter, die: Die) -> None:
        self.converter, self._die = converter, die
        self._gain = 1.0 + converter.gain_error * die.deviates("dac_gain", (1, 1))[0, 0]
        self._ratios = 2.0 ** -np.arange(converter.attenuations)
        self._ratios[1:] *= (
            1.0 + converter.attenuation_error * die.deviates("attenuator", (1, converter.attenuations))[0, 1:]
        )

    def clips(self, volts: np.ndarray) -> bool:
        """Whether any of the voltages asked for is beyond the range."""
        return bool(np.abs(volts).max(initial=0.0) > self.converter.full_scale * (1 + ROUNDING))

    def convert(self, volts: np.ndarray) -> np.ndarray:
        """(n,) -> (n,): quantised, then with this die's nonlinearity, gains and channel offsets, and attenuated."""
        return Dac.convert_all([self], volts[None])[0]

    def gains(self, channels: int) -> np.ndarray:
        """Gains of the channels, (channels,)."""
        return np.broadcast_to(_gains_of([self], "dac_channel_gain", channels)[0], (channels,))

    @staticmethod
    def convert_all(dacs: Sequence[Dac], volts: np.ndarray, settings: Sequence[int] | None = None) -> np.ndarray:
        """As `convert`, a row for each of the converters, which are of one kind: (m, n) -> (m, n).

        Args:
            settings: of the attenuators; None: what `attenuation_of` says of each row.
        """
        converter, channels = dacs[0].converter, volts.shape[1]
        offset = converter.offset * _rows(dacs, "dac_offset", channels)
        chosen = [attenuation_of(row, converter) for row in volts] if settings is None else settings
        ratio = np.array([[dac._ratios[k]] for dac, k in zip(dacs, chosen, strict=True)])
        volts = volts * 2.0 ** np.array(chosen)[:, None]
        level = quantise(volts, converter)
        if converter.inl > 0:
            level = level + np.stack(
                [bow(row, converter, dac._die, "dac_inl") for dac, row in zip(dacs, level, strict=True)]
            )
        if converter.dnl > 0:
            codes = code_of(_numbers(volts), converter)
            errors = [level_error(row, converter, dac._die) for dac, row in zip(dacs, codes, strict=True)]
            level = level + step_of(converter) * np.stack(errors)
        return ratio * (_gains_of(dacs, "dac_channel_gain", channels) * level + offset)


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
        return float(_gains(volts[None], self.converter)[0, 0])

    def convert(self, volts: np.ndarray, rng: np.random.Generator) -> Reading:
        """(n,) -> (n,): channel offset and noise at the input, then amplified, bent by the nonlinearity, quantised and scaled back.

        A channel of NaN reads NaN.
        """
        return Adc.convert_all([self], volts[None], [rng])[0]

    def sample(self, volts: np.ndarray, gain: float, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
        """Samples (m, n) at one setting of the programmable amplifier: what the host reads, V, and whether one was beyond the range."""
        converter, channels = self.converter, volts.shape[1]
        offset = converter.offset * _rows([self], "adc_offset", channels)
        seen = _gains_of([self], "adc_channel_gain", channels) * volts + offset
        if converter.noise > 0:
            seen = seen + converter.noise * rng.standard_normal(volts.shape)
        amplified = gain * seen
        limit = converter.full_scale * (1 + ROUNDING) + step_of(converter) / 2
        clipped = bool(np.abs(amplified).max(initial=0.0) > limit)
        if converter.inl > 0:
            amplified = amplified - np.stack([bow(row, converter, self._die, "adc_inl") for row in amplified])
        if converter.dnl > 0:
            codes = np.stack([approximate(row, converter, self._die) for row in amplified])
            return volts_of(codes, converter) / gain, clipped
        return quantise(amplified, converter) / gain, clipped

    @staticmethod
    def convert_all(adcs: Sequence[Adc], volts: np.ndarray, streams: Sequence[np.random.Generator]) -> list[Reading]:
        """As `convert`, (m, n) volts, a row for each of the converters, which are of one kind."""
        converter, channels = adcs[0].converter, volts.shape[1]
        offset = converter.offset * _rows(adcs, "adc_offset", channels)
        noise = np.stack([rng.standard_normal(channels) for rng in streams])
        seen = _gains_of(adcs, "adc_channel_gain", channels) * volts + offset + converter.noise * noise
        gains = _gains(seen, converter)
        amplified = gains * seen
        # Half a step beyond the last code's own voltage is still that code.
        limit = converter.full_scale * (1 + ROUNDING) + step_of(converter) / 2
        clipped = np.abs(amplified).max(axis=1, initial=0.0) > limit
        bent = amplified
        if converter.inl > 0:
            # A transition that lies higher by the bow is met by a voltage that is lower by it.
            bows = [bow(row, converter, adc._die, "adc_inl") for adc, row in zip(adcs, amplified, strict=True)]
            bent = amplified - np.stack(bows)
        if converter.dnl > 0:
            codes = np.stack([approximate(row, converter, adc._die) for adc, row in zip(adcs, bent, strict=True)])
            level = _unless_nan(bent, volts_of(codes, converter))
        else:
            level = quantise(bent, converter)
        read = level / gains
        return [Reading(read[k], float(gains[k, 0]), bool(clipped[k])) for k in range(len(adcs))]


def _rows(converters: Sequence[Dac] | Sequence[Adc], part: str, channels: int) -> np.ndarray:
    """(m, n) deviates of the channels, a row for each converter."""
    return np.stack([one._die.deviates(part, (1, channels))[0] for one in converters])


def _gains_of(converters: Sequence[Dac] | Sequence[Adc], part: str, channels: int) -> np.ndarray:
    """Gains of the channels, (m, n), or (m, 1) where they are alike, a row for each converter."""
    gains, mismatch = np.array([[one._gain] for one in converters]), converters[0].converter.gain_mismatch
    return gains * (1.0 + mismatch * _rows(converters, part, channels)) if mismatch else gains


def _gains(volts: np.ndarray, converter: Converter) -> np.ndarray:
    """(m, 1) settings of the amplifiers for readings (m, n)."""
    peak = np.abs(volts).max(axis=1, initial=0.0, keepdims=True)
    if converter.max_gain < 2:
        return np.ones_like(peak)
    with np.errstate(divide="ignore", invalid="ignore"):
        _, exponent = np.frexp(np.minimum(converter.full_scale / peak, converter.max_gain))
    return np.where(peak > 0, np.ldexp(1.0, np.maximum(0, exponent - 1)), 1.0)


def _numbers(volts: np.ndarray) -> np.ndarray:
    """With 0 in the places of NaN."""
    return np.where(np.isnan(volts), 0.0, volts)


def _unless_nan(volts: np.ndarray, found: np.ndarray) -> np.ndarray:
    """What was found, but NaN where the volts are."""
    return np.where(np.isnan(volts), math.nan, found)
