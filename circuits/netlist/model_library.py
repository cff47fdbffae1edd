"""Models that stand in a foundry's own files: a netlist refers to them by name, and has ngspice read the files.

The files' text is not part of a netlist. What is, are the cards that name them, each checked here, so that a netlist's text still holds
nothing but parts, numbers, checked names and paths.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeAlias

from ..errors import InputError

_CARD = re.compile(
    r'\.include "[^"\s]+"|\.lib "[^"\s]+" [A-Za-z0-9_]+|\.param(?: [A-Za-z]\w*=[-+]?[0-9][-+.0-9eE]*)+', re.ASCII
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
KINDS = ("NMOS", "PMOS", "RESISTOR", "CAPACITOR")
FINGERS = ".options wnflag=1"
"""A bin's widths are those of one finger, w / nf; ngspice compares them with the whole width otherwise, takes the parameters of another bin
beyond its range, and may end at NaN (SKY130, w = 7 um, nf = 4)."""
Limits: TypeAlias = tuple[tuple[str, float, float], ...]
"""(instance parameter, smallest, largest) of what a model is made for."""


@dataclass(frozen=True, slots=True)
class ModelLibrary:
    """Model files of one process at one corner.

    Attributes:
        process: its name; a netlist has one library of a process. corner: in words, for messages.
        cards: what ngspice reads: ``.include "PATH"``, ``.lib "PATH" SECTION`` and ``.param name=number ...``, nothing else.

    Raises:
        InputError: another card; a path with blanks.
    """

    process: str
    corner: str
    cards: tuple[str, ...] = field(repr=False)

    def __post_init__(self) -> None:
        for card in self.cards:
            if not isinstance(card, str) or not _CARD.fullmatch(card):
                raise InputError(
                    f'model library {self.process}: {card!r:.200}: .include "PATH", .lib "PATH" SECTION or .param name=number is needed; '
                    "a path must have no blanks: install the models in a folder without"
                )


@dataclass(frozen=True, slots=True)
class LibraryModel:
    """A model of a library, by name; stands where a `DeviceModel` does.

    Attributes:
        name: in the library's files. kind: NMOS, PMOS, RESISTOR or CAPACITOR.
        library: where it stands.
        known: an instance's parameters; (): those of its kind of part. limits: ranges of some of them; the width is that of a finger.
        nodes: that an instance has; a resistor of three has the substrate last.
        is_subcircuit: whether an instance is an X card, in place of one of its kind's letter.
    """

    name: str
    kind: str
    library: ModelLibrary
    known: tuple[str, ...] = ()
    limits: Limits = ()
    nodes: int = 2
    is_subcircuit: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise InputError(f"model name {self.name!r}: a letter, then up to 63 letters, digits or '_'")
        if self.kind not in KINDS:
            raise InputError(f"model {self.name}: kind {self.kind!r} is not taken; there are: {', '.join(KINDS)}")

    def cards(self) -> tuple[str, ...]:
        """Cards that make ngspice know the model: the library's."""
        return (*self.library.cards, FINGERS)

    def check(self, name: str, values: dict[str, float]) -> None:
        """Raise InputError where a part's parameter is outside of what the model is made for."""
        for parameter, least, most in self.limits:
            value = values.get(parameter)
            if value is None:
                raise InputError(f"{name}: {self.name} needs {parameter}, from {least:g} to {most:g}")
            value /= values.get("nf", 1.0) if parameter == "w" else 1.0
            if not least * (1 - 1e-9) <= value <= most * (1 + 1e-9):
                raise InputError(
                    f"{name}: {parameter} = {value:g}{' a finger' if 'nf' in values else ''}, but {self.name} of "
                    f"{self.library.process} is made for {least:g} to {most:g}"
                )
