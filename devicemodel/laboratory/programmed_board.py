"""`ProgrammedBoard`: a measured array that can be programmed: which of its parts deviate by how much, and where they are on the die.

The deviations that were measured belong to places on the die, not to the matrix that was programmed then, so that another matrix meets
them, too. A board like it is drawn from their distribution: the mean square of the measured ln(value / nominal), less that of their own
errors.
"""

from __future__ import annotations

import math
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from ...circuits.errors import InputError
from ...circuits.netlist.netlist import Netlist
from ...circuits.records import Record
from ...circuits.technology.die import STREAMS, Die
from ...circuits.technology.technology import Technology
from ...compiler.fabrics.registry import fabric_named
from ...compiler.matrices import dense
from ...compiler.program import AnalogProgram
from ..calibration.measured.result import CircuitCalibration
from ..card import DeviceCard
from ..estimate import Number, Whole
from ..validity import Validity
from .measured_die import MeasuredDie
from .measured_span import MeasuredSpan
from .part_places import Kind, PartPlace, part_places, values_of

FEWEST = 3
"""Measured parts of a kind whose scatter is taken for that of boards like it; of fewer, the technology's."""
LEAST_SCATTER = 1e-6
"""Standard deviation of ln of parts that show none, so that dies can hold what was measured."""
CHANGED = 1e-9
"""Relative difference of a value from the nominal one that is rounding."""
_FIELDS: dict[Kind, str] = {"resistor": "resistors", "capacitor": "capacitors", "inductor": "inductors"}


