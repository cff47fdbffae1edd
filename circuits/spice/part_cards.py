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
from ..netlist.model_library import LibraryModel
from ..netlist.mutual_inductance import MutualInductance
from ..netlist.semiconductors import BipolarTransistor, Device, DeviceModel, Diode, Mosfet, Switch
from .behavioural_cards import read_behavioural
from .expressions import Scope
from .lexer import Card
from .library_cards import read_library_part
from .names import part_name
from .source_cards import read_source

_KINDS = "RCLVIEGHFKDQMSB"
_NAMED_VALUES = {"R": "r", "C": "c", "L": "l"}
_EXPRESSIONS = ("poly", "table", "value", "vol", "cur", "laplace", "freq", "vcvs", "vccs", "ccvs", "cccs")


@dataclass(frozen=True)
class Surroundings:
    """Where a card stands.

    Attributes:
        node: outer name of a node. scope: its parameters. kelvin: temperature of the netlist.
        path: suffix of the instance. models: by lower-case name.
        relative_times: whether a pwl time with a plus sign counts from the point before it.
    """

    node: Callable[[str], str]
    scope: Scope
    kelvin: float
    path: str
    models: Mapping[str, DeviceModel | LibraryModel]
    relative_times: bool = False


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
    words = [part for word in words for part in _parts(word, letter)]
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

    def times(given: dict[str, float]) -> float:
        """How many parts in parallel the card stands for."""
        many = given.get("m", 1.0)
        if many <= 0.0:
            raise InputError(f"m = {many:g}, but it must be > 0; leave the part out instead")
        return many

    def exactly(count: int) -> None:
        if len(plain) != count:
            raise InputError(f"{count} words are expected after the name, got {len(plain)}")

    if letter == "K":
        take()
        exactly(3)
        return MutualInductance(name, f"{part_name(plain[0])}{path}", f"{part_name(plain[1])}{path}", number(plain[2]))
    if letter in "DQMS":
        return _device(letter, name, plain, take, around)
    a, b = node(plain[0]), node(plain[1])
    if letter in _NAMED_VALUES and len(plain) == 2 and _NAMED_VALUES[letter] in options:
        plain.append(options.pop(_NAMED_VALUES[letter]))  # R1 a b r=1k
    if letter == "R" and isinstance(
        model := around.models.get(plain[2].lower() if len(plain) > 2 else ""), LibraryModel
    ):
        return read_library_part(name, words[1:], model, node, around.scope)
    if letter == "R":
        quiet = len(plain) == 4 and plain[3].lower() == "noiseless"
        exactly(4 if quiet else 3)
        given = take("dtemp", "temp", "noisy", "m")
        temperature = around.kelvin + given["dtemp"] if "dtemp" in given else None
        if "temp" in given:
            temperature = given["temp"] + 273.15
        noisy = not quiet and given.get("noisy", 1.0) != 0.0
        return Resistor(name, a, b, number(plain[2]) / times(given), temperature, noisy=noisy)
    if letter == "C":
        exactly(3)
        given = take("ic", "m")
        return Capacitor(name, a, b, number(plain[2]) * times(given), given.get("ic"))
    if letter == "L":
        exactly(3)
        given = take("ic", "m")
        if len(given) == 2:
            raise InputError("ic together with m is not supported; write the inductor and its current without m")
        return Inductor(name, a, b, number(plain[2]) / times(given), given.get("ic"))
    if letter == "V":
        take()
        source = read_source(plain[2:], around.scope, around.relative_times)
        return VoltageSource(name, a, b, source.dc, source.ac, source.waveform)
    if letter == "I":
        many = times(take("m"))
        source = read_source(plain[2:], around.scope, around.relative_times)
        wave = tuple((time, many * value) for time, value in source.waveform)
        return CurrentSource(name, a, b, many * source.dc, many * source.ac, wave)
    for word in (*plain[2:3], *options):
        if word.lower() in _EXPRESSIONS:
            raise InputError(
                f"{word!r} is not supported in a controlled source; write nodes (or a source, for F and H) and one value"
            )
    given = take(*("m" if letter in "GF" else ()))
    exactly(5 if letter in "EG" else 4)
    if letter == "E":
        return VCVS(name, a, b, node(plain[2]), node(plain[3]), number(plain[4]))
    if letter == "G":
        return VCCS(name, a, b, node(plain[2]), node(plain[3]), number(plain[4]) * times(given))
    if letter == "H":
        return CCVS(name, a, b, f"{part_name(plain[2])}{path}", number(plain[3]))
    return CCCS(name, a, b, f"{part_name(plain[2])}{path}", number(plain[3]) * times(given))


def _parts(word: str, letter: str) -> list[str]:
    """Commas are blanks outside of expressions, and so is the sign between a source's ``dc`` or ``ac`` and its value."""
    key, equals, value = word.partition("=")
    if equals and letter in "VI" and key.lower() in ("dc", "ac"):
        return [key, *_parts(value, letter)]
    return [word] if "{" in word or '"' in word else word.replace(",", " ").split()


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
        raise InputError(
            f"there is no .model {plain[terminals]!r}; add its card, of type {', '.join(kind.kinds)}, or one that names the process it is "
            "of: .lib pdk:gf180mcu tt"
        )
    if isinstance(model, LibraryModel) and kind is not Mosfet:
        raise InputError(f"{model.name} is of kind {model.kind}, and no part {letter}... takes it")
    left = plain[terminals + 1 :]
    if len(left) == 1 and letter in "DQ" and "area" not in given:
        given["area"] = around.scope.number(left.pop())
    if left:
        raise InputError(f"{left[0]!r} is not supported after the model; give parameters as name=number")
    if isinstance(model, LibraryModel):
        return Mosfet(name, nodes[0], nodes[1], nodes[2], nodes[3], model, given)
    if letter == "D":
        return Diode(name, nodes[0], nodes[1], model, given)
    if letter == "Q":
        return BipolarTransistor(name, nodes[0], nodes[1], nodes[2], model, given, *nodes[3:])
    if letter == "S":
        return Switch(name, nodes[0], nodes[1], nodes[2], nodes[3], model)
    return Mosfet(name, nodes[0], nodes[1], nodes[2], nodes[3], model, given)
