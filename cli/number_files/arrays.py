"""The arrays of a file, by its suffix. Every fault is one `InputError` that names the file, what was found and the remedy."""

from __future__ import annotations

import lzma
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...circuits.errors import InputError
from . import market_file, numpy_file, text_file

MAX_UNKNOWNS = 20_000
"""Maximum number of unknowns of a dense matrix (3.2 GB); a sparse file of a few bytes may claim any size."""
SUFFIXES = (".npy", ".npz", ".csv", ".txt", ".mtx")

# Exceptions that numpy's and scipy's readers raise for damaged files.
_DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    RecursionError,
    zlib.error,
    lzma.LZMAError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    MemoryError,
)


def read_arrays(what: str, path: Path) -> dict[str, Any]:
    """The arrays of a file by name, numpy or `csr_array`; that of a file of one nameless array under the name ''.

    They are of float64, but for float32 and float16, which stay what they are: what counts as rounding is judged by the type.

    Args:
        what: the file is called in errors.
        path: .npy, .npz (of `np.savez` or `scipy.sparse.save_npz`), .csv, .txt or .mtx.

    Raises:
        InputError: missing, of another kind, damaged, or not of real numbers.
    """
    suffix = path.suffix.lower()
    name = f"{what} file {str(path)!r}"
    if path.is_dir():
        raise InputError(f"{name} is a folder: give a file in it")
    if suffix not in SUFFIXES:
        raise InputError(f"{name} has the suffix {path.suffix!r}; use one of {', '.join(SUFFIXES)}")
    reader, remedy = _reader(suffix)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what numpy warns of is judged here
            return {key: _real(key, array) for key, array in reader(path).items()}
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}; check the path") from None
    except _DAMAGE as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise InputError(f"{name} is not a {path.suffix} file of plain numbers: {reason}. {remedy}") from None


def _reader(suffix: str) -> tuple[Callable[[Path], dict[str, Any]], str]:
    if suffix in (".npy", ".npz"):
        return numpy_file.read_numpy, numpy_file.REMEDY
    if suffix == ".mtx":
        return lambda path: {"": market_file.read_market(path, MAX_UNKNOWNS)}, market_file.REMEDY
    return lambda path: {"": text_file.read_text(path)}, text_file.REMEDY


def _real(name: str, array: Any) -> Any:
    """The array in a type of real numbers; ValueError where it has none without a loss."""
    label = f"array {name!r}" if name else "it"
    entries = array if isinstance(array, np.ndarray) else array.data
    kind, dtype = entries.dtype.kind, entries.dtype
    if kind not in "biufc":
        raise ValueError(f"{label} holds {dtype} values, and real numbers are needed")
    if kind == "c":
        if np.any(entries.imag != 0):
            raise ValueError(
                f"{label} holds {dtype} values, and real numbers are needed: where the imaginary parts are rounding, save its real part, "
                "A.real"
            )
        array, entries, dtype = array.real, entries.real, entries.real.dtype
    if kind in "fc" and dtype.itemsize < 8:
        return array.astype(dtype.newbyteorder("="))
    plain = array.astype(np.float64)
    converted = plain if isinstance(plain, np.ndarray) else plain.data
    if np.any(np.isinf(converted) & np.isfinite(entries)):
        raise ValueError(f"{label} holds a {dtype} number beyond double precision, whose largest is 1.8e308")
    return plain
