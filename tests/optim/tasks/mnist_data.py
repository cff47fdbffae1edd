"""Small files in MNIST's forms for the tests, written without the reader's code."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

SIZES = {"train": 60, "test": 25}


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """Noise whose first pixel says which image it is and whose second says its label; the test part is brighter."""
    random = np.random.default_rng(seed)
    found = {}
    for part, count in SIZES.items():
        images = random.integers(0, 256 if part == "train" else 128, (count, 28, 28), dtype=np.uint8)
        labels = random.integers(0, 10, count, dtype=np.uint8)
        images[:, 0, 0], images[:, 0, 1] = np.arange(count), labels
        found |= {f"x_{part}": images if part == "train" else images + 100, f"y_{part}": labels}
        if part == "test":
            found["x_test"][:, 0, 0] = np.arange(count)
    return found


def idx(array: np.ndarray) -> bytes:
    """IDX of unsigned bytes: two zeros, the type 8, the number of dimensions, the extents, the data."""
    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return head + array.tobytes()


def write_idx(folder: Path, data: dict[str, np.ndarray], mark: str = "-", zipped: bool = True) -> Path:
    """The four files, with the separator `mark` in their names."""
    folder.mkdir(exist_ok=True)
    for name, array in data.items():
        prefix = "train" if name.endswith("train") else "t10k"
        kind = f"images{mark}idx3" if name.startswith("x") else f"labels{mark}idx1"
        content = idx(array)
        if zipped:
            (folder / f"{prefix}-{kind}-ubyte.gz").write_bytes(gzip.compress(content))
        else:
            (folder / f"{prefix}-{kind}-ubyte").write_bytes(content)
    return folder
