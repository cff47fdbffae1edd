"""numpy's files: any type of real numbers; objects, duplicates and what follows an array are errors."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from thermograd.circuits.errors import InputError
from thermograd.cli.number_files.arrays import read_arrays

A = np.array([[2.0, 0.5], [0.5, 1.25]])


@pytest.mark.parametrize(
    "dtype",
    ["<f8", ">f8", "<f4", ">f4", "<f2", ">f2", "g", "<c16", ">c16", "<c8", "G"],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_type_of_real_numbers_is_read(tmp_path: Path, dtype: str, order: Any) -> None:
    for name in ("A.npy", "A.NPZ"):
        with (tmp_path / name).open("wb") as file:
            (np.save if name == "A.npy" else np.savez)(file, np.asarray(A, dtype=dtype, order=order))
        (read,) = read_arrays("matrix", tmp_path / name).values()
        np.testing.assert_array_equal(read, A)
        assert read.dtype.isnative


def test_whole_numbers_and_truth_values(tmp_path: Path) -> None:
    path = tmp_path / "A.npy"
    for array in (np.eye(2, dtype=bool), np.eye(2, dtype=">i4"), np.array([[2**64 - 1]], dtype=np.uint64)):
        np.save(path, array)
        read = read_arrays("matrix", path)[""]
        assert read.dtype == np.float64
        np.testing.assert_array_equal(read, array.astype(float))


BAD = {
    "objects": (np.array([[1, None]], dtype=object), "holds Python objects, which are not loaded"),
    "a sparse matrix by np.save": (np.array(sparse.eye_array(2, format="csr"), dtype=object), "scipy.sparse.save_npz"),
    "text": (np.array([["1", "2"]]), "<U1 values, and real numbers"),
    "dates": (np.array(["2026-01-01"], dtype="M8[D]"), "real numbers"),
    "records": (np.zeros(2, dtype=[("a", "f8")]), "real numbers"),
    "imaginary": (A * (1 + 1e-12j), r"complex128 values.*A\.real"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("name", ["A.npy", "A.npz"])
def test_what_is_no_real_number_is_an_error_with_a_remedy(tmp_path: Path, case: str, name: str) -> None:
    array, message = BAD[case]
    path = tmp_path / name
    (np.save if name == "A.npy" else np.savez)(path, array)
    with pytest.raises(InputError, match=message) as raised:
        read_arrays("matrix", path)
    assert str(raised.value).endswith("scipy.sparse.save_npz(path, A)")
    assert "pickle" not in str(raised.value)


def test_the_remedies_work(tmp_path: Path) -> None:
    path = tmp_path / "A.npy"
    np.save(path, np.asarray(np.array([["2", "0.5"], ["0.5", "1.25"]]), dtype=float))
    np.testing.assert_array_equal(read_arrays("matrix", path)[""], A)
    np.save(path, (A * (1 + 1e-12j)).real)
    np.testing.assert_array_equal(read_arrays("matrix", path)[""], A)
    sparse.save_npz(tmp_path / "A.npz", sparse.csr_array(A))
    np.testing.assert_array_equal(read_arrays("matrix", tmp_path / "A.npz")[""].toarray(), A)


@pytest.mark.skipif(np.finfo(np.longdouble).max <= np.finfo(float).max, reason="long double is double here")
def test_a_long_double_beyond_double_is_an_error(tmp_path: Path) -> None:
    np.save(tmp_path / "A.npy", np.array([[np.longdouble("1e400")]]))
    with pytest.raises(InputError, match="beyond double precision"):
        read_arrays("matrix", tmp_path / "A.npy")


def zipped(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members:
                archive.writestr(name, data)
    return path


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("A.npy", saved(A)), ("A.npy", saved(2 * A))], "two arrays named 'A'"),
        ([("A.npy", saved(A)), ("A", saved(2 * A))], "two arrays named 'A'"),
        ([("A.npy", saved(A)), ("note.txt", b"by hand")], "'note.txt' does not begin as an .npy"),
        ([("A.npy", saved(A) + b"more")], "'A' is followed by further data"),
        ([("A.npy", saved(A)[:-4])], "A"),
        ([("A.npy", b"")], "'A' is empty"),
    ],
)
def test_archives_of_other_things_are_errors(tmp_path: Path, members: list[tuple[str, bytes]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_arrays("matrix", zipped(tmp_path / "A.npz", members))


def test_an_array_that_a_damaged_directory_hides_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "A.npz"
    np.savez(path, A=A, damping=0.5)
    data = bytearray(path.read_bytes())
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 4)
    end = data.index(b"PK\x05\x06")
    data[first + 32 : first + 34] = (end - second).to_bytes(2, "little")  # the length of the first entry's comment
    path.write_bytes(bytes(data))
    assert zipfile.ZipFile(path).namelist() == ["A.npy"], "zipfile does not see it"
    with pytest.raises(InputError, match="directory is damaged, and lists 1 of 2 arrays"):
        read_arrays("matrix", path)


def test_two_arrays_in_one_npy_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "A.npy"
    path.write_bytes(saved(A) + saved(2 * A))
    with pytest.raises(InputError, match="followed by further data"):
        read_arrays("matrix", path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"indices": np.array([0, 9, 0, 1])}, "indices|index"),
        ({"indices": np.array([0, -1, 0, 1])}, "indices|index"),
        ({"indptr": np.array([0, 9, 4])}, "indptr|index"),
        ({"shape": np.array([2, 2, 2])}, "two whole numbers"),
        ({"shape": np.array([300_000, 300_000])}, "indptr|index|at most 200000"),
        ({"format": np.array(b"xyz")}, "'xyz'.*csr"),
        ({"data": np.array([1.0])}, "indices|index"),
        ({"data": None}, "needs the array 'data'"),
        ({"note": np.zeros(1)}, "has no array 'note'"),
    ],
)
def test_damaged_sparse_matrices_are_errors(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "A.npz"
    sparse.save_npz(path, sparse.csr_array(A))
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(InputError, match=message):
        read_arrays("matrix", path)


@pytest.mark.parametrize("name", ["A.npy", "A.npz", "A.csv", "A.txt", "A.mtx", "A.Npz", "A", "A.mat", "none.npy"])
def test_a_folder_another_kind_and_no_file_are_said_to_be_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "none.npy":
        message = "No such file.*check the path"
    elif name == "A.mat":
        message = re.escape("use one of .npy, .npz, .csv, .txt, .mtx")
    else:
        path.mkdir()
        message = "is a folder: give a file in it"
    with pytest.raises(InputError, match=message):
        read_arrays("matrix", path)
