"""The command that trains at each level of a knob: `study`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..circuits.errors import InputError, SimulatorMissing
from ..circuits.files import output_folder, write_text
from .options import LEARNING, Card, Json, TechnologyName, examples, numbers, seeds
from .outputs import complain, emit, note, progress, show, to_json

if TYPE_CHECKING:
    from ..circuits.technology.technology import Technology
    from ..devicemodel.card import DeviceCard
    from ..optim.codesign.knobs.knob import Knob
    from ..optim.codesign.study_result import Study, StudyRow, StudyScore

LOSS_OF_ACCURACY, FACTOR_OF_ERROR = 0.02, 2.0
"""What is tolerated by default: of an accuracy the difference, of an error the ratio to the ideal device's."""

OUT = Path("out/study")

app = typer.Typer()


@app.command(
    rich_help_panel=LEARNING,
    epilog=examples(
        "thermograd study tolerance --card card.json",
        "thermograd study tolerance --card shipped:integrated",
        "thermograd study isolation --technology integrated --dies 1,2,3,4,5",
        "thermograd study adc --card card.json --levels 3,4,6,8 --steps 200 --out out/study",
        "thermograd study adc --task poisson --dies 1,2 --seeds 0,1",
        "thermograd study adc --task my.py --seeds 0,1,2",
        "thermograd study refined.rounds --technology gf180mcu --levels 0,1,2,4",
        "thermograd study wires.segment_resistance --levels 0,1,10 --at device.layout=true",
        "thermograd study plan.toml --out out/plan --workers 2",
        'thermograd study plan.toml --out out/plan --target "test_accuracy >= exact_ngd - 0.3"',
        "thermograd study --list",
    ),
)
def study(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            help="tolerance (resistors), isolation (heat from a neighbour) or adc (bits); any knob of --list; or a plan, a .toml file with "
            "a grid or a sample of several knobs (docs/study.md).",
            metavar="NAME|PLAN",
        ),
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="Print every knob with unit, range and meaning, and end.")
    ] = False,
    task: Annotated[
        str,
        typer.Option(
            "--task",
            help="A task of `train`, or a Python file of your own with train(device, seed), which returns a score or several by name, or "
            "with task(), which returns a Task.",
            metavar="NAME|FILE",
        ),
    ] = "digits",
    data: Annotated[
        Path | None, typer.Option("--data", help="Data of the task, as for `train`.", metavar="PATH")
    ] = None,
    card: Card = None,
    technology: TechnologyName = None,
    levels: Annotated[
        str | None,
        typer.Option(
            "--levels", help="Levels of the knob, such as 0.01,0.1 or off,on; default: its own.", metavar="LIST"
        ),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", help="Another knob that is turned at all levels; repeatable.", metavar="NAME=VALUE"),
    ] = None,
    dies: Annotated[str, typer.Option("--dies", help="Seeds of the dies, such as 1,2,3.", metavar="LIST")] = "1,2,3",
    training_seeds: Annotated[
        str,
        typer.Option("--seeds", help="Seeds of the trainings; each die is trained with each.", metavar="LIST"),
    ] = "0",
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Updates of each training; default: the task's.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Samples a step; default: 8 for digits, else the task's.")
    ] = None,
    reading: Annotated[
        str | None,
        typer.Option(
            "--reading",
            help="refined: corrected by its digital residual; bare: one reading as it is; both (default, where the training takes it).",
            metavar="NAME",
        ),
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(
            "--within",
            min=0.0,
            help="Tolerated against the ideal device: loss of accuracy (default 0.02), factor of a task's error (default 2), or difference "
            "of a score of your own, either way (default: not looked at).",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            help="Of a plan: what a die has to reach, such as 'test_accuracy >= exact_ngd - 0.3' (points), 'error <= 1.5 * exact_ngd' or "
            "'solve_error <= 0.01'; the yield at each level is shown, and from which one on all dies meet it.",
            metavar="TEXT",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes at a time.", show_default="2")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler", help="Address of a dask.distributed scheduler, in place of --workers.", metavar="ADDRESS"
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder; an interrupted study resumes there.", metavar="DIR")
    ] = OUT,
    json: Json = False,
) -> None:
    """Train at each level of an imperfection, or of any knob, on several dies, read in both ways: how much of it is tolerable?

    With a plan, its table, curves and summary go to the folder (default: out/study/ and the plan's name) as runs finish.

    Without --card, a quick calibration of the technology (default: integrated) is made first and kept in the folder.
    Exit code 1 when no level is --within of the ideal device.
    """
    if listed:
        _list(json)
        return
    if name is not None and name.endswith(".toml"):
        from .training import plan

        plan.require_plan_alone(context)
        plan.run(Path(name), out / Path(name).stem if out == OUT else out, workers, scheduler, json, target)
        return
    if target is not None:
        raise InputError(
            "--target judges the dies of a plan: write the study into a .toml file (docs/study.md), or use --within"
        )
    from ..optim.codesign.knobs.registry import knob_named
    from ..optim.codesign.studies import READINGS
    from ..optim.codesign.studies import study as run

    if name is None:
        raise InputError(
            "no NAME of a knob is given: name one of `thermograd study --list`, such as adc or tngd.damping"
        )
    knob = knob_named(name, "study")
    if reading not in (None, "both", *READINGS):
        raise InputError(f"--reading is {reading!r}: give one of both, {', '.join(READINGS)}")
    ways = None if reading is None else READINGS if reading == "both" else (reading,)
    chosen, places = _levels(knob, levels), seeds("--dies", dies)
    fixed = _fixed(at or [])
    repeats = seeds("--seeds", training_seeds)
    training = _training(task, data)
    if batch is None and task == "digits":
        batch = 8
    folder = output_folder(out)
    calibrated = _calibrated(card, technology, folder, workers or 2)
    if workers is None and scheduler is None:
        workers = 2
    with progress() as report:
        found = run(
            training, name, chosen, places, repeats, calibrated, folder, workers, ways, steps=steps, batch=batch,
            fixed=fixed, scheduler=scheduler, progress=lambda done, total: report(f"study: {name}", done, total),
        )  # fmt: skip
    from ..report.figures.study import study_plot
    from ..report.figures.style import save

    data_file, picture = folder / f"{name}.json", folder / f"{name}.png"
    write_text(data_file, to_json(found.to_dict()))
    save(study_plot(found.to_dict()), picture)
    if json:
        emit(found.to_dict() | {"files": [data_file, picture]})
    else:
        for score in found.scores:
            _show(found, score)
        beyond = sum(one.outcomes.get("extrapolated", 0) for one in found.runs)
        total = sum(sum(one.outcomes.values()) for one in found.runs)
        if beyond:
            note(f"{beyond} of {total} steps were outside of the range that the card was calibrated for")
        if not found.is_heeded:
            note(f"every level of {name} gave the same scores: this training does not depend on it")
        note(f"wrote {data_file}, {picture}")
    rows = [row for way in found.readings for row in found.rows(way)]
    missed = _missed(found.scores[0], found.baseline(), rows, within)
    if missed:
        complain(f"no level of {name} {missed}; try gentler --levels")
        raise typer.Exit(1)


