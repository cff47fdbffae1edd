"""Tables of numbers as text: .csv and .txt.

Fields are separated by `;`, by `,`, or by tabs and blanks; `#` begins a comment; fields may be quoted. A comma is a decimal mark where it
cannot be the separator: beside `;`, within quotes, or beside tabs and blanks. What could be read in two ways is an error.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .decimal import fields, number, shown, text_lines

REMEDY = (
    "Write one row a line, numbers separated by commas or blanks, with a decimal point; begin other lines with #: "
    "np.savetxt(path, A, delimiter=',')"
)

_Row = tuple[int, list[str]]
# A comma between digits, and nowhere else; no point.
_DECIMAL = re.compile(r"[+-]?\d+(,\d+)?([eEdD][+-]?\d+)?", re.ASCII)
_PLAIN = re.compile(r"[0-9eE+\-. ]+")
_BLANKS = " \t"


def read_text(path: Path) -> np.ndarray:
    """The table of a text file, (rows, columns); (0, 0) where it holds no numbers.

    Raises:
        ValueError: a field that is no number, an empty one, rows of different lengths, commas that are ambiguous; it names the line.
    """
    lines = [(k, line.split("#")[0].strip(_BLANKS)) for k, line in enumerate(text_lines(path), start=1)]
    lines = [(k, line) for k, line in lines if line]
    if not lines:
        return np.empty((0, 0))
    rows = _complete(_split(lines))
    if not rows:
        return np.empty((0, 0))
    return np.array(_numbers(rows))


def _split(lines: list[tuple[int, str]]) -> list[_Row]:
    text = [line for _, line in lines]
    for separator in ";,":
        # A separator in quotes is none.
        if any(separator in line for line in text) and any(separator in _unquoted(line) for line in text):
            if separator == "," and _is_decimal(text):
                break
            return [(k, [field.strip(_BLANKS) for field in _separated(line, separator)]) for k, line in lines]
    for k, line in lines:
        if re.search(r"\t *\t", line):
            raise ValueError(f"line {k} has an empty field between two tabs: write 0 where an entry is 0")
    return [(k, [field.strip('"') for field in fields(line)]) for k, line in lines]


def _unquoted(line: str) -> str:
    return re.sub(r'"[^"]*"', "", line) if '"' in line else line


def _separated(line: str, separator: str) -> list[str]:
    if '"' not in line:
        return line.split(separator)
    return next(csv.reader([line], delimiter=separator, skipinitialspace=True))


def _is_decimal(lines: list[str]) -> bool:
    """Whether commas stand in numbers that blanks or tabs separate, as in `0,5 1,25`: every field is a number then, without a point."""
    found = [field.strip('"') for line in lines for field in fields(line)]
    return len(found) > len(lines) and all(_DECIMAL.fullmatch(field) for field in found)


def _complete(rows: list[_Row]) -> list[_Row]:
    """The rows without what spreadsheets add: empty rows at the end, and fields at the end that are empty in every row."""
    while rows and not any(rows[-1][1]):
        rows = rows[:-1]
    while rows and not any(row[-1] for _, row in rows) and len({len(row) for _, row in rows}) == 1:
        rows = [(k, row[:-1]) for k, row in rows]
    for k, row in rows:
        if "" in row:
            raise ValueError(
                f"line {k}, column {row.index('') + 1} is empty: write 0 where an entry is 0, and leave out a header or an index column"
            )
        if len(row) != len(rows[0][1]):
            raise ValueError(f"line {k} has {_count(row)} where line {rows[0][0]} has {_count(rows[0][1])}")
    return rows


def _count(row: list[str]) -> str:
    return "1 number" if len(row) == 1 else f"{len(row)} numbers"


def _numbers(rows: list[_Row]) -> list[list[float]]:
    commas = next(((k, field) for k, row in rows for field in row if "," in field), None)
    points = next(((k, field) for k, row in rows for field in row if "." in field), None)
    read: Callable[[str], float] = number
    if commas is not None:
        if points is not None:
            raise ValueError(
                f"line {commas[0]} has {shown(commas[1])} and line {points[0]} {shown(points[1])}: whether the comma is a decimal mark is "
                "not clear, write points for decimals and nothing between thousands"
            )
        read = _with_comma
    table = []
    for k, row in rows:
        try:
            table.append(_plain(row) or [read(field) for field in row])
        except ValueError as error:
            raise ValueError(f"line {k}: {error}") from None
    return table


def _plain(row: list[str]) -> list[float] | None:
    """The numbers of a row without anything unusual in it, ten times as fast; None for other rows."""
    if _PLAIN.fullmatch(" ".join(row)) is None:
        return None
    try:
        numbers = [float(field) for field in row]
    except ValueError:
        return None
    return numbers if max(map(abs, numbers)) < math.inf else None


def _with_comma(text: str) -> float:
    if text.count(",") > 1:
        raise ValueError(f"{shown(text)} is not a number: it has several commas")
    return number(text.replace(",", "."))
