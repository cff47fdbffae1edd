"""Tables of what a laboratory measured: traces, spectra, covariances and correlations, from CSV or parquet.

A table holds one kind of measurement, which its column names tell (`SCHEMAS`, docs/lab.md). Its first line may declare the format's
version, and with it the number of rows and a checksum of their content, as `Measurements.write` does:

    # thermograd-measurements 1 rows=41 content=5f0c...

so that a file which was cut off or edited, or comes from a later version, is an error and not a wrong fit. Cells are numbers and checked
node names; nothing in a file is executed. A voltage is written as in a netlist's words, "n1", or as a difference, "n1-n2".
"""

from __future__ import annotations

import csv
import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from ....circuits.errors import InputError
from ....circuits.files import write_text
from .parquet import read_parquet, write_parquet
from .schema import KEYS, RELATIVE, SCHEMAS, Column, kind_of, nodes_of

__all__ = ["FORMAT", "MAX_ROWS", "Measurements", "read_measurements"]

FORMAT = 1
MAX_ROWS = 1_000_000
_MARK = "thermograd-measurements"
_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf)", re.ASCII)
_CHECKSUM = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, eq=False)
class Measurements:
    """One checked table of measurements in memory.

    Attributes:
        kind: "trace", "spectrum", "covariance" or "correlation".
        columns: every column of the kind's schema, (rows,) each: numbers as float64, voltages as text.
        source: the file's name, or what the caller calls it.
        sha256: of the file, as `sha256sum` prints it; of a table that was never a file, of its content.
    """

    kind: str
    columns: Mapping[str, NDArray[Any]]
    source: str
    sha256: str

    @classmethod
    def of(
        cls, kind: str, source: str = "in memory", **columns: Sequence[Any] | NDArray[Any] | float | str
    ) -> Measurements:
        """A table from arrays; a single value stands for all rows. Checked as a file is.

        Example:
            ``Measurements.of("spectrum", frequency_hz=f, node="n1", density_v2_per_hz=s, averages=200)``

        Raises:
            InputError: an unknown kind or column, columns of different lengths, or a bad value, with its row (from 1).
        """
        if kind not in SCHEMAS:
            raise InputError(f"kind {kind!r}: there are {', '.join(SCHEMAS)}")
        lengths = {name: len(np.atleast_1d(np.asarray(values))) for name, values in columns.items()}
        rows = max(lengths.values(), default=0)
        for name, length in lengths.items():
            if length not in (1, rows):
                raise InputError(f"{source}: column {name} has {length} values, others have {rows}; give one a row")
        cells = {
            name: np.broadcast_to(np.atleast_1d(np.asarray(values)), (rows,)).tolist()
            for name, values in columns.items()
        }
        table = _checked(cells, source, lambda row: f"row {row + 1}")
        if table.kind != kind:
            raise InputError(f"{source}: these are the columns of a table of kind {table.kind!r}, not {kind!r}")
        return table

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def content(self) -> str:
        """SHA-256 of the rows in their canonical text: the same for CSV and parquet, whatever the line ends."""
        digest = hashlib.sha256()
        for line in self._lines():
            digest.update(line.encode() + b"\n")
        return digest.hexdigest()

    def _lines(self) -> Iterator[str]:
        yield ",".join(self.columns)
        lists = [column.tolist() for column in self.columns.values()]
        for row in zip(*lists, strict=True):
            yield ",".join(cell if isinstance(cell, str) else repr(cell + 0.0) for cell in row)

    def take(self, chosen: Sequence[bool] | Sequence[int] | NDArray[Any]) -> Measurements:
        """The rows of a mask or of a list of indices, with the same source and digest.

        Raises:
            InputError: no row is left.
        """
        columns = {name: column[np.asarray(chosen)] for name, column in self.columns.items()}
        if not len(next(iter(columns.values()))):
            raise InputError(f"{self.source}: no row is chosen; choose at least one")
        return Measurements(self.kind, columns, self.source, self.sha256)

    def split(self, every: int) -> tuple[Measurements, Measurements]:
        """(the rest, every `every`-th point): to fit, and to hold out. Rows of one frequency, time or band stay together.

        Raises:
            InputError: `every` below 2, or fewer points than that.
        """
        fields = [name for name in KEYS[self.kind] if not SCHEMAS[self.kind][name].text]
        points = np.column_stack([self.columns[name] for name in fields])
        distinct, number = np.unique(points, axis=0, return_inverse=True)
        if every < 2 or len(distinct) < every:
            raise InputError(
                f"{self.source}: every = {every}, but 2 to {len(distinct)} points are there to choose from"
            )
        held = number.ravel() % every == every - 1
        return self.take(~held), self.take(held)

    def write(self, path: str | Path) -> None:
        """Write .csv or .parquet (extra `thermograd[study]`) with version, number of rows and checksum.

        Raises:
            InputError: another suffix, or pyarrow is missing.
        """
        target = Path(path)
        declaration = f"{_MARK} {FORMAT} rows={len(self)} content={self.content}"
        if target.suffix.lower() == ".csv":
            write_text(target, "\n".join([f"# {declaration}", *self._lines(), ""]))
        else:
            _require_suffix(target)
            write_parquet(target, dict(self.columns), {_MARK: declaration})


