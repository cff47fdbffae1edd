"""`DeviceCard`: the calibrated parameters of a device, with their uncertainties, their range of validity and their provenance.

A card's file is JSON with a `digest`, the SHA-256 of all the rest in canonical form (keys sorted, no blanks). It finds a file that was cut,
mistyped or edited; it is no signature, since whoever changes a card on purpose can also compute its digest. Reading takes numbers and
names from the file and runs nothing.
"""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from ..circuits.errors import InputError
from ..circuits.files import first_problem, read_checksummed, write_checksummed
from ..circuits.records import Record
from ..circuits.technology.die import Die
from ..circuits.technology.presets import as_technology
from ..circuits.technology.redraw import Redraw
from ..circuits.technology.technology import Technology
from ..compiler.fabrics.registry import fabric_named, fabric_names
from ..compiler.fabrics.requirements import array_for, unmet
from ..compiler.program import AnalogProgram
from .card_files import require_kind
from .device import Device
from .estimate import RANGES, Estimate, Number, Parameter, Whole
from .held_out import HeldOut
from .shipped_cards import SCHEME, card_file, shipped_names
from .validity import Validity

FORMAT = 5


REPLACED_FIGURES = {
    "opamp.gain": "leak=1 / gain",
    "opamp.gbw": "lag=1 / (2 pi gbw)",
    "opamp.second_pole": "pole=1 / (2 pi second_pole)",
    "opamp.offset_mismatch": "offset=...",
    "resistors.mismatch": "mismatch=...",
    "capacitors.mismatch": "capacitor_mismatch=...",
    "inductors.mismatch": "inductor_mismatch=...",
}
"""Figures of a technology that a parameter of the card replaces, and how to change it there."""
UNMODELLED = (
    "slew",
    "output_resistance",
    "bias_current",
    "common_mode_gain",
    "common_mode_gbw",
    "common_mode_offset",
)
"""Of an amplifier's figures, those that devices of a card do not have."""


UNFITTED = ("leak", "lag", "pole", "offset")
"""Parameters that are zero where there are no amplifiers."""


