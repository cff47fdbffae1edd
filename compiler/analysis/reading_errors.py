"""What noise and the converters' steps add to a reading at rest, at the signal level that the program is used at.

Relative to |A^-1 b|, for b of unit length: rms over all of them, or for one. With X = M^-1 diag(1 / (u s d)) from cells' currents to the
solution (u, d and s the program's conductance unit, scaling and volts per unit), a DAC's step q over a resistor of conductance g makes

    |X|_F g q / (a sqrt(12)),     a the setting of the attenuator behind it,

and an ADC's step q, at the gain a of the amplifier before it, d q / (a s sqrt(12)) of each unknown: steps of a converter that is used over
many of them are uniform errors. Each a is the power of two that the largest voltage leaves room for; without a b, the largest of any of
unit length. The converters' own gain, offset and nonlinearity are not in it: a host can measure them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...circuits.technology.converters import Converter
from ..matrices import dense, solver
from ..passes.drive_resistors import dac_share
from ..program import AnalogProgram
from ..program_report import ReadingErrors
from .rest_noise import rest_noise

LARGEST = 128
"""Unknowns up to which noise is worked out: a second's work."""


def reading_errors(program: AnalogProgram, b: Any = None) -> ReadingErrors:
    """Of a program read at rest once, settled.

    Args:
        program: nominal, or on a die without a growing mode.
        b: (n,) right-hand side; None: all of unit length.

    Raises:
        InputError: b does not fit. UnrealisableError: a fabric without a first-order law.
    """
    technology = program.technology
    dac, adc = technology.dac, technology.adc
    drive = np.eye(program.size) if b is None else program.right_hand_side(b)[:, None]
    wanted = solver(dense(program.target))(drive)
    # A solution's length, rms over b of unit length.
    size = float(np.linalg.norm(wanted)) / math.sqrt(drive.shape[1])
    scale = program.readout_scale / program.volts_per_unit
    volts = wanted / scale[:, None]
    peak = float(np.abs(volts).max() if b is not None else np.linalg.norm(volts, axis=1).max())
    johnson, amplifiers = rest_noise(program) if program.size <= LARGEST else (np.full(1, math.nan),) * 2
    of_cells = [float(np.linalg.norm(scale * np.sqrt(variance))) / size for variance in (johnson, amplifiers)]
    flat = float(np.linalg.norm(scale)) / size
    amperes = program.parts.drive_nominal or 1.0 / technology.resistors.unit
    attenuated = 1.0 / power_of_two(1.0 / (dac_share(program, b) or 1.0), 2.0 ** (dac.attenuations - 1))
    return ReadingErrors(
        johnson=of_cells[0],
        amplifiers=of_cells[1],
        sampler=flat * adc.noise,
        dac=drive_reach(program) * amperes * attenuated * uniform_error(dac) / size,
        adc=flat * uniform_error(adc) / power_of_two(adc.full_scale / peak, adc.max_gain),
    )


def drive_reach(program: AnalogProgram) -> float:
    """|X|_F of the module's docstring, problem units per A."""
    rest = program.fabric.at_rest(program.parts, program.technology)
    reach = program.readout_scale[:, None] * np.linalg.inv(rest.matrix) * rest.drive
    return float(np.linalg.norm(reach)) / program.volts_per_unit


def uniform_error(converter: Converter) -> float:
    """Standard deviation of an error that is uniform over a step, V."""
    return 0.0 if converter.bits is None else 2 * converter.full_scale / (2**converter.bits - 1) / math.sqrt(12)


def power_of_two(room: float, most: float) -> float:
    """The largest power of two of at most `room` and `most`; 1 at least."""
    return 2.0 ** max(0, math.floor(math.log2(min(room, most))))
