"""Fifth pass: is the rounded circuit still stable, and at which voltages shall it work?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...circuits.errors import UnrealisableError
from .validate import validate_drive

if TYPE_CHECKING:
    from ..program import AnalogProgram

HEADROOM = 0.5
"""Share of the rail that the largest unknown is planned to reach."""


def require_stable(program: AnalogProgram) -> None:
    """Raise `UnrealisableError` when rounding the parts has made the matrix indefinite."""
    if program.is_stable():
        return
    resistors = program.technology.resistors
    rounding = (
        f"{resistors.bits} bit codes"
        if resistors.bits is not None
        else "double precision"
        if resistors.series is None
        else f"series {resistors.series}"
    )
    if program.fabric.symmetric:
        raise UnrealisableError(
            f"rounded to {rounding}, the passive circuit has nodes without a resistor to ground, which float; use "
            "more bits, more damping, or fabric='crossbar'"
        )
    smallest = float(np.linalg.eigvals(program.matrix).real.min())
    raise UnrealisableError(
        f"rounded to {rounding}, the matrix has an eigenvalue of {smallest:.4g} and the circuit would run away; use more "
        f"bits (or a finer series), or at least {-smallest:.4g} more damping"
    )


def signal_level(program: AnalogProgram, b: Any = None) -> float:
    """Volts per problem unit, such that neither the amplifiers' rail nor the DAC's full scale is passed.

    For a given b from its solution; else for the worst b of unit Euclidean norm, max_i ||row_i(A^-1)|| / d_i.
    """
    inverse = np.linalg.inv(program.target)
    if b is None:
        largest_y = float((np.linalg.norm(inverse, axis=1) / program.scaling).max())
        largest_drive = float(program.scaling.max())
    else:
        vector = validate_drive(b, program.size)
        largest_y = float(np.abs(inverse @ vector / program.scaling).max())
        largest_drive = float(np.abs(program.scaling * vector).max())
    rail = HEADROOM * program.technology.opamp.rail
    levels = [rail / largest_y] if largest_y > 0 else []
    if program.parts.drive_nominal > 0 and largest_drive > 0:
        per_volt = program.parts.drive_nominal / program.conductance_unit
        levels.append(program.technology.dac.full_scale * per_volt / largest_drive)
    return min(levels, default=1.0)
