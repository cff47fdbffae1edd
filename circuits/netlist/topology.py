"""Checks on the graph of a netlist that must hold before a simulator sees it.

ngspice may "solve" a circuit with a floating node or a loop of sources and return nonsense (hundreds of kilovolts), so
the graph is judged here: every node is tied to ground, every node has a path for direct current, and no loop consists
only of parts that fix a voltage at direct current (voltage sources, controlled voltage sources, inductors).
"""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import NetlistError
from .elements import CCVS, GROUND, VCVS, Element, Inductor, Resistor, VoltageSource
from .limiting import SaturatingVCCS
from .mutual_inductance import MutualInductance
from .semiconductors import Device

_CONDUCTING = (Resistor, Inductor, VoltageSource, VCVS, CCVS)
_SOURCES = (VoltageSource, VCVS, CCVS)


class UnionFind:
    """Disjoint sets of nodes, with path halving."""

    def __init__(self, items: Iterable[str]) -> None:
        self.parent = {item: item for item in items}

    def find(self, item: str) -> str:
        """The representative of the set that holds `item`."""
        parent = self.parent
        while parent[item] != item:
            parent[item] = item = parent[parent[item]]
        return item

    def union(self, first: str, second: str) -> bool:
        """Join two sets; False if they were one already."""
        first, second = self.find(first), self.find(second)
        if first == second:
            return False
        self.parent[first] = second
        return True


def check_topology(elements: tuple[Element, ...], nodes: tuple[str, ...], direct_current: bool = True) -> None:
    """Raise NetlistError if a node floats, nothing is grounded, or voltage-fixing parts form a loop.

    Args:
        elements: all parts of the netlist.
        nodes: all its nodes without ground.
        direct_current: whether inductors count as fixing a voltage, as they do at rest.
    """
    fixing = (*_SOURCES, Inductor) if direct_current else _SOURCES
    if not elements:
        raise NetlistError("the netlist is empty; add elements before simulating it")
    everything = (*nodes, GROUND)
    connected, conducting, fixed = UnionFind(everything), UnionFind(everything), UnionFind(everything)
    for element in elements:
        if isinstance(element, Device | MutualInductance):
            if isinstance(element, Device):
                _join(connected, element.nodes)
                _join(conducting, element.conducting)
            continue
        connected.union(element.a, element.b)
        if isinstance(element, _CONDUCTING) or (isinstance(element, SaturatingVCCS) and element.is_resistance):
            conducting.union(element.a, element.b)
        if isinstance(element, fixing) and not fixed.union(element.a, element.b):
            raise NetlistError(
                f"{element.name} ({element.a}, {element.b}) closes a loop of voltage-fixing parts: "
                f"{', '.join(_loop(element, elements, fixing))}; put a resistor in series with one of them"
            )
    _check_connected(
        connected, nodes, "no element path to ground (node '0')", "connect it, or drop the unused elements"
    )
    _check_connected(
        conducting,
        nodes,
        "no path for direct current to ground (only capacitors, current sources or controlling inputs reach it)",
        "add a resistor from it to ground or to a driven node",
    )


def _join(sets: UnionFind, nodes: tuple[str, ...]) -> None:
    for node in nodes[1:]:
        sets.union(nodes[0], node)


def _check_connected(sets: UnionFind, nodes: tuple[str, ...], what: str, remedy: str) -> None:
    ground = sets.find(GROUND)
    stray = [node for node in nodes if sets.find(node) != ground]
    if stray:
        shown = ", ".join(repr(node) for node in stray[:5])
        more = f" and {len(stray) - 5} more" if len(stray) > 5 else ""
        raise NetlistError(f"floating node {shown}{more}: {what}; {remedy}")


def _loop(closing: Element, elements: tuple[Element, ...], fixing: tuple[type[Element], ...]) -> list[str]:
    """Names of the voltage-fixing parts on the loop that `closing` completes."""
    links: dict[str, list[tuple[str, str]]] = {}
    for element in elements:
        if element is closing:
            break
        if isinstance(element, fixing):
            links.setdefault(element.a, []).append((element.b, element.name))
            links.setdefault(element.b, []).append((element.a, element.name))
    paths: dict[str, list[str]] = {closing.a: []}
    front = [closing.a]
    while front:
        node = front.pop(0)
        for other, name in links.get(node, []):
            if other not in paths:
                paths[other] = [*paths[node], name]
                front.append(other)
    return [*paths.get(closing.b, []), closing.name]
