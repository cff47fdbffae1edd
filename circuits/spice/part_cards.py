"""One card of a netlist's text as a part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..errors import InputError
from ..netlist.elements import (
    CCCS,
    CCVS,
    VCCS,
    VCVS,
    Capacitor,
    CurrentSource,
    Element,
    Inductor,
    Resistor,
    VoltageSource,
)
from ..netlist.mutual_inductance import MutualInductance
from ..netlist.semiconductors import BipolarTransistor, Device, DeviceModel, Diode, Mosfet, Switch
from .behavioural_cards import read_behavioural
from .expressions import Scope
from .lexer import Card

_KINDS = "RCLVIEGHFKDQMSB"
_WAVES = ("sin", "pulse", "exp", "sffm", "am", "trnoise", "trrandom", "external")


@dataclass(frozen=True)
class Surroundings:
    """Where a card stands.

    Attributes:
        node: outer name of a node. scope: its parameters. kelvin: temperature of the netlist.
        path: suffix of the instance. models: by lower-case name.
    """

    node: Callable[[str], str]
    scope: Scope
    kelvin: float
    path: str
    models: Mapping[str, DeviceModel]


def read_model(card: Card, scope: Scope, path: str) -> tuple[str, DeviceModel]:
    """A `.model` card: the lower-case name that it goes by in the text, and the model.

    Raises:
        InputError: by line: words that are no ``name=number``, or unusable values, as `DeviceModel`.
    """
    words = card.words[1:]
    try:
        if len(words) < 2:
            raise InputError("a name and a kind are needed: .model NAME D|NPN|PNP|NMOS|PMOS|SW (name=number ...)")
        pairs = []
        for word in words[2:]:
            key, equals, value = word.partition("=")
            if not equals:
                raise InputError(f"{word!r}: a model's parameters are name=number; remove it")
            pairs.append((key, scope.number(value)))
        return words[0].lower(), DeviceModel(f"{words[0]}{path}", words[1], tuple(pairs))
    except InputError as error:
        raise error if str(error).startswith("line ") else card.error(str(error)) from None


def read_part(letter: str, words: list[str], around: Surroundings) -> Element:
    """The part that the words of a card describe; its own name already carries the instance's suffix.

    Raises:
        InputError: a kind, a word or a number that is not supported.
        IndexError: words are missing.
    """
    if letter not in _KINDS:
        raise InputError(
            f"parts of the kind {letter!r} are not supported; only {', '.join(_KINDS)} and X are: remove the line or replace the part"
        )
    name, node, number, path = words[0], around.node, around.scope.number, around.path
    if letter == "B":
        return read_behavioural(name, words[1:], node)
    plain = [word for word in words[1:] if "=" not in word]
    options: dict[str, str] = {}
    for key, equals, value in (word.partition("=") for word in words[1:]):
        if equals and options.setdefault(key.lower(), value) is not value:
            raise InputError(f"parameter {key!r} is given twice; drop one")

    def take(*known: str) -> dict[str, float]:
        unknown = set(options) - set(known)
        if unknown:
            raise InputError(
                f"parameter {sorted(unknown)[0]!r} is not supported; there are: {', '.join(known) or 'none'}"
            )
        return {key: number(value) for key, value in options.items()}

    def exactly(count: int) -> None:
        if len(plain) != count:
            raise InputError(f"{count} words are expected after the name, got {len(plain)}")

    if letter == "K":
        take()
        exactly(3)
        return MutualInductance(name, f"{plain[0]}{path}", f"{plain[1]}{path}", number(plain[2]))
    if letter in "DQMS":
        return _device(letter, name, plain, take, around)
    a, b = node(plain[0]), node(plain[1])
    if letter == "R":
        quiet = len(plain) == 4 and plain[3].lower() == "noiseless"
        exactly(4 if quiet else 3)
        given = take("dtemp", "temp", "noisy")
        temperature = around.kelvin + given["dtemp"] if "dtemp" in given else None
        if "temp" in given:
            temperature = given["temp"] + 273.15
        return Resistor(name, a, b, number(plain[2]), temperature, noisy=not quiet and given.get("noisy", 1.0) != 0.0)
    if letter in "CL":
        exactly(3)
        kind = Capacitor if letter == "C" else Inductor
        return kind(name, a, b, number(plain[2]), take("ic").get("ic"))
    take()
    if letter in "VI":
        values, wave = _source(plain[2:], around.scope)
        kind_of_source = VoltageSource if letter == "V" else CurrentSource
        return kind_of_source(name, a, b, values.get("dc", 0.0), values.get("ac", 0.0), wave)
    if letter in "EG":
        exactly(5)
        controlled = VCVS if letter == "E" else VCCS
        return controlled(name, a, b, node(plain[2]), node(plain[3]), number(plain[4]))
    exactly(4)
    sensing = CCVS if letter == "H" else CCCS
    return sensing(name, a, b, f"{plain[2]}{path}", number(plain[3]))


def _device(
    letter: str, name: str, plain: list[str], take: Callable[..., dict[str, float]], around: Surroundings
) -> Element:
    kinds: dict[str, type[Device]] = {"D": Diode, "Q": BipolarTransistor, "M": Mosfet, "S": Switch}
    kind = kinds[letter]
    given = take(*kind.known)
    terminals = {"D": 2, "Q": 3, "M": 4, "S": 4}[letter]
    if letter == "Q" and plain[3].lower() not in around.models and len(plain) > 4:
        terminals = 4  # collector, base, emitter, substrate
    nodes = [around.node(word) for word in plain[:terminals]]
    model = around.models.get(plain[terminals].lower())
    if model is None:
        raise InputError(f"there is no .model {plain[terminals]!r}; add its card, of type {', '.join(kind.kinds)}")
    left = plain[terminals + 1 :]
    if len(left) == 1 and letter in "DQ" and "area" not in given:
        given["area"] = around.scope.number(left.pop())
    if left:
        raise InputError(f"{left[0]!r} is not supported after the model; give parameters as name=number")
    if letter == "D":
        return Diode(name, nodes[0], nodes[1], model, given)
    if letter == "Q":
        return BipolarTransistor(name, nodes[0], nodes[1], nodes[2], model, given, *nodes[3:])
    if letter == "S":
        return Switch(name, nodes[0], nodes[1], nodes[2], nodes[3], model)
    return Mosfet(name, nodes[0], nodes[1], nodes[2], nodes[3], model, given)


def _source(words: list[str], scope: Scope) -> tuple[dict[str, float], tuple[tuple[float, float], ...]]:
    """`dc 1 ac 2`, `1`, `1 ac 2`, `pwl(0 1 1u 2)` in any order, the last one to the end."""
    values: dict[str, float] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        key = word.lower()
        if key == "pwl":
            times = [scope.number(entry) for entry in left]
            if len(times) % 2 or not times:
                raise InputError(f"pwl takes pairs of time and value, got {len(times)} numbers")
            if values.setdefault("dc", times[1]) != times[1]:
                raise InputError(f"dc {values['dc']:g} is not where pwl starts, {times[1]:g}; drop the dc value")
            return values, tuple(zip(times[::2], times[1::2], strict=True))
        if key in _WAVES:
            raise InputError(f"the waveform {word!r} is not supported; give dc, ac and pwl values only")
        if key in ("dc", "ac"):
            if not left:
                raise InputError(f"{key} without a value")
            if key in values:
                raise InputError(f"{key} is given twice; drop one")
            values[key] = scope.number(left.pop(0))
        elif "dc" not in values:
            values["dc"] = scope.number(word)
        else:
            raise InputError(f"{word!r} is not supported in a source; give dc, ac and pwl values only")
    return values, ()
