"""Files of numbers: every kind is read alike, and whatever a file holds ends as a matrix or as one line."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thermograd.circuits.errors import InputError
from thermograd.cli import inputs
from thermograd.compiler.program_io import load_program

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
        ("empty.csv", "", "size 0"),
        ("comment.txt", "# nothing\n", "square|size 0"),
        ("head.csv", "a,b\n1,2\n", "line 1: 'a' is not a number.*begin other lines with #"),
        ("ragged.csv", "1,2\n3\n", "line 2 has 1 number where line 1 has 2 numbers"),
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


FACTORS = {"J": np.array([[1.0, 2.0, 0.5, 0.0], [0.3, 0.0, -1.0, 2.0]]), "H": np.array([[2.0, 0.5], [0.5, 1.0]])}
KRONECKER = {"A": np.array([[2.0, 0.5], [0.5, 1.0]]), "B": np.array([[1.5, -0.2], [-0.2, 1.0]])}
SYSTEMS = {
    "matrix": ({"A": A}, A),
    "damped": ({"A": A, "damping": 0.5}, A + 0.5 * np.eye(3)),
    "kronecker": (KRONECKER, np.kron(KRONECKER["A"], KRONECKER["B"])),
    "damped kronecker": (
        KRONECKER | {"damping": np.array([[0.25]])},
        np.kron(KRONECKER["A"], KRONECKER["B"]) + 0.25 * np.eye(4),
    ),
    "jacobian": (
        {"J": FACTORS["J"], "damping": 0.1},
        np.einsum("ki,kj->ij", FACTORS["J"], FACTORS["J"]) + 0.1 * np.eye(4),
    ),
    "ggn": (
        FACTORS | {"damping": 0.1},
        np.einsum("ki,kl,lj->ij", FACTORS["J"], FACTORS["H"], FACTORS["J"]) + 0.1 * np.eye(4),
    ),
}
"""Arrays of an .npz, and the matrix that they mean."""


@pytest.mark.parametrize("case", SYSTEMS)
def test_a_file_means_the_same_system_in_every_command(run: Run, case: str) -> None:
    arrays, meant = SYSTEMS[case]
    drive = np.linspace(1, -1, len(meant))
    Path("runs").mkdir()
    save("runs/system.npz", **arrays, b=drive)

    code, out, error = run("simulate", "runs/system.npz", "--device", "ideal", "--json", "--damping", "0.125")
    assert code == 0, error
    np.testing.assert_allclose(
        json.loads(out)["exact"], np.linalg.solve(meant + 0.125 * np.eye(len(meant)), drive), rtol=1e-10
    )

    assert run("compile", "runs/system.npz", "--damping", "0.125", "--out", "program")[0] == 0
    program = load_program("program.json")
    np.testing.assert_allclose(program.target, meant + 0.125 * np.eye(len(meant)), rtol=1e-12, atol=1e-15)
    assert program.damping == pytest.approx(float(np.sum(arrays.get("damping", 0.0))) + 0.125)

    ((matrix, b),) = inputs.read_systems([Path("runs")])
    np.testing.assert_allclose(matrix, meant, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(b, drive)


def test_what_simulate_writes_is_read(run: Run) -> None:
    save("damped.npz", A=A, damping=0.5, b=B)
    assert run("simulate", "damped.npz", "--device", "ideal", "--out", "solved.npz")[0] == 0
    problem = inputs.read_problem(Path("solved.npz"))
    np.testing.assert_array_equal(problem.matrix(), A + 0.5 * np.eye(3))
    np.testing.assert_array_equal(problem.b, B)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"A": A, "dampnig": 0.5}, r"dampnig has no meaning there \(is damping meant\?\)"),
        ({"A": A, "a": 2 * A}, "a has no meaning there"),
        ({"A": A, "J": A}, "A has no meaning there"),
        ({"A": A, "H": A}, "H has no meaning there"),
        ({"A": A, "rhs": B, "notes": B}, "rhs, notes have no meaning there"),
        ({"B": A}, r"holds 1 arrays \(B\); name the matrix A"),
        ({"H": A}, "H stands between"),
        ({"b": B}, "name the matrix A"),
        ({"damping": 1.0}, "name the matrix A"),
        ({"arr_0": A, "arr_1": B}, "arr_0, arr_1.*name the matrix A"),
        ({}, r"\(none\)"),
        ({"A": A, "damping": [1.0, 2.0]}, r"damping has shape \(2,\)"),
        ({"A": A, "damping": -1.0}, "damping must be a finite number >= 0, got -1.0"),
        ({"A": A, "damping": np.nan}, "damping must be a finite number >= 0, got nan"),
        ({"A": A[:2], "damping": 1.0}, r"square.*\(2, 3\)"),
        ({"A": A, "B": B}, "B has shape.*a right-hand side is named b"),
        ({"A": A, "B": A[:2]}, "B"),
        ({"J": A, "H": A[:2, :2]}, "H must be"),
        ({"J": A, "H": np.triu(A)}, r"H is not symmetric: H\[0, 1\]"),
        ({"J": A * np.nan}, "J"),
        ({"J": B}, r"J has shape \(3,\); it must be a matrix"),
    ],
)
@pytest.mark.parametrize("command", ["compile", "simulate"])
def test_arrays_that_are_no_system_are_named(run: Run, command: str, arrays: dict[str, Any], message: str) -> None:
    save("system.npz", **arrays)
    code, out, error = run(command, "system.npz")
    assert (code, out) == (2, "")
    assert is_one_line(error)
    assert re.search(message, error), error


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "dia"])
def test_scipys_sparse_files_stay_sparse(run: Run, kind: str) -> None:
    from scipy import sparse

    chain = sparse.diags_array([-np.ones(19), np.linspace(2, 3, 20), -np.ones(19)], offsets=[-1, 0, 1])
    for name, matrix in (("array.npz", chain), ("matrix.npz", sparse.csr_matrix(chain))):
        sparse.save_npz(name, matrix.asformat(kind))
        problem = inputs.read_problem(Path(name))
        assert sparse.issparse(problem.system)
        np.testing.assert_array_equal(problem.system.toarray(), chain.toarray())
        code, out, error = run("simulate", name, "--device", "ideal", "--damping", "1", "--json")
        assert code == 0, error
        exact = np.linalg.solve(chain.toarray() + np.eye(20), np.ones(20))
        np.testing.assert_allclose(json.loads(out)["exact"], exact, rtol=1e-12)
    assert run("compile", "matrix.npz", "--fabric", "rc", "--out", "sparse")[0] == 0
    assert sparse.issparse(load_program("sparse.json").target)


def test_a_vector_is_taken_from_a_systems_file(run: Run) -> None:
    save("system.npz", A=A, b=B, damping=1.0)
    np.testing.assert_array_equal(inputs.read_vector(Path("system.npz")), B)
    for arrays, message in (
        ({"A": A}, "named b"),
        ({"x": B}, "named b"),
        ({"b": B, "c": B}, "c has no meaning"),
        ({"u": B, "v": B}, "u, v"),
    ):
        with pytest.raises(InputError, match=message):
            inputs.read_vector(Path(save("vector.npz", **arrays)))
    np.testing.assert_array_equal(inputs.read_vector(Path(save("single.npz", u=B))), B)


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
    names += [save("named.npz", A=A)]
    for name in names:
        problem = inputs.read_problem(Path(name))
        np.testing.assert_allclose(problem.matrix(), A, rtol=1e-15)
        assert problem.b is None
    both = inputs.read_problem(Path(save("both.npz", A=A, b=B)))
    np.testing.assert_array_equal(both.system, A)
    np.testing.assert_array_equal(both.b, B)


def test_single_precision_may_be_symmetric_to_its_own_rounding(run: Run) -> None:
    short = A.astype(np.float32)
    short[0, 1] *= 1 + 2 * np.finfo(np.float32).eps
    save("short.npy", short)
    np.testing.assert_allclose(inputs.read_problem(Path("short.npy")).matrix(), A, rtol=1e-6)
    save("long.npy", short.astype(float))
    with pytest.raises(InputError, match="not symmetric"):
        inputs.read_problem(Path("long.npy")).matrix()


def test_a_sparse_matrix_too_large_to_write_out_says_who_takes_it(run: Run) -> None:
    from scipy import sparse

    sparse.save_npz("large.npz", sparse.eye_array(inputs.MAX_UNKNOWNS + 1, format="csr"))
    code, _, error = run("simulate", "large.npz")
    assert (code, is_one_line(error)) == (2, True)
    assert "at most 20000 can be written out" in error


def test_rows_and_columns_count_as_vectors(run: Run) -> None:
    for name, vector in (("b.npy", B), ("row.csv", B[None]), ("column.txt", B[:, None])):
        np.testing.assert_allclose(inputs.read_vector(Path(save(name, vector))), B)


def test_commas_that_may_be_decimal_marks_are_said_to_be_so(run: Run) -> None:
    Path("b.csv").write_text("1,5\n2,5\n0,5\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"3 rows and 2 columns; a vector.*a decimal mark, write a point"):
        inputs.read_vector(Path("b.csv"))
    Path("A.csv").write_text("2,0,0,5\n0,5,1,0\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"2 rows and 4 columns; a matrix is square.*separate the numbers by ;"):
        inputs.read_problem(Path("A.csv"))
    Path("A.csv").write_text("2,0;0,5\n0,5;1,0\n", encoding="utf-8")
    np.testing.assert_array_equal(inputs.read_problem(Path("A.csv")).system, [[2, 0.5], [0.5, 1]])


def test_systems_come_from_files_and_folders_in_order(run: Run) -> None:
    Path("runs").mkdir()
    save("runs/b.npz", A=2 * A, b=B)
    save("runs/a.npz", A=A, b=B)
    save("own.npz", A=3 * A, b=B)
    systems = inputs.read_systems([Path("own.npz"), Path("runs")])
    assert [matrix[0, 0] / A[0, 0] for matrix, _ in systems] == [3, 1, 2]