class MeasuredPart(Record):
    """A part that was measured."""

    name: str
    """In the netlist that was fitted."""
    kind: Kind
    stream: str
    """Of the die's deviates."""
    place: tuple[Whole, ...]
    numbered: bool = False
    """Whether the place is a number of `Die.deviates_of`."""
    deviation: Number = Field(allow_inf_nan=False)
    """ln(value / nominal) at the board's temperature; of an amplifier's offset V."""
    std: Number = Field(ge=0, allow_inf_nan=False)
    """Standard error of the deviation; 0 where none is known."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.stream not in STREAMS or any(index < 0 for index in self.place):
            raise ValueError(f"part {self.name} is at {self.stream!r:.40} {self.place}, which is no place of a die")
        return self


class ProgrammedBoard(Record):
    """A measured array of this package's compiler."""

    title_in_errors = "programmed board"

    kind: Literal["programmed"] = "programmed"
    technology: Technology
    """Nominal parts, limits and converters that the program was made for."""
    fabric: str
    unknowns: Whole = Field(ge=1)
    """Size of the matrix that was programmed when it was measured: places beyond it were not."""
    condition_number: Number = Field(ge=1)
    """Of that matrix."""
    tau: Number = Field(gt=0, allow_inf_nan=False)
    """Time unit of that program, s."""
    temperatures: tuple[Number, Number]
    """Lowest and highest on the board, K, with the heat of its amplifiers by the technology's figures."""
    parts: tuple[MeasuredPart, ...] = Field(min_length=1)
    netlist: str
    """That was fitted, with the fitted values, in ngspice's text."""
    unmeasured_seed: Whole | None = Field(default=None, ge=0)
    """Of the parts of the board that were not measured; none: these are nominal."""

    @model_validator(mode="after")
    def _has_dies(self) -> Self:
        if not fabric_named(self.fabric).has_dies or not fabric_named(self.fabric).can_calibrate:
            raise ValueError(f"fabric {self.fabric!r} has no device model with dies")
        return self

    @classmethod
    def of(
        cls,
        calibration: CircuitCalibration,
        program: AnalogProgram,
        fitted: Netlist,
        unmeasured_seed: int | None,
    ) -> Self:
        """The board of a fitted netlist of a program.

        Raises:
            InputError: a fitted part that is none of the program's, or none that differs from die to die.
        """
        places = part_places(program)
        nominal_die = MeasuredDie(program.technology, {}, None)
        # Amplifiers warm the parts of a die, and not those of the netlist that was fitted.
        plain, drawn = values_of(program.on(nominal_die).netlist()), values_of(program.netlist())
        now = values_of(fitted)
        named = {name.lower() for name in calibration.estimates}
        errors = _errors(calibration)
        if missing := [name for name in plain if name not in now]:
            raise InputError(f"the fitted netlist has no part {missing[0]}: it is not one of this program")
        parts = []
        for name, (kind, value) in now.items():
            if name not in plain and name not in places:
                raise InputError(
                    f"the program has no part {name}, which the fitted netlist has: give the program that was measured"
                )
            nominal = plain[name][1] if name in plain else 0.0
            started = drawn[name][1] if name in drawn else 0.0
            changed = abs(value - started) > CHANGED * max(abs(started), 1e-300)
            if name.lower() not in named and not changed:
                continue
            if name not in places:
                raise InputError(
                    f"{name} was fitted, and belongs to the amplifiers' model, not to a place on the die: hold it fixed, or set the "
                    "technology's figure and fit the other parts"
                )
            place = places[name]
            deviation = value - nominal if kind == "offset" else math.log(value / nominal)
            error = errors.get(name.lower(), 0.0)
            parts.append(
                MeasuredPart(
                    name=name,
                    kind=place.kind,
                    stream=place.stream,
                    place=place.place,
                    numbered=place.numbered,
                    deviation=deviation,
                    std=abs(value) * error if kind == "offset" else error,
                )
            )
        of_parts = {name.lower() for name in now}
        for name in calibration.estimates:
            # A name that no part has is a parameter of a model that is a function.
            if name in fitted and name.lower() not in of_parts:
                raise InputError(
                    f"{name} was fitted, and is no part that differs from die to die: hold it fixed, or set the technology's figure for it"
                )
        if not parts:
            raise InputError(
                "no part of the program was fitted: give a calibration of its resistors, capacitors or offsets"
            )
        warm = program.parts.supplied(nominal_die).temperatures
        matrix = dense(program.target)
        sizes = np.abs(np.linalg.eigvalsh(matrix))
        return cls(
            technology=program.technology,
            fabric=program.fabric_name,
            unknowns=program.size,
            condition_number=float(sizes.max() / sizes.min()),
            tau=program.tau,
            temperatures=(float(warm.min()), float(warm.max())),
            parts=tuple(parts),
            netlist=fitted.to_spice(),
            unmeasured_seed=unmeasured_seed,
        )

    def scatter(self, kind: Kind) -> float:
        """Standard deviation of ln(value / nominal), or of an offset in V, of parts of boards like it."""
        measured = [part for part in self.parts if part.kind == kind]
        stated = {
            "resistor": self.technology.resistors.mismatch,
            "capacitor": self.technology.capacitors.mismatch,
            "inductor": self.technology.inductors.mismatch,
            "offset": self.technology.opamp.offset_mismatch,
        }[kind]
        if not measured:
            return stated
        square = sum(part.deviation**2 - part.std**2 for part in measured) / len(measured)
        found = math.sqrt(max(square, 0.0)) if len(measured) >= FEWEST else stated
        return max(found, LEAST_SCATTER)

    def device_technology(self) -> Technology:
        """The technology with the scatter of boards like this one, and nothing that dies share, which is in that scatter."""
        changes = {
            field: getattr(self.technology, field).model_copy(
                update={
                    "tolerance": self.scatter(kind),
                    "pelgrom_coefficient": None,
                    "area": None,
                    "die_to_die": 0.0,
                    "gradient": 0.0,
                }
            )
            for kind, field in _FIELDS.items()
        }
        opamp = self.technology.opamp.model_copy(
            update={
                "offset": self.scatter("offset"),
                "offset_pelgrom_coefficient": None,
                "input_area": None,
                "transistors": (),
            }
        )
        return self.technology.model_copy(update={**changes, "opamp": opamp})

    def die(self, technology: Technology | None = None) -> MeasuredDie:
        """This board, of `device_technology`."""
        deviations = {
            PartPlace(part.kind, part.stream, tuple(part.place), part.numbered): part.deviation for part in self.parts
        }
        return MeasuredDie(technology or self.device_technology(), deviations, self.unmeasured_seed)

    def card_and_die(self, span: MeasuredSpan, seed: int | None) -> tuple[DeviceCard, Die]:
        """The distribution of boards like it as a device card, and this board (None) or one like it, of a seed."""
        card = DeviceCard.uncalibrated(self.device_technology(), self.fabric)
        die = self.die(card.technology) if seed is None else Die(card.technology, seed)
        ends = (span.temperature, *self.temperatures)
        longest = span.longest
        validity = Validity(
            unknowns=(1, self.unknowns),
            condition_number=(1.0, self.condition_number),
            duration=None if longest is None else longest / self.tau,
            level=span.volts,
            temperature=(min(ends), max(ends)),
        )
        provenance = {"calibration": "measured board", "parts": len(self.parts)}
        return card.model_copy(update={"validity": validity, "provenance": provenance}), die


def _errors(calibration: CircuitCalibration) -> dict[str, float]:
    """Standard error of ln|value| by lower-case name; 0 of values of which nothing is known."""
    std = np.sqrt(np.maximum(np.diag(calibration.covariance), 0.0))
    return {value.name.lower(): float(error) for value, error in zip(calibration.values, std, strict=True)}
