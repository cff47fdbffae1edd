"""`Programming`: what a device's host does, beyond the nearest codes, so that a die holds the matrix that was asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..circuits.errors import InputError


@dataclass(frozen=True, eq=False)
class CellTable:
    """What each crosspoint of a die was measured to hold (`devicemodel.devices.cell_measurement`), and what that took.

    Attributes:
        factors: (slices, n, n) float32. A crosspoint's conductance over the nominal one of its code, over what drive and reading make of
            its row in the same way: input resistor, DAC gain and ADC gain.
        repeatability: standard error of a factor, from what measurements of the same crosspoints differed by. Errors that are drawn anew at
            every programming and run are in it: of those a table has what is left of their mean, which says nothing of the next draw.
        runs: analog runs. seconds: their analog time, s. conversions: of the DACs and ADCs.
        programmings: test matrices. codes: written for them, of crosspoints that changed, or of all where writing draws errors anew.
        offsets: (slices, n, n) float32. What a crosspoint holds beyond the factor times its code's conductance, over the largest one, in
            the same units; None: nothing, as where all errors are shares of the value.
    """

    factors: np.ndarray
    repeatability: float
    runs: int
    seconds: float
    conversions: int
    programmings: int
    codes: int
    offsets: np.ndarray | None = None

    def __post_init__(self) -> None:
        values = self.factors
        if not (isinstance(values, np.ndarray) and values.ndim == 3 and values.shape[1] == values.shape[2]):
            raise InputError("factors must be a numpy array of shape (slices, n, n): give what measure_cells returned")
        bad = np.argwhere(~(np.isfinite(values) & (values > 0)))
        if len(bad):
            raise InputError(
                f"factors{bad[0].tolist()} is {values[tuple(bad[0])]}: a conductance over its nominal one is finite and above 0"
            )
        if self.offsets is None:
            return
        if not (isinstance(self.offsets, np.ndarray) and self.offsets.shape == values.shape):
            raise InputError(
                "offsets must be a numpy array of the shape of factors, or None: give what measure_cells returned"
            )
        if len(bad := np.argwhere(~np.isfinite(self.offsets))):
            raise InputError(f"offsets{bad[0].tolist()} is {self.offsets[tuple(bad[0])]}: give finite numbers")

    @property
    def size(self) -> int:
        """Cells n of the array that was measured."""
        return self.factors.shape[1]

    @property
    def bytes(self) -> int:
        """Memory that the table takes."""
        return self.factors.nbytes + (0 if self.offsets is None else self.offsets.nbytes)


@dataclass(frozen=True, eq=False)
class Programming:
    """Ways of choosing what is programmed. Each is off by default; none looks at the die's parts.

    Args:
        compensate_leak: program A_ii - L_i / A0. An amplifier of finite gain A0 adds L_i / A0 to the diagonal, L_i the conductance at
            its input, which the host knows to the mismatch of a sum: from the values that it programs, and the amplifiers' nominal gain.
            What remains is the spread of A0 and of L. No entry is taken below zero. A board that is unstable so is programmed again
            without it, at the cost of a run. No effect in fabrics without amplifiers, which have no leak.
        cells: the die's measured table, by which each crosspoint's code is chosen (write-and-verify); for fabric "crossbar", and
            systems of at most the table's size, which use the first rows and columns of the array. None: codes of nominal values. It
            takes out what is the same at every programming; what is drawn anew when the chosen codes are written is not known before.

    Raises:
        InputError: compensate_leak is no bool, cells no `CellTable`.
    """

    compensate_leak: bool = False
    cells: CellTable | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.compensate_leak, bool):
            raise InputError(f"compensate_leak is {self.compensate_leak!r}: give True or False")
        if self.cells is not None and not isinstance(self.cells, CellTable):
            raise InputError(
                f"cells is a {type(self.cells).__name__}: give what measure_cells(device, size) returned, or None"
            )
