"""A program's netlist with the values that its parts share as parameters: a designer changes one line in place of hundreds.

    unit_r, unit_c, unit_l     the technology's units: a matrix resistor is {unit_r*ratio}
    r_in, r_inverter           input resistors, and the two of each inverter
    gain, gbw                  of every one-pole amplifier
    offset                     input offset voltage that all amplifiers have in common, in series with each one's input
    b1, b2, ...                right-hand side, problem units
    volts_per_unit             signal level: V that one unit of the solution becomes

The temperature is one card of the text already, `.options temp=` (LTspice: `.temp`), and resistors at that temperature do not name it.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from typing import Any

import numpy as np

from ...circuits.amplifiers.models import IDEAL_GAIN, AmplifierCell
from ...circuits.netlist.elements import Capacitor, Element, Inductor, Resistor
from ...circuits.netlist.netlist import Netlist
from ...circuits.spice.parameters import Parameter, Parameters, value_of
from ...circuits.spice.writer import write_spice
from ..analysis.offset_sources import with_offset_sources
from ..program import AnalogProgram

_MEANINGS = {
    "unit_r": "unit resistance, ohm; the resistors that hold the matrix are multiples of it",
    "unit_c": "unit capacitance, F",
    "unit_l": "unit inductance, H",
    "r_in": "input resistors, ohm",
    "r_inverter": "both resistors of each inverter, ohm",
    "gain": "open-loop gain of each amplifier at rest",
    "gbw": "gain-bandwidth product of each amplifier, Hz",
    "offset": "input offset voltage that all amplifiers have in common, V",
    "volts_per_unit": "signal level, V that one unit of the solution becomes",
    "b1": "the right-hand side b, problem units",
}
_WORD = re.compile(r"(?<![0-9a-z_.])[a-z][a-z0-9_]*")  # no exponent of a number


def parametric_spice(
    program: AnalogProgram,
    b: Any = None,
    dialect: str = "ngspice",
    hierarchical: bool = False,
    amplifier: AmplifierCell | None = None,
) -> str:
    """As `AnalogProgram.to_spice`, with values as parameters; see the module's docstring.

    Args:
        program, b, dialect, hierarchical: as there.
        amplifier: what stands for each amplifier, as for `AnalogProgram.netlist`; only a one-pole amplifier's values are parameters.

    Raises:
        InputError: as `AnalogProgram.to_spice`.
    """
    netlist, parameters = parametric_netlist(program, b, amplifier)
    return write_spice(netlist, dialect, program.analysis(), hierarchical, parameters)


def parametric_netlist(
    program: AnalogProgram, b: Any = None, amplifier: AmplifierCell | None = None
) -> tuple[Netlist, Parameters]:
    """A program's netlist, each amplifier with a source for its offset even where that is 0 V, and its parts' values by parameters.

    Args: as for `parametric_spice`.
    """
    technology = program.technology
    netlist, noted = with_offset_sources(program, b, amplifier)
    netlist = _at_one_temperature(netlist)
    values = {"offset": 0.0, "gain": min(technology.opamp.gain, IDEAL_GAIN), "gbw": technology.opamp.gbw}
    values |= {"unit_r": technology.resistors.unit, "unit_c": technology.capacitors.unit}
    values |= {"unit_l": technology.inductors.unit, "volts_per_unit": program.volts_per_unit}
    if program.parts.drive_nominal:
        values["r_in"] = 1.0 / program.parts.drive_nominal
    drives = _drives(program)
    if drives:
        given = np.zeros(program.size) if b is None else program.right_hand_side(b)
        values |= {f"b{k + 1}": value for k, value in enumerate(given.tolist())}
    expressions = noted.expressions | drives
    for element in netlist:
        name = element.name
        if name in noted.offsets:
            offset = value_of(element)
            expressions[name] = f"offset{offset:+.17g}" if offset else "offset"
        elif name not in expressions and name not in noted.parts:
            shared = _shared(element, netlist.group_of(name))
            if shared is not None:
                base = values.setdefault(shared, value_of(element))
                expressions[name] = _multiple(shared, value_of(element) / base)
    used = {word for text in expressions.values() for word in _WORD.findall(text)}
    cards = [Parameter(name, float(value), _MEANINGS.get(name, "")) for name, value in values.items() if name in used]
    order = list(_MEANINGS)
    cards.sort(key=lambda card: order.index(card.name) if card.name in order else len(order))
    return netlist, Parameters(cards, expressions)


def _shared(element: Element, group: str) -> str | None:
    """The parameter that a part is a multiple of: by its letters as fabrics name their parts, and by its group."""
    if isinstance(element, Resistor):
        if element.name.startswith("RB"):
            return "r_in"
        return "r_inverter" if group.startswith("inverter") else "unit_r"
    if isinstance(element, Capacitor):
        return "unit_c"
    return "unit_l" if isinstance(element, Inductor) else None


def _drives(program: AnalogProgram) -> dict[str, str]:
    """Each drive's source -> its value by the right-hand side and the signal level; nothing where A^-1 is not in the mean."""
    if not program.fabric.mean:
        return {}
    per_unit = program.conductance_unit * program.scaling
    return {
        name: _multiple(f"b{k + 1}*volts_per_unit", per_ampere * float(scale))
        for k, (sources, scale) in enumerate(zip(program.fabric.drives(program.parts), per_unit, strict=True))
        for name, per_ampere in sources.items()
    }


def _multiple(name: str, ratio: float) -> str:
    if ratio == 1.0:
        return name
    return f"{name}*{ratio!r}" if ratio > 0 else f"-{name}*{-ratio!r}"


def _at_one_temperature(netlist: Netlist) -> Netlist:
    """Resistors at the netlist's temperature without one of their own, so that one card changes all of them."""
    other = Netlist(netlist.title, netlist.temperature, netlist.comments)
    for group, elements in itertools.groupby(netlist, lambda element: netlist.group_of(element.name)):
        other.add(*(_without_temperature(element, netlist.temperature) for element in elements), group=group)
    return other


def _without_temperature(element: Element, kelvin: float) -> Element:
    if isinstance(element, Resistor) and element.temperature == kelvin:
        return dataclasses.replace(element, temperature=None)
    return element
