"""Controlled sources that saturate: what an amplifier's limits are made of. ngspice solves them as B sources.

Each has a small-signal equivalent at zero, which `Netlist.linearised` puts in its place for the linear engines.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from ..errors import InputError
from ..spice.lexer import split_words
from .elements import VCCS, Element

_NUMBER = r"([0-9.eE+-]+)"
#: The two expressions as a reader of cards sees them, brackets being blanks to it.
_SATURATING = re.compile(rf"i={_NUMBER}\*tanh {_NUMBER}\*v (\S+),(\S+) /{_NUMBER}")
_CLAMP = re.compile(rf"i={_NUMBER}\*{_NUMBER}\* max v (\S+),(\S+) -{_NUMBER} /{_NUMBER},0 ")
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


def read_behavioural(name: str, words: list[str], node: Callable[[str], str]) -> Behavioural:
    """The part of a B card that one of these records wrote; other expressions are refused.

    Args:
        name: of the part. words: of the card after its name, as `spice_cards` splits them. node: outer name of a node.

    Raises:
        InputError: another expression.
        IndexError: words are missing.
    """
    a, b, text = words[0], words[1], " ".join(words[2:])
    found: SaturatingVCCS | Clamp | None = None
    if match := _SATURATING.fullmatch(text):
        found = SaturatingVCCS(name, a, b, match[3], match[4], float(match[2]), float(match[1]))
    elif match := _CLAMP.match(text):
        found = Clamp(name, a, b, float(match[5]), float(match[1]), float(match[6]))
    if found is None or " ".join(split_words(0, found.line(0.0))[3:]) != text:
        raise InputError(
            "a B source is only read where thermograd wrote it, i=limit*tanh(g*v(cp,cm)/limit) or a clamp; use E, G, F, H or "
            "transistors"
        )
    ends = {"a": node(a), "b": node(b)}
    if isinstance(found, SaturatingVCCS):
        ends |= {"cp": node(found.cp), "cm": node(found.cm)}
    return dataclasses.replace(found, **ends)  # type: ignore[arg-type]
