"""`DeviceCard`: what calibration learnt about a device, with its uncertainty, its limits and where it comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from ..circuits.errors import InputError
from ..circuits.technology import Converter, Record, Technology, write_atomically

FORMAT = 1


class Estimate(Record):
    """A fitted value and its standard uncertainty."""

    value: float = Field(allow_inf_nan=False)
    std: float = Field(ge=0, allow_inf_nan=False)

    def __str__(self) -> str:
        return f"{self.value:.5g} +- {self.std:.2g}"


class HeldOut(Record):
    """How well the surrogate predicts SPICE's error vector x - A^-1 b on systems that were not fitted.

    1 - sum |e_spice - e_surrogate|^2 / sum |e_spice - mean|^2, each system's errors relative to its |A^-1 b|.
    """

    systems: int
    explained_variance: float
    """On the dies that were fitted."""
    explained_variance_new_dies: float
    """On dies that were not."""
    spice_error: float
    """Relative rms error of SPICE's solutions."""
    residual: float
    """Relative rms of what the surrogate leaves unexplained."""


class Validity(Record):
    """Range of the systems that the fit and its check have seen."""

    unknowns: tuple[int, int]
    condition_number: tuple[float, float]


class DeviceCard(Record):
    """The calibrated parameters of one technology in one fabric."""

    format: int = FORMAT
    technology: Technology
    fabric: str = Field(pattern="^(dual_rail|crossbar)$")
    gain: Estimate
    """Gain of the drive path."""
    leak: Estimate
    """1 / A0 of the amplifiers."""
    lag: Estimate
    """1 / (2 pi GBW), s."""
    mismatch: Estimate
    """Standard deviation of ln R of a part."""
    capacitor_mismatch: Estimate
    """Standard deviation of ln C of a part."""
    offset: Estimate
    """Standard deviation of the amplifiers' input offset, V."""
    noise: Estimate
    """Johnson noise power over the law's."""
    dac: Converter
    """Drive converter, fitted from requested and measured drive."""
    adc: Converter
    """Reading converter, fitted from measured and read voltages."""
    held_out: HeldOut
    validity: Validity
    provenance: dict[str, str | int | float | list[int]]
    """Simulator version, seeds, number of runs."""

    def summary(self) -> list[tuple[str, str]]:
        """(name, value) rows for people."""
        fitted = [(name, str(value)) for name, value in self if isinstance(value, Estimate)]
        held = self.held_out
        return [
            *fitted,
            ("explained variance, held-out systems", f"{held.explained_variance:.4f}"),
            ("explained variance, held-out dies", f"{held.explained_variance_new_dies:.4f}"),
            ("error of SPICE's solutions", f"{held.spice_error:.3g} (relative rms)"),
            ("left unexplained", f"{held.residual:.3g} (relative rms)"),
            ("calibrated for", f"{self.validity.unknowns[0]} to {self.validity.unknowns[1]} unknowns"),
        ]

    def replace(self, **changes: Any) -> DeviceCard:
        """A copy for a what-if: a fitted parameter by its value (`mismatch=0.05`), converters and technology as records.

        Raises:
            InputError: no such parameter, or a value out of range.
        """
        data: dict[str, Any] = dict(self)
        for key, value in changes.items():
            if key not in data:
                raise InputError(f"card has no parameter {key!r}; there are {', '.join(data)}")
            fitted = isinstance(data[key], Estimate) and not isinstance(value, Estimate)
            data[key] = {"value": value, "std": 0.0} if fitted else value
        try:
            return DeviceCard(**data)
        except ValidationError as error:
            raise InputError(f"card {_first_problem(error)}") from None

    def write(self, path: str | Path) -> None:
        """Write JSON, atomically."""
        write_atomically(Path(path), self.model_dump_json(indent=2))

    @classmethod
    def read(cls, path: str | Path) -> DeviceCard:
        """Read what `write` wrote.

        Raises:
            InputError: missing, not JSON, of another version, or with a field out of range.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"device card {str(path)!r} cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"device card {str(path)!r} is not valid JSON: {error}") from None
        version = data.get("format") if isinstance(data, dict) else None
        if version != FORMAT:
            raise InputError(
                f"device card {str(path)!r} has format {version!r}; this version of thermograd reads {FORMAT}"
            )
        try:
            return cls(**data)
        except ValidationError as error:
            raise InputError(f"device card {str(path)!r}: {_first_problem(error)}; calibrate again") from None


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    # A nested technology explains itself.
    got = "" if first["type"] == "value_error" else f", got {first['input']!r:.60}"
    return f"field {field}: {first['msg'].removeprefix('Value error, ')}{got}"
