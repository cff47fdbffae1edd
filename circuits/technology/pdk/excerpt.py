"""What of a foundry's files a netlist needs: ngspice reads a few kilobytes in place of megabytes, and finds the same models.

A process's MOS transistors are some hundred models each, a bin for a range of widths and lengths. ngspice reads and keeps all of them
for every run: 0.1 s for GF180MCU, 1.2 s for SKY130, where a run itself takes milliseconds. Here the files' cards are read once, and of
them a run is given all parameters, the bins that its transistors lie in, and the sub-circuits that it uses, in the files' own words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ...errors import InputError
from ...netlist.elements import Element
from ...netlist.model_library import FINGERS, LibraryModel, ModelLibrary
from ...netlist.semiconductors import Device

_INCLUSION = re.compile(r"\.(?:include|lib)\s+(?:\"([^\"]+)\"|'([^']+)'|(\S+))(?:\s+(\S+))?\s*$", re.IGNORECASE)
_SECTION = re.compile(r"\.(lib\s+(\S+)\s*$|endl\b)", re.IGNORECASE)
_MODEL = re.compile(r"\.model\s+(\S+?)(\.\d+)?\s", re.IGNORECASE)
_RANGE = re.compile(r"\b([lw])(min|max)\s*=\s*(\S+)", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z]\w*", re.ASCII)
_MAX_DEPTH = 10
#: Bins meet at their edges, and ngspice decides; a size this close to an edge takes both.
_EDGE = 1e-6


@dataclass(frozen=True)
class _Block:
    """A card with its continuations, or a whole sub-circuit.

    Attributes:
        lines: as in the file. name: of the model or sub-circuit, lower case; "": neither.
        bin: (lmin, lmax, wmin, wmax) of a binned model, m; None: no bin.
    """

    lines: tuple[str, ...]
    name: str = ""
    bin: tuple[float, float, float, float] | None = None

    def holds(self, width: float, length: float) -> bool:
        """Whether a transistor of this size (m) may lie in the bin."""
        if self.bin is None:
            return True
        l_least, l_most, w_least, w_most = self.bin
        return _within(length, l_least, l_most) and _within(width, w_least, w_most)


def needed_cards(elements: Iterable[Element]) -> list[str]:
    """The cards that the models of `elements` need, as `netlist.semiconductors.model_cards`, but without what these parts do not use.

    Raises:
        InputError: a library's file cannot be read.
    """
    devices = [element for element in elements if isinstance(element, Device)]
    cards: dict[str, None] = {}
    libraries: dict[ModelLibrary, set[tuple[str, float, float]]] = {}
    for device in devices:
        if isinstance(device.model, LibraryModel):
            width, length = (device.values.get(key, 0.0) for key in ("w", "l"))
            sizes = libraries.setdefault(device.model.library, set())
            sizes |= {
                (device.model.name.lower(), width / fingers, length) for fingers in (1.0, device.values.get("nf", 1.0))
            }
        else:
            cards |= dict.fromkeys(device.model.cards())
    found = list(cards)
    for library, sizes in libraries.items():
        found += _excerpt(library, frozenset(sizes))
    return [*found, FINGERS] if libraries else found


@lru_cache(maxsize=64)
def _excerpt(library: ModelLibrary, sizes: frozenset[tuple[str, float, float]]) -> tuple[str, ...]:
    """Lines of the library that parts of these (model, width, length) need."""
    blocks = [block for card in library.cards for block in _blocks(card)]
    named: dict[str, list[_Block]] = {}
    for block in blocks:
        if block.name:
            named.setdefault(block.name, []).append(block)
    wanted: set[str] = set()
    front = {name for name, _, _ in sizes}
    while front:
        wanted |= front
        words = {
            word.lower()
            for name in front
            for block in named.get(name, ())
            if block.bin is None
            for word in _words(block)
        }
        front = (words & named.keys()) - wanted
    own = {name: [(width, length) for model, width, length in sizes if model == name] for name in wanted}
    kept: list[str] = []
    for block in blocks:
        if not block.name or (
            block.name in wanted and (not own[block.name] or any(block.holds(*size) for size in own[block.name]))
        ):
            kept += block.lines
    return tuple(kept)


@lru_cache(maxsize=32)
def _blocks(card: str) -> tuple[_Block, ...]:
    """What one card of a library, such as a section of a file, consists of."""
    blocks: list[_Block] = []
    for lines in _joined(_flat(card, Path(), 0)):
        text = " ".join(lines)
        if lines[0][:7].lower() == ".subckt":
            blocks.append(_Block(tuple(lines), lines[0].split()[1].lower()))
        elif match := _MODEL.match(text):
            limits = (
                {f"{axis}{end}".lower(): float(value) for axis, end, value in _RANGE.findall(text)} if match[2] else {}
            )
            sized = (limits["lmin"], limits["lmax"], limits["wmin"], limits["wmax"]) if len(limits) == 4 else None
            blocks.append(_Block(tuple(lines), match[1].lower(), sized))
        else:
            blocks.append(_Block(tuple(lines)))
    return tuple(blocks)


def _joined(lines: Iterable[str]) -> Iterator[list[str]]:
    """Cards with their continuation lines; a sub-circuit's cards are one."""
    card: list[str] = []
    inside = False
    for line in lines:
        start = line[:7].lower()
        if card and not inside and line[0] != "+":
            yield card
            card = []
        card.append(line)
        if start == ".subckt":
            inside = True
        elif start[:5] == ".ends":
            inside = False
    if card:
        yield card


def _flat(card: str, home: Path, depth: int) -> Iterator[str]:
    """A card, or what it includes, without comments and empty lines."""
    match = _INCLUSION.match(card)
    if match is None:
        yield card
        return
    if depth >= _MAX_DEPTH:
        raise InputError(f"model files include one another more than {_MAX_DEPTH} deep at {card!r}")
    path = home / (match[1] or match[2] or match[3])
    for line in _section(path, match[4]):
        yield from _flat(line, path.parent, depth + 1)


@lru_cache(maxsize=64)
def _section(path: Path, section: str | None) -> tuple[str, ...]:
    """Lines of a file, or of one section of it."""
    lines = _file(path)
    if section is None:
        return lines
    found: list[str] = []
    inside = False
    for line in lines:
        match = _SECTION.match(line)
        if match and match[2]:
            inside = match[2].lower() == section.lower()
        elif match:
            if inside:
                return tuple(found)
        elif inside:
            found.append(line)
    raise InputError(f"model file {str(path)!r} has no section {section!r}")


@lru_cache(maxsize=4)
def _file(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text(encoding="latin-1")
    except OSError as error:
        raise InputError(f"model file {str(path)!r} cannot be read: {error.strerror}") from None
    stripped = (line.strip() for line in text.split("\n"))
    return tuple(line for line in stripped if line and line[0] != "*")


def _words(block: _Block) -> Iterator[str]:
    for line in block.lines:
        yield from _WORD.findall(line)


def _within(value: float, least: float, most: float) -> bool:
    return least * (1 - _EDGE) <= value <= most * (1 + _EDGE)
