"""The natural-gradient step that the digital optimizers and the device share.

theta <- theta - lr (x + weight_decay theta),   (C + lambda I) x = g

with C the curvature of the batch; momentum, or Adam's moments, are taken of x in place of the gradient.
"""

from __future__ import annotations

import contextlib
import dataclasses
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
from ..curvature.residuals.residual_loss import residual_rows
from ..curvature.stacked_factor import StackedFactor
from .adaptation import QuadraticModel
from .config import NaturalGradientConfig
from .damping import Damping, LevenbergMarquardt, check_number
from .groups import check_group, dampings_of
from .notices import warn_of_rows, warn_of_statistics
from .options.geodesic import curved_sources, require_least_squares
from .options.path import Path, Taken, take
from .options.redirected import RedirectedFactor
from .options.reevaluation import Reevaluation, loss_again
from .options.spring import keep_direction, last_direction, shifted
from .readings.reading import raised
from .step import Direction, StepRecord
from .update import apply, clipped, rates


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
        self._steps = 0
        self._adapted = damping.start if isinstance(damping, LevenbergMarquardt) else None
        self._length = 1.0
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

    def __getstate__(self) -> dict[str, Any]:
        """All attributes, for copy and pickle, which torch's own leave out; hooks stay behind, and a copy verifies its models anew.

        Raises:
            InputError: between `prepare` and `step`, since the graphs of batches cannot be copied.
        """
        if self._prepared:
            raise InputError(
                "the optimizer holds prepared batches, whose graphs cannot be copied: copy it after step()"
            )
        kept = {
            name: one for name, one in self.__dict__.items() if name != "step" and not name.startswith("_optimizer_")
        }
        return {**kept, "_verified_shapes": {}}

    @property
    def _step_supports_amp_scaling(self) -> bool:
        """Asked by `GradScaler.step` before it steps."""
        reject_scaler()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with settings of their own.

        Raises:
            InputError: a setting out of range, one that the update does not use, or an option that is one for all groups.
        """
        check_group(type(self), self.config, param_group)
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
                    keep_sensitivities=self._keeps_sensitivities(),
                    verified=self._verified_shapes,
                )
            if self.config.geodesic is not None:
                require_least_squares(found)
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
        taken = Taken(length=0.0)
        if direction.x is not None and factor is not None:
            closures = [again for again, _, _ in prepared]
            direction, taken = self._take(direction, factor, loss, closures, curvatures, dampings[0])
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
            device_processor_seconds=direction.device_processor_seconds,
            damping=dampings[0],
            iterations=direction.iterations,
            fallbacks=fallbacks,
            length=taken.length,
            trials=taken.trials,
            accelerated=taken.accelerated,
            **direction.of_readings(),
        )
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The class's name, torch's optimizer state, the step count, adapted damping and step length, and the generator's state."""
        own = {
            "class": type(self).__name__,
            "steps": self._steps,
            "adapted": self._adapted,
            "length": self._length,
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
        now = set(self.defaults) & set(
            self.param_groups[0]
        )  # torch adds a default at the first load, which no group has
        adapts = isinstance(self.policy, LevenbergMarquardt)
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
        self._length = float(state_dict.get("length", 1.0))
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
        direction = self._solution(factor, dampings[0], self._by_graph(curvatures))
        return direction, factor

    def _solution(self, factor: Factor, damping: float, by_graph: bool) -> Direction:
        """The direction in the parameters' coordinates, with SPRING's momentum."""
        last = last_direction(self.state, self._parameters()) if self.config.spring else None
        if last is None:
            direction = self._direction(factor, damping)
            return direction if direction.x is None else dataclasses.replace(direction, x=factor.unscaled(direction.x))
        kept = [self.config.spring * part for part in last]
        direction = self._direction(shifted(factor, factor.scaled(kept), not by_graph), damping)
        if direction.x is None:
            return direction
        x = [a + b for a, b in zip(factor.unscaled(direction.x), kept, strict=True)]
        return dataclasses.replace(direction, x=x)

    def _take(
        self,
        direction: Direction,
        factor: Factor,
        loss: float,
        closures: Sequence[Closure],
        parts: Sequence[Curvature | DetachedFactor],
        damping: float,
    ) -> tuple[Direction, Taken]:
        """Update the parameters, and adapt lambda to how it went."""
        assert direction.x is not None
        config, parameters, groups = self.config, self._parameters(), self.param_groups
        adapting = isinstance(self.policy, LevenbergMarquardt) and not direction.needs_damping
        graph = self._by_graph(parts)  # products through it are needed once more at the old parameters
        model = QuadraticModel(factor, parameters, graph) if adapting else None
        x, taken = clipped(direction.x, groups, config.clip), Taken()
        held = torch.autograd._unsafe_preserve_version_counter(tuple(parameters))
        with torch.no_grad(), held if adapting and graph else contextlib.nullcontext():
            if not config.along_path:
                apply(groups, self.state, x, config.update == "adam")
            else:
                with Path(parameters, [-lr * part for lr, part in zip(rates(groups), x, strict=True)]) as path:
                    again = Reevaluation(closures, self._mean, config.curvature != "hessian")
                    if config.geodesic is not None and direction.reading != "gradient":
                        second = self._acceleration(path, again, factor, parts, raised(damping, direction.retries))
                        direction = direction.and_spent_on(second)
                    taken = take(path, again, self._length if config.line_search else None)
                self._length = taken.length or 1.0
        if config.spring:
            keep_direction(self.state, parameters, direction.x if taken.length else None)
        if model is not None and isinstance(self.policy, LevenbergMarquardt) and self._adapted is not None:
            if not config.line_search:
                change = self._mean(sum(map(loss_again, closures)) / len(closures)) - loss
                predicted = model.predicted(path.velocity if config.along_path else model.step())
                self._adapted = self.policy.updated(self._adapted, change, predicted)
            elif taken.length in (0.0, 1.0):  # of shorter steps the ratio is near 1 whatever lambda is
                predicted = model.predicted(path.velocity) if taken.length else 0.0
                self._adapted = self.policy.updated(self._adapted, taken.change, predicted)
        return direction, taken

    def _acceleration(
        self,
        path: Path,
        again: Reevaluation,
        factor: Factor,
        parts: Sequence[Curvature | DetachedFactor],
        damping: float,
    ) -> Direction:
        """Bend the path by the geodesic acceleration, which is returned with what it took."""
        assert self.config.geodesic is not None
        if self._by_graph(parts):
            raise InputError(
                f'geodesic needs the rows of M, and a batch with k = {factor.cells} takes conjugate gradients: give method="gram"'
            )
        if not path.speed:
            return Direction(None, Outcome.OK, 0)
        found = curved_sources(path, again, parts)
        sources = torch.cat([part.reshape(-1) / math.sqrt(len(found)) for part in found])
        with torch.autocast(sources.device.type, enabled=False):
            second = self._direction(RedirectedFactor(factor, sources), damping)
        if second.x is not None and all_finite(*second.x):
            path.accelerate(factor.unscaled(second.x), self.config.geodesic)
        return second

    def _runs_again(self) -> bool:
        """Whether the closure is run at further parameters within a step."""
        return isinstance(self.policy, LevenbergMarquardt) or self.config.along_path

    def _by_graph(self, parts: Sequence[Curvature | DetachedFactor]) -> bool:
        """Whether products with C go through the graph."""
        return any(isinstance(one, Curvature) and not self._uses_blocks(one) for one in parts)

    def _uses_blocks(self, curvature: Curvature) -> bool:
        """Whether the direction comes from sensitivities of single samples."""
        return True

    def _keeps_sensitivities(self) -> bool:
        """Whether it needs the sensitivities of each layer (`Curvature`)."""
        return False

    def _mean(self, value: float) -> float:
        """Mean over the processes of the group."""
        group = self.config.process_group
        return value if group is None else distributed.mean(value, self._parameters()[0].device, group)

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _dampings(self) -> list[float]:
        """lambda of each parameter for this step."""
        return dampings_of(self.policy, self._adapted, self._steps, self.param_groups)
