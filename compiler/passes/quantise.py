"""Fourth pass: every value becomes one that can be bought, or a code that can be programmed."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy import sparse

from ...circuits.technology.e_series import nearest_preferred
from ...circuits.technology.technology import Resistors
from ..fabrics.cascade import FactoredParts
from ..fabrics.network import Network
from ..parts import Parts


def quantise(parts: Any, resistors: Resistors) -> Any:
    """Nearest conductance of the technology's codes, or nearest resistor of its E-series; both rails alike.

    With bits, the codes are uniform from the smallest programmable conductance to the unit's, and 0, an absent resistor: a coupling
    below half of the smallest disappears. A series rounds by ratio and loses nothing. Coils and capacitors are left as they are.
    """
    if resistors.bits is None and resistors.series is None:
        return parts
    if isinstance(parts, Parts):
        coupling, ground, drive = (nearest(part, resistors) for part in (parts.coupling, parts.ground, parts.drive))
        return dataclasses.replace(parts, coupling=coupling, ground=ground, drive=drive)
    if isinstance(parts, FactoredParts):
        return dataclasses.replace(
            parts,
            arrays=tuple(_nearest_signed(array, resistors) for array in parts.arrays),
            damping=nearest(parts.damping, resistors),
        )
    if isinstance(parts, Network) and not parts.shunt.any():
        coupling, ground = nearest(parts.coupling, resistors), nearest(parts.ground, resistors)
        return dataclasses.replace(parts, coupling=coupling, ground=ground)
    return parts


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
        coded = smallest + np.round(np.maximum(conductance - smallest, 0.0) / step) * step
        return np.where(conductance < smallest / 2, 0.0, coded)
    rounded = np.zeros_like(conductance)
    present = conductance > 0
    assert resistors.series is not None
    rounded[present] = 1.0 / nearest_preferred(1.0 / conductance[present], resistors.series)
    return rounded


def _nearest_signed(array: sparse.csr_array, resistors: Resistors) -> sparse.csr_array:
    rounded = array.copy()
    rounded.data = np.sign(array.data) * nearest(np.abs(array.data), resistors)
    rounded.eliminate_zeros()
    return rounded
