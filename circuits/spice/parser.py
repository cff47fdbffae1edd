"""A netlist read from its text: parts, sub-circuits, parameters and device models, in the dialects of ngspice, LTspice and Xyce.

Nothing is executed, and nothing is included unless a folder is named for it: every card that is not a known part, definition, option
or analysis is refused with its line number. Sub-circuits are flattened; a part ``R1`` inside instance ``X2`` becomes ``R1_X2``, an
inner node ``e`` becomes ``e_X2``; where a node of that name is also written outside, the text is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from ..netlist.elements import GROUND, Element, Resistor
from ..netlist.netlist import Netlist
from ..netlist.semiconductors import NOMINAL_CELSIUS, Device, DeviceModel
from .expressions import Scope, parse_number
from .includes import read_file
from .lexer import Card, Line, read_cards
from .part_cards import Surroundings, read_model, read_part

__all__ = ["parse_elements", "parse_netlist", "parse_number", "read_netlist", "read_subcircuit"]

_ANALYSES = (".op", ".tran", ".ac", ".dc", ".noise", ".tf", ".sens", ".pz", ".disto", ".four", ".meas", ".measure")
_OUTPUTS = (".save", ".print", ".plot", ".probe", ".backanno", ".width")
_PASSED_OVER = frozenset((".options", ".option", ".temp", ".end", *_ANALYSES, *_OUTPUTS))
#: Options that change what a device is; all others only tell a simulator how to work.
_CHANGES_DEVICES = ("scale", "scalm", "defl", "defw", "defad", "defas")
_INCLUSIONS = (".include", ".inc", ".incl", ".lib")
_REMEDIES = {
    **dict.fromkeys(
        _INCLUSIONS,
        "files are included only by Netlist.read_spice(path, include_folder=...), from inside of that folder; or paste its text here",
    ),
    **dict.fromkeys(
        (".control", ".endc", ".exec", ".shell"),
        "commands are not run; remove the block and ask for the analysis by circuits.ngspice.run.run",
    ),
    ".ic": "give the initial value to the part: C1 a b 1n ic=0.5, L1 a b 1u ic=1m",
    ".nodeset": "it is not needed to describe the circuit; remove it",
    ".global": "give each sub-circuit a port for the node instead; only ground (0) is known everywhere",
    ".func": "write the expression out; there are sqrt, exp, log, abs, min, max",
}
_DEEPEST = 20
#: Cards that instances may bring in all, so that ten lines cannot unfold into 1e20 parts.
_MOST_CARDS = 2_000_000


@dataclass
class _Subcircuit:
    name: str
    ports: list[str]
    cards: list[Card] = field(default_factory=list)
    formals: list[tuple[str, Card]] = field(default_factory=list)
    params: list[Card] = field(default_factory=list)
    models: list[Card] = field(default_factory=list)


def parse_netlist(text: str) -> Netlist:
    """The circuit that a netlist's text describes; see `Netlist.from_spice`, which is its public name.

    Raises:
        InputError: a card that is not known, by line number; a bad number, name or number of nodes.
        NetlistError: two parts of one name.
    """
    if not isinstance(text, str):
        raise InputError(f"text = {type(text).__name__}: the netlist's text is needed; Netlist.read_spice takes a file")
    return _netlist(text, list(enumerate(text.splitlines()[1:], start=2)))


def read_netlist(path: str | Path, include_folder: str | Path | None = None) -> Netlist:
    """The circuit that a file describes; see `Netlist.read_spice`, which is its public name."""
    text, lines = read_file(path, include_folder)
    return parse_netlist(text) if lines is None else _netlist(text, lines)


def parse_elements(text: str) -> tuple[list[Element], float]:
    """The parts of a netlist's text, sub-circuits flattened, and its temperature (K); see `parse_netlist`, which also checks names."""
    reader = _Reader(enumerate(text.splitlines()[1:], start=2))
    return list(reader.elements()), reader.kelvin


