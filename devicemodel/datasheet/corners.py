"""Corners of a process: where its amplifiers and the die-to-die spread of its parts are.

A corner states figures of the amplifiers (at all temperatures, or for each that they were simulated at) and how many standard deviations
of their die-to-die spread all resistors and all capacitors of a die are off. Dies of a corner keep what tells one part from its neighbour.
The host does not know of it: it programs and waits as for the nominal parts.
"""

from __future__ import annotations

import functools
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from ...circuits.errors import InputError
from ...circuits.files import first_problem, read_text
from ...circuits.records import Record
from ...circuits.technology.die import Die
from ...circuits.technology.presets import RECORDS
from ...circuits.technology.provenance import Kind
from ...circuits.technology.technology import Technology
from ..card import DeviceCard
from ..estimate import Estimate

FOLDER = Path(__file__).parent / "corners"
"""The shipped corners, one file a technology; `python -m tools.technologies.corners` writes them."""
ZERO = 273.15
"""0 C in K."""
SAME = 0.05
"""K: temperatures closer than that are one."""
SIGMAS = 3.0
"""Standard deviations of the die-to-die spread at which a technology without corners of its own has slow and fast dies."""
_INVERSE = {"opamp.gain": "leak", "opamp.gbw": "lag", "opamp.second_pole": "pole"}
"""Figures that a card has a parameter for, in proportion to the inverse."""
ALLOWED = ("opamp", "switches", "wires")
"""Parts of a technology that a corner may state figures of."""
_DRAWN = ("offset", "offset_pelgrom_coefficient", "input_area", "transistors", "outputs")


class AtTemperature(Record):
    """Figures of a corner at one temperature."""

    temperature: float = Field(gt=-273.15, le=700)
    """C."""
    figures: dict[str, float]
    """Of a technology, by their path, such as "opamp.gain"; SI units."""


