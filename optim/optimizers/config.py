"""The options that all natural-gradient optimizers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Literal, TypeAlias

from ...circuits.errors import InputError
from ..curvature.curvature import CURVATURE_KINDS, CurvatureKind
from .damping import check_count, check_number

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

Update: TypeAlias = Literal["sgd", "adam"]
"""What takes x in place of the gradient."""
BETAS, EPS = (0.9, 0.999), 1e-8


@dataclass(frozen=True)
class NaturalGradientConfig:
    """Options besides the learning rate and the damping.

    Args:
        curvature: "ggn", the generalised Gauss-Newton matrix; "fisher", the same matrix, for a loss that is a negative log-likelihood;
            "mc-fisher", its Monte-Carlo estimate from labels drawn from the model; "empirical", the empirical Fisher matrix;
            "hessian", of the loss, for conjugate gradients only.
        mc_samples: labels drawn for each sample, >= 1 ("mc-fisher" only).
        seed: of the drawn labels.
        update: "sgd", or "adam": Adam's moments are taken of x in place of the gradient.
        momentum: in [0, 1), of "sgd": theta <- theta - lr v, v <- momentum v + x.
        weight_decay: >= 0, added to x, outside the curvature (decoupled).
        betas, eps: of "adam" only; arXiv 2405.13817 takes betas = (0, 0) for its language model.
        clip: largest norm of lr x over all parameters; None is no limit.
        process_group: of torch.distributed: the batches of all its processes are one, of equal weight, and every process takes the
            same step. Run a DistributedDataParallel model under its `no_sync()`, since no gradient is reduced. None is this process alone.

    Raises:
        InputError: an option out of range, or without effect beside the others (such as betas with "sgd").
    """

    curvature: CurvatureKind = "ggn"
    mc_samples: int = 1
    seed: int = 0
    update: Update = "sgd"
    momentum: float = 0.0
    weight_decay: float = 0.0
    betas: tuple[float, float] = BETAS
    eps: float = EPS
    clip: float | None = None
    process_group: ProcessGroup | None = None

    def __post_init__(self) -> None:
        if self.curvature not in CURVATURE_KINDS:
            raise InputError(f"curvature is {self.curvature!r}: give one of {', '.join(CURVATURE_KINDS)}")
        check_count("mc_samples", self.mc_samples, "labels drawn for each sample")
        if not isinstance(self.seed, Integral) or self.seed < 0:
            raise InputError(f"seed is {self.seed!r}: give an integer >= 0")
        if self.mc_samples > 1 and self.curvature != "mc-fisher":
            raise InputError(
                f'mc_samples is {self.mc_samples}, but the curvature "{self.curvature}" draws no labels: leave it out, or give '
                'curvature="mc-fisher"'
            )
        if self.update not in ("sgd", "adam"):
            raise InputError(f'update is {self.update!r}: give "sgd" or "adam"')
        check_moments(self.update, self.momentum, self.betas, self.eps)
        check_number("weight_decay", self.weight_decay, low=0.0)
        if self.clip is not None:
            check_number("clip", self.clip, low=0.0, strict=True)


def check_moments(update: Update, momentum: float, betas: Sequence[float], eps: float) -> None:
    """InputError for a number out of range, and for one that the update does not use."""
    if not isinstance(betas, Sequence) or isinstance(betas, str) or len(betas) != 2:
        raise InputError(f"betas is {betas!r}: give two numbers in [0, 1)")
    for name, value in (("momentum", momentum), ("betas", betas[0]), ("betas", betas[1])):
        check_number(name, value, low=0.0, below=1.0)
    check_number("eps", eps, low=0.0, strict=update == "adam")
    if update == "adam" and momentum > 0:
        raise InputError(f'momentum is {momentum} with update="adam", which has its own: leave it out')
    if update == "sgd" and (tuple(betas) != BETAS or eps != EPS):
        raise InputError(
            f'betas are {betas}, eps {eps} with update="sgd", which has neither: leave them out, or give update="adam"'
        )