def read_subcircuit(text: str, lines: list[Line] | None, name: str) -> tuple[Netlist, tuple[str, ...]]:
    """One sub-circuit of a netlist's text as a circuit, and its ports, which keep their names; parts outside of it are left aside.

    Args:
        text: the netlist. lines: what to read in place of it, files included; None: the text's own.
        name: of the sub-circuit.

    Raises:
        InputError: there is no sub-circuit of that name; as `parse_netlist`.
    """
    reader = _Reader(enumerate(text.splitlines()[1:], start=2) if lines is None else lines)
    for card in reader.top.cards:  # left aside with the parts outside, its models would be missed without a word
        if card.words[0].lower() in _INCLUSIONS:
            raise card.refuse(f"the card {card.words[0]} is not read: {_REMEDIES[card.words[0].lower()]}")
    inner = reader.definitions.get(name.lower())
    if inner is None:
        there = ", ".join(found.name for found in reader.definitions.values()) or "none"
        raise InputError(f"there is no sub-circuit {name!r} in this netlist; there are: {there}")
    reader.cards = iter([Card(1, [f"X{inner.name}", *inner.ports, inner.name])])
    netlist = Netlist(inner.name, temperature=reader.kelvin)
    netlist.add(*reader.elements())
    return netlist, tuple(inner.ports)


def _netlist(text: str, lines: list[Line]) -> Netlist:
    first = text.splitlines()[0] if text.strip() else ""
    if first.lstrip().startswith("."):
        raise InputError(f"line 1 ({first[:80]}): the first line of a netlist is its title; put one before this card")
    if not first.isprintable():
        raise InputError(f"line 1 ({first[:80]!r}): the title has control characters; remove them")
    reader = _Reader(lines)
    elements = list(reader.elements())
    netlist = Netlist(first.removeprefix("*").strip(), temperature=reader.kelvin)
    try:
        netlist.add(*elements)
    except InputError as error:
        _blame(lines, error)
        raise
    return netlist


def _blame(lines: list[Line], error: InputError) -> None:
    """Read once more, part by part, and raise `error` with the line of the card that it is about."""
    reader = _Reader(lines)
    trace: list[Card] = []
    netlist = Netlist("")
    for element in reader.elements(trace):
        try:
            netlist.add(element)
        except InputError as again:
            raise trace[-1].refuse(str(again), type(again)) from None
        trace.clear()


