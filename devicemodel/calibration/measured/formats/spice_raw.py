"""Raw files of ngspice, LTspice and other simulators: a header of text, and the values in binary or as text.

The format is SPICE3's "rawfile" (the command "write" in ngspice's manual) with LTspice's additions: the header in UTF-16; real values as
32-bit floats, but for the axis and where the flag "double" is there; the flag "fastaccess" for values by variable; times whose sign marks
compression. Sizes are checked against the file's before anything is read, and nothing in a file is executed: spicelib, which reads both,
evaluates formulas that a file holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .....circuits.errors import InputError

__all__ = ["RawPlot", "is_raw", "read_plots"]

_MAX_VARIABLES = 100_000
_MAX_PLOTS = 1000
_SHORTEST = 64
_KEYS = re.compile(
    r"(title|date|plotname|flags|no\. variables|no\. points|offset|command|variables)\s*:(.*)", re.IGNORECASE
)


@dataclass(frozen=True)
class RawPlot:
    """One analysis of a raw file.

    Attributes:
        name: such as "Transient Analysis". flags: words. offset: s.
        variables: (name, type) each, the axis first. values: (variables, points), float64 or complex128.
        ltspice: whether LTspice wrote it.
    """

    name: str
    flags: tuple[str, ...]
    offset: float
    variables: tuple[tuple[str, str], ...]
    values: NDArray[np.float64] | NDArray[np.complex128]
    ltspice: bool


def is_raw(data: bytes) -> bool:
    """Whether a file's first bytes are those of a raw file."""
    start = data[:4096]
    text = start.decode("utf-16-le", "replace") if start[1:2] == b"\0" else start.decode("latin-1")
    return bool(re.match(r"\s*title:.*?\n(?:.*\n){0,6}?plotname:", text.replace("\r", ""), re.IGNORECASE))


def read_plots(data: bytes, source: str) -> list[RawPlot]:
    """All analyses of a raw file.

    Raises:
        InputError: cut off, or a damaged header.
    """
    wide = data[1:2] == b"\0"
    plots: list[RawPlot] = []
    place = 0
    while len(data) - place >= _SHORTEST or data[place:].strip(b"\r\n\t \0"):
        if len(plots) == _MAX_PLOTS:
            raise InputError(f"{source} holds more than {_MAX_PLOTS} analyses; write fewer into one file")
        plot, place = _read_plot(data, place, wide, source)
        plots.append(plot)
    return plots


def _read_plot(data: bytes, place: int, wide: bool, source: str) -> tuple[RawPlot, int]:
    fields, variables, binary, place = _header(data, place, wide, source)
    flags = tuple(fields.get("flags", "real").lower().split())
    points = _count(fields, "no. points", len(data), source)
    command = fields.get("command", "").lower()
    ltspice = "ltspice" in command or "linear technology" in command
    if binary:
        values, place = _binary(data, place, (len(variables), points), flags, ltspice, source)
    else:
        values, place = _text(data, place, (len(variables), points), "complex" in flags, wide, source)
    try:
        offset = float(fields.get("offset", "0") or "0")
    except ValueError:
        offset = np.nan
    return RawPlot(fields.get("plotname", ""), flags, offset, variables, values, ltspice), place


def _count(fields: dict[str, str], key: str, most: int, source: str) -> int:
    text = fields.get(key, "")
    if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) > most:
        raise InputError(
            f"{source}: {key!r} of its header is {text!r}, which is no number that the file has room for; write it again"
        )
    return int(text)


