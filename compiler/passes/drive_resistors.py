"""Choice of the input resistors: the largest at which the DAC need not go beyond its full scale at the program's signal level.

A solution of half of the output limit often needs only a small share of the DAC's full scale, and the rest of its codes are idle. With an
input resistor as much larger the same codes reach over the drive that there is: the DAC's steps and offsets count for less by that share,
and so do the amplifiers' offset and finite gain, which see the resistor as a load. The matrix is not touched.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ...circuits.technology.drive_resistors import available_drives
from ..program import AnalogProgram
from ..validate import validate_drive

SLACK = 1e-9
"""Share of the full scale that counts as rounding of the arithmetic."""


def with_drive_resistors(program: AnalogProgram, b: Any = None) -> AnalogProgram:
    """The program with the largest of the technology's input resistors that its drive allows; itself where currents are the drive.

    Args:
        program: nominal, at its signal level.
        b: (n,) the right-hand side that it is made for; None: every one of unit Euclidean norm.
    """
    share, own = dac_share(program, b), program.parts.drive_nominal
    if share is None or program.technology.resistors.drive_ranges == 1:
        return program
    found = available_drives(program.technology.resistors)
    within = found[share * own / found <= 1 + SLACK]
    return dataclasses.replace(program, parts=program.parts.with_drive(float(within.min(initial=own))))


def dac_share(program: AnalogProgram, b: Any = None) -> float | None:
    """Largest drive voltage at the program's signal level over the DAC's full scale; None where there are no input resistors.

    Args:
        b: (n,) right-hand side; None, or zeros: the worst one of unit Euclidean norm.
    """
    if not program.parts.drive_nominal:
        return None
    largest = largest_drive(program, None if b is None else validate_drive(b, program.size))
    volts = largest * program.volts_per_unit * program.conductance_unit / program.parts.drive_nominal
    return volts / program.technology.dac.full_scale


def largest_drive(program: AnalogProgram, b: np.ndarray | None) -> float:
    """max |d b|, (n,) checked; for None or zeros the largest over all b of unit Euclidean norm."""
    if b is None or not b.any():
        return float(program.scaling.max())
    return float(np.abs(program.scaling * b).max())
