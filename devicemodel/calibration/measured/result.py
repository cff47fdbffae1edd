"""`CircuitCalibration`: a circuit's values from measurements, how sure it is, and where it comes from, as JSON.

As in a device card's file, a `digest`, the SHA-256 of all the rest in canonical form, finds a file that was cut or edited; it is no
signature.
"""

from __future__ import annotations

import math
from enum import Enum
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator
from scipy.special import ndtri

from ....circuits.errors import InputError
from ....circuits.files import first_problem, read_checksummed, write_checksummed
from ....circuits.records import Record
from ...estimate import Whole
from ..identifiability import Unidentifiable, standard_errors

__all__ = ["Check", "CircuitCalibration", "DataRange", "DataSource", "Prior", "Residual", "Value", "Verdict"]

FORMAT = 2
ROUNDING = 1e-9
"""Share of the largest eigenvalue of an information matrix by which its smallest one may lie below zero."""
_SHA = r"^[0-9a-f]{64}$"
Range = tuple[float, float] | None


class Verdict(Enum):
    """What became of a fit; the first that applies, from the bottom."""

    OK = "ok"
    UNIDENTIFIABLE = "unidentifiable"
    """The data do not identify every value: see `unidentifiable`; measure what depends on it, or hold a value by a prior."""
    AMBIGUOUS = "ambiguous"
    """Other values explain the data as well: see `alternatives`; a prior, or further data, must decide between them."""
    CONTRADICTED = "contradicted"
    """The fitted data are explained, the held-out ones are not (p < 0.001): the values stand for something that the circuit lacks."""
    MISFIT = "misfit"
    """The circuit cannot produce these data (p < 0.001): the standard errors do not hold. Look at the residuals, add what is missing."""
    NOT_CONVERGED = "not converged"
    """The optimiser stopped early: start closer, or hold values by priors."""


class Prior(Record):
    """A part's value as measured on its own, by a multimeter for example, with its standard error."""

    title_in_errors: ClassVar[str] = "prior"

    value: float = Field(allow_inf_nan=False)
    std: float = Field(gt=0, allow_inf_nan=False)


class Value(Record):
    """One fitted value, in the part's SI unit."""

    name: str
    value: float = Field(allow_inf_nan=False)
    std: float | None = Field(ge=0, allow_inf_nan=False)
    """Standard error from the Fisher information; None: the data do not identify it (see `unidentifiable`)."""
    start: float = Field(allow_inf_nan=False)
    """Where the search began."""
    prior: Prior | None = None
    at_bound: bool = False
    """Whether the value ran to 1/1000 or 1000 times its start and is held there: the data want it at 0 or infinity; no estimate."""

    def interval(self, level: float = 0.95) -> tuple[float, float] | None:
        """Confidence interval: normal in ln|value|, as the fit is; None: the data do not identify it.

        Raises:
            InputError: a level that is not between 0 and 1.
        """
        if not 0.0 < level < 1.0:
            raise InputError(f"level is {level!r}: give a number between 0 and 1, such as 0.95")
        if self.std is None:
            return None
        factor = math.exp(float(ndtri(0.5 + level / 2)) * self.std / abs(self.value))
        low, high = sorted((self.value / factor, self.value * factor))
        return low, high

    def __str__(self) -> str:
        if self.at_bound:
            side = "1000 times" if abs(self.value) > abs(self.start) else "1/1000 of"
            return f"{self.value:.5g} (at its bound, {side} its start: no estimate)"
        return f"{self.value:.5g} " + ("(not identified by the data)" if self.std is None else f"+- {self.std:.2g}")


class Residual(Record):
    """(measured - model) / standard error of one quantity; of held-out ones, the error of the prediction is part of it."""

    of: str
    value: float = Field(allow_inf_nan=False)


class Check(Record):
    """Data against the calibrated circuit."""

    chi_squared: float = Field(ge=0, allow_inf_nan=False)
    """z^T (1 + A I^-1 A^T)^-1 z of held-out data, whose second term is the error of the fitted values; z^T z of fitted ones."""
    degrees_of_freedom: int = Field(ge=1)
    """Its expectation: the number of residuals, of fitted data less the number of combinations fitted."""
    p_value: float = Field(ge=0, le=1)
    """Probability of a chi^2 as large or larger if the circuit is right."""
    outside: int = Field(ge=0)
    """Rows outside the range of frequencies and times that were fitted."""
    residuals: tuple[Residual, ...]

    @property
    def scatter(self) -> float:
        """sqrt(chi^2 / degrees of freedom): by so much the scatter exceeds the errors stated."""
        return math.sqrt(self.chi_squared / self.degrees_of_freedom)

    def __str__(self) -> str:
        outside = f", {self.outside} rows outside of the fitted range" if self.outside else ""
        return f"chi^2 = {self.chi_squared:.1f} for {self.degrees_of_freedom}, p = {self.p_value:.2g}{outside}"


