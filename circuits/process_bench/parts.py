"""A process's resistor or capacitor of a size as a part of a netlist, at a corner and on a die of given deviations."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ..errors import InputError
from ..netlist.elements import GROUND, Element
from ..netlist.library_passives import SheetResistor, SubcircuitCapacitor, SubcircuitResistor
from ..netlist.model_library import LibraryModel
from ..technology.pdk.process_record import Process


def process_resistor(
    process: Process,
    model: str,
    name: str,
    nodes: tuple[str, str],
    width: float,
    length: float,
    corner: str = "tt",
    sigmas: float = 0.0,
) -> Element:
    """A resistor between two nodes, its substrate at ground.

    Args:
        process, model: which. name: X... of a sub-circuit, R... of a sheet model. width, length: m. corner: of the passives.
        sigmas: by how many standard deviations the die's sheet resistance is off.

    Raises:
        InputError: the process has no such resistor, or none that ngspice knows; a size out of range.
    """
    kind = process.resistors.get(model)
    if kind is None or not kind.simulated:
        there = ", ".join(name for name, one in process.resistors.items() if one.simulated)
        raise InputError(f"{process.name} has no resistor {model!r} that ngspice could be given; there are: {there}")
    known = _on_die(process.models("tt", corner)[model], process, kind.statistic, kind.statistic_sigma * sigmas, sigmas)
    size = {kind.width_parameter: width, kind.length_parameter: length}
    if kind.letter == "R":
        return SheetResistor(name, *nodes, known, size)
    return SubcircuitResistor(name, *nodes, GROUND, known, size)


def process_capacitor(
    process: Process,
    model: str,
    name: str,
    nodes: tuple[str, str],
    width: float,
    length: float,
    corner: str = "tt",
    sigmas: float = 0.0,
) -> Element:
    """A capacitor between two nodes; arguments and errors as `process_resistor`."""
    kind = process.capacitors.get(model)
    if kind is None:
        raise InputError(f"{process.name} has no capacitor {model!r}; there are: {', '.join(process.capacitors)}")
    known = _on_die(process.models("tt", corner)[model], process, kind.statistic, kind.spread * sigmas, sigmas)
    unit = kind.parameter_unit
    return SubcircuitCapacitor(
        name, *nodes, known, {kind.width_parameter: width / unit, kind.length_parameter: length / unit}
    )


def _on_die(model: LibraryModel, process: Process, statistic: str, value: float, sigmas: float) -> LibraryModel:
    """The model with its statistical parameter set, by a card that stands after the library's own."""
    if not sigmas:
        return model
    if not statistic:
        raise InputError(f"the files of {process.name} have no statistics of {model.name}; leave sigmas at 0")
    words: Mapping[str, float] = {**process.statistics_on, statistic: value}
    card = " ".join([".param", *(f"{name}={number!r}" for name, number in words.items())])
    library = dataclasses.replace(model.library, cards=(*model.library.cards, card))
    return dataclasses.replace(model, library=library)
