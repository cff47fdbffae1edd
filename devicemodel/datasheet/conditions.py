"""`DatasheetConditions`: what a data sheet is asked for."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from ...circuits.errors import InputError
from ...circuits.files import first_problem, read_text
from ...circuits.records import Record
from ...circuits.technology.technology import Technology
from .corners import Corner, corners_from, corners_of

LARGEST = 512
"""Most unknowns of a system."""
ROOM = 27.0
"""C, the temperature of the typical figures where it is one of those asked for."""

Unknowns = Annotated[int, Field(ge=2, le=LARGEST)]
ConditionNumber = Annotated[float, Field(ge=1, le=1e6)]
Celsius = Annotated[float, Field(ge=-200, le=400)]
Seed = Annotated[int, Field(ge=0)]


class DatasheetConditions(Record):
    """The systems that are solved, and the dies, corners and temperatures at which.

    Raises `InputError` on construction when a field is unknown or out of range, naming it.
    """

    title_in_errors: ClassVar[str] = "conditions"

    unknowns: tuple[Unknowns, ...] = (8,)
    """Of random systems; each with each of `condition_numbers`. None at all: only those that are given."""
    condition_numbers: tuple[ConditionNumber, ...] = (10.0,)
    """Largest over smallest eigenvalue, damping included."""
    systems: int = Field(default=2, ge=1, le=100)
    """Random systems of each kind."""
    temperatures: tuple[Celsius, ...] = Field(default=(-40.0, 27.0, 85.0), min_length=1)
    """Ambient temperatures, C; typical figures are those at 27, or at the first one."""
    corners: tuple[str, ...] | dict[str, Corner] = ()
    """Names of the technology's corners, or corners of one's own, the typical one first; none: all that the technology comes with."""
    dies: tuple[Seed, ...] = Field(default=tuple(range(1, 11)), min_length=1)
    """Seeds of the dies: the same at each corner and temperature. In files also their number, of the seeds 1, 2, ..."""
    accuracy: float = Field(default=0.01, gt=0, lt=1)
    """To which circuits settle, relative."""
    run: float | None = Field(default=None, gt=0)
    """Length of a run, s, the same for all dies; none: what the slowest die of all takes to settle."""
    rounds: int = Field(default=2, ge=0, le=20)
    """Corrections of a refined reading."""
    repeats: int = Field(default=8, ge=2, le=1000)
    """Readings of one die by which its noise is known."""
    target: float = Field(default=0.01, gt=0, lt=1)
    """Residual that systems of the smallest damping are solved to."""
    spice: int = Field(default=0, ge=0, le=1000)
    """Bare readings that are repeated in ngspice, without noise: that of the largest error, and others in between."""
    seed: int = Field(default=0, ge=0)
    """Of the systems and of the noise."""

    @field_validator("dies", mode="before")
    @classmethod
    def _number_of_dies(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            if not 1 <= value <= 10_000:
                raise ValueError(f"{value} dies: give 1 to 10000, or a list of seeds")
            return tuple(range(1, value + 1))
        return value

    @field_validator("corners", mode="before")
    @classmethod
    def _corners(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and not all(isinstance(one, Corner) for one in value.values()):
            try:
                return corners_from(value, "conditions")
            except InputError as error:
                raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for name in ("unknowns", "condition_numbers", "temperatures", "dies"):
            values = getattr(self, name)
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise ValueError(f"{name}: {twice:g} is there twice, and would count as two; give each once")
        if self.unknowns and not self.condition_numbers:
            raise ValueError("condition_numbers is empty: random systems need one, such as 10")
        return self

    @property
    def typical_temperature(self) -> float:
        """C, that of the typical figures."""
        return ROOM if ROOM in self.temperatures else self.temperatures[0]

    def corners_for(self, technology: Technology) -> dict[str, Corner]:
        """The corners that are asked for, the typical one first.

        Raises:
            InputError: a name that the technology has no corner of; a temperature that a corner does not know.
        """
        known = corners_of(technology)
        if isinstance(self.corners, dict):
            found = dict(self.corners)
        else:
            for name in self.corners:
                if name not in known:
                    raise InputError(
                        f"corner {name!r} is none of technology {technology.name}'s, which has {', '.join(known)}; describe others in a "
                        "conditions file, [corners.NAME]"
                    )
            found = {name: known[name] for name in self.corners} or known
        for name, corner in found.items():
            for celsius in self.temperatures:
                try:
                    corner.figures_at(celsius)
                except InputError as error:
                    raise InputError(f"corner {name}: {error}") from None
        return found

    @classmethod
    def read(cls, path: str | Path, **changes: Any) -> Self:
        """Read a TOML file of these fields; fields left out keep their default.

        Args:
            changes: in place of the file's.

        Raises:
            InputError: missing, not TOML, a field that is unknown or out of range.
        """
        try:
            data = tomllib.loads(read_text(Path(path)))
        except OSError as error:
            raise InputError(f"conditions file {str(path)!r} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise InputError(f"conditions file {str(path)!r} is not valid TOML: {error}") from None
        try:
            return cls.model_validate(data | changes)
        except ValidationError as error:
            raise InputError(f"conditions file {str(path)!r}: {first_problem(error)}") from None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, without the corners' figures."""
        found = self.model_dump()
        found["corners"] = list(self.corners)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
