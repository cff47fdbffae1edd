"""The command that searches for the cheapest device that is good enough: `codesign`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...circuits.errors import InputError
from ...circuits.files import output_folder
from ..options import LEARNING, Card, Json, TechnologyName, examples, seeds
from ..outputs import complain, emit, note, progress, show

if TYPE_CHECKING:
    from ...optim.codesign.search.result import CodesignResult

app = typer.Typer()


@app.command(
    rich_help_panel=LEARNING,
    epilog=examples(
        'thermograd codesign --task digits --target "test_accuracy >= exact_ngd - 0.3"',
        'thermograd codesign --task digits --target "test_accuracy >= 95 %" --technology gf180mcu --trials 32',
        'thermograd codesign --target "test_accuracy >= exact_ngd - 1" --knob adc.bits=3:10 --knob dac.bits=3:10 --at resistors.bits=6',
        'thermograd codesign --task poisson --target "error <= 1.5 * exact_ngd" --dies 1,2,3 --by joules',
        'thermograd codesign --target "test_accuracy >= exact_ngd - 0.3" --storage postgresql+psycopg://me@host/designs',
    ),
)
def codesign(
    target: Annotated[
        str,
        typer.Option(
            "--target",
            help='What a design must reach: "test_accuracy >= exact_ngd - 0.3" (percentage points below exact NGD with the same seeds), '
            '"error <= 1.5 * exact_ngd", or an absolute figure.',
            metavar="TEXT",
        ),
    ],
    task: Annotated[
        str,
        typer.Option(
            "--task", help="A task of `train`, or a Python file with task(), which returns a Task.", metavar="NAME|FILE"
        ),
    ] = "digits",
    data: Annotated[
        Path | None, typer.Option("--data", help="Data of the task, as for `train`.", metavar="PATH")
    ] = None,
    card: Card = None,
    technology: TechnologyName = None,
    knobs: Annotated[
        list[str] | None,
        typer.Option(
            "--knob",
            help="A knob that is searched, NAME=LOW:HIGH or NAME=A,B,C (repeatable). Default: those with a price in the cost model, in "
            "ranges around the card's.",
            metavar="NAME=RANGE",
        ),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", help="Another knob that all designs have; repeatable.", metavar="NAME=VALUE"),
    ] = None,
    reading: Annotated[
        str,
        typer.Option("--reading", help="Ways to read a die that are searched: refined, bare or both.", metavar="NAME"),
    ] = "both",
    trials: Annotated[int, typer.Option("--trials", min=1, help="Designs in all.")] = 64,
    dies: Annotated[str, typer.Option("--dies", help="Seeds of the dies, such as 1,2.", metavar="LIST")] = "1,2",
    training_seeds: Annotated[
        str, typer.Option("--seeds", help="Seeds of the trainings; each die is trained with each.", metavar="LIST")
    ] = "0",
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Updates of each whole training; default: the task's.")
    ] = None,
    short: Annotated[
        int | None, typer.Option("--short", min=1, help="Updates of a short training; default: a quarter.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Samples a step; default: 8 for digits, else the task's.")
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            "--by",
            help="What the cheapest is chosen by: product (of all costs), joules, seconds or area.",
            metavar="NAME",
        ),
    ] = "product",
    confirm_dies: Annotated[
        int, typer.Option("--confirm-dies", min=1, help="Further dies that the winner is confirmed on.")
    ] = 5,
    confirm_seeds: Annotated[
        str | None,
        typer.Option(
            "--confirm-seeds", help="Seeds of the confirmation; default: those of --seeds and two more.", metavar="LIST"
        ),
    ] = None,
    spice: Annotated[
        int, typer.Option("--spice", min=0, help="Solves of the winner's own run that ngspice repeats; 0: none.")
    ] = 2,
    margins: Annotated[
        str,
        typer.Option(
            "--margins", help="Margins of the winner's figures by short or full trainings, or none.", metavar="NAME"
        ),
    ] = "short",
    sensitivity: Annotated[
        int,
        typer.Option("--sensitivity", min=0, help="Base of the sample of Sobol's indices, a power of two; 0: none."),
    ] = 16,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the search.")] = 0,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage",
            help="Database on which several processes search together: postgresql+psycopg://user@host/name. Default: a file in --out.",
            metavar="URL",
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
        Path, typer.Option("--out", help="Folder; an interrupted search resumes there.", metavar="DIR")
    ] = Path("out/codesign"),
    json: Json = False,
) -> None:
    """Search for the cheapest device, with its host's protocol, on which a task is trained well enough.

    Made small are time, energy and area of a whole training by the cost model. Without --card or --technology the card shipped:integrated
    is varied. In the folder are codesign.json, and of the winner its technology, which compile and calibrate take (--technology), its card
    and how it is read and trained. codesign.html is the page for a reader who
    decides on a chip. Exit code 1 when no design meets the target.
    """
    from ...optim.codesign.search.codesign import codesign as run
    from ...optim.codesign.search.space import SearchedKnob
    from ...optim.codesign.studies import READINGS
    from ...report.codesign.page import plotly_script, write_codesign_page

    if reading not in ("both", *READINGS):
        raise InputError(f"--reading is {reading!r}: give one of both, {', '.join(READINGS)}")
    if card is not None and technology is not None:
        raise InputError("--card already holds its technology; leave --technology out")
    plotly_script()  # a missing package is found before the search
    places, repeats = seeds("--dies", dies), seeds("--seeds", training_seeds)
    (chosen, its), folder = _task(task, data), output_folder(out)
    if batch is None and task == "digits":
        batch = 8
    if workers is None and scheduler is None:
        workers = 2
    again = None if confirm_seeds is None else seeds("--confirm-seeds", confirm_seeds)
    with progress() as report:
        found = run(
            chosen,
            target,
            card=_card(card, technology),
            knobs=[SearchedKnob.parse(one) for one in knobs] if knobs else None,
            fixed=_fixed(at),
            readings=READINGS if reading == "both" else (reading,),
            dies=places,
            seeds=repeats,
            steps=steps,
            batch=batch,
            short=short,
            task_settings=its,
            trials=trials,
            seed=seed,
            by=by,
            confirm_dies=confirm_dies,
            confirm_seeds=again,
            in_spice=spice,
            margins=margins,
            sensitivity=sensitivity,
            out=folder,
            storage=storage,
            workers=workers,
            scheduler=scheduler,
            command=_command(),
            progress=lambda stage, done, total: report(f"codesign: {stage}", done, total),
        )
    write_codesign_page(found.to_dict(), folder / "codesign.html")
    files = [
        folder / name for name in ("codesign.json", "codesign.html", "winner.toml", "winner-card.json", "winner.json")
    ]
    written = [path for path in files if path.exists() and (found.winner is not None or path.stem == "codesign")]
    if json:
        emit(found.to_dict() | {"files": written})
    else:
        _show(found)
        note(f"wrote {', '.join(map(str, written))}")
    if found.winner is None:
        complain(
            f"no design meets {target} on further dies and seeds; try wider --knob ranges, more --trials, or ask for less"
        )
        raise typer.Exit(1)


def _task(task: str, data: Path | None) -> tuple[Any, dict[str, Any]]:
    """A task's name and settings, or the task of a file."""
    if not task.endswith(".py") and "/" not in task:
        from ..training.task_and_device import open_task

        open_task(task, data)  # says what is missing
        return task, {} if data is None else {"path": str(data)}
    if data is not None:
        raise InputError("--data does not apply to a file of your own; leave it out, and name the data in the file")
    from ...optim.codesign.training_file import read_training

    return read_training(Path(task)), {}


