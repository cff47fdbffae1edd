"""Which parts matter: the first-order change of the solution with each component value.

A part whose conductance g deviates by a share delta moves the realised matrix by delta g dK, and the solution by

    dx = -A^-1 D^-1 (g dK) D^-1 x / u * delta,     K = u D A D.

An input resistor of cell i scales its drive, dx = A^-1 e_i b_i delta, and an inverter's two resistors all negative entries of a
column. A crosspoint (i, j) has dK = e_i e_j^T, a passive branch (e_i + p e_j)(e_i + p e_j)^T with p its polarity, a leg e_i e_i^T. The
sensitivity of a part is |dx| / |x| for delta = 1: for one b, or as the rms over all b of one length,
||A^-1 dA A^-1||_F / ||A^-1||_F. Parts' deviations being independent, a tolerance sigma of all of them makes an rms error of sigma times
the root sum of squares of the sensitivities.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..fabrics.network import Network
from ..matrices import dense, solver
from ..parts import Parts
from ..validate import validate_drive

if TYPE_CHECKING:
    from ..program import AnalogProgram

SHOWN = 10
"""Parts that a report lists."""
LARGEST = 1000
"""Unknowns up to which sensitivities are worked out; they need the inverse matrix."""


@dataclass(frozen=True)
class Sensitivity:
    """One part (both components of a pair, where there are two rails) and what its deviation does.

    Attributes:
        part: its name in the netlist, without the rail's letter.
        value: ohm, H or F.
        per_unit: relative change of the solution for a relative change of one of this part.
        per_kelvin: relative change of the solution for a kelvin at this part alone, by its temperature coefficient.
    """

    part: str
    value: float
    per_unit: float
    per_kelvin: float


@dataclass(frozen=True)
class Sensitivities:
    """The parts that matter most, and what all of them do together.

    Attributes:
        most: the `SHOWN` parts with the largest sensitivity, in order.
        combined: root sum of squares over all parts, per rail pair: the relative rms error of the solution is this times the relative
            standard deviation of a pair's mean (sigma / sqrt(2) with two rails of tolerance sigma).
        tolerance_error: that error for the technology's mismatch (0 for inductors, which have none there).
    """

    most: tuple[Sensitivity, ...]
    combined: float
    tolerance_error: float


def sensitivities(program: AnalogProgram, b: Any = None) -> Sensitivities | None:
    """Sensitivities of the solution to each resistor (`lc`: inductor, `spu`: capacitor) of a program.

    Args:
        program: any fabric but `factored`; None is returned for that one, and above `LARGEST` unknowns.
        b: (n,) a right-hand side; None: the rms over all.
    """
    parts = program.parts
    if program.size > LARGEST or not isinstance(parts, Parts | Network):
        return None
    inverse = solver(dense(program.target))(np.eye(program.size))
    d, unit = program.scaling, program.conductance_unit
    if b is None:
        left, right = np.linalg.norm(inverse, axis=0) / d, np.linalg.norm(inverse, axis=1) / d
        x, scale = None, float(np.linalg.norm(inverse))
    else:
        x = inverse @ validate_drive(b, program.size)
        left, right = np.linalg.norm(inverse, axis=0) / d, np.abs(x) / d
        scale = float(np.linalg.norm(x)) or 1.0
    letter = {"lc": "L", "spu": "C"}.get(program.fabric_name, "R")
    square = inverse @ inverse / np.outer(d, d)
    found = list(_inputs(program, inverse, None if b is None else validate_drive(b, program.size), x))
    found += list(_each(parts, letter, left, right, square, None if x is None else x / d))
    names = [name for names, _, _ in found for name in names]
    values = np.concatenate([value for _, value, _ in found])
    size = np.concatenate([effect for _, _, effect in found]) * values / unit / scale
    rails = 1 if isinstance(parts, Network) and parts.rails == 1 else len(parts.ground)
    resistors = program.technology.resistors
    combined = float(np.linalg.norm(size))
    mismatch = resistors.mismatch if letter == "R" else program.technology.capacitors.mismatch if letter == "C" else 0.0
    most = tuple(
        Sensitivity(
            part=names[k],
            value=float(values[k]) if letter == "C" else 1.0 / float(values[k]),
            per_unit=float(size[k]),
            per_kelvin=float(size[k]) * abs(resistors.tc1) if letter == "R" else 0.0,
        )
        for k in np.argsort(-size, kind="stable")[:SHOWN]
        if values[k] > 0  # rounding may have left a part out
    )
    return Sensitivities(most, combined, float(combined * mismatch / np.sqrt(rails)))


def _inputs(
    program: AnalogProgram, inverse: np.ndarray, b: np.ndarray | None, x: np.ndarray | None
) -> Iterator[tuple[list[str], np.ndarray, np.ndarray]]:
    """As `_each`, for the input resistors of an array and the inverters' resistors of a single-ended one."""
    parts, unit = program.parts, program.conductance_unit
    if not isinstance(parts, Parts) or not parts.drive_nominal:
        return
    columns = np.linalg.norm(inverse, axis=0)
    weight = parts.drive.mean(axis=0)
    moved = columns if b is None else columns * np.abs(b)
    yield [f"RB{i + 1}" for i in range(program.size)], weight, moved * unit / weight
    if len(parts.drive) == 1:
        used = np.flatnonzero((parts.polarity < 0).any(axis=0))
        negative = np.minimum(program.target, 0.0)[:, used]
        effect = np.linalg.norm(inverse @ negative, axis=0)
        effect = effect * (np.linalg.norm(inverse, axis=1)[used] if x is None else np.abs(x[used]))
        for letter, values in zip("IF", parts.inverter, strict=True):
            yield [f"R{letter}{j + 1}" for j in used], values[used], effect * unit / values[used]


