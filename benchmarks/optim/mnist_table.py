"""All optimizers on MNIST, digital and on dies: accuracy, steps, what became of the steps, measured time, modelled time of the hardware.

    python benchmarks/optim/mnist_table.py --data mnist.npz --out out/mnist --docs docs/mnist.md

Settings are the task's (`optim/tasks/mnist.py`), those of NGD for all that solve its system; each row with every seed, the dies with each
of the three dies besides. Differences to exact NGD are paired by seed. Rows with a die, and their controls:

    die, bare       one reading at the end of the run
    die, refined    unit diagonal, read at +b and -b, corrected to |b - A x| <= 1e-2 |b|: TNGD's own
    CG, 2 rounds    a control: two rounds of "fcg" with the identity in place of a die, which is plain CG on the unit diagonal
    CG to 1e-2      the other: as many rounds of it as the refined die's residual takes

Without a card, one of the integrated preset's own figures. Runs of one thread each are stored one by one: an interrupted table resumes.
The modelled time is that of a TNGD step in the integrated technology (`devicemodel.cost.model`, dual layout), its derivatives by the
cost model's host.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from thermograd.circuits.errors import InputError
from thermograd.circuits.files import output_folder, write_text
from thermograd.circuits.job_store import JobStore, job_key
from thermograd.circuits.technology.presets import preset
from thermograd.cli.outputs import complain
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.cost.model import Scenario
from thermograd.devicemodel.cost.refinement import ReadingPlan
from thermograd.devicemodel.device import Device
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.optim.optimizers.readings.reading import TOLERANCE
from thermograd.optim.optimizers.registry import make_optimizer
from thermograd.optim.optimizers.step import StepRecord
from thermograd.optim.optimizers.tngd import TNGD
from thermograd.optim.tasks.mnist import BATCH, PATH_VARIABLE, network
from thermograd.optim.tasks.registry import make_task
from thermograd.optim.training.train import settings_for, train
from thermograd.report.figures.style import save, styled
from thermograd.report.figures.training import draw_accuracy, training_groups

sys.path.insert(0, str(Path(__file__).resolve().parent))

from dies import NoDie, card_of_preset, counted, interval
from ngd_speed_parts.report import filled


class Row(NamedTuple):
    """One of the table: a named optimizer, how its device is read ("" without a device), and whether that is a die.

    The two controls are read by flexible CG, in so many rounds and to that residual.
    """

    optimizer: str
    reading: str = ""
    on_die: bool = False
    rounds: int | None = None
    tolerance: float | None = None


UNKNOWNS = 10 * BATCH
"""More than those of the dual system, nine or ten outputs for each of a batch."""
ROWS = {
    "SGD": Row("sgd"),
    "Adam": Row("adam"),
    "K-FAC": Row("kfac"),
    "exact NGD": Row("ngd"),
    "TNGD, ideal device": Row("tngd", "bare"),
    "TNGD-Adam, ideal device": Row("tngd-adam", "bare"),
    "CG, 2 rounds, no die": Row("tngd", "refined", rounds=2),
    "CG to 1e-2, no die": Row("tngd", "refined", rounds=UNKNOWNS, tolerance=TOLERANCE),
    "TNGD, die, refined": Row("tngd", "refined", on_die=True),
    "TNGD, die, bare": Row("tngd", "bare", on_die=True),
}
EXACT = "exact NGD"
STEPS, SEEDS, DIES = 780, "0,1,2", "0,1,2"
LEVEL = 0.96
"""Test accuracy to which steps are counted."""


def one(path: str, card: DeviceCard, row: str, seed: int, die: int | None, steps: int) -> dict[str, Any]:
    """One training."""
    torch.set_num_threads(1)
    asked, task = ROWS[row], make_task("mnist", {"path": path})
    device: Device | None = None
    if asked.on_die:
        # A dual system of 576 cells is larger than those of a calibration.
        device = SurrogateDevice(card, die=die, extrapolate=True)
    elif asked.rounds is not None:
        device = Refined(NoDie(), asked.rounds, asked.tolerance, method="fcg")
    settings = settings_for(task, asked.optimizer) | ({"reading": asked.reading} if asked.reading else {})
    made: list[Any] = []
    records: list[StepRecord] = []

    def optimizer(params: Iterable[torch.Tensor]) -> torch.optim.Optimizer:
        made.append(make_optimizer(asked.optimizer, params, device, settings))
        return made[0]

    def record(done: int, history: Any) -> None:
        if isinstance(made[0], TNGD):
            assert made[0].last is not None
            records.append(made[0].last)

    history = train(task, optimizer, steps, seed=seed, callbacks=[record])
    rare = {
        "skipped": sum(not one.applied for one in records),
        "retried": sum(one.retries > 0 and one.reading == "refined" for one in records),
        "gradient": sum(one.reading == "gradient" for one in records),
    }
    averages = {
        name: float(np.mean([getattr(one, field) for one in records])) if records else 0.0
        for name, field in (("runs", "attempts"), ("products", "products"))
    }
    residuals = [one.residual for one in records if one.residual is not None]
    return {
        **rare,
        **averages,
        "row": row,
        "seed": seed,
        "die": die,
        "steps": steps,
        "accuracy": history.final_score,
        "best": max(value for _, value in history.evaluations),
        "evaluations": history.evaluations,
        "steps_to_level": history.steps_to(LEVEL),
        "digital_seconds": float(np.median(history.digital_seconds)),
        "device_seconds": float(np.median(history.device_seconds)),
        "analog_seconds": float(np.mean(history.analog_seconds)),
        "residual": [float(value) for value in np.quantile(residuals, (0.5, 1.0))] if residuals else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--data", default=os.environ.get(PATH_VARIABLE), help=f"mnist.npz or a folder of IDX files; {PATH_VARIABLE}"
    )
    parser.add_argument("--card", type=Path, help="of the integrated technology; default: the preset's own figures")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of each run (default {STEPS}: five epochs)")
    parser.add_argument("--seeds", default=SEEDS)
    parser.add_argument("--dies", default=DIES)
    parser.add_argument("--rows", help=f"some of: {'; '.join(ROWS)} (default: all)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/mnist"), help="folder that keeps the runs")
    parser.add_argument("--kept", action="store_true", help="run nothing: the table of the runs that the folder keeps")
    parser.add_argument("--docs", type=Path, help="page whose table is to be replaced")
    arguments = parser.parse_args()
    if arguments.data is None:
        print("no MNIST here: give --data", file=sys.stderr)
        return
    try:
        card = card_of_preset() if arguments.card is None else DeviceCard.read(arguments.card)
        store: JobStore[dict[str, Any]] = JobStore(output_folder(arguments.out))
        rows = list(ROWS) if arguments.rows is None else [one.strip() for one in arguments.rows.split(";")]
        if unknown := [row for row in rows if row not in ROWS]:
            raise InputError(f"--rows has {unknown}: give some of {'; '.join(ROWS)}")
        seeds, dies = ([int(one) for one in text.split(",")] for text in (arguments.seeds, arguments.dies))
        jobs = {
            key_of(arguments.data, card, row, seed, die, arguments.steps): (row, seed, die)
            for row in rows
            for seed in seeds
            for die in (dies if ROWS[row].on_die else [None])
        }
        data, steps = arguments.data, arguments.steps
        if arguments.kept:
            kept = {key: store.read(key) for key in jobs}
            found = {key: run for key, run in kept.items() if run is not None}
        else:
            found = dict(store.map(lambda run: one(data, card, *run, steps), jobs, arguments.workers, progress=counted))
    except InputError as error:
        complain(str(error))
        raise SystemExit(2) from None
    done = [found[key] for key in jobs if key in found]
    write(arguments.docs, "mnist: table", table(done))
    save(picture(done), arguments.out / "mnist_training.png")
    if arguments.docs is not None:
        save(picture(done), arguments.docs.parent / "mnist_training.png")


def key_of(path: str, card: DeviceCard, row: str, seed: int, die: int | None, steps: int) -> str:
    """Of one run, by all that it depends on."""
    task, asked = make_task("mnist", {"path": path}), ROWS[row]
    settings = {name: str(value) for name, value in settings_for(task, asked.optimizer).items()}
    return job_key(task.name, card.model_dump_json() if asked.on_die else None, list(asked), settings, seed, die, steps)


def write(page: Path | None, name: str, text: str) -> None:
    """Print the table, and write it into a page if one is given."""
    print("\n" + text)
    if page is not None:
        write_text(page, filled(page.read_text(encoding="utf-8"), name, text))


def table(runs: list[dict[str, Any]]) -> str:
    """Markdown: means over runs, with the standard deviation of the accuracy and the 95 % interval of its paired difference."""
    lines = [
        f"| optimizer | runs | test accuracy, % | difference to exact NGD, 95 % interval | worst run | steps to {100 * LEVEL:g} % "
        "| skipped, retried, gradient, % of steps | analog runs a step | products a step | residual, median (largest) "
        "| computer, ms a step | simulated device, ms a step | hardware, us a step |",
        "|---" * 13 + "|",
    ]
    exact = {run["seed"]: 100 * run["accuracy"] for run in runs if run["row"] == EXACT}
    for row, asked in ROWS.items():
        group = [run for run in runs if run["row"] == row]
        if not group:
            continue
        values = [100 * run["accuracy"] for run in group]
        spread = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
        apart = "-"
        if row != EXACT and all(run["seed"] in exact for run in group):
            mean, half = interval([100 * run["accuracy"] - exact[run["seed"]] for run in group])
            apart = f"{mean:+.2f}" + (f" ± {half:.2f}" if len(group) > 1 else "")
        reached = [run["steps_to_level"] for run in group if run["steps_to_level"] is not None]
        to_level = f"{np.mean(reached):.0f}" if len(reached) == len(group) else f"{len(reached)} of {len(group)} runs"
        digital, device = (1e3 * np.mean([run[f"{kind}_seconds"] for run in group]) for kind in ("digital", "device"))
        cells = [row, f"{len(group)}", f"{np.mean(values):.2f}{spread}", apart, f"{min(values):.2f}", to_level]
        if asked.reading:
            rare = (
                100 * np.mean([run[name] / run["steps"] for run in group])
                for name in ("skipped", "retried", "gradient")
            )
            cells.append(", ".join(f"{share:.2g}" for share in rare))
        else:
            cells.append("-")
        cells.append(
            f"{np.mean([run['runs'] for run in group]):.1f}" if asked.reading and asked.rounds is None else "-"
        )
        cells.append(f"{np.mean([run['products'] for run in group]):.1f}" if asked.reading == "refined" else "-")
        known = [run["residual"] for run in group if run["residual"] is not None]
        cells.append(
            f"{np.median([one[0] for one in known]):.2g} ({max(one[1] for one in known):.2g})" if known else "-"
        )
        products = float(np.median([run["products"] for run in group]))
        modelled = f"{1e6 * hardware_seconds(products):.0f}" if asked.reading and asked.rounds is None else "-"
        cells += [f"{digital:.1f}", f"{device:.1f}" if asked.reading else "-", modelled]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


@styled
def picture(runs: list[dict[str, Any]]) -> Figure:
    """Test accuracy against steps, means with their standard deviation over runs; controls and TNGD's ideal device left out."""
    shown = []
    for run in runs:
        asked = ROWS[run["row"]]
        if (asked.optimizer in ("sgd", "adam", "kfac", "ngd") or asked.on_die) and run["evaluations"]:
            steps, accuracy = zip(*run["evaluations"], strict=True)
            reading = asked.reading if asked.on_die else ""
            shown.append(
                {"optimizer": asked.optimizer, "die": run["die"], "reading": reading, "steps": steps}
                | {"accuracy": accuracy, "hybrid_seconds": steps}
            )
    figure = Figure(figsize=(6.6, 3.9), layout="constrained")
    ax = figure.subplots()
    draw_accuracy(ax, training_groups({"runs": shown}), "steps")
    ax.set(xlabel="step", ylabel="test accuracy", title="MNIST, 28,602 parameters, 576 cells")
    ax.set_xlim(left=0)
    return figure


def hardware_seconds(products: float) -> float:
    """Modelled time of a TNGD step, s: bare without digital products, else refined with as many rounds as they are of, less the first."""
    parameters = sum(p.numel() for p in network().parameters())
    plan = ReadingPlan(round(products) - 1) if products else ReadingPlan()
    scenario = Scenario(parameters, BATCH, 10, "dual", preset("integrated"), duration=20.0, reading=plan)
    return scenario.cost().seconds


if __name__ == "__main__":
    main()
