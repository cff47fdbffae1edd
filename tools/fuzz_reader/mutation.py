"""A text with something changed, as by a slip of the hand: it must be read as ngspice reads it, or be rejected."""

from __future__ import annotations

import random

_CHARACTERS = [
    *"0123456789.eEkKmMuUnNpPfFgGtTxrR+-*/=(){}'\",;$&%#@!~^|<>[]?:_\\ ",
    "\t",
    "\n",
    "\n+",
    "\n*",
    "µ",
    "μ",
    "é",
    "meg",
    "mil",
    "{",
    "\r",
    "\x0c",
    "\x0b",
]
_WORDS = (
    "0",
    "1k",
    "gnd",
    "=",
    "m=2",
    "{",
    "}",
    "(",
    ")",
    "ac",
    "dc",
    "1",
    ".param r=2",
    "temp=50",
    "noisy=0",
    ".temp 60",
    "+",
    "*",
    "params:",
    "ic=1",
    "tc=1",
    "out",
    "R1",
)


def mutate(text: str, rng: random.Random) -> str:
    """One to three changes of a text after its title."""
    title, _, body = text.partition("\n")
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        body = rng.choice((_character, _character, _character, _word, _line))(body, rng)
    return f"{title}\n{body}"


def _character(body: str, rng: random.Random) -> str:
    if not body:
        return body
    at = rng.randrange(len(body))
    kind = rng.random()
    if kind < 0.25:
        return body[:at] + body[at + 1 :]
    if kind < 0.6:
        return body[:at] + rng.choice(_CHARACTERS) + body[at:]
    if kind < 0.8:
        return body[:at] + rng.choice(_CHARACTERS) + body[at + 1 :]
    if kind < 0.9:
        return body[:at] + body[at + 1 : at + 2] + body[at] + body[at + 2 :]
    return body[:at] + body[at].swapcase() + body[at + 1 :]


def _word(body: str, rng: random.Random) -> str:
    lines = body.split("\n")
    row = rng.randrange(len(lines))
    words = lines[row].split(" ")
    at = rng.randrange(len(words))
    kind = rng.random()
    if kind < 0.3:
        del words[at]
    elif kind < 0.5:
        words.insert(at, words[at])
    elif kind < 0.8:
        words.insert(at, rng.choice(_WORDS))
    else:
        other = rng.randrange(len(words))
        words[at], words[other] = words[other], words[at]
    lines[row] = " ".join(words)
    return "\n".join(lines)


def _line(body: str, rng: random.Random) -> str:
    lines = body.split("\n")
    row = rng.randrange(len(lines))
    kind = rng.random()
    if kind < 0.3:
        del lines[row]
    elif kind < 0.5:
        lines.insert(row, lines[row])
    elif kind < 0.7:
        lines.insert(rng.randrange(len(lines)), lines.pop(row))
    elif kind < 0.85:
        lines[row] = rng.choice(("*", " ", "+", "$", ";", "\t", ".")) + lines[row]
    elif row + 1 < len(lines):
        lines[row : row + 2] = [lines[row] + rng.choice(("", " ", "\n+")) + lines[row + 1]]
    return "\n".join(lines)
