"""Thermodynamic natural gradient descent: the device relaxes towards the natural gradient, and is read on the way.

Why k cells are enough. The paper's device has N cells, dx/dt = -((G + lambda I) x - g), x(0) = g. With G = J^T L L^T J
and g = J^T L s, let u follow the dual flow of k = b m cells

    du/dt = -((lambda I + K) u - s),   u(0) = s,   K = L^T J J^T L.

Then x(t) = J^T L u(t) at every t: it holds at t = 0, J^T L s = g; and J^T L du/dt = -(lambda J^T L u + J^T L L^T J J^T
L u - J^T L s) = -((lambda I + G) x - g), the flow of x, whose solution is unique. So t = 0 gives the gradient (SGD), t
= inf the exact natural gradient (lambda I + G)^-1 g, and in between the same path, from a matrix whose size does not
grow with the network. The noise differs: the dual device's reaches the parameters through J^T L, the primal one's is
white over parameters.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor

from ..circuits.errors import InputError
from ..devicemodel.device import Device, Outcome, Solution
from ..devicemodel.ideal import IdealDevice
from ..devicemodel.systems import Dense, LowRank
from .curvature import Curvature
from .ngd import Direction, NaturalGradient, _check_number


class TNGD(NaturalGradient):
    """theta <- theta - lr x(t), with x(t) read from an analog device; arXiv 2405.13817.

    Args:
        params: parameters or parameter groups (each may have its own lr).
        lr: learning rate.
        damping: lambda >= 0, one value for all groups.
        analog_time: t >= 0 in tau, the run before the reading; 0 is SGD, math.inf the exact natural gradient.
        delay_time: tau that the device runs on, with the old matrix and drive, between a reading and the next upload.
            Acts through the state that is carried on, so it needs reset=False and the primal system.
        reset: True starts each run at the gradient; False goes on from the state the device is in (the first run, and
            the one after a skipped step, start at the gradient). False needs the primal system: the dual cells stand
            for the outputs of a batch, so a state carried to the next batch would mean nothing.
        device: any `Device`; `IdealDevice()` by default.
        update: "sgd", or "adam": x takes the place of the gradient in Adam's moments.
        betas, eps: of Adam; (0, 0) is the paper's choice for its language model.
        system: "dual" programs k cells, "primal" the paper's N cells with the low-rank factors.

    A clipped reading is applied, an unstable or non-finite one skipped; `last` records it. `state_dict` holds the
    device's state, so a resumed run is bit-exact.

    Raises:
        InputError: arguments out of range or not compatible; in `step`, what `GGN` and the device refuse.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.1,
        damping: float = 0.01,
        analog_time: float = 50.0,
        delay_time: float = 0.0,
        reset: bool = True,
        device: Device | None = None,
        update: Literal["sgd", "adam"] = "sgd",
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        system: Literal["dual", "primal"] = "dual",
    ) -> None:
        if math.isnan(analog_time) or analog_time < 0:
            raise InputError(f"analog_time is {analog_time}: give tau >= 0 (math.inf for the settled state)")
        _check_number("delay_time", delay_time, low=0.0)
        if update not in ("sgd", "adam") or system not in ("dual", "primal"):
            raise InputError(f'update is {update!r}, system {system!r}: give "sgd" or "adam", and "dual" or "primal"')
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise InputError(f"betas are {betas}: give two numbers in [0, 1)")
        _check_number("eps", eps, low=0.0, strict=update == "adam")
        if system == "dual" and not reset:
            raise InputError(
                'reset=False needs system="primal": the dual cells stand for the outputs of one batch, and a state '
                "carried to the next batch has no meaning there"
            )
        if delay_time > 0 and reset:
            raise InputError(
                f"delay_time is {delay_time} but the state is reset at each upload, so the delay has no effect: give "
                'reset=False and system="primal"'
            )
        super().__init__(params, lr, damping, betas=tuple(betas), eps=eps)
        self.analog_time, self.delay_time, self.reset = float(analog_time), float(delay_time), reset
        self.mode, self.system = update, system
        self.device: Device = IdealDevice() if device is None else device
        self._carried = False  # whether the device holds a state of the run so far

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's own state, and the device's."""
        return {**super().state_dict(), "device": self.device.state_dict(), "carried": self._carried}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a state, device included. InputError for the state of another kind of optimizer."""
        if "device" not in state_dict:
            raise InputError("the state has no entry 'device': it was not saved by TNGD")
        super().load_state_dict(state_dict)
        self.device.load_state_dict(state_dict["device"])
        self._carried = bool(state_dict["carried"])

    def _direction(self, ggn: Curvature, damping: float) -> Direction:
        return self._dual(ggn, damping) if self.system == "dual" else self._primal(ggn, damping)

    def _dual(self, ggn: Curvature, damping: float) -> Direction:
        A, s = ggn.gram(), ggn.sources
        if not bool(torch.isfinite(A).all()):
            return Direction(None, Outcome.NOT_FINITE, ggn.cells)
        A.diagonal().add_(damping)
        start = time.perf_counter()
        solution = self.device.solve(Dense(A), s, self.analog_time, x0=s)
        spent = time.perf_counter() - start
        x = ggn.pullback(solution.x) if solution.outcome.readable else None
        return Direction(x, solution.outcome, ggn.cells, solution.seconds, solution.attempts, spent)

    def _primal(self, ggn: Curvature, damping: float) -> Direction:
        J, gradient = ggn.jacobian(), ggn.gradient()
        g = torch.cat([part.reshape(-1) for part in gradient])
        if not bool(torch.isfinite(J).all()):
            return Direction(None, Outcome.NOT_FINITE, g.numel())
        start = time.perf_counter()
        fresh = self.reset or not self._carried
        solution = self.device.solve(LowRank(J, None, damping), g, self.analog_time, x0=g if fresh else None)
        seconds, attempts = solution.seconds, solution.attempts
        self._carried = solution.outcome.readable
        if self.delay_time > 0 and self._carried:
            late: Solution = self.device.evolve(self.delay_time)
            seconds, attempts = seconds + late.seconds, attempts + late.attempts
            self._carried = late.outcome.readable
        spent = time.perf_counter() - start
        x: list[Tensor] | None = None
        if solution.outcome.readable:
            sizes = [part.numel() for part in gradient]
            x = [piece.reshape(part.shape) for piece, part in zip(solution.x.split(sizes), gradient, strict=True)]
        return Direction(x, solution.outcome, g.numel(), seconds, attempts, spent)

    def _update(self, direction: list[Tensor]) -> None:
        if self.mode == "sgd":
            super()._update(direction)
            return
        parts = iter(direction)
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                x = next(parts)
                if not p.requires_grad:
                    continue
                state = self.state[p]
                if not state:
                    state.update(step=0, exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))
                state["step"] += 1
                state["exp_avg"].lerp_(x, 1 - beta1)
                state["exp_avg_sq"].mul_(beta2).addcmul_(x, x, value=1 - beta2)
                scale = math.sqrt(1 - beta2 ** state["step"])
                denominator = state["exp_avg_sq"].sqrt().div_(scale).add_(group["eps"])
                p.addcdiv_(state["exp_avg"], denominator, value=-float(group["lr"]) / (1 - beta1 ** state["step"]))
