"""The parts a netlist may hold: frozen records in SI units; what a simulator would misread, the constructors reject.

Every part carries a name whose first letter is SPICE's letter for its kind, and node names; ground is node ``"0"``.
Two-terminal parts run from node `a` to node `b`. Positive source current flows a -> source -> b, inside the source
(SPICE's convention: a current source of value I > 0 takes I out of node `a` and injects it into node `b`).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import ClassVar

from ..errors import InputError
from .waveforms import Waveform, checked_waveform, waveform_text

GROUND = "0"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_NODE = re.compile(r"[A-Za-z0-9_]{1,64}")
#: ngspice 39 misreads these words where a node name stands (measured: ground, sweep vectors, source and E syntax; the
#: word "temper" crashes it).
RESERVED_NODES = frozenset(
    {
        "gnd",
        "null",
        "time",
        "frequency",
        "freq",
        "all",
        "allv",
        "alli",
        "ac",
        "temper",
        "hertz",
        "table",
        "poly",
        "value",
    }
    | {"vol", "cur", "laplace"}
)


#: Node names that have passed `check_node`; netlists of 1e5 parts name each node hundreds of times.
_PASSED: set[str] = {GROUND}


def check_node(node: str) -> str:
    """Return `node` if it is a legal node name, else raise InputError."""
    if isinstance(node, str) and node in _PASSED:
        return node
    if not isinstance(node, str) or not _NODE.fullmatch(node):
        raise InputError(f"node name {node!r}: 1 to 64 letters, digits or '_' allowed; rename the node")
    if node.lower() in RESERVED_NODES:
        raise InputError(f"node name {node!r} is a reserved word of ngspice; rename the node (ground is '0')")
    if len(_PASSED) > 1_000_000:
        _PASSED.clear()
    _PASSED.add(node)
    return node


def _is_plain(name: object, letter: str, a: object, b: object) -> bool:
    """Whether name and nodes are surely legal: the common case, decided fast."""
    return (
        type(name) is str
        and name[:1] in (letter, letter.lower())
        and a in _PASSED
        and b in _PASSED
        and a != b
        and len(name) <= 64
        and name.isascii()
        and name.isidentifier()  # with a first letter, in ASCII, the same as _NAME, and several times as fast
    )


def _number(owner: str, field: str, value: float, *, positive: bool = False) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{owner}: {field} = {value!r} is not a number") from None
    if not math.isfinite(number):
        raise InputError(f"{owner}: {field} = {number!r} is not finite; a finite SI value is needed")
    if positive and number <= 0.0:
        raise InputError(f"{owner}: {field} = {number!r}, but it must be > 0; leave the part out instead")
    return number


class Element:
    """What all parts share: `name`, the nodes they touch, and their SPICE letter. Two-terminal parts and sources have `a` and `b`."""

    __slots__ = ()
    letter: ClassVar[str]
    name: str
    a: str
    b: str

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes that the part names, controlling ones included."""
        return (self.a, self.b)

    @property
    def partners(self) -> tuple[str, ...]:
        """Names of the other parts that this one refers to."""
        return ()

    def line(self, ambient: float) -> str:
        """The part's ngspice line in a netlist of temperature `ambient` (K); numbers keep their 17 significant digits.

        A zero is written without a sign (value + 0.0 turns -0.0 into it).
        """
        raise NotImplementedError

    def _check_names(self) -> None:
        name = self.name
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InputError(f"element name {name!r}: a letter, then up to 63 letters, digits or '_'; rename it")
        if name[0].upper() != self.letter:
            raise InputError(f"element name {name!r}: a {type(self).__name__} is named {self.letter}..., as in SPICE")
        for node in self.nodes:
            check_node(node)

    def _check(self, *values: tuple[str, bool]) -> None:
        self._check_names()
        name = self.name
        if self.a == self.b:
            raise InputError(f"{name}: both ends are on node {self.a!r}; leave the part out or connect it elsewhere")
        for field, positive in values:
            value = getattr(self, field)
            if type(value) is float and math.isfinite(value) and (value > 0.0 or not positive):
                continue  # the common case, kept short: netlists of 1e5 parts are built in loops
            if value is not None or positive:
                object.__setattr__(self, field, _number(name, field, value, positive=positive))


