"""A small CNN on digits with batch normalisation, or with group normalisation in its place, by damping.

    python benchmarks/optim/curvature/batch_norm.py [--steps 60] [--seeds 0,1,2]

1,922 parameters, 24 normalised channels, batch 64, momentum 0.5. With batch normalisation the curvature holds the batch's statistics
constant, and the gradient is exact; `outside` is the length of what of the gradient is not M^T s, over the gradient's, in the first step.
Test accuracy is of the model in evaluation, by running statistics: mean over the seeds, and the worst.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from thermograd import KFAC, NGD
from thermograd.optim.curvature.batch import evaluate
from thermograd.optim.curvature.curvature import Curvature

BATCH = 64
NORMS: dict[str, Callable[[int], nn.Module]] = {"batch": nn.BatchNorm2d, "group": partial(nn.GroupNorm, 4)}
DAMPINGS = (1.0, 0.3, 0.1, 0.03)
WAYS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "Adam, rate 0.01": lambda p: torch.optim.Adam(p, 1e-2),
    "KFAC, damping 0.1, rate 0.1": lambda p: KFAC(p, lr=0.1, damping=0.1, momentum=0.5),
    **{f"NGD, damping {d:g}, rate 0.3": partial(NGD, lr=0.3, damping=d, momentum=0.5) for d in DAMPINGS},
}


def network(norm: str, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    of = NORMS[norm]
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False), of(8), nn.ReLU(inplace=True),
        nn.Conv2d(8, 16, 3, bias=False), of(16), nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def data() -> tuple[Tensor, Tensor]:
    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    x = torch.tensor(images / 16, dtype=torch.float32).view(-1, 1, 8, 8)[order]
    return x, torch.tensor(labels)[order]


def accuracy(norm: str, way: str, seed: int, steps: int) -> float:
    x, y = data()
    model = network(norm, seed)
    optimizer = WAYS[way](model.parameters())
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        some = torch.randint(1400, (BATCH,), generator=generator)

        def closure(some: Tensor = some) -> tuple[Tensor, Tensor]:
            z = model(x[some])
            return F.cross_entropy(z, y[some]), z

        if isinstance(optimizer, torch.optim.Adam):
            optimizer.zero_grad()
            closure()[0].backward()
            optimizer.step()
        else:
            optimizer.step(closure)  # type: ignore[arg-type]
    model.eval()
    with torch.no_grad():
        return float((model(x[1400:]).argmax(1) == y[1400:]).float().mean())


def outside(norm: str) -> float:
    x, y = data()
    model = network(norm, 0)

    def closure() -> tuple[Tensor, Tensor]:
        z = model(x[:BATCH])
        return F.cross_entropy(z, y[:BATCH]), z

    found = Curvature(evaluate(closure), list(model.parameters()))
    rest = found.remainder or []
    return math.hypot(*(float(r.norm()) for r in rest), 0.0) / math.hypot(*(float(g.norm()) for g in found.gradient()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seeds", default="0,1,2")
    args = parser.parse_args()
    seeds = [int(seed) for seed in args.seeds.split(",")]
    warnings.filterwarnings("ignore", message=".*in training mode")
    print("outside: " + ", ".join(f"{norm} {outside(norm):.2f}" for norm in NORMS))
    print("| | " + " | ".join(f"{norm} normalisation: test accuracy, %, worst" for norm in NORMS) + " |")
    print("|---|" + "---|" * len(NORMS))
    for way in WAYS:
        cells = []
        for norm in NORMS:
            found = [100 * accuracy(norm, way, seed, args.steps) for seed in seeds]
            cells.append(f"{sum(found) / len(found):.1f}, {min(found):.1f}")
        print(f"| {way} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
