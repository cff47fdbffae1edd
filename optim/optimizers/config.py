"""The options that all natural-gradient optimizers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

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
        line_search: theta <- theta - t lr x with t = 1, 1/2, 1/4, ... where the loss of the same batch is least (`line_search`), so that lr
            is the longest step; where none reduces the loss the parameters stay. `LevenbergMarquardt` adapts lambda after whole steps, and
            after those that were not taken.
        spring: mu in [0, 1), SPRING's momentum (`spring`); 0 is none.
        geodesic: alpha > 0: steps bend by the geodesic acceleration a as long as t |a| <= alpha |v| (`geodesic`); 0.75 is usual. None is
            straight steps. For squared errors.

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
    line_search: bool = False
    spring: float = 0.0
    geodesic: float | None = None

    @property
    def along_path(self) -> bool:
        """Whether a step goes along a path, on which the closure is evaluated."""
        return self.line_search or self.geodesic is not None

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
        check_path(self, {})
        check_spring(self)


def check_path(config: NaturalGradientConfig, group: Mapping[str, Any]) -> None:
    """InputError for a line search or an acceleration beside what changes the step, in the options or those of a parameter group."""
    if not isinstance(config.line_search, bool):
        raise InputError(f"line_search is {config.line_search!r}: give True or False")
    if config.geodesic is not None:
        check_number("geodesic", config.geodesic, low=0.0, strict=True)
        if config.curvature not in ("ggn", "fisher"):
            raise InputError(
                f'geodesic is {config.geodesic} with curvature="{config.curvature}": it goes with a Gauss-Newton step; leave '
                "it out"
            )
        if config.process_group is not None:
            raise InputError("geodesic needs the outputs of all processes, and each has its own: leave it out")
    if not config.along_path:
        return
    name = "line_search" if config.line_search else "geodesic"
    if config.update == "adam":
        raise InputError(f'{name} needs update="sgd": Adam\'s step is no direction whose length a loss decides')
    for other, remedy in (
        ("momentum", "SPRING's momentum (spring) goes with it"),
        ("weight_decay", "the loss that is compared has no such term"),
    ):
        value = group.get(other, getattr(config, other))
        if value:
            raise InputError(f"{other} is {value} with {name}: leave {other} out; {remedy}")


def check_spring(config: NaturalGradientConfig) -> None:
    """InputError for SPRING's momentum out of range, or beside another one."""
    check_number("spring", config.spring, low=0.0, below=1.0)
    if not config.spring:
        return
    if config.update == "adam" or config.momentum:
        raise InputError(
            f"spring is {config.spring} with {'Adam' if config.update == 'adam' else 'momentum'}: give one of the two"
        )
    if config.curvature == "hessian":
        raise InputError(f'spring is {config.spring} with curvature="hessian", which may be indefinite: take "ggn"')


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
