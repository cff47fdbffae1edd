"""Area on silicon: what a technology states of its parts' sizes, and what an array of them takes.

A resistor is a strip of film, W wide, of sheet resistance R_s, with a contact head h at each end, and a space s to the next one:

    area(R) = (R W / R_s + 2 h) (W + s)

A programmable conductance of b bits with codes from 0 to 1/R is a ladder of them, with R' = R (1 - 2^-b):

    binary   one resistor a bit, R' 2, R' 4, ..., R' 2^b, each behind a switch: 2 R' (2^b - 1) ohm in b strips
    R-2R     b + 1 legs of 2 R' and b - 1 links of R', each leg but the last behind a two-way switch: (3 b + 1) R' in 2 b strips

A binary one of b = 8 bits has 508 R of film, an R-2R ladder 25 R. The latter loads its column with 1/R' whatever its code, which no
netlist here has. With codes from 1/(R on_off), that resistor is beside the ladder, of the rest. The film is at least `resistors.area`,
where Pelgrom's law states one.

A capacitor is a square plate of density c with a border d: (sqrt(C / c) + 2 d)^2. A crosspoint of r rails has r such conductances a slice,
two switches at each for the sign, a memory of b bits and the sign, and is no smaller than its lines, (r p)^2 at a pitch of p.
Cells have capacitors, amplifiers, input resistors with their ranges, and converters of their own unless `count` states how many there
are. All of it together takes a share more for supplies, guard rings and routing. Capacitors above amplifiers would save some; pads, the
digital side and scribe lines are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from ..errors import InputError
from ..records import Record
from .parts import Resistors
from .provenance import Figure

SQUARE_MM = 1e-6
"""m^2."""
SHOWN = 0.005
"""Share of the whole from which a kind of part is named in text."""


class Areas(Record):
    """Sizes of a technology's parts on silicon; every one is stated, with its source."""

    sheet_resistance: Figure
    """Of the resistors' film, ohm a square."""
    resistor_width: Figure
    """Drawn width of the film, m."""
    resistor_head: Figure
    """From the film's end to the end of its contact, m, at each end."""
    resistor_spacing: Figure
    """Between two resistors, m."""
    ladder: Literal["binary", "R-2R"] = Field(default="binary")
    """How programmable conductances are made; see the module's docstring."""
    capacitance_density: Figure
    """Of the capacitors, F/m^2."""
    capacitor_border: Figure
    """Around each plate: its overlap and half of the space to the next one, m."""
    amplifier: Figure
    """Of one amplifier with its bias and its common-mode loop, m^2."""
    switch: Figure
    """Of one switch, m^2."""
    bit: Figure
    """Of the memory of one bit, m^2."""
    dac: Figure
    """Of one DAC, m^2."""
    adc: Figure
    """Of one ADC, m^2."""
    line_pitch: Figure
    """Width of an array's line and space to the next one, m."""
    overhead: Figure
    """What supplies, guard rings and routing add, as a share of all parts."""

    def figures(self) -> dict[str, Figure]:
        """Those with a source, by name."""
        return {name: value for name in type(self).model_fields if isinstance(value := getattr(self, name), Figure)}


@dataclass(frozen=True, eq=False)
class ArrayCounts:
    """What an array is made of.

    Attributes:
        cells: unknowns. rails: that carry each.
        places: programmable conductances of one rail and one slice. codes: that set them, of all slices. slices: 1 or 2.
        amplifiers: all. further: of these, inverters, summing stages and second integrators, each with two resistors of the unit.
        capacitors: value, F, and number of each kind.
        driven: whether cells have input resistors. signed: whether an entry may have either sign.
        resistors: value, ohm, and number of each kind, where the technology's are made to order; those that are programmed are not asked.
    """

    cells: int
    rails: int
    places: int
    codes: int
    amplifiers: int
    further: int
    capacitors: Sequence[tuple[float, int]]
    slices: int = 1
    driven: bool = True
    signed: bool = True
    resistors: Sequence[tuple[float, int]] = ()


