"""Digits by TNGD on refined dies of coupled oscillators against refined dies of crossbars, paired by seed and die.

    python benchmarks/optim/oscillator_digits.py --cards oscillator.json crossbar.json [--dies 1,2] [--seeds 0,1,2] [--classes 10]

The cards are those of `thermograd calibrate --fabric oscillator` and `--fabric crossbar`; without them, ones of the figures of the
`integrated` preset, not calibrated. Digits, odd or even (network 64-32-2), batch 8, so that the dual system has eight unknowns, or with ten
classes (64-32-10) 72: beyond what cards are calibrated for, and more than a second a step for the law of all states. Readings are refined
to |b - A x| <= 1e-2 |b|, TNGD's own. A run has 9 / damping tau of a crossbar, 9 / sqrt(damping) tau of oscillators.

Before each table, condition numbers of systems of the training by the ideal device, scaled to a unit diagonal as they are refined, and what
the floor damping / max A_ii would make of them, by which friction goes.

Rows: exact NGD with the same seeds, crossbars, oscillators. Differences are paired; intervals are of 95 % (Student's t, over pairs).
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
from torch import Tensor, nn

from thermograd.circuits.files import output_folder
from thermograd.circuits.job_store import JobStore, job_key
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.optim.optimizers.ngd import NGD
from thermograd.optim.optimizers.step import StepRecord
from thermograd.optim.optimizers.tngd import TNGD
from thermograd.optim.tasks.classification import Classification
from thermograd.optim.tasks.digits import digits
from thermograd.optim.training.curvature_systems import curvature_systems
from thermograd.optim.training.train import train

sys.path.insert(0, str(Path(__file__).resolve().parent))

from dies import counted, interval

SETTINGS = ((0.1, 0.3), (0.01, 0.1))
"""(damping, rate)."""
BATCH, STEPS = 8, 120
TEN = ((0.1, 0.2),)
"""The same of ten classes: exact NGD's best of `refined_digits.py`."""
LOOKED_AT = (2, 20, 60, STEPS - 1)
ROWS = ("exact NGD", "crossbar", "oscillator")


def parity() -> Classification:
    """The digits with two classes, odd and even."""
    task = digits()
    return Classification(
        "digits, odd or even",
        task.train_inputs,
        task.train_targets % 2,
        task.test_inputs,
        task.test_targets % 2,
        lambda: nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 2)),
    )


def one(
    cards: dict[str, DeviceCard], task: Classification, row: str, setting: tuple[float, float], seed: int, die: int
) -> dict[str, Any]:
    """One training."""
    torch.set_num_threads(1)
    damping, rate = setting
    made: list[NGD | TNGD] = []

    def optimizer(params: Iterable[Tensor]) -> NGD | TNGD:
        if row == "exact NGD":
            made.append(NGD(params, lr=rate, damping=damping))
            return made[0]
        duration = 9 / damping if row == "crossbar" else 9 / math.sqrt(damping)
        device = SurrogateDevice(cards[row], die=die, extrapolate=True)
        made.append(TNGD(params, lr=rate, damping=damping, duration=duration, device=device, reading="refined"))
        return made[0]

    records: list[StepRecord] = []

    def record(done: int, history: Any) -> None:
        last = made[0].last
        assert last is not None
        records.append(last)

    history = train(task, optimizer, STEPS, BATCH, seed, callbacks=[record], evaluate_every=0)
    return {
        "accuracy": 100 * history.final_score,
        "skipped": sum(not step.applied for step in records),
        "gradient": sum(step.reading == "gradient" for step in records),
        "runs": float(np.mean([step.attempts for step in records])),
        "products": float(np.mean([step.products for step in records])),
        "analog": 1e6 * float(np.mean(history.analog_seconds)),
    }


def conditions(task: Classification, setting: tuple[float, float]) -> str:
    """Of four systems, and by their floors."""
    damping, rate = setting
    given = {"damping": damping, "lr": rate, "duration": 9 / damping}
    texts = []
    for system in curvature_systems(task, LOOKED_AT, BATCH, settings=given):
        own = np.sqrt(np.diag(system.matrix))
        values = np.linalg.eigvalsh(system.matrix / np.outer(own, own))
        texts.append(f"{values[-1] / values[0]:.3g} ({values[-1] * own.max() ** 2 / damping:.3g})")
    return f"condition numbers at steps {', '.join(map(str, LOOKED_AT))} (by the floor): {', '.join(texts)}"


def _pm(values: np.ndarray) -> str:
    return "{:.2f} +- {:.2f}".format(*interval(values))


def main() -> None:
    """Train, and print a table for each setting."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cards", type=Path, nargs=2, metavar=("OSCILLATOR", "CROSSBAR"))
    parser.add_argument("--dies", default="1,2")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--classes", type=int, choices=(2, 10), default=2)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/oscillator_digits"), help="folder that keeps the runs")
    options = parser.parse_args()
    if options.cards is None:
        cards = {name: DeviceCard.uncalibrated(preset("integrated"), name) for name in ROWS[1:]}
    else:
        cards = dict(zip(("oscillator", "crossbar"), map(DeviceCard.read, options.cards), strict=True))
    dies, seeds = ([int(one) for one in text.split(",")] for text in (options.dies, options.seeds))
    task, settings = (parity(), SETTINGS) if options.classes == 2 else (digits(), TEN)
    pairs = [(seed, die) for seed in seeds for die in dies]
    runs = [
        (row, setting, seed, 0 if row == "exact NGD" else die)
        for setting in settings
        for row in ROWS
        for seed, die in pairs
    ]
    store: JobStore[dict[str, Any]] = JobStore(output_folder(options.out))
    text = {name: card.model_dump_json() for name, card in cards.items()}
    jobs = {job_key(task.name, text.get(run[0], ""), STEPS, BATCH, *run): run for run in runs}
    found = {
        jobs[key]: value
        for key, value in store.map(lambda run: one(cards, task, *run), jobs, options.workers, progress=counted)
    }
    for setting in settings:
        print(f"\n\nDamping {setting[0]:g}, rate {setting[1]:g}; {len(pairs)} pairs of seed and die\n")
        print(f"{conditions(task, setting)}\n")
        print(
            "| reading | test accuracy, % | less exact NGD's | less the crossbar's | worst | steps skipped, by gradient, % | runs a step "
            "| products | analog time a step, us |\n|---|---|---|---|---|---|---|---|---|"
        )
        table = {
            row: [found[row, setting, seed, 0 if row == "exact NGD" else die] for seed, die in pairs] for row in ROWS
        }
        accuracy = {row: np.array([run["accuracy"] for run in table[row]]) for row in ROWS}
        for row in ROWS:
            means = {name: float(np.mean([run[name] for run in table[row]])) for name in table[row][0]}
            against = [
                _pm(accuracy[row] - accuracy[other]) if ROWS.index(row) > ROWS.index(other) else "-"
                for other in ("exact NGD", "crossbar")
            ]
            rare = ", ".join(f"{100 * means[name] / STEPS:.2g}" for name in ("skipped", "gradient"))
            print(
                f"| {row} | {_pm(accuracy[row])} | {against[0]} | {against[1]} | {accuracy[row].min():.2f} | {rare} | {means['runs']:.1f} "
                f"| {means['products']:.1f} | {means['analog']:.3g} |"
            )


if __name__ == "__main__":
    main()
