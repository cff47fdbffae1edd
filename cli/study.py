"""The command that trains at each level of an imperfection: `study`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..circuits.errors import InputError
from ..circuits.files import output_folder, write_text
from .options import LEARNING, Card, Json, Seed, TechnologyName, examples, numbers, seeds
from .outputs import complain, emit, note, progress, show, to_json

app = typer.Typer()


@app.command(
    rich_help_panel=LEARNING,
    epilog=examples(
        "thermograd study tolerance --card card.json",
        "thermograd study isolation --technology integrated --dies 1,2,3,4,5",
        "thermograd study adc --card card.json --levels 3,4,6,8 --steps 200 --out out/study",
    ),
)
def study(
    name: Annotated[
        str,
        typer.Argument(help="tolerance (resistors), isolation (heat from a neighbour) or adc (bits).", metavar="NAME"),
    ],
    card: Card = None,
    technology: TechnologyName = None,
    levels: Annotated[
        str | None, typer.Option("--levels", help="Levels of the imperfection, such as 0.01,0.1.", metavar="LIST")
    ] = None,
    dies: Annotated[str, typer.Option("--dies", help="Seeds of the dies, such as 1,2,3.", metavar="LIST")] = "1,2,3",
    steps: Annotated[int, typer.Option("--steps", min=1, help="Updates of each training.")] = 300,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Samples a step.")] = 8,
    reading: Annotated[
        str,
        typer.Option(
            "--reading",
            help="refined: corrected by its digital residual; bare: one reading as it is; both.",
            metavar="NAME",
        ),
    ] = "both",
    within: Annotated[
        float, typer.Option("--within", min=0.0, help="Tolerated loss of accuracy against the ideal device.")
    ] = 0.02,
    seed: Seed = 0,
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
    ] = Path("out/study"),
    json: Json = False,
) -> None:
    """Train at each level of an imperfection on several dies, read in both ways: how much of it is tolerable?

    Without --card, a quick calibration of the technology (default: integrated) is made first and kept in the folder.
    Exit code 1 when no level is --within of the ideal device's accuracy.
    """
    from ..devicemodel.card import DeviceCard
    from ..optim.codesign.knobs import KNOBS
    from ..optim.codesign.study import READINGS, run_study
    from .hardware import make_card, read_technology

    if name not in KNOBS:
        raise InputError(f"study {name!r} is unknown; there are: {', '.join(KNOBS)}")
    if reading not in ("both", *READINGS):
        raise InputError(f"--reading is {reading!r}: give one of both, {', '.join(READINGS)}")
    chosen, places = None if levels is None else numbers("--levels", levels), seeds("--dies", dies)
    if card is not None and technology is not None:
        raise InputError("--card already holds its technology; leave --technology out")
    target = output_folder(out)
    if card is not None:
        calibrated = DeviceCard.read(card)
    else:
        board = read_technology(technology or "integrated")
        kept = target / f"card-{board.name.replace(' ', '-')}.json"
        if kept.exists() and DeviceCard.read(kept).technology == board:
            calibrated = DeviceCard.read(kept)
        else:
            note(f"no --card: calibrating {board.name} first")
            calibrated = make_card(board, "auto", 0, (), True, workers or 2)
            calibrated.write(kept)
    if workers is None and scheduler is None:
        workers = 2
    with progress() as report:
        results = run_study(
            name, calibrated, chosen, places, steps, batch, seed, workers, target,
            progress=lambda done, total: report(f"study: {name}", done, total), scheduler=scheduler,
            readings=READINGS if reading == "both" else (reading,),
        )  # fmt: skip
    from ..report.figures.study import study_plot
    from ..report.figures.style import save

    data, picture = target / f"{name}.json", target / f"{name}.png"
    write_text(data, to_json(results.to_dict()))
    save(study_plot(results.to_dict()), picture)
    if json:
        emit(results.to_dict() | {"files": [data, picture]})
    else:
        knob = results.knob
        rows = [
            (f"{shown:.4g}", way, f"{100 * mean:.2f}", f"{100 * std:.2f}")
            for way in results.readings
            for shown, mean, std in results.rows(way)
        ]
        show(
            f"{knob.title}: ideal device {100 * results.baseline:.2f} %",
            (f"{knob.axis} ({knob.unit})", "reading", "accuracy, %", "std over dies"),
            rows,
        )
        steps_beyond = sum(run.outcomes.get("extrapolated", 0) for run in results.runs)
        if steps_beyond:
            note(
                f"{steps_beyond} of {steps * len(results.runs)} steps were outside of the range that the card was calibrated for"
            )
        note(f"wrote {data}, {picture}")
    if not any(mean >= results.baseline - within for way in results.readings for _, mean, _ in results.rows(way)):
        complain(
            f"no level of {name} stays within {within:g} of the ideal device's accuracy {results.baseline:.4f}; "
            "try gentler --levels"
        )
        raise typer.Exit(1)
