"""B cards: the saturating sources that thermograd itself writes, read back."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

from ..errors import InputError
from ..netlist.limiting import Behavioural, Clamp, SaturatingVCCS
from .lexer import split_words

_NUMBER = r"([0-9.eE+-]+)"
#: The two expressions as a reader of cards sees them, brackets being blanks to it.
_SATURATING = re.compile(rf"i={_NUMBER}\*tanh {_NUMBER}\*v (\S+),(\S+) /{_NUMBER}")
_CLAMP = re.compile(rf"i={_NUMBER}\*{_NUMBER}\* max v (\S+),(\S+) -{_NUMBER} /{_NUMBER},0 ")
_BRACES = re.compile(r"i=\{(.*)\}")  # around Xyce's expressions


def read_behavioural(name: str, words: list[str], node: Callable[[str], str]) -> Behavioural:
    """The part of a B card that one of these records wrote; no other expression is supported.

    Args:
        name: of the part. words: of the card after its name, as `lexer` splits them. node: outer name of a node.

    Raises:
        InputError: another expression.
        IndexError: words are missing.
    """
    a, b, text = words[0], words[1], " ".join(words[2:])
    if braces := _BRACES.fullmatch(text):
        text = " ".join(split_words(0, f"i={braces[1]}"))
    found: SaturatingVCCS | Clamp | None = None
    if match := _SATURATING.fullmatch(text):
        found = SaturatingVCCS(name, a, b, match[3], match[4], float(match[2]), float(match[1]))
    elif match := _CLAMP.match(text):
        found = Clamp(name, a, b, float(match[5]), float(match[1]), float(match[6]))
    if found is None or " ".join(split_words(0, found.line(0.0))[3:]) != text:
        raise InputError(
            "a B source is only read where thermograd wrote it, i=limit*tanh(g*v(cp,cm)/limit) or a clamp; use E, G, F, H or "
            "transistors"
        )
    ends = {"a": node(a), "b": node(b)}
    if isinstance(found, SaturatingVCCS):
        ends |= {"cp": node(found.cp), "cm": node(found.cm)}
    return dataclasses.replace(found, **ends)  # type: ignore[arg-type]
