"""Burgers' equation with a physics-informed network: a front that steepens to a thousandth of the domain's width.

    u_t + u u_x = nu u_xx for |x| < 1, 0 < t < 1,    u(0, x) = -sin(pi x),    u(t, -1) = u(t, 1) = 0,    nu = 0.01 / pi,

in double precision. The solution is odd in x and has the period 2, and the network has that by its form (`Front`), with the initial and the
boundary values, so that the loss has no weights to choose:

    L = 1 / (2 b) sum_i (u_t + u u_x - nu u_xx)^2 at b points (t_i, x_i), 0 < x_i < 1,

which are new ones in every step; half of them are uniform in x, half have the density of asinh(x / `FRONT`), for the front at x = 0.
`benchmarks/optim/burgers.py` measures what the form of the network and the new points are worth.

Source: C. Basdevant et al., Computers & Fluids 14, 23 (1986); as a physics-informed network M. Raissi, P. Perdikaris and G. Karniadakis,
J. Comput. Phys. 378, 686 (2019).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from ...circuits.errors import InputError
from ..curvature.residuals.derivatives import value_gradient_laplacian
from ..curvature.residuals.residual_loss import ResidualLoss
from ..optimizers.damping import check_count, check_number
from .task import Plan, Score, Task, TaskClosure

RELATIVE_ERROR = Score("relative L2 error", more_is_better=False, target=1e-4)
"""|u - u_exact| / |u_exact|, Euclidean norms over an equidistant grid of `GRID` instants and places, the edges included."""
GRID = (101, 401)
VISCOSITY = 0.01 / math.pi
FRONT = 0.02
"""Distance from the front up to which half of the points are dense."""
_RANGE, _STRIDE = 7.0, 0.15
"""Of the quadrature's nodes, in standard deviations times sqrt 2 of the kernel."""

_NATURAL_GRADIENT = {"lr": 1.0, "damping": 1e-8, "line_search": True, "geodesic": 0.75}
PLAN = Plan(
    steps=120,
    batch=1000,
    evaluate_every=10,
    settings={
        "sgd": {"lr": 1e-3},
        "adam": {"lr": 3e-2, "schedule": "cosine"},
        "ngd": _NATURAL_GRADIENT,
        "tngd": {**_NATURAL_GRADIENT, "duration": math.inf},
    },
)


def solution(points: Tensor, viscosity: float = VISCOSITY) -> Tensor:
    """u at points (..., 2) of (t, x), float64, by the transform of Cole and Hopf.

        u = -int sin(pi y) w dy / int w dy,    w = exp(-cos(pi y) / (2 pi nu) - z^2),    y = x - sqrt(4 nu t) z

    The integrals are sums over equidistant z, which converge faster than any power of their distance: to rounding at 0.2, and here at 0.15.
    z goes as far as the characteristic's foot, |x - y| <= t, and `_RANGE` beyond.

    Args:
        points: with t in [0, 1].
        viscosity: nu > 0.
    """
    t, x = points[..., :1], points[..., 1:]
    far = math.ceil((math.sqrt(1 / (4 * viscosity)) + _RANGE) / _STRIDE)
    z = _STRIDE * torch.arange(-far, far + 1, dtype=points.dtype)
    y = math.pi * (x - torch.sqrt(4 * viscosity * t) * z)
    weight = torch.softmax(-torch.cos(y) / (2 * math.pi * viscosity) - z.square(), dim=-1)
    return -(torch.sin(y) * weight).sum(-1)


