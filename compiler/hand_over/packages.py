"""Packages that a board's parts come in: op-amps by two or four, footprints of KiCad's libraries, power and voltage ratings.

Pins are those of data sheets that all dual and quad op-amps in these packages share (TL072, LM358, ...; TL074, LM324, ...).
Footprints are names of KiCad's own libraries (6 to 9); a resistor's rating by the body's size is the usual one (IEC 60115-2 styles).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...circuits.errors import UnrealisableError
from ...circuits.technology.parts import OpAmp
from ...circuits.technology.presets import PRESETS

DERATING = 2.0
"""Power and voltage ratings are at least this many times what a part sees."""


class Unit(NamedTuple):
    """Pin numbers of one amplifier in a package."""

    output: str
    inverting: str
    non_inverting: str


class Package(NamedTuple):
    """A package of op-amps.

    Attributes:
        part: of TI's TL07x. symbol: of one whose figures are others. footprint: in KiCad's libraries.
        units: the amplifiers. upper, lower: supply pins.
    """

    part: str
    symbol: str
    footprint: str
    units: tuple[Unit, ...]
    upper: str
    lower: str


DUAL = Package("TL072", "OPAMP_DUAL", "Package_DIP:DIP-8_W7.62mm", (Unit("1", "2", "3"), Unit("7", "6", "5")), "8", "4")
QUAD = Package(
    "TL074",
    "OPAMP_QUAD",
    "Package_DIP:DIP-14_W7.62mm",
    (Unit("1", "2", "3"), Unit("7", "6", "5"), Unit("8", "9", "10"), Unit("14", "13", "12")),
    "4",
    "11",
)

RESISTORS = (
    (0.25, "Resistor_THT:R_Axial_DIN0207_L6.3mm_D2.5mm_P10.16mm_Horizontal"),
    (0.5, "Resistor_THT:R_Axial_DIN0309_L9.0mm_D3.2mm_P12.70mm_Horizontal"),
    (1.0, "Resistor_THT:R_Axial_DIN0411_L9.9mm_D3.6mm_P15.24mm_Horizontal"),
    (2.0, "Resistor_THT:R_Axial_DIN0414_L11.9mm_D4.5mm_P15.24mm_Horizontal"),
)
"""(W, footprint) of metal film resistors."""
CAPACITORS = (
    (1e-7, "Capacitor_THT:C_Rect_L7.2mm_W2.5mm_P5.00mm_FKS2_FKP2_MKS2_MKP2"),
    (4.7e-7, "Capacitor_THT:C_Rect_L7.2mm_W4.5mm_P5.00mm_FKS2_FKP2_MKS2_MKP2"),
    (1e-6, "Capacitor_THT:C_Rect_L7.2mm_W7.2mm_P5.00mm_FKS2_FKP2_MKS2_MKP2"),
)
"""(largest F, footprint) of film capacitors of 63 V."""
FILM_VOLTS = (63.0, 100.0, 250.0, 400.0)
DECOUPLING, DECOUPLING_FOOTPRINT = 1e-7, "Capacitor_THT:C_Disc_D5.0mm_W2.5mm_P5.00mm"
SUPPLY_FOOTPRINT = "TerminalBlock:TerminalBlock_bornier-3_P5.08mm"
LARGEST_HEADER = 40


def header_footprint(pins: int) -> str:
    """A row of pins."""
    return f"Connector_PinHeader_2.54mm:PinHeader_1x{pins:02d}_P2.54mm_Vertical"


def packages_for(count: int) -> list[Package]:
    """Quads, and a dual where one or two are left."""
    quads, left = divmod(count, 4)
    return [QUAD] * (quads + (left == 3)) + [DUAL] * (left in (1, 2))


def part_of(package: Package, opamp: OpAmp) -> str:
    """The part that has these figures: TL072 or TL074 for those of `breadboard`; else only that a part of such figures is needed."""
    return package.part if opamp == PRESETS["breadboard"].opamp else package.symbol


def resistor_package(name: str, watts: float) -> tuple[float, str]:
    """Rating (W) and footprint of a resistor that sees `watts`.

    Raises:
        UnrealisableError: more than the largest can take.
    """
    for rating, footprint in RESISTORS:
        if rating >= DERATING * watts:
            return rating, footprint
    raise UnrealisableError(
        f"{name} may have to take {watts:.3g} W, and {RESISTORS[-1][0]:g} W is the largest rating here, used by half: set a larger "
        "resistors.unit, or a smaller opamp.output_limit or dac.full_scale"
    )


def capacitor_package(name: str, farad: float, volts: float) -> tuple[float, str]:
    """Rating (V) and footprint of a film capacitor that sees `volts`.

    Raises:
        UnrealisableError: larger than film capacitors are.
    """
    rating = next((rating for rating in FILM_VOLTS if rating >= DERATING * volts), None)
    footprint = next((footprint for most, footprint in CAPACITORS if farad <= most * (1 + 1e-9)), None)
    if rating is None or footprint is None:
        raise UnrealisableError(
            f"{name} has {farad:.3g} F at up to {volts:.3g} V; film capacitors here have at most {CAPACITORS[-1][0]:g} F and "
            f"{FILM_VOLTS[-1]:g} V: set a smaller capacitors.unit"
        )
    return rating, footprint


def figures_of(opamp: OpAmp) -> Sequence[tuple[str, str]]:
    """What an op-amp has to have, as (figure, value)."""
    return (
        ("gain", f"{opamp.gain:g}"),
        ("gain-bandwidth product", f"{opamp.gbw:g} Hz"),
        ("offset, standard deviation", f"{opamp.offset_mismatch:g} V"),
        ("output swing", f"+-{opamp.output_limit:g} V"),
        ("output current", f"{opamp.output_current:g} A"),
        ("supply", f"+-{opamp.supply:g} V"),
    )
