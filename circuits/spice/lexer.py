"""A netlist's lines as cards: comments dropped, continuations joined, words split."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from ..errors import InputError

Line: TypeAlias = tuple[int | str, str]
"""Where a line stands (its number; with the file's name if it is an included one), and its text."""
BLANK = "\x00"
"""What stands for a blank inside of an expression, which is one word."""
#: ngspice takes a dollar sign that touches a semicolon for a word of its own.
_COMMENT = re.compile(r";|//|^\$|\s\$(?!;)")
_EXPRESSION = re.compile(r"(\{[^{}]*\}|'[^']*'|\"[^\"]*\")")
_TOUCHED = re.compile(r"([^\s(),=]*)\(")
_BEFORE_BRACKETS = (
    "",
    *("pwl", "dc", "ac", "sin", "sine", "pulse", "exp", "sffm", "am", "trnoise", "trrandom", "poly", "table"),
)
#: Where none of these occurs, every line is one card whose words are separated by blanks.
_MARKS = (
    ";",
    "$",
    "(",
    ")",
    "{",
    "'",
    '"',
    " =",
    "= ",
    "*",
    "//",
    "\n+",
    "\n ",
    "\t",
    "\v",
    "\f",
    "\x1c",
    "\x1d",
    "\x1e",
    "\x1f",
    BLANK,
)


class Card(NamedTuple):
    """One logical line: where its first line stands, and its words."""

    number: int | str
    words: list[str]

    def error(self, why: str, kind: type[InputError] = InputError) -> InputError:
        """The error that names the line."""
        return kind(f"line {self.number} ({' '.join(self.words)[:80].replace(BLANK, ' ')}): {why}")


def read_cards(lines: Iterable[Line]) -> tuple[Iterable[Card], list[Card]]:
    """All cards in order (to be read once), and those among them that start with a dot.

    An expression in braces or single quotes is one word, ``{...}``, with `BLANK` for its blanks, and so is a text in double quotes; other
    brackets count as blanks, and ``name = value`` as one word.
    """
    body = [(number, line) for number, line in lines if line[:1] != "*"]
    whole = "\n" + "\n".join([line for _, line in body])
    if whole.isascii() and not any(
        mark in whole for mark in _MARKS
    ):  # as thermograd writes; 1e5 cards are split as they are used
        dots = [card for number, line in body if line[:1] == "." and (card := Card(number, line.split())).words]
        return (Card(number, words) for number, line in body if (words := line.split())), dots
    cards = list(_logical(body))
    return cards, [card for card in cards if card.words[0][0] == "."]


def _logical(body: list[Line]) -> Iterator[Card]:
    """Cards of several lines are put together first, so that an expression or ``name = value`` may be broken anywhere."""
    start: int | str = 0
    pieces: list[str] = []
    commented = False
    for number, line in body:
        content = without_comment(line)
        if not content or content.startswith("*") or content[:6].lower() == ".title":
            commented |= line.lstrip().startswith(";")
            continue
        _check_characters(number, content)
        if commented and content.startswith("+"):
            raise InputError(
                f"line {number} ({content[:80]}): a continuation (+) behind a comment line of ';', which ngspice would continue; write "
                "that comment with '*'"
            )
        commented = False
        if content.startswith("+"):
            if not pieces:
                raise InputError(f"line {number}: a continuation (+) with nothing before it")
            pieces.append(content[1:])
            continue
        if pieces:
            yield from _card(start, pieces)
        start, pieces = number, [content]
    if pieces:
        yield from _card(start, pieces)


def _card(number: int | str, pieces: list[str]) -> Iterator[Card]:
    content = " ".join(pieces) if len(pieces) > 1 else pieces[0]
    if "(" in content and content[0] not in ".bB":
        for match in _TOUCHED.finditer(_EXPRESSION.sub(" ", content)):
            if match[1].lower() not in _BEFORE_BRACKETS or match.start() == 0:
                raise InputError(
                    f"line {number} ({content[:80]}): a bracket touches {match[1]!r}, and ngspice takes it for a part of the name; put a "
                    "blank before it"
                )
    if (
        ")" in content
        and content[:7].lower() == ".subckt"
        and ("(" not in content or content.find(")") < content.find("("))
    ):
        raise InputError(
            f"line {number} ({content[:80]}): a closing bracket has no partner, and ngspice takes it for a part of the name; remove it"
        )
    if words := split_words(number, content):
        yield Card(number, words)


def split_lines(text: str) -> list[str]:
    """The lines of a text, which end at line feeds, with or without carriage returns before them, and nowhere else.

    `str.splitlines` also ends them at form feeds, U+0085, U+2028 and others, so that what follows in a comment would be read.

    Raises:
        InputError: a carriage return that ends no line: one before a line feed is Windows', one alone was that of old Macintoshes.
    """
    text = text.removeprefix("\ufeff")
    if "\r" in text:
        text = re.sub(r"\r+(\n|\Z)", r"\1", text)
        if "\r" in text:
            line = text.count("\n", 0, text.index("\r")) + 1
            raise InputError(
                f"line {line}: it has a carriage return (U+000D) inside; end the lines by line feeds (U+000A)"
            )
    return text.split("\n")


def _check_characters(number: int | str, content: str) -> None:
    """Raise at characters that Python takes for blanks and a simulator for parts of a word, or that nobody sees."""
    if content.isprintable():
        return
    for character in content:
        if not character.isprintable() and character != "\t":
            name = unicodedata.name(character, "a control character")
            raise InputError(
                f"line {number}: it has U+{ord(character):04X} ({name.lower()}) outside of a comment; put a blank or nothing there"
            )


def without_comment(line: str) -> str:
    """What precedes ``;``, ``//`` or `` $``, stripped."""
    if ";" in line or "$" in line or "//" in line:
        line = _COMMENT.split(line, maxsplit=1)[0]
    return line.strip(" \t")


def split_words(number: int | str, content: str) -> list[str]:
    """The words of a line: brackets count as blanks, ``name = value`` is one word and so is an expression."""
    if "{" in content or "'" in content or '"' in content or "}" in content:
        pieces = _EXPRESSION.split(content)
        for place, piece in enumerate(pieces):
            if place % 2:
                inside = re.sub(r"\s", BLANK, piece[1:-1])
                pieces[place] = (
                    f'"{inside}"' if piece[0] == '"' else f"{{{inside}}}"
                )  # a text to ngspice, no expression
                continue
            if any(mark in piece for mark in "{}'\""):
                raise InputError(
                    f"line {number} ({content[:80]}): a brace or quote has no partner, or stands in another"
                )
            pieces[place] = _joined(piece)
        content = re.sub(r"\s*=\s*", "=", "".join(pieces))
    elif "=" in content or "(" in content or ")" in content:
        content = _joined(content)
    return content.split()


def _joined(content: str) -> str:
    """Brackets as blanks, and parameters as one word each."""
    return re.sub(r"\s*=\s*", "=", re.sub(r"[()]", " ", content))
