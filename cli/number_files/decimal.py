"""Numbers as they are written in files, and the lines of a text file."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LINE_END = re.compile(r"\r\n|\n|\r")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)
_BLANKS = re.compile(r"[ \t]+")
_DOUBLE = str.maketrans("dD", "ee")


def text_lines(path: Path) -> list[str]:
    """The lines of a text file: UTF-8, or what its byte order mark says, as that of Excel's Unicode text.

    Other bytes are read as Latin-1, where they can only stand in comments: every number is ASCII. Lines end at LF, CR LF and CR alone.

    Raises:
        ValueError: NUL characters, as in UTF-16 without a mark and in binary files; a damaged encoding.
    """
    data = path.read_bytes()
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise ValueError(f"its text is damaged {encoding.removesuffix('-sig')}: {error.reason}") from None
        text = data.decode("latin-1")
    if "\0" in text:
        raise ValueError("it holds NUL characters: it is binary, or UTF-16 without a byte order mark")
    return _LINE_END.split(text)


def fields(line: str) -> list[str]:
    """What blanks and tabs separate in a line; `str.split` would also split at form feeds, U+2028 and the like."""
    return [field for field in _BLANKS.split(line) if field]


def number(text: str) -> float:
    """The number of a token such as 1, -1.5, .5e-3, 1.0D+3 (Fortran's double precision), nan or inf.

    Raises:
        ValueError: anything else; a number beyond double precision.
    """
    if _NUMBER.fullmatch(text) is None:
        if _NOT_FINITE.fullmatch(text) is None:
            raise ValueError(f"{shown(text)} is not a number{_hint(text)}")
        return float(text)
    value = float(text.translate(_DOUBLE))
    if abs(value) == float("inf"):
        raise ValueError(f"{shown(text)} is beyond double precision, whose largest number is 1.8e308")
    return value


def shown(text: str) -> str:
    """A token in a message, cut off where it is long."""
    return repr(text if len(text) <= 40 else text[:40] + "...")


def _hint(text: str) -> str:
    if re.fullmatch(r"\(?[+-]?[\d.]+(e[+-]?\d+)?[+-][\d.]+(e[+-]?\d+)?[ij]\)?|[\d.]+[ij]", text, re.IGNORECASE):
        return ": it is complex, and real numbers are needed"
    if re.fullmatch(r"[+-]?[\d.]+\s*[a-zA-Z%\u00b5\u03bc\u2126\u03a9]+", text):
        return ": write it without a unit or suffix, as 10000 or 1e4 for 10k"
    return ""
