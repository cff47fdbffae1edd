"""Handwritten digits of 8 x 8 pixels: the smallest task on which the optimizers differ, with data that scikit-learn ships.

1797 images of the UCI "Optical Recognition of Handwritten Digits" test set (E. Alpaydin and C. Kaynak, 1998), 1437 of
them for training and 360 for testing. A multilayer perceptron 64-32-10 of 2410 parameters reaches 97 to 98 %.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from ...circuits.errors import InputError
from .classification import Classification

TEST_SAMPLES = 360
"""Size of the test set."""


def digits(seed: int = 0, hidden: int = 32, activation: Literal["tanh", "relu"] = "tanh") -> Classification:
    """The digits task.

    Args:
        seed: of the stratified split.
        hidden: units of the hidden layer.
        activation: of the hidden layer.

    Returns:
        Classification with inputs (n, 64) float32 in [0, 1].

    Raises:
        InputError: arguments out of range; scikit-learn is not installed.
    """
    if hidden < 1 or activation not in ("tanh", "relu") or seed < 0:
        raise InputError(
            f"seed {seed}, hidden {hidden}, activation {activation!r}: give seed >= 0, hidden >= 1 and tanh or relu"
        )
    try:  # imported here, since it takes a second
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise InputError(f"the digits task needs scikit-learn ({error}): pip install scikit-learn") from error

    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16.0, labels, test_size=TEST_SAMPLES, stratify=labels, random_state=seed)
    train_x, test_x = (torch.tensor(part, dtype=torch.float32) for part in parts[:2])
    train_y, test_y = (torch.tensor(part, dtype=torch.int64) for part in parts[2:])

    def model() -> nn.Module:
        middle = nn.Tanh() if activation == "tanh" else nn.ReLU()
        return nn.Sequential(nn.Linear(64, hidden), middle, nn.Linear(hidden, 10))

    return Classification(
        f"digits(seed={seed}, hidden={hidden}, {activation})", train_x, train_y, test_x, test_y, model
    )
