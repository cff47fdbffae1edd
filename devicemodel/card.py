"""`DeviceCard`: the calibrated parameters of a device, with their uncertainties, their range of validity and their provenance.

A card's file is JSON with a `digest`, the SHA-256 of all the rest in canonical form (keys sorted, no blanks). It finds a file that was cut,
mistyped or edited; it is no signature, since whoever changes a card on purpose can also compute its digest. Reading takes numbers and
names from the file and runs nothing.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator, model_validator

from ..circuits.errors import InputError
from ..circuits.files import first_problem, read_checksummed, write_checksummed
from ..circuits.records import Record
from ..circuits.technology.technology import Technology
from ..compiler.fabrics.registry import fabric_named, fabric_names
from ..compiler.fabrics.requirements import array_for, unmet

FORMAT = 3

NOT_FINITE = ("Infinity", "-Infinity", "NaN")
"""How a file spells the numbers that JSON has none for."""

SLACK = 1e-6
"""Share of a bound by which it may be passed: what rounding does to a figure that was computed once more."""


def _number(value: Any) -> Any:
    """Reject what pydantic would convert to a number: "0.1", or true."""
    if isinstance(value, bool) or (isinstance(value, str) and value not in NOT_FINITE):
        raise ValueError(f"{value!r:.60} is no number; give one without quotes")
    return value


def _whole(value: Any) -> Any:
    if isinstance(value, bool | float | str):
        raise ValueError(f"{value!r:.60} is no integer; give one without quotes and without a point")
    return value


Number = Annotated[float, BeforeValidator(_number)]
"""A float, given as a number."""
Whole = Annotated[int, BeforeValidator(_whole)]
"""An int, given as an integer: 2.0 is none."""


class Range(NamedTuple):
    """Range of the values that a parameter may have."""

    least: float
    most: float
    open: bool = False
    """Whether `least` itself is excluded."""

    def __contains__(self, value: object) -> bool:
        """Whether a value is in the range; False for nan."""
        if not isinstance(value, float | int):
            return False
        return (self.least < value if self.open else self.least <= value) and value <= self.most

    def __str__(self) -> str:
        if self.open:
            return f"a number above {self.least:g} and at most {self.most:g}"
        return f"a number from {self.least:g} to {self.most:g}"


RANGES = {
    "gain": Range(0.0, 1e3, open=True),
    "leak": Range(0.0, 1.0),
    "lag": Range(0.0, 1.0),
    "pole": Range(0.0, 1.0),
    "mismatch": Range(0.0, 2.0),
    "capacitor_mismatch": Range(0.0, 2.0),
    "offset": Range(0.0, 1.0),
    "noise_power": Range(0.0, 1e12),
}
"""Of a card's fitted parameters, in their units: far beyond any technology's, and where the laws of dies still are finite."""


REPLACED_FIGURES = {
    "opamp.gain": "leak=1 / gain",
    "opamp.gbw": "lag=1 / (2 pi gbw)",
    "opamp.second_pole": "pole=1 / (2 pi second_pole)",
    "opamp.offset_mismatch": "offset=...",
    "resistors.mismatch": "mismatch=...",
    "capacitors.mismatch": "capacitor_mismatch=...",
}
"""Figures of a technology that a parameter of the card replaces, and how to change it there."""
UNMODELLED = (
    "slew",
    "output_resistance",
    "bias_current",
    "noise_voltage",
    "noise_voltage_corner",
    "noise_current",
    "noise_current_corner",
    "common_mode_gain",
    "common_mode_gbw",
    "common_mode_offset",
)
"""Of an amplifier's figures, those that devices of a card do not have."""


class Estimate(Record):
    """A fitted value and its standard uncertainty."""

    value: Number = Field(allow_inf_nan=False)
    std: Number = Field(ge=0, allow_inf_nan=False)

    def __str__(self) -> str:
        return f"{self.value:.5g} +- {self.std:.2g}"


Parameter = float | Estimate
"""A fitted parameter's value, or with its uncertainty."""


