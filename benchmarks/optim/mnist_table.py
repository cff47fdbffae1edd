"""All optimizers on MNIST, digital and on devices: accuracy, steps, measured time, and modelled time of the hardware.

    thermograd calibrate --technology integrated --out card.json
    python benchmarks/optim/mnist_table.py --data mnist.npz --card card.json --out out/mnist --docs docs/mnist.md

Settings are the task's (`optim/tasks/mnist.py`). Runs of one thread each are stored one by one: an interrupted table resumes.
The modelled time is that of a TNGD step in the integrated technology (`devicemodel.cost.model`, dual layout), its derivatives by the
cost model's host.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.files import output_folder, write_text
from thermograd.circuits.job_store import JobStore, job_key
from thermograd.cli.outputs import complain
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.cost.model import Scenario
from thermograd.devicemodel.device import Outcome, Solution
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.optim.optimizers.step import usable
from thermograd.optim.tasks.mnist import PATH_VARIABLE, PLAN
from thermograd.optim.tasks.registry import make_task
from thermograd.optim.training.train import train

sys.path.insert(0, str(Path(__file__).resolve().parent))

from ngd_speed_parts.report import filled

from thermograd.circuits.technology.presets import preset

ROWS = {
    "SGD": ("sgd", False),
    "Adam": ("adam", False),
    "K-FAC": ("kfac", False),
    "exact NGD": ("ngd", False),
    "TNGD, ideal": ("tngd", False),
    "TNGD, calibrated integrated die": ("tngd", True),
    "TNGD-Adam, ideal": ("tngd-adam", False),
}
STEPS, SEEDS = 780, (0, 1, 2)
LEVEL = 0.96
"""Test accuracy to which steps are counted."""


def one(path: str, card: str | None, row: str, seed: int, steps: int) -> dict[str, Any]:
    """One training."""
    torch.set_num_threads(1)
    name, on_die = ROWS[row]
    device = None
    if on_die:
        assert card is not None
        # A dual system of 576 cells is larger than those of the calibration.
        device = SurrogateDevice(DeviceCard.read(card), die=seed, extrapolate=True)
    task = make_task("mnist", {"path": path})
    history = train(task, name, steps, seed=seed, device=device)
    hardware = None
    if name.startswith("tngd"):
        parameters = sum(p.numel() for p in task.model().parameters())
        technology = preset("integrated")
        hardware = Scenario(parameters, PLAN.batch, 10, "dual", technology, duration=20.0).cost().seconds
    return {
        "row": row,
        "seed": seed,
        "steps": steps,
        "accuracy": history.final_accuracy,
        "best": max(value for _, value in history.evaluations),
        "steps_to_level": history.steps_to(LEVEL),
        "digital_seconds": float(np.mean(history.digital_seconds)),
        "device_seconds": float(np.mean(history.device_seconds)),
        "analog_seconds": float(np.mean(history.analog_seconds)),
        "hardware_seconds": hardware,
        "skipped": sum(not usable(Outcome(outcome)) for outcome in history.outcome),
    }


def why(path: str, card: DeviceCard, steps: tuple[int, ...] = (5, 15, 25)) -> str:
    """Error of one die on the systems of an ideal device's training, with one imperfection after the other removed."""
    met: list[tuple[Any, ...]] = []

    class Watched(IdealDevice):
        def solve(self, system: Any, b: torch.Tensor, duration: float, x0: torch.Tensor | None = None) -> Solution:
            met.append((system, b, duration, x0))
            return super().solve(system, b, duration, x0=x0)

    train(make_task("mnist", {"path": path}), "tngd", max(steps) + 1, seed=0, device=Watched(), evaluate_every=0)
    codes = card.technology.replace(resistors__bits=14)
    fine = codes.replace(dac__bits=14, dac__offset=0.0, dac__gain_error=0.0)
    changes: dict[str, Any] = {}
    better = {"as calibrated": changes}
    for name, change in (
        ("14-bit conductances", {"technology": codes}),
        ("and 14-bit DAC without offset", {"technology": fine}),
        ("and cells without offset", {"offset": 0.0}),
        ("and without leak", {"leak": 0.0}),
        ("and without mismatch", {"mismatch": 0.0}),
    ):
        changes = {**changes, **change}
        better[name] = changes
    tops = ", ".join(f"{float(torch.linalg.eigvalsh(met[k][0].dense())[-1]):.0f}" for k in steps)
    lines = [f"Relative error of the reading; largest eigenvalues {tops} beside a damping of 1.", ""]
    lines += ["| die 0 | " + " | ".join(f"step {k}" for k in steps) + " |", "|---" * (1 + len(steps)) + "|"]
    for name, made in better.items():
        cells = []
        for k in steps:
            system, b, duration, x0 = met[k]
            exact = torch.linalg.solve(system.dense(), b)
            found = SurrogateDevice(card.replace(**made), die=0, extrapolate=True).solve(system, b, duration, x0=x0)
            off = float((found.x - exact).norm() / exact.norm())
            cells.append(f"{off:.2g}" if found.outcome.readable else found.outcome.value)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--data", default=os.environ.get(PATH_VARIABLE), help=f"mnist.npz or a folder of IDX files; {PATH_VARIABLE}"
    )
    parser.add_argument("--card", help="of the integrated technology; without it that row is left out")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of each run (default {STEPS}: five epochs)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/mnist"), help="folder that keeps the runs")
    parser.add_argument("--why", action="store_true", help="instead: what makes the die's error")
    parser.add_argument("--docs", type=Path, help="page whose table is to be replaced")
    arguments = parser.parse_args()
    if arguments.data is None:
        print("no MNIST here: give --data", file=sys.stderr)
        return
    try:
        if arguments.why:
            if arguments.card is None:
                raise InputError("--why is about the calibrated die: give --card")
            write(arguments.docs, "mnist: why", why(arguments.data, DeviceCard.read(arguments.card)))
            return
        store: JobStore[dict[str, Any]] = JobStore(output_folder(arguments.out))
        data, card, steps = arguments.data, arguments.card, arguments.steps
        runs = [(row, seed) for row, (_, on_die) in ROWS.items() if card is not None or not on_die for seed in SEEDS]
        task, text = (
            make_task("mnist", {"path": data}).name,
            None if card is None else DeviceCard.read(card).model_dump_json(),
        )
        jobs = {job_key(task, text if ROWS[row][1] else None, row, seed, steps): (row, seed) for row, seed in runs}
        counted = lambda done, total: print(f"\r{done} of {total} runs", end="", file=sys.stderr, flush=True)  # noqa: E731
        found = dict(store.map(lambda run: one(data, card, *run, steps), jobs, arguments.workers, progress=counted))
    except InputError as error:
        complain(str(error))
        raise SystemExit(2) from None
    write(arguments.docs, "mnist: table", table([found[key] for key in jobs]))


