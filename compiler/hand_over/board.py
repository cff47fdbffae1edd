"""`Board`: a program's circuit as parts that are bought, with designators, pins and nets; op-amps in packages, decoupling, connectors.

Each part's power and voltage are those at rest for the given right-hand side, and the largest ones: amplifiers' outputs (of a passive
circuit, all nodes) anywhere within the output limit, drives within the DAC's full scale, amplifiers' inputs at ground.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import linalg

from ...circuits.errors import UnrealisableError
from ...circuits.linear.descriptor import describe_netlist
from ...circuits.netlist.elements import GROUND, Capacitor, Resistor, VoltageSource
from ...circuits.netlist.netlist import Netlist
from ..program import AnalogProgram
from .bought import Bought, bought
from .circuit import PlacedAmplifier
from .packages import (
    DECOUPLING,
    DECOUPLING_FOOTPRINT,
    LARGEST_HEADER,
    SUPPLY_FOOTPRINT,
    Package,
    capacitor_package,
    header_footprint,
    packages_for,
    part_of,
    resistor_package,
)

GROUND_NET, UPPER, LOWER = "GND", "VCC", "VEE"


class Pin(NamedTuple):
    """A pin and the net that it is on; `kind` is KiCad's electrical type."""

    number: str
    name: str
    kind: str
    net: str


@dataclass(frozen=True)
class Component:
    """One part on the board.

    Attributes:
        reference: designator. library, symbol: of KiCad. value: as KiCad shows it. footprint: of KiCad's libraries.
        pins: all of them.
        names: what the netlist calls it; of an op-amp, its amplifiers in the order of their units, "" for an unused one.
        number: ohm or F; 0 for all else.
        tolerance: two standard deviations, relative; 0: none is stated.
        rating: W of a resistor, V of a capacitor; 0 for all else. seen: at rest for this b. most: within all limits; same unit.
        amperes: of an op-amp's units, output current at rest for this b.
    """

    reference: str
    library: str
    symbol: str
    value: str
    footprint: str
    pins: tuple[Pin, ...]
    names: tuple[str, ...] = ()
    number: float = 0.0
    tolerance: float = 0.0
    rating: float = 0.0
    seen: float = 0.0
    most: float = 0.0
    amperes: tuple[float, ...] = field(default=())


@dataclass(frozen=True, eq=False)
class Board:
    """The parts of one program for one right-hand side.

    Attributes:
        title: of the circuit. components: in the order of their designators, kind after kind.
        bought: the circuit of the same values, and what rounding has changed.
    """

    title: str
    components: tuple[Component, ...]
    bought: Bought

    def nets(self) -> dict[str, list[tuple[str, str]]]:
        """Net -> (designator, pin number) of all pins on it, ground first, then by name."""
        found: dict[str, list[tuple[str, str]]] = {}
        for component in self.components:
            for pin in component.pins:
                found.setdefault(pin.net, []).append((component.reference, pin.number))
        return dict(sorted(found.items(), key=lambda item: (item[0] != GROUND_NET, _natural(item[0]))))

    def designators(self) -> dict[str, str]:
        """Name in the netlist -> designator; of an amplifier `amplifier NAME` -> that of its unit, as U1B."""
        called = {}
        for component in self.components:
            for k, name in enumerate(component.names):
                unit = f"{component.reference}{'ABCD'[k]}"
                called.update({f"amplifier {name}": unit} if component.amperes else {name: component.reference})
        return called