class HeldOut(Record):
    """How well the surrogate predicts SPICE's error vector x - A^-1 b on systems that were not fitted.

    1 - sum |e_spice - e_surrogate|^2 / sum |e_spice - mean|^2, each system's errors relative to its |A^-1 b|; nan where SPICE's errors do
    not vary, as those of a single unknown, so that there is nothing to explain.
    """

    systems: Whole = Field(ge=0)
    explained_variance: Number = Field(le=1)
    """Explained variance on the dies that were fitted."""
    explained_variance_new_dies: Number = Field(le=1)
    """Explained variance on dies that were not fitted."""
    spice_error: Number = Field(ge=0, allow_inf_nan=False)
    """Relative rms error of SPICE's solutions."""
    residual: Number = Field(ge=0, allow_inf_nan=False)
    """Relative rms of what the surrogate leaves unexplained."""

    @field_validator("explained_variance", "explained_variance_new_dies", mode="wrap")
    @classmethod
    def _explained(cls, value: Any, check: Any) -> float:
        # nan is not "at most 1", and says that there was nothing to explain.
        if value == "NaN" or (isinstance(value, float) and math.isnan(value)):
            return math.nan
        found: float = check(value)
        if math.isinf(found):
            raise ValueError("it is infinite: give a number of at most 1, or nan where there was nothing to explain")
        return found


