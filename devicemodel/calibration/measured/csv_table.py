"""The project's own tables as CSV: a declaration, a line of column names, and the rows below."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ....circuits.errors import InputError
from .delimited import decimal_comma, dialect_notes, separator, split_rows

__all__ = ["FORMAT", "MARK", "CsvTable", "declared", "parse_csv"]

FORMAT = 1
MARK = "thermograd-measurements"
_CHECKSUM = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class CsvTable:
    """A table's text, not yet checked against a schema.

    Attributes:
        declaration: "thermograd-measurements 1 ...", or "".
        columns: cells by column name; numbers have decimal points.
        lines: the line in the file of each row. notes: what is unusual about the file.
    """

    declaration: str
    columns: dict[str, list[Any]]
    lines: list[int]
    notes: list[str] = field(default_factory=list)


def parse_csv(text: str, source: str, most: int) -> CsvTable:
    """The table in a file's text, separated by commas, semicolons or tabs, with decimal points or commas.

    Raises:
        InputError: no table, rows that do not fit the column names, more than `most` rows, or a damaged declaration.
    """
    mark = separator(text)
    rows, lines = split_rows(text, mark, f"measurements {source}", most + 100)
    declaration, skipped = "", 0
    for row, line in zip(rows, lines, strict=True):
        if not row[0].startswith("#"):
            break
        skipped += 1
        comment = mark.join(row).lstrip("# ").rstrip(mark + " ")
        if comment.startswith(MARK):
            declaration = comment
        elif "content=" in comment or "rows=" in comment:
            raise InputError(
                f"measurements {source}, line {line}: a damaged declaration; it starts with {MARK!r}. Get the file "
                "again, or remove the line if the rows are right"
            )
    if skipped == len(rows):
        raise InputError(f"measurements {source} are empty; a line of column names and the rows below it are needed")
    names = _without_empty_end(rows[skipped])
    body, lines = rows[skipped + 1 :], lines[skipped + 1 :]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"measurements {source}: column {twice[0]!r} is there twice; remove one")
    if len(body) > most:
        raise InputError(f"measurements {source} have more than {most} rows; average or thin them")
    for row, line in zip(body, lines, strict=True):
        if len(row) < len(names) or any(row[len(names) :]):
            raise InputError(
                f"measurements {source}, line {line}: {len(row)} cells, but there are {len(names)} columns; complete the row"
            )
    comma = decimal_comma(body, lines, f"measurements {source}")
    columns = {
        name: [row[i].replace(",", ".") if comma else row[i] for row in body] for i, name in enumerate(names)
    }  # no cell but a number holds a comma: nodes' names cannot
    return CsvTable(declaration, columns, lines, dialect_notes(mark, comma))


def _without_empty_end(names: list[str]) -> list[str]:
    while names and not names[-1]:
        names = names[:-1]
    return names


def declared(text: str, source: str) -> dict[str, str]:
    """The fields of a declaration; none if there is no declaration.

    Raises:
        InputError: another format, or a damaged field.
    """
    if not text:
        return {}
    _, *words = text.split()
    if not words or words[0] != str(FORMAT):
        raise InputError(
            f"measurements {source} have format {words[0] if words else ''!r}; this version of thermograd reads {FORMAT}. Use the "
            "version that wrote them"
        )
    fields = dict(word.partition("=")[::2] for word in words[1:])
    valid = {"rows": re.compile(r"[0-9]{1,9}"), "content": _CHECKSUM}
    for name, value in fields.items():
        if name not in valid or not valid[name].fullmatch(value):
            raise InputError(
                f"measurements {source}: {name}={value!r} in the declaration is not rows=NUMBER or content=SHA256; get the file again"
            )
    return fields
