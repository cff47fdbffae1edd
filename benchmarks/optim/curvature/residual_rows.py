"""Time of what a step of NGD on a `ResidualLoss` is made of, beside Adam's step on the same network and points.

    python benchmarks/optim/curvature/residual_rows.py [--repeat 9] [--docs docs/residuals.md]

Poisson's equation in a cube of d dimensions, -laplace u = d pi^2 prod sin(pi x_i), in float64. Times are medians of the processor
time of one thread, in ms. Adam's closure is the fastest of three: autograd.grad twice, `laplacian` of the whole batch, the
`ResidualLoss`. "J, nested": the same rows with the Laplacian by torch.func.jvp of jvp, all directions under vmap.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import jvp, vmap

from thermograd.circuits.files import write_text
from thermograd.optim.curvature.residuals.derivatives import laplacian
from thermograd.optim.curvature.residuals.residual_loss import ResidualLoss
from thermograd.optim.optimizers.ngd import NGD

sys.path.insert(0, str(Path(__file__).resolve().parent))

from processor_time import milliseconds

WEIGHT = 100.0
MARK = "residual rows"


@dataclass(frozen=True)
class Problem:
    """A network's widths, and how many points are inside and on the boundary."""

    widths: tuple[int, ...]
    inside: int
    boundary: int


PROBLEMS = (
    Problem((2, 64, 1), 900, 120),
    Problem((2, 32, 32, 1), 200, 160),
    Problem((5, 64, 64, 48, 48, 1), 3000, 500),
)


def network(problem: Problem) -> nn.Sequential:
    """With tanh."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(problem.widths):
        layers += [nn.Linear(before, after, dtype=torch.float64), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def points(problem: Problem) -> tuple[Tensor, Tensor]:
    """Uniform inside, and on random faces."""
    generator, d = torch.Generator().manual_seed(0), problem.widths[0]
    x, y = (torch.rand(n, d, dtype=torch.float64, generator=generator) for n in (problem.inside, problem.boundary))
    faces = torch.randint(2 * d, (problem.boundary,), generator=generator)
    y[torch.arange(problem.boundary), faces // 2] = (faces % 2).double()
    return x, y


def source(x: Tensor) -> Tensor:
    """At points (..., d)."""
    return x.shape[-1] * math.pi**2 * torch.sin(math.pi * x).prod(-1)


def inside(model: nn.Module, x: Tensor) -> Tensor:
    """-laplace u - f, by the forward Laplacian."""
    return -laplacian(model, x)[0] - source(x)


def nested(model: nn.Module, x: Tensor) -> Tensor:
    """-laplace u - f, by nested forward mode."""

    def second(v: Tensor) -> Tensor:
        found: Tensor = jvp(lambda y: jvp(model, (y,), (v,))[1], (x,), (v,))[1]
        return found

    return -vmap(second)(torch.eye(len(x), dtype=x.dtype)).sum(0)[0] - source(x)


def edge(model: nn.Module, y: Tensor) -> Tensor:
    """u."""
    found: Tensor = model(y)
    return found


def by_autograd(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The loss by two passes of autograd.grad for the batch."""
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
    seconds = [torch.autograd.grad(slope[:, i].sum(), x, create_graph=True)[0][:, i] for i in range(x.shape[1])]
    r = -sum(seconds[1:], seconds[0]) - source(x)
    return r.square().mean() / 2 + WEIGHT / 2 * model(y).square().mean()


def by_batch(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The loss by the forward Laplacian of the batch."""
    r = -laplacian(model, x)[:, 0] - source(x)
    return r.square().mean() / 2 + WEIGHT / 2 * model(y).square().mean()


def times(problem: Problem, repeat: int) -> list[str]:
    """A row of the table."""
    model, (x, y) = network(problem), points(problem)
    parameters = list(model.parameters())
    loss = ResidualLoss(model, inside, x) + ResidualLoss(model, edge, y, WEIGHT)
    slow = ResidualLoss(model, nested, x) + ResidualLoss(model, edge, y, WEIGHT)
    adam = torch.optim.Adam(parameters, lr=1e-6)

    def adam_step(closure: Callable[[], Tensor]) -> None:
        adam.zero_grad()
        closure().backward()
        adam.step()

    closures = (lambda: by_autograd(model, x, y), lambda: by_batch(model, x, y), lambda: loss()[0])
    of_adam = min(milliseconds(lambda c=closure: adam_step(c), repeat) for closure in closures)
    found = loss.linearise(parameters)
    assert found is not None
    factor = found[1]
    K = factor.gram()
    K.diagonal().add_(1e-3 * float(K.diagonal().mean()))
    ngd = NGD(parameters, lr=1e-6, damping=1e-3)
    measured = [
        of_adam,
        milliseconds(loss.loss, repeat),
        milliseconds(lambda: loss.linearise(parameters), repeat),
        milliseconds(lambda: slow.linearise(parameters), repeat),
        milliseconds(lambda: factor.lower_gram(torch.float64), repeat),
        milliseconds(lambda: torch.linalg.cholesky_ex(K), repeat),
        milliseconds(lambda: ngd.step(loss), repeat),
    ]
    size = sum(p.numel() for p in parameters)
    name = (
        f"{'-'.join(map(str, problem.widths))} ({size:,} parameters), {problem.inside:,} + {problem.boundary:,} points"
    )
    return [
        name,
        *(f"{value:.3g}" if value < 100 else f"{value:.0f}" for value in measured),
        f"{measured[-1] / of_adam:.1f}",
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=9, help="runs of which a time is the median")
    parser.add_argument("--docs", type=Path, help="page whose table to replace")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    heads = [
        "network",
        "Adam's step",
        "loss alone",
        "J",
        "J, nested",
        "J J^T",
        "Cholesky",
        "NGD's step",
        "multiple of Adam's",
    ]
    lines = [heads, ["---"] * len(heads), *(times(problem, given.repeat) for problem in PROBLEMS)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    print(table)
    if given.docs is not None:
        before, rest = given.docs.read_text(encoding="utf-8").split(f"<!-- {MARK} -->\n")
        _, after = rest.split("<!-- end -->", 1)
        write_text(given.docs, f"{before}<!-- {MARK} -->\n{table}\n<!-- end -->{after}")


if __name__ == "__main__":
    main()