@dataclass(frozen=True)
class ArrayArea:
    """What an array takes, m^2.

    Attributes:
        parts: by kind of part, the largest first; they add up to the total.
        crosspoint: area of one crosspoint, all rails and slices; 0: resistors are made to order.
        ladder: how programmable conductances are made.
        figures: behind it, by the name of their field.
    """

    parts: dict[str, float]
    crosspoint: float
    ladder: str
    figures: dict[str, Figure]

    @property
    def total(self) -> float:
        """All of it, m^2."""
        return math.fsum(self.parts.values())

    @property
    def crosspoint_pitch(self) -> float:
        """Side of a square crosspoint, m."""
        return math.sqrt(self.crosspoint)

    @property
    def kinds(self) -> dict[str, list[str]]:
        """Names of the figures of each kind."""
        found: dict[str, list[str]] = {}
        for name, figure in self.figures.items():
            found.setdefault(figure.kind, []).append(name)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, areas in m^2."""
        return {
            "total": self.total,
            "total_mm2": self.total / SQUARE_MM,
            "parts": self.parts,
            "crosspoint": self.crosspoint,
            "ladder": self.ladder,
            "figures": {name: figure.model_dump() for name, figure in self.figures.items()},
        }

    def __str__(self) -> str:
        shown = {name: area for name, area in self.parts.items() if area >= SHOWN * self.total}
        shares = ", ".join(f"{name} {area / SQUARE_MM:.3g}" for name, area in shown.items())
        kinds = ", ".join(f"{len(names)} {kind}" for kind, names in self.kinds.items())
        return f"{self.total / SQUARE_MM:.3g} mm^2: {shares}; of its figures {kinds}"


def array_area(technology: Any, counts: ArrayCounts) -> ArrayArea:
    """The area of an array.

    Args:
        technology: a `Technology` with an `area`.
        counts: of its parts.

    Raises:
        InputError: the technology states no areas.
    """
    areas, resistors = technology.area, technology.resistors
    if areas is None:
        raise InputError(f"{missing(technology)}: give a technology with a table [area], as integrated has")
    made = {"conductances": 0.0, "switches": 0.0, "memory": 0.0, "lines": 0.0, "resistors": 0.0}
    crosspoint, switch, bits = 0.0, areas.switch.value, resistors.bits
    if bits is not None:
        for k in range(counts.slices):
            one = conductance_area(areas, resistors, resistors.unit * 2.0 ** (bits * k))
            closing = (bits if areas.ladder == "binary" else 2 * bits) + (2 if counts.signed else 0)
            made["conductances"] += counts.places * counts.rails * one
            made["switches"] += counts.places * counts.rails * closing * switch
            crosspoint += counts.rails * (one + closing * switch)
        memory = counts.codes * (bits + counts.signed) * areas.bit.value
        made["memory"] = memory
        crosspoint += memory / counts.places if counts.places else 0.0
        lines = (counts.rails * areas.line_pitch.value) ** 2
        made["lines"] = counts.places * max(0.0, lines - crosspoint)
        crosspoint = max(crosspoint, lines)
        if counts.driven:
            inputs = [resistor_area(areas, resistors, resistors.unit * 2.0**k) for k in range(resistors.drive_ranges)]
            made["resistors"] += counts.cells * counts.rails * math.fsum(inputs)
            if resistors.drive_ranges > 1:
                made["switches"] += counts.cells * counts.rails * resistors.drive_ranges * switch
        made["resistors"] += 2 * counts.further * resistor_area(areas, resistors, resistors.unit)
    else:
        made["resistors"] = math.fsum(many * resistor_area(areas, resistors, ohm) for ohm, many in counts.resistors)
    density, border = areas.capacitance_density.value, areas.capacitor_border.value
    plates = [many * (math.sqrt(farad / density) + 2 * border) ** 2 for farad, many in counts.capacitors]
    made["capacitors"] = math.fsum(plates)
    made["amplifiers"] = counts.amplifiers * areas.amplifier.value
    if counts.driven:
        for name, converter in (("DACs", technology.dac), ("ADCs", technology.adc)):
            each = areas.dac.value if name == "DACs" else areas.adc.value
            made[name] = (converter.count or counts.cells) * each
    made["overhead"] = areas.overhead.value * math.fsum(made.values())
    ordered = dict(sorted(made.items(), key=lambda item: -item[1]))
    return ArrayArea(ordered, crosspoint, areas.ladder, areas.figures())


def missing(technology: Any) -> str:
    """That a technology has no areas, in words."""
    return f"technology {technology.name} states no areas"


def resistor_area(areas: Areas, resistors: Resistors, ohm: float) -> float:
    """Of one resistor, m^2."""
    return _strips(areas, resistors, ohm, 1)


def conductance_area(areas: Areas, resistors: Resistors, ohm: float) -> float:
    """Of one programmable conductance of at most 1/`ohm`, m^2, without its switches.

    Raises:
        InputError: conductances without bits are not programmable.
    """
    bits = resistors.bits
    if bits is None:
        raise InputError("resistors.bits is none: a conductance without bits is not programmable; use resistor_area")
    beside = 0.0
    if resistors.on_off is not None:
        beside = resistor_area(areas, resistors, ohm * resistors.on_off)
        ohm = ohm / (1 - 1 / resistors.on_off)
    unit = ohm * (1 - 2.0**-bits)
    if areas.ladder == "binary":
        return beside + _strips(areas, resistors, 2 * unit * (2.0**bits - 1), bits)
    return beside + _strips(areas, resistors, (3 * bits + 1) * unit, 2 * bits)


def _strips(areas: Areas, resistors: Resistors, ohm: float, count: int) -> float:
    """Of so many strips of so many ohms together."""
    width, sheet = areas.resistor_width.value, areas.sheet_resistance.value
    squares = ohm / sheet
    if resistors.area is not None:
        # The same squares, as wide as Pelgrom's area needs.
        width = max(width, math.sqrt(resistors.area / squares))
    heads = 2 * areas.resistor_head.value * count
    return (squares * width + heads) * (width + areas.resistor_spacing.value)
