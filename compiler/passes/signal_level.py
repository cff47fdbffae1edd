"""Signal level: whether the rounded circuit is stable, and at which voltages it works."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...circuits.errors import InputError, UnrealisableError
from ..matrices import dense, is_sparse, smallest_eigenvalue, solver
from ..program import AnalogProgram
from ..validate import validate_drive
from .drive_resistors import largest_drive

HEADROOM = 0.5
"""Share of the output limit that the largest unknown is planned to reach."""


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
    smallest = float(np.linalg.eigvals(dense(program.matrix)).real.min())
    if smallest > 0:
        raise UnrealisableError(
            "the amplifiers are too slow for this cascade: a pole of the loop does not decay; use a larger gain-bandwidth product "
            f"(opamp.gbw, now {program.technology.opamp.gbw:.3g} Hz), larger capacitors, or fabric='crossbar'"
        )
    raise UnrealisableError(
        f"rounded to {rounding}, the matrix has an eigenvalue of {smallest:.4g} and the circuit is unstable; use more "
        f"bits (or a finer series), or at least {-smallest:.4g} more damping"
    )


def signal_level(program: AnalogProgram, b: Any = None) -> float:
    """Volts (of state) per problem unit, such that neither the amplifiers' output limit nor the DAC's full scale is exceeded
    with the input resistors that the program has.

    For a given b from its solution; else for the worst b of unit Euclidean norm, max_i ||row_i(A^-1)|| / d_i (bounded by the smallest
    eigenvalue for a sparse matrix).
    """
    # Volts that the read node shows for one problem unit.
    shown = program.readout_scale
    vector = None if b is None else validate_drive(b, program.size)
    if vector is not None and not program.fabric.mean:
        raise InputError(f"fabric {program.fabric_name} takes no right-hand side; leave b out")
    if vector is None or not vector.any():
        if is_sparse(program.target):
            rows = np.full(program.size, 1.0 / smallest_eigenvalue(program.target))
        else:
            inverse = solver(program.target)(np.eye(program.size)) / shown[:, None]
            rows = np.concatenate(
                [
                    np.linalg.norm(stage @ inverse, axis=1)
                    for stage in (1.0 * np.eye(program.size), *program.parts.stages())
                ]
            )
            shown = np.ones(len(rows))
        largest_read = float((rows / shown).max())
    else:
        volts = solver(program.target)(vector) / shown
        largest_read = max(
            float(np.abs(stage @ volts).max()) for stage in (np.eye(program.size), *program.parts.stages())
        )
    limit = HEADROOM * program.technology.opamp.output_limit
    levels = [limit / largest_read] if largest_read > 0 else []
    driven = largest_drive(program, vector)
    if program.parts.drive_nominal > 0 and driven > 0:
        per_volt = program.parts.drive_nominal / program.conductance_unit
        levels.append(program.technology.dac.full_scale * per_volt / driven)
    return min(levels, default=1.0)
