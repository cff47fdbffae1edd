"""Natural gradient descent: the step that the digital baseline and the device share, and the digital solution.

theta <- theta - lr x,   (G + lambda I) x = g
"""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ..circuits.errors import InputError
from ..devicemodel.device import Outcome
from .batch import Closure, evaluate
from .curvature import Curvature


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
    """

    loss: float
    outcome: Outcome
    cells: int
    analog_seconds: float
    attempts: int
    digital_seconds: float
    device_seconds: float

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


class NaturalGradient(Optimizer):
    """Base of `NGD` and `TNGD`: runs the closure, builds the curvature, applies the direction.

    Attributes:
        last: `StepRecord` of the latest step, None before the first.
    """

    last: StepRecord | None

    def __init__(self, params: Iterable[Any], lr: float, damping: float, **options: Any) -> None:
        _check_number("lr", lr, low=0.0)
        super().__init__(params, {"lr": lr, "damping": damping, **options})
        self.last = None
        self._verified = False
        self._damping()
        dtypes = {p.dtype for p in self._parameters()}
        if len(dtypes) != 1 or not dtypes <= {torch.float32, torch.float64}:
            raise InputError(f"parameters are of {sorted(map(str, dtypes))}: give all in float32, or all in float64")

    def step(self, closure: Closure) -> float:  # type: ignore[override]
        """One update.

        A loss, a curvature or a reading that is not finite leaves the parameters and moments as they are;
        `last.outcome` says so. The first step also checks the curvature against the model's backward pass
        (`GGN.verify`).

        Args:
            closure: runs the model on a batch and returns (loss, outputs), outputs of shape (b, c); it must not call
                backward.

        Returns:
            The loss before the update.
        """
        start = time.perf_counter()
        damping = self._damping()
        batch = evaluate(closure)
        loss = float(batch.loss.detach())
        if math.isfinite(loss) and bool(torch.isfinite(batch.outputs).all()):
            ggn = Curvature(batch, self._parameters(), known_curved=self._verified)
            if not self._verified:
                ggn.verify()
            direction = self._direction(ggn, damping)
            self._verified = True
        else:
            direction = Direction(None, Outcome.NOT_FINITE, 0)
        if direction.x is not None and not all(bool(torch.isfinite(part).all()) for part in direction.x):
            direction = Direction(
                None,
                Outcome.NOT_FINITE,
                direction.cells,
                direction.analog_seconds,
                direction.attempts,
                direction.device_seconds,
            )
        if direction.x is not None:
            with torch.no_grad():
                self._update(direction.x)
        self.last = StepRecord(
            loss,
            direction.outcome,
            direction.cells,
            direction.analog_seconds,
            direction.attempts,
            digital_seconds=time.perf_counter() - start - direction.device_seconds,
            device_seconds=direction.device_seconds,
        )
        return loss

    def state_dict(self) -> dict[str, Any]:
        """torch's optimizer state, and whether the model has been checked."""
        return {**super().state_dict(), "verified": self._verified}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a state of `state_dict`."""
        super().load_state_dict({key: state_dict[key] for key in ("state", "param_groups")})
        self._verified = bool(state_dict.get("verified", False))

    @abstractmethod
    def _direction(self, ggn: Curvature, damping: float) -> Direction:
        """x for this batch."""

    def _update(self, direction: list[Tensor]) -> None:
        parts = iter(direction)
        for group in self.param_groups:
            for p in group["params"]:
                x = next(parts)
                if p.requires_grad:
                    p.add_(x, alpha=-float(group["lr"]))

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _damping(self) -> float:
        values = [group["damping"] for group in self.param_groups]
        if any(value != values[0] for value in values):
            raise InputError(
                f"damping differs between parameter groups ({values}): all groups share one curvature matrix, so give "
                "one value"
            )
        return _check_number("damping", values[0], low=0.0)


class NGD(NaturalGradient):
    """Exact damped natural gradient by the digital computer: theta <- theta - lr (G + lambda I)^-1 g.

    By the push-through identity x = J^T L u with (K + lambda I) u = s, K the (k, k) Gram matrix: Cholesky in float64
    with one step of iterative refinement, whatever the model's type (in float32 alone the solution misses 1e-3 at small
    damping).

    Args:
        params: parameters or parameter groups (each may have its own lr).
        lr: learning rate.
        damping: lambda > 0, one value for all groups.

    Raises:
        InputError: arguments out of range; in `step`, K + lambda I not positive definite in float64, and what `GGN`
            refuses.
    """

    def __init__(self, params: Iterable[Any], lr: float = 0.1, damping: float = 0.01) -> None:
        super().__init__(params, lr, damping)

    def _direction(self, ggn: Curvature, damping: float) -> Direction:
        A, s = ggn.gram(), ggn.sources
        if not bool(torch.isfinite(A).all()):
            return Direction(None, Outcome.NOT_FINITE, ggn.cells)
        A.diagonal().add_(damping)
        factor, info = torch.linalg.cholesky_ex(A)
        if int(info) != 0:
            raise InputError(
                f"the Gauss-Newton matrix with damping {damping} is not positive definite in float64: raise damping"
            )
        u = torch.cholesky_solve(s[:, None], factor)
        u = u + torch.cholesky_solve(s[:, None] - A @ u, factor)
        return Direction(ggn.pullback(u[:, 0]), Outcome.OK, ggn.cells)


def _check_number(name: str, value: Any, low: float, strict: bool = False) -> float:
    number = float(value)
    if not math.isfinite(number) or number < low or (strict and number == low):
        raise InputError(f"{name} is {value}: give a finite number {'>' if strict else '>='} {low}")
    return number
