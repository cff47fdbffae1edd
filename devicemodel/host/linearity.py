"""Linearity in the drive: how a host sees a saturation that no cell's voltage shows.

An array is linear: from starts s, s / 2 and 0 under drives d, (d + d_0) / 2 and d_0, the one for b = 0, its readings obey

    v(d) - 2 v((d + d_0) / 2) + v(d_0) = 0

whatever offsets, leak and settling are, and a part that saturates in the first run does not in the second one. Of each channel that code
of the DAC next to d_0 is taken between which and d's there is one in the middle, so that codes add nothing. Two runs more for a reading,
and for boards alone whose amplifiers have no comparator that would say the same (`Board.shows_overload`). An error of saturation that
passes is at most what is allowed to the sum: `TOLERANCE` of the signal, and the ADC's resolution.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...circuits.technology.converters import Converter
from .converters import Reading, attenuation_of, code_of, step_of, volts_of

TOLERANCE = 0.05
"""Share of the signal, |v(d) - v(d_0)|, by which a reading may depart from linearity; Euclidean norms."""
RESOLUTION = 3.0
"""Standard deviations of the ADC's rounding and noise that are allowed for beside."""


def weaker_drives(requested: np.ndarray, idle: np.ndarray, dac: Converter) -> tuple[np.ndarray, np.ndarray]:
    """Voltages (n,) to ask a DAC for, with the attenuation that `requested` has: half-way to the drive of b = 0, and of b = 0."""
    if dac.bits is None:
        return (requested + idle) / 2, idle
    ratio = 2.0 ** -attenuation_of(requested, dac)
    whole, none = code_of(requested / ratio, dac), code_of(idle / ratio, dac)
    none = none + (whole - none) % 2 * np.sign(whole - none)
    return ratio * volts_of((whole + none) // 2, dac), ratio * volts_of(none, dac)


def departs(samples: tuple[Sequence[Reading], ...], adc: Converter) -> bool:
    """Whether readings at the whole, the half and no drive, each of some samples, are not those of a linear circuit."""
    whole, half, none = (np.mean([one.volts for one in some], axis=0) for some in samples)
    variances = [(step_of(adc) / some[0].gain) ** 2 / 12 + adc.noise**2 / len(some) for some in samples]
    spread = np.sqrt(len(whole) * (variances[0] + 4 * variances[1] + variances[2]))
    signal = float(np.linalg.norm(whole - none))
    # Written so that nan departs.
    return not float(np.linalg.norm(whole - 2 * half + none)) <= TOLERANCE * signal + RESOLUTION * spread
