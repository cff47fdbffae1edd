"""Tables of what a laboratory measured: traces, spectra, covariances and correlations, from CSV or parquet.

A table holds one kind of measurement, which its column names tell (`SCHEMAS`, docs/lab.md). Its first line may declare the format's
version, and with it the number of rows and a checksum of their content, as `Measurements.write` does:

    # thermograd-measurements 1 rows=41 content=5f0c...

so that a file which was cut off or edited, or comes from a later version, is an error and not a wrong fit. Cells are numbers and checked
node names; nothing in a file is executed. A voltage is written as in a netlist's words, "n1", or as a difference, "n1-n2".
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....circuits.errors import InputError
from ....circuits.files import write_text
from .csv_table import FORMAT, MARK, CsvTable, declared, parse_csv
from .delimited import number as parse_number
from .delimited import read_text_file
from .parquet import read_parquet, write_parquet
from .schema import KEYS, RELATIVE, SCHEMAS, Column, kind_of, nodes_of

__all__ = ["FORMAT", "MAX_ROWS", "Measurements", "checked_table", "read_measurements", "table_of_csv"]

MAX_ROWS = 1_000_000


@dataclass(frozen=True, eq=False)
class Measurements:
    """One checked table of measurements in memory.

    Attributes:
        kind: "trace", "spectrum", "covariance" or "correlation".
        columns: every column of the kind's schema, (rows,) each: numbers as float64, voltages as text.
        source: the file's name, or what the caller calls it.
        sha256: of the file, as `sha256sum` prints it; of a table that was never a file, of its content.
        notes: what was found in the file and is not in the table, or was taken from its header, in words.
    """

    kind: str
    columns: Mapping[str, NDArray[Any]]
    source: str
    sha256: str
    notes: tuple[str, ...] = ()

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
        table = checked_table(cells, source, lambda row: f"row {row + 1}")
        if table.kind != kind:
            raise InputError(f"{source}: these are the columns of a table of kind {table.kind!r}, not {kind!r}")
        if table.notes:
            raise InputError(f"{source}: {table.notes[0]}; leave it out")
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
        return Measurements(self.kind, columns, self.source, self.sha256, self.notes)

    def split(self, every: int) -> tuple[Measurements, Measurements]:
        """(the rest, every `every`-th point): to fit, and to hold out. Rows of one frequency, time or band stay together.

        Raises:
            InputError: `every` below 2, or fewer points than that.
        """
        points = np.column_stack([self.columns[name] for name in _numeric(self.kind)])
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
        declaration = f"{MARK} {FORMAT} rows={len(self)} content={self.content}"
        if target.suffix.lower() == ".csv":
            write_text(target, "\n".join([f"# {declaration}", *self._lines(), ""]))
        else:
            _require_suffix(target)
            write_parquet(target, dict(self.columns), {MARK: declaration})


def read_measurements(path: str | Path) -> Measurements:
    """The table in a file, .csv (a line of column names; commas, semicolons or tabs) or .parquet (extra `thermograd[study]`).

    Columns that are in no schema are ignored, which `notes` says. What instruments and simulators write is read by `read_bench_file`.

    Raises:
        InputError: the file is missing, damaged, cut off, edited, of a later version or of no known kind; a cell is out of its range (named
            by the line of a CSV file or the row of a parquet file, from 1); or pyarrow is missing.
    """
    file = Path(path)
    _require_suffix(file)
    try:
        if file.suffix.lower() == ".csv":
            data, text, notes = read_text_file(file)
            table = parse_csv(text, repr(str(file)), MAX_ROWS)
            return table_of_csv(file, data, table, notes)
        data = file.read_bytes()
        cells, metadata = read_parquet(file, MAX_ROWS)
    except OSError as error:
        raise InputError(f"measurements {str(file)!r} cannot be read: {error.strerror or error}") from None
    return _declared_table(file, data, metadata.get(MARK, ""), cells, lambda row: f"row {row + 1}", [])


def table_of_csv(file: Path, data: bytes, table: CsvTable, notes: Sequence[str]) -> Measurements:
    """The checked table of a file's parsed text, with the digest of its bytes.

    Raises:
        InputError: as `read_measurements`.
    """
    return _declared_table(
        file, data, table.declaration, table.columns, lambda row: f"line {table.lines[row]}", [*notes, *table.notes]
    )


def _declared_table(
    file: Path,
    data: bytes,
    declaration: str,
    cells: Mapping[str, list[Any]],
    place: Callable[[int], str],
    notes: Sequence[str],
) -> Measurements:
    """A checked table that holds what its declaration says."""
    source = repr(str(file))
    fields = declared(declaration, source)
    if "rows" in fields and int(fields["rows"]) != (rows := len(next(iter(cells.values()), []))):
        raise InputError(
            f"measurements {source} declare {fields['rows']} rows and have {rows}: the file was cut off or edited; get it again"
        )
    checked = checked_table(cells, f"measurements {source}", place)
    if "content" in fields and fields["content"] != checked.content:
        raise InputError(
            f"measurements {source}: the rows are not those that were written (checksum {checked.content[:12]}..., declared "
            f"{fields['content'][:12]}...); get the file again, or remove its first line if the change is meant"
        )
    return Measurements(
        checked.kind, checked.columns, file.name, hashlib.sha256(data).hexdigest(), (*notes, *checked.notes)
    )


def _require_suffix(path: Path) -> None:
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise InputError(
            f"measurements {str(path)!r} have the suffix {path.suffix!r}; use .csv or .parquet, or read_bench_file for what simulators and "
            "instruments write"
        )


def checked_table(cells: Mapping[str, list[Any]], source: str, place: Callable[[int], str]) -> Measurements:
    """The table of these columns, whose names are a schema's; others are ignored and noted.

    Args:
        cells: texts or numbers by column. source: for messages. place: of a row (from 0), for messages, such as "line 7".

    Raises:
        InputError: a missing column, a value out of its range, a quantity that is there twice.
    """
    kind, ignored = kind_of(cells, source)
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
    notes = (f"column {', '.join(map(repr, ignored))} is not one of a {kind} and is ignored",) if ignored else ()
    return Measurements(kind, columns, source, table.content, notes)


def _column(values: list[Any], name: str, column: Column, source: str, place: Callable[[int], str]) -> NDArray[Any]:
    """Cells as numbers or voltages, each in its range."""

    def where(row: int) -> str:
        return f"{source}, {place(row)}: {name} = {values[row]!r}"

    if column.text:
        texts = [value if isinstance(value, str) else "" for value in values]
        for text in dict.fromkeys(texts):
            try:
                nodes_of(text)
            except InputError as error:
                raise InputError(f"{where(texts.index(text))}: {error}") from None
        return np.array(texts, dtype=str)
    found: list[float] = []
    for row, value in enumerate(values):
        try:
            number = parse_number(value, False) if isinstance(value, str) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        inside = column.low <= number <= column.high and not (column.strict and number == column.low)
        if not inside or (math.isinf(number) and not column.infinite):
            absent = str(value).strip().lower() in ("", "nan", "none", "n/a", "na", "-")
            remedy = "; remove the row if nothing was measured there" if absent else ""
            raise InputError(f"{where(row)}: {column.range} is needed ({column.meaning}){remedy}")
        found.append(number)
    return np.array(found, dtype=np.float64)


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
    numbers = [columns[name].tolist() for name in _numeric(kind)]
    voltages = [columns[name].tolist() for name in KEYS[kind] if SCHEMAS[kind][name].text]
    # Names ignore case, and a difference is known whichever way round it was measured.
    known = {name: "-".join(sorted(nodes_of(name.lower()))) for column in voltages for name in set(column)}
    seen: dict[tuple[Any, ...], int] = {}
    for row, (number, voltage) in enumerate(zip(zip(*numbers, strict=True), zip(*voltages, strict=True), strict=True)):
        first = seen.setdefault((*number, *sorted(known[name] for name in voltage)), row)
        if first != row:
            what = ", ".join(
                f"{columns[name][row]:g}" if name in _numeric(kind) else columns[name][row] for name in KEYS[kind]
            )
            raise InputError(
                f"{source}, {place(row)}: the same quantity as {place(first)} ({what}); average them, or put a repetition into another "
                "table"
            )


def _numeric(kind: str) -> list[str]:
    """The numbers among the columns that say which quantity a row holds."""
    return [name for name in KEYS[kind] if not SCHEMAS[kind][name].text]
