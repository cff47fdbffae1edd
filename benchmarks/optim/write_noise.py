"""Digits by TNGD on dies whose programmed conductances err by the same at every programming, or by as much anew each time.

    python benchmarks/optim/write_noise.py [--error 0.03] [--dies 1,2] [--seeds 0,1,2] [--readings bare,refined] [--workers 2]

The integrated preset with `resistors.range_error` (fixed) or `resistors.write_noise` (anew) of `--error` of the largest conductance, or
neither; a step programs the array once. Readings as they are (bare) and refined, as in refined_digits.py: damping and rate 0.3, batch 8,
every die with every seed. Differences to the same reading of a die without such errors are paired by seed and die, with the half width of
their 95 % interval. `error of a step` is |x - A^-1 b| / |A^-1 b| of bare readings of the first 6 steps, median, and `of the mean` that of
the mean of 16 readings of one such system, each after a programming of its own. Runs are stored: an interrupted table resumes.
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
from thermograd.devicemodel.device import Solution
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense
from thermograd.optim.optimizers.step import StepRecord
from thermograd.optim.optimizers.tngd import TNGD
from thermograd.optim.tasks.digits import digits
from thermograd.optim.training.train import train

sys.path.insert(0, str(Path(__file__).resolve().parent))

from dies import card_of_preset, counted, interval

DAMPING, RATE, BATCH, DURATION = 0.3, 0.3, 8, 20.0
ERRORS = ("none", "fixed", "anew")
READINGS = ("bare", "refined")
AVERAGED, WATCHED = 16, 6
"""Programmings of one system whose readings are averaged, and the first steps whose systems are."""


def card_with(error: str, size: float) -> DeviceCard:
    """The preset's, with one kind of error."""
    card = card_of_preset()
    if error == "none":
        return card
    name = {"fixed": "range_error", "anew": "write_noise"}[error]
    return card.replace(technology=card.technology.replace(**{f"resistors__{name}": size}))


class Watching(SurrogateDevice):
    """A die that keeps the systems and readings of its first runs."""

    seen: list[tuple[Dense, Tensor, Solution]]

    def solve(self, system: Any, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        found = super().solve(system, b, duration, x0)
        if len(self.seen) < WATCHED and isinstance(system, Dense) and found.outcome.readable:
            self.seen.append((Dense(system.A.clone()), b.clone(), found))
        return found


def one(error: str, size: float, reading: str, steps: int, seed: int, die: int) -> dict[str, float]:
    """One training."""
    torch.set_num_threads(1)
    device = Watching(card_with(error, size), die=die, extrapolate=True)
    device.seen = []
    made: list[TNGD] = []

    def optimizer(params: Iterable[Tensor]) -> TNGD:
        given: Any = reading
        made.append(TNGD(params, lr=RATE, damping=DAMPING, duration=DURATION, device=device, reading=given))
        return made[0]

    records: list[StepRecord] = []

    def record(done: int, history: Any) -> None:
        last = made[0].last
        assert last is not None
        records.append(last)

    history = train(digits(), optimizer, steps, BATCH, seed, callbacks=[record], evaluate_every=0)
    return {
        "accuracy": history.final_score,
        "skipped": float(np.mean([not one.applied for one in records])),
        "runs": float(np.mean([one.attempts for one in records])),
        "single": math.nan if reading == "refined" else float(np.median([_error(*seen) for seen in device.seen])),
        "averaged": math.nan if reading == "refined" else _averaged(device),
        "seconds": float(sum(history.digital_seconds) + sum(history.device_seconds)),
    }


def _error(system: Dense, b: Tensor, found: Solution) -> float:
    exact = torch.linalg.solve(system.A.double(), b.double())
    return float((found.x.double() - exact).norm() / exact.norm())


def _averaged(device: Watching) -> float:
    """The error of the mean of readings, each of a programming of its own, median over some systems."""
    systems, left = list(device.seen), []
    for system, b, _ in systems:
        read = [device.solve(Dense(system.A), b, DURATION, x0=torch.zeros_like(b)) for _ in range(AVERAGED)]
        good = [one.x.double() for one in read if one.outcome.readable]
        exact = torch.linalg.solve(system.A.double(), b.double())
        if good:
            left.append(float((torch.stack(good).mean(0) - exact).norm() / exact.norm()))
    return float(np.median(left)) if left else math.nan


def table(found: dict[tuple[Any, ...], dict[str, float]], dies: list[int], seeds: list[int]) -> str:
    """Markdown, a row for each reading and error."""
    lines = [
        "| reading | error | test accuracy, % | difference to none, % | worst run | steps not taken, % | runs a step "
        f"| error of a step, % | of the mean of {AVERAGED}, % |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for reading in dict.fromkeys(run[1] for run in found):
        pairs = [(seed, die) for seed in seeds for die in dies]
        before = np.array([100 * found["none", reading, *pair]["accuracy"] for pair in pairs])
        for error in ERRORS:
            runs = [found[error, reading, *pair] for pair in pairs]
            accuracy = np.array([100 * run["accuracy"] for run in runs])
            means = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
            apart = "-" if error == "none" else "{:.2f} +- {:.2f}".format(*interval(accuracy - before))
            shown = (
                "- | -"
                if math.isnan(means["single"])
                else f"{100 * means['single']:.3g} | {100 * means['averaged']:.3g}"
            )
            lines.append(
                f"| {reading} | {error} | {accuracy.mean():.2f} | {apart} | {accuracy.min():.2f} | {100 * means['skipped']:.2g} "
                f"| {means['runs']:.1f} | {shown} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--error", type=float, default=0.03, help="standard deviation over the largest conductance")
    parser.add_argument("--dies", default="1,2")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--readings", default=",".join(READINGS))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/write_noise"), help="folder that keeps the runs")
    arguments = parser.parse_args()
    dies, seeds = ([int(one) for one in text.split(",")] for text in (arguments.dies, arguments.seeds))
    store: JobStore[dict[str, float]] = JobStore(output_folder(arguments.out))
    runs = [(e, r, seed, die) for r in arguments.readings.split(",") for e in ERRORS for seed in seeds for die in dies]
    jobs = {
        job_key(card_with(run[0], arguments.error).model_dump_json(), arguments.steps, DAMPING, *run): run
        for run in runs
    }
    size, steps = arguments.error, arguments.steps
    work = lambda run: one(run[0], size, run[1], steps, *run[2:])  # noqa: E731
    found = dict(store.map(work, jobs, arguments.workers, progress=counted))
    print("\n" + table({run: found[key] for key, run in jobs.items()}, dies, seeds))


if __name__ == "__main__":
    main()