class _Reader:
    """One text: its temperature, definitions and top level."""

    def __init__(self, lines: Iterable[Line]) -> None:
        cards, dots = read_cards(lines)
        self.definitions: dict[str, _Subcircuit] = {}
        self.scope = Scope()
        self.models: dict[str, DeviceModel] = {}
        self.left = _MOST_CARDS
        self.origins: dict[str, tuple[str, str]] = {}
        # Cards of a flat netlist are used as they come, since keeping 1e5 of them costs more than reading them.
        self.flat = all(card.words[0].lower() in _PASSED_OVER for card in dots)
        self.top = _Subcircuit("", [])
        if self.flat:
            self.cards = iter(cards)
        else:
            self.definitions, self.top = _definitions(cards)
            self.cards = iter(self.top.cards)
            for card in self.top.params:
                _define(self.scope, card)
            self.scope.settle()
        celsius = 27.0
        for card in dots:
            celsius = _temperature(card, celsius, self.scope)
        self.kelvin = celsius + 273.15
        if not self.flat:
            self.models = _models(self.top.models, self.scope, "")
        self.options = [card for card in dots if card.words[0].lower() in (".options", ".option")]

    def elements(self, trace: list[Card] | None = None) -> Iterator[Element]:
        """The parts; `trace` is given the card of each before the part itself."""
        parts = self._flatten(self.cards, {}, "", self.scope, self.models, 0, trace)
        if not self.models and not any(d.models for d in self.definitions.values()):
            return parts
        return self._with_devices(parts)

    def _with_devices(self, parts: Iterator[Element]) -> Iterator[Element]:
        checked = False
        for part in parts:
            if isinstance(part, Device) and not checked:
                for card in self.options:
                    _refuse_device_options(card, self.scope)
                checked = True
            yield part

    def _flatten(
        self,
        cards: Iterator[Card],
        ports: dict[str, str],
        path: str,
        scope: Scope,
        models: Mapping[str, DeviceModel],
        depth: int,
        trace: list[Card] | None,
    ) -> Iterator[Element]:
        """Parts of these cards with outer node names; `path` is the instance's suffix."""
        names: dict[str, str] = {}
        spelling: dict[str, str] = {}

        def node(name: str) -> str:
            found = names.get(name)
            if found is None:
                low = name.lower()
                found = GROUND if low in (GROUND, "gnd") else ports.get(low)
                if found is None:
                    found = spelling.setdefault(low, f"{name}{path}")
                    if self.definitions and self.origins.setdefault(found.lower(), (path, low)) != (path, low):
                        raise InputError(
                            f"node {name!r} would be called {found!r}, as another node is; rename one of them"
                        )
                names[name] = found
            return found

        around = Surroundings(node, scope, self.kelvin, path, models)
        for card in cards:
            words, letter = card.words, card.words[0][0].upper()
            if trace is not None:
                trace.append(card)
            if letter == ".":
                key = words[0].lower()
                if key not in _PASSED_OVER:
                    raise card.refuse(f"the card {words[0]} is not read: {_REMEDIES.get(key, 'remove it')}")
                if key == ".end" and depth == 0:
                    for late in cards:
                        raise late.refuse("it stands after .end; remove it, or the .end before it")
                continue
            if letter == "X":
                yield from self._instance(card, node, path, scope, models, depth, trace)
                continue
            try:
                if (
                    letter == "R" and len(words) == 4 and "=" not in words[3] and words[3][0] != "{"
                ):  # nearly all of a large one
                    name, a, b, ohm = words
                    if path:
                        name += path
                    yield Resistor(name, names.get(a) or node(a), names.get(b) or node(b), parse_number(ohm))
                    continue
                part = read_part(letter, [f"{words[0]}{path}", *words[1:]], around)
            except (InputError, IndexError) as error:
                raise card.refuse(str(error) if isinstance(error, InputError) else "words are missing") from None
            yield part

    def _instance(
        self,
        card: Card,
        node: Callable[[str], str],
        path: str,
        scope: Scope,
        models: Mapping[str, DeviceModel],
        depth: int,
        trace: list[Card] | None,
    ) -> Iterator[Element]:
        """Parts of one X card."""
        plain = [word for word in card.words[1:] if "=" not in word]
        if plain and plain[-1].lower() == "params:":
            plain.pop()
        inner = self.definitions.get(plain[-1].lower()) if plain else None
        if inner is None:
            raise card.refuse(
                f"there is no sub-circuit {card.words[-1] if not plain else plain[-1]!r}; define it by .subckt"
            )
        if len(plain) - 1 != len(inner.ports):
            raise card.refuse(
                f"sub-circuit {inner.name} has {len(inner.ports)} ports, {len(plain) - 1} nodes are given"
            )
        if depth >= _DEEPEST:
            raise card.refuse(f"sub-circuits nested more than {_DEEPEST} deep: does one contain itself?")
        self.left -= 1 + len(inner.cards)
        if self.left < 0:
            raise card.refuse(f"sub-circuits unfold into more than {_MOST_CARDS} cards; use fewer instances")
        inside = Scope(scope)
        for word, source in inner.formals:
            inside.define(word, source)
        try:
            ports = {port.lower(): node(outer) for port, outer in zip(inner.ports, plain[:-1], strict=True)}
            for word in card.words[1:]:
                name, equals, value = word.partition("=")
                if equals:
                    inside.set(name, scope.number(value))
            for source in inner.params:
                _define(inside, source)
            inside.settle()
        except InputError as error:
            raise error if str(error).startswith("line ") else card.refuse(str(error)) from None
        suffix = f"{path}_{card.words[0]}"
        local = _models(inner.models, inside, suffix)
        yield from self._flatten(
            iter(inner.cards), ports, suffix, inside, {**models, **local} if local else models, depth + 1, trace
        )


