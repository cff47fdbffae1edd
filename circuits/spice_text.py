"""A netlist read back from its text: linear parts and sub-circuits, in the dialects of ngspice, LTspice and Xyce.

Nothing is executed and nothing is included: every card that is not a known part, sub-circuit, option or analysis is refused
with its line number. Sub-circuits are flattened; a part ``R1`` inside instance ``X2`` becomes ``R1_X2``, an inner node ``e``
becomes ``e_X2``, unless those names would be the same as outside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .elements import CCVS, GROUND, VCCS, VCVS, Capacitor, CurrentSource, Element, Inductor, Resistor, VoltageSource
from .errors import InputError
from .netlist import Netlist

_SUFFIXES = {
    "t": 1e12, "g": 1e9, "meg": 1e6, "k": 1e3, "mil": 25.4e-6, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15,
}  # fmt: skip
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(meg|mil|[tgkmuµnpf])?[a-zµ]*", re.IGNORECASE)
_IGNORED = (".op", ".tran", ".ac", ".dc", ".noise", ".save", ".print", ".probe", ".end", ".backanno")
_DEEPEST = 20


def parse_number(text: str) -> float:
    """A SPICE number: ``1.5k``, ``2meg``, ``10pF``, ``1e-9``.

    Raises:
        InputError: not a number.
    """
    if text.isascii() and text[-1:].isdigit() and "_" not in text:  # the common case; "inf" and "nan" end in letters
        try:
            return float(text)
        except ValueError:
            pass
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise InputError(f"{text!r} is not a number (digits, then an SI suffix such as k, meg, u, n or p)")
    return float(match[1]) * _SUFFIXES.get((match[2] or "").lower(), 1.0)


class _Card(NamedTuple):
    """One logical line: its first line's number, and its words."""

    number: int
    words: list[str]

    def refuse(self, why: str) -> InputError:
        return InputError(f"line {self.number} ({' '.join(self.words)[:80]}): {why}")


@dataclass
class _Subcircuit:
    name: str
    ports: list[str]
    cards: list[_Card] = field(default_factory=list)


def parse_netlist(text: str) -> Netlist:
    """The circuit that a netlist's text describes.

    Args:
        text: first line a title; then R, C, L, V, I, E, G, H and X cards, `.subckt` definitions, options and analyses (which
            are passed over).

    Raises:
        InputError: a card that is not known, by line number; a bad number, name or number of nodes.
        NetlistError: two parts of one name.
    """
    title = text.splitlines()[0].removeprefix("*").strip() if text.strip() else ""
    elements, kelvin = parse_elements(text)
    netlist = Netlist(title, temperature=kelvin)
    netlist.add(*elements)
    return netlist


def parse_elements(text: str) -> tuple[list[Element], float]:
    """The parts of a netlist's text, sub-circuits flattened, and its temperature (K); see `parse_netlist`, which also checks names."""
    celsius, cards = 27.0, _cards(text)
    for card in _cards("\n".join(["", *(line for line in text.splitlines()[1:] if line.lstrip()[:1] in (".", "+"))])):
        celsius = _temperature(card, celsius)
    kelvin = celsius + 273.15
    # Cards of a flat netlist are used as they come, since keeping 1e5 of them costs more than reading them.
    flat = ".subckt" not in text.lower() and ".ends" not in text.lower()
    definitions, top = ({}, cards) if flat else _definitions(cards)
    return list(_flatten(top, definitions, {}, "", kelvin, 0)), kelvin


def _cards(text: str) -> Iterator[_Card]:
    """Logical lines after the title: comments dropped, continuations joined."""
    lines = text.splitlines()[1:]
    body = [(number, line) for number, line in enumerate(lines, start=2) if line[:1] != "*"]
    whole = "\n".join(line for _, line in body)
    if not any(mark in whole for mark in (";", "$", "(", " =", "= ", "*", "\n+", "\n ", "\t")):  # as it is written here
        yield from (_Card(number, line.split()) for number, line in body if line)
        return
    pending: _Card | None = None
    for number, line in enumerate(lines, start=2):
        content = (re.split(r";|\s\$", line, maxsplit=1)[0] if ";" in line or "$" in line else line).strip()
        if not content or content.startswith("*"):
            continue
        if "=" in content or "(" in content:
            content = _joined(content)
        words = content.split()
        if content.startswith("+"):
            if pending is None:
                raise InputError(f"line {number}: a continuation (+) with nothing before it")
            pending.words.extend(content[1:].split())
            continue
        if pending is not None:
            yield pending
        pending = _Card(number, words)
    if pending is not None:
        yield pending


def _joined(content: str) -> str:
    """Brackets as blanks, and parameters as one word each."""
    return re.sub(r"\s*=\s*", "=", re.sub(r"[()]", " ", content))


def _definitions(cards: Iterable[_Card]) -> tuple[dict[str, _Subcircuit], list[_Card]]:
    """Sub-circuits by lower-case name, and the cards outside of them."""
    found: dict[str, _Subcircuit] = {}
    top: list[_Card] = []
    current: _Subcircuit | None = None
    for card in cards:
        key = card.words[0].lower()
        if key == ".subckt":
            if current is not None:
                raise card.refuse("a .subckt inside another is not read; define it outside")
            if len(card.words) < 3:
                raise card.refuse("a name and at least one port are needed")
            current = _Subcircuit(card.words[1], card.words[2:])
        elif key == ".ends":
            if current is None:
                raise card.refuse(".ends without .subckt")
            found[current.name.lower()], current = current, None
        else:
            (top if current is None else current.cards).append(card)
    if current is not None:
        raise InputError(f".subckt {current.name} has no .ends")
    return found, top


