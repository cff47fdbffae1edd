"""What natural-gradient optimizers can be told, what one step found, and what it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from ...circuits.errors import InputError
from ...devicemodel.device import Outcome
from ..curvature.curvature import KINDS, Kind
from .damping import check_number


@dataclass(frozen=True)
class StepRecord:
    """What one step did.

    Attributes:
        loss: of the batch, before the update.
        outcome: of the device (OK for a digital solution). Nothing was updated unless `outcome.readable`.
        cells: size of the system solved, 0 when it was not reached.
        analog_seconds: s, physical time of the device, delays included.
        attempts: runs of the device.
        digital_seconds: s, measured: forward, curvature, gradient, mapping and update (and the solution, where it is
            digital).
        device_seconds: s, measured: what simulating the device took.
        damping: lambda of the step.
        iterations: of an iterative solution, 0 for a direct one.
        fallbacks: positions, among all parameters, of those whose Jacobian was taken sample by sample for want of a direct form.
    """

    loss: float
    outcome: Outcome
    cells: int
    analog_seconds: float
    attempts: int
    digital_seconds: float
    device_seconds: float
    damping: float = 0.0
    iterations: int = 0
    fallbacks: tuple[int, ...] = ()

    @property
    def applied(self) -> bool:
        """Whether the parameters were updated."""
        return self.outcome.readable


@dataclass(frozen=True, eq=False)
class Direction:
    """The preconditioned gradient x, shaped as the parameters (None: nothing to apply), and how it came about."""

    x: list[Tensor] | None
    outcome: Outcome
    cells: int
    analog_seconds: float = 0.0
    attempts: int = 0
    device_seconds: float = 0.0
    iterations: int = 0


@dataclass(frozen=True)
class Recipe:
    """What every natural-gradient optimizer can be told besides its learning rate and damping.

    Args:
        curvature: "ggn", "fisher", "mc-fisher" (labels drawn from the model), "empirical", or "hessian" (`NGDCG` only).
        labels: drawn for each sample by "mc-fisher", >= 1.
        seed: of the drawn labels.
        update: "sgd", or "adam": x takes the place of the gradient in Adam's moments.
        momentum: in [0, 1), of "sgd": theta <- theta - lr v, v <- momentum v + x.
        weight_decay: >= 0, added to x, outside the curvature.
        betas, eps: of Adam; (0, 0) is the paper's choice for its language model.
        clip: largest norm of lr x over all parameters; None is no limit.
        process_group: of torch.distributed: the batches of all its processes are one, of equal weight, and every process takes the
            same step. Run a DistributedDataParallel model under its `no_sync()`, since no gradient is reduced. None is this process alone.
    """

    curvature: Kind = "ggn"
    labels: int = 1
    seed: int = 0
    update: Literal["sgd", "adam"] = "sgd"
    momentum: float = 0.0
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    clip: float | None = None
    process_group: Any = None

    def __post_init__(self) -> None:
        if self.curvature not in KINDS:
            raise InputError(f"curvature is {self.curvature!r}: give one of {', '.join(KINDS)}")
        if self.labels < 1 or self.seed < 0:
            raise InputError(f"labels is {self.labels}, seed {self.seed}: give labels >= 1 and seed >= 0")
        if self.update not in ("sgd", "adam"):
            raise InputError(f'update is {self.update!r}: give "sgd" or "adam"')
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in (*self.betas, self.momentum)):
            raise InputError(f"betas are {self.betas}, momentum {self.momentum}: give numbers in [0, 1)")
        if self.momentum > 0 and self.update == "adam":
            raise InputError(f"momentum is {self.momentum} with Adam's update, which has its own: leave it at 0")
        check_number("eps", self.eps, low=0.0, strict=self.update == "adam")
        check_number("weight_decay", self.weight_decay, low=0.0)
        if self.clip is not None:
            check_number("clip", self.clip, low=0.0, strict=True)
