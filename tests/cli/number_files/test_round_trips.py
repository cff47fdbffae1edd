"""Any matrix in any format reads back equal through every command's reader; damaged bytes give the same matrix, or an InputError."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.io import mmwrite

from thermograd.circuits.errors import InputError
from thermograd.cli import inputs

TMP = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def table(separator: str, comma: bool = False, end: str = "\n") -> Callable[[Any, np.ndarray], None]:
    def write(file: Any, matrix: np.ndarray) -> None:
        lines = [separator.join(repr(float(entry)) for entry in row) for row in matrix]
        text = end.join(["# A", *lines, ""])
        file.write((text.replace(".", ",") if comma else text).encode("utf-16" if comma else "ascii"))

    return write


WRITERS: dict[str, tuple[str, Callable[[Any, np.ndarray], None]]] = {
    "npy": ("A.npy", np.save),
    "npy in Fortran's order": ("A.npy", lambda file, matrix: np.save(file, np.asfortranarray(matrix))),
    "npz": ("A.npz", np.savez),
    "compressed": ("A.npz", np.savez_compressed),
    "csv": ("A.csv", table(",")),
    "semicolons": ("A.csv", table(";")),
    "decimal commas": ("A.csv", table(";", comma=True, end="\r\n")),
    "tabs, decimal commas": ("A.txt", table("\t", comma=True)),
    "txt": ("A.txt", table(" ", end="\r\n")),
    "savetxt": ("A.csv", lambda file, matrix: np.savetxt(file, matrix, delimiter=",", fmt="%.17g")),
    "market": ("A.mtx", lambda file, matrix: mmwrite(file, matrix, precision=17)),
    "sparse market": ("A.mtx", lambda file, matrix: mmwrite(file, sparse.csr_array(matrix), precision=17)),
} | {
    kind: ("A.npz", lambda file, matrix, kind=kind: sparse.save_npz(file, sparse.csr_array(matrix).asformat(kind)))
    for kind in ("csr", "csc", "coo", "bsr", "dia")
}


@st.composite
def matrices(draw: st.DrawFn) -> np.ndarray:
    """Symmetric positive definite by diagonal dominance, with entries of any size and sign."""
    n = draw(st.integers(1, 5))
    entry = st.floats(-1e6, 1e6, allow_subnormal=False)
    upper = np.triu(np.array(draw(st.lists(entry, min_size=n * n, max_size=n * n))).reshape(n, n), 1)
    off = upper + upper.T
    return off + np.diag(np.abs(off).sum(axis=1) * 1.5 + draw(st.floats(1e-3, 1e3)))


def write(path: Path, writer: Callable[[Any, np.ndarray], None], matrix: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    writer(buffer, matrix)
    path.write_bytes(buffer.getvalue())
    return buffer.getvalue()


@pytest.mark.parametrize("case", WRITERS)
@given(matrix=matrices(), damping=st.floats(0, 10))
@settings(max_examples=15, suppress_health_check=TMP, deadline=None)
def test_any_matrix_in_any_format_reads_back_equal(
    tmp_path: Path, case: str, matrix: np.ndarray, damping: float
) -> None:
    name, writer = WRITERS[case]
    path = tmp_path / name
    if comma := "decimal commas" in case:  # one number a line has no separator to tell a decimal comma by
        matrix = np.pad(matrix, (0, 1)) + np.diag([0.0] * len(matrix) + [1.0])
    write(path, writer, matrix)
    read = inputs.read_problem(path, damping)
    np.testing.assert_array_equal(read.matrix(), matrix + damping * np.eye(len(matrix)))
    write(path, writer, matrix[:1] if comma else matrix[:, :1])
    np.testing.assert_array_equal(inputs.read_vector(path), matrix[:, 0])
    np.savez(tmp_path / "system.npz", A=matrix, b=matrix[0], damping=damping)
    ((a, b),) = inputs.read_systems([tmp_path / "system.npz"])
    np.testing.assert_array_equal(a, matrix + damping * np.eye(len(matrix)))
    np.testing.assert_array_equal(b, matrix[0])


CHECKSUMMED = ("npz", "compressed", "csr", "coo")
EXAMPLE = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, -0.25], [0.0, -0.25, 1.5]])


@pytest.mark.parametrize("case", WRITERS)
@given(data=st.data())
@settings(max_examples=60, suppress_health_check=TMP, deadline=None)
def test_damaged_files_give_the_same_matrix_or_an_input_error(tmp_path: Path, case: str, data: st.DataObject) -> None:
    name, writer = WRITERS[case]
    path = tmp_path / name
    content = bytearray(write(path, writer, EXAMPLE))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(1, 4))] = data.draw(st.binary(max_size=4))
    path.write_bytes(bytes(content))
    try:
        read = inputs.read_problem(path).system
        inputs.read_vector(path)
    except InputError:
        return
    if case in CHECKSUMMED:
        np.testing.assert_array_equal(read.toarray() if sparse.issparse(read) else read, EXAMPLE)


@given(
    data=st.binary(max_size=200), suffix=st.sampled_from([".npy", ".npz", ".csv", ".txt", ".mtx"]), head=st.booleans()
)
@example(data=b"", suffix=".csv", head=False)
@settings(max_examples=150, suppress_health_check=TMP, deadline=None)
def test_no_file_content_gets_past_the_reader(tmp_path: Path, data: bytes, suffix: str, head: bool) -> None:
    magic = {
        ".npy": b"\x93NUMPY\x01\x00",
        ".npz": b"PK\x03\x04",
        ".mtx": b"%%MatrixMarket matrix coordinate real general\n",
    }
    path = tmp_path / f"fuzz{suffix}"
    path.write_bytes((magic.get(suffix, b"") if head else b"") + data)
    for read in (inputs.read_problem, inputs.read_vector, lambda path: inputs.read_systems([path])):
        with contextlib.suppress(InputError):  # anything else is a failure
            read(path)
