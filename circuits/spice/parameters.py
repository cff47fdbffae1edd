"""Values of a netlist's text as parameters: `.param` cards, and expressions in braces in place of parts' numbers.

The three dialects write both alike (`docs/dialects.md`). Names are checked and expressions are made of names, numbers and arithmetic
alone, so that a text with parameters can carry no command either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ..errors import InputError
from ..netlist.elements import (
    VCCS,
    VCVS,
    Capacitor,
    CurrentSource,
    Element,
    Inductor,
    Resistor,
    VoltageSource,
)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_EXPRESSION = re.compile(r"[a-z0-9_+\-*/(),. ]+", re.IGNORECASE)
_VALUES: dict[type[Element], str] = {
    Resistor: "resistance",
    Capacitor: "capacitance",
    Inductor: "inductance",
    VoltageSource: "dc",
    CurrentSource: "dc",
    VCVS: "gain",
    VCCS: "transconductance",
}
"""The field that is the value of each kind of part."""


class Parameter(NamedTuple):
    """One `.param` card.

    Attributes:
        name: lower case.
        value: a number, or an expression.
        meaning: what it is, for a comment on the line before; "": no comment.
        card: in its place, `.global_param` where Xyce is to draw its value anew.
    """

    name: str
    value: float | str
    meaning: str = ""
    card: Literal[".param", ".global_param"] = ".param"


@dataclass(frozen=True)
class Parameters:
    """The `.param` cards of a text, and the parts whose values are expressions of them.

    Attributes:
        cards: in the order in which they are written; one refers to those before it alone.
        expressions: part's name -> what stands in braces in place of its value.

    Raises:
        InputError: a name or an expression that is more than names, numbers and arithmetic.
    """

    cards: Sequence[Parameter]
    expressions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value, _, _ in self.cards:
            if not _NAME.fullmatch(name):
                raise InputError(f"parameter {name!r}: a lower-case letter, then letters, digits or '_' are needed")
            if isinstance(value, str):
                _check_expression(name, value)
        for name, text in self.expressions.items():
            _check_expression(name, text)

    def lines(self) -> list[str]:
        """The `.param` cards, each after a comment that says what it is."""
        lines = []
        for name, value, meaning, card in self.cards:
            if meaning:
                lines.append(f"* {name}: {meaning}")
            lines.append(f"{card} {name}={{{value}}}" if isinstance(value, str) else f"{card} {name}={value + 0.0!r}")
        return lines

    def part(self, element: Element, line: str) -> str:
        """The line of a part with its expression in place of its value."""
        text = self.expressions.get(element.name)
        if text is None:
            return line
        # No name of a node is a float's text, which has a point or a sign in it: the first word like the value is the value.
        before, number, after = line.partition(f" {value_of(element) + 0.0!r}")
        if not number:
            raise InputError(f"{element.name}: the line {line!r} does not hold its value {value_of(element)!r}")
        return f"{before} {{{text}}}{after}"


def value_of(element: Element) -> float:
    """The value of a part: ohm, F, H, V, A, gain or S.

    Raises:
        InputError: a part without one value.
    """
    field_name = _VALUES.get(type(element))
    if field_name is None or (isinstance(element, VoltageSource | CurrentSource) and element.waveform):
        raise InputError(
            f"{element.name} is a {type(element).__name__}, which has no one value that could be an expression"
        )
    return float(getattr(element, field_name))


def _check_expression(name: str, text: str) -> None:
    if not _EXPRESSION.fullmatch(text):
        raise InputError(f"{name}: the expression {text!r} may hold names, numbers, brackets and + - * / only")