def board_of(program: AnalogProgram, b: Any) -> Board:
    """The board that holds a program.

    Args:
        program: nominal. b: (n,) right-hand side of the operating point.

    Raises:
        UnrealisableError: see `bought`; amplifiers with two outputs, which no package here has; a part beyond all ratings.
    """
    whole = bought(program, b)
    opamp, amplifiers = program.technology.opamp, whole.circuit.amplifiers
    if any(len(placed.outputs) > 1 for placed in amplifiers):
        raise UnrealisableError(
            f"fabric {program.fabric_name} has amplifiers with two outputs, which dual and quad op-amps have not: use crossbar_single"
        )
    if amplifiers and not opamp.supply:
        raise UnrealisableError(
            f"technology {program.technology.name} states no opamp.supply; set it to the volts of a rail"
        )
    return Board(whole.circuit.netlist.title, tuple(_Layout(program, whole).components()), whole)


class _Layout:
    """The circuit at rest, and its parts one after the other."""

    def __init__(self, program: AnalogProgram, whole: Bought) -> None:
        self.program, self.circuit = program, whole.circuit
        technology = program.technology
        self.volts = _node_voltages(self.circuit.netlist)
        rails = program.parts.rails
        limit, scale = technology.opamp.output_limit / rails, technology.dac.full_scale / rails
        self.limits = {GROUND: 0.0} | dict.fromkeys(
            (node for placed in self.circuit.amplifiers for node in placed.inputs), 0.0
        )
        self.limits |= {part.a: scale for part in self.circuit.drives if isinstance(part, VoltageSource)}
        self.elsewhere = limit

    def components(self) -> Iterator[Component]:
        technology = self.program.technology
        own = self.circuit.own
        for k, part in enumerate((part for part in own if isinstance(part, Resistor)), start=1):
            seen = self._across(part) ** 2 / part.resistance
            most = (self._limit(part.a) + self._limit(part.b)) ** 2 / part.resistance
            rating, footprint = resistor_package(part.name, max(seen, most))
            yield Component(
                reference=f"R{k}", library="Device", symbol="R", value=part_value(part.resistance), footprint=footprint,
                pins=_two_pins(part), names=(part.name,), number=part.resistance,
                tolerance=2 * technology.resistors.mismatch, rating=rating, seen=seen, most=most,
            )  # fmt: skip
        capacitors = [part for part in own if isinstance(part, Capacitor)]
        for k, held in enumerate(capacitors, start=1):
            seen, most = self._across(held), self._limit(held.a) + self._limit(held.b)
            rating, footprint = capacitor_package(held.name, held.capacitance, max(seen, most))
            yield Component(
                reference=f"C{k}", library="Device", symbol="C", value=part_value(held.capacitance), footprint=footprint,
                pins=_two_pins(held), names=(held.name,), number=held.capacitance,
                tolerance=2 * technology.capacitors.mismatch, rating=rating, seen=seen, most=most,
            )  # fmt: skip
        yield from self._op_amps(len(capacitors))
        yield from self._connectors()

    def _op_amps(self, capacitors: int) -> Iterator[Component]:
        placed = sorted(self.circuit.amplifiers, key=lambda one: (int(re.sub(r"\D", "", one.name) or 0), one.name))
        packages, opamp = packages_for(len(placed)), self.program.technology.opamp
        for k in range(2 * len(packages)):
            rail = (UPPER, LOWER)[k % 2]
            yield Component(
                reference=f"C{capacitors + 1 + k}", library="Device", symbol="C", value=part_value(DECOUPLING),
                footprint=DECOUPLING_FOOTPRINT, number=DECOUPLING, rating=50.0, seen=opamp.supply, most=opamp.supply,
                pins=(Pin("1", "~", "passive", rail), Pin("2", "~", "passive", GROUND_NET)),
            )  # fmt: skip
        left = list(placed)
        for k, package in enumerate(packages, start=1):
            held, left = left[: len(package.units)], left[len(package.units) :]
            yield self._op_amp(f"U{k}", package, held)

    def _op_amp(self, reference: str, package: Package, held: list[PlacedAmplifier]) -> Component:
        pins = []
        for k, unit in enumerate(package.units):
            if k < len(held):
                plus, minus, out = *held[k].inputs, held[k].outputs[0]
            else:
                # A spare amplifier follows ground, so that it neither swings nor takes current.
                plus, minus, out = GROUND, f"{reference}{'ABCD'[k]}_spare", f"{reference}{'ABCD'[k]}_spare"
            pins += [
                Pin(unit.output, "~", "output", _net(out)),
                Pin(unit.inverting, "-", "input", _net(minus)),
                Pin(unit.non_inverting, "+", "input", _net(plus)),
            ]
        pins += [Pin(package.upper, "V+", "power_in", UPPER), Pin(package.lower, "V-", "power_in", LOWER)]
        part = part_of(package, self.program.technology.opamp)
        return Component(
            reference=reference,
            library="Amplifier_Operational" if part == package.part else "thermograd",
            symbol=part,
            value=part,
            footprint=package.footprint,
            pins=tuple(sorted(pins, key=lambda pin: int(pin.number))),
            names=tuple(one.name for one in held),
            amperes=tuple(self._output_current(one.outputs[0]) for one in held),
        )

    def _connectors(self) -> Iterator[Component]:
        number = 1
        if self.circuit.amplifiers:
            yield _connector(number, "supply", (UPPER, GROUND_NET, LOWER), SUPPLY_FOOTPRINT)
            number += 1
        driven = [_net(part.a if isinstance(part, VoltageSource) else part.b) for part in self.circuit.drives]
        for purpose, nets in (("drive", driven), ("readout", [_net(node) for node in self.program.nodes])):
            most = LARGEST_HEADER - 1
            for start in range(0, len(nets), most):
                pins = (*nets[start : start + most], GROUND_NET)
                yield _connector(number, purpose, pins, header_footprint(len(pins)))
                number += 1

    def _across(self, part: Resistor | Capacitor) -> float:
        return abs(self.volts[part.a] - self.volts[part.b])

    def _limit(self, node: str) -> float:
        return self.limits.get(node, self.elsewhere)

    def _output_current(self, node: str) -> float:
        """A out of an amplifier's output at rest, into the resistors that are on it."""
        return sum(
            (self.volts[node] - self.volts[part.b if part.a == node else part.a]) / part.resistance
            for part in self.circuit.own
            if isinstance(part, Resistor) and node in (part.a, part.b)
        )


