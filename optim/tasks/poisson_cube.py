"""Poisson's equation in the unit cube of d dimensions: the benchmarks of natural gradients for physics-informed networks.

    -laplace u = f in (0, 1)^d,   u = u_exact on the boundary,      u_exact = prod_i sin(pi x_i)  or  sum_i cos(pi x_i),

for a network with tanh in double precision. With r = laplace u + f at n_i points inside and u - u_exact at n_b on the boundary the loss is

    L = 1 / (2 n_i) sum r^2 + weight / (2 n_b) sum (u - u_exact)^2.

Points are uniform in the cube and on its faces, the same in every step or new ones, by the preset. The score is the *absolute* error, the
root mean square of u - u_exact, as the sources print it.

Source: F. Dangel, J. Müller and M. Zeinhofer, "Kronecker-factored approximate curvature for physics-informed neural networks", arXiv
2405.15603, with github.com/f-dangel/kfac-pinns-experiments ("2d", "5d"); A. Guzmán-Cordero, F. Dangel, G. Goldshlager and M. Zeinhofer,
"Improving energy natural gradient descent through Woodbury, momentum, and randomization", arXiv 2505.12149 ("5d-large").
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from ...circuits.errors import InputError
from ..curvature.residuals.derivatives import laplacian
from ..curvature.residuals.residual_loss import ResidualLoss
from ..optimizers.damping import Damping, LevenbergMarquardt, check_number
from .task import OTHER_POINTS, Plan, Score, Task, TaskClosure

ABSOLUTE_ERROR = Score("absolute L2 error", more_is_better=False, target=1e-5)
"""sqrt(mean (u - u_exact)^2) over `EVALUATION` n_i uniform points."""
EVALUATION = 10

Preset: TypeAlias = Literal["2d", "5d", "5d-large"]


def sine_product(x: Tensor) -> Tensor:
    """prod_i sin(pi x_i) at points (..., d)."""
    return torch.sin(math.pi * x).prod(-1)


def sine_product_source(x: Tensor) -> Tensor:
    """f of `sine_product`, at points (..., d)."""
    return x.shape[-1] * math.pi**2 * sine_product(x)


def cosine_sum(x: Tensor) -> Tensor:
    """sum_i cos(pi x_i) at points (..., d)."""
    return torch.cos(math.pi * x).sum(-1)


def cosine_sum_source(x: Tensor) -> Tensor:
    """f of `cosine_sum`, at points (..., d)."""
    return math.pi**2 * cosine_sum(x)


@dataclass(frozen=True)
class Setting:
    """What a preset stands for.

    Attributes:
        widths: of the network, d first and 1 last.
        interior, boundary: numbers of points n_i and n_b.
        exact, source: u_exact and f at points (..., d).
        fresh: whether each step has new points.
        damping: for natural gradients with a line search and geodesic acceleration.
        adam_lr: the sources' learning rate of Adam.
    """

    widths: tuple[int, ...]
    interior: int
    boundary: int
    exact: Callable[[Tensor], Tensor]
    source: Callable[[Tensor], Tensor]
    fresh: bool
    damping: Damping
    adam_lr: float

    @property
    def rms(self) -> float:
        """Root mean square of u_exact, by which the absolute error is divided for the relative one."""
        d = self.widths[0]
        return 2 ** (-d / 2) if self.exact is sine_product else math.sqrt(d / 2)


_FALLING = LevenbergMarquardt(start=1e-5, factor=0.7, lowest=1e-14)
_IN_5D = functools.partial(
    Setting, interior=3000, boundary=500, exact=cosine_sum, source=cosine_sum_source, fresh=True, damping=_FALLING
)
SETTINGS: dict[Preset, Setting] = {
    "2d": Setting((2, 64, 1), 900, 120, sine_product, sine_product_source, False, 1e-12, 1.7e-3),
    "5d": _IN_5D((5, 64, 1), adam_lr=1.5e-3),
    "5d-large": _IN_5D((5, 64, 64, 48, 48, 1), adam_lr=2.8e-4),
}
"""By preset: 257, 449 and 10,065 parameters."""


@dataclass(frozen=True, eq=False)
class PoissonCube(Task):
    """The task of one preset.

    Attributes:
        name: with all settings.
        setting: of the preset.
        seed: of points that do not change, and of those of the score.
        weight: of the boundary in the loss.
        plan: how it is trained by default.
    """

    name: str
    setting: Setting
    seed: int
    weight: float
    plan: Plan

    @property
    def score(self) -> Score:
        """`ABSOLUTE_ERROR`."""
        return ABSOLUTE_ERROR

    @property
    def dtype(self) -> torch.dtype:
        """float64."""
        return torch.float64

    def model(self) -> nn.Sequential:
        """The network with tanh, (n, d) -> (n, 1)."""
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(self.setting.widths):
            layers += [nn.Linear(before, after, dtype=self.dtype), nn.Tanh()]
        return nn.Sequential(*layers[:-1])

    def points(self, step: int, seed: int) -> tuple[Tensor, Tensor]:
        """(n_i, d) inside and (n_b, d) on the faces, of a step; a function of the task's seed alone where points stay.

        Raises:
            InputError: step or seed negative.
        """
        if step < 0 or seed < 0:
            raise InputError(f"step is {step}, seed {seed}: both must be >= 0")
        one, d = self.setting, self.setting.widths[0]
        g = _generator(seed, 1 + step) if one.fresh else _generator(self.seed, 0)
        inside = torch.rand(one.interior, d, dtype=self.dtype, generator=g)
        sides = torch.rand(one.boundary, d, dtype=self.dtype, generator=g)
        faces = torch.randint(2 * d, (one.boundary,), generator=g)
        sides[torch.arange(one.boundary), faces // 2] = (faces % 2).to(self.dtype)
        return inside, sides

    def closure(self, model: nn.Module, step: int, batch: int | None, seed: int) -> TaskClosure:
        """The `ResidualLoss` at the step's points.

        Raises:
            InputError: a batch; as `points`.
        """
        if batch is not None:
            raise InputError(
                f"batch is {batch}: every step of the task {self.name} takes all of its points; leave it out"
            )
        inside, sides = self.points(step, seed)
        return ResidualLoss(model, equation, (inside, self.setting.source(inside))) + ResidualLoss(
            model, condition, (sides, self.setting.exact(sides)), self.weight
        )

    @torch.no_grad()
    def evaluate(self, model: nn.Module) -> float:
        """`ABSOLUTE_ERROR` of the network; over `setting.rms` it is the relative one."""
        one = self.setting
        x = torch.rand(
            EVALUATION * one.interior, one.widths[0], dtype=self.dtype, generator=_generator(self.seed, 2**20)
        )
        return float((model(x)[:, 0] - one.exact(x)).square().mean().sqrt())

    def held_out(self) -> PoissonCube:
        """The task with other points, those of the score included."""
        return dataclasses.replace(self, name=f"{self.name}, held out", seed=OTHER_POINTS)


def equation(model: nn.Module, sample: tuple[Tensor, Tensor]) -> Tensor:
    """laplace u + f at one point (d,)."""
    x, f = sample
    return laplacian(model, x) + f


def condition(model: nn.Module, sample: tuple[Tensor, Tensor]) -> Tensor:
    """u - u_exact at one point (d,) of the boundary."""
    x, exact = sample
    value: Tensor = model(x) - exact
    return value


def poisson_cube(preset: Preset = "2d", seed: int = 0, weight: float = 1.0) -> PoissonCube:
    """The benchmark task of a preset.

    Args:
        preset: "2d": u_exact = prod sin, network 2-64-1, 900 + 120 points that stay; "5d": sum cos, 5-64-1, 3,000 + 500 points, new ones in
            every step; "5d-large": as "5d" with 5-64-64-48-48-1.
        seed: >= 0.
        weight: > 0, of the boundary in the loss; 1 in the sources.

    Raises:
        InputError: arguments out of range.
    """
    if preset not in get_args(Preset):
        raise InputError(f"preset is {preset!r}: give {', '.join(map(repr, get_args(Preset)))}")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise InputError(f"seed is {seed!r}: give an integer >= 0")
    check_number("weight", weight, low=0.0, strict=True)
    setting = SETTINGS[preset]
    natural: dict[str, Any] = {"lr": 1.0, "damping": setting.damping, "line_search": True, "geodesic": 0.75}
    settings = {
        "adam": {"lr": setting.adam_lr},
        "ngd": natural,
        "tngd": {**natural, "duration": math.inf},
    }
    plan = Plan(steps=100, batch=None, evaluate_every=5, settings=settings)
    return PoissonCube(f"poisson-cube({preset}, seed={seed}, weight={weight:g})", setting, seed, float(weight), plan)


def _generator(seed: int, number: int) -> torch.Generator:
    """Of a number of streams below 2^21 for each seed."""
    return torch.Generator().manual_seed(2**21 * seed + number)
