"""The command that draws training paths on the loss: `landscape`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..circuits.errors import InputError
from ..circuits.files import output_path, write_file, write_text
from .options import (
    LEARNING,
    PICTURES,
    Card,
    DeviceName,
    DieSeed,
    Extrapolate,
    Json,
    Plot,
    Seed,
    TechnologyName,
    Workers,
    examples,
)
from .outputs import emit, note, progress, show, to_json

if TYPE_CHECKING:
    from ..devicemodel.device import Device
    from ..optim.training.landscape import Landscape

MAX_RUNS = 8
"""Maximum number of trainings in one picture, which has a colour for each."""

app = typer.Typer()


@app.command(
    rich_help_panel=LEARNING,
    epilog=examples(
        "thermograd landscape --steps 100 --plot landscape.png",
        "thermograd landscape --optimizers tngd:duration=0,tngd:duration=2,tngd:duration=20 --plot times.png",
        "thermograd landscape --optimizers ngd,tngd --device surrogate --card card.json --die 3 --extrapolate --plot die.pdf",
        "thermograd landscape --plane random --optimizers ngd --plot basin.svg --out basin.npz",
    ),
)
def landscape(
    task: Annotated[
        str,
        typer.Option(
            "--task",
            help="digits, mnist or fashion-mnist (these need --data): a landscape needs labelled samples.",
            metavar="NAME",
        ),
    ] = "digits",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Data of mnist and fashion-mnist: an .npz, or the folder of the IDX files.", metavar="PATH"
        ),
    ] = None,
    optimizers: Annotated[
        str,
        typer.Option(
            "--optimizers",
            help="sgd, adam, ngd, ngd-cg, kfac, tngd, tngd-adam, tngd-kfac, each with optional settings: "
            "sgd:lr=0.1,tngd:damping=1:duration=5.",
            metavar="LIST",
        ),
    ] = "sgd,adam,ngd,tngd",
    plane: Annotated[
        str,
        typer.Option(
            "--plane", help="paths (principal plane of all paths) or random (filter-normalised).", metavar="NAME"
        ),
    ] = "paths",
    device: DeviceName = None,
    card: Card = None,
    technology: TechnologyName = None,
    die: DieSeed = None,
    extrapolate: Extrapolate = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Updates of each training; default: as `train`.")
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Samples a step; default: as `train`.")] = None,
    seed: Seed = 0,
    points: Annotated[int, typer.Option("--points", min=2, help="Grid points along each side.")] = 41,
    span: Annotated[
        float | None,
        typer.Option("--span", help="Half the side of the window. Default: to fit the paths; random: 1."),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", min=1, help="Maximum number of training samples in the mean loss.")
    ] = 2048,
    workers: Workers = 1,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write the loss on the plane and the paths: .json or .npz.", metavar="FILE"),
    ] = None,
    plot: Plot = None,
    json: Json = False,
) -> None:
    """Draw the training loss on a plane through the best solution, and the path of each optimizer on it.

    All start from the same weights and see the same batches. docs/landscape.md explains how to read the picture.
    """
    given = [card, data, Path(technology or "")]
    picture, target = output_path(plot, PICTURES, given), output_path(out, (".json", ".npz"), given)
    hardware = {"device": device, "card": card, "technology": technology, "die": die, "extrapolate": extrapolate}
    runs = _runs(optimizers, hardware)
    from ..optim.training.landscape import PLANES
    from ..optim.training.landscape import landscape as find
    from ..optim.training.trajectory import follow
    from .training.task_and_device import open_task

    if plane not in PLANES:
        raise InputError(f"--plane {plane!r} is unknown; there are: {', '.join(PLANES)}")
    if span is not None and not (math.isfinite(span) and span > 0):
        raise InputError(f"--span is {span}; give a finite number > 0")
    chosen = open_task(task, data)
    machines = _prepared(runs, hardware, seed)
    steps, batch = steps or chosen.plan.steps, batch or chosen.plan.batch
    with progress() as report:
        trajectories = [
            follow(
                chosen, name, steps, batch, seed, machine, samples, label,
                progress=lambda done, total, label=label: report(f"training {label}", done, total),  # type: ignore[misc]
                settings=settings,
            )
            for (label, name, settings), machine in zip(runs, machines, strict=True)
        ]  # fmt: skip
        found = find(
            chosen, trajectories, plane, points, span, samples, seed, workers,
            progress=lambda done, rows: report("loss on the plane", done, rows),
        )  # fmt: skip
    result = found.to_dict() | {"task": chosen.name, "steps": steps, "batch": batch, "seed": seed}
    result |= {"device": hardware["device"], "die": die}
    title = f"{task}: {steps} steps of {batch}, seed {seed}"
    if target is not None and target.suffix.lower() == ".npz":
        import numpy as np

        write_file(target, lambda temporary: np.savez(temporary, allow_pickle=False, **found.arrays()))
    elif target is not None:
        write_text(target, to_json(result))
    if picture is not None:
        from ..report.figures.landscape import landscape_plot
        from ..report.figures.style import save

        save(landscape_plot(found, title), picture)
    if json:
        emit(result)
    else:
        _show(found, title)
    for one in trajectories:
        if one.diverged is not None:
            note(f"{one.label} diverged before step {one.diverged}, where its path ends; try a smaller lr")
    for path in filter(None, (target, picture)):
        note(f"wrote {path}")


def _show(found: Landscape, title: str) -> None:
    from ..report.figures.landscape import subtitle

    rows = [
        (
            one.label,
            f"{one.loss[-1]:.4g}",
            f"{shadow:.4g}",
            f"{math.hypot(*(place[-1] - place[0])):.3g}",
            f"{off[-1]:.3g}",
            f"{off.max():.3g}",
        )
        for one, place, off, shadow in zip(
            found.trajectories, found.coordinates, found.distances, found.projected_loss, strict=True
        )
    ]
    columns = (
        "optimizer",
        "final loss",
        "loss on the plane",
        "distance in the plane",
        "final distance to it",
        "largest distance to it",
    )
    show(f"{title}; loss of {found.samples} training samples", columns, rows)
    note(subtitle(found))


def _runs(text: str, hardware: dict[str, Any]) -> list[tuple[str, str, dict[str, float]]]:
    """Label, optimizer and settings of each item of a list such as `sgd:lr=0.1,tngd`."""
    from ..optim.optimizers.registry import OPTIMIZERS, uses_device

    runs: list[tuple[str, str, dict[str, float]]] = []
    for item in text.split(","):
        name, *pairs = (word.strip() for word in item.split(":"))
        if name not in OPTIMIZERS:
            raise InputError(f"--optimizers: {name!r} is unknown; there are: {', '.join(OPTIMIZERS)}")
        known = [key for key, value in OPTIMIZERS[name][1].items() if isinstance(value, int | float)]
        settings: dict[str, float] = {}
        for pair in pairs:
            key, _, value = pair.partition("=")
            key = key.strip().replace("-", "_")
            if key not in known:
                raise InputError(
                    f"--optimizers: {pair!r} does not apply to {name}; it takes {', '.join(known)}, as lr=0.1"
                )
            if key in settings:
                raise InputError(f"--optimizers: {key} of {name} is given twice; give one of them")
            try:
                settings[key] = float(value)
            except ValueError:
                raise InputError(f"--optimizers: {pair!r} of {name} is not a number; give one, as lr=0.1") from None
            forever = key == "duration" and settings[key] == math.inf
            if not (math.isfinite(settings[key]) or forever) or (key == "lr" and settings[key] <= 0):
                wanted = "a finite number > 0" if key == "lr" else "a finite number"
                raise InputError(f"--optimizers: {key} of {name} is {settings[key]}; give {wanted}")
        label = ", ".join([name, *(f"{key.replace('_', ' ')} {value:g}" for key, value in settings.items())])
        if any(label == other for other, _, _ in runs):
            raise InputError(f"--optimizers: {item.strip()!r} is given twice; leave one out, or change a setting")
        runs.append((label, name, settings))
    if len(runs) > MAX_RUNS:
        raise InputError(f"--optimizers: {len(runs)} are too many for one picture; give at most {MAX_RUNS}")
    if not any(uses_device(name) for _, name, _ in runs):
        for option, value in hardware.items():
            if value is not None:
                raise InputError(f"--{option} does not apply to {text}, which use no device; leave it out, or add tngd")
    return runs


def _prepared(
    runs: list[tuple[str, str, dict[str, float]]], hardware: dict[str, Any], seed: int
) -> list[Device | None]:
    """A device for each training that uses one. Invalid settings are found here, before the first training."""
    import torch

    from ..optim.optimizers.registry import make_optimizer, uses_device
    from .training.task_and_device import training_device

    devices: list[Device | None] = []
    for _, name, settings in runs:
        make_optimizer(name, [torch.nn.Parameter(torch.zeros(1))], None, settings)
        if not uses_device(name):
            devices.append(None)
            continue
        devices.append(training_device(hardware, seed)[1])
    return devices
