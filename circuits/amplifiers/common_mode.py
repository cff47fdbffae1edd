"""The common mode on the bench: the loop that holds the mean of two outputs, and what the mean of the inputs does to an amplifier.

    loop       from the port that the mean is compared with, T(f) = mean(f) / v(port) = F / (1 + F), so F = T / (1 - T)
    rejection  |v_common / (v_out / A0 - v_id)|, by a voltage at both inputs

F is closed around the bench as it is in an array: the outputs' mean comes back to the inputs, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InputError
from .open_loop import crossings
from .testbench import Bench
from .user_netlist import Amplifier

LOWEST, HIGHEST = 1e-3, 1e11
"""Range of the loop's sweep, Hz."""
MAX_REJECTION = 1e10
"""Ratio from which on it is the simulator's rounding, that of a netlist which is symmetrical."""


@dataclass(frozen=True)
class CommonModeLoop:
    """The loop that holds the mean of two outputs.

    Attributes:
        gain: at low frequency. gbw: that times the -3 dB frequency, Hz. unity_gain: frequency of gain 1, Hz. phase_margin: degrees.
    """

    gain: float
    gbw: float
    unity_gain: float
    phase_margin: float


def common_mode_loop(bench: Bench, port: str, resistor: float) -> CommonModeLoop:
    """The loop whose wanted value comes in at `port`, on a bench with these resistors, ohm.

    Raises:
        InputError: no such port, one output, or an output's mean that does not follow the port.
        SimulationError: as `crossings`.
    """
    amplifier = bench.amplifier
    if not isinstance(amplifier, Amplifier) or bench.outputs != 2 or port not in amplifier.supplies:
        there = ", ".join(amplifier.supplies) if isinstance(amplifier, Amplifier) else "none"
        raise InputError(
            f"common-mode port {port!r}: a port of an amplifier of two outputs is needed that is given a voltage; there are: {there}"
        )
    frequency, mean = bench.mean_response(port, resistor, LOWEST, HIGHEST)
    if not abs(1 - mean[0]) < 0.5:
        raise InputError(
            f"common-mode port {port!r}: the outputs' mean moves by {mean[0].real:.3g} V for each volt there, so that no loop holds it "
            "there; name the port that it is compared with"
        )
    loop = mean / (1 - mean)
    corner, unity, phase = crossings(frequency, loop)
    return CommonModeLoop(
        gain=float(abs(loop[0])),
        gbw=float(abs(loop[0])) * corner,
        unity_gain=unity,
        # Of a loop that the inputs' mean makes negative at low frequency, the phase begins at either sign of 180 degrees.
        phase_margin=180.0 + math.degrees(math.remainder(phase, 2 * math.pi)),
    )


def common_mode_rejection(bench: Bench, a0: float, resistor: float) -> float:
    """Volts at both inputs for each volt of offset that they make, at low frequency; inf for a symmetrical netlist."""
    common, error = bench.common_response(a0, resistor, LOWEST)
    ratio = abs(common) / abs(error) if error else math.inf
    return float(ratio) if ratio < MAX_REJECTION else math.inf