def _card(card: Path | None, technology: str | None) -> Any:
    from ...devicemodel.card import DeviceCard
    from ..hardware import read_technology

    if technology is not None:
        return DeviceCard.uncalibrated(read_technology(technology))
    return "shipped:integrated" if card is None else card


def _fixed(assignments: list[str] | None) -> dict[str, Any]:
    from ...optim.codesign.knobs.registry import knob_named

    found: dict[str, Any] = {}
    for text in assignments or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--at {text!r} is not NAME=VALUE, such as --at refined.rounds=4")
        if name.strip() in found:
            raise InputError(f"--at {name.strip()} is given twice: leave one of them out")
        found[name.strip()] = knob_named(name.strip()).parse(value)
    return found


def _command() -> str:
    """As it was typed, without a database's URL, which may hold a password."""
    words = sys.argv[1:]
    kept = [
        "URL"
        if (place and words[place - 1] == "--storage")
        else "--storage=URL"
        if word.startswith("--storage=")
        else word
        for place, word in enumerate(words)
    ]
    return shlex.join(["thermograd", *kept])


def _show(found: CodesignResult) -> None:
    """The front, the winner's knobs, and what it is held against."""
    data = found.to_dict()
    score = data["score"]
    factor, unit = (100.0, " %") if score["percent"] else (1.0, "")
    columns = ["design", f"{score['name']}{',' if unit else ''}{unit}", "time, s", "energy, J", "area, mm^2", "reading"]

    def row(number: object, value: float | None, one: Mapping[str, Any], reading: str) -> tuple[str, ...]:
        return (
            str(number),
            "-" if value is None else f"{factor * value:.4g}",
            *(_figure(one[name], scale) for name, scale in (("seconds", 1.0), ("joules", 1.0), ("area", 1e6))),
            reading,
        )

    rows = []
    for one in sorted(data["designs"], key=lambda one: one["joules"] or 0.0):
        if one["front"]:
            number = f"{one['number']} (winner)" if one["number"] == data["winner"] else one["number"]
            rows.append(row(number, one["scores"][score["name"]], one, one["reading"]))
    rows += [row(one["name"], one["score"], one, "") for one in data["references"]]
    exact = data["baseline"]["exact_ngd"]
    show(
        f"{data['task']}: {data['target']}; exact NGD {factor * exact:.4g}{unit}; whole trainings of {data['steps']} steps",
        columns,
        rows,
    )
    if found.winner is not None:
        show("the winner", ["knob", "value"], [(name, _value(value)) for name, value in found.winner["point"].items()])
        told = data["confirmation"]
        note(
            f"confirmed on {len(told['dies'])} further dies with {len(told['seeds'])} seeds: {factor * told['mean']:.4g}{unit}, std "
            f"{_figure(told['std'], factor)}; in ngspice: {_spice(told)}"
        )
    for text in data["notes"]:
        note(text)


def _figure(value: float | None, scale: float = 1.0) -> str:
    return "-" if value is None else f"{scale * value:.3g}"


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _spice(told: Mapping[str, Any]) -> str:
    spice = told["spice"]
    if not spice:
        return told["note"] or "not asked for"
    return f"{int(spice['solves'])} solves, relative rms difference {_figure(spice['difference'])} (standard error {_figure(spice['std'])})"
