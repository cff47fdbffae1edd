"""Poisson's equation on the unit square with a physics-informed network: the task on which natural gradient wins by the most.

    -laplace u = 2 pi^2 sin(pi x) sin(pi y) in (0, 1)^2,   u = 0 on the boundary,   u = sin(pi x) sin(pi y),

for a network 2-32-32-1 with tanh (1185 parameters) in double precision. With the residuals r at n_i fixed points inside and u at n_b on
the boundary the loss is

    L = 1 / (2 n_i) sum r^2 + weight / (2 n_b) sum u^2,

and each step takes all points. The boundary weight decides what error can be reached: see `benchmarks/optim/poisson_table.py`.

Source: M. Raissi, P. Perdikaris and G. Karniadakis, J. Comput. Phys. 378, 686 (2019); the equation as in J. Müller and M. Zeinhofer,
"Achieving high accuracy with PINNs via energy natural gradients", arXiv 2302.13163.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from ...circuits.errors import InputError
from ..curvature.residuals.derivatives import laplacian
from ..curvature.residuals.residual_loss import ResidualLoss
from ..optimizers.damping import LevenbergMarquardt, check_number
from .task import OTHER_POINTS, Plan, Score, Task, TaskClosure

RELATIVE_ERROR = Score("relative L2 error", more_is_better=False, target=1e-4)
"""|u - u_exact| / |u_exact|, Euclidean norms over a grid of `GRID` x `GRID` equidistant points, the boundary included."""
GRID = 101
"""Points of the score's grid along each side."""
WEIGHT = 100.0
"""Of the boundary, from a search with seed 0 (`benchmarks/optim/poisson_table.py --tune`)."""
EDGES = 4
Form: TypeAlias = Literal["residual", "graph"]
"""How the closure gives the residuals: a `ResidualLoss` of functions of one sample, or double backward passes."""

DAMPING = LevenbergMarquardt(start=1e-2, factor=0.7, lowest=1e-12)
"""For steps without a line search; lambda goes down to some 1e-5 with the loss, so that its lower limit must not stop it."""
_NATURAL_GRADIENT = {"lr": 1.0, "damping": 1e-9, "line_search": True, "geodesic": 0.75}
PLAN = Plan(
    steps=100,
    batch=None,
    evaluate_every=5,
    settings={
        "sgd": {"lr": 1e-4},
        "adam": {"lr": 1e-2, "schedule": "cosine"},
        "ngd": _NATURAL_GRADIENT,
        "ngd-cg": {"lr": 1.0, "damping": DAMPING},
        "tngd": {**_NATURAL_GRADIENT, "duration": math.inf},
    },
)
"""Natural gradients with a line search need no more damping than rounding does."""


def solution(points: Tensor) -> Tensor:
    """sin(pi x) sin(pi y) at points (..., 2)."""
    return torch.sin(math.pi * points[..., 0]) * torch.sin(math.pi * points[..., 1])


def source(points: Tensor) -> Tensor:
    """-laplace u of the solution, at points (..., 2)."""
    return 2 * math.pi**2 * solution(points)


@dataclass(frozen=True, eq=False)
class Poisson(Task):
    """The task with its points.

    Attributes:
        name: with all settings.
        interior, boundary: (n, 2) float64.
        weight: of the boundary in the loss.
        width: units of each hidden layer.
        form: of the closure.
        plan: how it is trained by default.
    """

    name: str
    interior: Tensor
    boundary: Tensor
    weight: float
    width: int
    form: Form
    plan: Plan = PLAN

    @property
    def score(self) -> Score:
        """`RELATIVE_ERROR`."""
        return RELATIVE_ERROR

    @property
    def dtype(self) -> torch.dtype:
        """float64."""
        return torch.float64

    def model(self) -> nn.Sequential:
        """Network 2-width-width-1 with tanh, (n, 2) -> (n, 1)."""
        sizes, layers = (2, self.width, self.width), []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after, dtype=self.dtype), nn.Tanh()]
        return nn.Sequential(*layers, nn.Linear(self.width, 1, dtype=self.dtype))

    def closure(self, model: nn.Module, step: int, batch: int | None, seed: int) -> TaskClosure:
        """Loss at all points and residuals (n_i + n_b, 1), the same in every step; a `ResidualLoss` for the form "residual".

        Raises:
            InputError: a batch.
        """
        if batch is not None:
            raise InputError(
                f"batch is {batch}: every step of the task {self.name} takes all of its points; leave it out"
            )
        if self.form == "graph":
            return lambda: residuals(model, self.interior, self.boundary, self.weight)
        return ResidualLoss(model, inside, self.interior) + ResidualLoss(model, edge, self.boundary, self.weight)

    @torch.no_grad()
    def evaluate(self, model: nn.Module) -> float:
        """Relative L2 error of the network on the grid."""
        line = torch.linspace(0, 1, GRID, dtype=self.dtype)
        points = torch.cartesian_prod(line, line)
        exact = solution(points)
        return float((model(points)[:, 0] - exact).norm() / exact.norm())

    def held_out(self) -> Poisson:
        """The task at other points; the score is none of the points that are trained on."""
        other = poisson(OTHER_POINTS, self.weight, len(self.interior), len(self.boundary), self.width, self.form)
        return dataclasses.replace(other, plan=self.plan)


