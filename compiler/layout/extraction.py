"""The post-layout ("extracted") netlist of an array: its wires, switches, parasitic capacitances and DAC outputs as parts.

Geometry, n unknowns; rows and columns count from 1:

    DAC, input resistor, integrator i and its capacitor stand at the right end of row i; of oscillators both integrators, and link,
        friction and series resistors
    line p_j (m_j or n_j)   driven at the top by amplifier j, runs down past rows 1 ... n
    line e_i (ep_i, em_i)   runs from column 1 to column n, then to the input of amplifier i

             p1      p2
             |       |          | column segment, - row segment: one before every crosspoint, seen from the line's amplifier
             +--X    +--X
        e1_1 |  +----|--+------ e1   amplifier 1
             +--X    +--X
        e2_1 |  +----|--+------ e2   amplifier 2

So each line has n segments and n taps, `p2_1` being line p2 at row 1 and `e1_2` line e1 at column 2, and the way from driver j to amplifier
i is i + n + 1 - j segments: n + 1 for every diagonal entry. Between the array's edges and the amplifiers there is no further wire. The two
rails of a pair run side by side: a differential crosspoint (i, j) has four places, (p_j or m_j) x (ep_i or em_i), at the same taps, and
at most two of them hold resistors; a second slice has four more. In a single-ended array places are on (p_j, e_i), and on (n_j, e_i) where
column j has an inverter.

What is put in, each part only where its record in `Technology` is not zero:

    RW<line>_<k>   segment of line <line> between tap k and the next one towards its amplifier, at the temperature of the crosspoint
    CW<line>_<k>   from that tap to ground; where wires have no resistance, from the line
    RS<i>_<j>...   closed switch in series with resistor R<i>_<j>..., between it and the row line
    RL<i>_<j>...   open switch at each place without a resistor; ends in the rails of column and row line, as in RL1_2pm
    CX<i>_<j>...   between the two lines, at each place
    RST, RLT, CXT  the same of a second slice's resistors RT<i>_<j>...
    CI<node>       from an amplifier's input to ground, at the amplifier; of inverters and of oscillators' positions, too
    RDAC<k>, CDAC<k>   output of the DAC behind source VB<k>: in series, and to ground after it

Without segment resistance a line is one node. Resistors make Johnson noise at their temperature. Every other part, the amplifiers
above all, is as in the schematic netlist. Parasitic capacitors start with the columns at the voltage of the integrator's capacitor and
the rows at ground, which is right but for offsets, and a DAC's with its source's. The law of such a circuit is in `layout_law`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any, TypeGuard, cast

from ...circuits.amplifiers.models import AmplifierCell
from ...circuits.bulk import collector_paused
from ...circuits.errors import InputError, UnrealisableError
from ...circuits.netlist.elements import GROUND, Capacitor, Element, Resistor, VoltageSource
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.technology import Technology
from ..fabrics.array import ArrayParts
from ..fabrics.base import group_name
from ..fabrics.registry import fabric_names
from ..program import AnalogProgram

_COUPLING, _FURTHER = re.compile(r"R(T?)\d+_\d+[pm]?"), re.compile(r"RI\d+|RL\d+[pm]")
"""Crosspoints, and what drives the inputs of further amplifiers: inverters, and positions of oscillators."""
_HELD = re.compile(r"C\d+[pm]?")


def require_array(program: AnalogProgram) -> ArrayParts:
    """The program's parts, if its fabric has a layout.

    Raises:
        UnrealisableError: it has none.
    """
    if not program.fabric.has_layout:
        raise UnrealisableError(
            f"fabric {program.fabric_name} has no layout: wires, switches and parasitics are those of an array of crosspoints; compile "
            f"the matrix for {' or '.join(fabric_names('has_layout'))}"
        )
    return cast("ArrayParts", program.parts)


def adds_parts(technology: Technology) -> bool:
    """Whether the layout of an array adds anything to its schematic: wires, switches, parasitic capacitances or a DAC's output."""
    return any(
        getattr(record, name)
        for record in (technology.wires, technology.switches)
        for name in type(record).model_fields
    ) or (technology.dac.resistance > 0 or technology.dac.capacitance > 0)


