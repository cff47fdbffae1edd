"""A program's circuit with values that are sold, and what rounding them does to the solution.

`compile` has rounded what holds the matrix to the technology's series already. What is left are the capacitors, C d^2 of a scaling d, and
whatever resistor is off the series. At rest no capacitor matters; the time in which the circuit comes to rest goes with them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...circuits.errors import UnrealisableError
from ...circuits.linear.statespace import state_space
from ...circuits.netlist.elements import Capacitor, Element, Resistor
from ...circuits.netlist.netlist import Netlist
from ...circuits.spice.parameters import value_of
from ...circuits.technology.e_series import nearest_preferred
from ..program import AnalogProgram
from .circuit import Circuit, circuit_of
from .expected import require_rest, solution_at_rest

CAPACITOR_SERIES = "E12"
"""Series that film capacitors of 5 % are sold in, most of them."""
LARGEST_TIMED = 64
"""Unknowns up to which the slowest time constant is worked out from the whole netlist: a second or two."""
_SAME = 1e-9


@dataclass(frozen=True, eq=False)
class Bought:
    """The circuit of one right-hand side, of values that are sold.

    Attributes:
        circuit: with one-pole amplifiers.
        values: of its resistors (ohm) and capacitors (F), by name.
        rounded: name -> (value of the compiled program, value that is bought), where they differ.
        x, compiled: (n,) solutions at rest, with and without that rounding, problem units.
        slowest, slowest_compiled: slowest time constants, s; nan beyond `LARGEST_TIMED` unknowns.
    """

    circuit: Circuit
    values: Mapping[str, float]
    rounded: Mapping[str, tuple[float, float]]
    x: np.ndarray
    compiled: np.ndarray
    slowest: float
    slowest_compiled: float

    @property
    def solution_change(self) -> float:
        """|x - x_compiled| / |x_compiled| that this rounding makes."""
        return float(np.linalg.norm(self.x - self.compiled) / np.linalg.norm(self.compiled))

    @property
    def largest_change(self) -> float:
        """Of a value, relative; 0: none was rounded."""
        return max((abs(new / old - 1) for old, new in self.rounded.values()), default=0.0)

    def applied(self, circuit: Circuit) -> Circuit:
        """A circuit of the same program with these values, whatever its amplifiers are."""
        return circuit.with_parts(self._valued)

    def _valued(self, part: Element) -> Element:
        if isinstance(part, Resistor):
            return dataclasses.replace(part, resistance=self.values[part.name])
        if isinstance(part, Capacitor):
            return dataclasses.replace(part, capacitance=self.values[part.name])
        return part


def bought(program: AnalogProgram, b: Any) -> Bought:
    """The circuit for b with resistors of the technology's series and capacitors of `CAPACITOR_SERIES`.

    Args:
        program: nominal. b: (n,) right-hand side.

    Raises:
        UnrealisableError: a technology without a series of resistors, a fabric that is not read at rest, or with parts that are not
            resistors, capacitors and amplifiers.
    """
    series = program.technology.resistors.series
    if series is None:
        raise UnrealisableError(
            f"technology {program.technology.name} states no series of preferred numbers, so its resistors are not bought; set "
            "resistors.series, or take breadboard"
        )
    require_rest(program)
    circuit, values, rounded = circuit_of(program, b), {}, {}
    for part in circuit.own:
        if not isinstance(part, Resistor | Capacitor):
            raise UnrealisableError(
                f"{part.name} is a {type(part).__name__}, which fabric {program.fabric_name} needs and no shop has as one part; use "
                "crossbar_single, rc or dual_rail"
            )
        old = value_of(part)
        new = _nearest(old, series if isinstance(part, Resistor) else CAPACITOR_SERIES)
        values[part.name] = new
        if abs(new / old - 1) > _SAME:
            rounded[part.name] = (old, new)
    timed = program.size <= LARGEST_TIMED
    found = Bought(
        circuit, values, rounded, np.zeros(0), solution_at_rest(program, circuit.netlist), math.nan, math.nan
    )
    changed = found.applied(circuit)
    return dataclasses.replace(
        found,
        circuit=changed,
        x=solution_at_rest(program, changed.netlist),
        slowest=_slowest(changed.netlist) if timed else math.nan,
        slowest_compiled=_slowest(circuit.netlist) if timed else math.nan,
    )


def _nearest(value: float, series: str) -> float:
    """The preferred number, without what a power of ten adds in the last digits."""
    return float(f"{float(nearest_preferred(np.array(value), series)):.6g}")


def _slowest(netlist: Netlist) -> float:
    """-1 / Re of the slowest mode, s."""
    return float(-1.0 / np.linalg.eigvals(state_space(netlist).F).real.max())
