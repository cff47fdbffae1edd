"""Text tables as spreadsheets and instruments write them: encoding, separator and decimal sign are found from the text itself.

What was found and is not the usual (UTF-8, commas, decimal points) is said in notes, since nothing else would show a wrong guess.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ....circuits.errors import InputError

__all__ = ["MAX_BYTES", "decimal_comma", "number", "read_text_file", "separator", "split_rows"]

MAX_BYTES = 128 * 2**20
_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf)", re.ASCII)
_POINT = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_COMMA = re.compile(r"[+-]?(?:\d+,\d*|,\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NAMES = {";": "semicolons", "\t": "tabs", ",": "commas", " ": "blanks"}


def read_text_file(path: Path) -> tuple[bytes, str, list[str]]:
    """(bytes, text, notes) of a file in UTF-8 or UTF-16 with a byte-order mark, UTF-8 without, or else Latin-1.

    Raises:
        InputError: larger than `MAX_BYTES`, or not text.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    source = repr(str(path))
    if len(data) > MAX_BYTES:
        raise InputError(f"{source} is larger than {MAX_BYTES >> 20} MiB; average or thin the readings")
    text, notes = decode(data, source)
    return data, text, notes


def decode(data: bytes, source: str) -> tuple[str, list[str]]:
    """(text, notes) of a file's bytes.

    Raises:
        InputError: not text.
    """
    notes: list[str] = []
    try:
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            text = data.decode("utf-16")
        else:
            text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise InputError(f"{source}: byte {error.start} is not UTF-16 text; is the file complete?") from None
        text = data.decode("latin-1")
        notes.append("read as Latin-1 text, since it is not UTF-8")
    if "\0" in text:
        raise InputError(f"{source} is not a text table: it has zero bytes; save the table as CSV in UTF-8")
    return text, notes


def separator(text: str) -> str:
    """';' or a tab where most of the first lines have one, else ',', or blanks where there is no comma."""
    lines = [line for line in text[:20_000].splitlines()[:60] if line.strip() and not line.startswith("#")]
    # Decimal commas make commas frequent, so that they come last.
    blanks = not any("," in line for line in lines) and 2 * sum(len(line.split()) > 1 for line in lines) > len(lines)
    return next(
        (mark for mark in ";\t" if 2 * sum(mark in line for line in lines) > len(lines)), " " if blanks else ","
    )


def split_rows(text: str, mark: str, source: str, most: int) -> tuple[list[list[str]], list[int]]:
    """All lines as stripped cells, and their line numbers in the file. Lines of blanks are left out.

    Raises:
        InputError: not CSV, or more than `most` lines.
    """
    rows: list[list[str]] = []
    lines: list[int] = []
    blanks = {"delimiter": " ", "skipinitialspace": True} if mark == " " else {"delimiter": mark}
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, **blanks)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if len(rows) == most:
                raise InputError(f"{source} have more than {most} rows; average or thin them")
            rows.append(cells)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise InputError(f"{source}, line {reader.line_num}: not CSV ({error}); is the file complete?") from None
    return rows, lines


def decimal_comma(rows: Iterable[Sequence[str]], lines: Sequence[int], source: str) -> bool:
    """Whether numbers in these rows are written with a decimal comma.

    Raises:
        InputError: some are, and others with a point.
    """
    comma: tuple[int, str] | None = None
    point: tuple[int, str] | None = None
    for row, line in zip(rows, lines, strict=True):
        for cell in row:
            if comma is None and "," in cell and _COMMA.fullmatch(cell):
                comma = (line, cell)
            elif point is None and "." in cell and _POINT.fullmatch(cell):
                point = (line, cell)
        if comma and point:
            raise InputError(
                f"{source}: {comma[1]!r} in line {comma[0]} has a comma where {point[1]!r} in line {point[0]} has a decimal point; "
                "write all numbers one way, without separators of thousands"
            )
    return comma is not None


def number(cell: str, comma: bool) -> float:
    """A cell's number; NaN where it is none."""
    text = cell.replace(",", ".") if comma and cell.count(",") == 1 and "." not in cell else cell
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def dialect_notes(mark: str, comma: bool) -> list[str]:
    """What is not the usual about a table's separator and decimal sign."""
    notes = [] if mark == "," else [f"columns are separated by {_NAMES[mark]}"]
    return [*notes, "decimal commas"] if comma else notes
