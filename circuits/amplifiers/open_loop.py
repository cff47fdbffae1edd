"""A gain that falls over frequency: its -3 dB point, unity gain and phase there, and the law of two poles that has them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq

from ..errors import InputError, SimulationError

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
MIN_POLE_RATIO = 20.0
"""Least distance of the dominant pole from the sweep's start: |A| there is A0 to 0.1 %."""


def crossings(frequency: Array, response: ComplexArray) -> tuple[float, float, float]:
    """Frequency of the -3 dB point, frequency of unity gain, and the phase (rad) there.

    Raises:
        SimulationError: the gain does not fall to 1, or falls from the start.
    """
    size, place = np.log(np.abs(response)), np.log(frequency)
    below = np.flatnonzero(size <= 0.0)
    if not len(below):
        raise SimulationError(
            f"the amplifier's gain is still {np.exp(size[-1]):.3g} at {frequency[-1]:g} Hz: an ideal amplifier has nothing to measure"
        )
    first = int(below[0])
    half = size[0] - math.log(2) / 2
    corner_at = int(np.flatnonzero(size <= half)[0])
    if first < 2 or frequency[corner_at] < MIN_POLE_RATIO * frequency[0]:
        raise SimulationError(
            f"the amplifier's gain falls from {frequency[corner_at]:.2g} Hz on; to be measured it must do so above "
            f"{MIN_POLE_RATIO * frequency[0]:g} Hz"
        )
    curve = CubicSpline(place[: first + 1], size[: first + 1])
    corner = brentq(lambda x: float(curve(x)) - half, place[corner_at - 1], place[corner_at])
    unity = brentq(lambda x: float(curve(x)), place[first - 1], place[first])
    phase = CubicSpline(place[: first + 1], np.unwrap(np.angle(response[: first + 1])))
    return math.exp(corner), math.exp(unity), float(phase(unity))


def two_poles(corner: float, unity: float, phase: float) -> tuple[float, float]:
    """f_1 and f_2 (Hz) of the law of two poles with this -3 dB frequency, and this phase (rad) where |A| = 1.

    Raises:
        InputError: no phase margin in unity feedback, which two poles always have.
    """
    first, second = corner, math.inf
    for _ in range(20):  # the second pole moves the corner a little, and the first one the phase at |A| = 1
        left = -phase - math.atan(unity / first)
        if left >= math.pi / 2:
            raise InputError(
                f"the phase margin is {180 + math.degrees(phase):.3g} degrees at {unity:.3g} Hz: this amplifier is unstable in unity "
                "feedback, and no law of two poles is; compensate it, or give the load that it will have"
            )
        second = math.inf if left <= 1e-4 else unity / math.tan(left)
        first = corner / math.sqrt(max(2 / (1 + (corner / second) ** 2) - 1, 0.1))
    return first, second