def read_measurements(path: str | Path) -> Measurements:
    """The table in a file, .csv (UTF-8, commas, a line of column names) or .parquet (extra `thermograd[study]`).

    Raises:
        InputError: the file is missing, damaged, cut off, edited, of a later version or of no known kind; a cell is out of its range (named
            by the line of a CSV file or the row of a parquet file, from 1); or pyarrow is missing.
    """
    file = Path(path)
    _require_suffix(file)
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if file.suffix.lower() == ".csv":
            declaration, cells, lines = _read_csv(file)
        else:
            cells, metadata = read_parquet(file, MAX_ROWS)
            declaration, lines = metadata.get(_MARK, ""), None
    except OSError as error:
        raise InputError(f"measurements {str(file)!r} cannot be read: {error.strerror or error}") from None
    source = repr(str(file))
    declared = _declared(declaration, source)
    if "rows" in declared and int(declared["rows"]) != (rows := len(next(iter(cells.values()), []))):
        raise InputError(
            f"measurements {source} declare {declared['rows']} rows and have {rows}: the file was cut off or edited; get it again"
        )
    table = _checked(cells, f"measurements {source}", lambda row: f"line {lines[row]}" if lines else f"row {row + 1}")
    if "content" in declared and declared["content"] != table.content:
        raise InputError(
            f"measurements {source}: the rows are not those that were written (checksum {table.content[:12]}..., declared "
            f"{declared['content'][:12]}...); get the file again, or remove its first line if the change is meant"
        )
    return Measurements(table.kind, table.columns, file.name, digest)


def _require_suffix(path: Path) -> None:
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise InputError(f"measurements {str(path)!r} have the suffix {path.suffix!r}; use .csv or .parquet")


