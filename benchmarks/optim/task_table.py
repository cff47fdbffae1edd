"""Every optimizer on a task: steps and time to the final training loss of tuned Adam, and the test score, for docs/tasks.md.

The experiments are the TOML files in docs/tasks; those of one task, of which the first has the baseline, make one table. The folder keeps
finished trainings, each file's in a folder of its name, so that an interrupted table resumes and a finished one is only written anew. The
trainings are those of `thermograd train docs/tasks/digits.toml --out out/tasks/digits`.

    python benchmarks/optim/task_table.py docs/tasks/digits.toml --out out/tasks --docs docs/tasks.md
    python benchmarks/optim/task_table.py docs/tasks/autoencoder_digits.toml docs/tasks/autoencoder_digits_die.toml --docs docs/tasks.md
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from thermograd.circuits.errors import InputError
from thermograd.circuits.files import output_folder, write_text
from thermograd.cli.outputs import complain
from thermograd.optim.training.experiment import Experiment, run_experiment
from thermograd.optim.training.experiment_result import ExperimentResult
from thermograd.report.experiment_rows import columns, markdown, rows

sys.path.insert(0, str(Path(__file__).resolve().parent))

from dies import counted
from ngd_speed_parts.report import filled


def joined(results: list[ExperimentResult], baseline: str | None, left_out: set[str]) -> ExperimentResult:
    """The runs of several experiments on a task as those of one.

    Args:
        baseline: label; None: the first experiment's.
        left_out: labels that are left out.

    Raises:
        InputError: a label that occurs twice, or a baseline that is none.
    """
    labels = [label for result in results for label in result.labels if label not in left_out]
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(f"label {label!r} is in several files: give each run its own")
    chosen = baseline or results[0].baseline
    if chosen is not None and chosen not in labels:
        raise InputError(f"baseline is {chosen!r}: give one of {'; '.join(labels)}")
    runs = tuple(run for result in results for run in result.runs if run.label not in left_out)
    return ExperimentResult(tuple(labels), chosen, results[0].score, runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("experiments", type=Path, nargs="+", help="TOML files of one task")
    parser.add_argument("--data", help="path of the task's data, where it is read from files")
    parser.add_argument("--baseline", help="label of the run whose training loss is to be reached")
    parser.add_argument("--leave-out", default="", help="labels that are not shown, by semicolons")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--out", type=Path, default=Path("out/tasks"), help="folder that keeps the trainings")
    parser.add_argument("--docs", type=Path, help="page whose table of the first file's name is to be replaced")
    asked = parser.parse_args()
    try:
        results = []
        for path in asked.experiments:
            experiment = Experiment.read(path)
            if asked.data is not None:
                given = {**experiment.settings, "path": asked.data}
                experiment = experiment.model_copy(update={"settings": given})
            folder = output_folder(asked.out / path.stem)
            results.append(run_experiment(experiment, folder, asked.workers, progress=counted))
        found = joined(results, asked.baseline, {label.strip() for label in asked.leave_out.split(";")})
        text = markdown(columns(found.score, found.baseline), rows(found.table(), found.score, found.baseline))
        print("\n" + text)
        if asked.docs is not None:
            page = asked.docs.read_text(encoding="utf-8")
            write_text(asked.docs, filled(page, asked.experiments[0].stem.replace("_", " "), text))
    except InputError as error:
        complain(str(error))
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