class Corner(Record):
    """One corner of a process."""

    title_in_errors = "corner"

    kind: Kind = "chosen"
    source: str = Field(default="", max_length=2000)
    """Where its figures are from; empty: not stated."""
    resistors: float = Field(default=0.0, ge=-6, le=6)
    """What all resistors of a die are off, in standard deviations of their die-to-die spread, in place of the die's own draw."""
    capacitors: float = Field(default=0.0, ge=-6, le=6)
    """The same of the capacitors."""
    drawn: bool = False
    """Whether dies draw these deviates themselves, as of the whole production; then both are 0."""
    figures: dict[str, float] = Field(default_factory=dict)
    """At any temperature."""
    at: tuple[AtTemperature, ...] = ()
    """At the temperatures that are listed alone."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.figures and self.at:
            raise ValueError("figures and at exclude each other: give figures for all temperatures, or a list for each")
        if self.drawn and (self.resistors or self.capacitors):
            raise ValueError("drawn says that each die has a draw of its own: leave resistors and capacitors out")
        for path in (*self.figures, *(path for one in self.at for path in one.figures)):
            part, _, field = path.partition(".")
            known = Technology.model_fields[part].annotation if part in ALLOWED else None
            if known is None or field not in getattr(known, "model_fields", {}) or field in _DRAWN:
                raise ValueError(
                    f"figures: {path!r} is no figure that a corner moves; give paths such as opamp.gain, of {', '.join(ALLOWED)} "
                    "(spreads and offsets are the dies')"
                )
        return self

    def figures_at(self, celsius: float) -> Mapping[str, float]:
        """Its figures at a temperature.

        Raises:
            InputError: the corner lists temperatures, and this is none of them.
        """
        if not self.at:
            return self.figures
        for one in self.at:
            if abs(one.temperature - celsius) < SAME:
                return one.figures
        there = ", ".join(f"{one.temperature:g}" for one in self.at)
        raise InputError(
            f"the corner's amplifiers are known at {there} C, not at {celsius:g} C: ask for these temperatures, or give corners of your own"
        )

    @property
    def follows_temperature(self) -> bool:
        """Whether its figures are stated for each temperature."""
        return bool(self.at)


TYPICAL = Corner(kind="chosen", source="the technology's own figures; each die draws its deviations", drawn=True)
"""The only corner of a technology without any."""


def corners_of(technology: Technology) -> dict[str, Corner]:
    """The corners that a technology comes with, the typical one first.

    Those of the presets that were made from foundries' models, as long as the amplifier is the preset's; else "typical", and with a spread
    from die to die "slow" and "fast", where all resistors and capacitors of a die are 3 standard deviations larger, or smaller.
    """
    record = RECORDS.get(technology.name)
    if record is not None and record.technology().opamp == technology.opamp:
        return dict(_shipped(technology.name))
    if not (technology.resistors.die_to_die or technology.capacitors.die_to_die):
        return {"typical": TYPICAL}
    ends = {
        name: Corner(
            source=f"resistors and capacitors {abs(sigmas):g} standard deviations of their die-to-die spread "
            f"{'larger' if sigmas > 0 else 'smaller'}; amplifiers as the technology has them",
            resistors=sigmas,
            capacitors=sigmas,
        )
        for name, sigmas in (("slow", SIGMAS), ("fast", -SIGMAS))
    }
    return {"typical": TYPICAL} | ends


@functools.cache
def _shipped(name: str) -> dict[str, Corner]:
    return read_corners(FOLDER / f"{name}.toml")


def read_corners(path: str | Path) -> dict[str, Corner]:
    """The tables [corners.NAME] of a TOML file, the typical one first.

    Raises:
        InputError: missing, not TOML, no such table, a field that is unknown or out of range.
    """
    try:
        data = tomllib.loads(read_text(Path(path)))
    except OSError as error:
        raise InputError(f"corners file {str(path)!r} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"corners file {str(path)!r} is not valid TOML: {error}") from None
    tables = data.get("corners")
    if not isinstance(tables, dict) or not tables:
        raise InputError(f"corners file {str(path)!r} has no table [corners.NAME]: give one for each corner")
    return corners_from(tables, f"corners file {str(path)!r}")


def corners_from(tables: Mapping[str, Any], where: str) -> dict[str, Corner]:
    """Corners from plain data.

    Args:
        where: named in errors.

    Raises:
        InputError: a field that is unknown or out of range.
    """
    found = {}
    for name, table in tables.items():
        try:
            found[name] = Corner.model_validate(table)
        except ValidationError as error:
            raise InputError(f"{where}: corner {name}: {first_problem(error)}") from None
    return found


def card_at(card: DeviceCard, name: str, corner: Corner, celsius: float) -> DeviceCard:
    """The card of machines at a corner and an ambient temperature.

    Where a card has a fitted parameter for a figure (1/A0, 1/(2 pi GBW), the second pole's), it changes in the ratio in which the figure
    changes, so that what the fit found beyond the figure stays.

    Args:
        name: of the corner, for errors. celsius: ambient, C.

    Raises:
        InputError: as `Corner.figures_at`; figures that the technology does not go with.
    """
    technology = card.technology
    try:
        figures = corner.figures_at(celsius)
        changes: dict[str, Any] = {path.replace(".", "__"): value for path, value in figures.items()}
        moved = technology.replace(**changes, thermal__ambient=celsius + ZERO)
    except InputError as error:
        raise InputError(f"corner {name}, {celsius:g} C: {error}") from None
    parameters: dict[str, Any] = {}
    for path, parameter in _INVERSE.items():
        if path in figures:
            old, new = getattr(technology.opamp, path.partition(".")[2]), figures[path]
            value = getattr(card, parameter)
            factor = 1.0 if old == new else old / new
            scaled = (value.value * factor, value.std * factor) if math.isfinite(factor) else (_direct(path, new), 0.0)
            parameters[parameter] = Estimate(value=scaled[0], std=scaled[1])
    try:
        return DeviceCard.model_validate(dict(card) | parameters | {"technology": moved})
    except ValidationError as error:
        raise InputError(f"corner {name}, {celsius:g} C: card {first_problem(error)}") from None


def _direct(path: str, value: float) -> float:
    """The parameter that a figure alone says."""
    return 1 / value if path == "opamp.gain" else 1 / (2 * math.pi * value)


class CornerDie(Die):
    """A die whose resistors and capacitors are, all together, at a corner; all else is the die of that seed.

    Args:
        technology, seed: see `Die`.
        corner: its `resistors` and `capacitors` take the place of what the seed draws, unless it says `drawn`.
    """

    def __init__(self, technology: Technology | str, seed: int | None, corner: Corner) -> None:
        self._held = {}
        if not corner.drawn:
            self._held = {"resistor_die_to_die": corner.resistors, "capacitor_die_to_die": corner.capacitors}
        super().__init__(technology, seed)

    @property
    def identity(self) -> int | str | None:
        """See `Die.identity`."""
        return f"{self.seed} at {self._held}" if self._held else self.seed

    def deviates(self, part: str, shape: tuple[int, ...]) -> np.ndarray:
        """See `Die.deviates`."""
        if part in self._held:
            return np.full(shape, self._held[part])
        return super().deviates(part, shape)
