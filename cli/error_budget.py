"""The command that finds out which cause makes how much of a die's error in a training: `error-budget`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..circuits.errors import InputError
from ..circuits.files import output_path, write_text
from .options import LEARNING, PICTURES, Card, Json, Layout, Page, Plot, Seed, TechnologyName, examples, numbers, seeds
from .outputs import emit, note, progress, show_causes, to_json, write_causes

if TYPE_CHECKING:
    from ..devicemodel.card import DeviceCard
    from ..devicemodel.error_budget.budget import ErrorBudget

app = typer.Typer()


@app.command(
    "error-budget",
    rich_help_panel=LEARNING,
    epilog=examples(
        "thermograd error-budget --technology integrated",
        "thermograd error-budget --card card.json --at 5,50,200 --dies 1,2,3,4,5 --plot causes.png",
        "thermograd error-budget --task mnist --data mnist.npz --card card.json --at 5,15,25 --out causes.md",
    ),
)
def error_budget(
    task: Annotated[str, typer.Option("--task", help="digits, or mnist (needs --data).", metavar="NAME")] = "digits",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="mnist.npz, or the folder of the IDX files; default: the variable THERMOGRAD_MNIST.",
            metavar="PATH",
        ),
    ] = None,
    card: Card = None,
    technology: TechnologyName = None,
    at: Annotated[
        str, typer.Option("--at", help="Steps of the training whose systems are solved, from 0.", metavar="LIST")
    ] = "5,50,150",
    dies: Annotated[str, typer.Option("--dies", help="Seeds of the dies, such as 1,2,3.", metavar="LIST")] = "1,2,3",
    rounds: Annotated[int, typer.Option("--rounds", min=0, help="Corrections of the refined readings.")] = 2,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Samples a step; default: 16 (digits), 64 (mnist).")
    ] = None,
    damping: Annotated[float | None, typer.Option("--damping", help="Damping of the curvature.")] = None,
    duration: Annotated[
        float | None, typer.Option("--duration", help="Tau before the reading; inf is settled.")
    ] = None,
    layout: Layout = False,
    seed: Seed = 0,
    plot: Plot = None,
    page: Page = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the tables: .json or .md (Markdown).", metavar="FILE")
    ] = None,
    json: Json = False,
) -> None:
    """Who makes the error of a die in a training? Each cause taken out, alone, and one after the other, bare and refined.

    The network trains with exact natural-gradient steps; surrogates of the dies then solve the systems of some of its steps. Of one matrix:
    `thermograd simulate A.npy --why`. Without --card, the technology's own figures are taken (default: integrated), not calibrated.
    """
    given = [card, data, Path(technology or "")]
    picture, target = output_path(plot, PICTURES, given), output_path(out, (".json", ".md"), given)
    shown = output_path(page, (".html",), given)
    steps, places = [int(step) for step in _steps(at)], seeds("--dies", dies)
    made_of = _card(card, technology)
    settings = {name: value for name, value in (("damping", damping), ("duration", duration)) if value is not None}
    with progress() as report:
        report("causes", 0, 1)
        found = _found(task, data, made_of, steps, places, batch, seed, settings, rounds, layout, report)
    budget = found.to_dict() | {"task": task, "steps": steps, "batch": batch, "seed": seed, "settings": settings}
    of = f"{task}, step{'s' * (len(steps) > 1)} {', '.join(map(str, steps))}"
    if target is not None:
        from ..report.error_budget import to_markdown

        named = [f"step {step}" for step in steps]
        write_text(target, to_json(budget) if target.suffix == ".json" else to_markdown(budget, named))
    files = [*write_causes(budget, of, picture, shown), *([target] if target else [])]
    if json:
        emit(budget | {"files": files})
    else:
        show_causes(budget, of)
    for path in files:
        note(f"wrote {path}")


def _steps(text: str) -> list[float]:
    steps = numbers("--at", text)
    for step in steps:
        if step < 0 or step != int(step):
            raise InputError(f"--at: {step:g} is not a step; steps are whole numbers >= 0")
    return sorted(set(steps))


def _card(card: Path | None, technology: str | None) -> DeviceCard:
    from ..devicemodel.card import DeviceCard
    from .hardware import read_technology

    if card is not None and technology is not None:
        raise InputError("--card already holds its technology; leave --technology out")
    if card is not None:
        return DeviceCard.read(card)
    board = read_technology(technology or "integrated")
    note(f"no --card: the figures of {board.name} as they are stated, not calibrated")
    return DeviceCard.uncalibrated(board)


def _found(
    name: str,
    data: Path | None,
    made_of: DeviceCard,
    steps: list[int],
    dies: list[int],
    batch: int | None,
    seed: int,
    settings: dict[str, float],
    rounds: int,
    layout: bool,
    report: Any,
) -> ErrorBudget:
    from ..optim.training.error_budget import training_error_budget
    from .training.task_and_device import open_task

    return training_error_budget(
        open_task(name, data), made_of, steps, dies, batch, seed, settings, rounds, layout,
        lambda done, total: report("causes", done, total),
    )  # fmt: skip
