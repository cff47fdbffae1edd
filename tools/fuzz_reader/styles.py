"""The manners of six tools, and what is known where a card is written."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Style:
    """The manner of a tool.

    Attributes:
        title: first line. nodes: names to take from. units: whether numbers carry units. prefix: before a part's number.
        tidy: share of cards without odd blanks and continuations. cases: whether a node is written in several cases.
    """

    title: str
    nodes: tuple[str, ...]
    units: bool = False
    prefix: str = ""
    tidy: float = 0.6
    cases: bool = False


_PLAIN = ("in", "out", "a", "b", "mid", "n1", "n2", "vdd", "x", "q")
STYLES = {
    "ngspice": Style("* a circuit", _PLAIN, tidy=0.4, cases=True),
    "ltspice": Style(
        "* C:\\work\\draft1.asc", ("N001", "N002", "N003", "N004", "out", "in", "vcc", "N005"), True, tidy=0.9
    ),
    "pspice": Style("* source BOARD", ("N00123", "N00156", "IN", "OUT", "VREF", "N01016", "NA"), True, "_", 0.7),
    "kicad": Style(
        ".title KiCad schematic", ("/in", "/out", "Net-_R1-Pad2_", "VCC", "/amp/sum", "Net-_C1-Pad1_"), tidy=0.95
    ),
    "pyspice": Style(".title Divider", ("in", "out", "1", "2", "3", "node_a"), True, tidy=1.0),
    "classic": Style("A CIRCUIT OF 1975", ("1", "2", "3", "4", "10", "01", "20"), tidy=0.8),
}
#: Names that a reader may take for a suffix, an exponent, a function or a key word.
PARAMETERS = (
    "r", "k", "g0", "rload", "e1", "meg", "u", "n", "scale", "x1", "tau",
    "m", "c", "gain", "a_b", "w", "t0", "mult", "f", "p",
)  # fmt: skip


@dataclass
class Scope:
    """Where cards are written: nodes and parameters known there, and the parts' names taken."""

    nodes: list[str]
    names: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    inductors: list[str] = field(default_factory=list)
    count: int = 0


@dataclass
class Cell:
    """A sub-circuit to instantiate."""

    name: str
    ports: int
    formals: list[str]
