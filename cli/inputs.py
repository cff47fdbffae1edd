"""What matrix, vector and system files mean: the same in every command.

Files are untrusted, so nothing in them is ever executed: no pickle, no Python objects. Every fault is one `InputError`
that names the file, what was found and the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ..circuits.errors import InputError
from ..compiler.linear_system import FactoredSystem, LinearSystem
from ..compiler.matrices import Matrix, is_sparse
from .number_files.arrays import MAX_UNKNOWNS, read_arrays

SYSTEMS = "A; A and B for A (x) B; or J, with or without H, for J^T H J; each with or without damping and b"
"""What the arrays of an .npz mean."""

_FORMS = (("J", frozenset("JH")), ("B", frozenset("AB")), ("A", frozenset("A")))
_BESIDE = frozenset({"damping", "b"})
_SOLVED = frozenset({"x", "exact"})  # of `simulate --out`: solutions, which are no part of the system
_TEXT = (".csv", ".txt")
_COMMAS = "; where a comma is a decimal mark, write a point, or separate the numbers by ;"


@dataclass(frozen=True, eq=False)
class Problem:
    """A file's system and right-hand side.

    Attributes:
        system: A without the damping, dense or sparse; or a system by its factors, which holds the damping.
        damping: lambda >= 0, added to the diagonal of A: the file's own and the command's.
        b: the right-hand side of the file, or None.
    """

    system: Matrix | LinearSystem
    damping: float
    b: np.ndarray | None

    @property
    def factors(self) -> Any:
        """A system that is given by its factors; None: it is not."""
        return self.system if isinstance(self.system, FactoredSystem) else None

    def matrix(self) -> np.ndarray:
        """A with the damping, written out, (n, n): symmetric, as the compiler has it.

        Raises:
            InputError: not symmetric positive definite, or too large to be written out.
        """
        from ..compiler.matrices import dense
        from ..compiler.passes.damp import damp
        from ..compiler.validate import validate

        if isinstance(self.system, LinearSystem):
            return np.asarray(damp(validate(self.system.dense()), 0.0))
        matrix = validate(self.system)
        if matrix.shape[0] > MAX_UNKNOWNS:
            raise InputError(
                f"the matrix has {matrix.shape[0]} unknowns; at most {MAX_UNKNOWNS} can be written out, as this command has to: "
                "`thermograd compile` keeps a sparse matrix"
            )
        return np.asarray(damp(dense(matrix), self.damping))


def read_problem(path: Path, damping: float = 0.0) -> Problem:
    """A matrix, or a system by its factors; and the right-hand side `b` of an .npz.

    An .npz with `J` (and `H`) is J^T H J, one with the matrices `A` and `B` is A (x) B, and one with `A` a matrix. Each may hold `damping`,
    to which the argument is added, and `b`. Every other file holds a matrix, as does an .npz of a single array of another name. A matrix
    is sparse from `scipy.sparse.save_npz` and from a .mtx in coordinate format.

    Raises:
        InputError: the file is missing, of an unknown kind, damaged, does not hold real numbers, or holds arrays that are none of these.
    """
    from ..compiler.validate import check_damping

    arrays = read_arrays("matrix", path)
    damping = check_damping(damping)
    name = f"matrix file {str(path)!r}"
    if len(arrays) == 1 and not set(arrays) & (frozenset("JHBb") | _BESIDE | _SOLVED):
        (matrix,) = arrays.values()
        if path.suffix.lower() in _TEXT and matrix.shape[0] != matrix.shape[1]:
            raise InputError(f"{name} holds a table of {_size(matrix)}; a matrix is square, (n, n){_COMMAS}")
        return Problem(_bounded(name, matrix), damping, None)
    form = next((wanted for key, wanted in _FORMS if key in arrays), frozenset[str]())
    used = {key for key in arrays if key in form}
    if not used or (form == frozenset("AB") and used != form):
        _raise_incomplete(name, arrays)
    if unused := [key for key in arrays if key not in form | _BESIDE | _SOLVED]:
        _raise_unused(name, unused, arrays)
    total = damping + _own_damping(name, arrays)
    b = _flat(arrays["b"]) if "b" in arrays else None
    if used == {"A"}:
        return Problem(_bounded(name, arrays["A"]), total, b)
    return Problem(_factors(name, {key: arrays[key] for key in used}, total), 0.0, b)


def read_vector(path: Path) -> np.ndarray:
    """A vector (n,); a matrix of a single row or column is accepted.

    Raises:
        InputError: as `read_problem`; an .npz of several arrays without `b`, or with others than those of a system.
    """
    arrays = read_arrays("vector", path)
    name = f"vector file {str(path)!r}"
    known = frozenset("AJHB") | _BESIDE | _SOLVED
    if len(arrays) == 1 and not set(arrays) & (known - {"b"}):
        only = next(iter(arrays.values()))
        vector = _flat(only.toarray() if is_sparse(only) else only)
        if path.suffix.lower() in _TEXT and vector.ndim == 2:
            raise InputError(f"{name} holds a table of {_size(vector)}; a vector is one row or one column{_COMMAS}")
        return vector
    if "b" not in arrays:
        held = ", ".join(arrays) or "none"
        raise InputError(f"{name} holds the arrays {held}; it must hold one, named b: np.savez(path, b=b)")
    if unused := [key for key in arrays if key not in known]:
        _raise_unused(name, unused, arrays)
    return _flat(arrays["b"])


def read_systems(paths: Sequence[Path], by_factors: bool = False) -> list[tuple[Any, np.ndarray]]:
    """The systems (A, b) of .npz files, with damping and factors written out; a folder stands for all of its .npz files, sorted by name.

    Args:
        by_factors: leave a system that is given by its factors as it is.

    Raises:
        InputError: no file, an array is missing, A is not symmetric positive definite, or the length of b differs.
    """
    from ..compiler.validate import validate_drive

    files: list[Path] = []
    for path in paths:
        found = sorted(each for each in path.iterdir() if each.suffix.lower() == ".npz") if path.is_dir() else [path]
        if not found:
            raise InputError(
                f"folder {str(path)!r} holds no .npz files; save each system with np.savez(path, A=A, b=b)"
            )
        files += found
    systems = []
    for file in files:
        problem = read_problem(file)
        if problem.b is None:
            raise InputError(
                f"system file {str(file)!r} must hold the right-hand side b beside A (or its factors): np.savez(path, A=A, b=b)"
            )
        try:
            given = problem.factors if by_factors else None
            size = given.size if given is not None else len(given := problem.matrix())
            systems.append((given, validate_drive(problem.b, size)))
        except InputError as error:
            raise InputError(f"system file {str(file)!r}: {error}") from None
    return systems


def _factors(name: str, given: Mapping[str, np.ndarray], damping: float) -> LinearSystem:
    """J^T H J + damping, or A (x) B + damping."""
    import torch

    from ..compiler.validate import check_symmetric, matrix_of, symmetry_tolerance
    from ..devicemodel.systems import Kronecker, LowRank

    matrices = {}
    try:
        for key, array in given.items():
            matrix = matrix_of(key, array)
            if key != "J" and matrix.shape[0] == matrix.shape[1] and matrix.size and np.isfinite(matrix).all():
                check_symmetric(key, matrix, symmetry_tolerance(array))
                matrix = (matrix + matrix.T) / 2
            matrices[key] = torch.from_numpy(matrix)
        if "J" in given:
            return LowRank(matrices["J"], matrices.get("H"), damping)
        return Kronecker(matrices["A"], matrices["B"], damping)
    except InputError as error:
        more = "; a right-hand side is named b" if "B" in given and 1 in (given["B"].ndim, *given["B"].shape) else ""
        raise InputError(f"{name}: {error}{more}") from None


def _own_damping(name: str, arrays: Mapping[str, np.ndarray]) -> float:
    from ..compiler.validate import check_damping

    if "damping" not in arrays:
        return 0.0
    if arrays["damping"].size != 1:
        raise InputError(f"{name}: damping has shape {arrays['damping'].shape}; it must be one number")
    try:
        return check_damping(float(arrays["damping"].item()))
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _bounded(name: str, matrix: Any) -> Any:
    if not is_sparse(matrix) and matrix.ndim == 2 and max(matrix.shape, default=0) > MAX_UNKNOWNS:
        raise InputError(f"{name} has shape {matrix.shape}; at most {MAX_UNKNOWNS} unknowns are supported")
    return matrix


def _raise_incomplete(name: str, arrays: Mapping[str, Any]) -> NoReturn:
    held = f"holds {len(arrays)} arrays ({', '.join(arrays) or 'none'})"
    if set(arrays) == {"H"}:
        held += ", and H stands between J^T and J"
    raise InputError(f"{name} {held}; name the matrix A: np.savez(path, A=A). Systems are: {SYSTEMS}")


def _raise_unused(name: str, unused: Sequence[str], arrays: Mapping[str, Any]) -> NoReturn:
    free = [key for key in ("A", "B", "J", "H", *sorted(_BESIDE)) if key not in arrays]
    by_letter = {key.lower(): key for key in free}
    close = get_close_matches(unused[0].lower(), by_letter, 1)
    meant = f" (is {by_letter[close[0]]} meant?)" if close else ""
    several = len(unused) > 1
    raise InputError(
        f"{name} holds {', '.join(arrays)}, and {', '.join(unused)} {'have' if several else 'has'} no meaning there{meant}; leave "
        f"{'them' if several else 'it'} out, or correct the name. Systems are: {SYSTEMS}"
    )


def _size(table: np.ndarray) -> str:
    return f"{table.shape[0]} rows and {table.shape[1]} columns"


def _flat(array: np.ndarray) -> np.ndarray:
    return array.ravel() if array.ndim == 2 and 1 in array.shape else array
