"""The area of a compiled program's array on silicon."""

from __future__ import annotations

import numpy as np

from ...circuits.errors import InputError
from ...circuits.technology.area import ArrayArea, ArrayCounts, array_area, missing
from ..program import AnalogProgram


def program_area(program: AnalogProgram) -> ArrayArea:
    """The area of the array that a program is for; one that is programmed has all of its places, used or not.

    Raises:
        InputError: there is none (`no_area`).
    """
    if why := no_area(program):
        raise InputError(why)
    parts, technology = program.parts, program.technology
    values = dict(parts.inventory())
    amplifiers = len(values.get("amplifier", ()))
    codes = parts.code_count()
    return array_area(
        technology,
        ArrayCounts(
            cells=program.size,
            rails=parts.rails,
            places=codes // parts.slices,
            codes=codes,
            amplifiers=amplifiers,
            further=max(0, amplifiers - program.size),
            capacitors=_counted(values["capacitor"]),
            slices=parts.slices,
            driven=parts.drive_nominal > 0,
            signed=program.fabric.active or parts.rails == 2,
            resistors=_counted(values["resistor"]),
        ),
    )


def _counted(values: np.ndarray) -> list[tuple[float, int]]:
    found, counts = np.unique(values, return_counts=True)
    return list(zip(found.tolist(), counts.tolist(), strict=True))


def no_area(program: AnalogProgram) -> str:
    """Why a program has no area, in words; "": it has one."""
    if program.technology.area is None:
        return missing(program.technology)
    if program.fabric.has_inductors:
        return f"fabric {program.fabric_name} has inductors, which have no area on silicon"
    return ""
