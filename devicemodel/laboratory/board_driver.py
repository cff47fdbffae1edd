"""`BoardDriver`: what a driver of real hardware has to do, in three calls, and what it has to say of its board.

The board holds a matrix W of dimensionless weights and n cells of voltages v, and after `drive(u)` it relaxes from rest,

    tau dv/dt = u - W v,    v(0) = 0,

to W^-1 u. Scaling, signal level, rounding to codes and ranges are the host's work (`measured_device`). A driver says by the exceptions that
Python has for it what went wrong: `TimeoutError` where no answer came in time and `ValueError` where one cannot be read, which are tried
again; any other `OSError` where the board is gone, which is not.
"""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

import numpy as np
from pydantic import Field, model_validator

from ...circuits.errors import ThermogradError
from ...circuits.records import Record


class BoardError(ThermogradError, RuntimeError):
    """A board does not answer, or answers what cannot be a reading. The message names the port, what was asked, and what to do."""


class BoardDescription(Record):
    """What a driver says of its board. Voltages and times in SI units.

    Raises `InputError` on construction when a field is out of range.
    """

    title_in_errors = "board description"

    name: str = Field(min_length=1)
    """Type and serial number: a checkpoint is taken up on the board of that name alone."""
    port: str = Field(min_length=1)
    """Where it is attached, such as "/dev/ttyUSB0", for errors."""
    cells: int = Field(ge=1, le=4096)
    """Number of cells n: most unknowns of a system. Smaller systems leave cells undriven."""
    time_constant: float = Field(gt=0, le=1e3)
    """tau, s."""
    drive_limit: float = Field(gt=0, le=100)
    """Largest drive voltage u, of either sign, V."""
    drive_bits: int | None = Field(default=None, ge=1, le=24)
    """Of the DAC, whose 2^bits codes are equally spaced from -drive_limit to drive_limit; None: any voltage."""
    reading_limit: float = Field(gt=0, le=100)
    """Largest voltage that is read, of either sign, V; a reading there is taken to be clipped."""
    reading_bits: int | None = Field(default=None, ge=1, le=24)
    """Of the ADC, likewise."""
    reading_noise: float = Field(default=0.0, ge=0, le=0.1)
    """Standard deviation of a reading, V."""
    largest_weight: float = Field(default=1.0, gt=0)
    """Largest |W_ij| that can be programmed."""
    weight_codes: int | None = Field(default=None, ge=1)
    """m: weights are whole multiples of largest_weight / m, of either sign; None: any weight."""
    wired: tuple[tuple[float, ...], ...] | None = None
    """W, (n, n), of a board whose matrix is wired in and cannot be programmed; None: it can."""
    shows_overload: bool = False
    """Whether a cell or amplifier at the end of its range always shows in the readings. If not, each reading takes two more runs, at half
    and at no drive, by which the host sees whether the board is linear."""

    @model_validator(mode="after")
    def _wired_matrix_fits(self) -> Self:
        if self.wired is None:
            return self
        shape = (len(self.wired), *{len(row) for row in self.wired})
        if shape != (self.cells, self.cells):
            raise ValueError(
                f"wired has rows of {shape[1:]} numbers and {shape[0]} rows: give {self.cells} rows of {self.cells}"
            )
        matrix = np.array(self.wired)
        if not np.diag(matrix).min() > 0:
            raise ValueError("wired has an entry on its diagonal that is not above 0: give W of tau dv/dt = u - W v")
        if not np.isfinite(matrix).all() or float(np.linalg.eigvals(matrix).real.min()) <= 0:
            raise ValueError(
                "wired has an eigenvalue that does not decay, or an entry that is not finite: give W of tau dv/dt = u - W v"
            )
        return self


@runtime_checkable
class BoardDriver(Protocol):
    """Three calls that put a board into the loop (`MeasuredDevice`)."""

    @property
    def description(self) -> BoardDescription:
        """What the board is; the same in every call."""
        ...

    def program(self, weights: np.ndarray) -> None:
        """Set the matrix.

        Args:
            weights: W, (n, n), dimensionless, within `largest_weight` and on the grid of `weight_codes`. Not called where it is wired.

        Raises:
            TimeoutError, ValueError, OSError: see the module.
        """
        ...

    def drive(self, volts: np.ndarray) -> None:
        """Discharge the cells, then set the inputs: the run begins, from rest.

        Args:
            volts: u, (n,) V, within `drive_limit` and on the grid of `drive_bits`.

        Raises:
            TimeoutError, ValueError, OSError: see the module.
        """
        ...

    def read(self, seconds: float) -> np.ndarray:
        """What the cells are at `seconds` after the last `drive`; waits until then. Later calls of one run ask for later times.

        Returns:
            v, (n,) V.

        Raises:
            TimeoutError, ValueError, OSError: see the module.
        """
        ...
