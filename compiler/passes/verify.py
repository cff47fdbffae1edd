"""Last pass: the emitted netlist, read back as a circuit, is the one that was intended.

The netlist goes through modified nodal analysis (`circuits.statespace`), which knows nothing of fabrics. Its transfer from the drive
to the solution nodes is compared with the fabric's law

    T(s) = [s^2 C / w + s (C (1 + 1/A0) + L / w) + K + L / A0]^-1,    w = 2 pi GBW,

at s = 0, which holds every resistor and gain, and at s = 1 / tau, which holds the capacitors and the bandwidth as well.
Before that, the law's K, C and drive are compared with the matrix to be realised, up to the rounding of the parts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...circuits.errors import ThermogradError
from ...circuits.preferred_numbers import series_values
from ...circuits.statespace import extract
from ..fabrics.base import rails
from ..fabrics.crossbar import IDEAL_GAIN

if TYPE_CHECKING:
    from ..program import AnalogProgram

TOLERANCE = 1e-8
"""Largest relative difference, times the condition number, that counts as rounding of the arithmetic."""


class VerificationError(ThermogradError):
    """The netlist does not realise the program: a fault of thermograd itself, never of the input."""


def verify(program: AnalogProgram) -> float:
    """Compare and return the largest relative difference of the transfer matrices.

    The program must be nominal (both rails alike), as the compiler makes it; a die's rails differ and couple in second order.

    Raises:
        VerificationError: they differ by more than rounding.
    """
    _require_target(program)
    n, parts = program.size, program.parts
    netlist = program.circuit(np.zeros(n), np.zeros(n))
    space = extract(netlist, {f"x{i + 1}": rails(i) for i in range(n)})
    index = {name: k for k, name in enumerate(space.sources)}
    kind = "VB" if parts.drive_nominal else "I"
    per_ampere = 0.5 / (parts.drive_nominal or 1.0)
    worst = 0.0
    for s in (0.0, 1.0 / program.tau):
        response = space.H @ np.linalg.solve(s * np.eye(space.size) - space.F, space.B) + space.Du
        found = np.empty((n, n))
        for i in range(n):
            # +1 A of differential drive is half of it on either rail.
            plus, minus = index[f"{kind}{i + 1}p"], index[f"{kind}{i + 1}m"]
            found[:, i] = per_ampere * (response[:, plus] - response[:, minus])
        wanted = np.linalg.inv(_law(program, s))
        worst = max(worst, float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted)))
    condition = float(np.linalg.cond(program.behaviour.stiffness))
    if not worst <= TOLERANCE * max(condition, 10.0):
        raise VerificationError(
            f"the netlist's transfer differs from the intended one by {worst:.3g} (relative, Frobenius); "
            "this is a fault in thermograd: please report it with the matrix and the technology"
        )
    return worst


def _require_target(program: AnalogProgram) -> None:
    """Raise unless the parts are those of the target matrix, up to rounding."""
    law, resistors, d = program.behaviour, program.technology.resistors, program.scaling
    for name, found, wanted, rounded in (
        ("K", law.stiffness, program.conductance_unit * program.target * np.outer(d, d), True),
        ("C", law.capacitance, program.technology.capacitors.unit * d**2, False),
        ("drive", law.drive, np.ones(program.size), True),
    ):
        allowed = np.full(found.shape, TOLERANCE * float(np.abs(wanted).max()))
        if rounded and resistors.series is not None:
            # Half way, by ratio, between the two numbers of the series that lie farthest apart.
            grid = np.append(series_values(resistors.series), 10.0)
            allowed += (math.sqrt(float((grid[1:] / grid[:-1]).max())) - 1) * np.abs(wanted)
        if name == "K" and resistors.bits is not None:
            half = 0.5 / (resistors.unit * (2**resistors.bits - 1))
            # A passive cell's diagonal is the sum of up to n rounded parts.
            allowed += half * (1 + (program.size - 1) * np.eye(program.size))
        wrong = np.abs(found - wanted) > allowed
        if wrong.any():
            place = np.argwhere(wrong)[0]
            raise VerificationError(
                f"{name}{place.tolist()} of the parts is {found[tuple(place)]:.6g}, but the matrix needs "
                f"{wanted[tuple(place)]:.6g} and rounding explains at most {allowed[tuple(place)]:.2g}; "
                "compile the matrix again. If that does not help, this is a fault in thermograd: please report it"
            )


def _law(program: AnalogProgram, s: float) -> np.ndarray:
    law, opamp = program.behaviour, program.technology.opamp
    active = program.parts.drive_nominal > 0
    leak = 1.0 / min(opamp.gain, IDEAL_GAIN) if active else 0.0
    lag = 1.0 / (2 * math.pi * opamp.gbw) if active else 0.0
    inertia = law.capacitance * (1 + leak) + lag * law.load
    return np.diag(s**2 * lag * law.capacitance + s * inertia + leak * law.load) + law.stiffness
