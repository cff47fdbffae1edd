"""Raw files as their format is documented, written without the code that reads them."""

from __future__ import annotations

import struct


def header(
    plot, flags, names, points, *, command="Linear Technology Corporation LTspice XVII", offset="0.0", binary=True
):
    lines = [
        "Title: * C:\\bench\\two nodes.asc", "Date: Mon Nov 30 12:00:00 2026", f"Plotname: {plot}", f"Flags: {flags}",
        f"No. Variables: {len(names)}", f"No. Points: {points}", f"Offset:   {offset}", f"Command: {command}", "Variables:",
        *(f"\t{i}\t{name}\t{kind}" for i, (name, kind) in enumerate(names)),
        "Binary:" if binary else "Values:", "",
    ]  # fmt: skip
    return "\n".join(lines)


def ltspice(plot, flags, names, columns, *, encoding="utf-16-le", offset="0.0"):
    """Bytes of a binary file of real values: the axis in doubles, the others in floats, unless flags say `double`."""
    points = len(columns[0])
    kinds = ["d"] + ["d" if "double" in flags else "f"] * (len(names) - 1)
    if "fastaccess" in flags.lower():
        body = b"".join(struct.pack(f"<{points}{kind}", *column) for kind, column in zip(kinds, columns, strict=True))
    else:
        body = b"".join(struct.pack("<" + "".join(kinds), *row) for row in zip(*columns, strict=True))
    return header(plot, flags, names, points, offset=offset).encode(encoding) + body


def ltspice_text(plot, flags, names, columns, *, encoding="utf-8"):
    """Bytes of a file of text."""
    rows = [f"{i}\t" + "\n".join(f"\t{value!r}" for value in row) for i, row in enumerate(zip(*columns, strict=True))]
    return (header(plot, flags, names, len(columns[0]), binary=False) + "\n".join(rows) + "\n").encode(encoding)
