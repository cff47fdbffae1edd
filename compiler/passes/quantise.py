"""Quantisation: every value becomes one that can be bought, or a code that can be programmed."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from ...circuits.technology.e_series import nearest_preferred
from ...circuits.technology.parts import Resistors
from ..parts import Parts

P = TypeVar("P", bound=Parts)


def quantise(parts: P, resistors: Resistors) -> P:
    """Nearest conductance of the technology's codes, or nearest resistor of its E-series; both rails alike.

    With bits, the codes are uniform from the smallest programmable conductance to the unit's, and 0, an absent resistor: a coupling
    below half of the smallest disappears. A series rounds by ratio and loses nothing. Coils and capacitors are left as they are.
    """
    return parts.map_conductances(lambda values: nearest(values, resistors)) if is_discrete(resistors) else parts


def is_discrete(resistors: Resistors) -> bool:
    """Whether the technology has codes or an E-series, so that values are rounded at all."""
    return resistors.bits is not None or resistors.series is not None


def smallest_code(resistors: Resistors) -> float:
    """The smallest programmable conductance, S."""
    step = 1.0 / (resistors.unit * (2 ** (resistors.bits or 1) - 1))
    return step if resistors.on_off is None else 1.0 / (resistors.unit * resistors.on_off)


def code_step(resistors: Resistors) -> float:
    """Distance between neighbouring programmable conductances, S."""
    codes = 2 ** (resistors.bits or 1) - 1
    if resistors.on_off is None:
        return 1.0 / (resistors.unit * codes)
    return (1.0 - 1.0 / resistors.on_off) / (resistors.unit * codes)


def nearest(conductance: np.ndarray, resistors: Resistors) -> np.ndarray:
    """The nearest conductances that can be had, of the same shape; 0 stays 0."""
    if resistors.bits is not None:
        smallest, step = smallest_code(resistors), code_step(resistors)
        coded = np.array(conductance, dtype=float)
        coded -= smallest
        np.maximum(coded, 0.0, out=coded)
        coded /= step
        np.round(coded, out=coded)
        coded *= step
        coded += smallest
        coded[conductance < smallest / 2] = 0.0
        return coded
    rounded = np.zeros_like(conductance)
    present = conductance > 0
    assert resistors.series is not None
    rounded[present] = 1.0 / nearest_preferred(1.0 / conductance[present], resistors.series)
    return rounded
