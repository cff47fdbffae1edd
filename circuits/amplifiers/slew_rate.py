"""The slew rate of an amplifier on the bench: that of the macromodel which takes as long for a large step.

A step of the closed loop slews only while the input stage is overdriven; where it leaves off, bandwidth, second pole and the gain node's
leak count as well. So the time that the output takes from a tenth to four tenths of a step is compared with that of the macromodel with all
other figures as measured, on the same bench, and its slew rate is what makes them equal.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from ..errors import SimulationError
from ..technology.parts import OpAmp
from .models import Macromodel
from .testbench import Bench

Array = NDArray[np.float64]
RESISTOR = 1e3
"""Of the bench, ohm."""
STEP = 0.8
"""Half of the step, as a share of the output limit."""
MIN_SLOWING = 0.02
"""Least share by which a limit must slow the step to be seen."""


def find_slew(bench: Bench, opamp: OpAmp) -> float:
    """Slew rate of the bench's amplifier, V/s, the slower one of rise and fall; inf where the macromodel of `opamp` needs none.

    Raises:
        SimulationError: the output does not follow a step.
    """
    found = math.inf
    model = opamp.model_copy(update={"slew": math.inf, "noise_voltage": 0.0, "noise_current": 0.0, "bias_current": 0.0})
    plain = dataclasses.replace(bench, load_resistance=math.inf, load_capacitance=0.0)
    for amplitude in (STEP * opamp.output_limit, -STEP * opamp.output_limit):
        taken = _rise(bench, opamp, amplitude)

        def too_slow(log_slew: float, amplitude: float = amplitude, taken: float = taken) -> float:
            limited = Macromodel(model.model_copy(update={"slew": math.exp(log_slew)}))
            return math.log(_rise(dataclasses.replace(plain, amplifier=limited), opamp, amplitude) / taken)

        free = _rise(dataclasses.replace(plain, amplifier=Macromodel(model)), opamp, amplitude)
        if taken < free * (1 + MIN_SLOWING):
            continue
        # Full overdrive all the way would take this rate; it is never less, and where the limit hardly counts much more.
        low = math.log(0.9 * 0.3 * 2 * abs(amplitude) / taken)
        high = low
        while too_slow(high) > 0:
            high += 1.0
        found = min(found, math.exp(brentq(too_slow, high - 1.0 if high > low else low - 1.0, high, xtol=1e-4)))
    return found


def _rise(bench: Bench, opamp: OpAmp, amplitude: float) -> float:
    """Time in s from a tenth to four tenths of a step of 2 amplitude."""
    whole = -2 * amplitude * opamp.gain / (opamp.gain + 2)
    stop = 20 / opamp.gbw
    for _ in range(14):
        time, output = bench.step(RESISTOR, amplitude, stop)
        done = (output - output[0]) / whole
        if done.max() < 0.6:
            stop *= 4
            continue
        early, late = (_crossing(time, done, share) for share in (0.1, 0.4))
        if late - early > 0.02 * stop:
            return late - early
        stop = max(20 * (late - early), stop / 20)
    raise SimulationError(
        f"the output did not follow a step of {2 * abs(amplitude):.3g} V within {stop:.3g} s; give load_capacitance, the load that it will "
        "have"
    )


def _crossing(time: Array, done: Array, share: float) -> float:
    """When `done` first passes a share."""
    k = int(np.flatnonzero(done >= share)[0])
    return float(np.interp(share, done[[k - 1, k]], time[[k - 1, k]]))