@dataclass(frozen=True, slots=True)
class Resistor(Element):
    """Resistor: `resistance` in ohm, `temperature` in K (None: the netlist's); `noisy=False`: no Johnson noise."""

    letter: ClassVar[str] = "R"
    name: str
    a: str
    b: str
    resistance: float
    temperature: float | None = None
    noisy: bool = True

    def __post_init__(self) -> None:
        value, kelvin = self.resistance, self.temperature
        if (
            type(value) is float
            and 0.0 < value < math.inf
            and (kelvin is None or (type(kelvin) is float and 0.0 < kelvin < math.inf))
            and _is_plain(self.name, "R", self.a, self.b)
        ):
            return
        self._check(("resistance", True), ("temperature", False))
        if self.temperature is not None and self.temperature <= 0.0:
            raise InputError(f"{self.name}: temperature = {self.temperature!r} K, but it must be > 0 K")

    def line(self, ambient: float) -> str:
        """The ngspice line."""
        text = f"{self.name} {self.a} {self.b} {self.resistance!r}"
        if self.temperature is not None and self.temperature != ambient:
            text += f" dtemp={self.temperature - ambient!r}"  # ngspice 39's .noise uses dtemp and ignores temp
        return text if self.noisy else text + " noisy=0"


@dataclass(frozen=True, slots=True)
class Capacitor(Element):
    """Capacitor, `capacitance` in F; `initial` voltage v(a) - v(b) in V (None: 0)."""

    letter: ClassVar[str] = "C"
    name: str
    a: str
    b: str
    capacitance: float
    initial: float | None = None

    def __post_init__(self) -> None:
        self._check(("capacitance", True), ("initial", False))

    def line(self, ambient: float) -> str:
        """The ngspice line."""
        text = f"{self.name} {self.a} {self.b} {self.capacitance!r}"
        return text if self.initial is None else f"{text} ic={self.initial + 0.0!r}"


@dataclass(frozen=True, slots=True)
class Inductor(Element):
    """Inductor, `inductance` in H; `initial` current from a to b in A (None: 0)."""

    letter: ClassVar[str] = "L"
    name: str
    a: str
    b: str
    inductance: float
    initial: float | None = None

    def __post_init__(self) -> None:
        self._check(("inductance", True), ("initial", False))

    def line(self, ambient: float) -> str:
        """The ngspice line."""
        text = f"{self.name} {self.a} {self.b} {self.inductance!r}"
        return text if self.initial is None else f"{text} ic={self.initial + 0.0!r}"


@dataclass(frozen=True, slots=True)
class VoltageSource(Element):
    """Independent source: v(a) - v(b) = `dc` in V; `ac` is the small-signal amplitude in V (`.noise` needs one).

    `waveform`: (time in s, V) pairs, straight between them and constant after the last, for transients; it starts at t = 0 with `dc`.
    """

    letter: ClassVar[str] = "V"
    name: str
    a: str
    b: str
    dc: float
    ac: float = 0.0
    waveform: Waveform = ()

    def __post_init__(self) -> None:
        self._check(("dc", False), ("ac", False))
        _require(self, "dc", "ac")
        if len(self.waveform):
            object.__setattr__(self, "waveform", checked_waveform(self.name, self.waveform, self.dc))

    def line(self, ambient: float) -> str:
        """The ngspice line."""
        return _source_line(self)


@dataclass(frozen=True, slots=True)
class CurrentSource(Element):
    """Independent source: `dc` in A flows a -> source -> b, so into node b; `ac` is the small-signal amplitude in A.

    `waveform`: (time in s, A) pairs, as for `VoltageSource`.
    """

    letter: ClassVar[str] = "I"
    name: str
    a: str
    b: str
    dc: float
    ac: float = 0.0
    waveform: Waveform = ()

    def __post_init__(self) -> None:
        self._check(("dc", False), ("ac", False))
        _require(self, "dc", "ac")
        if len(self.waveform):
            object.__setattr__(self, "waveform", checked_waveform(self.name, self.waveform, self.dc))

    def line(self, ambient: float) -> str:
        """The ngspice line."""
        return _source_line(self)


