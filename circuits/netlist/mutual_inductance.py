"""Mutual inductance: pairs of inductors with a common flux, L = [[L1, M], [M, L2]] with M = k sqrt(L1 L2)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import InputError, NetlistError
from .elements import Element, Inductor, _number, _require_name

#: Below minus this, an eigenvalue of the matrix of couplings counts as negative, and not as rounding of zero.
_NEGATIVE = 1e-12


@dataclass(frozen=True, slots=True)
class MutualInductance(Element):
    """Two inductors with a common flux: M = `coupling` sqrt(L1 L2), 0 < |coupling| <= 1; the dots are at their nodes `a`.

    `first` and `second` name inductors of the netlist. The part has no nodes of its own.
    """

    letter: ClassVar[str] = "K"
    name: str
    first: str
    second: str
    coupling: float

    def __post_init__(self) -> None:
        self._check_names()
        _require_name(self, "first", "L", "an inductor")
        _require_name(self, "second", "L", "an inductor")
        if self.first.lower() == self.second.lower():
            raise InputError(f"{self.name}: {self.first!r} is coupled to itself; name two inductors")
        coupling = _number(self.name, "coupling", self.coupling)
        if not 0.0 < abs(coupling) <= 1.0:
            raise InputError(f"{self.name}: coupling = {coupling!r}, but 0 < |coupling| <= 1 is needed")
        object.__setattr__(self, "coupling", coupling)

    @property
    def nodes(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def partners(self) -> tuple[str, ...]:
        """The two inductors."""
        return (self.first, self.second)

    def line(self, ambient: float) -> str:
        """The ngspice line."""
        return f"{self.name} {self.first} {self.second} {self.coupling!r}"


def mutual_inductances(elements: Iterable[Element]) -> dict[tuple[str, str], float]:
    """Lower-case names of each coupled pair -> M in H.

    Raises:
        NetlistError: an inductor that is not there, a pair that is coupled twice, or couplings of more than two inductors that
            contradict each other, so that some currents would store a negative energy.
    """
    couplings: list[MutualInductance] = []
    values: dict[str, float] = {}
    for element in elements:
        if isinstance(element, Inductor):
            values[element.name.lower()] = element.inductance
        elif isinstance(element, MutualInductance):
            couplings.append(element)
    found: dict[tuple[str, str], float] = {}
    for coupling in couplings:
        first, second = coupling.first.lower(), coupling.second.lower()
        for name, key in ((coupling.first, first), (coupling.second, second)):
            if key not in values:
                raise NetlistError(f"{coupling.name} couples {name!r}, but there is no such inductor")
        if (first, second) in found or (second, first) in found:
            raise NetlistError(f"{coupling.name} couples {coupling.first} and {coupling.second} again; keep one K part")
        found[first, second] = coupling.coupling * math.sqrt(values[first] * values[second])
    if len(couplings) > 1:
        _check_energy(couplings)
    return found


def _check_energy(couplings: list[MutualInductance]) -> None:
    place: dict[str, int] = {}
    for coupling in couplings:
        for name in coupling.partners:
            place.setdefault(name.lower(), len(place))
    matrix = np.eye(len(place))
    for coupling in couplings:
        i, j = (place[name.lower()] for name in coupling.partners)
        matrix[i, j] = matrix[j, i] = coupling.coupling
    smallest = float(np.linalg.eigvalsh(matrix)[0])
    if smallest < -_NEGATIVE * len(place):
        raise NetlistError(
            f"the couplings {', '.join(c.name for c in couplings[:6])} contradict each other (smallest eigenvalue of their matrix "
            f"{smallest:.3g}, but it must be >= 0); make them weaker, or couple every pair"
        )
