"""The command that trains networks: `train`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

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
    TechnologyName,
    examples,
)
from .outputs import complain, emit, note, progress, show, to_json
from .training.many import experiment_of, problem_of, run_many, show_result, table_of_file, table_of_options
from .training.one import train_once

OUT = Path("out/train")
"""Folder of an experiment without --out; a file's has a folder of its name in it."""

_KEYS = {
    "task": "task=NAME",
    "seed": "seeds=[0]",
    "batch": "batch=VALUE",
    "optimizer": "run.LABEL.optimizer=NAME",
    "schedule": "run.LABEL.schedule=NAME",
    "device": "run.LABEL.device.kind=NAME",
    "die": "run.LABEL.dies=[1]",
    **{name: f"run.LABEL.device.{name}=VALUE" for name in ("card", "technology", "extrapolate")},
    **{name: f"run.LABEL.settings.{name}=VALUE" for name in ("lr", "damping", "duration", "reading")},
}
"""What --set replaces in an experiment's file in the place of an option."""

app = typer.Typer()


@app.command(
    rich_help_panel=LEARNING,
    epilog=examples(
        "thermograd train --optimizer adam --steps 300",
        "thermograd train --optimizer tngd --device surrogate --card card.json --die 3 --extrapolate --checkpoint run.pt",
        "thermograd train --optimizer tngd --duration 20 --damping 0.1 --json",
        "thermograd train --task mnist --data mnist.npz --optimizer adam --plot out/mnist.png",
        "thermograd train --task poisson --optimizer ngd --require 1e-4 --plot out/poisson.png",
        "thermograd train --optimizer adam --schedule cosine --seeds 0,1,2 --out out/adam",
        "thermograd train experiment.toml --out out/experiment --plot out/comparison.png",
        "thermograd train experiment.toml --set steps=100 --set run.Adam.settings.lr=0.001 --seeds 0,1",
    ),
)
def train(
    experiment: Annotated[
        Path | None,
        typer.Argument(
            help="TOML file with a task, seeds and several runs (docs/training.md); without it one training, as the options say.",
            metavar="EXPERIMENT",
            show_default=False,
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            help="digits (1797 digits, 8 x 8), mnist or fashion-mnist (28 x 28; need --data), autoencoder (of digits; with --data of "
            "mnist), poisson, poisson-cube or burgers (physics-informed networks), squad (needs --data, and a model's folder in "
            "THERMOGRAD_SQUAD_MODEL) or another of docs/tasks.md. Default: digits.",
            metavar="NAME",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="mnist.npz, or the folder of the IDX files; questions of squad; default: THERMOGRAD_MNIST, _FASHION_MNIST or _SQUAD.",
            metavar="PATH",
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            "--optimizer",
            help="sgd, adam, ngd, ngd-cg, kfac, tngd, tngd-adam or tngd-kfac. Default: tngd.",
            metavar="NAME",
        ),
    ] = None,
    device: DeviceName = None,
    card: Card = None,
    technology: TechnologyName = None,
    die: DieSeed = None,
    extrapolate: Extrapolate = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            min=1,
            help="Updates in all; default: 300 (digits), 1560 (mnist), 100 (poisson), 120 (burgers), 40 (squad).",
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch",
            min=1,
            help="Samples a step; default: 16 (digits), 64 (mnist), 32 (squad), 1000 (burgers). Not for poisson.",
        ),
    ] = None,
    lr: Annotated[float | None, typer.Option("--lr", help="Learning rate; default: tuned for the task.")] = None,
    damping: Annotated[
        float | None, typer.Option("--damping", help="Damping of the curvature (all but sgd and adam).")
    ] = None,
    duration: Annotated[
        float | None, typer.Option("--duration", help="Tau before the reading (tngd); inf is settled.")
    ] = None,
    reading: ReadingChoice = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            "--schedule", help="Of the learning rate: constant, or cosine, down to 0 at the end.", metavar="NAME"
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Of weights, batches and noise. Default: 0.")
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option("--seeds", help="Several, such as 0,1,2: a training with each, and a table.", metavar="LIST"),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Replace a value of the file (repeatable): steps=100, settings.train=1000, run.LABEL.settings.lr=0.001.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", help="Checkpoint file; an interrupted run resumes from it.", metavar="FILE"),
    ] = None,
    require: Annotated[
        float | None,
        typer.Option(
            "--require",
            min=0.0,
            help="Score to reach: least test accuracy, 0 to 1, or largest error (poisson, burgers).",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Of one training: the history of all steps, .json. Of several: the folder, in which the same command resumes. "
            "Default: out/train/EXPERIMENT.",
            metavar="FILE|DIR",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Processes of several trainings. Default: one per core."),
    ] = None,
    tensorboard: Annotated[
        bool,
        typer.Option("--tensorboard", help="Several trainings: event files, in the folder.", show_default=False),
    ] = False,
    plot: Plot = None,
    json: Json = False,
) -> None:
    """Train a network with a digital optimizer, or with natural-gradient steps computed by a device; or all runs of an experiment.

    An experiment's folder holds metrics.parquet (a row a step), results.json and table.md; the picture shows loss and score against steps,
    processor time and modelled hardware time. docs/training.md has the formats.

    Exit code 1 when the loss is not finite, over a tenth of the steps ended badly, or --require is not reached.
    """
    settings = {"lr": lr, "damping": damping, "duration": duration, "reading": reading}
    hardware = {"device": device, "card": card, "technology": technology, "die": die, "extrapolate": extrapolate}
    single = {"checkpoint": checkpoint, "require": require, "seed": seed}
    if experiment is not None or seeds is not None:
        options = {"task": task, "optimizer": optimizer, "batch": batch, "schedule": schedule, **settings, **hardware}
        _reject(single if experiment is None else single | options, experiment)
        picture = output_path(plot, PICTURES, [card, data, experiment])
        if experiment is None:
            table = table_of_options(task or "digits", optimizer or "tngd", steps, batch, settings, hardware, schedule)
            chosen = experiment_of(table, Path(), overrides or [], seeds, data)
        else:
            found = table_of_file(experiment)
            chosen = experiment_of(found, experiment.parent, overrides or [], seeds, data, steps)
        folder = out or (OUT if experiment is None else OUT / experiment.stem)
        with _resumable(folder), progress() as report:
            result = run_many(chosen, folder, workers, tensorboard, report)
        show_result(chosen, result, folder, picture, json)
        _end(problem_of(result))
        return
    for option, value in (("set", overrides), ("workers", workers), ("tensorboard", tensorboard or None)):
        if value is not None:
            raise InputError(f"--{option} is for several trainings: give an experiment's file, or --seeds")
    given_files = [card, data, Path(technology or "")]
    picture, history = output_path(plot, PICTURES, given_files), output_path(out, (".json",), given_files)
    saved = output_path(checkpoint, inputs=[*given_files, history])
    with _resumable(saved), progress() as report:
        run = train_once(
            task or "digits",
            data,
            optimizer or "tngd",
            steps,
            batch,
            seed or 0,
            settings,
            schedule,
            hardware,
            saved,
            require,
            report,
        )
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
    _end(run.problem(require))


@contextmanager
def _resumable(saved: Path | None) -> Iterator[None]:
    """Say where an interrupted training goes on."""
    try:
        yield
    except KeyboardInterrupt:
        if saved is not None and saved.exists():
            note(f"the same command resumes from {saved}")
        raise


def _reject(given: dict[str, Any], experiment: Path | None) -> None:
    """InputError for an option that is for one training alone, or that an experiment's file has a key for."""
    for option, value in given.items():
        if value is not None:
            if experiment is None:
                remedy = (
                    "give --seeds with one seed, or leave it out"
                    if option == "seed"
                    else "leave it out, or train with one --seed"
                )
                raise InputError(f"--{option} does not apply to several trainings (--seeds): {remedy}")
            key = _KEYS.get(option)
            remedy = "leave it out" if key is None else f"change its text, or use --set {key}"
            raise InputError(f"--{option} does not apply to an experiment's file: {remedy}")


def _end(problem: str) -> None:
    if problem:
        complain(problem)
        raise typer.Exit(1)
