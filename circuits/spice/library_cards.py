"""A card whose part is one of a process's models: a resistor, a capacitor, or a transistor written as a sub-circuit's instance."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import InputError
from ..netlist.elements import Element
from ..netlist.library_passives import SheetResistor, SubcircuitCapacitor, SubcircuitResistor
from ..netlist.model_library import LibraryModel
from ..netlist.semiconductors import Mosfet
from .expressions import Scope


def read_library_part(
    name: str, words: list[str], model: LibraryModel, node: Callable[[str], str], scope: Scope
) -> Element:
    """The part of a card: its name, then `words` with nodes, the model's name and ``name=number`` parameters.

    A transistor may be an instance of the sub-circuit that a foundry wraps around it (``XM1 d g s b nfet_03v3 ...``), and is then
    the transistor itself, M1.

    Raises:
        InputError: nodes too few or too many; a parameter that the model does not have.
    """
    plain = [word for word in words if "=" not in word]
    given: dict[str, float] = {}
    for key, equals, value in (word.partition("=") for word in words):
        if equals:
            if key.lower() in given:
                raise InputError(f"parameter {key!r} is given twice; drop one")
            given[key.lower()] = scope.number(value)
    transistor = model.kind in Mosfet.kinds
    count = 4 if transistor else model.nodes
    if len(plain) != count + 1:
        raise InputError(f"{model.name} has {count} nodes, {len(plain) - 1} are given")
    nodes = [node(word) for word in plain[:-1]]
    if transistor:
        own = name[1:] if name[1:2].upper() == "M" and len(name) > 2 else f"M{name[1:]}"
        return Mosfet(own, nodes[0], nodes[1], nodes[2], nodes[3], model, given)
    if model.kind == "CAPACITOR":
        return SubcircuitCapacitor(name, nodes[0], nodes[1], model, given)
    if model.is_subcircuit:
        return SubcircuitResistor(name, nodes[0], nodes[1], nodes[2], model, given)
    return SheetResistor(name, nodes[0], nodes[1], model, given)
