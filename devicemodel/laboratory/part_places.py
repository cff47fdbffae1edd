"""`part_places`: at which place of a die each part of a program's netlist is.

A die answers for places, a netlist has names. Here every place that the parts ask for answers with a number of its own, which is then read
back from the value that each part of the netlist got; so nothing has to be known of names or fabrics.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, NamedTuple

import numpy as np

from ...circuits.errors import InputError
from ...circuits.netlist.elements import Capacitor, Inductor, Resistor, VoltageSource
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.die import Die
from ...circuits.technology.technology import Technology
from ...circuits.technology.thermal import Thermal
from ...compiler.program import AnalogProgram

Kind = Literal["resistor", "capacitor", "inductor", "offset"]
_UNIT = 1e-5  # between the numbers of places, of a logarithm or V
_MOST = 100_000


class PartPlace(NamedTuple):
    """A place on a die.

    Attributes:
        kind: of part. stream: of the die's deviates. place: index among them, of `Die.deviates`; numbered: of `Die.deviates_of`.
    """

    kind: Kind
    stream: str
    place: tuple[int, ...]
    numbered: bool = False


def part_places(program: AnalogProgram) -> dict[str, PartPlace]:
    """Name of each part of a program's netlist that a die changes -> its place.

    Raises:
        InputError: too many parts.
        UnrealisableError: a fabric without dies.
    """
    probe = _Numbering(program.technology)
    parts = program.parts.on_die(probe, mismatch=1.0, capacitor_mismatch=1.0, offset=1.0, inductor_mismatch=1.0)
    nominal, numbered = values_of(program.netlist()), values_of(dataclasses.replace(program, parts=parts).netlist())
    found = {}
    for name, (kind, value) in numbered.items():
        # A netlist has no source for an offset of zero.
        number = value - nominal.get(name, (kind, 0.0))[1] if kind == "offset" else math.log(value / nominal[name][1])
        place = probe.places[abs(round(number / _UNIT))] if round(number / _UNIT) else None
        if place is not None:
            found[name] = PartPlace(kind, *place)
    return found


def values_of(netlist: Netlist) -> dict[str, tuple[Kind, float]]:
    """Name -> kind and value of all parts that dies change."""
    found: dict[str, tuple[Kind, float]] = {}
    for part in netlist:
        if isinstance(part, Resistor):
            found[part.name] = "resistor", part.resistance
        elif isinstance(part, Capacitor):
            found[part.name] = "capacitor", part.capacitance
        elif isinstance(part, Inductor):
            found[part.name] = "inductor", part.inductance
        elif isinstance(part, VoltageSource) and part.name.upper().startswith("VOS"):
            found[part.name] = "offset", part.dc
    return found


class _Numbering(Die):
    """A die at one temperature that numbers the places that it is asked for.

    Attributes:
        places: number -> stream, place, and whether `deviates_of` was asked.
    """

    def __init__(self, technology: Technology) -> None:
        self.places: dict[int, tuple[str, tuple[int, ...], bool]] = {}
        self._numbers: dict[tuple[str, tuple[int, ...], bool], int] = {}
        ambient = technology.thermal.ambient
        plain = technology.replace(thermal=Thermal(ambient=ambient, reference=ambient), opamp__power=0.0)
        super().__init__(plain, None)

    def _of(self, stream: str, place: tuple[int, ...], numbered: bool = False) -> float:
        key = stream, place, numbered
        if key not in self._numbers:
            number = self._numbers[key] = len(self._numbers) + 1
            if number > _MOST:
                raise InputError(f"the program has more than {_MOST} parts: measure a smaller array")
            self.places[number] = key
        return _UNIT * self._numbers[key]

    def deviates(self, part: str, shape: tuple[int, ...]) -> np.ndarray:
        """Numbers of the places; none of what a die has as a whole."""
        if part.endswith(("_gradient", "_die_to_die")) or part == "ambient":
            return np.zeros(shape)
        found = np.empty(shape)
        for place in np.ndindex(*shape):
            found[place] = self._of(part, place)
        return found

    def deviates_at(self, part: str, rail: int, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Numbers of the places."""
        return np.array([self._of(part, (rail, int(i), int(j))) for i, j in zip(row, column, strict=True)])

    def deviates_of(self, part: str, channel: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Numbers of the numbered elements."""
        channels, numbers = np.broadcast_arrays(np.asarray(channel), np.asarray(number))
        found = [self._of(part, (int(c), int(k)), True) for c, k in zip(channels.ravel(), numbers.ravel(), strict=True)]
        return np.reshape(found, channels.shape)
