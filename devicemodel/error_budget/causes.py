"""The causes of a reading's error, each by the figures that are set to their ideal values to take it out.

Together they make a device ideal: every figure of a technology that a device heeds belongs to one cause, or to none because it makes no
error of its own (units; ranges, within which the host finds its signal level; energies and rates).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...circuits.technology.parts import PROGRAMMING_ERRORS


@dataclass(frozen=True, eq=False)
class Cause:
    """A cause of error, and how to take it out.

    Attributes:
        name: one word or two.
        meaning: what it is.
        common: figures of the technology, `part__field`, with their ideal values, that every device heeds.
        technology: further ones, in whose place a card has parameters.
        card: those parameters, with their ideal values.
    """

    name: str
    meaning: str
    common: Mapping[str, Any] = field(default_factory=dict)
    technology: Mapping[str, Any] = field(default_factory=dict)
    card: Mapping[str, float] = field(default_factory=dict)


def _of(part: str, value: Any, *names: str) -> dict[str, Any]:
    return {f"{part}__{name}": value for name in names}


_VARIED = ("resistors", "capacitors", "inductors")

MISMATCH = Cause(
    "mismatch",
    "resistors, capacitors and inductors that are not alike, on one die and from die to die",
    common={key: 0.0 for part in _VARIED for key in _of(part, 0.0, "die_to_die", "gradient")},
    technology={
        **{f"{part}__tolerance": 0.0 for part in _VARIED},
        **{key: None for part in _VARIED for key in _of(part, None, "pelgrom_coefficient", "area")},
    },
    card={"mismatch": 0.0, "capacitor_mismatch": 0.0, "inductor_mismatch": 0.0},
)
CODES = Cause(
    "codes",
    "rounding of the matrix to codes or preferred values",
    common={**_of("resistors", None, "bits", "on_off", "series"), "resistors__slices": 1},
)
DRIFT = Cause(
    "drift",
    "conductances that change after programming",
    common=_of("resistors", 0.0, "conductance_drift", "conductance_drift_spread"),
)
PROGRAMMING = Cause(
    "programming",
    "what programmed conductances are off by beyond their mismatch, and fluctuate by",
    common=_of("resistors", 0.0, *PROGRAMMING_ERRORS),
)
DAC = Cause(
    "DAC",
    "rounding, gain, offset and nonlinearity of the drive",
    common={
        "dac__bits": None,
        **_of("dac", 0.0, "gain_error", "gain_mismatch", "offset", "inl", "dnl", "attenuation_error"),
        **_of("dac", 0.0, "resistance", "capacitance"),
    },
    card={"gain": 1.0},
)
ADC = Cause(
    "ADC",
    "rounding, gain, offset, nonlinearity and bandwidth of the read-out",
    common={
        "adc__bits": None,
        "adc__bandwidth": math.inf,
        **_of("adc", 0.0, "gain_error", "gain_mismatch", "offset", "inl", "dnl"),
    },
)
OFFSETS = Cause(
    "offsets",
    "input offset voltages of the amplifiers, and what else their transistors' mismatch makes of them",
    technology={
        "opamp__offset": 0.0,
        "opamp__transistors": (),
        **_of("opamp", None, "offset_pelgrom_coefficient", "input_area"),
    },
    card={"offset": 0.0},
)
NOISE = Cause(
    "noise",
    "noise of resistors and amplifiers, and that of the ADC's conversions",
    common={
        "thermal__johnson_noise": False,
        "adc__noise": 0.0,
        **_of("opamp", 0.0, "noise_voltage", "noise_current"),
    },
)
LEAK = Cause("leak", "finite gain of the amplifiers", technology={"opamp__gain": math.inf}, card={"leak": 0.0})
BANDWIDTH = Cause(
    "bandwidth",
    "finite gain-bandwidth product and second pole of the amplifiers",
    technology=_of("opamp", math.inf, "gbw", "second_pole"),
    card={"lag": 0.0, "pole": 0.0},
)
WIRES = Cause(
    "wires",
    "resistance and capacitance of lines and switches",
    common={
        **_of("wires", 0.0, "segment_resistance", "segment_capacitance", "crosspoint_capacitance", "input_capacitance"),
        **_of("switches", 0.0, "on_resistance", "leakage"),
    },
)
TEMPERATURE = Cause(
    "temperature", "what the die's temperature does to resistances", common=_of("resistors", 0.0, "tc1", "tc2")
)
SETTLING = Cause("settling", "a reading before the circuit is at rest")

CAUSES = (
    MISMATCH,
    CODES,
    DRIFT,
    PROGRAMMING,
    DAC,
    ADC,
    OFFSETS,
    NOISE,
    LEAK,
    BANDWIDTH,
    WIRES,
    TEMPERATURE,
    SETTLING,
)
