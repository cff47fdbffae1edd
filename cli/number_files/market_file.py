"""Matrix Market, https://math.nist.gov/MatrixMarket/formats.html.

scipy's reader takes `1.5D+1` for 1.5, `1,5` for 1 and 1e400 for inf, and adds what a symmetric file lists on both sides of its diagonal; so
the entries are read here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .decimal import fields, number, shown, text_lines
from .sparse import LARGEST, from_coordinates

REMEDY = "Write it with scipy.io.mmwrite(path, A)"

_LAYOUTS, _FIELDS = ("coordinate", "array"), {"real": 1, "double": 1, "integer": 1, "unsigned-integer": 1, "complex": 2}
_SYMMETRIES = {"general": 0, "symmetric": 1, "skew-symmetric": -1, "hermitian": 1}


class _Header(NamedTuple):
    layout: str
    field: str
    symmetry: str


def read_market(path: Path, largest_dense: int) -> Any:
    """The matrix: `csr_array` of a coordinate file, (rows, columns) of an array file.

    Args:
        path: the file.
        largest_dense: maximum number of rows and of columns of an array file.

    Raises:
        ValueError: not such a file; a pattern, which has no values; entries that are no numbers, too few or too many, listed twice, or
            above the diagonal of a symmetric matrix. It names the line.
    """
    lines = text_lines(path)
    header = _header(lines[0])
    rest = [(k, fields(line)) for k, line in enumerate(lines[1:], start=2) if not line.lstrip().startswith("%")]
    rest = [(k, tokens) for k, tokens in rest if tokens]
    if not rest:
        raise ValueError("it ends before its sizes")
    sparse = header.layout == "coordinate"
    line, sizes = rest[0][0], [_index(rest[0][0], token) for token in rest[0][1]]
    if len(sizes) != 2 + sparse:
        raise ValueError(f"line {line} has {len(sizes)} sizes, and {2 + sparse} are needed")
    rows, columns = sizes[:2]
    if _SYMMETRIES[header.symmetry] and rows != columns:
        raise ValueError(f"line {line}: a {header.symmetry} matrix is square, and its sizes are {rows} and {columns}")
    limit = LARGEST if sparse else largest_dense
    if max(rows, columns) > limit:
        raise ValueError(f"it has shape ({rows}, {columns}), and at most {limit} unknowns are supported")
    if sparse:
        return _coordinates(rest[1:], header, (rows, columns), sizes[2])
    return _array(rest[1:], header, (rows, columns))


def _header(line: str) -> _Header:
    words = line.lower().split()
    if len(words) != 5 or words[0] != "%%matrixmarket" or words[1] != "matrix":
        raise ValueError(
            f"line 1 is {shown(line)}, and not of the form '%%MatrixMarket matrix coordinate real symmetric'"
        )
    header = _Header(*words[2:])
    if header.field == "pattern":
        raise ValueError("it is a pattern, which says where entries are and not their values")
    known: tuple[tuple[str, Any], ...] = (
        (header.layout, _LAYOUTS),
        (header.field, _FIELDS),
        (header.symmetry, _SYMMETRIES),
    )
    for word, names in known:
        if word not in names:
            raise ValueError(f"line 1 says {shown(word)}: there are {', '.join(names)}")
    return header


def _coordinates(lines: list[tuple[int, list[str]]], header: _Header, shape: tuple[int, int], count: int) -> Any:
    if len(lines) != count:
        raise ValueError(f"it has {len(lines)} entries, and its sizes say {count}")
    width = _FIELDS[header.field]
    places, values = np.empty((count, 2), dtype=np.int64), np.empty(count, dtype=complex if width == 2 else float)
    for entry, (k, tokens) in enumerate(lines):
        if len(tokens) != 2 + width:
            raise ValueError(f"line {k} has {len(tokens)} fields, and {2 + width} are needed: row, column and value")
        place = [_index(k, token) for token in tokens[:2]]
        if not (1 <= place[0] <= shape[0] and 1 <= place[1] <= shape[1]):
            raise ValueError(f"line {k}: entry {tuple(place)} is outside of (1, 1) to {shape}")
        places[entry], values[entry] = place, _value(k, tokens[2:], header)
    row, column = places.T - 1
    order = np.lexsort((column, row))
    twice = (np.diff(row[order]) == 0) & (np.diff(column[order]) == 0)
    if twice.any():
        entry = int(order[1:][twice][0])
        raise ValueError(
            f"line {lines[entry][0]}: entry {tuple(places[entry].tolist())} is listed twice: keep one, or their sum if they are to be added"
        )
    sign = _SYMMETRIES[header.symmetry]
    if sign:
        above = np.flatnonzero(row < column)
        if len(above):
            entry = int(above[0])
            raise ValueError(
                f"line {lines[entry][0]}: entry {tuple(places[entry].tolist())} is above the diagonal, and a {header.symmetry} file lists "
                "the entries on and below it"
            )
        mirrored = np.flatnonzero(row > column)
        other = values[mirrored].conj() if header.symmetry == "hermitian" else sign * values[mirrored]
        row, column = np.append(row, column[mirrored]), np.append(column, row[mirrored])
        values = np.append(values, other)
    return from_coordinates(row, column, values, shape)


def _array(lines: list[tuple[int, list[str]]], header: _Header, shape: tuple[int, int]) -> np.ndarray:
    width = _FIELDS[header.field]
    sign = _SYMMETRIES[header.symmetry]
    # Column by column; of a symmetric matrix the part on and below the diagonal, of a skew one the part below.
    column, row = np.indices(shape[::-1]).reshape(2, -1)
    listed = row >= column if sign > 0 else row > column if sign < 0 else np.ones_like(row, dtype=bool)
    row, column = row[listed], column[listed]
    if len(lines) != len(row):
        raise ValueError(f"it has {len(lines)} entries, and its sizes say {len(row)}")
    matrix = np.zeros(shape, dtype=complex if width == 2 else float)
    for entry, (k, tokens) in enumerate(lines):
        if len(tokens) != width:
            raise ValueError(f"line {k} has {len(tokens)} numbers, and {width} is needed")
        matrix[row[entry], column[entry]] = _value(k, tokens, header)
    if sign:
        other = matrix.conj().T if header.symmetry == "hermitian" else sign * matrix.T
        matrix += np.triu(other, 1)
    return matrix


def _value(line: int, tokens: list[str], header: _Header) -> Any:
    try:
        numbers = [number(token) for token in tokens]
    except ValueError as error:
        raise ValueError(f"line {line}: {error}") from None
    if "integer" in header.field and not numbers[0].is_integer():
        raise ValueError(f"line {line}: {tokens[0]!r} is no integer, and line 1 says {header.field}")
    return complex(*numbers) if len(numbers) == 2 else numbers[0]


def _index(line: int, token: str) -> int:
    if not (token.isascii() and token.isdigit() and len(token) <= 18):
        raise ValueError(f"line {line}: {shown(token)} is not a whole number")
    return int(token)
