"""Which parts of a program's netlist differ from die to die, and where on the die they are.

`Parts.on_die` knows both, and is asked: with each part's own deviate at one, and with the die's gradients at one, the netlist's values say
which deviate acts on which part, and from what place. So there is one law of dies, whatever circuit the parts belong to (`Variation`):

    ln(value / nominal) = die_to_die z_0 + gradient (row z_1 + column z_2) + mismatch z_part,     offset = sigma z_part

Programmed conductances err by more (`conductance_errors`): each has an independent error besides, whose standard deviation is known.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, NamedTuple

import numpy as np

from ...circuits.errors import UnrealisableError
from ...circuits.netlist.elements import Capacitor, Inductor, Resistor, VoltageSource
from ...circuits.netlist.netlist import Netlist
from ...circuits.spice.parameters import value_of
from ...circuits.technology.die import Die
from ...circuits.technology.parts import Thermal
from ...circuits.technology.technology import Technology
from ..conductance_errors import errs, relative_error
from ..fabrics.registry import fabric_names
from ..perturbation import Programmed
from ..program import AnalogProgram

Kind = Literal["resistor", "capacitor", "inductor", "offset"]
_KINDS: dict[str, Kind] = {"R": "resistor", "C": "capacitor", "L": "inductor"}
_GRADIENT = 0.25
"""At which places are read; a technology may have up to twice as much."""


class Deviation(NamedTuple):
    """What a part's deviation follows.

    Attributes:
        kind: of the part. row, column: its place less the die's middle, -1/2 to 1/2.
        programmed: its kind, where it is a conductance that errs by more than its mismatch; None: it does not.
        programming: standard deviation of that further error, relative to the conductance.
    """

    kind: Kind
    row: float = 0.0
    column: float = 0.0
    programmed: Programmed | None = None
    programming: float = 0.0


def deviations(program: AnalogProgram) -> dict[str, Deviation]:
    """The deviation of each part that has one, by its name in the netlist; amplifiers' sources of offset (`VOS...`) are among them.

    Raises:
        UnrealisableError: a fabric without dies.
    """
    if not program.fabric.has_dies:
        raise UnrealisableError(
            f"fabric {program.fabric_name} has no dies: how its parts vary is not modelled; use "
            f"{' or '.join(fabric_names('has_dies'))}"
        )
    nominal = _values(program, _Probe(program.technology))
    varied: dict[str, Deviation] = {}
    for name, value in _values(program, _Probe(program.technology, own=1.0)).items():
        if name not in nominal:
            varied[name] = Deviation("offset")
        elif value != nominal[name]:
            varied[name] = Deviation(_KINDS[name[0]])
    technology = program.technology
    if any(kind.gradient for kind in (technology.resistors, technology.capacitors, technology.inductors)):
        rows, columns = (_values(program, _Probe(technology, gradient=along)) for along in ((1.0, 0.0), (0.0, 1.0)))
        for name, one in varied.items():
            if one.kind != "offset":
                row, column = (math.log(shifted[name] / nominal[name]) / _GRADIENT for shifted in (rows, columns))
                varied[name] = one._replace(row=row, column=column)
    if errs(technology.resistors):
        for name, (kind, sigma) in _programmed(program, nominal).items():
            varied[name] = varied[name]._replace(programmed=kind, programming=sigma)
    return varied


_CHANGES: dict[float, Programmed] = {2.0: "coupling", 4.0: "ground", 8.0: "second_slice"}
"""Of resistances, by which the netlist shows which parts are programmed."""


def _programmed(program: AnalogProgram, nominal: dict[str, float]) -> dict[str, tuple[Programmed, float]]:
    """Kind and standard deviation of the further relative error of each programmed part, by name."""
    factors = {kind: factor for factor, kind in _CHANGES.items()}
    parts = program.parts.change_programmed(lambda values, place: values / factors[place.kind])
    changed = _values(dataclasses.replace(program, parts=parts), _Probe(program.technology))
    found = {}
    for name, value in changed.items():
        kind = _CHANGES.get(float(round(value / nominal[name])))
        if kind is not None:
            sigma = relative_error(program.technology.resistors, kind, np.array(1.0 / nominal[name]))
            found[name] = (kind, float(sigma))
    return found


class _Probe(Die):
    """A die at one temperature whose parts all have the same deviate of their own, and whose gradients are given."""

    def __init__(self, technology: Technology, own: float = 0.0, gradient: tuple[float, float] = (0.0, 0.0)) -> None:
        self._own, self._gradient = own, gradient
        ambient = technology.thermal.ambient
        unheated = Thermal(ambient=ambient, reference=ambient)
        super().__init__(
            technology.replace(
                thermal=unheated,
                opamp__power=0.0,
                resistors__gradient=_GRADIENT,
                capacitors__gradient=_GRADIENT,
                inductors__gradient=_GRADIENT,
            ),
            None,
        )

    def deviates(self, part: str, shape: tuple[int, ...]) -> np.ndarray:
        """The gradient's, none of the die's, or each part's own."""
        if part.endswith("_gradient"):
            return np.array(self._gradient).reshape(shape)
        return np.zeros(shape) if part.endswith("_die_to_die") or part == "ambient" else np.full(shape, self._own)

    def deviates_at(self, part: str, rail: int, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Each part's own."""
        return np.full(len(row), self._own)

    def deviates_of(self, part: str, channel: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Each part's own."""
        return np.full(np.shape(number), self._own)


def _values(program: AnalogProgram, probe: _Probe) -> dict[str, float]:
    """Resistances, capacitances, inductances and offset voltages by name, on a die whose tolerances are all one."""
    parts = program.parts.on_die(probe, mismatch=1.0, capacitor_mismatch=1.0, offset=1.0, inductor_mismatch=1.0)
    netlist: Netlist = dataclasses.replace(program, parts=parts).netlist()
    offsets = [source for source in netlist.of(VoltageSource) if source.name.startswith("VOS")]
    varied = (*netlist.of(Resistor), *netlist.of(Capacitor), *netlist.of(Inductor), *offsets)
    return {part.name: value_of(part) for part in varied}
