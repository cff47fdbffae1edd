"""A program's netlist, and which of its parts are drives, which stand for amplifiers, and which are what is bought or drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...circuits.amplifiers.models import AmplifierCell, OnePole
from ...circuits.netlist.elements import GROUND, CurrentSource, Element, VoltageSource
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.amplifier_draw import AmplifierDraw
from ..program import AnalogProgram


class PlacedAmplifier(NamedTuple):
    """One amplifier of the circuit.

    Attributes:
        name: suffix of its parts' names. inputs: (non-inverting, inverting) nodes. outputs: one or two nodes. group: its cell.
    """

    name: str
    inputs: tuple[str, str]
    outputs: tuple[str, ...]
    group: str


class _Noted:
    """An amplifier cell that notes where it was put, and which parts stand for it."""

    def __init__(self, cell: AmplifierCell) -> None:
        self.cell = cell
        self.placed: list[PlacedAmplifier] = []
        self.models: set[str] = set()
        self.title = str(getattr(cell, "title", ""))

    def add(
        self,
        netlist: Netlist,
        inputs: tuple[str, str],
        outputs: tuple[str, ...],
        name: str,
        offset: float = 0.0,
        state: float = 0.0,
        group: str = "",
        draw: AmplifierDraw | None = None,
    ) -> None:
        """See `AmplifierCell.add`."""
        before = {element.name for element in netlist}
        self.cell.add(netlist, inputs, outputs, name, offset, state, group, draw)
        self.models |= {element.name for element in netlist} - before
        self.placed.append(PlacedAmplifier(name, inputs, outputs, group))


@dataclass(frozen=True, eq=False)
class Circuit:
    """A program driven by b.

    Attributes:
        netlist: all of it.
        drives: the sources of the right-hand side. amplifiers: where they are. models: names of the parts that stand for them.
        read: nodes whose voltages carry the solution.
    """

    netlist: Netlist
    drives: tuple[VoltageSource | CurrentSource, ...]
    amplifiers: tuple[PlacedAmplifier, ...]
    models: frozenset[str]
    read: tuple[str, ...]

    @property
    def own(self) -> list[Element]:
        """Parts that are neither drives nor in amplifiers."""
        drives = {part.name for part in self.drives}
        return [part for part in self.netlist if part.name not in self.models and part.name not in drives]

    @property
    def ports(self) -> tuple[str, ...]:
        """Nodes that are driven or read."""
        ends = (node for part in self.drives for node in part.nodes)
        return tuple(dict.fromkeys(node for node in (*ends, *self.read) if node != GROUND))

    def undriven(self) -> Netlist:
        """The netlist without its drives."""
        drives, rest = {part.name for part in self.drives}, self._empty()
        for part in self.netlist:
            if part.name not in drives:
                rest.add(part, group=self.netlist.group_of(part.name))
        return rest

    def with_parts(self, change: Callable[[Element], Element]) -> Circuit:
        """The same circuit with each of `own` replaced by what `change` makes of it."""
        own, other = {part.name for part in self.own}, self._empty()
        for part in self.netlist:
            other.add(change(part) if part.name in own else part, group=self.netlist.group_of(part.name))
        return Circuit(other, self.drives, self.amplifiers, self.models, self.read)

    def _empty(self) -> Netlist:
        return Netlist(self.netlist.title, self.netlist.temperature, self.netlist.comments)


def circuit_of(program: AnalogProgram, b: Any, amplifier: AmplifierCell | None = None) -> Circuit:
    """The circuit of a program.

    Args:
        program: as compiled. b: (n,) right-hand side.
        amplifier: what stands for each amplifier, as for `AnalogProgram.netlist`; None: linear, one pole.
    """
    noted = _Noted(amplifier or OnePole(program.technology.opamp))
    netlist = program.netlist(b, amplifier=noted if program.fabric.active or amplifier is not None else None)
    named = {name for drive in program.fabric.drives(program.parts) for name in drive}
    drives = tuple(p for p in netlist if p.name in named and isinstance(p, VoltageSource | CurrentSource))
    return Circuit(netlist, drives, tuple(noted.placed), frozenset(noted.models), program.nodes)
