"""A circuit of a process's parts at another of its corners."""

from __future__ import annotations

import dataclasses
from typing import Any

from ...errors import InputError
from ...netlist.elements import Element
from ...netlist.model_library import LibraryModel
from ...netlist.netlist import Netlist
from ...netlist.semiconductors import Device
from .registry import process


def at_corner(netlist: Netlist, corner: str, passives: str = "tt") -> Netlist:
    """A copy whose parts of a foundry's process are made at this corner, whatever they were made at; all else stays.

    Args:
        netlist: with parts of a process. corner: of its transistors. passives: corner of its resistors and capacitors.

    Raises:
        InputError: no part is of a process, so that there would be nothing to change; an unknown corner.
    """
    models: dict[str, dict[str, LibraryModel]] = {}
    other = Netlist(netlist.title, netlist.temperature, netlist.comments)
    for element in netlist:
        moved: Element = element
        if isinstance(element, Device) and isinstance(element.model, LibraryModel):
            name = element.model.library.process
            known = models.setdefault(name, {}) or process(name).models(corner, passives)
            models[name] = known
            changed: Any = element
            moved = dataclasses.replace(changed, model=known[element.model.name])
        other.add(moved, group=netlist.group_of(element.name))
    if not models:
        raise InputError(
            f"netlist {netlist.title!r} has no part of a foundry's process, and so no corner {corner!r}; name the process in the netlist: "
            ".lib pdk:gf180mcu tt"
        )
    return other