def _temperature(card: _Card, celsius: float) -> float:
    if card.words[0][0] != ".":
        return celsius
    key = card.words[0].lower()
    if key == ".temp" and len(card.words) == 2:
        return parse_number(card.words[1])
    if key in (".options", ".option"):
        for word in card.words[1:]:
            name, _, value = word.partition("=")
            if name.lower() == "temp":
                return parse_number(value)
    return celsius


def _flatten(
    cards: Iterable[_Card],
    definitions: dict[str, _Subcircuit],
    ports: dict[str, str],
    path: str,
    kelvin: float,
    depth: int,
) -> Iterator[Element]:
    """Parts of these cards with outer node names; `path` is the instance's suffix."""
    if depth > _DEEPEST:
        raise InputError(f"sub-circuits nested more than {_DEEPEST} deep: does one contain itself?")

    names: dict[str, str] = {}

    def node(name: str) -> str:
        found = names.get(name)
        if found is None:
            low = name.lower()
            found = names[name] = GROUND if low in (GROUND, "gnd") else ports.get(low, f"{name}{path}")
        return found

    for card in cards:
        words, letter = card.words, card.words[0][0].upper()
        if letter == ".":
            if words[0].lower() in (".options", ".option", ".temp", *_IGNORED):
                continue
            raise card.refuse(f"the card {words[0]} is not read; remove it")
        if letter == "X":
            name = words[-1].lower()
            inner = definitions.get(name)
            if inner is None:
                raise card.refuse(f"there is no sub-circuit {words[-1]!r}")
            if len(words) - 2 != len(inner.ports):
                raise card.refuse(
                    f"sub-circuit {inner.name} has {len(inner.ports)} ports, {len(words) - 2} nodes are given"
                )
            inside = {port.lower(): node(outer) for port, outer in zip(inner.ports, words[1:-1], strict=True)}
            yield from _flatten(inner.cards, definitions, inside, f"{path}_{words[0]}", kelvin, depth + 1)
            continue
        try:
            if letter == "R" and len(words) == 4 and "=" not in words[3]:  # nearly all of a large netlist
                name, a, b, ohm = words
                if path:
                    name += path
                yield Resistor(name, names.get(a) or node(a), names.get(b) or node(b), parse_number(ohm))
                continue
            yield _element(card, letter, [f"{words[0]}{path}", *words[1:]], node, kelvin, path)
        except (InputError, IndexError) as error:
            raise card.refuse(str(error) if isinstance(error, InputError) else "words are missing") from None


def _element(
    card: _Card, letter: str, words: list[str], node: Callable[[str], str], kelvin: float, path: str
) -> Element:
    if letter not in "RCLVIEGH":
        raise InputError(f"parts of the kind {letter!r} are not read; only R, C, L, V, I, E, G, H and X are")
    name = words[0]
    plain = [word for word in words[1:] if "=" not in word]
    options = {key.lower(): value for key, _, value in (word.partition("=") for word in words[1:] if "=" in word)}

    def take(*known: str) -> dict[str, float]:
        unknown = set(options) - set(known)
        if unknown:
            raise InputError(f"parameter {sorted(unknown)[0]!r} is not read; there are: {', '.join(known) or 'none'}")
        return {key: parse_number(value) for key, value in options.items()}

    def exactly(count: int) -> None:
        if len(plain) != count:
            raise InputError(f"{count} words are expected after the name, got {len(plain)}")

    a, b = node(plain[0]), node(plain[1])
    if letter == "R":
        quiet = len(plain) == 4 and plain[3].lower() == "noiseless"
        exactly(4 if quiet else 3)
        given = take("dtemp", "temp", "noisy")
        temperature = kelvin + given["dtemp"] if "dtemp" in given else None
        if "temp" in given:
            temperature = given["temp"] + 273.15
        return Resistor(
            name, a, b, parse_number(plain[2]), temperature, noisy=not quiet and given.get("noisy", 1.0) != 0.0
        )
    if letter in "CL":
        exactly(3)
        kind = Capacitor if letter == "C" else Inductor
        return kind(name, a, b, parse_number(plain[2]), take("ic").get("ic"))
    if letter in "VI":
        take()
        values = _source(plain[2:])
        kind_of_source = VoltageSource if letter == "V" else CurrentSource
        return kind_of_source(name, a, b, values.get("dc", 0.0), values.get("ac", 0.0))
    take()
    if letter in "EG":
        exactly(5)
        controlled = VCVS if letter == "E" else VCCS
        return controlled(name, a, b, node(plain[2]), node(plain[3]), parse_number(plain[4]))
    exactly(4)
    return CCVS(name, a, b, f"{plain[2]}{path}", parse_number(plain[3]))


def _source(words: list[str]) -> dict[str, float]:
    """`dc 1 ac 2`, `1`, `1 ac 2` in any order."""
    values: dict[str, float] = {}
    left = list(words)
    while left:
        word = left.pop(0).lower()
        if word in ("dc", "ac"):
            if not left:
                raise InputError(f"{word} without a value")
            values[word] = parse_number(left.pop(0))
        elif "dc" not in values:
            values["dc"] = parse_number(word)
        else:
            raise InputError(f"{word!r} is not read in a source; give dc and ac values only")
    return values
