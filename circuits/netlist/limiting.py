"""Controlled sources that saturate, what an amplifier's limits are made of, and a switch that opens slowly: B sources in ngspice.

Each has a small-signal equivalent at zero, which `Netlist.linearised` puts in its place for the linear engines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..errors import InputError
from .elements import VCCS, Element

#: Names that crash ngspice 39 where an expression has them as nodes (measured).
_RANDOM = ("limit", "gauss", "agauss", "unif", "aunif")


class Behavioural(Element):
    """What the saturating sources share."""

    __slots__ = ()
    letter: ClassVar[str] = "B"

    def _check_expression(self) -> None:
        for node in self.nodes:
            if node.lower() in _RANDOM:
                raise InputError(f"{self.name}: node {node!r} is a function's name in an expression; rename the node")

    def linearised(self) -> VCCS | None:
        """Its small-signal equivalent at zero volts; None for an open circuit."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class SaturatingVCCS(Behavioural):
    """Transconductor with a largest current: i = limit tanh(transconductance (v(cp) - v(cm)) / limit) flows a -> source -> b.

    A differential pair of bipolar transistors obeys it exactly; feeding a capacitor C, it slews at limit / C.
    """

    name: str
    a: str
    b: str
    cp: str
    cm: str
    transconductance: float
    limit: float

    def __post_init__(self) -> None:
        self._check(("transconductance", True), ("limit", True))
        self._check_expression()

    @property
    def nodes(self) -> tuple[str, ...]:
        """Output and controlling nodes."""
        return (self.a, self.b, self.cp, self.cm)

    @property
    def is_resistance(self) -> bool:
        """Whether its own voltage controls it: a resistance of 1 / transconductance, whose current ends at the limit."""
        return (self.a, self.b) == (self.cp, self.cm)

    def line(self, ambient: float) -> str:
        """The ngspice line."""
        return (
            f"{self.name} {self.a} {self.b} "
            f"i={self.limit!r}*tanh({self.transconductance!r}*v({self.cp},{self.cm})/{self.limit!r})"
        )

    def linearised(self) -> VCCS:
        """The transconductance without its limit."""
        return VCCS(f"G{self.name}", self.a, self.b, self.cp, self.cm, self.transconductance)


@dataclass(frozen=True, slots=True)
class Clamp(Behavioural):
    """Conductance that sets in where the voltage leaves +-level: holds a node between rails.

    i(a -> b) = conductance width (s((v - level) / width) - s((-v - level) / width)),   s(x) = ln(1 + exp(x)),   v = v(a) - v(b).

    All in SI units and > 0; `width` (V) is that of the knee, in which the conductance falls by e for each width.
    """

    name: str
    a: str
    b: str
    level: float
    conductance: float
    width: float

    def __post_init__(self) -> None:
        self._check(("level", True), ("conductance", True), ("width", True))
        self._check_expression()

    def line(self, ambient: float) -> str:
        """The ngspice line; s(x) is written as max(x, 0) + ln(1 + exp(-|x|)), which cannot overflow."""
        volts = f"v({self.a},{self.b})"
        above, below = f"({volts}-{self.level!r})/{self.width!r}", f"(-{volts}-{self.level!r})/{self.width!r}"
        return (
            f"{self.name} {self.a} {self.b} i={self.conductance!r}*{self.width!r}*"
            f"(max({above},0)+ln(1+exp(-abs({above})))-max({below},0)-ln(1+exp(-abs({below}))))"
        )

    def linearised(self) -> None:
        """It carries nothing at zero."""
        return


@dataclass(frozen=True, slots=True)
class HoldingSwitch(Behavioural):
    """Switch and source in series: i(a -> b) = conductance v(gate) (v(a) - v(b) - level), which holds v(a) - v(b) at `level` V while
    the gate is at 1 V, and is open where it is at 0 V. `conductance` is in S.
    """

    name: str
    a: str
    b: str
    gate: str
    level: float
    conductance: float

    def __post_init__(self) -> None:
        self._check(("level", False), ("conductance", True))
        self._check_expression()

    @property
    def nodes(self) -> tuple[str, ...]:
        """Both ends and the gate."""
        return (self.a, self.b, self.gate)

    def line(self, ambient: float) -> str:
        """The ngspice line."""
        return f"{self.name} {self.a} {self.b} i={self.conductance!r}*v({self.gate})*(v({self.a},{self.b})-({self.level + 0.0!r}))"

    def linearised(self) -> None:
        """It is open where the gate is at zero."""
        return
