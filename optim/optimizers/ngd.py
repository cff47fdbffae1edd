"""The digital natural gradient, solved exactly or by conjugate gradients: the reference for the device.

Three ways to x = (C + lambda I)^-1 g, with C = M^T M and k = b m rows:

    Gram       M^T (M M^T + lambda I)^-1 s            work k^2 N / (layers' savings) + k^3 / 3, memory k^2
    Woodbury   (g - M^T (M M^T + lambda I)^-1 M g) / lambda, with M written out: the published baseline, memory k N
    CG         products with C alone: work of two or three model calls an iteration, memory N
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...devicemodel.device import Outcome
from ..curvature.batch import all_finite
from ..curvature.curvature import Curvature, CurvatureKind
from ..curvature.factor import Factor
from .base import NaturalGradient
from .cg import conjugate_gradients
from .config import BETAS, EPS, NaturalGradientConfig, Update
from .damping import Damping, check_count, check_number
from .dual_solve import solve_dual
from .least_squares import few_parameters, solve_least_squares
from .options.sketch import solve_sketched
from .step import Direction

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

GRAM_LIMIT = 5000
"""Largest k for which `NGD(method="auto")` forms the Gram matrix; above, conjugate gradients are faster (docs/speed.md)."""
_MAX_CORRECTIONS, _RESIDUAL = 4, {torch.float32: 1e-4, torch.float64: 1e-10}
"""Corrections of Woodbury's difference, and the residual over |g| that it has to reach."""


class NGD(NaturalGradient):
    """Exact damped natural gradient: theta <- theta - lr (C + lambda I)^-1 g.

    Args:
        params, lr, damping: of `NaturalGradient`; the options after * of `NaturalGradientConfig`.
        method: "gram": Cholesky's factorisation of the k x k Gram matrix in the model's type, with refinement on residuals taken
            through the layers; "cg": conjugate gradients to a residual of 1e-4, which leaves some thousandths of the step at a
            damping of 0.01; "auto": for N <= k / 2 parameters by a QR factorisation of M (`least_squares`), else Gram up to k = 5000.

    Raises:
        InputError: arguments out of range; in `step`, a singular curvature with damping 0, and as `Curvature`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.1,
        damping: Damping = 0.01,
        method: Literal["auto", "gram", "cg"] = "auto",
        *,
        curvature: CurvatureKind = "ggn",
        mc_samples: int = 1,
        seed: int = 0,
        update: Update = "sgd",
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = BETAS,
        eps: float = EPS,
        clip: float | None = None,
        process_group: ProcessGroup | None = None,
        line_search: bool = False,
        spring: float = 0.0,
        geodesic: float | None = None,
    ) -> None:
        if method not in ("auto", "gram", "cg"):
            raise InputError(f'method is {method!r}: give "auto", "gram" or "cg"')
        config = NaturalGradientConfig(
            curvature, mc_samples, seed, update, momentum, weight_decay, betas, eps, clip, process_group,
            line_search, spring, geodesic,
        )  # fmt: skip
        super().__init__(params, lr, damping, config)
        self.method = method

    def _direction(self, factor: Factor, damping: float) -> Direction:
        if not self._takes_gram(factor):
            hessian = self.config.curvature == "hessian"
            x, iterations = conjugate_gradients(
                factor, factor.gradient(), damping, tolerance=1e-4, max_iter=500, indefinite=hessian
            )
            return Direction(x, Outcome.OK, factor.cells, iterations=iterations)
        few = self.method == "auto" and few_parameters(factor)
        x_found = (solve_least_squares if few else solve_dual)(factor, damping)
        return Direction(x_found, Outcome.NOT_FINITE if x_found is None else Outcome.OK, factor.cells)

    def _takes_gram(self, factor: Factor) -> bool:
        """Whether M is used, and not only products with C."""
        return self.method == "gram" or (
            self.method == "auto" and (factor.cells <= GRAM_LIMIT or few_parameters(factor))
        )

    def _uses_blocks(self, curvature: Curvature) -> bool:
        return self._takes_gram(curvature)


class NGDCG(NaturalGradient):
    """Natural gradient by conjugate gradients on products with C: no assumption on samples, nothing of size k.

    Args:
        params, lr, damping: of `NaturalGradient`; the options after * of `NaturalGradientConfig`.
        tolerance: of the residual, relative to g, in [0, 1).
        max_iter: limit of iterations.
        warm_start: start from the x of the step before.

    Raises:
        InputError: arguments out of range; in `step`, as `Curvature`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.1,
        damping: Damping = 0.01,
        tolerance: float = 1e-3,
        max_iter: int = 50,
        warm_start: bool = False,
        *,
        curvature: CurvatureKind = "ggn",
        mc_samples: int = 1,
        seed: int = 0,
        update: Update = "sgd",
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = BETAS,
        eps: float = EPS,
        clip: float | None = None,
        process_group: ProcessGroup | None = None,
        line_search: bool = False,
        spring: float = 0.0,
        geodesic: float | None = None,
    ) -> None:
        check_number("tolerance", tolerance, low=0.0, below=1.0)
        check_count("max_iter", max_iter, "iterations")
        if geodesic is not None:
            raise InputError(f"geodesic is {geodesic}, and its right-hand side needs the rows of M: take NGD")
        config = NaturalGradientConfig(
            curvature, mc_samples, seed, update, momentum, weight_decay, betas, eps, clip, process_group,
            line_search, spring, geodesic,
        )  # fmt: skip
        super().__init__(params, lr, damping, config)
        self.tolerance, self.max_iter, self.warm_start = tolerance, max_iter, warm_start

    def _direction(self, factor: Factor, damping: float) -> Direction:
        first: list[Tensor] | None = None
        parameters = self._parameters()
        if self.warm_start and all("solution" in self.state[p] for p in parameters if p.requires_grad):
            first = [self.state[p].get("solution", torch.zeros_like(p)) for p in parameters]
        hessian = self.config.curvature == "hessian"
        x, iterations = conjugate_gradients(
            factor, factor.gradient(), damping, self.tolerance, self.max_iter, first, indefinite=hessian
        )
        if self.warm_start and all_finite(*x):
            for p, part in zip(parameters, x, strict=True):
                self.state[p]["solution"] = part.clone()
        return Direction(x, Outcome.OK, 0, iterations=iterations)

    def _uses_blocks(self, curvature: Curvature) -> bool:
        return False