def _list(json: bool) -> None:
    from ..optim.codesign.knobs.markdown import COLUMNS, as_data, rows

    if json:
        emit(as_data())
    else:
        show("", COLUMNS, rows())


def _levels(knob: Knob, text: str | None) -> list[float | str] | None:
    """Words of a choice, or numbers."""
    if text is None:
        return None
    return [word.strip() for word in text.split(",")] if knob.choices else [*numbers("--levels", text)]


def _fixed(assignments: Sequence[str]) -> dict[str, Any]:
    from ..optim.codesign.knobs.registry import knob_named

    found: dict[str, Any] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--at {text!r} is not NAME=VALUE, such as --at refined.rounds=4")
        knob = knob_named(name.strip())
        if name.strip() in found:
            raise InputError(f"--at {name.strip()} is given twice: leave one of them out")
        found[name.strip()] = knob.parse(value)
    return found


def _training(task: str, data: Path | None) -> Any:
    if task.endswith(".py") or "/" in task:
        if data is not None:
            raise InputError("--data does not apply to a file of your own; leave it out, and name the data in the file")
        from ..optim.codesign.training_file import read_training

        return read_training(Path(task))
    from .training.task_and_device import open_task

    return open_task(task, data)


def _calibrated(card: Path | None, technology: str | None, folder: Path, workers: int) -> DeviceCard:
    from ..devicemodel.card import DeviceCard
    from ..optim.codesign.studies import varied_card
    from .hardware import make_card, read_technology

    if card is not None and technology is not None:
        raise InputError("--card already holds its technology; leave --technology out")
    if card is not None:
        return varied_card(card)
    board = read_technology(technology or "integrated")
    kept = folder / f"card-{board.name.replace(' ', '-')}.json"
    if kept.exists() and DeviceCard.read(kept).technology == board:
        return DeviceCard.read(kept)
    note(f"no --card: calibrating {board.name} first")
    try:
        made = make_card(board, "auto", 0, (), True, workers)
    except SimulatorMissing as error:
        raise SimulatorMissing(f"{error}. Or study a card that is there, which needs none: {_instead(board)}") from None
    made.write(kept)
    return made


