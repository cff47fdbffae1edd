"""Codes for cells of measured values: write-and-verify, from a table of the die (`programming.CellTable`).

A crosspoint that holds f times the nominal conductance of its code is given the code nearest to wanted / f. So the largest entry, on a
crosspoint of small f, would ask for more than there is: the unit of the matrix is taken such that

    unit = (largest conductance) / max_ij (|S_ij| / f_ij).

One that holds an offset e besides, the same at every code, is given the code nearest to (wanted - e) / f, where the unit heeds e, too; or
it is left out where that is nearer to what is wanted. Of two slices the second one is given what the first one, as measured, leaves
(`slices`).
"""

from __future__ import annotations

import numpy as np

from ...circuits.errors import InputError
from ...circuits.technology.parts import Resistors
from ..fabrics.base import Fabric
from ..parts import Parts
from ..programming import CellTable
from .quantise import is_discrete, nearest, smallest_code
from .slices import choose_codes

LEAST = 0.1
"""Share of the largest conductance that a crosspoint is counted on to hold at its largest code."""


def with_verified_codes(
    fabric: Fabric, parts: Parts, unit: float, cells: CellTable, resistors: Resistors
) -> tuple[Parts, float]:
    """Parts of chosen codes, and the unit that a problem unit became.

    Args:
        fabric: of the parts.
        parts: nominal, before rounding; of `unit`, S for a problem unit.
        cells: of the die, measured.
        resistors: codes that can be had.

    Raises:
        InputError: a fabric that is no array of single crosspoints, or parts of more unknowns than the table.
    """
    if not fabric.has_layout or fabric.symmetric:
        raise InputError("cells holds measured crosspoints, which the fabric does not have: give fabric='crossbar'")
    if parts.size > cells.size:
        raise InputError(
            f"cells was measured for {cells.size} unknowns, the system has {parts.size}: measure_cells(device, {parts.size})"
        )
    wanted, factors = parts.entries(), cells.factors[:, : parts.size, : parts.size].astype(float)
    if cells.offsets is None:
        scale = 1.0 / (resistors.unit * float((np.abs(wanted) / factors[0]).max()))
        return _scaled(parts, scale, resistors).with_entries(
            choose_codes(scale * wanted, resistors, factors)
        ), scale * unit
    offsets = cells.offsets[0, : parts.size, : parts.size].astype(float) / resistors.unit
    scale = 1.0 / float(
        (np.abs(wanted) / np.maximum(factors[0] / resistors.unit + offsets, LEAST / resistors.unit)).max()
    )
    sizes = scale * np.abs(wanted)
    chosen = choose_codes(np.sign(wanted) * np.maximum(sizes - offsets, 0.0), resistors, factors)
    # Below the smallest code there is none, whose error is what is wanted itself.
    least = (
        nearest(np.full(sizes.shape, smallest_code(resistors)), resistors) if resistors.bits is not None else 0 * sizes
    )
    kept = (chosen[0] == 0) & (sizes > 0) & (np.abs(factors[0] * least + offsets - sizes) < sizes)
    codes = [np.where(kept, np.sign(wanted) * least, chosen[0]), *chosen[1:]]
    return _scaled(parts, scale, resistors).with_entries(codes), scale * unit


def _scaled(parts: Parts, scale: float, resistors: Resistors) -> Parts:
    """The parts beside the crosspoints for a unit `scale` times as large, rounded."""

    def change(values: np.ndarray) -> np.ndarray:
        if not is_discrete(resistors):
            return values
        return nearest(values if resistors.bits is None else np.minimum(values, 1.0 / resistors.unit), resistors)

    return parts.rescaled(scale, change)