def write(page: Path | None, name: str, text: str) -> None:
    """Print the table, and write it into a page if one is given."""
    print("\n" + text)
    if page is not None:
        write_text(page, filled(page.read_text(encoding="utf-8"), name, text))


def table(runs: list[dict[str, Any]]) -> str:
    """Markdown: means over seeds with the standard deviation."""
    lines = [
        f"| optimizer | test accuracy, % | steps to {100 * LEVEL:g} % | computer, ms a step | simulated device, ms a step "
        "| hardware, us a step | steps skipped |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        group = [run for run in runs if run["row"] == row]
        if not group:
            continue
        values = [100 * run["accuracy"] for run in group]
        spread = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
        reached = [run["steps_to_level"] for run in group if run["steps_to_level"] is not None]
        steps = f"{np.mean(reached):.0f}" if len(reached) == len(group) else f"{len(reached)} of {len(group)} runs"
        digital, device = (1e3 * np.mean([run[f"{kind}_seconds"] for run in group]) for kind in ("digital", "device"))
        hardware = group[0]["hardware_seconds"]
        lines.append(
            f"| {row} | {np.mean(values):.2f}{spread} | {steps} | {digital:.1f} | {device:.1f} | "
            + (f"{1e6 * hardware:.0f} | " if hardware is not None else "- | ")
            + f"{np.mean([run['skipped'] for run in group]):.0f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
