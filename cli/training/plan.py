"""A study as a file: what `thermograd study` does with a plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ...circuits.errors import InputError
from ...circuits.files import output_folder
from ..outputs import emit, note, progress, show
from . import plan_yields

if TYPE_CHECKING:
    from ...optim.codesign.knobs.knob import Knob
    from ...optim.codesign.plans.runs import Prepared

OF_THE_CALL = ("name", "workers", "scheduler", "out", "target", "json")
"""Options that go with a plan; all else is in its file."""


def require_plan_alone(context: typer.Context) -> None:
    """InputError for an option that a plan has a field for."""
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name not in OF_THE_CALL and source is not None and source.name == "COMMANDLINE":
            raise InputError(
                f"{option.opts[0]} does not apply to a plan: write it into the file, as docs/study.md has it"
            )


def run(
    path: Path, folder: Path, workers: int | None, scheduler: str | None, json: bool, target: str | None = None
) -> None:
    """Run the plan to its end, or on from where it was stopped, and show its table.

    Args:
        path: of the plan. folder: of the results.
        workers, scheduler: as `run_plan` takes them; neither is two processes.
        json: print the summary as JSON.
        target: that dies are judged by, such as "test_accuracy >= exact_ngd - 0.3".

    Raises:
        Exit: 1 if there is a target, and no design point of which all dies meet it.
    """
    from ...optim.codesign.plans.plan import read_plan
    from ...optim.codesign.plans.run import evaluate
    from ...optim.codesign.plans.runs import prepare, require_simulator
    from ...optim.codesign.plans.summary import summarise
    from ...optim.codesign.plans.table import require_pandas

    require_pandas()
    prepared = prepare(read_plan(path))
    goal = None if target is None else plan_yields.read_target(target, prepared)
    output_folder(folder)
    if scheduler is None:
        require_simulator(prepared.runs)
    count = workers or (2 if scheduler is None else None)
    with progress() as report:
        results = evaluate(
            prepared, folder, count, scheduler, lambda done, total: report(f"study {path.stem}", done, total)
        )
    summary = summarise(prepared, results)
    files = [
        folder / "table.parquet",
        folder / "curves.parquet",
        folder / "summary.json",
        *_picture(prepared, results, summary, folder),
    ]
    judged = None if goal is None else plan_yields.judge(folder, goal)
    if json:
        emit(summary | {"files": files} | ({} if judged is None else {"yields": judged}))
    else:
        _show(summary, prepared)
        _remarks(summary, results)
        note(f"wrote {', '.join(map(str, files))}")
        if judged is not None:
            plan_yields.tell(judged)
    if judged is not None and not judged["any_level"]:
        raise typer.Exit(1)


def _picture(prepared: Prepared, results: dict[str, Any], summary: dict[str, Any], folder: Path) -> list[Path]:
    """That of a study of one knob, or a panel for each of several; none without any."""
    from ...optim.codesign.plans.summary import as_study
    from ...report.figures.study import points_plot, study_plot
    from ...report.figures.style import save

    if not prepared.plan.varied:
        return []
    found = as_study(prepared, results)
    save(points_plot(summary) if found is None else study_plot(found.to_dict()), folder / "table.png")
    return [folder / "table.png"]


def _show(summary: dict[str, Any], prepared: Prepared) -> None:
    """A row for each design point and reading; columns that say nothing are left out."""
    plan, score, points = prepared.plan, summary["score"], summary["points"]
    knobs = plan.varied
    figures = [("less exact NGD", "difference"), ("std over dies", "std_dies"), ("std over seeds", "std_seeds")]
    figures += [("s a step", "seconds"), ("J a step", "joules"), ("area, m^2", "area")]
    if plan.level == "solve":
        figures = [figure for figure in figures if figure[1] != "difference"]
    kept = [figure for figure in figures if any(math.isfinite(point[figure[1]]) for point in points)]
    diverged = any(point["diverged"] for point in points)
    factor = 100.0 if score["percent"] else 1.0
    columns = [f"{knob.name}{f', {knob.unit}' if knob.unit not in ('', '1') else ''}" for knob in knobs]
    columns += ["reading", f"{score['name']}{', %' if score['percent'] else ''}", *(title for title, _ in kept)]
    columns += ["diverged"] if diverged else []
    rows = []
    for point in points:
        cells = [_value(knob, point["point"][knob.target]) for knob in knobs]
        cells += [point["reading"], f"{factor * point['mean']:.4g}"]
        cells += [f"{(factor if name.startswith(('std', 'diff')) else 1.0) * point[name]:.4g}" for _, name in kept]
        cells += [f"{point['diverged']} of {point['runs']}"] if diverged else []
        rows.append(cells)
    exact = "" if plan.level == "solve" else f", exact NGD {factor * summary['baseline']['mean']:.4g}"
    show(
        f"{Path(plan.task).name}: {score['name']}{exact}; {len(plan.dies)} dies, {len(plan.seeds)} seeds", columns, rows
    )


def _value(knob: Knob, value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "on", False: "off"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _remarks(summary: dict[str, Any], results: dict[str, Any]) -> None:
    outcomes: list[dict[str, int]] = [result["evaluation"]["outcomes"] for result in results.values()]
    beyond, total = sum(one.get("extrapolated", 0) for one in outcomes), sum(sum(one.values()) for one in outcomes)
    if beyond:
        note(f"{beyond} of {total} steps or solves were outside of the range that the card was calibrated for")
    spice = summary["spice"]
    if spice["solves"]:
        note(f"{spice['solves']} solves repeated in ngspice: they differ by {spice['difference']:.2g} of their rms")
    if len(summary["sources"]) > 1:
        _note_sources(summary["sources"])
    note(f"{summary['runs']} runs, {summary['processor_hours']:.2g} h of a core")


def _note_sources(sources: Sequence[str]) -> None:
    note(
        f"the runs are of {len(sources)} states of thermograd's own files ({', '.join(sources)}; column source): to have all of one, "
        "take another --out"
    )
