"""Readers of matrix, vector and system files.

Files are untrusted, so nothing in them is ever executed: no pickle, no Python objects. Every fault is one `InputError`
that names the file, what was found and the remedy.
"""

from __future__ import annotations

import lzma
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..circuits.errors import InputError

MAX_SPARSE = 200_000
"""Maximum number of unknowns of a sparse matrix file."""
MAX_UNKNOWNS = 20_000
"""Maximum number of unknowns of a dense matrix (3.2 GB); a sparse file of a few bytes may claim any size."""


# Exceptions that numpy's and scipy's readers raise for damaged files.
_DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    NotImplementedError,
    RuntimeError,
    zlib.error,
    lzma.LZMAError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    MemoryError,
)


def read_matrix(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """A matrix (n, n), and the right-hand side (n,) when the file is an .npz that holds `A` and `b`.

    Shape and values are validated by the compiler, which names the entry.

    Raises:
        InputError: the file is missing, of an unknown kind, damaged, or does not hold real numbers.
    """
    arrays = _read("matrix", path)
    matrix = _pick("matrix", path, arrays, "A")
    if matrix.ndim == 2 and max(matrix.shape, default=0) > MAX_UNKNOWNS:
        raise InputError(
            f"matrix file {str(path)!r} has shape {matrix.shape}; at most {MAX_UNKNOWNS} unknowns are supported"
        )
    return matrix, (_flat(arrays["b"]) if "A" in arrays and "b" in arrays else None)


def read_problem(path: Path, damping: float) -> tuple[Any, np.ndarray | None]:
    """A matrix, or a system by its factors, to be compiled; and the right-hand side `b` of an .npz.

    An .npz with `J` (and `H`) is J^T H J, one with the matrices `A` and `B` is A (x) B; both may hold `damping`, to which the argument is
    added. Every other file holds a matrix, which is sparse from a sparse .mtx file.

    Raises:
        InputError: as `read_matrix`.
    """
    if path.suffix.lower() == ".npz":
        arrays = _read("matrix", path)
        own = 0.0
        if "damping" in arrays:
            if arrays["damping"].size != 1:
                raise InputError(
                    f"matrix file {str(path)!r}: damping has shape {arrays['damping'].shape}; it must be one number"
                )
            own = float(arrays["damping"].item())
        drive = _flat(arrays["b"]) if "b" in arrays else None
        if "J" in arrays or {"A", "B"} <= set(arrays):
            return _system(arrays, own + damping), drive
        if "A" in arrays and own:
            return arrays["A"] + own * np.eye(len(arrays["A"])), drive
    if path.suffix.lower() == ".mtx":
        sparse_matrix = _sparse_market(path)
        if sparse_matrix is not None:
            return sparse_matrix, None
    return read_matrix(path)


def _system(arrays: dict[str, np.ndarray], damping: float) -> Any:
    """J^T H J + damping, or A (x) B + damping."""
    import torch

    from ..compiler.validate import matrix_of
    from ..devicemodel.systems import Kronecker, LowRank

    given = {name: torch.from_numpy(matrix_of(name, arrays[name])) for name in "JHAB" if name in arrays}
    if "J" in given:
        return LowRank(given["J"], given.get("H"), damping)
    return Kronecker(given["A"], given["B"], damping)


def _sparse_market(path: Path) -> Any:
    """The matrix of a Matrix Market file in coordinate format; None for other files, which are left to `read_matrix`."""
    from scipy import sparse
    from scipy.io import mminfo, mmread

    try:
        rows, columns, _, layout, field, _ = mminfo(path)
        if layout != "coordinate" or field not in ("real", "integer") or max(rows, columns) > MAX_SPARSE:
            return None
        return sparse.csr_array(mmread(path)).astype(np.float64)
    except (*_DAMAGE, OSError):
        return None


def read_vector(path: Path) -> np.ndarray:
    """A vector (n,); a matrix of a single row or column is accepted."""
    return _flat(_pick("vector", path, _read("vector", path), "b"))


def read_systems(paths: Sequence[Path]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The systems (A, b) of .npz files; a folder stands for all of its .npz files, sorted by name.

    Raises:
        InputError: no file, an array is missing, A is not symmetric positive definite, or the length of b differs.
    """
    from ..compiler.passes.damp import damp
    from ..compiler.validate import validate, validate_drive

    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob("*.npz")) if path.is_dir() else [path]
        if not found:
            raise InputError(
                f"folder {str(path)!r} holds no .npz files; save each system with np.savez(path, A=A, b=b)"
            )
        files += found
    systems = []
    for file in files:
        matrix, b = read_matrix(file)
        if b is None:
            raise InputError(f"system file {str(file)!r} must hold two arrays, A and b: np.savez(path, A=A, b=b)")
        try:
            systems.append((damp(validate(matrix), 0.0), validate_drive(b, len(matrix))))
        except InputError as error:
            raise InputError(f"system file {str(file)!r}: {error}") from None
    return systems


def _read(what: str, path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name; a file of one nameless array gives it the name ''."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{what} file {str(path)!r} has the suffix {path.suffix!r}; use one of {', '.join(_READERS)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an empty file is an InputError below, not a warning
            arrays = reader(path)
    except InputError:
        raise
    except OSError as error:
        raise InputError(
            f"{what} file {str(path)!r} cannot be read: {error.strerror or error}; check the path"
        ) from None
    except _DAMAGE as error:
        reason = str(error).split(";")[0].strip().rstrip(".") or type(error).__name__
        raise InputError(
            f"{what} file {str(path)!r} is not a {path.suffix} file of plain numbers: {reason}. {_REMEDY[reader]}"
        ) from None
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            label = f" array {name!r}" if name else ""
            raise InputError(
                f"{what} file {str(path)!r}:{label} holds {array.dtype} values; real numbers are needed. "
                f"{_REMEDY[reader]}"
            )
    return {name: array.astype(np.float64) for name, array in arrays.items()}


def _pick(what: str, path: Path, arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    """The only array, or the one of the expected name among several."""
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    if name not in arrays:
        raise InputError(
            f"{what} file {str(path)!r} holds {len(arrays)} arrays ({', '.join(arrays) or 'none'}); "
            f"it must hold one, or name the {what} {name}: np.savez(path, {name}={name})"
        )
    return arrays[name]


def _flat(array: np.ndarray) -> np.ndarray:
    return array.ravel() if array.ndim == 2 and 1 in array.shape else array


def _numpy_file(path: Path) -> dict[str, np.ndarray]:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return {"": loaded}
    with loaded:
        return {name: loaded[name] for name in loaded.files}


def _text_file(path: Path) -> dict[str, np.ndarray]:
    text = path.read_text(encoding="utf-8-sig")
    content = "".join(line.split("#")[0] for line in text.splitlines())
    if not content.strip():
        return {"": np.empty((0, 0))}
    delimiter = next((mark for mark in (",", ";") if mark in content), None)
    return {"": np.loadtxt(text.splitlines(), delimiter=delimiter, ndmin=2)}


def _market_file(path: Path) -> dict[str, np.ndarray]:
    from scipy.io import mminfo, mmread

    rows, columns = (int(extent) for extent in mminfo(path)[:2])
    if max(rows, columns) > MAX_UNKNOWNS:
        raise InputError(
            f"matrix file {str(path)!r} has shape ({rows}, {columns}); at most {MAX_UNKNOWNS} unknowns are supported"
        )
    loaded = mmread(path)
    return {"": np.asarray(loaded.toarray() if hasattr(loaded, "toarray") else loaded)}


_READERS: dict[str, Callable[[Path], dict[str, np.ndarray]]] = {
    ".npy": _numpy_file,
    ".npz": _numpy_file,
    ".csv": _text_file,
    ".txt": _text_file,
    ".mtx": _market_file,
}
_REMEDY: dict[Callable[[Path], dict[str, np.ndarray]], str] = {
    _numpy_file: "Save numbers, not objects: np.save(path, np.asarray(A, dtype=float))",
    _text_file: "Write one row a line, numbers separated by commas or blanks",
    _market_file: "Write it with scipy.io.mmwrite(path, A)",
}
