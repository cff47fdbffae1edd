"""Fourth pass: every value becomes one that can be bought, or a code that can be programmed."""

from __future__ import annotations

import dataclasses

import numpy as np

from ...circuits.preferred_numbers import nearest_preferred
from ...circuits.technology import Resistors
from ..parts import Parts


def quantise(parts: Parts, resistors: Resistors) -> Parts:
    """Nearest conductance of the technology's codes, or nearest resistor of its E-series; both rails alike.

    With bits, code k is k / (2^bits - 1) of the unit conductance, so that a coupling below half a step disappears
    (the resistor is absent). A series rounds by ratio and loses nothing.
    """
    if resistors.bits is None and resistors.series is None:
        return parts
    return dataclasses.replace(
        parts,
        coupling=_nearest(parts.coupling, resistors),
        ground=_nearest(parts.ground, resistors),
        drive=_nearest(parts.drive, resistors),
    )


def _nearest(conductance: np.ndarray, resistors: Resistors) -> np.ndarray:
    if resistors.bits is not None:
        step = 1.0 / (resistors.unit * (2**resistors.bits - 1))
        return np.round(conductance / step) * step
    rounded = np.zeros_like(conductance)
    present = conductance > 0
    assert resistors.series is not None
    rounded[present] = 1.0 / nearest_preferred(1.0 / conductance[present], resistors.series)
    return rounded
