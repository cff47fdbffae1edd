"""MNIST, handwritten digits of 28 x 28: the task of the published TNGD experiments, with a small convolutional network.

The data are not shipped; `mnist_files` reads them from a path. Like the publication this
trains on 10,000 of the 60,000 training images, for 10 epochs of batches of 64, a network of one convolution and two
fully connected layers. Its 28,602 parameters reach 97.72 +- 0.07 % of the test images with Adam and 97.3 +- 0.3 % with
SGD (mean and standard error of seeds 0 to 4, after the last step, rates constant).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...circuits.errors import InputError
from .classification import Classification
from .image_choice import chosen_images, mark_of
from .mnist_files import CLASSES, LabelledImages
from .task import Plan

PATH_VARIABLE = "THERMOGRAD_MNIST"
"""Environment variable that holds the path of the data."""

BATCH = 64
"""Samples of a step, as in the publication."""

_NATURAL_GRADIENT = {"lr": 0.03, "damping": 1.0, "momentum": 0.9}
PLAN = Plan(
    steps=1560,
    batch=BATCH,
    evaluate_every=39,
    settings={
        "sgd": {"lr": 0.2},
        "adam": {"lr": 0.003},
        "kfac": {"lr": 0.03, "damping": 0.3},
        "ngd": _NATURAL_GRADIENT,
        "ngd-cg": _NATURAL_GRADIENT,
        "tngd": _NATURAL_GRADIENT,
        "tngd-adam": {"lr": 0.003, "damping": 1.0},
        "tngd-kfac": {"lr": 0.03, "damping": 0.03, "duration": 35.0},
    },
)
"""Ten epochs of 10,000 images, evaluated four times in each. Settings by a grid (today `benchmarks/optim/tune.py`), scored on training
images outside of the 10,000: SGD and Adam by eight seeds of 1560 steps (Adam's rates 0.001 to 0.007 and SGD's 0.1 to 0.3 differ
by less than their standard errors), the others by two seeds of 468 steps, between whose best settings the seeds decide; those of NGD are
TNGD's, too. K-FAC has three times the damping of that search, with which it diverges after 1,300 steps. That of K-FAC on a
device is the best of five that were tried with one seed and 300 steps of the digital optimizer."""


def mnist(
    path: str | Path | None = None, train: int = 10_000, test: int = 10_000, seed: int = 0, width: int = 16
) -> Classification:
    """The MNIST task.

    Args:
        path: an .npz or a folder of IDX files; None: from the environment variable `THERMOGRAD_MNIST`.
        train: number of training images; a smaller choice is part of a larger one.
        test: number of test images, likewise.
        seed: of the choice of images.
        width: channels of the convolution; the hidden layer has three times as many units. 16 make 28,602 parameters.

    Returns:
        Classification with inputs (n, 1, 28, 28) float32, of zero mean and unit variance over all pixels of the training images.

    Raises:
        InputError: arguments out of range; no path; files that are missing, damaged or not MNIST.
    """
    return labelled_images("mnist", PATH_VARIABLE, path, train, test, seed, width, PLAN)


def labelled_images(
    task: str,
    variable: str,
    path: str | Path | None,
    train: int,
    test: int,
    seed: int,
    width: int,
    plan: Plan,
) -> Classification:
    """A task of MNIST's form: as `mnist`, with the environment variable and the plan of its own."""
    if seed < 0 or width < 1:
        raise InputError(f"seed {seed}, width {width}: give seed >= 0 and width >= 1")
    chosen = chosen_images(task, variable, path, train, test, seed)
    mean, deviation = _statistics(chosen[0].images)
    (train_x, train_y), (test_x, test_y) = (_tensors(part, mean, deviation) for part in chosen)
    name = f"{task}(train={train}, test={test}, seed={seed}, width={width}, data {mark_of(chosen)})"
    return Classification(name, train_x, train_y, test_x, test_y, lambda: network(width), plan=plan)


def network(width: int = 16) -> nn.Sequential:
    """Convolution 5 x 5 to `width` channels, ReLU, maximum over 4 x 4, hidden layer of 3 `width` units, ReLU, ten
    outputs."""
    return nn.Sequential(
        nn.Conv2d(1, width, 5),
        nn.ReLU(),
        nn.MaxPool2d(4),
        nn.Flatten(),
        nn.Linear(36 * width, 3 * width),
        nn.ReLU(),
        nn.Linear(3 * width, CLASSES),
    )


def _statistics(images: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of all pixels, from how often each of the 256 values occurs."""
    counts = sum(np.bincount(image.ravel(), minlength=256) for image in images)
    values = np.arange(256.0)
    mean = float(values @ counts / images.size)
    deviation = float(((values - mean) ** 2 @ counts / images.size) ** 0.5)
    if deviation == 0:
        raise InputError(f"all pixels of the training images are {mean:g}: give files that hold pictures")
    return mean, deviation


def _tensors(part: LabelledImages, mean: float, deviation: float) -> tuple[Tensor, Tensor]:
    images = torch.from_numpy(part.images).unsqueeze(1).to(torch.float32)
    return images.sub_(mean).div_(deviation), torch.from_numpy(part.labels).to(torch.int64)
