"""`Amplifier`: a designer's own amplifier netlist, to be measured and to be put into compiled circuits."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import InputError
from ..netlist.elements import GROUND, Element, Resistor, VoltageSource
from ..netlist.mutual_inductance import MutualInductance
from ..netlist.netlist import Netlist
from ..spice.includes import read_file
from ..spice.names import node_name
from ..spice.read import read_subcircuit
from ..technology.amplifier_draw import AmplifierDraw
from ..technology.mismatch import with_mismatch

_NODE_FIELDS = ("a", "b", "cp", "cm", "collector", "base", "emitter", "substrate", "drain", "gate", "source", "bulk")


@dataclass(frozen=True, eq=False)
class Amplifier:
    """One amplifier of given parts; an `AmplifierCell`, so that `AnalogProgram.netlist(b, amplifier=...)` takes it.

    Attributes:
        parts: of one amplifier, without its supplies.
        inputs: (non-inverting, inverting) nodes.
        outputs: one node, or (p, m) of a fully differential one.
        supplies: node -> V against its own ground, for every other node that comes in from outside (supplies, references, biases).
        reference: V against its own ground at which its inputs and outputs rest: 0.9 for an amplifier between 0 and 1.8 V. An array's
            signals rest at the array's ground, so that everything else is lowered by it.
    """

    parts: Netlist
    inputs: tuple[str, str]
    outputs: tuple[str, ...]
    supplies: Mapping[str, float]
    reference: float = 0.0

    def __post_init__(self) -> None:
        ports = (*self.inputs, *self.outputs, *self.supplies)
        if len(self.inputs) != 2 or len(self.outputs) not in (1, 2):
            raise InputError(
                f"an amplifier has two inputs and one or two outputs, got inputs={self.inputs}, outputs={self.outputs}"
            )
        if len({port.lower() for port in ports}) != len(ports):
            raise InputError(f"ports {', '.join(ports)}: each must be named once")
        for port in ports:
            if port not in self.parts.nodes:
                raise InputError(
                    f"the amplifier has no node {port!r}; its nodes are {', '.join(self.parts.nodes[:12])}"
                )
        for node, volts in (*self.supplies.items(), ("reference", self.reference)):
            if not isinstance(volts, int | float) or not math.isfinite(volts):
                raise InputError(f"{node} is at {volts!r} V; a finite voltage is needed")
        object.__setattr__(self, "supplies", MappingProxyType(dict(self.supplies)))

    @property
    def title(self) -> str:
        """In a few words."""
        return f"sub-circuit {self.parts.title}, {len(self.parts)} parts each"

    @property
    def rails(self) -> dict[str, float]:
        """Voltage of each supply in an array, V: lowered by `reference`, and with it the amplifier's own ground."""
        lowered = {node: volts - self.reference for node, volts in self.supplies.items()}
        grounded = self.reference and any(GROUND in part.nodes for part in self.parts)
        return lowered | ({GROUND: -self.reference} if grounded else {})

    @classmethod
    def from_spice(
        cls,
        text: str,
        subcircuit: str,
        inputs: tuple[str, str],
        outputs: tuple[str, ...],
        supplies: Mapping[str, float],
        reference: float = 0.0,
    ) -> Amplifier:
        """The amplifier that a `.subckt` of a netlist's text describes; parts outside of it are left aside.

        Args:
            text: first line a title; cards as `parse_spice` reads them.
            subcircuit: name of the `.subckt`.
            inputs, outputs, supplies: all of its ports, by the names on the `.subckt` card; ``IN+`` becomes ``INp``.
            reference: see the class.

        Example:
            ``Amplifier.from_spice(text, "opamp", ("inp", "inn"), ("out",), {"vdd": 0.9, "vss": -0.9})``

        Raises:
            InputError: no such sub-circuit; a port that is missing or not named; as `parse_spice`.
        """
        return cls._of(*read_subcircuit(text, None, subcircuit), inputs, outputs, supplies, reference)

    @classmethod
    def read_spice(
        cls,
        path: str | Path,
        subcircuit: str,
        inputs: tuple[str, str],
        outputs: tuple[str, ...],
        supplies: Mapping[str, float],
        reference: float = 0.0,
        include_folder: str | Path | None = None,
    ) -> Amplifier:
        """As `from_spice`, from a file; `include_folder` as for `read_spice`.

        Raises:
            InputError: the file cannot be read; as `from_spice`.
        """
        read = read_subcircuit(*read_file(path, include_folder), subcircuit)
        return cls._of(*read, inputs, outputs, supplies, reference)

    @classmethod
    def _of(
        cls,
        parts: Netlist,
        ports: tuple[str, ...],
        inputs: tuple[str, str],
        outputs: tuple[str, ...],
        supplies: Mapping[str, float],
        reference: float,
    ) -> Amplifier:
        """With every port accounted for."""
        inputs, outputs = (node_name(inputs[0]), node_name(inputs[1])), tuple(map(node_name, outputs))
        supplies = {node_name(port): volts for port, volts in supplies.items()}
        named = [*inputs, *outputs, *supplies]
        for port in named:
            if port not in ports:
                raise InputError(f"sub-circuit {parts.title} has no port {port!r}; its ports are {', '.join(ports)}")
        for port in ports:
            if port not in named:
                raise InputError(
                    f"port {port!r} of sub-circuit {parts.title} is neither an input nor an output nor a supply; give its "
                    f"voltage: supplies={{{port!r}: ...}}"
                )
        return cls(parts, inputs, tuple(outputs), supplies, reference)

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
        """One copy, its supplies joined to those of the copies before; see `AmplifierCell.add`. `state` is its own affair.

        Given a `draw`, its transistors have these deviations, and there is no `offset` beside that which they make.

        Raises:
            InputError: one output where two are needed, or the other way round; a draw of other transistors.
        """
        if len(outputs) != len(self.outputs):
            fabric = "'crossbar' with opamp.outputs = 2" if len(self.outputs) == 2 else "'crossbar_single'"
            raise InputError(
                f"the circuit needs amplifiers of {len(outputs)} output(s), this one has {len(self.outputs)}; use fabric={fabric}"
            )
        upper, lower = inputs
        if offset and draw is None:
            netlist.add(VoltageSource(f"VOS{name}", f"os{name}", upper, offset), group=group)
            upper = f"os{name}"
        rails = self.rails
        for node, volts in rails.items():
            supply = VoltageSource(f"VSUP_{node}", f"sup_{node}", GROUND, volts)
            if supply.name not in netlist:
                netlist.add(supply)
            elif netlist[supply.name] != supply:
                raise InputError(
                    f"another amplifier's supply {node} has another voltage than {volts:g} V; rename the port of one"
                )
        outside = {GROUND: GROUND} | {node: f"sup_{node}" for node in rails}
        outside |= dict(zip((*self.inputs, *self.outputs), (upper, lower, *outputs), strict=True))
        warmer = netlist.temperature - self.parts.temperature
        parts = self.parts if draw is None else with_mismatch(self.parts, draw.transistors)
        netlist.add(*(_copy(part, f"amp{name}", outside, warmer) for part in parts), group=group)


def _copy(part: Element, name: str, outside: Mapping[str, str], warmer: float) -> Element:
    """A part under the name of its amplifier, its inner nodes too. Its own temperature keeps its distance from the circuit's."""
    fields = {field.name for field in dataclasses.fields(part)}  # type: ignore[arg-type]
    changes: dict[str, Any] = {"name": f"{part.name}_{name}"}
    for field in _NODE_FIELDS:
        if field in fields and isinstance(node := getattr(part, field), str):
            changes[field] = outside.get(node, f"{node}_{name}")
    if isinstance(part, Resistor) and part.temperature is not None:
        changes["temperature"] = part.temperature + warmer
    if isinstance(part, MutualInductance):
        changes |= {"first": f"{part.first}_{name}", "second": f"{part.second}_{name}"}
    elif "sense" in fields:
        changes["sense"] = f"{getattr(part, 'sense')}_{name}"  # noqa: B009 - only some records have it
    return dataclasses.replace(part, **changes)  # type: ignore[type-var]
