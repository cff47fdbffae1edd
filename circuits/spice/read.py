"""SPICE text read as circuits: a netlist's parts, sub-circuits, parameters and device models become a `Netlist`.

Nothing is executed, and nothing is included unless a folder is named for it, but for the models of installed processes, by name.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import InputError
from ..netlist.elements import GROUND, Element
from ..netlist.netlist import Netlist
from .includes import read_file
from .lexer import Card, Line, split_lines, split_words, without_comment
from .names import node_name
from .parser import Parser, not_supported
from .process_cards import INCLUSIONS, is_process_card

_TITLE = re.compile(r"\s*\.title(?:\s(.*))?$", re.ASCII | re.IGNORECASE)


def parse_spice(text: str) -> Netlist:
    """The circuit that a SPICE netlist's text describes; nothing in it is executed or included.

    The first line is the title. Supported cards: R, C, L, K, V, I, E, G, F, H, D, Q, M, S and X, ``.subckt`` with parameters,
    ``.param`` with expressions in braces or quotes (numbers, parameters, ``+ - * / ** ( )``, sqrt, exp, log, abs, min, max),
    ``.model`` of type D, NPN, PNP, NMOS, PMOS and SW, ``.temp`` and ``.options temp=``. Analyses, outputs and options that only steer a
    simulator are passed over: ask for an analysis by `circuits.run`. Sources have dc and ac values and ``pwl`` waveforms. Initial values
    stand at the part (``C1 a b 1n ic=0.5``); ``.ic`` is not supported. Sub-circuits become part of their names: R1 in X2 is R1_X2. Nodes
    such as ``/in+`` are renamed: ``_inp`` (`circuits.spice.names`).

    ``.lib pdk:gf180mcu ss`` makes the models of an installed foundry's process known (`circuits.spice.process_cards`).

    Diodes, transistors and switches are for ngspice only; `statespace`, `descriptor` and the other dialects do not support them.

    Example:
        >>> netlist = parse_spice('''divider
        ... .param r=1k
        ... V1 in 0 3
        ... R1 in out {2*r}
        ... R2 out 0 {r}
        ... .end''')
        >>> netlist["R1"].resistance
        2000.0

    Raises:
        InputError: a card, number or word that is not supported, by line number and with what to do instead.
        NetlistError: two parts of one name, or other faults of the whole, as `Netlist.add`.
    """
    if not isinstance(text, str):
        raise InputError(f"text = {type(text).__name__}: the netlist's text is needed; read_spice takes a file")
    return _netlist(text, list(enumerate(split_lines(text)[1:], start=2)))


def read_spice(path: str | Path, include_folder: str | Path | None = None) -> Netlist:
    """The circuit that a SPICE netlist in a file (UTF-8, UTF-16 or Windows-1252) describes, as `parse_spice`.

    Args:
        path: the file.
        include_folder: the folder whose files ``.include FILE`` and ``.lib FILE SECTION`` may name, relative to the file that names
            them or to the folder, at most 10 deep; links are followed first, and what is not inside is an error. None: no file. The models
            of an installed process (``.lib pdk:gf180mcu tt``) need no folder.

    Example:
        ``read_spice("amplifier.cir", include_folder="models")``

    Raises:
        InputError: the file cannot be read; as `parse_spice`, with the included file's name after the line's number.
        NetlistError: as `parse_spice`.
    """
    text, lines = read_file(path, include_folder)
    return parse_spice(text) if lines is None else _netlist(text, lines)


def parse_elements(text: str) -> tuple[list[Element], float]:
    """The parts of a netlist's text, sub-circuits flattened, and its temperature (K); see `parse_spice`, which also checks names."""
    parser = Parser(enumerate(split_lines(text)[1:], start=2))
    return list(parser.elements()), parser.kelvin


def read_subcircuit(text: str, lines: list[Line] | None, name: str) -> tuple[Netlist, tuple[str, ...]]:
    """One sub-circuit of a netlist's text as a circuit, and its ports, which keep their names; parts outside of it are left aside.

    Args:
        text: the netlist. lines: what to read in place of it, files included; None: the text's own.
        name: of the sub-circuit.

    Raises:
        InputError: there is no sub-circuit of that name; as `parse_spice`.
    """
    parser = Parser(enumerate(split_lines(text)[1:], start=2) if lines is None else lines)
    for card in parser.top.cards:  # left aside with the parts outside, its models would be missed silently
        if card.words[0].lower() in INCLUSIONS and not is_process_card(card.words):
            raise not_supported(card)
    inner = parser.definitions.get(name.lower())
    if inner is None:
        there = ", ".join(found.name for found in parser.definitions.values()) or "none"
        raise InputError(f"there is no sub-circuit {name!r} in this netlist; there are: {there}")
    parser.cards = iter([Card(1, [f"X{inner.name}", *inner.ports, inner.name])])
    netlist = Netlist(inner.name, temperature=parser.kelvin)
    netlist.add(*parser.elements())
    return netlist, tuple(node_name(port) for port in inner.ports)


def _netlist(text: str, lines: list[Line]) -> Netlist:
    first = split_lines(text.partition("\n")[0])[0]
    title = _title(first, text)
    parser = Parser(lines)
    elements = list(parser.elements())
    netlist = Netlist(title, temperature=parser.kelvin)
    try:
        netlist.add(*elements)
    except InputError as error:
        _reraise_with_line(lines, error)
        raise
    if _is_part(first, parser, netlist):
        raise InputError(
            f"line 1 ({title[:80]}): the first line of a netlist is its title, and this one is a part, which would be left out; put a "
            "title before it, or '*' if it is the title"
        )
    return netlist


def _title(first: str, text: str) -> str:
    """The first line, or what a `.title` card says in its place: the first line of KiCad's and PySpice's exports is one."""
    cards: list[str] = []
    if ".title" in text.lower():
        cards = [found[1] or "" for line in split_lines(text) if (found := _TITLE.match(line))]
    if not cards and first.lstrip().startswith("."):
        raise InputError(f"line 1 ({first[:80]}): the first line of a netlist is its title; put one before this card")
    title = re.sub(r"\s", " ", cards[-1] if cards else first.removeprefix("*")).strip()
    if not title.isprintable():
        raise InputError(f"line 1 ({title[:80]!r}): the title has control characters; remove them")
    return title


def _is_part(line: str, parser: Parser, netlist: Netlist) -> bool:
    """Whether a line that stands where the title is expected is a part of this netlist, between nodes that it has."""
    try:
        words = split_words(1, without_comment(line))
        nodes = {node.lower() for node in netlist.nodes}
        named = [name for word in words[1:] if (name := node_name(word).lower()) in nodes or name in (GROUND, "gnd")]
        if len(named) < 2 or nodes.isdisjoint(named):
            return False
        parser.cards = iter([Card(1, words)])
        return any(True for _ in parser.elements())
    except InputError:
        return False


def _reraise_with_line(lines: list[Line], error: InputError) -> None:
    """Read once more, part by part, and raise `error` with the line of the card that it is about."""
    parser = Parser(lines)
    trace: list[Card] = []
    netlist = Netlist("")
    for element in parser.elements(trace):
        try:
            netlist.add(element)
        except InputError as again:
            raise trace[-1].error(str(again), type(again)) from None
        trace.clear()
