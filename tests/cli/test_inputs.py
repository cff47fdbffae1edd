"""Files of numbers: every kind is read alike, and whatever a file holds ends as a matrix or as one line."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.cli import inputs

from .command_line import A, B, Run, is_one_line, save

BAD_MATRICES = {
    "not square": (np.ones((2, 3)), r"square.*\(2, 3\)"),
    "one dimension": (np.ones(4), "square"),
    "nan": (np.array([[1.0, 0.0], [0.0, np.nan]]), r"\[1, 1\] is nan"),
    "infinite": (np.array([[1.0, -np.inf], [-np.inf, 1.0]]), r"\[0, 1\] is -inf"),
    "not symmetric": (np.array([[1.0, 0.5], [0.2, 1.0]]), r"not symmetric.*\[0, 1\].*\(matrix \+ matrix\.T\) / 2"),
    "indefinite": (np.array([[1.0, 2.0], [2.0, 1.0]]), "indefinite.*-1.*damping > 1"),
    "singular": (np.ones((2, 2)), "singular.*damping"),
    "size 0": (np.empty((0, 0)), "size 0"),
    "zero": (np.zeros((2, 2)), "zero"),
    "complex": (np.eye(2) * 1j, "complex128.*real numbers"),
    "text": (np.array([["a", "b"], ["c", "d"]]), "real numbers"),
}


@pytest.mark.parametrize("command", ["compile", "simulate"])
@pytest.mark.parametrize("case", BAD_MATRICES)
def test_a_bad_matrix_is_one_line_and_exit_code_2(run: Run, command: str, case: str) -> None:
    matrix, message = BAD_MATRICES[case]
    code, out, error = run(command, save("A.npy", matrix))
    assert (code, out) == (2, "")
    assert is_one_line(error)
    assert re.search(message, error), error


def test_objects_in_a_file_are_not_loaded(run: Run) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, ("sprung",)

    objects = np.array([[Trap()]], dtype=object)
    for name in ("trap.npy", "trap.npz"):
        save(name, objects)
        code, _, error = run("compile", name)
        assert code == 2
        assert is_one_line(error)
        assert "np.asarray" in error
    assert not Path("sprung").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", "", "square|size 0"),
        ("comment.txt", "# nothing\n", "square|size 0"),
        ("head.csv", "a,b\n1,2\n", "one row a line|One row|Write one row"),
        ("ragged.csv", "1,2\n3\n", "columns changed"),
        ("broken.mtx", "%%MatrixMarket nonsense", "mmwrite"),
        ("huge.mtx", "%%MatrixMarket matrix coordinate real general\n9000000 9000000 1\n1 1 1.0\n", "at most 20000"),
        ("empty.npy", "", "np.save"),
        ("text.npy", "hello", "np.save"),
        ("text.npz", "hello", "np.save"),
    ],
)
def test_a_damaged_file_is_one_line(run: Run, name: str, content: str, message: str) -> None:
    Path(name).write_text(content, encoding="utf-8")
    code, _, error = run("compile", name)
    assert code == 2
    assert is_one_line(error)
    assert re.search(message, error), error


@given(
    data=st.binary(max_size=200), suffix=st.sampled_from([".npy", ".npz", ".csv", ".txt", ".mtx"]), head=st.booleans()
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_file_content_gets_past_the_reader(tmp_path: Path, data: bytes, suffix: str, head: bool) -> None:
    magic = {
        ".npy": b"\x93NUMPY\x01\x00",
        ".npz": b"PK\x03\x04",
        ".mtx": b"%%MatrixMarket matrix coordinate real general\n",
    }
    path = tmp_path / f"fuzz{suffix}"
    path.write_bytes((magic.get(suffix, b"") if head else b"") + data)
    with contextlib.suppress(InputError):  # anything else is a failure
        matrix, b = inputs.read_matrix(path)
        assert matrix.dtype == np.float64
        assert b is None


def test_every_kind_of_file_gives_the_same_matrix(run: Run) -> None:
    from scipy.io import mmwrite
    from scipy.sparse import csr_array

    mmwrite("dense.mtx", A)
    mmwrite("sparse.mtx", csr_array(A), symmetry="symmetric")
    Path("semicolon.csv").write_text(
        "\ufeff# a comment; with marks, too\n2;0.5;0\n0.5;1;-0.2\n0;-0.2;1.5\n", encoding="utf-8"
    )
    names = ["dense.mtx", "sparse.mtx", "semicolon.csv"]
    names += [save(name, A) for name in ("A.npy", "A.csv", "A.txt", "A.npz")]
    names += [save("named.npz", A=A, other=B)]
    for name in names:
        matrix, b = inputs.read_matrix(Path(name))
        np.testing.assert_allclose(matrix, A, rtol=1e-15)
        assert b is None
    both, b = inputs.read_matrix(Path(save("both.npz", A=A, b=B)))
    np.testing.assert_array_equal(both, A)
    np.testing.assert_array_equal(b, B)
    with pytest.raises(InputError, match="holds 2 arrays"):
        inputs.read_matrix(Path(save("two.npz", A, B)))


def test_rows_and_columns_count_as_vectors(run: Run) -> None:
    for name, vector in (("b.npy", B), ("row.csv", B[None]), ("column.txt", B[:, None])):
        np.testing.assert_allclose(inputs.read_vector(Path(save(name, vector))), B)


def test_systems_come_from_files_and_folders_in_order(run: Run) -> None:
    Path("runs").mkdir()
    save("runs/b.npz", A=2 * A, b=B)
    save("runs/a.npz", A=A, b=B)
    save("own.npz", A=3 * A, b=B)
    systems = inputs.read_systems([Path("own.npz"), Path("runs")])
    assert [matrix[0, 0] / A[0, 0] for matrix, _ in systems] == [3, 1, 2]
