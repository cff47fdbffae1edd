"""Reading MNIST's files: every form gives the same arrays, every damage is one clear error, nothing is executed."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.optim.tasks.mnist_files import read_mnist

from .mnist_data import arrays, idx, write_idx

DATA = arrays()


@pytest.mark.parametrize("form", ["compressed", "stored", "fortran, int64", "-gz", ".gz", "-", "."])
def test_every_form_gives_the_same_arrays(tmp_path: Path, form: str) -> None:
    path = tmp_path / "mnist.npz"
    if form == "compressed":
        np.savez_compressed(path, **DATA)
    elif form == "stored":
        np.savez(path, other=np.array([object()], dtype=object), **DATA)  # what is not asked for is not looked at
    elif form == "fortran, int64":
        np.savez(path, **{k: np.asfortranarray(v) if v.ndim == 3 else v.astype(np.int64) for k, v in DATA.items()})
    else:
        path = write_idx(tmp_path / "raw", DATA, form[0], zipped=form.endswith("gz"))
    for part, found in zip(("train", "test"), read_mnist(path), strict=True):
        np.testing.assert_array_equal(found.images, DATA[f"x_{part}"])
        np.testing.assert_array_equal(found.labels, DATA[f"y_{part}"])
        assert found.images.dtype == found.labels.dtype == np.uint8


class Trap:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("sprung",)


def changed(name: str, array: np.ndarray) -> dict[str, np.ndarray]:
    return DATA | {name: array}


with_label = DATA["y_test"].astype(np.int64)
with_label[3] = -1
NPZ = {
    "an array is absent": ({k: v for k, v in DATA.items() if k != "y_test"}, "no array y_test, only x_train"),
    "shape": (
        changed("x_train", DATA["x_train"][:, :27]),
        r"x_train .* shape \(60, 27, 28\); it must be \(n, 28, 28\)",
    ),
    "flat images": (changed("x_train", DATA["x_train"].reshape(60, -1)), r"\(60, 784\); it must be \(n, 28, 28\)"),
    "one-hot labels": (changed("y_train", np.eye(10, dtype=np.uint8)), r"\(10, 10\); it must be \(n,\)"),
    "floating point": (changed("x_train", DATA["x_train"] / 255.0), "float64 values; they must be uint8"),
    "labels of text": (changed("y_train", DATA["y_train"].astype(str)), "they must be integers"),
    "objects": (changed("y_train", np.array([Trap()] * 60)), "object values; they must be integers"),
    "structure": (changed("y_train", np.zeros(60, [("a", "O")])), "they must be integers"),
    "label": (changed("y_test", with_label), "label 3 of the test part in .* is -1; labels are digits, 0 to 9"),
    "label 10": (changed("y_test", np.full(25, 10)), "label 0 .* is 10"),
    "counts differ": (changed("y_train", DATA["y_train"][:-1]), "60 images and 59 labels"),
    "no images": (changed("x_train", DATA["x_train"][:0]), "claims 0 entries"),
}


@pytest.mark.parametrize("case", NPZ)
def test_a_wrong_npz_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.chdir(tmp_path)
    data, message = NPZ[case]
    np.savez("mnist.npz", **data)
    with pytest.raises(InputError, match=message):
        read_mnist(Path("mnist.npz"))
    assert not Path("sprung").exists()


def test_the_trap_of_the_test_above_springs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    monkeypatch.chdir(tmp_path)
    np.savez("mnist.npz", **NPZ["objects"][0])
    with contextlib.suppress(FileExistsError), np.load("mnist.npz", allow_pickle=True) as file:
        file["y_train"]
    assert Path("sprung").exists()


def test_damaged_npz(tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    with pytest.raises(InputError, match=r"does not exist; give mnist\.npz, or the folder"):
        read_mnist(path)
    (tmp_path / "x.pt").touch()
    with pytest.raises(InputError, match=r"suffix '\.pt'"):
        read_mnist(tmp_path / "x.pt")
    np.savez(path, **DATA)
    whole = path.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"not an \.npz of plain arrays"):
            read_mnist(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("x_train.npy", npy((1, 28, 28), bytes(784)))
    with pytest.raises(InputError, match="numpy does not write"):
        read_mnist(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x_train.npy", b"\x93NUMPY\x01\x00\x10\x00{'shape': ((((  \n")
    with pytest.raises(InputError, match=r"not an \.npz of plain arrays"):
        read_mnist(path)
    broken = bytearray(whole)
    broken[2000] ^= 1
    path.write_bytes(broken)
    with pytest.raises(InputError, match="CRC"):
        read_mnist(path)


def npy(shape: tuple[int, ...], content: bytes) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue() + content


BOMB = bytes(100_000_000)
CLAIMS = {
    "more than claimed": (10, BOMB, "holds more where its header claims 7840 bytes"),
    "less than claimed": (10, bytes(784), "holds 784 bytes where its header claims 7840 bytes"),
    "far less than claimed": (1_000_000, bytes(784), "holds 784 bytes where its header claims 784000000 bytes"),
    "beyond the limit": (2**31 - 1, b"", "claims 2147483647 entries; between 1 and 1000000"),
}


@pytest.mark.parametrize("zipped", ["npz", "idx.gz", "idx"])
@pytest.mark.parametrize("case", CLAIMS)
def test_a_header_that_lies_costs_no_memory(tmp_path: Path, zipped: str, case: str) -> None:
    count, content, message = CLAIMS[case]
    path = tmp_path / "mnist.npz"
    if zipped == "npz":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("x_train.npy", npy((count, 28, 28), content))
    else:
        path = write_idx(tmp_path / "raw", DATA, zipped=zipped == "idx.gz")
        lie = idx(DATA["x_train"])[:4] + b"".join(n.to_bytes(4, "big") for n in (count, 28, 28)) + content
        name = "train-images-idx3-ubyte"
        if zipped == "idx.gz":
            (path / f"{name}.gz").write_bytes(gzip.compress(lie, 1))
        else:
            (path / name).write_bytes(lie)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message):
            read_mnist(path)
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


def test_wrong_idx_files_are_named(tmp_path: Path) -> None:
    folder = write_idx(tmp_path / "raw", DATA, zipped=False)
    images, labels = folder / "train-images-idx3-ubyte", folder / "train-labels-idx1-ubyte"
    good = {path: path.read_bytes() for path in (images, labels)}

    def fails(path: Path, content: bytes, message: str) -> None:
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_mnist(folder)
        path.write_bytes(good[path])

    fails(images, good[labels], "magic number 2049; an IDX file of this name has 2051")
    fails(labels, good[images], "magic number 2051; an IDX file of this name has 2049")
    fails(images, good[images][:10], "is damaged: unpack requires")
    fails(images, good[images][:-1], "47039 bytes where its header claims 47040")
    fails(labels, good[labels] + b"\0", "holds more where")
    fails(images, idx(DATA["x_train"][:, :, :20].copy()), "28 x 20 pixels; they must be 28 x 28")
    fails(labels, idx(np.full(60, 200, np.uint8)), "label 0 of the train part in .* is 200")
    fails(labels, idx(DATA["y_train"][:50]), "60 images and 50 labels")
    read_mnist(folder)
    labels.unlink()
    with pytest.raises(InputError, match=r"holds none of train-labels-idx1-ubyte, train-labels\.idx1-ubyte"):
        read_mnist(folder)
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(good[labels])
    with pytest.raises(InputError, match="is damaged: Not a gzipped file"):
        read_mnist(folder)
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(good[labels])[:-6])
    with pytest.raises(InputError, match="is damaged: Compressed file ended"):
        read_mnist(folder)


@given(data=st.data(), form=st.sampled_from(["npz", "idx", "idx.gz"]))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_damage_gets_past_the_reader(tmp_path: Path, data: st.DataObject, form: str) -> None:
    """Bytes are changed or cut anywhere: the result is an `InputError`, or arrays of the right form."""
    if form == "npz":
        path = target = tmp_path / "mnist.npz"
        np.savez_compressed(target, **DATA)
    else:
        path = write_idx(tmp_path / form, DATA, zipped=form == "idx.gz")
        target = path / f"train-labels-idx1-ubyte{form.removeprefix('idx')}"
    content = bytearray(target.read_bytes())
    head = data.draw(st.booleans())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(200, len(content) - 1) if head else len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    target.write_bytes(content)
    with contextlib.suppress(InputError):  # anything else is a failure
        for part in read_mnist(path):
            assert part.images.shape == (len(part.labels), 28, 28)
            assert part.labels.max() <= 9
