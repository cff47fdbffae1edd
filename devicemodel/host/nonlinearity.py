"""Nonlinearity of a converter: a smooth curve, and the errors of its unit elements. All of it is zero at both ends of the range.

Smooth, for a voltage v within the full scale V, u = v / V:

    inl V [z_1 (1 - u^2) + z_2 (3 sqrt(3) / 2) u (1 - u^2)],

a bow and an S of standard deviation inl at their peaks. Steps, for a converter whose codes count equal elements: with the relative error
dnl z_j of element j, and the levels drawn as a line through the first and the last one (endpoint fit, IEEE Std 1241),

    e(k) = dnl sum_(j <= k) (z_j - mean z) LSB:    <e(k)> = 0,    <e(k) e(l)> = dnl^2 k (N - l) / N for k <= l,

a Brownian bridge over the N = 2^bits - 1 steps of a DAC's levels, or the 2^bits - 2 between an ADC's first and last transition. Its rms is
largest in the middle, dnl sqrt(N) / 2 LSB, and that of a single step is dnl sqrt(1 - 1 / N).

A bridge need not be drawn from one end to the other: between levels a < b that are known, that at m is normal with

    mean  e(a) + (m - a) / (b - a) [e(b) - e(a)],      variance  dnl^2 (m - a) (b - m) / (b - a)

(P. Levy's construction). So one code costs `bits` deviates, each of which belongs to its level, and nothing is stored. An ADC that
successively approximates its input halves the range in just the same way: it compares with the middle level, drawn as it goes.
Where steps are so unequal that levels fall back, the DAC is not monotonic and the ADC misses codes, as real ones do.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ...circuits.technology.converters import Converter
from ...circuits.technology.die import Die

_PEAK = 1.5 * math.sqrt(3.0)


def bow(volts: np.ndarray, converter: Converter, die: Die, part: str) -> np.ndarray:
    """The smooth part at voltages (n,), one a channel; beyond the full scale what it is there, 0. V, (n,).

    Args:
        part: kind of the die's deviates, "dac_inl" or "adc_inl".
    """
    if converter.inl == 0:
        return np.zeros_like(volts)
    even, odd = die.deviates(part, (2, len(volts)))
    u = np.clip(volts / converter.full_scale, -1.0, 1.0)
    return np.asarray(converter.inl * converter.full_scale * (even + _PEAK * odd * u) * (1 - u**2))


def level_error(code: np.ndarray, converter: Converter, die: Die) -> np.ndarray:
    """e(k) of a DAC's codes (n,), one a channel, counted from 0 to 2^bits - 1; LSB, (n,)."""
    return _bisect(len(code), converter, die, "dac_step", 0, lambda level, _: code >= level)[1]


def approximate(volts: np.ndarray, converter: Converter, die: Die) -> np.ndarray:
    """Code, from 0 to 2^bits - 1, that successive approximation finds for voltages (n,), one a channel; (n,).

    Transition k, from code k - 1 to k, is at (k - 2^(bits - 1) + e(k)) LSB.
    """
    assert converter.bits is not None
    half = 2 ** (converter.bits - 1)
    scaled = volts / (2 * converter.full_scale / (2 * half - 1))
    return _bisect(len(volts), converter, die, "adc_step", 1, lambda level, error: scaled >= level - half + error)[0]


def transition_error(number: np.ndarray, converter: Converter, die: Die) -> np.ndarray:
    """e(k) of an ADC's transitions (n,), one a channel, counted from 1 to 2^bits - 1; LSB, (n,)."""
    return _bisect(len(number), converter, die, "adc_step", 1, lambda level, _: number >= level)[1]


def _bisect(
    channels: int,
    converter: Converter,
    die: Die,
    part: str,
    first: int,
    beyond: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """(level, its error in LSB) of each channel: the last level at which `beyond(level, error)` said yes, or 0.

    The bridge is pinned at levels `first` and 2^bits - 1.
    """
    assert converter.bits is not None
    channel, last = np.arange(channels), 2**converter.bits - 1
    low, high = np.zeros(channels, dtype=int), np.full(channels, 2**converter.bits)
    error_low, error_high = np.zeros(channels), np.zeros(channels)
    for _ in range(converter.bits):
        level = (low + high) // 2
        a, b = np.maximum(low, first), np.minimum(high, last)
        span = np.maximum(b - a, 1)
        spread = converter.dnl * np.sqrt((level - a) * (b - level) / span)
        error = error_low + (level - a) / span * (error_high - error_low)
        error = error + spread * die.deviates_of(part, channel, level)
        up = beyond(level, error)
        low, error_low = np.where(up, level, low), np.where(up, error, error_low)
        high, error_high = np.where(up, high, level), np.where(up, error_high, error)
    return low, error_low
