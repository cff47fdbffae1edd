"""Numbers, parameters and arithmetic of a netlist's text, evaluated by a small parser of its own: no name reaches Python.

sum     = product (("+" | "-") product)*
product = signed (("*" | "/") signed)*
signed  = ("+" | "-") signed | power
power   = atom ("**" exponent)*         from left to right, as in ngspice: 2**3**2 = 64
atom    = number | name | function "(" sum ("," sum)* ")" | "(" sum ")"
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from ..errors import InputError
from .lexer import BLANK, Card

_SUFFIXES = {
    "t": 1e12, "g": 1e9, "meg": 1e6, "k": 1e3, "mil": 25.4e-6, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15,
}  # fmt: skip
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(meg|mil|[tgkmuµnpf])?[a-zµ]*", re.IGNORECASE)
_TOKEN = re.compile(
    r"[\s\x00]*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?[a-zµ]*)|(?P<name>[a-z_][a-z0-9_]*)|(?P<sign>\*\*|[-+*/(),]))",
    re.IGNORECASE,
)
_MIL = re.compile("[0-9.]mil", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_FUNCTIONS: dict[str, tuple[int, int, Callable[..., float]]] = {
    "sqrt": (1, 1, math.sqrt),
    "exp": (1, 1, math.exp),
    "log": (1, 1, math.log),
    "abs": (1, 1, abs),
    "min": (1, 99, min),
    "max": (1, 99, max),
}
"""Name -> fewest and most arguments, and what to call; log is the natural logarithm, as in ngspice."""
#: Bound on brackets, signs and parameters within parameters, far below where Python's own stack would end.
_MAX_DEPTH = 50
_MAX_LENGTH = 1000


def parse_number(text: str) -> float:
    """A SPICE number: ``1.5k``, ``2meg``, ``10pF``, ``1e-9``.

    Raises:
        InputError: not a number.
    """
    if text.isascii() and text[-1:].isdigit() and "_" not in text:  # the common case; "inf" and "nan" end in letters
        try:
            return float(text)
        except ValueError:
            pass
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise InputError(f"{text!r} is not a number (digits, then an SI suffix such as k, meg, u, n or p)")
    return float(match[1]) * _SUFFIXES.get((match[2] or "").lower(), 1.0)


def names_in(text: str) -> set[str]:
    """Lower-case names of the parameters and functions of an expression."""
    return {match["name"].lower() for match in _TOKEN.finditer(text) if match["name"]}


class Scope:
    """Parameters by lower-case name, those of `outer` behind them; expressions are evaluated when first asked for.

    ngspice looks an unknown parameter up where the instance stands, not where the sub-circuit is defined (measured), so `outer` is
    the scope of the caller.
    """

    def __init__(self, outer: Scope | None = None) -> None:
        self.outer = outer
        self.level: list[int] = [0] if outer is None else outer.level
        self._texts: dict[str, tuple[str, Card]] = {}
        self._values: dict[str, float] = {}
        self._open: set[str] = set()

    def define(self, word: str, card: Card) -> None:
        """Take ``name=expression`` of a card.

        Raises:
            InputError: not of that form, or a name that is illegal or already defined in this scope.
        """
        name, _, text = word.partition("=")
        key = name.lower()
        if not text or not _NAME.fullmatch(name):
            raise card.error(f"{word!r}: name=value or name={{expression}} is needed")
        if key in _FUNCTIONS:
            raise card.error(f"parameter {name!r} is named like a function; rename it")
        if key in self._texts:
            raise card.error(f"parameter {name!r} is already defined on line {self._texts[key][1].number}; drop one")
        self._texts[key] = text, card

    def set(self, name: str, value: float) -> None:
        """Give an already defined parameter another value, as an instance does.

        Raises:
            InputError: there is no such parameter in this scope.
        """
        if name.lower() not in self._texts:
            known = ", ".join(self._texts) or "none"
            raise InputError(f"the sub-circuit has no parameter {name!r}; there are: {known}")
        if name.lower() in self._values:
            raise InputError(f"parameter {name!r} is given twice; drop one")
        self._values[name.lower()] = value

    def settle(self) -> None:
        """Evaluate all parameters, so that a fault is found whether or not it matters."""
        for name in self._texts:
            self.value(name)

    def value(self, name: str) -> float:
        """The value of a parameter.

        Raises:
            InputError: unknown, defined by itself, or its expression is faulty; by the line of the definition.
        """
        key = name.lower()
        if key in self._values:
            return self._values[key]
        if key not in self._texts:
            if self.outer is None:
                raise InputError(f"there is no parameter {name!r}; define it with .param {name}=...")
            return self.outer.value(name)
        text, card = self._texts[key]
        if key in self._open:
            raise card.error(
                f"parameter {name!r} is defined by itself; break the cycle {', '.join(sorted(self._open))}"
            )
        self._open.add(key)
        try:
            found = self.expression(text)
        except InputError as error:
            raise error if str(error).startswith("line ") else card.error(str(error)) from None
        finally:
            self._open.discard(key)
        self._values[key] = found
        return found

    def number(self, word: str) -> float:
        """A word of a card: a number, or an expression in braces."""
        return self.expression(word) if word[:1] == "{" else parse_number(word)

    def expression(self, text: str) -> float:
        """The value of an expression, with or without braces.

        Raises:
            InputError: not an expression, an unknown parameter, or a result that is not finite.
        """
        if text[:1] == "{" and text[-1:] == "}":
            text = text[1:-1]
        shown = text.replace(BLANK, " ").strip()
        try:
            value = float(_Parser(text, self).result())
        except (ArithmeticError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"expression {shown!r} has no value ({error}); check its numbers") from None
        if not math.isfinite(value):
            raise InputError(f"expression {shown!r} is {value}, but a finite number is needed")
        return value


class _Parser:
    """Recursive descent over one expression."""

    def __init__(self, text: str, scope: Scope) -> None:
        self.text, self.scope, self.place = text, scope, 0
        self.shown = text.replace(BLANK, " ").strip()
        if len(text) > _MAX_LENGTH:
            raise InputError(
                f"an expression of {len(text)} characters, but at most {_MAX_LENGTH} are allowed; split it by .param"
            )
        self.tokens: list[tuple[str, str]] = []
        at, end = 0, len(text.rstrip(f"{BLANK} \t"))
        while at < end:
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                raise self.fault(f"{text[at:].strip(BLANK + ' ')[:20]!r} is not supported")
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()

    def fault(self, why: str) -> InputError:
        return InputError(
            f"expression {self.shown[:80]!r}: {why}; there are numbers, parameters, + - * / ** ( ) and {', '.join(_FUNCTIONS)}"
        )

    def result(self) -> float:
        value = self.sum()
        if self.place < len(self.tokens):
            raise self.fault(f"{self.tokens[self.place][1]!r} is not expected")
        return value

    def take(self, *signs: str) -> str:
        """The next token if it is one of `signs`, else ""."""
        if self.place < len(self.tokens) and self.tokens[self.place][0] == "sign":
            sign = self.tokens[self.place][1]
            if sign in signs:
                self.place += 1
                return sign
        return ""

    def sum(self) -> float:
        value = self.product()
        while sign := self.take("+", "-"):
            value = value + self.product() if sign == "+" else value - self.product()
        return value

    def product(self) -> float:
        value = self.signed()
        while sign := self.take("*", "/"):
            value = value * self.signed() if sign == "*" else value / self.signed()
        return value

    def signed(self) -> float:
        level = self.scope.level
        level[0] += 1
        try:
            if level[0] > _MAX_DEPTH:
                raise InputError(f"expression {self.shown[:80]!r}: nested more than {_MAX_DEPTH} deep; simplify it")
            sign = self.take("+", "-")
            if sign:
                return self.signed() if sign == "+" else -self.signed()
            value = self.atom()
            while self.take("**"):
                value = math.pow(value, self.exponent())
            return value
        finally:
            level[0] -= 1

    def exponent(self) -> float:
        sign = self.take("+", "-")
        return -self.atom() if sign == "-" else self.atom()

    def atom(self) -> float:
        if self.take("("):
            return self.closed()[0]
        if self.place >= len(self.tokens):
            raise self.fault("it ends too early")
        kind, token = self.tokens[self.place]
        self.place += 1
        if kind == "number":
            if _MIL.search(token):
                raise self.fault("mil is 1e-3 in ngspice's expressions and 25.4e-6 outside of them; write 25.4u")
            return parse_number(token)
        if kind == "sign":
            raise self.fault(f"{token!r} is not expected")
        if not self.take("("):
            return self.scope.value(token)
        if token.lower() not in _FUNCTIONS:
            raise self.fault(f"there is no function {token!r}")
        fewest, most, function = _FUNCTIONS[token.lower()]
        values = self.closed()
        if not fewest <= len(values) <= most:
            raise self.fault(f"{token} takes {fewest}{'' if most == fewest else ' or more'} numbers, got {len(values)}")
        return float(function(*values))

    def closed(self) -> list[float]:
        """Sums, separated by commas, up to the closing bracket."""
        values = [self.sum()]
        while self.take(","):
            values.append(self.sum())
        if not self.take(")"):
            raise self.fault("a closing bracket is missing")
        return values
