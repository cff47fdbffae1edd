"""A circuit whose resistors and capacitors are a foundry's devices: films and plates of the process's models, by size.

A resistor is a strip of the process's usual film. Its width is that of a unit resistor of `resistors.area`, where Pelgrom's law states one,
else `area.resistor_width`; its length makes the resistance at the circuit's temperature. A capacitor is a square plate. Both are drawn
on the layout's grid.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ...circuits.errors import InputError
from ...circuits.netlist.elements import GROUND, Capacitor, Element, Resistor
from ...circuits.netlist.library_passives import SheetResistor, SubcircuitCapacitor, SubcircuitResistor
from ...circuits.technology.pdk.devices import ProcessResistor
from ...circuits.technology.pdk.process_record import Process
from ...circuits.technology.technology import Technology
from .circuit import Circuit

GRID = 5
"""nm that sizes are multiples of."""


class Sized(NamedTuple):
    """A device that stands for a resistor or a capacitor: width and length, m, its own standard deviation, relative, and ohm or F."""

    width: float
    length: float
    deviation: float
    value: float
    unit: str


def with_process_devices(
    circuit: Circuit, process: Process, technology: Technology, corner: str = "tt"
) -> tuple[Circuit, dict[str, Sized]]:
    """The circuit with the process's devices, and their sizes by name.

    Args:
        circuit: of `circuit_of`. process: whose models are installed. technology: of the program.

    Raises:
        InputError: the models are not installed; a value beyond what a device is made for.
    """
    models = process.models(corner)
    resistor = next(one for one in process.resistors.values() if one.simulated)
    capacitor = next(iter(process.capacitors.values()))
    width, kelvin = _width(resistor, technology), circuit.netlist.temperature
    sizes: dict[str, Sized] = {}

    def film(part: Resistor) -> Element:
        length = _length(part, resistor, width, kelvin)
        model, parameters = models[resistor.model], {resistor.width_parameter: width, resistor.length_parameter: length}
        name = part.name if resistor.letter == "R" else f"X{part.name}"
        sizes[name] = Sized(width, length, resistor.mismatch(width, length), part.resistance, "ohm")
        if resistor.letter == "R":
            return SheetResistor(name, part.a, part.b, model, parameters)
        return SubcircuitResistor(name, part.a, part.b, GROUND, model, parameters)

    def plate(part: Capacitor) -> Element:
        side = _on_grid(capacitor.side(part.capacitance))
        name = f"X{part.name}"
        sizes[name] = Sized(side, side, capacitor.mismatch(side, side), part.capacitance, "F")
        drawn = side / capacitor.parameter_unit
        parameters = {capacitor.width_parameter: drawn, capacitor.length_parameter: drawn}
        return SubcircuitCapacitor(name, part.a, part.b, models[capacitor.model], parameters)

    def device(part: Element) -> Element:
        if isinstance(part, Resistor):
            return film(part)
        return plate(part) if isinstance(part, Capacitor) else part

    return circuit.with_parts(device), sizes


def _width(resistor: ProcessResistor, technology: Technology) -> float:
    """W of all films, m: that of a unit resistor of the stated area, W^2 = area R_s / R, or the stated width."""
    area, stated = technology.resistors.area, technology.area
    if area is not None:
        width = math.sqrt(area * resistor.sheet / technology.resistors.unit)
    elif stated is not None:
        width = stated.resistor_width.value
    else:
        width = 0.0
    return max(_on_grid(width), resistor.min_width)


def _length(part: Resistor, resistor: ProcessResistor, width: float, kelvin: float) -> float:
    """L at which the film has the resistance at this temperature; the law is linear in L."""
    short, long = (resistor.resistance(width, length, kelvin) for length in (0.0, 1e-5))
    length = _on_grid(1e-5 * (part.resistance - short) / (long - short))
    if length < width / 10:
        raise InputError(
            f"{part.name} of {part.resistance:.4g} ohm is too small for a strip of {resistor.model} that is {1e6 * width:.3g} um wide: set "
            "a larger resistors.unit, or a wider film by area.resistor_width"
        )
    return length


def _on_grid(size: float) -> float:
    return float(f"{GRID * round(1e9 * size / GRID)}e-9")
