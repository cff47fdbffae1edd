"""Matrix Market: what scipy writes is read; what scipy's reader takes for another number is an error or the right number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from scipy.io import mmwrite

from thermograd.circuits.errors import InputError
from thermograd.cli.number_files.arrays import read_arrays

A = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, -0.25], [0.0, -0.25, 1.5]])
SKEW = np.array([[0.0, 1.5], [-1.5, 0.0]])
HEAD = "%%MatrixMarket matrix coordinate real {}\n2 2 2\n"
DENSE = "%%MatrixMarket matrix array real {}\n2 2\n"


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("symmetry", ["general", "symmetric", "hermitian"])
@pytest.mark.parametrize("field", ["real", "complex"])
@pytest.mark.parametrize("layout", ["array", "coordinate"])
def test_what_scipy_writes_is_read(tmp_path: Path, symmetry: str, field: str, layout: str) -> None:
    path = tmp_path / "A.mtx"
    matrix = A if field == "real" else A.astype(complex)
    if field == "real" and symmetry == "hermitian":
        symmetry = "symmetric"
    mmwrite(path, matrix if layout == "array" else sparse.csr_array(matrix), symmetry=symmetry)
    read = read_arrays("matrix", path)[""]
    assert sparse.issparse(read) == (layout == "coordinate")
    np.testing.assert_array_equal(read.toarray() if layout == "coordinate" else read, A)


@pytest.mark.parametrize("layout", ["array", "coordinate"])
def test_a_skew_file_has_the_signs_of_both_halves(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "A.mtx"
    mmwrite(path, SKEW if layout == "array" else sparse.csr_array(SKEW), symmetry="skew-symmetric")
    read = read_arrays("matrix", path)[""]
    np.testing.assert_array_equal(read.toarray() if layout == "coordinate" else read, SKEW)


def test_integers_and_what_surrounds_them(tmp_path: Path) -> None:
    text = (
        "%%matrixmarket MATRIX Coordinate Integer Symmetric\r\n% by hand\r\n\r\n2 2 2\r\n  1 1 3\r\n% 9\r\n2 1 -1\r\n"
    )
    read = read_arrays("matrix", written(tmp_path / "A.MTX", "\ufeff" + text))[""]
    np.testing.assert_array_equal(read.toarray(), [[3, -1], [-1, 0]])


def test_fortrans_exponents_are_exponents(tmp_path: Path) -> None:
    read = read_arrays("matrix", written(tmp_path / "A.mtx", HEAD.format("general") + "1 1 1.5D+1\n2 2 2d0\n"))[""]
    np.testing.assert_array_equal(read.toarray(), [[15, 0], [0, 2]])


REJECTED = {
    "decimal comma": (HEAD.format("general") + "1 1 1,5\n2 2 1\n", "line 3: '1,5' is not a number"),
    "overflow": (HEAD.format("general") + "1 1 1e400\n2 2 1\n", "line 3: '1e400' is beyond double"),
    "further field": (HEAD.format("general") + "1 1 1 7\n2 2 1\n", "line 3 has 4 fields, and 3"),
    "underscore": (HEAD.format("general") + "1 1 1_5\n2 2 1\n", "not a number"),
    "truncated": (HEAD.format("general") + "1 1 1\n", "has 1 entries, and its sizes say 2"),
    "too long": (HEAD.format("general") + "1 1 1\n2 2 1\n2 1 1\n", "has 3 entries"),
    "from zero": (
        HEAD.format("general") + "0 0 1\n1 1 1\n",
        r"line 3: entry \(0, 0\) is outside of \(1, 1\) to \(2, 2\)",
    ),
    "twice": (HEAD.format("general") + "1 1 1\n1 1 1\n", r"line 4: entry \(1, 1\) is listed twice: keep one"),
    "both halves": (
        HEAD.replace("2 2 2", "2 2 3").format("symmetric") + "1 1 1\n2 1 3\n1 2 3\n",
        r"line 5: entry \(1, 2\) is above the diagonal",
    ),
    "no integer": ("%%MatrixMarket matrix coordinate integer general\n2 2 1\n1 1 3.7\n", "'3.7' is no integer"),
    "pattern": ("%%MatrixMarket matrix coordinate pattern symmetric\n2 2 1\n1 1\n", "a pattern, which"),
    "imaginary": ("%%MatrixMarket matrix coordinate complex general\n2 2 1\n1 1 1 2\n", r"imaginary parts.*A\.real"),
    "vector": ("%%MatrixMarket vector coordinate real general\n2 2 1\n1 1 1\n", "line 1 is"),
    "field": ("%%MatrixMarket matrix coordinate quad general\n2 2 1\n1 1 1\n", "'quad': there are real"),
    "huge": ("%%MatrixMarket matrix coordinate real general\n9000000 9000000 1\n1 1 1\n", "at most 200000"),
    "huge array": ("%%MatrixMarket matrix array real general\n900000 900000\n1\n", "at most 20000 "),
    "sizes": ("%%MatrixMarket matrix coordinate real general\n2 2\n1 1 1\n", "2 sizes, and 3 are needed"),
    "not square": ("%%MatrixMarket matrix coordinate real symmetric\n2 3 1\n1 1 1\n", "square"),
    "only a header": ("%%MatrixMarket matrix coordinate real symmetric\n", "ends before its sizes"),
    "empty": ("", "line 1 is ''"),
    "dense by rows": (DENSE.format("general") + "1 2\n2 1\n", "2 entries, and its sizes say 4"),
    "dense comma": (DENSE.format("symmetric") + "1\n2,5\n2\n", "'2,5' is not a number"),
    "dense too long": (DENSE.format("symmetric") + "1\n2\n2\n1\n", "4 entries, and its sizes say 3"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_what_is_no_matrix_is_an_error_with_its_line(tmp_path: Path, case: str) -> None:
    text, message = REJECTED[case]
    with pytest.raises(InputError, match=message) as raised:
        read_arrays("matrix", written(tmp_path / "A.mtx", text))
    assert str(raised.value).endswith("scipy.io.mmwrite(path, A)")
