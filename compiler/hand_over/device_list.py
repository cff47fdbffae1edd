"""Every device of a circuit as one row: what it is, where it is, and what its value may deviate by."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from types import MappingProxyType

from ...circuits.netlist.elements import Capacitor, Element, Inductor, Resistor
from ...circuits.netlist.semiconductors import Device
from ...circuits.spice.parameters import value_of
from ...circuits.technology.parts import Variation
from ...circuits.technology.technology import Technology
from ..analysis.deviations import deviations
from ..program import AnalogProgram
from .circuit import Circuit
from .process_devices import Sized

COLUMNS = ("name", "cell", "kind", "value", "unit", "standard_deviation", "nodes", "model")
NO_SIZES: Mapping[str, Sized] = MappingProxyType({})
_UNITS: dict[type[Element], str] = {Resistor: "ohm", Capacitor: "F", Inductor: "H"}


def device_list(program: AnalogProgram, circuit: Circuit, sizes: Mapping[str, Sized] = NO_SIZES) -> str:
    """CSV with a row for each device of `array_text`; standard deviations are relative, of each device on its own.

    Args:
        program: as compiled. circuit: of it.
        sizes: of a foundry's devices, by name.
    """
    varied = set(deviations(program)) if program.fabric.has_dies else set()
    rows: list[tuple[object, ...]] = [COLUMNS]
    netlist = circuit.undriven()
    for part in netlist:
        model, deviation, value, unit = (
            "",
            "",
            "",
            next((u for kind, u in _UNITS.items() if isinstance(part, kind)), ""),
        )
        if isinstance(part, Device):
            model = " ".join([part.model.name, *(f"{name}={value!r}" for name, value in part.values.items())])
        if part.name in sizes:
            size = sizes[part.name]
            deviation, value, unit = repr(size.deviation), repr(size.value), size.unit
        elif part.name in varied:
            deviation = _deviation(part, program.technology)
        if unit and not value:
            value = repr(value_of(part))
        kind = type(part).__name__
        rows.append((part.name, netlist.group_of(part.name), kind, value, unit, deviation, " ".join(part.nodes), model))
    return as_csv(rows)


def _deviation(part: Element, technology: Technology) -> str:
    kinds: dict[type[Element], Variation] = {
        Resistor: technology.resistors,
        Capacitor: technology.capacitors,
        Inductor: technology.inductors,
    }
    variation = kinds.get(type(part))
    return "" if variation is None or not variation.mismatch else repr(variation.mismatch)


def as_csv(rows: list[tuple[object, ...]]) -> str:
    """Rows as CSV text."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