def extract_layout(netlist: Netlist, program: AnalogProgram) -> Netlist:
    """The schematic netlist with all that the layout adds; see the module's docstring.

    Args:
        netlist: of `program.netlist`, or with other amplifiers between the same lines.
        program: whose technology says what the layout adds.

    Returns:
        A new netlist with the same solution nodes, so that `program.decode` reads it. With records of zeros its parts are the schematic's.

    Raises:
        UnrealisableError: a fabric without a layout.
        InputError: a netlist without the program's lines.
    """
    with collector_paused():
        return _Layout(netlist, program).extracted()


def extracted_netlist(
    program: AnalogProgram, b: Any = None, x0: Any = None, amplifier: AmplifierCell | None = None
) -> Netlist:
    """The circuit of `program.netlist` after layout: wires, switches, parasitic capacitances and DAC outputs in it.

    It can be unstable where the schematic is not: `statespace.state_space(...).is_stable` says so.

    Args:
        program: of a fabric with a layout.
        b, x0, amplifier: as in `AnalogProgram.netlist`.

    Raises:
        UnrealisableError: a fabric without a layout.
    """
    return extract_layout(program.netlist(b, x0, amplifier), program)


def _is_coupling(element: Element) -> TypeGuard[Resistor]:
    """By its name, since an amplifier's own netlist may have a resistor between the same lines."""
    return isinstance(element, Resistor) and _COUPLING.fullmatch(element.name) is not None


def _slice_of(coupling: Resistor) -> str:
    """What the names of a slice's parts have after their first letters: "", or "T" for the second slice."""
    found = _COUPLING.fullmatch(coupling.name)
    return found[1] if found is not None else ""