def inside(model: nn.Module, point: Tensor) -> Tensor:
    """laplace u + source at one point (2,)."""
    return laplacian(model, point) + source(point)


def edge(model: nn.Module, point: Tensor) -> Tensor:
    """u at one point (2,) of the boundary."""
    value: Tensor = model(point)
    return value


def residuals(model: nn.Module, interior: Tensor, boundary: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """Loss and residuals (n_i + n_b, 1) by double backward passes, as users write it.

    Args:
        model: (n, 2) -> (n, 1).
        interior, boundary: points (n_i, 2) and (n_b, 2).
        weight: of the boundary.
    """
    x = interior.detach().requires_grad_()
    (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
    laplace = sum(torch.autograd.grad(slope[:, i].sum(), x, create_graph=True)[0][:, i] for i in range(2))
    outputs = torch.cat([laplace + source(interior), model(boundary)[:, 0]])[:, None]
    at_points, at_edge = outputs.split((len(interior), len(boundary)))
    return (at_points.square().mean() + weight * at_edge.square().mean()) / 2, outputs


def poisson(
    seed: int = 0,
    weight: float = WEIGHT,
    interior: int = 200,
    boundary: int = 160,
    width: int = 32,
    form: Form = "residual",
) -> Poisson:
    """The Poisson task.

    Args:
        seed: of the points: scrambled Sobol sequences in the square, and along each of its four edges.
        weight: > 0, of the boundary in the loss.
        interior: number of points inside.
        boundary: number of points on the boundary, a multiple of 4.
        width: units of each of the two hidden layers.
        form: "residual", the fast way for natural gradients; "graph", own double backward passes, the fast way for Adam.

    Raises:
        InputError: arguments out of range.
    """
    for given, number in (("seed", seed), ("interior", interior), ("boundary", boundary), ("width", width)):
        if not isinstance(number, int) or isinstance(number, bool):
            raise InputError(f"{given} is {number!r}: give an integer")
    if seed < 0 or interior < 1 or boundary < EDGES or boundary % EDGES or width < 1:
        raise InputError(
            f"seed {seed}, interior {interior}, boundary {boundary}, width {width}: give seed >= 0, interior >= 1, a multiple of "
            "4 for the boundary, and width >= 1"
        )
    check_number("weight", weight, low=0.0, strict=True)
    if form not in get_args(Form):
        raise InputError(f"form is {form!r}: give {' or '.join(get_args(Form))}")
    points = _sobol(2, interior, seed)
    edges = _sobol(EDGES, boundary // EDGES, seed).T
    zero, one = torch.zeros_like(edges[0]), torch.ones_like(edges[0])
    sides = ((edges[0], zero), (edges[1], one), (zero, edges[2]), (one, edges[3]))
    name = f"poisson(seed={seed}, weight={weight:g}, interior={interior}, boundary={boundary}, width={width}, {form})"
    return Poisson(name, points, torch.cat([torch.stack(side, 1) for side in sides]), float(weight), width, form)


def _sobol(dimension: int, count: int, seed: int) -> Tensor:
    """(count, dimension) float64 in [0, 1)."""
    return torch.quasirandom.SobolEngine(dimension, scramble=True, seed=seed).draw(count, dtype=torch.float64)
