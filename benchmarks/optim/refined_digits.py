"""Digits by exact NGD, and by TNGD on dies (default: of 8 bits and 1 % mismatch), read as they are and refined.

    python benchmarks/optim/refined_digits.py [--card card.json] [--dies 1,2,3] [--seeds 0,1,2] [--out out/refined_digits]

NGD's best damping and rate (0.1, 0.2), and those of the demo (0.3, 0.3); batch 8, 300 steps; every die with every seed. Differences to
exact NGD are paired by seed, their standard error is over the runs. Rows:

    bare            one reading at the end of the run
    refined         unit diagonal, read at +b and -b, corrected to |b - A x| <= 1e-2 |b|: TNGD's own
    2 rounds        the same with two corrections always
    CG, 2 rounds    a control: two rounds of "fcg" with the identity in place of a die, which is plain CG on the unit diagonal
    CG to 1e-2      the other: as many rounds of it as the refined die's residual takes

Without a card, one of the integrated preset's own figures. Runs are stored one by one: an interrupted table resumes.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thermograd.circuits.files import output_folder
from thermograd.circuits.job_store import JobStore, job_key
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.device import Device
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.optim.optimizers.ngd import NGD
from thermograd.optim.optimizers.readings.reading import TOLERANCE
from thermograd.optim.optimizers.step import StepRecord
from thermograd.optim.optimizers.tngd import TNGD
from thermograd.optim.tasks.digits import digits
from thermograd.optim.training.train import train

sys.path.insert(0, str(Path(__file__).resolve().parent))

from dies import NoDie, card_of_preset, counted

SETTINGS = ((0.1, 0.2), (0.3, 0.3))
"""(damping, rate)."""
BATCH, STEPS = 8, 300
UNKNOWNS = 80
"""Of the dual system, 10 outputs for each of a batch."""
TIME_CONSTANTS = 6.0
"""Length of a run, over that of the damping: 20 tau at 0.3."""
ROWS = ("exact NGD", "bare", "refined", "2 rounds", "CG, 2 rounds", "CG to 1e-2")
ON_A_DIE = ("bare", "refined", "2 rounds")


def one(card: DeviceCard, row: str, setting: tuple[float, float], seed: int, die: int | None) -> dict[str, Any]:
    """One training."""
    torch.set_num_threads(1)
    damping, rate = setting
    made: list[NGD | TNGD] = []

    def optimizer(params: Iterable[Tensor]) -> NGD | TNGD:
        if row == "exact NGD":
            made.append(NGD(params, lr=rate, damping=damping))
            return made[0]
        device: Device = NoDie() if die is None else SurrogateDevice(card, die=die, extrapolate=True)
        if row == "2 rounds":
            device = Refined(device, rounds=2)
        elif row == "CG, 2 rounds":
            device = Refined(device, rounds=2, method="fcg")
        elif row == "CG to 1e-2":
            device = Refined(device, rounds=UNKNOWNS, tolerance=TOLERANCE, method="fcg")
        duration = TIME_CONSTANTS / damping
        reading: Any = row if row in ("bare", "refined") else "auto"
        made.append(TNGD(params, lr=rate, damping=damping, duration=duration, device=device, reading=reading))
        return made[0]

    records: list[StepRecord] = []

    def record(done: int, history: Any) -> None:
        last = made[0].last
        assert last is not None
        records.append(last)

    history = train(digits(), optimizer, STEPS, BATCH, seed, callbacks=[record], evaluate_every=0)
    return {
        "accuracy": history.final_score,
        "skipped": sum(not one.applied for one in records),
        "retried": sum(one.retries > 0 and one.reading == "refined" for one in records),
        "gradient": sum(one.reading == "gradient" for one in records),
        "runs": float(np.mean([one.attempts for one in records])),
        "products": float(np.mean([one.products for one in records])),
        "residual": float(np.median([one.residual or 0.0 for one in records])),
        "seconds": float(sum(history.digital_seconds) + sum(history.device_seconds)),
    }


def table(found: dict[tuple[Any, ...], dict[str, Any]], seeds: list[int], dies: list[int]) -> str:
    """Markdown, a table for each setting."""
    lines = []
    for setting in SETTINGS:
        lines += [
            f"Damping {setting[0]:g}, rate {setting[1]:g}; mean over runs +- its standard error.",
            "",
            "| reading | test accuracy, % | difference to exact NGD | worst run | skipped, retried, gradient, % of steps "
            "| analog runs a step | products a step | median residual | s a training |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for row in ROWS:
            keys = [(row, setting, seed, die) for seed in seeds for die in (dies if row in ON_A_DIE else [None])]
            runs = [found[key] for key in keys]
            exact = np.array([100 * found["exact NGD", setting, key[2], None]["accuracy"] for key in keys])
            accuracy = np.array([100 * run["accuracy"] for run in runs])
            means = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
            rare = ", ".join(f"{100 * means[name] / STEPS:.2g}" for name in ("skipped", "retried", "gradient"))
            apart = "-" if row == "exact NGD" else _mean(accuracy - exact)
            lines.append(
                f"| {row} | {_mean(accuracy)} | {apart} | {accuracy.min():.2f} | {rare} | {means['runs']:.1f} | {means['products']:.1f} "
                f"| {means['residual']:.2g} | {means['seconds']:.0f} |"
            )
        lines.append("")
    return "\n".join(lines)


def _mean(values: np.ndarray) -> str:
    return f"{values.mean():.2f} +- {values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--card", type=Path, help="of any technology, such as breadboard; default: the integrated preset's own figures"
    )
    parser.add_argument("--dies", default="1,2,3")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/refined_digits"), help="folder that keeps the runs")
    arguments = parser.parse_args()
    card = card_of_preset() if arguments.card is None else DeviceCard.read(arguments.card)
    dies, seeds = ([int(one) for one in text.split(",")] for text in (arguments.dies, arguments.seeds))
    store: JobStore[dict[str, Any]] = JobStore(output_folder(arguments.out))
    runs = [
        (row, setting, seed, die)
        for row in ROWS
        for setting in SETTINGS
        for seed in seeds
        for die in (dies if row in ON_A_DIE else [None])
    ]
    jobs = {job_key(card.model_dump_json(), STEPS, BATCH, TIME_CONSTANTS, *run): run for run in runs}
    found = dict(store.map(lambda run: one(card, *run), jobs, arguments.workers, progress=counted))
    print("\n" + table({run: found[key] for key, run in jobs.items()}, seeds, dies))


if __name__ == "__main__":
    main()
