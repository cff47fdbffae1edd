"""A choice of the images in MNIST's files, from a path or an environment variable."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...circuits.errors import InputError
from .mnist_files import LabelledImages, read_mnist


def chosen_images(
    task: str, variable: str, path: str | Path | None, train: int, test: int, seed: int
) -> list[LabelledImages]:
    """The training and the test images of a task; a smaller choice is part of a larger one.

    Args:
        task: its name, for errors.
        variable: environment variable that has the path where none is given.
        path: an .npz or a folder of IDX files, or None.
        train, test: numbers of images.
        seed: of the choice.

    Raises:
        InputError: arguments out of range; no path; files that are missing, damaged or of another kind.
    """
    given = path or os.environ.get(variable)
    if not given:
        raise InputError(
            f"the task {task} needs its data, which are not shipped: give the path of an .npz or of the folder with "
            f"the IDX files (--data PATH, or the environment variable {variable})"
        )
    parts = read_mnist(Path(given))
    return [_choose(part, *ask, seed) for part, ask in zip(parts, (("train", train), ("test", test)), strict=True)]


def mark_of(parts: Sequence[LabelledImages]) -> str:
    """Checksum of the chosen images, so that a run does not go on from a checkpoint that was made with others."""
    mark = 0
    for part in parts:
        mark = zlib.crc32(part.labels.tobytes(), zlib.crc32(part.images.tobytes(), mark))
    return f"{mark:08x}"


def _choose(part: LabelledImages, name: str, count: int, seed: int) -> LabelledImages:
    total = len(part.labels)
    if not 1 <= count <= total:
        raise InputError(f"{name} is {count}: the data hold {total} images for it, give 1 to {total}")
    order = np.random.default_rng(seed).permutation(total)[:count]
    return LabelledImages(part.images[order], part.labels[order])