class DataRange(Record):
    """What the fitted data span; None: no such data."""

    frequency_hz: Range
    time_s: Range
    volts: Range
    """Range of the voltages of traces, V."""
    density_v2_per_hz: Range
    covariance_v2: Range
    """Range of the magnitudes of covariances, V^2."""
    temperature: float
    """Temperature of the netlist, K."""


class DataSource(Record):
    """A table of measurements that was fitted or held out."""

    name: str
    kind: str
    rows: int = Field(ge=1)
    sha256: str = Field(pattern=_SHA)
    held_out: bool


class CircuitCalibration(Record):
    """A circuit's values calibrated against measurements."""

    remedy_as_device: ClassVar[str] = (
        "fitted values without the board that they belong to. Give a card of it: LaboratoryCard.fixed(calibration, netlist, inputs=..., "
        "outputs=...), or LaboratoryCard.programmed(calibration, program)"
    )
    """What to give where a device is asked for."""

    format: Whole = Field(default=FORMAT, ge=FORMAT, le=FORMAT)
    verdict: Verdict
    values: tuple[Value, ...]
    alternatives: tuple[dict[str, float], ...]
    """Other maxima of the likelihood, at most a factor of e^2 below this one."""
    information: tuple[tuple[float, ...], ...]
    """(p, p) Fisher information of ln|value|, with that of the priors."""
    unidentifiable: tuple[Unidentifiable, ...]
    """What the data alone, without the priors, do not identify."""
    fit: Check
    held_out: Check | None
    data_range: DataRange
    sources: tuple[DataSource, ...]
    inflation: float = Field(default=1.0, ge=1, allow_inf_nan=False)
    """By how much the errors stated of the fitted data were multiplied for the information above: 1, or `fit.scatter`."""
    netlist_sha256: str = Field(pattern=_SHA)
    """Of the calibrated netlist's ngspice text."""
    version: str
    """Version of thermograd."""

    @model_validator(mode="after")
    def _square(self) -> Self:
        size = len(self.values)
        if size == 0 or [len(row) for row in self.information] != [size] * size:
            raise ValueError(f"information must be {size} x {size}, a row for each value, of which one is needed")
        matrix = np.array(self.information)
        if not np.all(np.isfinite(matrix)) or np.abs(matrix - matrix.T).max() > 1e-9 * np.abs(matrix).max():
            raise ValueError("information must be finite and symmetric")
        strengths = np.linalg.eigvalsh(matrix)
        if strengths[0] < -ROUNDING * max(strengths[-1], 0.0):
            raise ValueError(
                f"information has the eigenvalue {strengths[0]:.3g}: of a combination that data say nothing of it is 0, and never less"
            )
        return self

    def __getitem__(self, name: str) -> Value:
        for value in self.values:
            if value.name == name:
                return value
        raise InputError(f"{name!r} was not calibrated; there are {', '.join(value.name for value in self.values)}")

    @property
    def estimates(self) -> dict[str, float]:
        """The fitted values, by name."""
        return {value.name: value.value for value in self.values}

    @property
    def covariance(self) -> NDArray[np.float64]:
        """(p, p) of ln|value|, in the combinations that are identified."""
        strengths, vectors = np.linalg.eigh(np.array(self.information))
        return standard_errors(np.sqrt(np.maximum(strengths, 0.0))[:, None] * vectors.T)[1]

    @property
    def correlation(self) -> NDArray[np.float64]:
        """(p, p) correlations of the fitted logarithms; 0 for a value of which nothing is known."""
        covariance = self.covariance
        std = np.sqrt(np.diag(covariance))
        scale = np.where(std > 0.0, std, 1.0)
        return np.asarray(covariance / scale[:, None] / scale)

    def summary(self) -> list[tuple[str, str]]:
        """Rows (name, value) of a printed summary."""
        span = self.data_range
        limits = [("Hz", span.frequency_hz), ("s", span.time_s)]
        return [
            *((value.name, str(value)) for value in self.values),
            *(("not identified by the data alone", str(group)) for group in self.unidentifiable),
            *(
                ("as likely", ", ".join(f"{name} = {value:.4g}" for name, value in other.items()))
                for other in self.alternatives
            ),
            ("verdict", self.verdict.value),
            ("fitted data", str(self.fit)),
            *([("errors", f"inflated by {self.inflation:.3g}, the scatter found")] if self.inflation > 1.0 else []),
            ("held-out data", "none" if self.held_out is None else str(self.held_out)),
            (
                "valid for",
                ", ".join(f"{low:g} to {high:g} {unit}" for unit, (low, high) in ((u, r) for u, r in limits if r)),
            ),
        ]

    def write(self, path: str | Path) -> None:
        """Write JSON with its digest, atomically."""
        write_checksummed(path, self)

    @classmethod
    def read(cls, path: str | Path) -> CircuitCalibration:
        """Read a calibration that `write` saved.

        Raises:
            InputError: missing, not JSON, of another version, changed since it was written, or with a field out of range.
        """
        data = read_checksummed(path, "circuit calibration", FORMAT, "calibrate again")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InputError(f"circuit calibration {str(path)!r}: {first_problem(error)}; calibrate again") from None