def _definitions(cards: Iterable[Card]) -> tuple[dict[str, _Subcircuit], _Subcircuit]:
    """Sub-circuits by lower-case name, and what is outside of them."""
    found: dict[str, _Subcircuit] = {}
    top = _Subcircuit("", [])
    current = top
    start: Card | None = None
    for card in cards:
        key = card.words[0].lower()
        if key == ".subckt":
            if start is not None:
                raise card.refuse("a .subckt inside another is not read; define it outside")
            start, current = card, _subcircuit(card)
            if current.name.lower() in found:
                raise card.refuse(f"sub-circuit {current.name!r} is already defined; rename one")
        elif key == ".ends":
            if start is None:
                raise card.refuse(".ends without .subckt; remove it")
            found[current.name.lower()], current, start = current, top, None
        elif key == ".param":
            current.params.append(card)
        elif key == ".model":
            current.models.append(card)
        else:
            current.cards.append(card)
    if start is not None:
        raise start.refuse(f".subckt {current.name} has no .ends; add it after the last part")
    return found, top


def _subcircuit(card: Card) -> _Subcircuit:
    words = [word for word in card.words[1:] if word.lower() != "params:"]
    plain = [word for word in words if "=" not in word]
    if len(plain) < 2:
        raise card.refuse("a name and at least one port are needed")
    made = _Subcircuit(plain[0], plain[1:])
    low = [port.lower() for port in made.ports]
    if len(set(low)) < len(low):
        raise card.refuse("two ports have one name; rename one")
    if GROUND in low or "gnd" in low:
        raise card.refuse("ground is known everywhere and is no port; remove it")
    made.formals = [(word, card) for word in words if "=" in word]
    scope = Scope()
    for word, _ in made.formals:
        scope.define(word, card)
    return made


def _define(scope: Scope, card: Card) -> None:
    if len(card.words) < 2:
        raise card.refuse("name=value or name={expression} is needed")
    for word in card.words[1:]:
        scope.define(word, card)


def _models(cards: list[Card], scope: Scope, path: str) -> dict[str, DeviceModel]:
    found: dict[str, DeviceModel] = {}
    for card in cards:
        key, model = read_model(card, scope, path)
        if key in found:
            raise card.refuse(f"model {card.words[1]!r} is already defined; rename one")
        found[key] = model
    return found


def _temperature(card: Card, celsius: float, scope: Scope) -> float:
    """The temperature in force after this card, in Celsius."""
    key = card.words[0].lower()
    try:
        if key == ".temp":
            if len(card.words) != 2:
                raise InputError("one temperature, in Celsius, is needed; run the netlist once for each")
            celsius = scope.number(card.words[1])
        elif key in (".options", ".option"):
            for word in card.words[1:]:
                name, equals, value = word.partition("=")
                if equals and name.lower() == "temp":
                    celsius = scope.number(value)
        if not -273.15 < celsius < 1e6:
            raise InputError(f"temperature = {celsius:g} C, but it must be above absolute zero")
    except InputError as error:
        raise card.refuse(str(error)) from None
    return celsius


def _refuse_device_options(card: Card, scope: Scope) -> None:
    """Refuse options that would change the devices, which the parts here do not heed."""
    for word in card.words[1:]:
        name, _, value = word.partition("=")
        if name.lower() in _CHANGES_DEVICES:
            raise card.refuse(f"the option {name} is not read; write the devices' own sizes out")
        if name.lower() != "tnom":
            continue
        try:
            nominal = scope.number(value)
        except InputError as error:
            raise card.refuse(str(error)) from None
        if nominal != NOMINAL_CELSIUS:
            raise card.refuse(f"tnom is {NOMINAL_CELSIUS:g} C here; give tnom=... in the .model cards instead")
