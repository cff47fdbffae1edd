"""MNIST from its usual files: an .npz, or a folder of the original IDX files.

Files are not trusted: nothing in them is executed, and a size that a header claims is checked before memory is
allocated for it. Other sets of the same form (Fashion-MNIST, KMNIST, QMNIST) are read, too.
"""

from __future__ import annotations

import gzip
import math
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import IO

import numpy as np

from ...circuits.errors import InputError

SIDE = 28
"""Pixels along each edge of an image."""
CLASSES = 10
MAX_IMAGES = 1_000_000
"""Largest number of images of a part (784 MB)."""

_PIECE = 1 << 20
_IMAGES, _LABELS = 0x803, 0x801  # IDX magic numbers: unsigned bytes in 3 dimensions, in 1 dimension
_PARTS = {"train": "train", "test": "t10k"}
_KINDS = "mnist.npz, or the folder with train-images-idx3-ubyte(.gz) and its three companions"
_DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    TokenError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    MemoryError,
)  # what numpy, zipfile and gzip raise for damaged files


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images (n, 28, 28) uint8, 0 background to 255 ink, and their labels (n,) uint8, 0 to 9."""

    images: np.ndarray
    labels: np.ndarray


def read_mnist(path: Path) -> tuple[LabelledImages, LabelledImages]:
    """The training and the test part.

    Args:
        path: an .npz of x_train, y_train, x_test, y_test; or a folder of IDX files, plain or gzipped, named as
            train-images-idx3-ubyte or train-images.idx3-ubyte.

    Raises:
        InputError: a file is missing, damaged or not readable, or does not hold such images and labels.
    """
    if path.is_dir():
        train, test = (
            _checked(_read_idx(_idx_file(path, f"{name}-images", 3)), _read_idx(_idx_file(path, f"{name}-labels", 1)),
                     f"the {part} part in {str(path)!r}")
            for part, name in _PARTS.items()
        )  # fmt: skip
        return train, test
    if not path.exists():
        raise InputError(f"MNIST file {str(path)!r} does not exist; give {_KINDS}")
    if path.suffix.lower() != ".npz":
        raise InputError(f"MNIST file {str(path)!r} has the suffix {path.suffix!r}; give {_KINDS}")
    train, test = (
        _checked(*_read_npz(path, f"x_{part}", f"y_{part}"), f"the {part} part in {str(path)!r}") for part in _PARTS
    )
    return train, test


def _checked(images: np.ndarray, labels: np.ndarray, where: str) -> LabelledImages:
    if len(images) != len(labels):
        raise InputError(f"{where} has {len(images)} images and {len(labels)} labels; take both from the same source")
    bad = np.flatnonzero((labels < 0) | (labels >= CLASSES))
    if bad.size:
        raise InputError(
            f"label {bad[0]} of {where} is {labels[bad[0]]}; labels are digits, 0 to {CLASSES - 1}: download the file again"
        )
    return LabelledImages(images, labels.astype(np.uint8, copy=False))


def _count(count: int, where: str) -> int:
    if not 1 <= count <= MAX_IMAGES:
        raise InputError(f"{where} claims {count} entries; between 1 and {MAX_IMAGES} are supported: download it again")
    return count


def _content(file: IO[bytes] | gzip.GzipFile, size: int, where: str) -> bytearray:
    """Exactly `size` bytes up to the end of the file; one more is requested, so that checksums are verified, too. Memory grows with what
    is there, not with what the header claims."""
    content = bytearray()
    while len(content) <= size and (piece := file.read(min(_PIECE, size + 1 - len(content)))):
        content += piece
    if len(content) != size:
        found = "more" if len(content) > size else f"{len(content)} bytes"
        raise InputError(f"{where} holds {found} where its header claims {size} bytes of data; download it again")
    return content


def _read_npz(path: Path, images: str, labels: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            return _npz_array(archive, images, path, 3), _npz_array(archive, labels, path, 1)
    except InputError:
        raise
    except OSError as error:
        raise InputError(
            f"MNIST file {str(path)!r} cannot be read: {error.strerror or error}; check the path"
        ) from None
    except _DAMAGE as error:
        raise InputError(
            f"MNIST file {str(path)!r} is not an .npz of plain arrays: {str(error) or type(error).__name__}; download it again"
        ) from None


def _npz_array(archive: zipfile.ZipFile, name: str, path: Path, dimensions: int) -> np.ndarray:
    """An array by name. The header of its .npy is checked before anything else is read."""
    where = f"array {name} of {str(path)!r}"
    if f"{name}.npy" not in archive.namelist():
        found = ", ".join(entry.removesuffix(".npy") for entry in archive.namelist()[:10]) or "nothing"
        raise InputError(f"MNIST file {str(path)!r} has no array {name}, only {found}; give {_KINDS}")
    if archive.getinfo(f"{name}.npy").compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{where} is compressed in a way that numpy does not write; save it with np.savez_compressed")
    with archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if header is None:
            raise InputError(f"{where} is of .npy version {version}; save it with np.savez(path, {name}=...)")
        shape, fortran, dtype = header(file)
        if len(shape) != dimensions or (dimensions == 3 and shape[1:] != (SIDE, SIDE)):
            wanted = f"(n, {SIDE}, {SIDE})" if dimensions == 3 else "(n,)"
            raise InputError(f"{where} has shape {shape}; it must be {wanted}")
        if dtype != np.uint8 if dimensions == 3 else dtype.kind not in "iu":
            wanted = "uint8, 0 to 255" if dimensions == 3 else "integers"
            raise InputError(f"{where} holds {dtype} values; they must be {wanted}")
        _count(shape[0], where)
        content = _content(file, math.prod(shape) * dtype.itemsize, where)
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


def _idx_file(folder: Path, name: str, dimensions: int) -> Path:
    """The file of that name in one of its spellings; uncompressed ones first, since they are read faster."""
    names = [f"{name}{mark}idx{dimensions}-ubyte{end}" for end in ("", ".gz") for mark in "-."]
    for candidate in names:
        if (folder / candidate).is_file():
            return folder / candidate
    raise InputError(f"folder {str(folder)!r} holds none of {', '.join(names)}; give {_KINDS}")


def _read_idx(path: Path) -> np.ndarray:
    """IDX: big-endian magic number and extents, 4 bytes each, then the bytes."""
    dimensions = 3 if "idx3" in path.name else 1
    where = f"MNIST file {str(path)!r}"
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(4 + 4 * dimensions)
            magic, *shape = struct.unpack(f">{1 + dimensions}i", head)
            wanted = _IMAGES if dimensions == 3 else _LABELS
            if magic != wanted:
                raise InputError(f"{where} begins with the magic number {magic}; an IDX file of this name has {wanted}")
            if shape[1:] not in ([], [SIDE, SIDE]):
                raise InputError(
                    f"{where} holds images of {shape[1]} x {shape[2]} pixels; they must be {SIDE} x {SIDE}"
                )
            _count(shape[0], where)
            content = _content(file, math.prod(shape), where)
    except InputError:
        raise
    except _DAMAGE as error:  # before OSError, of which a bad gzip file is one kind
        raise InputError(f"{where} is damaged: {str(error) or type(error).__name__}; download it again") from None
    except OSError as error:
        raise InputError(f"{where} cannot be read: {error.strerror or error}; check the path") from None
    return np.frombuffer(content, np.uint8).reshape(shape)
