"""The output stage of an amplifier: the largest current that it supplies, and what a load takes of the voltage range.

Between the gain stage, which is held within +-V = output_limit, and each of m outputs lies the output resistance R, whose current ends at
I = output_current,

    i = I tanh((v_in - v) / (m R I)),      v_in = v + m R I artanh(i / I),      |v_in| <= V,

v being the output, or the difference of two. So the swing depends on the load: with R_L at each output it ends at V R_L / (R_L + R), or
where R_L carries I. Beyond, feedback loses hold of the output and v_in goes to the end of its range, where a comparator sees it.
A macromodel with such limits: G. R. Boyle et al., IEEE JSSC 9:353, 1974.
"""

from __future__ import annotations

import math

import numpy as np

from ..technology.parts import OpAmp

KNEE = 1e-3
"""Voltage over the output limit lost at least at 76 % of the largest current: a sharper end is none that a simulator finds."""
NEARLY = 1.0 - 1e-9
"""Share of the largest current up to which the law of v_in is followed."""


def series_resistance(opamp: OpAmp) -> float:
    """R of each output, ohm, or that of the limit's knee if it is larger."""
    return max(opamp.output_resistance, KNEE * opamp.output_limit / opamp.outputs / opamp.output_current)


def is_limited(opamp: OpAmp) -> bool:
    """Whether an output's voltage alone does not show that its amplifier is at the end of its range."""
    return opamp.output_resistance > 0 or math.isfinite(opamp.output_current)


def share_of_limits(opamp: OpAmp, volts: np.ndarray, amperes: np.ndarray) -> np.ndarray:
    """What outputs at these voltages, of these currents, use of their amplifiers' range: above 1 they cannot be held.

    |v_in| / V, and |i| / I where that is above 1; without an output resistance |i| / I alone, since v then shows the rest.

    Args:
        volts: v, V. amperes: i of each output, A; of the shape of volts.
    """
    used = np.abs(amperes) / opamp.output_current
    if not opamp.output_resistance:
        return np.asarray(used)
    ohm = series_resistance(opamp)
    lost = np.abs(amperes) * ohm
    if math.isfinite(opamp.output_current):
        lost = ohm * opamp.output_current * np.arctanh(np.minimum(used, NEARLY))
    # A load that helps, by a current into the output, takes nothing of the range.
    inner = np.abs(volts + opamp.outputs * np.sign(amperes) * lost)
    share = inner / opamp.output_limit
    return np.asarray(np.where(used < 1.0, share, np.maximum(used, share)))
