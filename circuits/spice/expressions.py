"""Numbers, parameters and arithmetic of a netlist's text, evaluated by a small parser of its own: no name reaches Python.

sum     = product (("+" | "-") product)*
product = signed (("*" | "/") signed)*
signed  = ["+" | "-"] power             behind an operator a sign stands only before a number or name without a power
power   = atom ("**" signed atom)*      from left to right, as in ngspice: 2**3**2 = 64
atom    = number | name | function "(" sum ("," sum)* ")" | "(" sum ")"
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from ..errors import InputError
from .lexer import BLANK, Card

#: Powers of ten; both micro signs, U+00B5 and the Greek letter U+03BC, which look alike.
_SUFFIXES = {
    "t": 12,
    "g": 9,
    "meg": 6,
    "k": 3,
    "m": -3,
    "u": -6,
    "\u00b5": -6,
    "\u03bc": -6,
    "n": -9,
    "p": -12,
    "f": -15,
}
_MIL = 25.4e-6
# ASCII: ignoring case in Unicode, a Kelvin sign is a k, the capital Greek letter mu a micro sign, and ten other scripts have digits.
_NUMBER = re.compile(
    "([+-]?(?:\\d+\\.?\\d*|\\.\\d+))(?:e([+-]?\\d{1,5}))?(meg|mil|[tgkmunpf\u00b5\u03bc])?([a-z\u03a9\u2126]*)",
    re.ASCII | re.IGNORECASE,
)
_TOKEN = re.compile(
    "[ \\t\\x00]*(?:(?P<number>(?:\\d+\\.?\\d*|\\.\\d+)(?:e[+-]?\\d+)?[a-z0-9_.\u00b5\u03bc\u03a9\u2126]*)"
    "|(?P<name>[a-z_][a-z0-9_]*)|(?P<sign>\\*\\*|[-+*/(),]))",
    re.ASCII | re.IGNORECASE,
)
#: Letters after the digits that not every simulator passes over as a unit: atto, Fortran's exponent, an exponent without digits, mega.
_AMBIGUOUS = {"a": "1e-18 or 1", "d": "an exponent or 1", "e": "an exponent or 1", "x": "1e6 or 1"}
_INFIX = re.compile(r"[+-]?(\d+)([a-z]+)(\d+)", re.ASCII | re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_FUNCTIONS: dict[str, tuple[int, int, Callable[..., float]]] = {
    "sqrt": (1, 1, math.sqrt),
    "exp": (1, 1, math.exp),
    "log": (1, 1, math.log),
    "abs": (1, 1, abs),
    "min": (2, 2, min),  # ngspice reads min(3, 2, 5) as 3
    "max": (2, 2, max),
}
"""Name -> fewest and most arguments, and what to call; log is the natural logarithm, as in ngspice."""
_BRACKET = "a sign behind an operator stands before a number only, since ngspice misreads others; put it in brackets"
#: Bound on brackets, signs and parameters within parameters, far below where Python's own stack would end.
_MAX_DEPTH = 50
_MAX_LENGTH = 1000


def parse_number(text: str) -> float:
    """A SPICE number: ``1.5k``, ``2meg``, ``10pF``, ``1e-9``. Letters after the suffix are a unit, as is an ohm sign.

    Raises:
        InputError: not a number, not finite, or one that simulators read differently (1k5, 1x, 1A).
    """
    if text.isascii() and text[-1:].isdigit() and "_" not in text:  # the common case; "inf" and "nan" end in letters
        try:
            value = float(text)
        except ValueError:
            pass
        else:
            return value if not math.isinf(value) else _finite(text, value)
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise InputError(f"{text[:80]!r} is not a number ({_why_not(text)})")
    digits, exponent, suffix, unit = match[1], int(match[2] or 0), (match[3] or "").lower(), match[4].lower()
    if not suffix and unit[:1] in _AMBIGUOUS:
        raise InputError(
            f"{text[:80]!r} is not a number of one meaning: {unit[0]!r} after the digits stands for {_AMBIGUOUS[unit[0]]}, depending on "
            "the simulator; write the exponent (1e-9) and no unit"
        )
    if suffix == "mil":
        return _finite(text, float(f"{digits}e{exponent}") * _MIL)
    return _finite(text, float(f"{digits}e{exponent + _SUFFIXES.get(suffix, 0)}"))


def _finite(text: str, value: float) -> float:
    if math.isinf(value):
        raise InputError(f"{text[:80]!r} is not a number below 1.8e308; a finite value is needed")
    return value


def _why_not(text: str) -> str:
    """What to write instead of `text`."""
    if infix := _INFIX.fullmatch(text):
        return f"LTspice and ngspice read it differently; write {infix[1]}.{infix[3]}{infix[2]}"
    if re.fullmatch(r"[+-]?\d+,\d+[a-z]*", text, re.ASCII | re.IGNORECASE):
        return "write a decimal point, not a comma"
    strange = next((c for c in text if not c.isascii() and c not in "\u00b5\u03bc\u03a9\u2126"), "")
    if strange:
        return (
            f"{strange!r} is U+{ord(strange):04X}, which is no digit or suffix; write those of ASCII, and u for micro"
        )
    return "digits, then an SI suffix such as k, meg, u, n or p"


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
        value = self.product(first=True)
        while sign := self.take("+", "-"):
            value = value + self.product() if sign == "+" else value - self.product()
        return value

    def product(self, first: bool = False) -> float:
        value = self.signed(first)
        while sign := self.take("*", "/"):
            value = value * self.signed() if sign == "*" else value / self.signed()
        return value

    def signed(self, first: bool = False) -> float:
        """A power, with a sign of its own where it stands first in its brackets; behind an operator only a number or name may have one."""
        level = self.scope.level
        level[0] += 1
        try:
            if level[0] > _MAX_DEPTH:
                raise InputError(f"expression {self.shown[:80]!r}: nested more than {_MAX_DEPTH} deep; simplify it")
            sign = self.take("+", "-")
            value = self.atom(signed=bool(sign), plain=bool(sign) and not first)
            while self.take("**"):
                if sign and not first:
                    raise self.fault(
                        "ngspice takes a sign behind an operator with the number, not the power; put it in brackets"
                    )
                value = self.power(value)
            return -value if sign == "-" else value
        finally:
            level[0] -= 1

    def power(self, base: float) -> float:
        sign = self.take("+", "-")
        exponent = self.atom(signed=bool(sign), plain=bool(sign))
        exponent = -exponent if sign == "-" else exponent
        if base < 0.0 and math.fmod(exponent, 2.0) != 0.0:
            raise self.fault(
                f"{base:g}**{exponent:g} is that of {-base:g} in ngspice; write the sign apart from the power"
            )
        return math.pow(base, exponent)

    def atom(self, signed: bool = False, plain: bool = False) -> float:
        """A number, name, function or bracket; `signed`: behind a sign; `plain`: a number or name is needed."""
        if signed and self.take("+", "-"):
            raise self.fault("two signs behind one another are read differently by the simulators; drop or bracket one")
        if plain and (self.place >= len(self.tokens) or self.tokens[self.place][0] != "number"):
            raise self.fault(_BRACKET)
        if self.take("("):
            values = self.closed()
            if len(values) > 1:
                raise self.fault("a comma stands outside of a function's brackets")
            return values[0]
        if self.place >= len(self.tokens):
            raise self.fault("it ends too early")
        kind, token = self.tokens[self.place]
        self.place += 1
        if kind == "number":
            if "mil" in token.lower():
                raise self.fault("mil is 1e-3 in ngspice's expressions and 25.4e-6 outside of them; write 25.4u")
            return parse_number(token)
        if kind == "sign":
            raise self.fault(f"{token!r} is not expected")
        if not self.take("("):
            return self.scope.value(token)
        if plain:
            raise self.fault(_BRACKET)
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
