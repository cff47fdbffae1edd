"""The natural-gradient step that the digital optimizers and the device share.

theta <- theta - lr (x + weight_decay theta),   (C + lambda I) x = g

with C the curvature of the batch; momentum, or Adam's moments, are taken of x in place of the gradient.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import math
import time
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ...circuits.errors import InputError
from ...devicemodel.device import Outcome
from ..curvature import distributed
from ..curvature.assignment import Structure
from ..curvature.batch import Closure, all_finite, evaluate
from ..curvature.curvature import CallShapes, Curvature
from ..curvature.factor import DetachedFactor, Factor
from ..curvature.gradient_scaling import reject_scaler
from ..curvature.losses.likelihood import Likelihood
from ..curvature.residuals.residual_loss import residual_rows
from ..curvature.stacked_factor import StackedFactor
from .config import NaturalGradientConfig, check_moments
from .damping import Damping, LevenbergMarquardt, check_number
from .notices import warn_of_rows, warn_of_statistics
from .step import Direction, StepRecord


class NaturalGradient(Optimizer):
    """Base class: runs the closure, builds the curvature, applies the direction that a subclass finds.

    Args:
        params: parameters or parameter groups. A group may have its own lr, weight_decay, momentum, betas, eps and, where `damping` is a
            number, damping: lambda I is a diagonal matrix then, and the system is solved in coordinates scaled by sqrt(lambda_0 /
            lambda_group).
        lr: learning rate.
        damping: lambda >= 0, a function of the steps done, or `LevenbergMarquardt`.
        config: the other options, of which each optimizer takes the fields by name.

    Raises:
        InputError: a number out of range; parameters that are not all float32, or all float64.
    """

    def __init__(self, params: Iterable[Any], lr: float, damping: Damping, config: NaturalGradientConfig) -> None:
        check_number("lr", lr, low=0.0)
        if isinstance(damping, type) or not (
            isinstance(damping, int | float | LevenbergMarquardt) or callable(damping)
        ):
            raise InputError(
                f"damping is {damping!r}: give a number, a function of the steps done, or LevenbergMarquardt()"
            )
        self.config = config
        self.policy = damping
        fixed = damping if isinstance(damping, int | float) else None
        of_groups: dict[str, Any] = {"weight_decay": self.config.weight_decay}
        if self.config.update == "adam":  # (schedulers that cycle momentum look which of the two there is)
            of_groups |= {"betas": tuple(self.config.betas), "eps": self.config.eps}
        else:
            of_groups["momentum"] = self.config.momentum
        super().__init__(params, {"lr": lr, "damping": fixed, **of_groups})
        self._last: StepRecord | None = None
        self._verified_shapes: dict[CallShapes, Structure] = {}
        self._likelihood: Likelihood | None = None
        self._steps = 0
        self._adapted = damping.start if isinstance(damping, LevenbergMarquardt) else None
        group = self.config.process_group
        rank = 0 if group is None else torch.distributed.get_rank(group)
        self._generator = torch.Generator().manual_seed(self.config.seed + rank)
        self._prepared: list[tuple[Closure, float, Curvature | DetachedFactor | None]] = []
        self._dampings()
        dtypes = {p.dtype for p in self._parameters()}
        if len(dtypes) != 1 or not dtypes <= {torch.float32, torch.float64}:
            raise InputError(f"parameters are of {sorted(map(str, dtypes))}: give all in float32, or all in float64")

    @property
    def last(self) -> StepRecord:
        """The record of the latest step. InputError before the first."""
        if self._last is None:
            raise InputError("the optimizer has made no step yet, of which `last` would be the record: call step first")
        return self._last

    @property
    def _step_supports_amp_scaling(self) -> bool:
        """Asked by `GradScaler.step` before it steps."""
        reject_scaler()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with settings of their own.

        Raises:
            InputError: a setting out of range, one that the update does not use, or an option that is one for all groups.
        """
        config = self.config
        of_groups = ("params", "lr", "damping", "weight_decay", "momentum", "betas", "eps")
        for name in inspect.signature(type(self)).parameters:
            if name in param_group and name not in of_groups:
                raise InputError(
                    f"a parameter group has {name}, which is one for all groups: give it to {type(self).__name__}"
                )
        for name in ("betas", "eps") if config.update == "sgd" else ("momentum",):
            if name in param_group:
                raise InputError(
                    f'a parameter group has {name}, which update="{config.update}" does not use: leave it out'
                )
        for name in ("lr", "weight_decay"):
            check_number(name, param_group.get(name, 0.0), low=0.0)
        momentum, betas, eps = (param_group.get(name, getattr(config, name)) for name in ("momentum", "betas", "eps"))
        check_moments(config.update, momentum, betas, eps)
        super().add_param_group(param_group)

    def prepare(self, closure: Closure) -> float:
        """Run the model on a micro-batch and keep its curvature for the next `step`, in which all prepared micro-batches have equal weight.

        Args:
            closure: as for `step`.

        Returns:
            The loss of the micro-batch.
        """
        self._keep(closure)
        again, loss, found = self._prepared[-1]
        if isinstance(found, Curvature) and self._uses_blocks(found):
            with torch.autocast(found.batch.outputs.device.type, enabled=False):
                if not found.verified:
                    found.verify()
                self._prepared[-1] = (again, loss, found.stored())
        return loss

    def _keep(self, closure: Closure, optional: bool = False) -> None:
        """Run the closure, and keep its loss and curvature."""
        rows = residual_rows(closure, self._parameters(), self.config.curvature, self._keeps_sensitivities())
        if rows is not None:
            self._prepared.append((closure, *rows))
            return
        batch = evaluate(closure, optional, self._runs_again())
        if batch is None:
            return
        if self._steps == 0 and not self._prepared:
            warn_of_statistics(batch.recorder.statistics)
        loss = float(batch.loss.detach())
        found: Curvature | None = None
        if batch.finite:
            with torch.autocast(batch.outputs.device.type, enabled=False):
                found = Curvature(
                    batch,
                    self._parameters(),
                    self.config.curvature,
                    self.config.mc_samples,
                    self._generator,
                    previous=self._likelihood,
                    keep_sensitivities=self._keeps_sensitivities(),
                    verified=self._verified_shapes,
                )
            self._likelihood = found.likelihood or self._likelihood
        self._prepared.append((batch.again, loss, found))

    def step(self, closure: Closure | None = None) -> float:  # type: ignore[override]
        """Make one update.

        A loss or a curvature that is not finite, and a reading that is not usable, leave parameters and moments unchanged
        (`last.outcome`). The first step, and the first on a batch of another shape, also verify the curvature against the model's
        backward pass (`Curvature.verify`).

        Args:
            closure: runs the model on a batch and returns (loss, outputs), outputs of shape (b, ...); it must not call
                backward. None, or one that returns None (as Lightning gives), if micro-batches were prepared (`prepare`).

        Returns:
            The loss before the update, the mean over the micro-batches.
        """
        start = time.perf_counter()
        if closure is not None:
            self._keep(closure, optional=bool(self._prepared))
        prepared, self._prepared = self._prepared, []
        if not prepared:
            raise InputError("step() has no batch: give it a closure, or call prepare(closure) before")
        dampings = self._dampings()
        loss = self._mean(sum(part for _, part, _ in prepared) / len(prepared))
        curvatures = [found for _, _, found in prepared if found is not None]
        with torch.autocast(self._parameters()[0].device.type, enabled=False):
            direction, factor = self._solved(curvatures, len(prepared) == len(curvatures), dampings)
        if direction.x is not None and not all_finite(*direction.x):
            direction = dataclasses.replace(direction, x=None, outcome=Outcome.NOT_FINITE)
        if direction.x is not None:
            adapting = isinstance(self.policy, LevenbergMarquardt) and not direction.needs_damping
            before = [p.detach().clone() for p in self._parameters()] if adapting else []
            slope = factor.gradient() if adapting and factor is not None else []
            # Products through the graph are needed once more at the old parameters.
            graph = adapting and any(isinstance(one, Curvature) and not self._uses_blocks(one) for one in curvatures)
            held = torch.autograd._unsafe_preserve_version_counter(tuple(self._parameters()))
            with torch.no_grad(), held if graph else contextlib.nullcontext():
                self._update(self._clipped(direction.x))
            if adapting and factor is not None:
                self._adapt(factor, slope, before, loss, [each for each, _, _ in prepared], graph)
        if isinstance(self.policy, LevenbergMarquardt) and direction.needs_damping:
            self._adapted = self.policy.updated(dampings[0], change=math.inf, predicted=0.0)
        by_blocks = [one for one in curvatures if isinstance(one, DetachedFactor) or self._uses_blocks(one)]
        fallbacks = tuple(by_blocks[0].fallbacks) if by_blocks else ()
        if fallbacks and self._steps == 0:
            warn_of_rows(fallbacks, self._parameters())
        self._steps += 1
        self._last = StepRecord(
            loss,
            direction.outcome,
            direction.cells,
            direction.analog_seconds,
            direction.attempts,
            digital_seconds=time.perf_counter() - start - direction.device_seconds,
            device_seconds=direction.device_seconds,
            damping=dampings[0],
            iterations=direction.iterations,
            fallbacks=fallbacks,
            **direction.of_readings(),
        )
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The class's name, torch's optimizer state, the step count, the adapted damping, and the state of the labels' generator."""
        own = {
            "class": type(self).__name__,
            "steps": self._steps,
            "adapted": self._adapted,
        }
        return {**super().state_dict(), **own, "generator": self._generator.get_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state of `state_dict`.

        Raises:
            InputError: the state of another optimizer, with other options of groups or another kind of damping.
        """
        saved_by = state_dict.get("class")
        if saved_by != type(self).__name__:
            source = "was saved by another optimizer" if saved_by is None else f"was saved by {saved_by}"
            raise InputError(f"the state {source}: give one of {type(self).__name__}.state_dict()")
        now, adapts = set(self.defaults), isinstance(self.policy, LevenbergMarquardt)
        for group in state_dict["param_groups"]:
            if missing := sorted(now - set(group)):
                raise InputError(
                    f"the state's parameter groups have no {', '.join(missing)}: it was saved with another update"
                )
        if (state_dict.get("adapted") is not None) != adapts or any(
            (group["damping"] is None) != (self.defaults["damping"] is None) for group in state_dict["param_groups"]
        ):
            raise InputError("the state is of another kind of damping (a number, a function or LevenbergMarquardt)")
        super().load_state_dict({key: state_dict[key] for key in ("state", "param_groups")})
        self._steps = int(state_dict.get("steps", 0))
        self._adapted = state_dict.get("adapted", self._adapted)
        if "generator" in state_dict:
            self._generator.set_state(state_dict["generator"].cpu())

    @abstractmethod
    def _direction(self, factor: Factor, damping: float) -> Direction:
        """Solve (C + damping I) x = g for this batch."""

    def _solved(
        self, curvatures: Sequence[Curvature | DetachedFactor], finite: bool, dampings: list[float]
    ) -> tuple[Direction, Factor | None]:
        """The direction for all micro-batches together, and their factor."""
        group = self.config.process_group
        if group is not None:
            finite = distributed.on_all_ranks(finite, self._parameters()[0].device, group)
        if not finite:
            return Direction(None, Outcome.NOT_FINITE, 0), None
        for one in curvatures:
            if isinstance(one, Curvature) and self._uses_blocks(one) and not one.verified:
                one.verify()
        parts: list[Factor] = list(curvatures)
        if group is not None:
            parts = [one for own in curvatures for one in distributed.gather_factors(own, group)]
        factor = parts[0]
        scales = [dampings[0] / value if value != dampings[0] else 1.0 for value in dampings]
        if len(parts) > 1 or set(scales) != {1.0}:
            factor = StackedFactor(parts, [1 / len(parts)] * len(parts), scales)
        direction = self._direction(factor, dampings[0])
        if direction.x is not None:
            direction = dataclasses.replace(direction, x=factor.unscaled(direction.x))
        return direction, factor

    def _runs_again(self) -> bool:
        """Whether the closure is run at further parameters within a step."""
        return isinstance(self.policy, LevenbergMarquardt)

    def _uses_blocks(self, curvature: Curvature) -> bool:
        """Whether the direction comes from sensitivities of single samples."""
        return True

    def _keeps_sensitivities(self) -> bool:
        """Whether it needs the sensitivities of each layer (`Curvature`)."""
        return False

    def _adapt(
        self,
        factor: Factor,
        slope: list[Tensor],
        before: list[Tensor],
        loss: float,
        closures: Sequence[Closure],
        graph: bool,
    ) -> None:
        """Adapt lambda, with the curvature at the parameters `before`, by the graph or by the blocks."""
        assert isinstance(self.policy, LevenbergMarquardt)
        assert self._adapted is not None
        with torch.enable_grad():  # a closure may differentiate, as residuals of differential equations do
            after = self._mean(sum(float(closure()[0].detach()) for closure in closures) / len(closures))
        with torch.no_grad():
            step = factor.scaled([p.detach() - b for p, b in zip(self._parameters(), before, strict=True)])
        if graph:
            curved = self._quadratic_form(factor, step, before)
        else:
            curved = float(factor.matvec(step).double().square().sum())
        predicted = sum(float((d * g).double().sum()) for d, g in zip(step, slope, strict=True)) + curved / 2
        self._adapted = self.policy.updated(self._adapted, after - loss, predicted)

    def _quadratic_form(self, factor: Factor, step: list[Tensor], before: list[Tensor]) -> float:
        """step . C step at the parameters `before`, at which the graph was recorded."""
        parameters = self._parameters()
        now = [p.detach().clone() for p in parameters]
        with torch.no_grad(), torch.autograd._unsafe_preserve_version_counter(tuple(parameters)):
            for p, value in zip(parameters, before, strict=True):
                p.copy_(value)
        try:
            product = factor.product(step)
        finally:
            with torch.no_grad():
                for p, value in zip(parameters, now, strict=True):
                    p.copy_(value)
        return sum(float((d * c).double().sum()) for d, c in zip(step, product, strict=True))

    def _mean(self, value: float) -> float:
        """Mean over the processes of the group."""
        group = self.config.process_group
        return value if group is None else distributed.mean(value, self._parameters()[0].device, group)

    def _clipped(self, x: list[Tensor]) -> list[Tensor]:
        if self.config.clip is None:
            return x
        rates = [group["lr"] for group in self.param_groups for _ in group["params"]]
        size = math.sqrt(sum((lr * float(part.norm())) ** 2 for lr, part in zip(rates, x, strict=True)))
        return x if size <= self.config.clip else [part * (self.config.clip / size) for part in x]

    def _update(self, direction: list[Tensor]) -> None:
        parts = iter(direction)
        for group in self.param_groups:
            for p in group["params"]:
                x = next(parts)
                if not p.requires_grad:
                    continue
                if group["weight_decay"]:
                    p.mul_(1 - float(group["lr"]) * group["weight_decay"])
                if self.config.update == "adam":
                    _adam(p, x, self.state[p], group)
                    continue
                if group["momentum"]:
                    state = self.state[p]
                    x = state["momentum"] = x + group["momentum"] * state["momentum"] if "momentum" in state else x
                p.add_(x, alpha=-float(group["lr"]))

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _dampings(self) -> list[float]:
        """lambda of each parameter for this step."""
        if isinstance(self.policy, LevenbergMarquardt):
            assert self._adapted is not None
            value = self._adapted
        elif callable(self.policy):
            value = check_number("damping", self.policy(self._steps), low=0.0)
        else:
            found = [
                check_number("damping", group["damping"], low=0.0)
                for group in self.param_groups
                for _ in group["params"]
            ]
            if len(set(found)) > 1 and min(found) == 0:
                raise InputError(
                    f"damping is {sorted(set(found))} in the parameter groups: give each group damping > 0 where they differ"
                )
            return found
        given = [group["damping"] for group in self.param_groups if group["damping"] is not None]
        if given:
            raise InputError(
                f"damping is {given} for a parameter group, but the damping is one for all: give groups none of their own"
            )
        return [value] * len(self._parameters())


def _adam(p: Tensor, x: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    """Adam's update with x for the gradient."""
    beta1, beta2 = group["betas"]
    if "step" not in state:
        state.update(step=0, exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))
    state["step"] += 1
    state["exp_avg"].lerp_(x, 1 - beta1)
    state["exp_avg_sq"].mul_(beta2).addcmul_(x, x, value=1 - beta2)
    scale = math.sqrt(1 - beta2 ** state["step"])
    denominator = state["exp_avg_sq"].sqrt().div_(scale).add_(group["eps"])
    p.addcdiv_(state["exp_avg"], denominator, value=-float(group["lr"]) / (1 - beta1 ** state["step"]))
