"""`.lib pdk:NAME SECTION` and `.include pdk:NAME`: the models of an installed process, by its name and from nowhere else.

    .lib pdk:gf180mcu ss             transistors at the corner ss (tt, ff, ss, fs, sf), resistors and capacitors typical
    .lib pdk:gf180mcu passives_ff    resistors and capacitors at ff (tt, ff, ss)
    .include pdk:gf180mcu            all typical

The foundry's files are not read here, only their models' names and ranges are known (`technology.pdk`); ngspice reads them.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import InputError
from ..netlist.model_library import LibraryModel
from ..technology.pdk.process_record import Process
from ..technology.pdk.registry import process
from .lexer import Card

INCLUSIONS = (".include", ".inc", ".incl", ".lib")
_SCHEME = "pdk:"
_PASSIVES = "passives_"
_OF = {"corner": "transistors", "passives": "resistors and capacitors"}


def is_process_card(words: list[str]) -> bool:
    """Whether a card includes from a process."""
    return len(words) > 1 and words[0].lower() in INCLUSIONS and _bare(words[1]).lower().startswith(_SCHEME)


def process_models(cards: Iterable[Card]) -> dict[str, LibraryModel]:
    """The models that the cards which are `is_process_card` make known, by lower-case name.

    Raises:
        InputError: by line: an unknown process or section, another corner than a card before, models that are not installed.
    """
    wanted: dict[str, dict[str, str]] = {}
    found: dict[str, LibraryModel] = {}
    for card in cards:
        if not is_process_card(card.words):
            continue
        try:
            known = process(_bare(card.words[1])[len(_SCHEME) :].lower())
            corners = wanted.setdefault(known.name, {})
            kind, corner = _section(known, [_bare(word).lower() for word in (card.words[0], *card.words[2:])])
            if corners.setdefault(kind, corner) != corner:
                raise InputError(
                    f"{known.name}'s {_OF[kind]} are at {corners[kind]!r} already; a circuit is made at one corner: drop one of the two"
                )
            found |= {model.name.lower(): model for model in known.models(**corners).values()}
        except InputError as error:
            raise card.error(str(error)) from None
    return found


def _section(known: Process, words: list[str]) -> tuple[str, str]:
    """("corner" or "passives", which) that `.include` or `.lib SECTION` asks for."""
    inclusion, *section = words
    if inclusion != ".lib" and not section:
        return "corner", "tt"
    if inclusion == ".lib" and len(section) == 1:
        if section[0] in known.sections:
            return "corner", section[0]
        if (corner := section[0].removeprefix(_PASSIVES)) != section[0] and corner in known.passive_sections:
            return "passives", corner
    there = ", ".join((*known.sections, *(f"{_PASSIVES}{corner}" for corner in known.passive_sections)))
    raise InputError(f"write .include pdk:{known.name}, or .lib pdk:{known.name} SECTION with one of: {there}")


def _bare(word: str) -> str:
    """Without quotes; single ones come as braces from the lexer."""
    return word[1:-1] if len(word) > 1 and word[0] + word[-1] in ('""', "{}") else word
