"""`train_dies`: one task trained by TNGD on many dies, all in one batched call.

Each die has its own weights, and from its first step on its own systems; what is shared is the arithmetic, which is batched over dies. A
die's history is that of `train(task, "tngd", device=SurrogateDevice(card, die, seed))`, to the rounding of the network's arithmetic.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...circuits.errors import InputError
from ...devicemodel.batch.own_systems import OwnSystems
from ...devicemodel.card import DeviceCard
from ...devicemodel.device import Outcome, Solution
from ...devicemodel.devices.surrogate import SurrogateDevice
from ...devicemodel.host.refine import settles
from ..optimizers.step import StepRecord, usable
from ..optimizers.tngd import TNGD
from ..tasks.classification import Classification, classification
from ..tasks.registry import make_task
from ..tasks.task import Task
from .hardware_time import Network, measured_network, modelled_cost
from .schedule import CONSTANT
from .stacked_network import StackedCurvature, StackedNetwork
from .train import History, settings_for

SETTINGS = ("lr", "damping", "momentum", "weight_decay", "duration", "reading", "schedule")
"""Settings of TNGD that may differ from their defaults."""


def train_dies(
    task: Task | str,
    card: DeviceCard,
    dies: Sequence[int],
    steps: int | None = None,
    batch: int | None = None,
    seed: int | Sequence[int] = 0,
    evaluate_every: int = 0,
    settings: Mapping[str, Any] | None = None,
    extrapolate: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[History]:
    """Train a task by TNGD on each of many dies.

    Args:
        task: a classification with the cross-entropy of a network of linear layers and elementwise activations, or its name.
        card: of what `devicemodel.batch.own_systems.OwnSystems` supports.
        dies: their seeds; one may occur more than once.
        steps, batch: see `train`.
        seed: of weights, order of batches and the device's noise, one for all or one for each die.
        evaluate_every: steps between evaluations of the score; 0: at the end only.
        settings: lr, damping (a number), momentum, weight_decay, duration and reading ("bare") of TNGD, in place of those of
            `settings_for`.
        extrapolate: see `SurrogateDevice`.
        progress: called with (steps done, steps).

    Returns:
        A history for each die. Measured seconds are the whole call's, divided by the number of dies.

    Raises:
        InputError: arguments out of range; a task, card, network or setting that is not supported, which the message names.
    """
    trained = classification(make_task(task) if isinstance(task, str) else task, "training of many dies in one call")
    if trained.loss is not nn.functional.cross_entropy:
        raise InputError(
            f"the loss of task {trained.name} is not torch.nn.functional.cross_entropy: train its dies one by one"
        )
    steps = trained.plan.steps if steps is None else steps
    batch = trained.plan.batch if batch is None else batch
    if steps < 1 or batch is None or batch < 1 or evaluate_every < 0:
        raise InputError(
            f"steps {steps}, batch {batch}, evaluate_every {evaluate_every}: steps and batch must be >= 1, evaluate_every >= 0"
        )
    device = OwnSystems(card, dies, seed, extrapolate)
    run = _Run(trained, device, batch, _checked(trained, settings or {}))
    for step in range(steps):
        if step == 0 and evaluate_every:
            run.evaluate(0)
        run.step(step)
        if step + 1 == steps or (evaluate_every and (step + 1) % evaluate_every == 0):
            run.evaluate(step + 1)
        if progress is not None:
            progress(step + 1, steps)
    return run.histories


def _checked(task: Task, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of TNGD. InputError for one that is not supported."""
    taken = {**settings_for(task, "tngd"), **given}
    for name, value in taken.items():
        if name not in SETTINGS:
            raise InputError(
                f"settings[{name!r}] is {value!r}: dies are trained together with {', '.join(SETTINGS)} alone"
            )
    if taken.pop("schedule", CONSTANT) != CONSTANT:
        raise InputError("settings['schedule']: dies are trained together at a constant learning rate; leave it out")
    damping = taken["damping"]
    if not isinstance(damping, int | float) or isinstance(damping, bool):
        raise InputError(f"settings['damping'] is {damping!r}: dies are trained together with a number")
    reading = taken.get("reading", "auto")
    if reading == "refined" or (reading == "auto" and settles(taken["duration"], damping)):
        raise InputError(
            f"settings['reading'] is {reading!r}, by which readings are refined: dies are trained together with bare ones, give 'bare'"
        )
    return taken