class NGDWoodbury(NaturalGradient):
    """Natural gradient by Woodbury's identity with the (k, N) matrix M written out, the published baseline.

    x is corrected by its residual until that is 1e-4 of g (float64: 1e-10). Where the identity's two terms cancel so far that it does not
    fall, as in float32 with a small damping, the dual system is solved as by `NGD`.

    Args:
        params, lr, damping: of `NaturalGradient`, damping > 0; the options after * of `NaturalGradientConfig`.
        sketch: rank of a randomised Nystrom approximation of K, with which conjugate gradients solve the system to a relative error of 1e-8
            of the step (float32: 1e-4) without K (`options.sketch`); about as many as K has eigenvalues above the damping. Where they do
            not, and where the gradient is not in the range of the curvature, the system is solved as without it. None: never.

    Raises:
        InputError: as `NGD`; damping 0.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.1,
        damping: Damping = 0.01,
        sketch: int | None = None,
        *,
        curvature: CurvatureKind = "ggn",
        mc_samples: int = 1,
        seed: int = 0,
        update: Update = "sgd",
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = BETAS,
        eps: float = EPS,
        clip: float | None = None,
        process_group: ProcessGroup | None = None,
        line_search: bool = False,
        spring: float = 0.0,
        geodesic: float | None = None,
    ) -> None:
        config = NaturalGradientConfig(
            curvature, mc_samples, seed, update, momentum, weight_decay, betas, eps, clip, process_group,
            line_search, spring, geodesic,
        )  # fmt: skip
        super().__init__(params, lr, damping, config)
        self.sketch = None if sketch is None else check_count("sketch", sketch, "random vectors")

    def _direction(self, factor: Factor, damping: float) -> Direction:
        check_number("damping", damping, low=0.0, strict=True)
        M, gradient = factor.jacobian(), factor.gradient()
        if self.sketch is not None and factor.remainder is None and all_finite(M):
            found = solve_sketched(M, factor.sources, damping, self.sketch, self._generator)
            if found is not None:
                return Direction(_shaped(found[0].to(M.dtype), gradient), Outcome.OK, factor.cells, iterations=found[1])
        g = torch.cat([part.reshape(-1) for part in gradient])
        K = (M @ M.mT).double()
        if not all_finite(K):
            return Direction(None, Outcome.NOT_FINITE, factor.cells)
        K.diagonal().add_(damping)
        factors = torch.linalg.lu_factor(K)
        x, r, size = torch.zeros_like(g), g, float(g.norm())
        for _ in range(
            _MAX_CORRECTIONS
        ):  # the difference cancels where damping is small, and the residual tells by how much
            inner = torch.linalg.lu_solve(*factors, (M @ r).double().unsqueeze(1)).squeeze(1)
            x = x + (r - inner.to(g.dtype) @ M) / damping
            r = g - (M @ x) @ M - damping * x
            before, size = size, float(r.norm())
            if size <= _RESIDUAL[g.dtype] * float(g.norm()):
                return Direction(_shaped(x, gradient), Outcome.OK, factor.cells)
            if not size < before / 2:
                break
        found_dual = solve_dual(factor, damping)
        return Direction(found_dual, Outcome.NOT_FINITE if found_dual is None else Outcome.OK, factor.cells)


def _shaped(x: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """A flat N-vector in the shapes of the parameters."""
    parts = x.split([part.numel() for part in like])
    return [part.reshape(shape.shape) for part, shape in zip(parts, like, strict=True)]
