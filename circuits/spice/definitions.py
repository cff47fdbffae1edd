"""What stands around the parts of a netlist's text: sub-circuits, parameters and models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..netlist.elements import GROUND
from ..netlist.semiconductors import DeviceModel
from .expressions import Scope
from .lexer import Card
from .options import OPTION_CARDS
from .part_cards import read_model


@dataclass
class Definition:
    """One sub-circuit's cards, or those outside of all.

    Attributes:
        name, ports: of the sub-circuit.
        cards: its parts and instances. formals: its parameters' ``name=value``, each with its card.
        params: its ``.param`` cards. models: its ``.model`` cards.
    """

    name: str
    ports: list[str]
    cards: list[Card] = field(default_factory=list)
    formals: list[tuple[str, Card]] = field(default_factory=list)
    params: list[Card] = field(default_factory=list)
    models: list[Card] = field(default_factory=list)


def split_definitions(cards: Iterable[Card]) -> tuple[dict[str, Definition], Definition]:
    """Sub-circuits by lower-case name, and what is outside of them."""
    found: dict[str, Definition] = {}
    top = Definition("", [])
    current = top
    start: Card | None = None
    for card in cards:
        key = card.words[0].lower()
        if key == ".subckt":
            if start is not None:
                raise card.error("a .subckt inside another is not supported; define it outside")
            start, current = card, _definition(card)
            if current.name.lower() in found:
                raise card.error(f"sub-circuit {current.name!r} is already defined; rename one")
        elif key == ".ends":
            if start is None:
                raise card.error(".ends without .subckt; remove it")
            found[current.name.lower()], current, start = current, top, None
        elif start is not None and (
            key == ".temp" or (key in OPTION_CARDS and any(word.lower().startswith("temp=") for word in card.words))
        ):
            raise card.error("the temperature is the whole circuit's; put it outside of the sub-circuit")
        elif key == ".param":
            current.params.append(card)
        elif key == ".model":
            current.models.append(card)
        else:
            current.cards.append(card)
    if start is not None:
        raise start.error(f".subckt {current.name} has no .ends; add it after the last part")
    return found, top


def _definition(card: Card) -> Definition:
    words = [word for word in card.words[1:] if word.lower() != "params:"]
    plain = [word for word in words if "=" not in word]
    if len(plain) < 2:
        raise card.error("a name and at least one port are needed")
    made = Definition(plain[0], plain[1:])
    low = [port.lower() for port in made.ports]
    if len(set(low)) < len(low):
        raise card.error("two ports have one name; rename one")
    if GROUND in low or "gnd" in low:
        raise card.error("ground is known everywhere and is no port; remove it")
    made.formals = [(word, card) for word in words if "=" in word]
    scope = Scope()
    for word, _ in made.formals:
        scope.define(word, card)
    return made


def define(scope: Scope, card: Card) -> None:
    """Take the parameters of a `.param` card."""
    if len(card.words) < 2:
        raise card.error("name=value or name={expression} is needed")
    for word in card.words[1:]:
        scope.define(word, card)


def read_models(cards: list[Card], scope: Scope, path: str) -> dict[str, DeviceModel]:
    """Models of `.model` cards by lower-case name; `path` is the suffix of the instance."""
    found: dict[str, DeviceModel] = {}
    for card in cards:
        key, model = read_model(card, scope, path)
        if key in found:
            raise card.error(f"model {card.words[1]!r} is already defined; rename one")
        found[key] = model
    return found