class _Run:
    """The trainings as they go on."""

    def __init__(self, task: Classification, device: OwnSystems, batch: int, settings: dict[str, Any]) -> None:
        self.task, self.device, self.batch = task, device, batch
        models = [self._new_model(seed) for seed in device.seeds]
        self.network = StackedNetwork(models)
        self.histories = [History(score=task.score) for _ in models]
        single = SurrogateDevice(device.card, None)
        # It checks the settings, and stands for each die's optimizer where a step's cost is modelled.
        self._optimizer = TNGD(copy.deepcopy(models[0]).parameters(), device=single, **settings)
        group = self._optimizer.param_groups[0]
        self._lr, self._momentum, self._decay = float(group["lr"]), group["momentum"], group["weight_decay"]
        self._damping, self._duration = float(settings["damping"]), self._optimizer.duration
        self._velocity: list[Tensor] | None = None
        self._moved = torch.zeros(len(models), dtype=torch.bool)
        self._sizes: Network = measured_network(models[0], lambda twin: task.closure(twin, 0, batch, device.seeds[0]))

    def _new_model(self, seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.task.model()

    def evaluate(self, done: int) -> None:
        """The score of each die's weights."""
        for place, history in enumerate(self.histories):
            history.metrics.append(self.task.metrics(self.network.model(place)))
            history.evaluations.append((done, history.metrics[-1][self.task.score.name]))

    @torch.no_grad()
    def step(self, number: int) -> None:
        """One update of each die's weights."""
        start, began = time.perf_counter(), time.process_time()
        batches = {seed: self.task.batch(number, self.batch, seed) for seed in dict.fromkeys(self.device.seeds)}
        pairs = [batches[seed] for seed in self.device.seeds]
        inputs, targets = (torch.stack(part) for part in zip(*pairs, strict=True))
        found = self.network.curvature(inputs, targets)
        first, first_processor = time.perf_counter(), time.process_time()
        solutions = self._solved(found)
        seconds = time.perf_counter() - first
        simulated = time.process_time() - first_processor
        taken = torch.tensor([one is not None and usable(one.outcome) for one in solutions])
        u = torch.stack([torch.zeros_like(found.sources[0]) if one is None else one.x for one in solutions])
        directions = self.network.directions(found, torch.where(taken[:, None], u, 0.0))
        finite = torch.stack([torch.isfinite(part).flatten(1).all(1) for part in directions]).all(0)
        self._apply(directions, taken & finite)
        digital = time.perf_counter() - start - seconds
        spent = time.process_time() - began - simulated
        self._record(number, found, solutions, (taken & ~finite).tolist(), (spent, digital, seconds))

    def _solved(self, found: StackedCurvature) -> list[Solution | None]:
        """A reading of each die; None where its system is not finite."""
        fine = torch.isfinite(found.loss) & torch.isfinite(found.gram).flatten(1).all(1)
        fine &= torch.isfinite(found.sources).all(1)
        systems, drives = found.gram, found.sources
        if not bool(fine.all()):
            systems = torch.where(fine[:, None, None], systems, 0.0)
            drives = torch.where(fine[:, None], drives, 0.0)
        systems.diagonal(dim1=-2, dim2=-1).add_(self._damping if self._damping > 0 or bool(fine.all()) else 1.0)
        among = torch.nonzero(fine).flatten().tolist()
        programmed = self.device.program(systems, self._duration, self._damping)
        answers: list[Solution | None] = [None] * len(self.device)
        for place, one in zip(among, programmed.run(drives, drives, among), strict=True):
            answers[place] = one
        return answers

    def _apply(self, directions: list[Tensor], taken: Tensor) -> None:
        """theta <- theta - lr (x + weight_decay theta), with momentum, of those dies whose reading applies (`update.apply`)."""
        before, parameters = self._velocity, self.network.parameters
        if self._momentum:
            self._velocity = [torch.zeros_like(part) for part in directions] if before is None else before
        for place, (p, x) in enumerate(zip(parameters, directions, strict=True)):
            held = taken.reshape(-1, *[1] * (x.dim() - 1))
            if self._decay:
                p.copy_(torch.where(held, p * (1 - self._lr * self._decay), p))
            if self._momentum and self._velocity is not None:
                own = self._velocity[place]
                x = torch.where(held, x + self._momentum * own, own)
                self._velocity[place] = x
            p.copy_(torch.where(held, p - self._lr * x, p))

    def _record(
        self,
        number: int,
        found: StackedCurvature,
        solutions: Sequence[Solution | None],
        overflown: Sequence[bool],
        measured: tuple[float, float, float],
    ) -> None:
        """Append the step to each history."""
        spent, digital, simulated = (value / len(solutions) for value in measured)
        losses, cells = found.loss.tolist(), found.sources.shape[1]
        for place, (history, one) in enumerate(zip(self.histories, solutions, strict=True)):
            outcome = Outcome.NOT_FINITE if one is None or overflown[place] else one.outcome
            analog, attempts = (0.0, 0) if one is None else (one.seconds, one.attempts)
            record = StepRecord(
                losses[place],
                outcome,
                cells,
                analog,
                attempts,
                digital,
                simulated,
                damping=self._damping,
                reading="bare",
            )
            cost = modelled_cost(self._optimizer, self._sizes, number, record=record)
            history.loss.append(losses[place])
            history.processor_seconds.append(spent)
            history.hardware_seconds.append(math.nan if cost is None else cost.seconds)
            history.hardware_joules.append(math.nan if cost is None else cost.joules)
            history.digital_seconds.append(digital)
            history.device_seconds.append(simulated)
            history.analog_seconds.append(analog)
            history.outcome.append(outcome.value)
            history.reading.append("bare" if one is not None else "")
            history.retries.append(0)
