"""Training of a task with any of the optimizers, timed step by step, resumed bit for bit."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn
from torch.optim import Optimizer

from ...circuits.errors import InputError
from ...circuits.files import checksum, write_file
from ...devicemodel.device import Device, Outcome
from ...devicemodel.host.refine import Refined
from ..optimizers.base import NaturalGradient
from ..optimizers.registry import make_optimizer, named_optimizer
from ..tasks.classification import ACCURACY
from ..tasks.registry import make_task
from ..tasks.task import Score, Task, TaskClosure
from .hardware_time import measured_network, modelled_cost
from .schedule import CONSTANT, check_schedule, set_rates

CHECKPOINT_EVERY = 100
"""Steps between the saves of a training."""

OptimizerFactory = Callable[[Iterable[Tensor]], Optimizer]


@dataclass
class History:
    """The record of a training; all lists but that of evaluations have one entry for each step.

    Attributes:
        loss: of the batch, before the update.
        processor_seconds: measured processor time of all threads of this process, all but the device's simulation, s.
        hardware_seconds: modelled time of the step on the hybrid hardware, s (`hardware_time`); NaN where there is no model of it.
        hardware_joules: modelled energy of that step, J; NaN likewise. Of what its prices leave out, see `devicemodel.cost`.
        digital_seconds: measured time of forward pass, gradient, curvature and update, s.
        device_seconds: measured time of simulating the device, s; 0 without a device.
        analog_seconds: physical time of the device, s.
        outcome: value of the step's `Outcome`.
        reading: how the step's device was read (`optimizers.step.Reading`); "" without a device.
        retries: how often a refined reading was tried again with more damping.
        evaluations: (updates done, value of the score) pairs.
        metrics: of each evaluation, the values of all that the task measures, by name.
        score: what the evaluations are values of.
    """

    loss: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    hardware_seconds: list[float] = field(default_factory=list)
    hardware_joules: list[float] = field(default_factory=list)
    digital_seconds: list[float] = field(default_factory=list)
    device_seconds: list[float] = field(default_factory=list)
    analog_seconds: list[float] = field(default_factory=list)
    outcome: list[str] = field(default_factory=list)
    reading: list[str] = field(default_factory=list)
    retries: list[int] = field(default_factory=list)
    evaluations: list[tuple[int, float]] = field(default_factory=list)
    metrics: list[dict[str, float]] = field(default_factory=list)
    score: Score = ACCURACY

    def __post_init__(self) -> None:
        # Checkpoints and jobs of earlier versions have no energies.
        self.hardware_joules += [math.nan] * (len(self.loss) - len(self.hardware_joules))

    @classmethod
    def of_dict(cls, data: Mapping[str, Any], score: Score) -> History:
        """The history of `dataclasses.asdict`, which JSON may have turned tuples of into lists."""
        pairs = [(int(step), float(value)) for step, value in data["evaluations"]]
        return cls(**{**data, "evaluations": pairs, "score": score})

    @property
    def steps(self) -> int:
        """Number of updates, skipped ones included."""
        return len(self.loss)

    @property
    def final_score(self) -> float:
        """The score at the last evaluation."""
        if not self.evaluations:
            raise InputError("the run has no evaluation yet")
        return self.evaluations[-1][1]

    def steps_to(self, wanted: float) -> int | None:
        """First evaluated step with a score at least this good; None if there is none."""
        return next((step for step, value in self.evaluations if self.score.reaches(value, wanted)), None)


Callback = Callable[[int, History], None]
"""Called after every step with the number of steps done and the history."""


def settings_for(task: Task, optimizer: str) -> dict[str, Any]:
    """Settings of a named optimizer on a task: those in `OPTIMIZERS`, with the changes of the task's plan, its "schedule" among them.

    Raises:
        InputError: unknown name.
    """
    return {**named_optimizer(optimizer)[1], **task.plan.settings.get(optimizer, {})}


def train(
    task: Task | str,
    optimizer: str | OptimizerFactory,
    steps: int | None = None,
    batch: int | None = None,
    seed: int = 0,
    device: Device | None = None,
    model: nn.Module | None = None,
    callbacks: Iterable[Callback] = (),
    evaluate_every: int | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    settings: Mapping[str, Any] | None = None,
    schedule: str | None = None,
) -> History:
    """Train for a number of steps.

    Args:
        task: a task, or a name of `TASKS`; its plan has the defaults of steps, batch, evaluate_every and a named optimizer's settings.
        optimizer: a name of `OPTIMIZERS`, or a function of the parameters that returns an optimizer.
        steps: total number of updates, those before a resume included.
        batch: samples of a step; None for a task that takes all of its points.
        seed: of the initial weights and the order of batches. The caller's random state is not changed.
        device: for a named optimizer that uses one; None is the ideal device.
        model: network to train in place, in the task's dtype; None: built by the task from the seed.
        callbacks: called after every step.
        evaluate_every: steps between evaluations of the score (also at step 0 and at the end); 0: at the end only.
        checkpoint: file to save to; if it exists, the run is resumed from it, bit for bit.
        checkpoint_every: steps between saves (also at the end), 100 by default; with a checkpoint only. Where programs are kept over
            several steps (`TNGD(program_every=...)`, `curvature_age`, `curvature_every`), the step after a save programs anew, and the
            interval is part of what a run is.
        settings: of a named optimizer, in place of those of `settings_for`.
        schedule: of the learning rate, of `SCHEDULES`; None: the "schedule" of the settings, or "constant". All but "constant" make the
            number of steps part of what a run is: it cannot be resumed with another one.

    Raises:
        InputError: arguments out of range, or without effect; a checkpoint of another run or not readable.
    """
    if isinstance(task, str):
        task = make_task(task)
    if not isinstance(task, Task):
        raise InputError(f"task is {task!r}: give a Task, such as make_task('digits'), or a task's name")
    _check_dtype(task, model)
    if not isinstance(optimizer, str) and (isinstance(optimizer, Optimizer) or not callable(optimizer)):
        raise InputError(
            f"optimizer is of type {type(optimizer).__name__}: give a name, or a function of the parameters that returns an optimizer"
        )
    steps = task.plan.steps if steps is None else steps
    batch = task.plan.batch if batch is None else batch
    evaluate_every = task.plan.evaluate_every if evaluate_every is None else evaluate_every
    if checkpoint is None and checkpoint_every is not None:
        raise InputError(f"checkpoint_every is {checkpoint_every} without a checkpoint: give the file, or leave it out")
    checkpoint_every = CHECKPOINT_EVERY if checkpoint_every is None else checkpoint_every
    if steps < 1 or (batch is not None and batch < 1) or seed < 0 or evaluate_every < 0 or checkpoint_every < 1:
        raise InputError(
            f"steps {steps}, batch {batch}, seed {seed}, evaluate_every {evaluate_every}, checkpoint_every "
            f"{checkpoint_every}: steps, batch and checkpoint_every must be >= 1, the others >= 0"
        )
    if not isinstance(optimizer, str) and (settings or device is not None):
        given = [*sorted(settings or {}), *(["device"] if device is not None else [])]
        raise InputError(f"{', '.join(given)} given with an optimizer function: put them into the function")
    path = None if checkpoint is None else Path(checkpoint)
    identity: dict[str, Any] = {
        "task": task.name,
        "optimizer": str(optimizer) if isinstance(optimizer, str) else "custom",
    }
    identity |= {"batch": batch, "seed": seed}
    taken = {**settings_for(task, optimizer), **(settings or {})} if isinstance(optimizer, str) else {}
    named = taken.pop("schedule", CONSTANT)
    schedule = check_schedule(named if schedule is None else schedule)
    if isinstance(optimizer, str):
        # The loaded state has those of the first run, and would replace others without a word.
        identity["settings"] = {name: _plain(value) for name, value in sorted(taken.items())}
    if schedule != CONSTANT:
        identity |= {"schedule": schedule, "steps": steps}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = task.model() if model is None else model
        trained = [p for p in network.parameters() if p.requires_grad]
        chosen = make_optimizer(optimizer, trained, device, taken) if isinstance(optimizer, str) else optimizer(trained)
        identity["device"] = _identity(getattr(chosen, "device", None))
        if path is not None and getattr(chosen, "keeps_programs", False):
            identity["checkpoint_every"] = checkpoint_every  # a device programs its next system after each save
        sizes = measured_network(network, lambda twin: task.closure(twin, 0, batch, seed))
        rates = [group["lr"] for group in chosen.param_groups]
        history = History(score=task.score)
        if path is not None and path.exists():
            history = _load(path, identity, network, chosen, task.score)
        elif evaluate_every:
            _evaluate(task, network, 0, history)
        for step in range(history.steps, steps):
            set_rates(chosen, schedule, rates, step, steps)
            _step(task.closure(network, step, batch, seed), chosen, history)
            cost = modelled_cost(chosen, sizes, step)
            history.hardware_seconds.append(math.nan if cost is None else cost.seconds)
            history.hardware_joules.append(math.nan if cost is None else cost.joules)
            done = step + 1
            if done == steps or (evaluate_every and done % evaluate_every == 0):
                _evaluate(task, network, done, history)
            if path is not None and (done == steps or done % checkpoint_every == 0):
                _save(path, identity, network, chosen, history)
            for callback in callbacks:
                callback(done, history)
    return history


_OF_DEVICES = ("seed", "fabric", "layout", "read_out", "johnson_noise", "kappa0", "tau", "programming")
_OF_REFINED = ("rounds", "tolerance", "chopped", "equilibrate", "method", "added_damping", "deflation")


def _identity(device: Any) -> dict[str, Any]:
    """What a run's numbers depend on in its device, as text; of a device of one's own, what it holds by the same names."""
    if device is None:
        return {}
    held = getattr(device, "__dict__", {})
    found: dict[str, Any] = {"type": type(device).__name__}
    if "die" in held:
        found["die"] = _plain(getattr(device.die, "seed", None))
    for name in (*_OF_DEVICES, *_OF_REFINED) if isinstance(device, Refined) else _OF_DEVICES:
        if name in held:
            found[name] = _plain(held[name])
    if isinstance(held.get("device"), Device):
        found["device"] = _identity(held["device"])
    for name in ("card", "technology"):
        if isinstance(held.get(name), BaseModel):
            found[name] = f"with checksum {checksum(held[name])[:12]}"
    return found


def _differences(found: Any, own: Any, name: str = "") -> list[str]:
    """What differs between two identities, entry by entry."""
    if isinstance(found, dict) and isinstance(own, dict):
        prefix = f"{name}." if name else ""
        return [
            text
            for key in dict.fromkeys((*found, *own))
            for text in _differences(found.get(key), own.get(key), f"{prefix}{key}")
        ]
    return [] if found == own else [f"{name} {found} (this run: {own})"]


def _plain(value: Any) -> str:
    """A setting as text that is the same in every process."""
    if callable(value):
        return str(getattr(value, "__qualname__", type(value).__name__))
    return repr(value)


def _check_dtype(task: Task, model: nn.Module | None) -> None:
    for name, parameter in [] if model is None else model.named_parameters():
        if parameter.dtype != task.dtype:
            raise InputError(
                f"parameter {name} of the model is {parameter.dtype}: the task {task.name} is {task.dtype}; call model.to({task.dtype})"
            )


def _evaluate(task: Task, network: nn.Module, done: int, history: History) -> None:
    history.metrics.append(task.metrics(network))
    history.evaluations.append((done, history.metrics[-1][task.score.name]))


def _step(closure: TaskClosure, optimizer: Optimizer, history: History) -> None:
    start, began = time.perf_counter(), time.process_time()
    if isinstance(optimizer, NaturalGradient):
        loss = optimizer.step(closure)
        record = optimizer.last
        device, analog, outcome = record.device_seconds, record.analog_seconds, record.outcome
        simulated = record.device_processor_seconds
        history.reading.append(record.reading)
        history.retries.append(record.retries)
    else:
        optimizer.zero_grad()
        value, _ = closure()
        value.backward()
        optimizer.step()
        loss, device, analog, outcome = float(value.detach()), 0.0, 0.0, Outcome.OK
        simulated = 0.0
        history.reading.append("")
        history.retries.append(0)
    history.loss.append(loss)
    history.processor_seconds.append(time.process_time() - began - simulated)
    history.digital_seconds.append(time.perf_counter() - start - device)
    history.device_seconds.append(device)
    history.analog_seconds.append(analog)
    history.outcome.append(outcome.value)


def _save(path: Path, identity: dict[str, Any], model: nn.Module, optimizer: Optimizer, history: History) -> None:
    """Write the checkpoint atomically: a run that is stopped meanwhile leaves the earlier one."""
    state: dict[str, Any] = {
        "identity": identity,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "history": dataclasses.asdict(history),
        "random": torch.get_rng_state(),
    }
    write_file(path, lambda temporary: torch.save(state, temporary))
    if getattr(optimizer, "keeps_programs", False):
        # Programs are no part of a state. So that a resumed run and one without a stop are the same, both program the next system.
        optimizer.load_state_dict(state["optimizer"])


def _load(path: Path, identity: dict[str, Any], model: nn.Module, optimizer: Optimizer, score: Score) -> History:
    """Take up a checkpoint. InputError for one of another run or a damaged one; the model is then as it was."""
    before = copy.deepcopy(model.state_dict())
    try:
        state = torch.load(path, weights_only=True)  # tensors and plain values only: nothing in the file is run
        found = state["identity"]
        if found != identity:
            wrong = _differences(found, identity)
            raise InputError(
                f"the checkpoint {path} is of another run: {', '.join(wrong)}; give another file, or remove it"
            )
        optimizer.load_state_dict(state["optimizer"])
        model.load_state_dict(state["model"])
        history = History(**{**state["history"], "score": score})
        torch.set_rng_state(state["random"])
        return history
    except InputError:
        raise
    except Exception as error:  # unpickling raises errors of many types, which mean the same here
        model.load_state_dict(before)
        raise InputError(
            f"{path} is not a checkpoint that this run can read ({type(error).__name__}: {error}): remove it to start "
            "anew"
        ) from error
