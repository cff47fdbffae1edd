"""K-FAC: the natural gradient with Kronecker factors, layer by layer, solved digitally.

x_l = (B (x) A + lambda I)^-1 g_l exactly, by the eigenvectors of both factors: with G_l the gradient as a matrix,
X = U_B [ (U_B^T G U_A) / (b a^T + lambda) ] U_A^T. With factored damping each factor has its own,
(B + sqrt(lambda) / pi I) (x) (A + pi sqrt(lambda) I), pi^2 the ratio of their mean eigenvalues (J. Martens and R. Grosse, arXiv 1503.05671,
section 6.3): the system that a device of the factors' width can solve (`devicemodel.host.kronecker_columns`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...devicemodel.device import Outcome
from ...devicemodel.host.kronecker_columns import trace_ratio
from ..curvature.batch import all_finite
from ..curvature.curvature import CurvatureKind
from ..curvature.factor import Factor
from ..curvature.kronecker import KroneckerBlock, WholeBlock, kronecker_blocks
from .base import NaturalGradient
from .config import BETAS, EPS, NaturalGradientConfig, Update
from .damping import Damping, check_count, check_number
from .step import Direction

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class KFAC(NaturalGradient):
    """Natural gradient with the curvature's Kronecker factors.

    Args:
        params, lr, damping: of `NaturalGradient`; the options after * of `NaturalGradientConfig`. curvature="mc-fisher" is the usual
            K-FAC: one backward pass for the factors.
        ema_decay: of the factors' exponential moving averages, in [0, 1).
        refresh: steps between eigendecompositions of the factors.
        factored_damping: True: damps each factor in place of their product, as `TNGD(system="kfac")` does. Parameters without factors keep
            the damping lambda.

    Raises:
        InputError: arguments out of range; in `step`, as `Curvature` and `kronecker_blocks`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.1,
        damping: Damping = 0.01,
        ema_decay: float = 0.95,
        refresh: int = 10,
        factored_damping: bool = False,
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
        check_count("refresh", refresh, "steps")
        check_number("ema_decay", ema_decay, low=0.0, below=1.0)
        if not isinstance(factored_damping, bool):
            raise InputError(f"factored_damping is {factored_damping!r}: give True or False")
        if spring or geodesic is not None:
            raise InputError(
                f"spring is {spring}, geodesic {geodesic} with Kronecker factors, which solve another system than that of M: take NGD"
            )
        config = NaturalGradientConfig(
            curvature, mc_samples, seed, update, momentum, weight_decay, betas, eps, clip, process_group,
            line_search, spring, geodesic,
        )  # fmt: skip
        super().__init__(params, lr, damping, config)
        self.ema_decay, self.refresh, self.factored_damping = float(ema_decay), refresh, factored_damping

    def _direction(self, factor: Factor, damping: float) -> Direction:
        check_number("damping", damping, low=0.0, strict=True)
        gradient = factor.gradient()
        blocks = kronecker_blocks(factor, self.state, self.ema_decay) if all_finite(*gradient) else None
        if blocks is None:
            return Direction(None, Outcome.NOT_FINITE, 0)
        x = [torch.zeros_like(part) for part in gradient]
        cells = 0
        for block in blocks:
            g = block.gather(gradient)
            cells += g.numel()
            if isinstance(block, WholeBlock):
                block.scatter(_whole(block, g, damping), x)
            else:
                block.scatter(self._by_eigenvectors(block, g, damping), x)
        return Direction(x, Outcome.OK, cells)

    def _keeps_sensitivities(self) -> bool:
        return True

    def _by_eigenvectors(self, block: KroneckerBlock, g: Tensor, damping: float) -> Tensor:
        state = self.state[self._parameters()[block.weight]]
        if "basis" not in state or self._steps % self.refresh == 0:
            state["basis"] = [*_eigenvectors(block.outputs), *_eigenvectors(block.inputs)]
        b, U, a, V = state["basis"]
        G = g.reshape(len(b), len(a))
        b, a = b.clamp(min=0), a.clamp(min=0)
        if self.factored_damping:
            s, pi = math.sqrt(damping), trace_ratio(b, a)
            eigenvalues = torch.outer(pi * b + s, a / pi + s)
        else:
            eigenvalues = torch.outer(b, a) + damping
        inner = (U.mT @ G @ V) / eigenvalues
        return (U @ inner @ V.mT).reshape(-1)


def _eigenvectors(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors; in float64 where LAPACK fails in single precision, by an error or by values that are not finite."""
    try:
        w, V = torch.linalg.eigh(matrix)
        found = all_finite(w, V)
    except torch.linalg.LinAlgError:
        found = False
    if not found:
        w, V = (part.to(matrix.dtype) for part in torch.linalg.eigh(matrix.double()))
    return w, V


def _whole(block: WholeBlock, g: Tensor, damping: float) -> Tensor:
    """(M^T M + damping I)^-1 g, solved in the smaller of the two spaces."""
    M = block.rows.double()
    if len(M) < M.shape[1]:
        K = M @ M.mT
        K.diagonal().add_(damping)
        w = torch.linalg.solve(K, M @ g.double())
        return ((g.double() - M.mT @ w) / damping).to(g.dtype)
    C = M.mT @ M
    C.diagonal().add_(damping)
    return torch.linalg.solve(C, g.double()).to(g.dtype)
