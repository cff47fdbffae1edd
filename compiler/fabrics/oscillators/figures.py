"""Figures of coupled oscillators for a report (`SecondOrder`), from their own law and modes."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ....circuits.technology.technology import Technology
from ...matrices import Matrix, smallest_eigenvalue
from ..base import Swing
from ..second_order import SecondOrder
from .dynamics import OscillatorDynamics
from .modes import slow_modes
from .parts import OscillatorParts


def second_order(
    parts: OscillatorParts,
    technology: Technology,
    target: Matrix,
    unit: float,
    swings: list[Swing],
    settled: float,
) -> SecondOrder:
    """Figures of these parts.

    Args:
        target: A, problem units, which became conductances by `unit`, S.
        swings: of positions and velocities. settled: largest voltage at which a cell rests, as they are given.
    """
    law, link = OscillatorDynamics.of(parts, technology), parts.link.mean(axis=0)
    scale = math.sqrt(unit * float(link.mean()))
    smallest = smallest_eigenvalue(target)
    held, passed = law.damping(0.0).real, law.velocity(0.0).real
    storage, capacitance = law.storage.mean(axis=0), law.capacitance.mean(axis=0)
    total = float((held + link * capacitance / storage * passed).mean()) / scale
    roots = slow_modes(law)
    last, first = roots[np.argmin(np.abs(roots))], roots[np.argmax(np.abs(roots.imag))]
    # Of the fastest mode, whose friction decays it at half of its rate.
    rate = total * scale / float(capacitance.mean()) / 2
    bare = None
    if parts.series.any():
        without = slow_modes(OscillatorDynamics.of(dataclasses.replace(parts, series=0 * parts.series), technology))
        bare = -float(without[np.argmax(np.abs(without.imag))].real) / rate
    squares = storage / capacitance  # of the scaling
    least = float(np.linalg.eigvals(law.at_rest.matrix / squares[:, None]).real.min()) / unit
    positions, velocities = (float(swing.volts.max()) for swing in swings)
    return SecondOrder(
        friction=float(parts.friction.mean()) / scale,
        total=total,
        critical=2 * math.sqrt(smallest),
        realised=2 * math.sqrt(least) if least > 0 else math.nan,
        lowest_q=_quality(last),
        highest_q=_quality(first),
        hertz=abs(first) / (2 * math.pi),
        kept=-float(first.real) / rate,
        uncompensated=bare,
        series=float(parts.series.mean()),
        stiffening=float((held * passed / squares).max()) / (smallest * unit),
        overshoot=positions / settled,
        velocity=velocities / settled,
    )


def _quality(root: complex) -> float:
    return abs(root) / (2 * abs(root.real)) if root.real else math.inf