def _header(
    data: bytes, place: int, wide: bool, source: str
) -> tuple[dict[str, str], tuple[tuple[str, str], ...], bool, int]:
    """(fields, variables, whether the values are binary, where they begin)."""
    fields: dict[str, str] = {}
    names: list[tuple[str, str]] = []
    wanted: int | None = None
    end, encoding = (b"\n\0", "utf-16-le") if wide else (b"\n", "utf-8")
    for _ in range(_MAX_VARIABLES + 1000):
        stop = data.find(end, place)
        while wide and stop >= 0 and (stop - place) % 2:
            stop = data.find(end, stop + 1)
        if stop < 0 or stop - place > 1_000_000:
            break
        line = data[place:stop].decode(encoding, "replace").strip("\r\n ")
        place = stop + len(end)
        word = line.strip().lower()
        if word in ("binary:", "values:"):
            if wanted is None or len(names) != wanted:
                raise InputError(
                    f"{source}: its header lists {len(names)} variables, and states {wanted}; write it again"
                )
            return fields, tuple(names), word == "binary:", place
        if wanted is not None and len(names) < wanted and re.match(r"\s*\d+\s+\S", line):
            parts = line.split()
            names.append((parts[1], parts[2] if len(parts) > 2 else ""))
        elif found := _KEYS.match(line.strip()):
            key, text = found[1].lower(), found[2].strip()
            fields[key] = text
            if key == "variables":
                wanted = _count(fields, "no. variables", _MAX_VARIABLES, source)
                if len(parts := text.split()) > 2:  # SPICE3 writes the first one here
                    names.append((parts[1], parts[2]))
    raise InputError(
        f"{source}: the header of a raw file without 'Binary:' or 'Values:'; it was cut off, write it again"
    )


def _binary(
    data: bytes, place: int, shape: tuple[int, int], flags: tuple[str, ...], ltspice: bool, source: str
) -> tuple[NDArray[np.float64] | NDArray[np.complex128], int]:
    count, points = shape
    left = len(data) - place
    doubles, mixed = 8 * count * points, (8 + 4 * (count - 1)) * points
    # The size says more than the flags, which some writers leave out or set wrongly.
    small = "complex" not in flags and (left == mixed or (ltspice and "double" not in flags and left != doubles))
    size = 2 * doubles if "complex" in flags else mixed if small else doubles
    if size > left:
        raise InputError(
            f"{source}: {points} points of {count} variables need {size} bytes, and {left} are there; it was cut off, write it again"
        )
    if size == 0:
        return np.zeros((count, points)), place
    block = memoryview(data)[place : place + size]
    if not small:
        flat = np.frombuffer(block, dtype="<c16" if "complex" in flags else "<f8")
        values = flat.reshape(count, points) if "fastaccess" in flags else flat.reshape(points, count).T
        return values, place + size
    if "fastaccess" in flags:
        axis = np.frombuffer(block[: 8 * points], dtype="<f8")
        rest = np.frombuffer(block[8 * points :], dtype="<f4").reshape(count - 1, points)
    else:
        pairs = np.frombuffer(block, dtype=[("axis", "<f8"), ("rest", "<f4", (count - 1,))])
        axis, rest = pairs["axis"], pairs["rest"].T
    with np.errstate(invalid="ignore"):  # NaNs of damaged bytes, which the table rejects
        return np.vstack([axis, rest.astype(np.float64)]), place + size


def _text(
    data: bytes, place: int, shape: tuple[int, int], complex_: bool, wide: bool, source: str
) -> tuple[NDArray[np.float64] | NDArray[np.complex128], int]:
    count, points = shape
    mark = "\nTitle:".encode("utf-16-le" if wide else "ascii")
    stop = data.find(mark, place)
    stop = len(data) if stop < 0 else stop + (2 if wide else 1)
    cells = data[place:stop].decode("utf-16-le" if wide else "latin-1", "replace").split()
    if len(cells) != points * (count + 1):
        raise InputError(
            f"{source}: {points} points of {count} variables need {points * (count + 1)} numbers, and {len(cells)} are there; it was cut "
            "off or edited, write it again"
        )
    try:
        table = np.array(cells, dtype=object).reshape(points, count + 1)
        if complex_:
            pairs = [[complex(*map(float, cell.split(",", 1))) for cell in row] for row in table[:, 1:]]
            return np.array(pairs, dtype=np.complex128).reshape(points, count).T, stop
        return table[:, 1:].astype(np.float64).T, stop
    except (ValueError, TypeError) as error:
        raise InputError(f"{source}: a value that is no number ({error}); write it again") from None
