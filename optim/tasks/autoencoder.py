"""Deep autoencoders of digits: the classical task of second-order methods, since a narrow code deep inside makes gradients ill-conditioned.

The encoder's widths narrow to the code, which has no activation, and the decoder mirrors it. On scikit-learn's digits the network is
64-32-16-6-16-32-64 (5,478 parameters), on MNIST 784-128-64-16-64-128-784 (220,320 parameters), a small one of the published
784-1000-500-250-30.

Source: G. Hinton and R. Salakhutdinov, Science 313, 504 (2006); J. Martens, "Deep learning via Hessian-free optimization", ICML 2010.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor, nn

from ...circuits.errors import InputError
from ..optimizers.damping import LevenbergMarquardt
from .digits import digits
from .fashion_mnist import PATH_VARIABLE as FASHION
from .image_choice import chosen_images, mark_of
from .mnist import PATH_VARIABLE as MNIST
from .reconstruction import Reconstruction, ReconstructionLoss, pca_error
from .task import Plan

Images: TypeAlias = Literal["digits", "mnist", "fashion-mnist"]
Activation: TypeAlias = Literal["tanh", "sigmoid", "linear"]
_ACTIVATIONS: dict[str, type[nn.Module] | None] = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "linear": None}
_VARIABLES = {"mnist": MNIST, "fashion-mnist": FASHION}
WIDTHS = {"digits": (32, 16, 6), "mnist": (128, 64, 16), "fashion-mnist": (128, 64, 16)}
"""Of the encoder, the code last."""
TRAIN, TEST = 10_000, 10_000

STEPS, BATCH = 200, 256


def _plan(start: float, adam: float) -> Plan:
    """That of the natural gradients, whose damping begins at `start`, with Adam's rate."""
    whole_step = {"lr": 1.0, "damping": LevenbergMarquardt(start=start, factor=0.8), "line_search": True}
    sampled = {**whole_step, "spring": 0.9, "curvature": "mc-fisher"}
    return Plan(
        steps=STEPS,
        batch=BATCH,
        evaluate_every=10,
        settings={
            "sgd": {"lr": 0.03, "momentum": 0.9, "schedule": "cosine"},
            "adam": {"lr": adam},
            "kfac": {**whole_step, "refresh": 1},
            "ngd": sampled,
            "ngd-cg": {**whole_step, "tolerance": 1e-2},
            "tngd": {**sampled, "duration": math.inf},
            "tngd-adam": {"lr": 0.01, "damping": 3.0, "curvature": "mc-fisher", "duration": math.inf},
        },
    )


PLANS = {"digits": _plan(1.0, 0.013), "mnist": _plan(3.0, 0.003), "fashion-mnist": _plan(3.0, 0.003)}
"""With p outputs an image's curvature has p rows, 64 or 784, and a batch of 256 of them is no dual system for a die. One label drawn
for each image (`curvature="mc-fisher"`) makes a system of 256 cells, which `NGD` and `TNGD` share; `NGDCG` takes the whole matrix."""


def autoencoder(
    data: Images | None = None,
    path: str | Path | None = None,
    train: int | None = None,
    test: int | None = None,
    seed: int = 0,
    widths: Sequence[int] | None = None,
    activation: Activation = "tanh",
    loss: ReconstructionLoss = "cross-entropy",
) -> Reconstruction:
    """The autoencoder task.

    Args:
        data: which images; None: mnist where a path is given, else digits, which need no file.
        path: of mnist and fashion-mnist: an .npz or a folder of IDX files; None: from the environment variable.
        train, test: numbers of images of mnist and fashion-mnist, 10,000 each by default.
        seed: of the choice or the split of the images.
        widths: of the encoder's layers, the code last; None: `WIDTHS`.
        activation: of all layers but the code and the outputs; "linear": none, so that PCA is the optimum.
        loss: "cross-entropy", with a logistic function after the outputs, or "squared", without.

    Returns:
        Reconstruction with inputs (n, pixels) float32 in [0, 1]. Its score's target is PCA's error with as many components as the code has.

    Raises:
        InputError: arguments out of range or without effect; what `digits` or the files' reader raises.
    """
    data = data or ("digits" if path is None else "mnist")
    if data not in get_args(Images):
        raise InputError(f"data is {data!r}: give {' or '.join(get_args(Images))}")
    if activation not in _ACTIVATIONS:
        raise InputError(f"activation is {activation!r}: give {' or '.join(_ACTIVATIONS)}")
    chosen = tuple(WIDTHS[data] if widths is None else widths)
    if seed < 0 or not chosen or any(not isinstance(width, int) or width < 1 for width in chosen):
        raise InputError(
            f"seed {seed}, widths {widths!r}: give seed >= 0 and one width >= 1 for each layer of the encoder"
        )
    if data == "digits":
        for name, value in (("path", path), ("train", train), ("test", test)):
            if value is not None:
                raise InputError(
                    f"{name} is {value}, but digits come with scikit-learn, split 1437 to 360: leave it out"
                )
        split = digits(seed)
        inputs, tests, mark = split.train_inputs, split.test_inputs, ""
    else:
        train, test = TRAIN if train is None else train, TEST if test is None else test
        parts = chosen_images("autoencoder", _VARIABLES[data], path, train, test, seed)
        inputs, tests = (_pixels(part.images) for part in parts)
        mark = f", train={train}, test={test}, data {mark_of(parts)}"
    sizes = (inputs.shape[1], *chosen)
    shown = "-".join(map(str, (*sizes, *sizes[-2::-1])))
    return Reconstruction(
        f"autoencoder({data}, seed={seed}, {shown}, {activation}, {loss}{mark})",
        inputs,
        tests,
        lambda: network(sizes, activation),
        loss,
        pca_error(inputs, tests, min(chosen[-1], sizes[0])),
        PLANS[data],
    )


def network(sizes: Sequence[int], activation: Activation = "tanh") -> nn.Sequential:
    """Encoder of these sizes, the inputs first and the code last, and its mirror image; neither the code nor the outputs have an
    activation."""
    layers: list[nn.Module] = []
    every = (*sizes, *tuple(sizes)[-2::-1])
    for at, (before, after) in enumerate(itertools.pairwise(every), start=1):
        layers.append(nn.Linear(before, after))
        made = _ACTIVATIONS[activation]
        if made is not None and at not in (len(sizes) - 1, len(every) - 1):
            layers.append(made())
    return nn.Sequential(*layers)


def _pixels(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).flatten(1).to(torch.float32).div_(255)
