"""The command that trains a network: `train`."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..circuits.errors import InputError
from ..circuits.files import output_path, write_text
from .options import (
    LEARNING,
    PICTURES,
    Card,
    DeviceName,
    DieSeed,
    Extrapolate,
    Json,
    Plot,
    ReadingChoice,
    Seed,
    TechnologyName,
    examples,
)
from .outputs import ADVICE, Progress, complain, emit, note, progress, show, to_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..optim.training.train import History

MAX_BAD_STEP_FRACTION = 0.1
"""Fraction of steps that may end badly on the device before a training counts as failed."""
SAVES = 10
"""Checkpoints in a run; Ctrl-C loses at most a tenth of it, or 100 steps."""

app = typer.Typer()


@app.command(
    rich_help_panel=LEARNING,
    epilog=examples(
        "thermograd train --optimizer adam --steps 300",
        "thermograd train --optimizer tngd --device surrogate --card card.json --die 3 --extrapolate --checkpoint run.pt",
        "thermograd train --optimizer tngd --duration 20 --damping 0.1 --json",
        "thermograd train --task mnist --data mnist.npz --optimizer adam --plot out/mnist.png",
        "thermograd train --task poisson --optimizer ngd --require 1e-4 --plot out/poisson.png",
    ),
)
def train(
    task: Annotated[
        str,
        typer.Option(
            "--task",
            help="digits (1797 digits, 8 x 8), mnist (20000 of 28 x 28; needs --data) or poisson (a physics-informed network).",
            metavar="NAME",
        ),
    ] = "digits",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="mnist.npz, or the folder of the IDX files; default: the variable THERMOGRAD_MNIST.",
            metavar="PATH",
        ),
    ] = None,
    optimizer: Annotated[
        str,
        typer.Option("--optimizer", help="sgd, adam, ngd, ngd-cg, kfac, tngd, tngd-adam or tngd-kfac.", metavar="NAME"),
    ] = "tngd",
    device: DeviceName = None,
    card: Card = None,
    technology: TechnologyName = None,
    die: DieSeed = None,
    extrapolate: Extrapolate = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", min=1, help="Updates in all; default: 300 (digits), 1560 (mnist), 100 (poisson)."),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option("--batch", min=1, help="Samples a step; default: 16 (digits), 64 (mnist). Not for poisson."),
    ] = None,
    lr: Annotated[float | None, typer.Option("--lr", help="Learning rate; default: tuned for the task.")] = None,
    damping: Annotated[
        float | None, typer.Option("--damping", help="Damping of the curvature (all but sgd and adam).")
    ] = None,
    duration: Annotated[
        float | None, typer.Option("--duration", help="Tau before the reading (tngd); inf is settled.")
    ] = None,
    reading: ReadingChoice = None,
    seed: Seed = 0,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", help="Checkpoint file; an interrupted run resumes from it.", metavar="FILE"),
    ] = None,
    require: Annotated[
        float | None,
        typer.Option(
            "--require", min=0.0, help="Score to reach: least test accuracy, 0 to 1, or largest error (poisson)."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the history of all steps: .json.", metavar="FILE")
    ] = None,
    plot: Plot = None,
    json: Json = False,
) -> None:
    """Train a network with a digital optimizer, or with natural-gradient steps computed by a device.

    Exit code 1 when the loss is not finite, over a tenth of the steps ended badly, or --require is not reached.
    """
    given = [card, data, Path(technology or "")]
    picture, history = output_path(plot, PICTURES, given), output_path(out, (".json",), given)
    saved = output_path(checkpoint, inputs=[*given, history])
    settings = {"lr": lr, "damping": damping, "duration": duration, "reading": reading}
    hardware = {"device": device, "card": card, "technology": technology, "die": die, "extrapolate": extrapolate}
    try:
        with progress() as report:
            run = _train(task, data, optimizer, steps, batch, seed, settings, hardware, saved, require, report)
    except KeyboardInterrupt:
        if saved is not None and saved.exists():
            note(f"the same command resumes from {saved}")
        raise
    if history is not None:
        write_text(history, to_json(run.to_dict()))
    if picture is not None:
        from ..report.figures.style import save

        save(run.plot(), picture)
    if json:
        emit(run.to_dict())
    else:
        show(run.title, ("", ""), run.rows())
    for path in filter(None, (history, picture, saved)):
        note(f"wrote {path}")
    problem = run.problem(require)
    if problem:
        complain(problem)
        raise typer.Exit(1)


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
        from ..report.figures.training import history_plot

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


def _train(
    name: str,
    data: Path | None,
    optimizer: str,
    steps: int | None,
    batch: int | None,
    seed: int,
    settings: dict[str, float | str | None],
    hardware: dict[str, Any],
    checkpoint: Path | None,
    require: float | None,
    report: Progress,
) -> Trained:
    from ..optim.optimizers.registry import OPTIMIZERS, uses_device
    from ..optim.training.train import CHECKPOINT_EVERY, settings_for, train
    from .experiment import open_task, training_device

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
    )
    asked = {"task": name, "data": data, "optimizer": optimizer, "device": kind, "die": hardware["die"]}
    return Trained(asked | {"batch": batch, "seed": seed, "settings": {**known, **chosen}}, history)
