"""numpy's .npy and .npz, and the .npz of `scipy.sparse.save_npz`. Nothing in them is ever unpickled."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from .sparse import checked, from_coordinates

REMEDY = "Save numbers: np.save(path, np.asarray(A, dtype=float)), or a sparse matrix by scipy.sparse.save_npz(path, A)"

_MAGIC, _ZIP = b"\x93NUMPY", (b"PK\x03\x04", b"PK\x05\x06")
_END, _ZIP64 = struct.Struct("<4s4H2LH"), 0xFFFF
"""The end record of an archive (PKWARE's APPNOTE 4.3.16), and the count that stands for one which does not fit."""
_SPARSE = {"format", "shape"}
_PARTS = {
    "csr": {"data", "indices", "indptr"},
    "csc": {"data", "indices", "indptr"},
    "bsr": {"data", "indices", "indptr"},
    "dia": {"data", "offsets"},
    "coo": {"data", "row", "col"},
}
"""Arrays of each of scipy's formats, beside `format` and `shape`."""


def read_numpy(path: Path) -> dict[str, Any]:
    """The arrays of a .npz by name; that of a .npy, or of `save_npz`, under the name ''.

    Raises:
        ValueError: not such a file, an array of objects, data after the array, two arrays of one name. zipfile's and zlib's own errors
            where a checksum fails.
    """
    with path.open("rb") as file:
        start = file.read(len(_MAGIC))
        file.seek(0)
        if start.startswith(_ZIP):
            return _archive(file)
        return {"": _array(file)}


def _archive(file: IO[bytes]) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    with zipfile.ZipFile(file) as archive:
        _check_count(file, archive)
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"it holds two arrays named {name!r}")
            with archive.open(member) as stream:
                arrays[name] = _array(stream, name)
    return {"": _sparse(arrays)} if set(arrays) >= _SPARSE else arrays


def _check_count(file: IO[bytes], archive: zipfile.ZipFile) -> None:
    """Raise where the directory, which has no checksum, lists fewer entries than the end record counts.

    Where the length of an entry's comment is damaged, zipfile takes the entries behind it for the comment: a `damping` or `b` would be gone
    without a word.
    """
    file.seek(-_END.size - len(archive.comment), 2)
    count = _END.unpack(file.read(_END.size))[4]
    if count != len(archive.infolist()) and count != _ZIP64:
        raise ValueError(f"its directory is damaged, and lists {len(archive.infolist())} of {count} arrays")


def _array(stream: IO[bytes], name: str = "") -> np.ndarray:
    label = f"array {name!r}" if name else "it"
    start = stream.read(len(_MAGIC))
    if start != _MAGIC:
        raise ValueError(f"{label} is empty" if not start else f"{label} does not begin as an .npy file does")
    stream.seek(0)
    try:
        array = np.lib.format.read_array(stream, allow_pickle=False)
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise ValueError(f"{label} holds Python objects, which are not loaded") from None
    # The rest is read in any case: the checksum of an archive is verified at the end of each member.
    if stream.read():
        raise ValueError(f"{label} is followed by further data")
    return np.asarray(array)


def _sparse(arrays: Mapping[str, np.ndarray]) -> Any:
    from scipy import sparse

    kind = arrays["format"].item() if arrays["format"].size == 1 else ""
    kind = kind.decode("ascii") if isinstance(kind, bytes) else str(kind)
    if kind not in _PARTS:
        raise ValueError(f"its array 'format' is {kind!r}; a sparse matrix has one of {', '.join(_PARTS)}")
    parts = _PARTS[kind]
    if missing := sorted(parts - set(arrays)):
        raise ValueError(f"a sparse matrix of format {kind} needs the array {missing[0]!r}, which is not in it")
    if extra := sorted(set(arrays) - parts - _SPARSE - {"_is_array"}):
        raise ValueError(f"a sparse matrix of format {kind} has no array {extra[0]!r}")
    shape = arrays["shape"]
    if shape.shape != (2,) or shape.dtype.kind not in "iu" or (shape < 0).any():
        raise ValueError(f"its array 'shape' is {shape.tolist()}; two whole numbers >= 0 are needed")
    rows, columns = (int(extent) for extent in shape)
    data = arrays["data"]
    if kind == "coo":
        return from_coordinates(arrays["row"], arrays["col"], data, (rows, columns))
    if kind == "dia":
        return checked(sparse.dia_array((data, arrays["offsets"]), shape=(rows, columns)))
    made = {"csr": sparse.csr_array, "csc": sparse.csc_array, "bsr": sparse.bsr_array}[kind]
    whole = made((data, arrays["indices"], arrays["indptr"]), shape=(rows, columns))
    whole.check_format(full_check=True)  # an index out of range would be followed into foreign memory
    return checked(whole)
