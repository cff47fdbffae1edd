"""The problems: networks with ten outputs, batches of 28 x 28 images, and a short training beforehand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from thermograd.circuits.errors import InputError

OUTPUTS, PIXELS = 10, 28 * 28
TRAINING_STEPS = 50
LOSS = nn.CrossEntropyLoss()


def perceptron(*hidden: int) -> nn.Module:
    """784-hidden-10 with ReLU."""
    sizes = [PIXELS, *hidden, OUTPUTS]
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def convolutional(first: int, second: int, hidden: int | None) -> nn.Module:
    """Two 3 x 3 convolutions, each pooled, then one or two linear layers."""
    flat = second * 49
    head: list[nn.Module] = [nn.Linear(flat, OUTPUTS)]
    if hidden is not None:
        head = [nn.Linear(flat, hidden), nn.ReLU(), nn.Linear(hidden, OUTPUTS)]
    return nn.Sequential(
        nn.Conv2d(1, first, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(first, second, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), *head,
    )  # fmt: skip


def deep() -> nn.Module:
    """Eight 3 x 3 convolutions in four pairs, pooled between, the mean over positions, and one linear layer."""
    layers: list[nn.Module] = []
    before = 1
    for stage, width in enumerate((32, 64, 128, 220)):
        layers += [nn.MaxPool2d(2)] if stage else []
        for inputs in (before, width):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
        before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, OUTPUTS))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "MLP 235k": lambda: perceptron(256, 128),
    "CNN 20k": lambda: convolutional(16, 32, None),
    "CNN 207k": lambda: convolutional(16, 32, 128),
    "CNN 1.03M": lambda: convolutional(32, 64, 320),
    "deep CNN 0.98M": deep,
    "MLP 10M": lambda: perceptron(2800, 2800),
}


def network(name: str) -> nn.Module:
    """One of `NETWORKS`, or 784-h-h-10 by its number of parameters: "N = 100000"."""
    if name in NETWORKS:
        return NETWORKS[name]()
    if name.startswith("N = "):
        return perceptron(*2 * [width(int(name.removeprefix("N = ")))])
    raise InputError(f"there is no network {name!r}: give {', '.join(NETWORKS)}, or 'N = 100000'")


def width(parameters: int) -> int:
    """h of the 784-h-h-10 nearest to that many parameters, h (h + 796) + 10."""
    h = (PIXELS + 2 + OUTPUTS) / 2
    return max(1, round(math.sqrt(h * h + parameters - OUTPUTS) - h))


@dataclass(frozen=True)
class Images:
    """Images (n, 1, 28, 28) in [0, 1] and their classes (n,)."""

    x: Tensor
    y: Tensor

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A batch, drawn without replacement."""
        rows = torch.randperm(len(self.y), generator=generator)[:size]
        return self.x[rows], self.y[rows]


def images(path: Path | None) -> Images:
    """MNIST from an npz file with x_train and y_train; without one, ten random pictures with as much noise again.

    Raises:
        InputError: the file cannot be read, or has not what MNIST has.
    """
    if path is None:
        generator = torch.Generator().manual_seed(7)
        pictures = torch.rand(OUTPUTS, 1, 28, 28, generator=generator)
        y = torch.randint(OUTPUTS, (4096,), generator=generator)
        return Images((pictures[y] + torch.rand(len(y), 1, 28, 28, generator=generator)) / 2, y)
    try:
        with np.load(path, allow_pickle=False) as data:
            x, y = data["x_train"], data["y_train"]
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"{str(path)!r} is no MNIST in npz with x_train and y_train ({error}): give another"
        ) from error
    if x.shape[1:] != (28, 28) or y.shape != x.shape[:1]:
        raise InputError(f"x_train of {str(path)!r} is {x.shape}, y_train {y.shape}: expected (n, 28, 28) and (n,)")
    return Images(torch.tensor(x).unsqueeze(1).float() / 255, torch.tensor(y).long())


@dataclass(eq=False)
class Problem:
    """A network and a batch; every method steps from the same parameters.

    Attributes:
        damping, lr: of the steps to be made.
    """

    model: nn.Module
    x: Tensor
    y: Tensor
    damping: float = 0.01
    lr: float = 1e-3
    start: list[Tensor] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.start = [p.detach().clone() for p in self.parameters]

    @property
    def parameters(self) -> list[nn.Parameter]:
        return list(self.model.parameters())

    @property
    def size(self) -> int:
        """Number of parameters N."""
        return sum(p.numel() for p in self.parameters)

    @property
    def jacobian_bytes(self) -> int:
        """Size of the explicit (b c, N) Jacobian in float32."""
        return 4 * len(self.y) * OUTPUTS * self.size

    def closure(self) -> tuple[Tensor, Tensor]:
        """(loss, outputs) of the batch."""
        outputs = self.model(self.x)
        return LOSS(outputs, self.y), outputs

    def restore(self) -> None:
        """Reset the parameters to the start."""
        with torch.no_grad():
            for p, value in zip(self.parameters, self.start, strict=True):
                p.copy_(value)
                p.grad = None

    def moved(self) -> Tensor:
        """(start - parameters) / lr in float64, (N,)."""
        pairs = zip(self.start, self.parameters, strict=True)
        return torch.cat([(a.double() - p.detach().double()).reshape(-1) for a, p in pairs]) / self.lr


def problem(name: str, batch: int, data: Images, device: str, steps: int = TRAINING_STEPS) -> Problem:
    """The network after `steps` of Adam at 1e-3, with a batch that is not among those it was trained on."""
    if not 1 <= batch <= len(data.y):
        raise InputError(f"batch is {batch}: give 1 to {len(data.y)}, the number of images")
    torch.manual_seed(1)
    model = network(name).to(device)
    generator = torch.Generator().manual_seed(3)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            x, y = data.batch(max(batch, 64), generator)
            yield x.to(device), y.to(device)

    drawn = batches()
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _, (x, y) in zip(range(steps), drawn, strict=False):
        adam.zero_grad()
        LOSS(model(x), y).backward()
        adam.step()
    x, y = next(drawn)
    return Problem(model, x[:batch].clone(), y[:batch].clone())
