"""What stands around the parts of a netlist's text: sub-circuits, parameters, models and the temperature."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from scipy import constants

from ..errors import InputError
from ..netlist.elements import GROUND
from ..netlist.semiconductors import NOMINAL_CELSIUS, DeviceModel
from .expressions import Scope
from .lexer import Card
from .part_cards import read_model

#: Options that change what a device is; all others only tell a simulator how to work.
_CHANGES_DEVICES = ("scale", "scalm", "defl", "defw", "defad", "defas")


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


def temperature_after(card: Card, celsius: float, scope: Scope) -> float:
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
        if not -constants.zero_Celsius < celsius < 1e6:
            raise InputError(f"temperature = {celsius:g} C, but it must be above absolute zero")
    except InputError as error:
        raise card.error(str(error)) from None
    return celsius


def check_device_options(card: Card, scope: Scope) -> None:
    """Raise at options that would change the devices, which the parts here do not follow."""
    for word in card.words[1:]:
        name, _, value = word.partition("=")
        if name.lower() in _CHANGES_DEVICES:
            raise card.error(f"the option {name} is not supported; write the devices' own sizes out")
        if name.lower() != "tnom":
            continue
        try:
            nominal = scope.number(value)
        except InputError as error:
            raise card.error(str(error)) from None
        if nominal != NOMINAL_CELSIUS:
            raise card.error(f"tnom is {NOMINAL_CELSIUS:g} C here; give tnom=... in the .model cards instead")