@runtime_checkable
class MeasuredArray(Protocol):
    """The card of a measured array, which a `SurrogateDevice` takes as well."""

    def card_and_die(self, seed: int | None = None) -> tuple[DeviceCard, Die]:
        """What dies like the board are drawn from, and the board itself (None) or the die of a seed."""
        ...


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
    inductor_mismatch: Estimate = Estimate(value=0.0, std=0.0)
    """Standard deviation of ln L of a part; 0 in fabrics without inductors."""
    offset: Estimate
    """Standard deviation of the amplifiers' input offset, V."""
    noise_power: Estimate
    """Power of the circuit's noise, over that of Nyquist's law for its resistors and of the technology's figures for its amplifiers."""
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
        kind = fabric_named(self.fabric)
        without = (() if kind.has_inductors else ("inductor_mismatch",)) + (() if kind.active else UNFITTED)
        fitted = [(name, str(value)) for name, value in self if isinstance(value, Estimate) and name not in without]
        return [
            *fitted,
            *(("not identified", text) for text in self.unidentifiable),
            *(
                ("left out", f"{count} runs, which saturated")
                for count in [self.provenance.get("saturated_runs")]
                if count
            ),
            *self.held_out.summary(),
            (
                "calibrated for",
                f"{self.validity.unknowns[0]} to {self.validity.unknowns[1]} unknowns, condition number up to "
                f"{self.validity.condition_number[1]:.3g}",
            ),
        ]

    def circuit_technology(self) -> Technology:
        """The technology with the card's figures in place of its own (`REPLACED_FIGURES`), for netlists and laws of a circuit.

        Two parameters are no figure of a part: `noise_power` multiplies all noise that a circuit of this technology has, and `gain` the
        drive.
        """
        opamp = self.technology.opamp.model_copy(
            update={
                "gain": _inverse(self.leak.value),
                "gbw": _inverse(2 * math.pi * self.lag.value),
                "second_pole": _inverse(2 * math.pi * self.pole.value),
                "offset": self.offset.value,
                "offset_pelgrom_coefficient": None,
                "input_area": None,
            }
        )
        mismatches = {
            "resistors": self.mismatch,
            "capacitors": self.capacitor_mismatch,
            "inductors": self.inductor_mismatch,
        }
        varied = {
            kind: getattr(self.technology, kind).model_copy(
                update={"tolerance": found.value, "pelgrom_coefficient": None, "area": None}
            )
            for kind, found in mismatches.items()
        }
        return self.technology.model_copy(update={"opamp": opamp, **varied})

    def on(self, program: AnalogProgram, die: Die, writing: Redraw | None = None) -> AnalogProgram:
        """A nominal program on a die with the card's mismatches and offsets; see `AnalogProgram.on`."""
        return program.on(
            die,
            self.mismatch.value,
            self.capacitor_mismatch.value,
            self.offset.value,
            writing,
            self.inductor_mismatch.value,
        )

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
        inductor_mismatch: Parameter | None = None,
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
            "inductor_mismatch": inductor_mismatch,
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
    def uncalibrated(cls, technology: Technology | str, fabric: str = "auto") -> DeviceCard:
        """The card that a perfect calibration would find: the technology's, or preset's, own figures, and no bounds of validity, since none
        was tried.

        Amplifiers' figures that devices of a card do not have (`UNMODELLED`) are left out, and all of them in a passive fabric. "auto" is
        the array that the technology's amplifiers make, as in `calibrate`.
        """
        technology = as_technology(technology)
        fabric = array_for(technology) if fabric == "auto" else fabric
        opamp, active = technology.opamp, fabric_named(fabric).active
        values = {
            "gain": 1.0,
            "leak": 1 / opamp.gain if active else 0.0,
            "lag": 1 / (2 * math.pi * opamp.gbw) if active else 0.0,
            "pole": 1 / (2 * math.pi * opamp.second_pole) if active else 0.0,
            "mismatch": technology.resistors.mismatch,
            "capacitor_mismatch": technology.capacitors.mismatch,
            "inductor_mismatch": technology.inductors.mismatch if fabric_named(fabric).has_inductors else 0.0,
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

    def make_device(self, seed: int = 0) -> Device:
        """`SurrogateDevice(self, seed=seed)`, with nominal parts; see `as_device`."""
        device: Device = importlib.import_module(".devices.surrogate", __package__).SurrogateDevice(self, seed=seed)
        return device

    def write(self, path: str | Path) -> None:
        """Write JSON with its digest, atomically."""
        write_checksummed(path, self)

    @classmethod
    def read(cls, path: str | Path) -> DeviceCard:
        """Read a card that `write` saved, or a shipped one by `shipped:NAME` (`shipped_card`).

        Raises:
            InputError: missing, not JSON, of another version, changed since it was written, or with a field out of range; a name that no
                shipped card has.
        """
        remedy = "calibrate again, or change a card by DeviceCard.read(...).replace(...).write(...)"
        file = card_file(path)
        if not file.exists() and file.name in shipped_names():
            raise InputError(
                f"device card {str(path)!r} is no file; the card that comes with the package is {SCHEME}{file.name}"
            )
        require_kind(path, "device")
        data = read_checksummed(file, "device card", FORMAT, remedy)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InputError(f"device card {str(path)!r}: {first_problem(error)}; calibrate again") from None


def shipped_card(preset: str) -> DeviceCard:
    """The card of a preset that comes with the package: calibrated against ngspice beforehand, so that none is needed to use it.

    It is what `calibrate(preset)` finds, for systems of 4 to 16 unknowns (`card.validity`), with its held-out figures (`card.held_out`) and
    the versions, seeds and command that it was made with (`card.provenance`). `SurrogateDevice(card, extrapolate=True)` takes larger
    systems, and says so of each reading (`Outcome.EXTRAPOLATED`).

    Args:
        preset: a name of `shipped_names()`: "ideal", "paper", "breadboard", "integrated", "gf180mcu", "sky130".

    Raises:
        InputError: no card of that name is shipped.
    """
    return DeviceCard.read(f"{SCHEME}{preset}")


def _inverse(value: float) -> float:
    """1 / value, inf of zero and of what a search makes of it from below."""
    return 1.0 / value if value > 0 else math.inf
