"""The parts of a netlist's text, sub-circuits flattened, in the dialects of ngspice, LTspice and Xyce.

Nothing is executed: every card that is not a known part, definition, option or analysis is an error with its line number. A part ``R1``
inside instance ``X2`` becomes ``R1_X2``, an inner node ``e`` becomes ``e_X2``; where a node of that name is also written outside, that
is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from ..errors import InputError
from ..netlist.elements import GROUND, Element, Resistor
from ..netlist.model_library import LibraryModel
from ..netlist.semiconductors import Device, DeviceModel
from .definitions import Definition, define, read_models, split_definitions
from .expressions import Scope, names_in, parse_number
from .lexer import BLANK, Card, Line, read_cards
from .library_cards import read_library_part
from .names import node_name, part_name
from .options import OPTION_CARDS, check_device_options, check_options, temperature
from .part_cards import Surroundings, read_part
from .process_cards import INCLUSIONS, is_process_card, process_models

_ANALYSES = (".op", ".tran", ".ac", ".dc", ".noise", ".tf", ".sens", ".pz", ".disto", ".four", ".meas", ".measure")
_OUTPUTS = (".save", ".print", ".plot", ".probe", ".backanno", ".width")
_PASSED_OVER = frozenset((*OPTION_CARDS, ".temp", ".title", ".end", *_ANALYSES, *_OUTPUTS))
_REMEDIES = {
    **dict.fromkeys(
        INCLUSIONS,
        "files are included only by read_spice(path, include_folder=...), from inside of that folder, and models of a process by "
        "its name (.lib pdk:gf180mcu tt); or paste its text here",
    ),
    **dict.fromkeys(
        (".control", ".endc", ".exec", ".shell"),
        "commands are not run; remove the block and ask for the analysis by circuits.run",
    ),
    ".ic": "give the initial value to the part: C1 a b 1n ic=0.5, L1 a b 1u ic=1m",
    ".nodeset": "it is not needed to describe the circuit; remove it",
    ".global": "give each sub-circuit a port for the node instead; only ground (0) is known everywhere",
    ".func": "write the expression out; there are sqrt, exp, log, abs, min, max",
}
_MAX_DEPTH = 20
#: Cards that instances may bring in all, so that ten lines cannot unfold into 1e20 parts.
_MAX_CARDS = 2_000_000


def not_supported(card: Card) -> InputError:
    """The error of a card with a dot that is not supported, with what to do instead."""
    key = card.words[0].lower()
    return card.error(f"the card {card.words[0]} is not supported: {_REMEDIES.get(key, 'remove it')}")


def _names_ground(words: list[str]) -> bool:
    """Whether a card is `.global 0` or `.global gnd`, as xschem writes it."""
    return words[0].lower() == ".global" and all(word.lower() in (GROUND, "gnd") for word in words[1:])


class Parser:
    """One text: its temperature, definitions and top level."""

    def __init__(self, lines: Iterable[Line]) -> None:
        cards, dots = read_cards(lines)
        self.definitions: dict[str, Definition] = {}
        self.scope = Scope()
        self.models: dict[str, DeviceModel | LibraryModel] = {}
        self.left = _MAX_CARDS
        self.origins: dict[str, tuple[str, str]] = {}
        # Cards of a flat netlist are used as they come, since keeping 1e5 of them costs more than reading them.
        self.flat = all(card.words[0].lower() in _PASSED_OVER for card in dots)
        self.top = Definition("", [])
        if self.flat:
            self.cards = iter(cards)
        else:
            self.definitions, self.top = split_definitions(cards)
            self.cards = iter(self.top.cards)
            for card in self.top.params:
                define(self.scope, card)
            self.scope.settle()
        self.options = [card for card in dots if card.words[0].lower() in OPTION_CARDS]
        check_options(self.options)
        self.kelvin = temperature(dots, self.scope)
        if not self.flat:
            self.models = {**process_models(dots), **read_models(self.top.models, self.scope, "")}
        self.is_ltspice = any(card.words[0].lower() == ".backanno" for card in dots)  # an error in ngspice

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
                    check_device_options(card, self.scope)
                checked = True
            yield part

    def _flatten(
        self,
        cards: Iterator[Card],
        ports: dict[str, str],
        path: str,
        scope: Scope,
        models: Mapping[str, DeviceModel | LibraryModel],
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
                    found = spelling.setdefault(low, f"{node_name(name)}{path}")
                    if self.origins.setdefault(found.lower(), (path, low)) != (path, low):
                        raise InputError(
                            f"node {name!r} would be called {found!r}, as another node is; rename one of them"
                        )
                names[name] = found
            return found

        around = Surroundings(node, scope, self.kelvin, path, models, self.is_ltspice)
        for card in cards:
            words, letter = card.words, card.words[0][0].upper()
            if trace is not None:
                trace.append(card)
            if letter == ".":
                key = words[0].lower()
                if key not in _PASSED_OVER and not _names_ground(words) and not is_process_card(words):
                    raise not_supported(card)
                if key == ".end" and depth == 0:
                    for late in cards:
                        raise late.error("it stands after .end; remove it, or the .end before it")
                continue
            if letter == "X":
                yield from self._instance(card, node, path, scope, models, depth, trace)
                continue
            try:
                if (
                    letter == "R" and len(words) == 4 and "=" not in words[3] and words[3][0] != "{"
                ):  # nearly all of a large one
                    name, a, b, ohm = words
                    if path or not name.isidentifier():
                        name = f"{part_name(name)}{path}"
                    yield Resistor(name, names.get(a) or node(a), names.get(b) or node(b), parse_number(ohm))
                    continue
                part = read_part(letter, [f"{part_name(words[0])}{path}", *words[1:]], around)
            except (InputError, IndexError) as error:
                raise card.error(str(error) if isinstance(error, InputError) else "words are missing") from None
            yield part

    def _instance(
        self,
        card: Card,
        node: Callable[[str], str],
        path: str,
        scope: Scope,
        models: Mapping[str, DeviceModel | LibraryModel],
        depth: int,
        trace: list[Card] | None,
    ) -> Iterator[Element]:
        """Parts of one X card."""
        plain = [word for word in card.words[1:] if "=" not in word]
        if plain and plain[-1].lower() == "params:":
            plain.pop()
        inner = self.definitions.get(plain[-1].lower()) if plain else None
        if inner is None:
            model = models.get(plain[-1].lower()) if plain else None
            if isinstance(model, LibraryModel):
                try:
                    yield read_library_part(f"{part_name(card.words[0])}{path}", card.words[1:], model, node, scope)
                except InputError as error:
                    raise card.error(str(error)) from None
                return
            raise card.error(
                f"there is no sub-circuit {card.words[-1] if not plain else plain[-1]!r}; define it by .subckt"
            )
        if len(plain) - 1 != len(inner.ports):
            raise card.error(f"sub-circuit {inner.name} has {len(inner.ports)} ports, {len(plain) - 1} nodes are given")
        if depth >= _MAX_DEPTH:
            raise card.error(f"sub-circuits nested more than {_MAX_DEPTH} deep: does one contain itself?")
        self.left -= 1 + len(inner.cards)
        if self.left < 0:
            raise card.error(f"sub-circuits unfold into more than {_MAX_CARDS} cards; use fewer instances")
        inside = Scope(scope)
        for word, source in inner.formals:
            inside.define(word, source)
        try:
            ports = {port.lower(): node(outer) for port, outer in zip(inner.ports, plain[:-1], strict=True)}
            own = {word.partition("=")[0].lower() for word, _ in inner.formals}
            own |= {word.partition("=")[0].lower() for source in inner.params for word in source.words[1:]}
            for word in card.words[1:]:
                name, equals, value = word.partition("=")
                if equals:
                    _check_names(name.lower(), value, own, inner.name)
                    inside.set(name, scope.number(value))
            for source in inner.params:
                define(inside, source)
            inside.settle()
        except InputError as error:
            raise error if str(error).startswith("line ") else card.error(str(error)) from None
        suffix = f"{path}_{part_name(card.words[0])}"
        local = read_models(inner.models, inside, suffix)
        yield from self._flatten(
            iter(inner.cards), ports, suffix, inside, {**models, **local} if local else models, depth + 1, trace
        )


def _check_names(name: str, value: str, own: set[str], subcircuit: str) -> None:
    """Raise where an instance's expression names a parameter that is both the caller's and the sub-circuit's.

    ngspice takes the sub-circuit's (measured), but for the parameter that is set: with ``r={r}`` the caller's is meant everywhere.
    """
    if value[:1] == "{":
        for other in sorted(names_in(value) & own - {name}):
            shown = value.replace(BLANK, " ")
            raise InputError(
                f"{name}={shown}: {other!r} is a parameter of the sub-circuit {subcircuit}, too, and simulators differ in which is "
                "meant; rename one"
            )
