"""Steps and time to the final training loss of tuned Adam, and the test score, of every optimizer on a task, for docs/tasks.md.

The experiments are TOML files in docs/tasks; those of one task make one table. The folder keeps finished trainings (each file's in a
folder of its name), so that an interrupted table resumes; `thermograd train docs/tasks/digits.toml --out out/tasks/digits` does the same.

    python benchmarks/optim/task_table.py docs/tasks/digits*.toml --out out/tasks --docs docs/tasks.md

The training loss is the mean over the batches of the last twentieth of a run (of a task that takes all of its points in every step: the
last loss). Adam's is that of the reference run with the same seed, and another run has come to it with the first step at which the mean
over as many of its own batches is no larger. Times are of one thread's processor, the simulation of a device left out.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from thermograd.circuits.errors import InputError
from thermograd.circuits.files import output_folder, write_text
from thermograd.cli.outputs import complain
from thermograd.optim.tasks.registry import make_task
from thermograd.optim.tasks.task import Score
from thermograd.optim.training.experiment import Experiment, run_experiment
from thermograd.optim.training.experiment_result import RunResult
from thermograd.optim.training.train import History

sys.path.insert(0, str(Path(__file__).resolve().parent))

from dies import counted, interval
from ngd_speed_parts.report import filled

REFERENCE = "Adam"
EXACT = "exact NGD"
SHARE = 20
"""The last one of so many parts of a run is what its training loss is the mean of."""


class Group(NamedTuple):
    """The trainings of a row."""

    label: str
    batch: int | None
    runs: list[RunResult]


def window(history: History, batch: int | None) -> int:
    """Number of batches that a training loss is the mean of."""
    return 1 if batch is None else max(1, history.steps // SHARE)


def final_loss(history: History, batch: int | None) -> float:
    """Mean loss of the last batches."""
    return float(np.mean(history.loss[-window(history, batch) :]))


def steps_to_loss(history: History, batch: int | None, wanted: float) -> int | None:
    """Steps after which the mean loss of the last batches is first no larger than the wanted one."""
    width = window(history, batch)
    means = np.convolve(history.loss, np.full(width, 1 / width), "valid")
    (reached,) = np.nonzero(means <= wanted)
    return int(reached[0]) + width if len(reached) else None


def seconds(history: History, steps: int) -> float:
    """Processor time of so many steps."""
    return float(sum(history.processor_seconds[:steps]))


def row(group: Group, reference: Group, exact: Group | None, score: Score) -> list[str]:
    """The cells of a group."""
    own = {run.seed: final_loss(run.history, reference.batch) for run in reference.runs}
    losses = [final_loss(run.history, group.batch) for run in group.runs]
    scores = np.array([run.history.final_score for run in group.runs])
    pairs = [(run, steps_to_loss(run.history, group.batch, own[run.seed])) for run in group.runs if run.seed in own]
    reached = [(run, steps) for run, steps in pairs if steps is not None]
    missed = "" if len(reached) == len(pairs) else f" ({len(reached)} of {len(pairs)})"
    if reached:
        to_loss = f"{np.mean([steps for _, steps in reached]):.0f}{missed}"
        times = [seconds(run.history, steps) for run, steps in reached]
        time = f"{np.mean(times):.3g}{missed}"
    else:
        to_loss = time = "not reached"
    whole = np.mean([seconds(run.history, run.history.steps) for run in group.runs])
    device = np.mean([sum(run.history.device_seconds) for run in group.runs])
    hardware = np.mean([sum(run.history.hardware_seconds) for run in group.runs])
    steps = group.runs[0].history.steps
    return [
        group.label,
        str(len(group.runs)),
        f"{steps}" + ("" if group.batch is None else f" of {group.batch}"),
        _mean(losses),
        to_loss,
        time,
        _scores(scores, score),
        _difference(group, exact, score),
        f"{whole:.3g}",
        f"{device:.3g}" if device else "-",
        f"{1e3 * hardware:.3g}" if np.isfinite(hardware) and hardware else "-",
    ]


def _mean(values: Sequence[float]) -> str:
    if not np.isfinite(values).all():
        return "not finite"
    return f"{np.mean(values):.4g}"


def _scores(values: np.ndarray, score: Score) -> str:
    factor = 100 if score.percent else 1
    if not score.percent and values.max() < 0.1:
        return f"{np.median(values):.2g} ({values.min():.2g} to {values.max():.2g})"
    spread = f" ± {factor * np.std(values, ddof=1):.2g}" if len(values) > 1 else ""
    return f"{factor * values.mean():.4g}{spread}"


def _difference(group: Group, exact: Group | None, score: Score) -> str:
    """Paired by seed, with its 95 % interval; the dies of a seed are averaged."""
    if exact is None or group is exact:
        return "-"
    factor = 100 if score.percent else 1
    base = {run.seed: run.history.final_score for run in exact.runs}
    by_seed: dict[int, list[float]] = {}
    for run in group.runs:
        if run.seed in base:
            by_seed.setdefault(run.seed, []).append(factor * (run.history.final_score - base[run.seed]))
    if not by_seed:
        return "-"
    mean, half = interval([float(np.mean(values)) for values in by_seed.values()])
    return f"{mean:+.2g}" + (f" ± {half:.2g}" if np.isfinite(half) else "")


def table(groups: Sequence[Group], reference: Group, score: Score) -> str:
    """Markdown."""
    unit = f"{score.name}, %" if score.percent else score.name
    exact = next((group for group in groups if group.label.startswith(EXACT)), None)
    names = [
        "optimizer", "trainings", "steps", "training loss", f"steps to {reference.label}'s", "processor, s, to it", unit,
        "its difference to exact NGD", "processor, s, in all", "device simulated, s", "modelled hardware, ms, in all",
    ]  # fmt: skip
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    lines += ["| " + " | ".join(row(group, reference, exact, score)) + " |" for group in groups]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("experiments", type=Path, nargs="+", help="TOML files of one task")
    parser.add_argument("--data", help="path of the task's data, where it is read from files")
    parser.add_argument("--reference", default=REFERENCE, help="label of the run whose training loss is to be reached")
    parser.add_argument("--name", help="of the table in the page; default: the first file's")
    parser.add_argument("--leave-out", default="", help="labels that are not shown, by semicolons")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--out", type=Path, default=Path("out/tasks"), help="folder that keeps the trainings")
    parser.add_argument("--docs", type=Path, help="page whose table is to be replaced")
    asked = parser.parse_args()
    try:
        groups: list[Group] = []
        left_out = {label.strip() for label in asked.leave_out.split(";")}
        for path in asked.experiments:
            experiment = Experiment.read(path)
            if asked.data is not None:
                given = {**experiment.settings, "path": asked.data}
                experiment = experiment.model_copy(update={"settings": given})
            task = make_task(experiment.task, experiment.settings)
            result = run_experiment(experiment, output_folder(asked.out / path.stem), asked.workers, progress=counted)
            for run in experiment.runs:
                batch = run.batch or experiment.batch or task.plan.batch
                if run.label not in left_out:
                    groups.append(Group(run.label, batch, result.of(run.label)))
        reference = next((group for group in groups if group.label == asked.reference), None)
        if reference is None:
            raise InputError(f"--reference is {asked.reference!r}; give one of {'; '.join(g.label for g in groups)}")
    except InputError as error:
        complain(str(error))
        raise SystemExit(2) from None
    text = table(groups, reference, result.score)
    print("\n" + text)
    if asked.docs is not None:
        name = asked.name or re.sub(r"_", " ", asked.experiments[0].stem)
        write_text(asked.docs, filled(asked.docs.read_text(encoding="utf-8"), name, text))


if __name__ == "__main__":
    main()
