"""Names of nodes and parts as other tools write them (`/sub/in+`, `M§Q1`), as names that every simulator takes."""

from __future__ import annotations

import re

from ..errors import InputError

_NODE = re.compile(r"[A-Za-z0-9_]+")
_REPLACED = str.maketrans(dict.fromkeys("/-[]<>~%#!@^&|?.:$", "_") | {"+": "p"})
_REPLACED_IN_PARTS = _REPLACED | str.maketrans("§´", "__")
#: In ngspice, LTspice and Xyce a node inside of the instance x1 is called x1.n or x1:n outside of it.
_INSIDE = re.compile(r"x[^.:]*[.:]", re.IGNORECASE)


def node_name(name: str) -> str:
    """A node's name with letters, digits and ``_`` alone: ``+`` becomes ``p``, ``-`` at an end ``n``, other signs ``_``.

    KiCad's ``/sub/in+`` becomes ``_sub_inp`` and ``+3.3V`` becomes ``p3_3V``. Characters that are not known from such exports stay, for
    `Netlist.add` to reject. Two names may become one: the caller compares.

    Raises:
        InputError: ``x1.n``, which may be a node inside of ``x1``; ``gnd!``, which is ground to some simulators.
    """
    if _NODE.fullmatch(name):
        return name
    if _INSIDE.match(name):
        raise InputError(
            f"node name {name!r} may mean a node inside of a sub-circuit's instance; give the sub-circuit a port for it, or rename it"
        )
    if name.lower() == "gnd!":
        raise InputError(f"node name {name!r} is ground to some simulators and a node to others; write 0, or rename it")
    inner = name[1:-1] if len(name) > 1 else ""
    ends = (name[:1].replace("-", "n"), name[len(inner) + 1 :].replace("-", "n"))
    return f"{ends[0]}{inner}{ends[1]}".translate(_REPLACED)


def part_name(name: str) -> str:
    """A part's name with ``_`` for the sign that LTspice and QSPICE put behind a letter of their own (`M§Q1`), and as `node_name`."""
    return name if name.isascii() and name.isidentifier() else name.translate(_REPLACED_IN_PARTS)
