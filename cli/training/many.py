"""All trainings of an experiment: what `thermograd train` does with a file, or with several seeds."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...circuits.errors import InputError
from ...circuits.files import output_folder, read_text, write_text
from ..options import seeds as seed_list
from ..outputs import Progress, emit, note, show, to_json
from .one import MAX_BAD_STEP_FRACTION

if TYPE_CHECKING:
    from ...optim.training.experiment import Experiment
    from ...optim.training.experiment_result import ExperimentResult


def table_of_file(path: Path) -> dict[str, Any]:
    """The table of an experiment's file. InputError if it cannot be read, or is no TOML."""
    try:
        return tomllib.loads(read_text(path))
    except OSError as error:
        raise InputError(f"experiment {str(path)!r} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"experiment {str(path)!r} is not valid TOML: {error}") from None


def table_of_options(
    task: str,
    optimizer: str,
    steps: int | None,
    batch: int | None,
    settings: dict[str, Any],
    hardware: dict[str, Any],
    schedule: str | None,
) -> dict[str, Any]:
    """The table of an experiment with a single run, labelled by its optimizer; None where an option was not given."""
    run: dict[str, Any] = {"label": optimizer, "optimizer": optimizer, "schedule": schedule}
    run["settings"] = {name: value for name, value in settings.items() if value is not None}
    given = {name: str(value) if isinstance(value, Path) else value for name, value in hardware.items()}
    die, kind = given.pop("die"), given.pop("device")
    if kind is not None or die is not None or any(value is not None for value in given.values()):
        run["device"] = {"kind": kind or ("ideal" if given["card"] is None else "surrogate")}
        run["device"] |= {name: value for name, value in given.items() if value is not None}
    if die is not None:
        run["dies"] = [die]
    found = {"task": task, "steps": steps, "batch": batch}
    return {name: value for name, value in found.items() if value is not None} | {"run": [_without_none(run)]}


def _without_none(table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if value is not None}


def experiment_of(
    table: dict[str, Any],
    folder: Path,
    assignments: Sequence[str],
    seeds: str | None,
    data: Path | None,
    steps: int | None = None,
) -> Experiment:
    """The experiment of a table, with what the options replace.

    Args:
        folder: that paths in it are relative to. assignments: of --set. seeds, data: of the options.
        steps: of all runs, also of those with a number of their own.

    Raises:
        InputError: as `overridden` and `Experiment.of_table`.
    """
    from ...optim.training.experiment import Experiment
    from .overrides import overridden

    table = overridden(table, assignments)
    if seeds is not None:
        table["seeds"] = seed_list("--seeds", seeds)
    if data is not None:
        table["settings"] = {**table.get("settings", {}), "path": str(data)}
    found = Experiment.of_table(table, folder)
    if steps is not None:
        runs = tuple(run.model_copy(update={"steps": steps}) for run in found.runs)
        found = found.model_copy(update={"runs": runs})
    return found


def run_many(
    experiment: Experiment, out: Path, workers: int | None, tensorboard: bool, report: Progress
) -> ExperimentResult:
    """Train all, and write the tables into the folder.

    Raises:
        InputError: as `run_experiment`; pyarrow or tensorboard is missing, before any training.
    """
    from ...optim.training.experiment import run_experiment
    from ...optim.training.metrics import require_pyarrow, write_metrics
    from ...report.experiment_rows import caption, columns, markdown, rows

    require_pyarrow()
    result = run_experiment(
        experiment,
        output_folder(out),
        workers,
        lambda done, total: report("steps of all trainings", done, total),
        tensorboard=tensorboard,
    )
    asked = to_json({"experiment": experiment.model_dump(exclude_none=True)})
    if _earlier(out / "results.json") not in (None, json.loads(asked)["experiment"]):
        note(
            f"the tables in {out} were of another experiment and are replaced; its trainings are kept, so that its command makes them again"
        )
    write_metrics(result, out / "metrics.parquet")
    write_text(out / "results.json", to_json(json.loads(asked) | result.to_dict()))
    texts = rows(result.table(), result.score, result.baseline)
    text = markdown(columns(result.score, result.baseline, result.further), texts)
    write_text(out / "table.md", f"{text}\n{caption(result.score, result.baseline)}\n")
    return result


def _earlier(results: Path) -> object:
    """The experiment whose results are there; None if none are, or the file is not one of them."""
    try:
        return json.loads(read_text(results)).get("experiment")
    except (OSError, ValueError, AttributeError):
        return None


def show_result(
    experiment: Experiment, result: ExperimentResult, out: Path, picture: Path | None, as_json: bool
) -> None:
    """Print the table, or all as JSON; draw the picture."""
    from ...report.experiment_rows import caption, columns, rows

    files = [out / name for name in ("metrics.parquet", "results.json", "table.md")]
    if picture is not None:
        from ...report.figures.comparison import comparison_plot
        from ...report.figures.style import save

        save(comparison_plot(result, experiment.task), picture)
        files.append(picture)
    if as_json:
        emit(result.to_dict() | {"files": files})
        return
    heads = columns(result.score, result.baseline, result.further)
    texts = rows(result.table(), result.score, result.baseline)
    # Runs side by side: their figures are too many for one line of a terminal.
    show(
        experiment.task,
        ("", *(line[0] for line in texts)),
        list(zip(heads[1:], *(line[1:] for line in texts), strict=True)),
    )
    note(caption(result.score, result.baseline))
    note(f"wrote {', '.join(map(str, files))}")


def problem_of(result: ExperimentResult) -> str:
    """Why an experiment counts as failed, with the remedy; empty if it does not."""
    for run in result.runs:
        name = f"{run.label}, seed {run.seed}" + ("" if run.die is None else f", die {run.die}")
        step = next((step for step, loss in enumerate(run.history.loss) if not math.isfinite(loss)), None)
        if step is not None:
            return f"{name}: the loss is not finite at step {step}: use a smaller lr or more damping"
    for row in result.table():
        if row.bad > MAX_BAD_STEP_FRACTION:
            return f"{row.label}: {100 * row.bad:.0f} % of the steps ended badly on the device: use more damping, or refined readings"
    return ""