def _read_csv(path: Path) -> tuple[str, dict[str, list[Any]], list[int]]:
    """The declaration, the columns, and the line in the file of each row."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _parse_csv(file, repr(str(path)))
    except UnicodeDecodeError as error:
        raise InputError(
            f"measurements {str(path)!r}: byte {error.start} is not UTF-8 text; save the table as CSV in UTF-8"
        ) from None


def _parse_csv(file: TextIO, source: str) -> tuple[str, dict[str, list[Any]], list[int]]:
    reader = csv.reader(file, strict=True)
    declaration, names = "", None
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if names is None and row and row[0].startswith("#"):
                text = ",".join(row).lstrip("# ").strip()
                if text.startswith(_MARK):
                    declaration = text
                elif "content=" in text or "rows=" in text:
                    raise InputError(
                        f"measurements {source}, line {reader.line_num}: a damaged declaration; it starts with {_MARK!r}. Get the file "
                        "again, or remove the line if the rows are right"
                    )
            elif not any(cell.strip() for cell in row):
                continue
            elif names is None:
                names = [cell.strip() for cell in row]
                other = next((mark for mark in ";\t" if len(names) == 1 and mark in names[0]), "")
                if other:
                    raise InputError(
                        f"measurements {source}, line {reader.line_num}: the columns are separated by {other!r}; separate them by "
                        "commas, and write decimals with a point"
                    )
            elif len(row) != len(names):
                raise InputError(
                    f"measurements {source}, line {reader.line_num}: {len(row)} cells, but there are {len(names)} columns; complete the row"
                )
            elif len(rows) == MAX_ROWS:
                raise InputError(f"measurements {source} have more than {MAX_ROWS} rows; average or thin them")
            else:
                rows.append([cell.strip() for cell in row])
                lines.append(reader.line_num)
    except csv.Error as error:
        raise InputError(
            f"measurements {source}, line {reader.line_num}: not CSV ({error}); is the file complete?"
        ) from None
    if names is None:
        raise InputError(f"measurements {source} are empty; a line of column names and the rows below it are needed")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"measurements {source}: column {twice[0]!r} is there twice; remove one")
    return declaration, {name: [row[i] for row in rows] for i, name in enumerate(names)}, lines


def _declared(text: str, source: str) -> dict[str, str]:
    """The fields of a declaration; none if there is no declaration."""
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


def _checked(cells: Mapping[str, list[Any]], source: str, place: Callable[[int], str]) -> Measurements:
    kind = kind_of(cells, source)
    schema = SCHEMAS[kind]
    rows = len(next(iter(cells.values())))
    if rows == 0:
        raise InputError(f"{source}: no rows below the column names; a table needs at least one")
    columns: dict[str, NDArray[Any]] = {}
    for name, column in schema.items():
        if name in cells:
            columns[name] = _column(cells[name], name, column, source, place)
        elif name == "averages":
            columns[name] = 1.0 / _column(cells["rel_std"], "rel_std", RELATIVE, source, place) ** 2
        elif isinstance(column.default, str):
            columns[name] = columns[column.default]
        else:
            columns[name] = np.full(rows, column.default)
    _check_rows(kind, columns, source, place)
    _reject_duplicates(kind, columns, source, place)
    table = Measurements(kind, columns, source, "")
    return Measurements(kind, columns, source, table.content)


def _column(values: list[Any], name: str, column: Column, source: str, place: Callable[[int], str]) -> NDArray[Any]:
    """Cells as numbers or voltages, each in its range."""
    found: list[Any] = []
    for row, value in enumerate(values):
        where = f"{source}, {place(row)}: {name} = {value!r}"
        if column.text:
            try:
                nodes_of(value if isinstance(value, str) else "")
            except InputError as error:
                raise InputError(f"{where}: {error}") from None
            found.append(value)
            continue
        try:
            number = math.nan if isinstance(value, str) and not _NUMBER.fullmatch(value) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        inside = column.low <= number <= column.high and not (column.strict and number == column.low)
        if not inside or (math.isinf(number) and not column.infinite):
            raise InputError(f"{where}: {column.range} is needed ({column.meaning})")
        found.append(number)
    return np.array(found, dtype=str if column.text else np.float64)


def _check_rows(kind: str, columns: Mapping[str, NDArray[Any]], source: str, place: Callable[[int], str]) -> None:
    """What one cell alone does not tell."""
    if kind == "spectrum":
        own = columns["node"] == columns["node_b"]
        real, imaginary = columns["density_v2_per_hz"], np.abs(columns["density_imag_v2_per_hz"])
        bad = own & ((real <= 0.0) | (imaginary > 1e-9 * real))  # of a product with itself, rounding
        what = "the density of one voltage must be > 0 and real; leave out a bin that was not measured"
    elif kind == "trace":
        return
    else:
        bad = columns["f_lo_hz"] >= columns["f_hi_hz"]
        what = "f_lo_hz must be below f_hi_hz"
        if kind == "correlation":
            bad = bad | (columns["node_a"] == columns["node_b"])
            what += ", and the two voltages different ones"
    if np.any(bad):
        raise InputError(f"{source}, {place(int(np.argmax(bad)))}: {what}")


def _reject_duplicates(
    kind: str, columns: Mapping[str, NDArray[Any]], source: str, place: Callable[[int], str]
) -> None:
    numbers = [columns[name].tolist() for name in KEYS[kind] if not SCHEMAS[kind][name].text]
    voltages = [columns[name].tolist() for name in KEYS[kind] if SCHEMAS[kind][name].text]
    # Names ignore case, and a difference is known whichever way round it was measured.
    known = {name: "-".join(sorted(nodes_of(name.lower()))) for column in voltages for name in set(column)}
    seen: dict[tuple[Any, ...], int] = {}
    for row, (number, voltage) in enumerate(zip(zip(*numbers, strict=True), zip(*voltages, strict=True), strict=True)):
        first = seen.setdefault((*number, *sorted(known[name] for name in voltage)), row)
        if first != row:
            raise InputError(
                f"{source}, {place(row)}: the same quantity as {place(first)}; average them, or put a repetition into another table"
            )
