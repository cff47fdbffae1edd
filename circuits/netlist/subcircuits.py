"""A netlist's groups as sub-circuits: which parts go into each cell, and through which nodes it is wired to the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import NetlistError
from .elements import GROUND, Element
from .mutual_inductance import MutualInductance
from .netlist import Netlist


@dataclass(frozen=True)
class Cell:
    """One sub-circuit, used once.

    Attributes:
        name: of the group.
        ports: nodes that are known outside as well, in the order in which the cell's parts first name them.
        elements: its parts, in the netlist's order.
    """

    name: str
    ports: tuple[str, ...]
    elements: tuple[Element, ...]


def split_cells(
    netlist: Netlist, visible: Iterable[str] = (), outside: str = ""
) -> tuple[tuple[Cell, ...], tuple[Element, ...]]:
    """The groups of a netlist as cells, and the parts at top level, both in the netlist's order.

    A node is a port where a part outside of the cell touches it; ground is global and never a port. A group without a port is no
    cell: nothing could be wired to it, so its parts stay at top level.

    Args:
        netlist: what to split.
        visible: nodes (any case) that an analysis reads, which become ports in any case.
        outside: name of a source that stays at top level, since simulators differ in how they name it inside of a cell; what senses
            its current stays with it.

    Raises:
        NetlistError: a part senses the current of a source in another group, or couples inductors of another group.
    """
    source = outside.lower()
    spelling: dict[str, str] = {}
    places: list[str] = []
    members: dict[str, list[Element]] = {}
    for element in netlist:
        group = netlist.group_of(element.name)
        partners = [name.lower() for name in element.partners]
        for partner in partners:
            if netlist.group_of(partner).lower() != group.lower():
                verb = "couples" if isinstance(element, MutualInductance) else "senses"
                raise NetlistError(
                    f"{element.name} is in group {group!r} and {verb} {netlist[partner].name}, which is in group "
                    f"{netlist.group_of(partner)!r}: add both with the same group, or write the netlist flat"
                )
        if source and source in (element.name.lower(), *partners):
            group = ""
        key = group.lower()
        spelling.setdefault(key, group)
        places.append(key)
        members.setdefault(key, []).append(element)
    users: dict[str, set[str]] = {node.lower(): {""} for node in visible}
    for element, key in zip(netlist, places, strict=True):
        for node in element.nodes:
            users.setdefault(node.lower(), set()).add(key)
    cells: dict[str, Cell] = {}
    for key, elements in members.items():
        named = dict.fromkeys(node for element in elements for node in element.nodes)
        ports = tuple(node for node in named if node != GROUND and len(users[node.lower()]) > 1)
        if key and ports:
            cells[key] = Cell(spelling[key], ports, tuple(elements))
    top = tuple(element for element, key in zip(netlist, places, strict=True) if key not in cells)
    return tuple(cells.values()), top