def _each(
    parts: Any, letter: str, left: np.ndarray, right: np.ndarray, square: np.ndarray, y: np.ndarray | None
) -> Iterator[tuple[list[str], np.ndarray, np.ndarray]]:
    """Names, weights and |A^-1 D^-1 dK D^-1 x| (or its rms over b) for a unit weight, kind by kind.

    letter: of the parts' names. left, right: norms of the columns of A^-1 D^-1 and of the rows of D^-1 A^-1 (or |D^-1 x|).
    square: D^-1 A^-2 D^-1. y: D^-1 x.
    """
    if isinstance(parts, Parts) and parts.drive_nominal:
        i, j = np.nonzero(parts.coupling[0] * parts.polarity)
        yield (
            [f"R{a + 1}_{c + 1}" for a, c in zip(i, j, strict=True)],
            parts.coupling.mean(axis=0)[i, j],
            left[i] * right[j],
        )
        return
    if isinstance(parts, Network):
        i, j, polarity, weight = parts.first, parts.second, parts.polarity.astype(float), parts.coupling.mean(axis=0)
    else:
        i, j = np.nonzero(np.triu(parts.coupling[0] * np.abs(parts.polarity), 1))
        polarity, weight = parts.polarity[i, j].astype(float), parts.coupling.mean(axis=0)[i, j]
    # |A^-1 D^-1 w| with w = e_i + p e_j, from the quadratic form of A^-2
    column = np.sqrt(np.maximum(square[i, i] + square[j, j] + 2 * polarity * square[i, j], 0.0))
    row = column if y is None else np.abs(y[i] + polarity * y[j])
    yield [f"{letter}{a + 1}_{c + 1}" for a, c in zip(i, j, strict=True)], weight, column * row
    legs = parts.ground.mean(axis=0)
    present = np.flatnonzero(legs)
    own = np.sqrt(square[present, present])
    yield [f"{letter}G{a + 1}" for a in present], legs[present], own * (own if y is None else np.abs(y[present]))