def _connector(number: int, purpose: str, nets: tuple[str, ...], footprint: str) -> Component:
    pins = tuple(Pin(str(k), f"Pin_{k}", "passive", net) for k, net in enumerate(nets, start=1))
    return Component(f"J{number}", "Connector_Generic", f"Conn_01x{len(pins):02d}", purpose, footprint, pins)


def _two_pins(part: Resistor | Capacitor) -> tuple[Pin, ...]:
    return Pin("1", "~", "passive", _net(part.a)), Pin("2", "~", "passive", _net(part.b))


def _net(node: str) -> str:
    return GROUND_NET if node == GROUND else node


def _node_voltages(netlist: Netlist) -> dict[str, float]:
    """V of every node at rest."""
    form = describe_netlist(netlist)
    inputs = np.array([netlist[name].dc for name in form.sources])  # type: ignore[attr-defined]
    state = linalg.spsolve(form.conductance, form.input @ inputs)
    return {GROUND: 0.0} | {node: float(state[k]) for node, k in form.index.items()}


def _natural(text: str) -> list[tuple[int, str]]:
    """A key by which p2 is before p10."""
    return [(int(word), "") if word.isdigit() else (-1, word) for word in re.findall(r"\d+|\D+", text)]


def part_value(value: float) -> str:
    """As on a schematic: 4.99k, 10n, 2.2u."""
    for power, prefix in ((9, "G"), (6, "M"), (3, "k"), (0, ""), (-3, "m"), (-6, "u"), (-9, "n"), (-12, "p")):
        if value >= 10.0**power * (1 - 1e-9):
            return f"{value / 10.0**power:.4g}{prefix}"
    return f"{value / 1e-15:.4g}f"