class _Layout:
    """Lines, taps and places of one array."""

    def __init__(self, netlist: Netlist, program: AnalogProgram) -> None:
        parts, self.technology = require_array(program), program.technology
        self.netlist, self.size = netlist, parts.size
        self.slices = ("", "T")[: parts.slices]
        self.temperatures: list[list[float]] = parts.coupling_temperature.tolist()
        self.drives = {name for drive in program.fabric.drives(parts) for name in drive}
        there, numbers = set(netlist.nodes), range(1, self.size + 1)
        if missing := {node for pair in program.readouts for node in pair} - there - {GROUND}:
            raise InputError(
                f"netlist {netlist.title!r} lacks line {min(missing)} of the program; give the netlist of this very program"
            )
        # Rail and index of each line.
        columns = [(f"{rail}{k}", rail, k - 1) for k in numbers for rail in "pmn"]
        self.columns = {line: (rail, j) for line, rail, j in columns if line in there}
        rails = ("p", "m") if parts.rails == 2 else ("",)
        self.rows = {f"e{rail}{k}": (rail, k - 1) for k in numbers for rail in rails}
        self.further = {f"{rail}{k}" for k in numbers for rail in ("h", "fp", "fm")} & there
        self.wired = self.technology.wires.segment_resistance > 0.0
        self.start = self._voltages()

    def _voltages(self) -> dict[str, float | None]:
        """What each line's capacitances start at; None: at ground."""
        held: dict[str, float | None] = {}
        for part in self.netlist.of(Capacitor):
            if part.a in self.columns and _HELD.fullmatch(part.name):
                held.setdefault(part.a, part.initial or None)  # an amplifier's own capacitors come later
        for line, (rail, j) in self.columns.items():
            volts = held.get(f"p{j + 1}")
            if rail == "n":
                held[line] = None if volts is None else -volts
        return held | dict.fromkeys(self.rows)

    def extracted(self) -> Netlist:
        schematic = self.netlist
        out = Netlist(f"{schematic.title}, extracted", schematic.temperature, (*schematic.comments, *self._header()))
        used: set[tuple[str, str, str]] = set()
        for element in schematic:
            if _is_coupling(element):
                used.add((_slice_of(element), element.a, element.b))
            out.add(*self._in_place(element), group=schematic.group_of(element.name))
        for i in range(self.size):
            out.add(*self._row(i, used), group=group_name(i))
        return out

    def _header(self) -> Iterator[str]:
        wires, switches, dac = self.technology.wires, self.technology.switches, self.technology.dac
        yield "extracted: columns run down from their amplifiers, rows to the right to theirs; <line>_<k> is a line at crosspoint k"
        yield f"wires: {wires.segment_resistance!r} ohm and {wires.segment_capacitance!r} F from crosspoint to crosspoint"
        yield f"switches: {switches.on_resistance!r} ohm closed, {switches.leakage!r} S open"
        yield f"capacitances: {wires.crosspoint_capacitance!r} F at a place, {wires.input_capacitance!r} F at an amplifier's input"
        yield f"DAC outputs: {dac.resistance!r} ohm, {dac.capacitance!r} F"

    def _tap(self, line: str, k: int) -> str:
        """Line at tap k (0-based); -1 and n are its amplifier."""
        return f"{line}_{k + 1}" if self.wired and 0 <= k < self.size else line

    def _in_place(self, element: Element) -> Iterator[Element]:
        """What becomes of a part of the schematic."""
        if _is_coupling(element):
            yield from self._crosspoint(element)
        elif isinstance(element, VoltageSource) and element.name in self.drives:
            yield from self._dac(element)
        else:
            yield element
        if isinstance(element, Resistor) and element.b in self.further and _FURTHER.fullmatch(element.name):
            yield from self._input(element.b)

    def _crosspoint(self, resistor: Resistor) -> Iterator[Element]:
        (_, j), (_, i) = self.columns[resistor.a], self.rows[resistor.b]
        name, far, near = resistor.name, self._tap(resistor.a, i), self._tap(resistor.b, j)
        ohm, kelvin, middle = self.technology.switches.on_resistance, resistor.temperature, f"s{resistor.name[1:]}"
        if not ohm:
            yield Resistor(name, far, near, resistor.resistance, kelvin)
            return
        yield Resistor(name, far, middle, resistor.resistance, kelvin)
        yield Resistor(f"RS{name[1:]}", middle, near, ohm, kelvin)

    def _dac(self, source: VoltageSource) -> Iterator[Element]:
        dac, output, suffix = self.technology.dac, source.a, source.name[2:]
        if dac.resistance:
            source = dataclasses.replace(source, a=f"d{suffix}")
            yield Resistor(f"RDAC{suffix}", source.a, output, dac.resistance)
        yield source
        if dac.capacitance:
            yield Capacitor(f"CDAC{suffix}", output, "0", dac.capacitance, source.dc or None)

    def _input(self, node: str) -> Iterator[Element]:
        if farad := self.technology.wires.input_capacitance:
            yield Capacitor(f"CI{node}", node, "0", farad)

    def _row(self, i: int, used: set[tuple[str, str, str]]) -> Iterator[Element]:
        """What the layout adds at row i: its places, its lines, and the segments of the columns there."""
        leakage, farad = self.technology.switches.leakage, self.technology.wires.crosspoint_capacitance
        rows = [(line, rail) for line, (rail, k) in self.rows.items() if k == i]
        for column, (letter, j) in self.columns.items():
            for row, rail in rows:
                ends = self._tap(column, i), self._tap(row, j)
                for part in self.slices:
                    place = f"{part}{i + 1}_{j + 1}{letter}{rail}"
                    if leakage and (part, column, row) not in used:
                        yield Resistor(f"RL{place}", *ends, 1.0 / leakage, self.temperatures[i][j])
                    if farad:
                        yield Capacitor(f"CX{place}", *ends, farad, self.start[column])
        for row, _ in rows:
            for j in range(self.size):
                yield from self._segment(row, j, j + 1, self.temperatures[i][j])
            yield from self._input(row)
        for column, (_, j) in self.columns.items():
            yield from self._segment(column, i, i - 1, self.temperatures[i][j])

    def _segment(self, line: str, k: int, towards: int, kelvin: float) -> Iterator[Element]:
        """The segment from tap k to the tap `towards` its amplifier, and the tap's capacitance."""
        wires = self.technology.wires
        if self.wired:
            ends = self._tap(line, k), self._tap(line, towards)
            yield Resistor(f"RW{line}_{k + 1}", *ends, wires.segment_resistance, kelvin)
        if wires.segment_capacitance:
            yield Capacitor(f"CW{line}_{k + 1}", self._tap(line, k), "0", wires.segment_capacitance, self.start[line])
