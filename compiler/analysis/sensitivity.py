"""The most sensitive parts: the first-order change of the solution with each component value.

A part whose conductance g deviates by a share delta moves the realised matrix by delta g dK, and the solution by

    dx = -A^-1 D^-1 (g dK) D^-1 x / u * delta,     K = u D A D.

An input resistor of cell i scales its drive, dx = A^-1 e_i b_i delta, and an inverter's two resistors all negative entries of a
column. A crosspoint (i, j) has dK = e_i e_j^T, a passive branch (e_i + p e_j)(e_i + p e_j)^T with p its polarity, a part to ground
e_i e_i^T. The sensitivity of a part is |dx| / |x| for delta = 1: for one b, or as the rms over all b of one length,
||A^-1 dA A^-1||_F / ||A^-1||_F. Parts' deviations being independent, a tolerance sigma of all of them makes an rms error of sigma times
the root sum of squares of the sensitivities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..conductance_errors import errs, relative_error
from ..matrices import dense, solver
from ..perturbation import Perturbation
from ..program import AnalogProgram
from ..program_report import Sensitivity
from ..validate import validate_drive

SHOWN = 10
"""Number of parts that a report lists."""
LARGEST = 1000
"""Unknowns up to which sensitivities are worked out; they need the inverse matrix."""


@dataclass(frozen=True)
class Sensitivities:
    """The parts that matter most, and what all of them do together.

    Attributes:
        most: the `SHOWN` parts with the largest sensitivity, in order.
        combined: root sum of squares over all parts, per rail pair: the relative rms error of the solution is this times the relative
            standard deviation of a pair's mean (sigma / sqrt(2) with two rails of tolerance sigma).
        tolerance_error: that error for the technology's mismatch and for what programmed conductances err by (`conductance_errors`).
    """

    most: tuple[Sensitivity, ...]
    combined: float
    tolerance_error: float


def sensitivities(program: AnalogProgram, b: Any = None) -> Sensitivities | None:
    """Sensitivities of the solution to each resistor (`lc`: inductor, `spu`: capacitor) of a program.

    Args:
        program: None is returned for one whose parts do not state their effects (`factored`), and above `LARGEST` unknowns.
        b: (n,) a right-hand side; None: the rms over all.
    """
    if program.size > LARGEST:
        return None
    target, parts = dense(program.target), program.parts
    inverse = solver(target)(np.eye(program.size))
    drive = None if b is None else validate_drive(b, program.size)
    perturbation = Perturbation(target, inverse, program.scaling, program.conductance_unit, drive)
    found = list(parts.effects(perturbation))
    if not found:
        return None
    names = [name for effect in found for name in effect.names]
    values = np.concatenate([effect.weights for effect in found])
    size = np.concatenate([effect.size for effect in found]) * values / program.conductance_unit / perturbation.scale
    technology = program.technology
    resistors = technology.resistors
    # The relative standard deviation of a value, and its relative change with a kelvin, by what the parts are made of.
    mismatch, per_kelvin = {
        "resistor": (resistors.mismatch, abs(resistors.tc1)),
        "capacitor": (technology.capacitors.mismatch, 0.0),
        "inductor": (technology.inductors.mismatch, 0.0),
    }[parts.kind]
    combined = float(np.linalg.norm(size))
    most = tuple(
        Sensitivity(
            part=names[k],
            value=float(values[k]) if parts.kind == "capacitor" else 1.0 / float(values[k]),
            per_unit=float(size[k]),
            per_kelvin=float(size[k]) * per_kelvin,
        )
        for k in np.argsort(-size, kind="stable")[:SHOWN]
        if values[k] > 0  # rounding may have left a part out
    )
    squares = (combined * mismatch) ** 2
    if errs(resistors) and parts.kind == "resistor":
        ends = np.cumsum([len(effect.names) for effect in found])
        for effect, end in zip(found, ends, strict=True):
            if effect.programmed is not None and len(effect.names):
                own = relative_error(resistors, effect.programmed, effect.weights)
                squares += float(((size[end - len(effect.names) : end] * own) ** 2).sum())
    return Sensitivities(most, combined, float(np.sqrt(squares / parts.rails)))
