"""One training: what `thermograd train` does without a file and with one seed."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...circuits.errors import InputError
from ..outputs import ADVICE, Progress
from .task_and_device import open_task, training_device

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...optim.training.train import History

MAX_BAD_STEP_FRACTION = 0.1
"""Fraction of steps that may end badly on the device before a training counts as failed."""
SAVES = 10
"""Checkpoints in a run; Ctrl-C loses at most a tenth of it, or 100 steps."""


@dataclass(frozen=True, eq=False)
class Trained:
    """One training run and its settings."""

    asked: dict[str, Any]
    history: History

    @property
    def title(self) -> str:
        """Task, optimizer, device and length in one line."""
        device = f" on the {self.asked['device']} device" if self.asked["device"] else ""
        length = f"{self.history.steps} steps" + (f" of {self.asked['batch']}" if self.asked["batch"] else "")
        return f"{self.asked['task']}: {self.asked['optimizer']}{device}, {length}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: settings, final score, history of all steps."""
        return self.asked | {"final_score": self.history.final_score} | dataclasses.asdict(self.history)

    def rows(self) -> list[tuple[str, str]]:
        """(name, value) rows of the table."""
        history = self.history
        tail = history.loss[-max(1, history.steps // 10) :]
        score = history.score
        reached = history.steps_to(score.target)
        return [
            (score.name, score.text(history.final_score)),
            *((name, score.text(value)) for name, value in history.metrics[-1].items() if name != score.name),
            ("loss, mean of the last tenth", f"{sum(tail) / len(tail):.4g}"),
            (f"steps to {score.text(score.target, 0)}", "not reached" if reached is None else str(reached)),
            *self._readings(),
            ("outcomes", ", ".join(f"{outcome} {count}" for outcome, count in Counter(history.outcome).items())),
            (
                "computed in",
                f"{sum(history.digital_seconds):.3g} s, device simulated in {sum(history.device_seconds):.3g} s",
            ),
            ("analog time", f"{sum(history.analog_seconds):.3g} s"),
        ]

    def _readings(self) -> list[tuple[str, str]]:
        history = self.history
        if not any(history.reading):
            return []
        counted = Counter(history.reading)
        text = ", ".join(f"{name} {counted[name]}" for name in ("bare", "refined", "gradient") if counted[name])
        retried = sum(count > 0 for count in history.retries)
        return [("readings", text + (f"; {retried} tried again with more damping" if retried else ""))]

    def plot(self) -> Figure:
        """Loss and score against steps."""
        from ...report.figures.training import history_plot

        history = self.history
        return history_plot(history.loss, history.evaluations, self.title, history.score, bool(self.asked["batch"]))

    def problem(self, require: float | None) -> str:
        """Why this training counts as failed, with the remedy; empty if it does not."""
        history = self.history
        step = next((step for step, loss in enumerate(history.loss) if not math.isfinite(loss)), None)
        if step is not None:
            return f"the loss is not finite at step {step}: use a smaller --lr or more --damping"
        ends = Counter(history.outcome)
        good = ("ok", "extrapolated")  # extrapolation was allowed by an option
        bad = history.steps - sum(ends[end] for end in good)
        if bad > MAX_BAD_STEP_FRACTION * history.steps:
            worst = max((end for end in ends if end not in good), key=lambda end: ends[end])
            return f"{bad} of {history.steps} steps ended badly on the device, most of them {worst}: {ADVICE[worst]}"
        score = history.score
        if require is not None and not score.reaches(history.final_score, require):
            side = "below" if score.more_is_better else "above"
            reached = f"{score.name} {history.final_score:.4g} is {side} the required {require:g}"
            return f"{reached}: use more --steps or another --lr"
        return ""


def train_once(
    name: str,
    data: Path | None,
    optimizer: str,
    steps: int | None,
    batch: int | None,
    seed: int,
    settings: dict[str, float | str | None],
    schedule: str | None,
    hardware: dict[str, Any],
    checkpoint: Path | None,
    require: float | None,
    report: Progress,
) -> Trained:
    """Train as the options say.

    Args:
        name: of the task. data: its path. settings: of the optimizer; None where not given. hardware: of the device, likewise.
        schedule: of the learning rate; None: the plan's.
        checkpoint, require: files and scores as the command takes them. report: of the progress.

    Raises:
        InputError: options out of range, or that do not apply.
    """
    from ...optim.optimizers.registry import OPTIMIZERS, uses_device
    from ...optim.training.train import CHECKPOINT_EVERY, settings_for, train

    task = open_task(name, data)
    known = settings_for(task, optimizer)
    steps, batch = steps or task.plan.steps, batch or task.plan.batch
    if require is not None and task.score.percent and require > 1:
        raise InputError(f"--require is {require:g}; the {task.score.name} of {name} is a fraction, give 0 to 1")
    chosen: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    for setting, value in chosen.items():
        option = f"--{setting.replace('_', '-')}"
        if setting not in known:
            takers = [other for other, (_, defaults) in OPTIMIZERS.items() if setting in defaults]
            raise InputError(
                f"{option} does not apply to {optimizer}; leave it out, or use --optimizer {' or '.join(takers)}"
            )
        if setting == "lr" and not (math.isfinite(value) and value > 0):
            raise InputError(f"{option} is {value}; give a finite number > 0")
    kind, device = None, None
    if uses_device(optimizer):
        kind, device = training_device(hardware, seed)
    else:
        for part, given in hardware.items():
            if given is not None:
                raise InputError(
                    f"--{part} does not apply to {optimizer}, which uses no device; "
                    "leave it out, or use --optimizer tngd"
                )
    history = train(
        task,
        optimizer,
        steps,
        batch,
        seed,
        device=device,
        callbacks=[lambda done, _: report("training", done, steps)],
        checkpoint=checkpoint,
        checkpoint_every=None if checkpoint is None else max(1, min(CHECKPOINT_EVERY, steps // SAVES)),
        settings=chosen,
        schedule=schedule,
    )
    asked = {"task": name, "data": data, "optimizer": optimizer, "device": kind, "die": hardware["die"]}
    return Trained(asked | {"batch": batch, "seed": seed, "settings": {**known, **chosen}}, history)