class Front(nn.Module):
    """u(t, x) = -sin(pi x) + t (N(sin pi x, cos pi x, 2 t - 1) - N(-sin pi x, cos pi x, 2 t - 1)), (n, 2) -> (n, 1).

    It is odd in x, has the period 2, and so vanishes at x = 0 and 1, whatever the network N of `layers` layers with `width` tanh units is.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for before, after in itertools.pairwise((3, *(width for _ in range(layers)))):
            parts += [nn.Linear(before, after, dtype=torch.float64), nn.Tanh()]
        self.network = nn.Sequential(*parts, nn.Linear(width, 1, bias=False, dtype=torch.float64))

    def forward(self, points: Tensor) -> Tensor:
        """u at points (..., 2) of (t, x), (..., 1)."""
        t, x = points[..., :1], math.pi * points[..., 1:]
        sine, rest = torch.sin(x), torch.cat([torch.cos(x), 2 * t - 1], -1)
        found: Tensor = self.network(torch.cat([sine, rest], -1)) - self.network(torch.cat([-sine, rest], -1))
        return t * found - sine


@dataclass(frozen=True, eq=False)
class Burgers(Task):
    """The task.

    Attributes:
        name: with all settings.
        viscosity: nu.
        width, layers: of the network.
        plan: how it is trained by default.
    """

    name: str
    viscosity: float
    width: int
    layers: int
    plan: Plan = PLAN

    @property
    def score(self) -> Score:
        """`RELATIVE_ERROR`."""
        return RELATIVE_ERROR

    @property
    def dtype(self) -> torch.dtype:
        """float64."""
        return torch.float64

    def model(self) -> Front:
        """The network."""
        return Front(self.width, self.layers)

    def closure(self, model: nn.Module, step: int, batch: int | None, seed: int) -> TaskClosure:
        """`ResidualLoss` at the points of this step and seed.

        Raises:
            InputError: no batch.
        """
        if batch is None:
            raise InputError(f"batch is None: the task {self.name} draws new points in every step; give their number")
        return ResidualLoss(model, self.residual, points(batch, seed, step))

    def residual(self, model: nn.Module, point: Tensor) -> Tensor:
        """u_t + u u_x - nu u_xx at one point (2,), or at points (n, 2)."""
        u, slopes, second = value_gradient_laplacian(model, point, weights=(0.0, 1.0))
        return slopes[..., 0] + u * slopes[..., 1] - self.viscosity * second

    @cached_property
    def grid(self) -> tuple[Tensor, Tensor]:
        """Points of the score (n, 2), and the solution there."""
        t, x = (torch.linspace(low, 1, n, dtype=self.dtype) for low, n in zip((0, -1), GRID, strict=True))
        right = solution(torch.cartesian_prod(t, x[GRID[1] // 2 :]), self.viscosity).reshape(GRID[0], -1)
        return torch.cartesian_prod(t, x), torch.cat([-right[:, 1:].flip(1), right], 1).flatten()

    @torch.no_grad()
    def evaluate(self, model: nn.Module) -> float:
        """Relative L2 error of the network on the grid."""
        at, exact = self.grid
        return float((model(at)[:, 0] - exact).norm() / exact.norm())

    def held_out(self) -> Burgers:
        """The task itself: points are those of the training's seed, and the score is the same error."""
        return self


def points(count: int, seed: int, step: int) -> Tensor:
    """(count, 2) of (t, x) in (0, 1)^2 for a step: a scrambled Sobol sequence of its own."""
    own = int(np.random.SeedSequence((seed, step)).generate_state(1)[0])
    t, x, kind = torch.quasirandom.SobolEngine(3, scramble=True, seed=own).draw(count, dtype=torch.float64).T
    near = FRONT * torch.sinh(x * math.asinh(1 / FRONT))
    return torch.stack([t, torch.where(kind < 0.5, near, x)], 1)


def burgers(viscosity: float = VISCOSITY, width: int = 16, layers: int = 3) -> Burgers:
    """The Burgers task.

    Args:
        viscosity: nu > 0; 0.01 / pi of the usual benchmark, or 0.01 as in arXiv 2607.02194, whose front is three times as wide.
        width: units of each hidden layer.
        layers: number of hidden layers.

    Raises:
        InputError: arguments out of range.
    """
    check_number("viscosity", viscosity, low=1e-3)
    check_count("width", width, "units")
    check_count("layers", layers, "layers")
    return Burgers(
        f"burgers(viscosity={viscosity:.6g}, width={width}, layers={layers})", float(viscosity), width, layers
    )