def _instead(technology: Technology) -> str:
    """A card for a machine without ngspice."""
    from ..circuits.technology.presets import PRESETS
    from ..devicemodel.shipped_cards import SCHEME, shipped_names

    name = technology.name
    shipped = name in shipped_names() and PRESETS.get(name) == technology
    return f"--card {SCHEME}{name}" if shipped else f"--card FILE, or {SCHEME}integrated"


def _show(found: Study, score: StudyScore) -> None:
    """The table of one score. Spreads of a single die or seed, and counts of diverged runs that are all 0, are left out."""
    factor, digits = (100.0, 4) if score.percent else (1.0, 4)
    unit = ", %" if score.percent else ""
    rows = [(way, row) for way in found.readings for row in found.rows(way, score.name)]
    knob = found.knob
    columns = [
        f"{knob.axis or knob.title}{f' ({knob.unit})' if knob.unit else ''}",
        f"{score.name}{unit}",
        "less the ideal",
    ]
    columns += ["std over dies"] if len(found.dies) > 1 else []
    columns += ["std over seeds"] if len(found.seeds) > 1 else []
    columns[1:1] = ["reading"] if found.readings[0] else []
    diverged = any(row.diverged for _, row in rows)
    columns += ["diverged"] if diverged else []
    table = []
    for way, row in rows:
        spreads = [row.over_dies] * (len(found.dies) > 1) + [row.over_seeds] * (len(found.seeds) > 1)
        cells = [f"{factor * value:.{digits}g}" for value in (row.mean, row.difference, *spreads)]
        cells += [f"{row.diverged} of {row.runs}"] if diverged else []
        shown = knob.choices[int(row.shown)] if knob.choices else f"{row.shown:.4g}"
        table.append((shown, *([way] if way else []), *cells))
    ideal = f"ideal device {factor * found.baseline(score.name):.{digits}g}{' %' if score.percent else ''}"
    show(f"{knob.title}, {found.training}: {score.name}, {ideal}", columns, table)


def _missed(score: StudyScore, ideal: float, rows: Sequence[StudyRow], within: float | None) -> str:
    """What no level reaches; empty if one does, or nothing is asked. A level where a run diverged does not."""
    means = [row.mean for row in rows if not row.diverged]
    if score.percent:
        limit = LOSS_OF_ACCURACY if within is None else within
        good = [mean >= ideal - limit for mean in means]
        text = f"stays within {limit:g} of the ideal device's {score.name} {ideal:.4f}"
    elif score.more_is_better is False:
        limit = FACTOR_OF_ERROR if within is None else within
        good = [mean <= limit * ideal for mean in means]
        text = f"stays within {limit:g} times the ideal device's {score.name} {ideal:.4g}"
    elif within is None:
        good, text = [not rows or bool(means)], "trains without a run that diverges"
    else:
        good = [math.isfinite(mean) and abs(mean - ideal) <= within for mean in means]
        text = f"stays within {within:g} of the ideal device's {score.name} {ideal:.4g}"
    return "" if any(good) else text
