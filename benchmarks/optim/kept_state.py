"""Does a state that is kept across batches help, as momentum does, and does the momentum of oscillators help more or less?

    python benchmarks/optim/kept_state.py [--seeds 10] [--tuning 5] [--steps 60] [--out out/kept_state] [--docs docs/optimizer.md]

Digits, batch 8, damping 0.1, the primal system on ideal devices (`IdealDevice`, its own exact laws, no noise):

    first order     x' = g - A x                                 reset: x = g at each upload; kept: x goes on
    oscillators     x'' + gamma x' + A x = g, gamma = 2 sqrt(0.1)      reset: x = g, x' = 0; kept: x and x' go on

Durations are those of equal seconds on integrators with unit resistors and capacitors, whose time constant goes with the largest entry m
of A, and with its root for oscillators: these run for sqrt(m) times as many tau, m = `LARGEST`, about what trainings have (printed).

Each row has the learning rate of `RATES` whose worst training of the tuning seeds has the smallest loss over the last `TAIL` batches, since
most are best next to where some diverge. Other seeds give the table; differences are paired by seed, with 95 % intervals by Student's t.
Runs are stored one by one: an interrupted table resumes.
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
from thermograd.devicemodel.device import Solution
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.systems import LowRank
from thermograd.optim.optimizers.base import NaturalGradient
from thermograd.optim.optimizers.ngd import NGD
from thermograd.optim.optimizers.tngd import TNGD
from thermograd.optim.tasks.digits import digits
from thermograd.optim.training.train import train

sys.path.insert(0, str(Path(__file__).resolve().parent))

from dies import counted, interval

DAMPING, BATCH, TAIL = 0.1, 8, 20
LARGEST = 0.2
RATES = (0.1, 0.14, 0.2, 0.28, 0.4, 0.56, 0.8)
DURATIONS = (1.0, 4.0, 16.0)
"""Of cells of first order, tau; the slowest mode takes 1 / `DAMPING` = 10."""
DEVICES, STATES = ("first order", "oscillators"), ("reset", "kept")
FIRST_TUNING_SEED = 1000

Row = tuple[str, str, float]
"""Device, state and duration; exact NGD has ("exact NGD", "", inf)."""
EXACT: Row = ("exact NGD", "", math.inf)


class Measured(IdealDevice):
    """Keeps the largest entry of each matrix, which is on its diagonal."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.largest: list[float] = []

    def solve(self, system: Any, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        if isinstance(system, LowRank):
            self.largest.append(float(system.J.square().sum(dim=0).max()) + system.damping)
        return super().solve(system, b, duration, x0=x0)


def one(row: Row, rate: float, seed: int, steps: int) -> dict[str, float]:
    """One training; a loss that is not finite counts as inf."""
    torch.set_num_threads(1)
    name, state, duration = row
    device = Measured(friction="critical" if name == "oscillators" else None)
    span = duration * math.sqrt(LARGEST) if name == "oscillators" else duration

    def optimizer(params: Iterable[Tensor]) -> NaturalGradient:
        if row == EXACT:
            return NGD(params, lr=rate, damping=DAMPING)
        return TNGD(
            params,
            lr=rate,
            damping=DAMPING,
            duration=span,
            reset=state == "reset",
            device=device,
            system="primal",
            reading="bare",
        )

    history = train(digits(), optimizer, steps, BATCH, seed, evaluate_every=0)
    loss = float(np.mean(history.loss[-TAIL:]))
    return {
        "loss": loss if math.isfinite(loss) else math.inf,
        "accuracy": 100 * history.final_score,
        "largest": float(np.median(device.largest)) if device.largest else math.nan,
    }


def table(rows: list[Row], best: dict[Row, float], found: dict[Row, list[dict[str, float]]]) -> str:
    """Markdown."""

    def values(row: Row, name: str) -> np.ndarray:
        return np.array([run[name] for run in found[row]])

    def shown(differences: np.ndarray) -> str:
        mean, half = interval(differences)
        return f"{mean:+.3f} +- {half:.3f}"

    lines = [
        "| device | state | duration, tau | rate | loss of the last batches | kept less reset | oscillators less first order "
        "| test accuracy, % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        name, state, duration = row
        loss, accuracy = interval(values(row, "loss")), interval(values(row, "accuracy"))
        against = shown(values(row, "loss") - values((name, "reset", duration), "loss")) if state == "kept" else "-"
        other = ("first order", state, duration)
        beside = shown(values(row, "loss") - values(other, "loss")) if name == "oscillators" else "-"
        lines.append(
            f"| {name} | {state or '-'} | {'-' if row == EXACT else f'{duration:g}'} | {best[row]:g} | {loss[0]:.3f} +- {loss[1]:.3f} "
            f"| {against} | {beside} | {accuracy[0]:.1f} +- {accuracy[1]:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--tuning", type=int, default=5, help="seeds that the learning rates are chosen by")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/kept_state"), help="folder that keeps the runs")
    parser.add_argument(
        "--docs", type=Path, help="page whose table is replaced, between <!-- kept state --> and <!-- end -->"
    )
    arguments = parser.parse_args()
    store: JobStore[dict[str, float]] = JobStore(output_folder(arguments.out))
    rows = [EXACT, *((name, state, t) for t in DURATIONS for name in DEVICES for state in STATES)]

    def run(jobs: list[tuple[Row, float, int]]) -> dict[tuple[Row, float, int], dict[str, float]]:
        keys = {job_key(DAMPING, BATCH, TAIL, LARGEST, arguments.steps, *job): job for job in jobs}
        done = dict(store.map(lambda job: one(*job, arguments.steps), keys, arguments.workers, progress=counted))
        print()
        return {job: done[key] for key, job in keys.items()}

    tuning = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + arguments.tuning)
    tuned = run([(row, rate, seed) for row in rows for rate in RATES for seed in tuning])
    best = {row: min(RATES, key=lambda rate: max(tuned[row, rate, seed]["loss"] for seed in tuning)) for row in rows}
    measured = run([(row, best[row], seed) for row in rows for seed in range(arguments.seeds)])
    found = {row: [measured[row, best[row], seed] for seed in range(arguments.seeds)] for row in rows}
    largest = np.nanmedian([one["largest"] for runs in found.values() for one in runs])
    note = f"{arguments.seeds} seeds of {arguments.steps} steps; median of the largest entries {largest:.2g}."
    text = f"{note}\n\n{table(rows, best, found)}"
    print(text)
    if arguments.docs is not None:
        page = arguments.docs.read_text(encoding="utf-8")
        before, rest = page.split("<!-- kept state -->\n")
        after = rest[rest.index("<!-- end -->") :]
        arguments.docs.write_text(f"{before}<!-- kept state -->\n{text}\n{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
