"""A board as a KiCad netlist: components with footprints, the pins of their symbols, and nets (format version E, of KiCad 6 and newer).

`pcbnew` reads it by File > Import > Netlist. There is no date in it, and identifiers are hashes of designators: the same board gives the
same file.
"""

from __future__ import annotations

import re
import uuid

from ...circuits.errors import InputError
from ...circuits.version import __version__
from .board import Board, Component

_NAMESPACE = uuid.UUID("6f9619ff-8b86-d011-b42d-00c04fc964ff")
_TEXT = re.compile(r"[A-Za-z0-9 .,:;=+*~_/%\-]*")


def kicad_netlist(board: Board) -> str:
    """The netlist's text.

    Raises:
        InputError: a name that is not of letters, digits and a few signs.
    """
    lines = [
        '(export (version "E")',
        f"  (design (source {_quoted(board.title)}) (tool {_quoted(f'thermograd {__version__}')}))",
        "  (components",
    ]
    for component in board.components:
        lines += _component(component)
    lines[-1] += ")"
    lines.append("  (libparts")
    shown = {(component.library, component.symbol): component for component in board.components}
    for (library, symbol), component in shown.items():
        lines.append(f"    (libpart (lib {_quoted(library)}) (part {_quoted(symbol)})")
        lines.append("      (pins")
        lines += [
            f"        (pin (num {_quoted(pin.number)}) (name {_quoted(pin.name)}) (type {_quoted(pin.kind)}))"
            for pin in component.pins
        ]
        lines[-1] += "))"
    lines[-1] += ")"
    lines.append("  (nets")
    kinds = {(c.reference, pin.number): pin for c in board.components for pin in c.pins}
    for code, (net, pins) in enumerate(board.nets().items(), start=1):
        lines.append(f"    (net (code {_quoted(str(code))}) (name {_quoted(net)})")
        lines += [
            f"      (node (ref {_quoted(reference)}) (pin {_quoted(number)}) (pintype {_quoted(kinds[reference, number].kind)}))"
            for reference, number in pins
        ]
        lines[-1] += ")"
    lines[-1] += "))"
    return "\n".join([*lines, ""])


def _component(component: Component) -> list[str]:
    properties = {
        "Netlist": " ".join(component.names),
        "Tolerance": f"{100 * component.tolerance:.3g}%" if component.tolerance else "",
    }
    if component.rating:
        properties["Rating"] = f"{component.rating:g}{'W' if component.symbol == 'R' else 'V'}"
    return [
        f"    (comp (ref {_quoted(component.reference)})",
        f"      (value {_quoted(component.value)})",
        f"      (footprint {_quoted(component.footprint)})",
        f'      (libsource (lib {_quoted(component.library)}) (part {_quoted(component.symbol)}) (description ""))',
        *(
            f"      (property (name {_quoted(name)}) (value {_quoted(value)}))"
            for name, value in properties.items()
            if value
        ),
        f'      (tstamps "{uuid.uuid5(_NAMESPACE, component.reference)}"))',
    ]


def _quoted(text: str) -> str:
    if not _TEXT.fullmatch(text):
        raise InputError(
            f"{text!r} cannot stand in a KiCad netlist: letters, digits and . , : ; = + * ~ _ / % - are allowed"
        )
    return f'"{text}"'
