"""Fashion-MNIST, garments of 28 x 28 in ten classes, in MNIST's files and with its network.

The data are not shipped; `mnist_files` reads them from a path. The plan is MNIST's.

Source: H. Xiao, K. Rasul and R. Vollgraf, arXiv 1708.07747 (2017).
"""

from __future__ import annotations

from pathlib import Path

from .classification import Classification
from .mnist import PLAN, labelled_images

PATH_VARIABLE = "THERMOGRAD_FASHION_MNIST"
"""Environment variable that holds the path of the data."""


def fashion_mnist(
    path: str | Path | None = None, train: int = 10_000, test: int = 10_000, seed: int = 0, width: int = 16
) -> Classification:
    """The Fashion-MNIST task.

    Args:
        path: an .npz or a folder of IDX files; None: from the environment variable `THERMOGRAD_FASHION_MNIST`.
        train, test, seed, width: of `mnist`.

    Returns:
        Classification as `mnist`.

    Raises:
        InputError: as `mnist`.
    """
    return labelled_images("fashion-mnist", PATH_VARIABLE, path, train, test, seed, width, PLAN)
