"""How people spell numbers, expressions and cards: the same thing in many ways, by a generator of random choices."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

_SUFFIXES = {12: "t", 9: "g", 6: "meg", 3: "k", 0: "", -3: "m", -6: "u", -9: "n", -12: "p", -15: "f"}
_COMMENTS = ("load", "x=3", "see R1", "10k", "(", "{", "'", "+", "*", "was 2k; now 1k", "tc=1", "µ")


class Pen:
    """Random spellings.

    Args:
        rng: of all choices.
        units: words that may follow a number's suffix; tidy: the share of cards without odd blanks, comments and continuations.
    """

    def __init__(self, rng: random.Random, units: bool = False, tidy: float = 0.6) -> None:
        self.rng = rng
        self.units = units
        self.tidy = tidy

    def chance(self, share: float) -> bool:
        """True in this share of the calls."""
        return self.rng.random() < share

    def case(self, word: str) -> str:
        """A word in lower case, in upper case, or as it is."""
        return self.rng.choice((word, word, word.lower(), word.upper()))

    def number(self, low: float, high: float, names: Sequence[str] = (), unit: str = "") -> str:
        """A number of about this size, or an expression of that value's order with some of these parameters."""
        size = math.exp(self.rng.uniform(math.log(low), math.log(high)))
        if self.chance(0.25 if names else 0.1):
            return self.braced(self.expression(size, names))
        return self.plain(size, unit)

    def braced(self, expression: str) -> str:
        """In braces or in single quotes."""
        gap = " " * self.rng.choice((0, 0, 0, 1))
        return f"'{gap}{expression}{gap}'" if self.chance(0.25) else f"{{{gap}{expression}{gap}}}"

    def plain(self, size: float, unit: str = "") -> str:
        """Digits, with or without an exponent or a suffix."""
        if self.chance(0.55):
            power = 3 * round(math.floor(math.log10(size)) / 3)
            power = min(max(power, -15), 12)
            digits = f"{size / 10.0**power:.{self.rng.choice((2, 3, 6))}g}"
            if "e" in digits:
                digits = f"{size / 10.0**power:.3f}"
            suffix = self.case(_SUFFIXES[power])
            tail = self.case(unit) if self.units and self.chance(0.5) else ""
            if not suffix and tail[:1].lower() in ("f", "m", "p", "n", "u", "g", "t", "k"):
                tail = ""
            return digits + suffix + tail
        text = self.rng.choice((f"{size:.3g}", f"{size:.4e}", f"{size:.2E}", repr(size), f"{size:.6g}"))
        if self.chance(0.1) and text.startswith("0."):
            text = text[1:]
        if self.chance(0.1) and text.isdigit():
            text += "."
        return f"+{text}" if self.chance(0.05) else text

    def expression(self, size: float, names: Sequence[str] = (), depth: int = 0) -> str:
        """An expression of about this value if the parameters are near one."""
        rng = self.rng
        gap = " " if self.chance(0.2) else ""
        if depth > 2 or self.chance(0.25):
            return self.plain(size)
        if names and self.chance(0.5):
            return f"{self.plain(size)}{gap}{rng.choice('*/')}{gap}{self.case(rng.choice(names))}"
        one, other = self.expression(size, names, depth + 1), self.expression(size / 2, names, depth + 1)
        factor = self.plain(rng.uniform(0.5, 2.0))
        return rng.choice(
            (
                f"{one}{gap}+{gap}{other}",
                f"({one}){gap}*{gap}{factor}",
                f"{factor}*({one}{gap}-{gap}{other})",
                f"({one})/{factor}",
                f"-(-({one}))",
                f"- -{self.plain(size)}" if self.chance(0.1) else f"--{self.plain(size)}",
                f"sqrt(({one})*({other}))",
                f"sqrt(({one})**2)",
                f"abs({other}-{one})",
                f"max({one},{other})",
                f"min( {one}, {other} )",
                f"{self.plain(size)}*exp(log({factor}))",
                f"({one})*2**-{rng.choice('123')}",
                f"{one}*2**2**{rng.choice('12')}/8",
                f"{self.plain(size)}*{factor}*{factor}-{self.plain(size / 10)}/{factor}/2",
                f"({one})*pow({factor},2)" if self.chance(0.1) else f"({one})",
            )
        )

    def assignment(self, name: str, value: str) -> str:
        """name=value, with blanks or without."""
        equals = self.rng.choice(("=", "=", "=", " = ", "= ", " ="))
        return f"{self.case(name)}{equals}{value}"

    def card(self, words: Sequence[str]) -> list[str]:
        """The lines of a card: words with blanks between them, comments behind, continuations."""
        rng = self.rng
        if self.chance(self.tidy):
            return [_joined(words, [" "] * len(words))]
        blanks = [rng.choice((" ", " ", "  ", "\t", "   ")) for _ in words]
        lines = [""]
        for word, blank in zip(words, blanks, strict=True):
            if lines[-1] and self.chance(0.12):
                lines[-1] += self.comment(0.1)
                if self.chance(0.1):
                    lines.append(rng.choice(("", "* between", "*", " ", "* + 3k")))
                lines.append("+" + rng.choice((" ", "", "  ", "\t")) + word)
            else:
                lines[-1] = _joined((lines[-1], word), ("", blank)) if lines[-1] else word
        lines[0] = rng.choice(("", "", "", " ", "\t")) + lines[0] if self.chance(0.2) else lines[0]
        lines[-1] += self.comment(0.15)
        if self.chance(0.03):
            lines.append("+")
        return lines

    def comment(self, share: float) -> str:
        """A comment at a line's end, or nothing."""
        if not self.chance(share):
            return ""
        mark = self.rng.choice((" ; ", ";", " $ ", "\t$ ", " ;; "))
        return mark + self.rng.choice(_COMMENTS)


def _joined(words: Sequence[str], blanks: Sequence[str]) -> str:
    """Blanks before the words but the first; a bracket that is a word of its own touches what is inside."""
    text = words[0]
    for word, blank in zip(words[1:], blanks[1:], strict=True):
        text += word if word == ")" or text.endswith("(") or word.startswith(",") else blank + word
    return text