@dataclass(frozen=True, slots=True)
class VCVS(Element):
    """Voltage-controlled voltage source: v(a) - v(b) = `gain` (v(cp) - v(cm))."""

    letter: ClassVar[str] = "E"
    name: str
    a: str
    b: str
    cp: str
    cm: str
    gain: float

    def __post_init__(self) -> None:
        self._check(("gain", False))
        _require(self, "gain")

    @property
    def nodes(self) -> tuple[str, ...]:
        """Output and controlling nodes."""
        return (self.a, self.b, self.cp, self.cm)

    def line(self, ambient: float) -> str:
        """The ngspice line."""
        return f"{self.name} {self.a} {self.b} {self.cp} {self.cm} {self.gain!r}"


@dataclass(frozen=True, slots=True)
class VCCS(Element):
    """Voltage-controlled current source: `transconductance` (v(cp) - v(cm)) in A flows a -> source -> b; S."""

    letter: ClassVar[str] = "G"
    name: str
    a: str
    b: str
    cp: str
    cm: str
    transconductance: float

    def __post_init__(self) -> None:
        self._check(("transconductance", False))
        _require(self, "transconductance")

    @property
    def nodes(self) -> tuple[str, ...]:
        """Output and controlling nodes."""
        return (self.a, self.b, self.cp, self.cm)

    def line(self, ambient: float) -> str:
        """The ngspice line."""
        return f"{self.name} {self.a} {self.b} {self.cp} {self.cm} {self.transconductance!r}"


@dataclass(frozen=True, slots=True)
class CCVS(Element):
    """Current-controlled voltage source: v(a) - v(b) = `transresistance` times the current through `sense`; ohm.

    `sense` names a voltage source of the netlist; its current counts from its plus node through it to its minus node.
    """

    letter: ClassVar[str] = "H"
    name: str
    a: str
    b: str
    sense: str
    transresistance: float

    def __post_init__(self) -> None:
        self._check(("transresistance", False))
        _require(self, "transresistance")
        _require_name(self, "sense", "V", "a voltage source")

    @property
    def partners(self) -> tuple[str, ...]:
        """The source whose current is sensed."""
        return (self.sense,)

    def line(self, ambient: float) -> str:
        """The ngspice line."""
        return f"{self.name} {self.a} {self.b} {self.sense} {self.transresistance!r}"


@dataclass(frozen=True, slots=True)
class CCCS(Element):
    """Current-controlled current source: `gain` times the current through `sense` flows a -> source -> b.

    `sense` is as for `CCVS`.
    """

    letter: ClassVar[str] = "F"
    name: str
    a: str
    b: str
    sense: str
    gain: float

    def __post_init__(self) -> None:
        self._check(("gain", False))
        _require(self, "gain")
        _require_name(self, "sense", "V", "a voltage source")

    @property
    def partners(self) -> tuple[str, ...]:
        """The source whose current is sensed."""
        return (self.sense,)

    def line(self, ambient: float) -> str:
        """The ngspice line."""
        return f"{self.name} {self.a} {self.b} {self.sense} {self.gain!r}"


def _source_line(source: VoltageSource | CurrentSource) -> str:
    """With a waveform ngspice takes its first value for the direct current, and notes a dc value beside it as a doubt."""
    text = f"{source.name} {source.a} {source.b}"
    text += "" if source.waveform else f" dc {source.dc + 0.0!r}"
    text += "" if source.ac == 0.0 else f" ac {source.ac!r}"
    return f"{text} {waveform_text(source.waveform)}" if source.waveform else text


def _require_name(element: Element, field: str, letter: str, what: str) -> None:
    value = getattr(element, field)
    if not isinstance(value, str) or not _NAME.fullmatch(value) or value[0].upper() != letter:
        raise InputError(f"{element.name}: {field} = {value!r} must be the name of {what}")


def _require(element: Element, *fields: str) -> None:
    for field in fields:
        if getattr(element, field) is None:
            raise InputError(f"{element.name}: {field} = None, but a finite SI value is needed")


KINDS: tuple[type[Element], ...] = (
    *(Resistor, Capacitor, Inductor, VoltageSource, CurrentSource),
    *(VCVS, VCCS, CCVS, CCCS),
)
"""The kinds of linear parts; mutual inductances are in `mutual_inductance`, nonlinear parts in `limiting` and `semiconductors`."""