class Validity(Record):
    """What the runs of the fit and of its check were like; a bound that is none was not recorded, and is not looked at.

    A system that is better conditioned than any of them is no extrapolation, since it amplifies errors less.
    """

    unknowns: tuple[Whole, Whole]
    condition_number: tuple[Number, Number]
    duration: Number | None = Field(default=None, gt=0)
    """Longest duration, tau; inf: up to rest. What is shorter lies between a fitted run and its start, which is known."""
    level: Number | None = Field(default=None, gt=0)
    """Largest node voltage, V; the output limit where it came within the share of it that auto-ranging aims at."""
    temperature: tuple[Number, Number] | None = None
    """Temperatures over the dies, K."""
    layout: bool | None = Field(default=None, strict=True)
    """Whether the circuits had a layout in them."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for name, least in (("unknowns", 1), ("condition_number", 1), ("temperature", 0)):
            span = getattr(self, name)
            # Written so that nan raises.
            if span is not None and not least <= span[0] <= span[1]:
                raise ValueError(
                    f"{name} is {span[0]:g} to {span[1]:g}: give two numbers >= {least}, the lower one first"
                )
        return self

    def violations_by_system(self, matrix: np.ndarray, floor: float = 0.0) -> tuple[str, ...]:
        """A sentence for each bound that a symmetric matrix (n, n) without an eigenvalue below `floor` is beyond."""
        found = []
        (fewest, most), worst = self.unknowns, self.condition_number[1] * (1 + SLACK)
        if not fewest <= len(matrix) <= most:
            found.append(f"{len(matrix)} unknowns, calibrated for {fewest} to {most}")
        if not _better_conditioned(matrix, worst, floor):
            sizes = np.abs(np.linalg.eigvalsh(matrix))
            condition = float(sizes.max() / sizes.min()) if sizes.min() > 0 else math.inf
            if condition > worst:
                found.append(f"condition number {condition:.4g}, calibrated for at most {self.condition_number[1]:.4g}")
        return tuple(found)

    def violations_by_run(self, duration: float, temperatures: np.ndarray) -> tuple[str, ...]:
        """A sentence for each bound that a duration (tau) and the temperatures (K) of a die are beyond."""
        found = []
        if self.duration is not None and duration > self.duration * (1 + SLACK):
            found.append(f"duration {duration:.4g} tau, calibrated for at most {self.duration:.4g} tau")
        if self.temperature is not None:
            coldest, hottest = self.temperature
            least, most = float(temperatures.min()), float(temperatures.max())
            if least < coldest * (1 - SLACK) or most > hottest * (1 + SLACK):
                found.append(f"a die of {least:.4g} to {most:.4g} K, calibrated for {coldest:.4g} to {hottest:.4g} K")
        return tuple(found)

    def violations_by_layout(self, layout: bool) -> tuple[str, ...]:
        """A sentence if the device has a layout and the circuits had none."""
        return ("an array with its layout, calibrated on schematics",) if layout and self.layout is False else ()

    def violations_by_level(self, volts: float) -> tuple[str, ...]:
        """A sentence if the largest node voltage (V) of a run is beyond its bound."""
        if self.level is None or volts <= self.level * (1 + SLACK):
            return ()
        return (f"node voltages of {volts:.4g} V, calibrated for at most {self.level:.4g} V",)


class DeviceCard(Record):
    """The calibrated parameters of one technology in one fabric."""

    format: Whole = Field(default=FORMAT, ge=FORMAT, le=FORMAT)
    technology: Technology
    """Parts, limits and temperatures as the data sheets give them; its DAC and ADC as they were fitted. Where the card has a parameter for
    a figure of the technology (see `REPLACED_FIGURES`), the card's is used."""
    fabric: str
    gain: Estimate
    """Gain of the drive path."""
    leak: Estimate
    """1 / A0 of the amplifiers."""
    lag: Estimate
    """1 / (2 pi GBW), s."""
    pole: Estimate = Estimate(value=0.0, std=0.0)
    """1 / (2 pi f_2) of the amplifiers' second pole f_2, s; 0: none."""
    clamp: Number = Field(default=math.inf, ge=1)
    """Voltage at which amplifiers saturate, over their output limit, so that a host does not see how far they would go; inf: none."""
    mismatch: Estimate
    """Standard deviation of ln R of a part."""
    capacitor_mismatch: Estimate
    """Standard deviation of ln C of a part."""
    offset: Estimate
    """Standard deviation of the amplifiers' input offset, V."""
    noise_power: Estimate
    """Power of the Johnson noise, over that of Nyquist's law."""
    unidentifiable: tuple[str, ...] = ()
    """Parameters that the fitted runs do not identify, in words; empty where each is."""
    held_out: HeldOut
    validity: Validity
    provenance: dict[str, str | int | float | list[int]]
    """Versions of simulator and package, seeds, number of runs."""

    @field_validator(*RANGES)
    @classmethod
    def _possible(cls, estimate: Estimate, info: ValidationInfo) -> Estimate:
        allowed = RANGES[str(info.field_name)]
        if estimate.value not in allowed:
            raise ValueError(f"its value is {estimate.value:g}: give {allowed}")
        return estimate

    @field_validator("fabric")
    @classmethod
    def _calibrated(cls, fabric: str) -> str:
        if fabric not in (allowed := fabric_names("can_calibrate")):
            raise ValueError(f"is {fabric!r}: give one of {', '.join(allowed)}")
        return fabric

    @model_validator(mode="after")
    def _buildable(self) -> Self:
        if (problem := unmet(fabric_named(self.fabric), self.technology)) is not None:
            raise ValueError(f"fabric {self.fabric} cannot be built: {problem.what}; {problem.change}")
        return self

    def summary(self) -> list[tuple[str, str]]:
        """Rows (name, value) of a printed summary."""
        fitted = [(name, str(value)) for name, value in self if isinstance(value, Estimate)]
        held = self.held_out
        return [
            *fitted,
            *(("not identified", text) for text in self.unidentifiable),
            ("explained variance, held-out systems", _share(held.explained_variance)),
            ("explained variance, held-out dies", _share(held.explained_variance_new_dies)),
            ("error of SPICE's solutions", f"{held.spice_error:.3g} (relative rms)"),
            ("left unexplained", f"{held.residual:.3g} (relative rms)"),
            (
                "calibrated for",
                f"{self.validity.unknowns[0]} to {self.validity.unknowns[1]} unknowns, condition number up to "
                f"{self.validity.condition_number[1]:.3g}",
            ),
        ]

    def replace(
        self,
        *,
        technology: Technology | None = None,
        gain: Parameter | None = None,
        leak: Parameter | None = None,
        lag: Parameter | None = None,
        pole: Parameter | None = None,
        clamp: float | None = None,
        mismatch: Parameter | None = None,
        capacitor_mismatch: Parameter | None = None,
        offset: Parameter | None = None,
        noise_power: Parameter | None = None,
        validity: Validity | None = None,
    ) -> DeviceCard:
        """A copy for a what-if: fitted parameters by their values, `technology=card.technology.replace(adc__bits=4)` for the rest.

        Raises:
            InputError: a value out of range; a technology with another figure that the card has a parameter for, or that its devices do not
                have at all.
        """
        given = {
            "gain": gain,
            "leak": leak,
            "lag": lag,
            "pole": pole,
            "mismatch": mismatch,
            "capacitor_mismatch": capacitor_mismatch,
            "offset": offset,
            "noise_power": noise_power,
        }
        changes: dict[str, Any] = {
            name: value if isinstance(value, Estimate) else {"value": value, "std": 0.0}
            for name, value in given.items()
            if value is not None
        }
        if technology is not None:
            self._check_technology(technology)
        others = {"technology": technology, "clamp": clamp, "validity": validity}
        changes |= {name: value for name, value in others.items() if value is not None}
        try:
            return DeviceCard.model_validate(dict(self) | changes)
        except ValidationError as error:
            raise InputError(f"card {first_problem(error)}") from None

    def _check_technology(self, other: Technology) -> None:
        if not isinstance(other, Technology):
            raise InputError(f"technology is a {type(other).__name__}: give card.technology.replace(...)")
        for path, parameter in REPLACED_FIGURES.items():
            part, name = path.split(".")
            now, then = (getattr(getattr(one, part), name) for one in (self.technology, other))
            if now != then:
                raise InputError(
                    f"technology.{path} is {then:g} in place of {now:g}, but a card has a parameter of its own for it: replace({parameter})"
                )
        for name in UNMODELLED:
            now, then = (getattr(one.opamp, name) for one in (self.technology, other))
            if now != then:
                raise InputError(
                    f"technology.opamp.{name} is {then:g} in place of {now:g}, which a card's devices do not have: calibrate that "
                    "technology, or use SpiceDevice with amplifier=Macromodel(...)"
                )

    @classmethod
    def uncalibrated(cls, technology: Technology, fabric: str = "auto") -> DeviceCard:
        """The card that a perfect calibration would find: the technology's own figures, and no bounds of validity, since none was tried.

        Amplifiers' figures that devices of a card do not have (`UNMODELLED`) are left out, and all of them in a passive fabric. "auto" is
        the array that the technology's amplifiers make, as in `calibrate`.
        """
        fabric = array_for(technology) if fabric == "auto" else fabric
        opamp, active = technology.opamp, fabric_named(fabric).active
        values = {
            "gain": 1.0,
            "leak": 1 / opamp.gain if active else 0.0,
            "lag": 1 / (2 * math.pi * opamp.gbw) if active else 0.0,
            "pole": 1 / (2 * math.pi * opamp.second_pole) if active else 0.0,
            "mismatch": technology.resistors.mismatch,
            "capacitor_mismatch": technology.capacitors.mismatch,
            "offset": opamp.offset_mismatch if active else 0.0,
            "noise_power": 1.0,
        }
        return cls(
            technology=technology,
            fabric=fabric,
            held_out=HeldOut(
                systems=0,
                explained_variance=math.nan,
                explained_variance_new_dies=math.nan,
                spice_error=0.0,
                residual=0.0,
            ),
            validity=Validity(unknowns=(1, 10**6), condition_number=(1.0, math.inf)),
            provenance={"calibration": "none: the technology's own figures"},
            **{name: Estimate(value=value, std=0.0) for name, value in values.items()},
        )

    def write(self, path: str | Path) -> None:
        """Write JSON with its digest, atomically."""
        write_checksummed(path, self)

    @classmethod
    def read(cls, path: str | Path) -> DeviceCard:
        """Read a card that `write` saved.

        Raises:
            InputError: missing, not JSON, of another version, changed since it was written, or with a field out of range.
        """
        remedy = "calibrate again, or change a card by DeviceCard.read(...).replace(...).write(...)"
        data = read_checksummed(path, "device card", FORMAT, remedy)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InputError(f"device card {str(path)!r}: {first_problem(error)}; calibrate again") from None


def _better_conditioned(matrix: np.ndarray, worst: float, floor: float) -> bool:
    """Whether a condition number of at most `worst` is proven without eigenvalues: the largest is below a row sum of sizes."""
    if math.isinf(worst):
        return True
    largest = float(np.abs(matrix).sum(axis=1).max())
    if floor > 0 and largest <= worst * floor:
        return True
    margin = largest * (1 / worst + len(matrix) * float(np.finfo(float).eps))
    shifted = matrix.copy()
    shifted.ravel()[:: len(matrix) + 1] -= margin
    try:
        np.linalg.cholesky(shifted)
    except np.linalg.LinAlgError:
        return False
    return True


def _share(explained: float) -> str:
    return "nothing to explain" if math.isnan(explained) else f"{explained:.4f}"
