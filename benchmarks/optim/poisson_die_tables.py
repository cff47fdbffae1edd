"""The small physics-informed network on dies: relative error against steps, by rounds of refinement, deflation and what the die is.

    python benchmarks/optim/poisson_die_tables.py --card card.json [--tables rounds,dies] [--seeds 0,1,2,3,4] [--docs PAGE]

The task `poisson` (1,185 parameters, 360 residuals) with TNGD, line search and acceleration; the die programs K + damping, its seed is
that of the training and one. A run takes 8 / damping tau. `card.json` is of `thermograd calibrate --technology integrated`; dies of
other technologies have their technology's own figures.

    rounds    of the calibrated die: error after the steps for rounds of refinement and dampings. No tolerance: all rounds are taken,
              and a reading of a residual of 1 or more is tried again with 4 and 16 times the damping
    dies      what the die must be: technologies and ways of the host (`docs/refinement.md`) by the error that they reach, with a
              residual of 1e-2 in at most 8 rounds

    bits      fewest bits for an error, by the law of docs/limits.md
    ways      smallest damping of the integrated preset by that law, with the host's ways, and an ideal device's error with it

"none" is the same host with the identity in the die's place: conjugate gradients. Columns: first evaluated step below 1e-3 and 1e-5,
error at the end, and what a median step took: rounds, runs, products with K, those of the deflation included. Medians over seeds,
least and largest in brackets. Runs are stored one by one: an interrupted table resumes.
"""

from __future__ import annotations

import argparse
import bisect
import math
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.host.refine import Refined

sys.path.insert(0, str(Path(__file__).resolve().parent))

from dies import NoDie
from poisson_die import CELLS, TARGETS, Runs, Setup, by_law, damped, of_bits, system
from poisson_runs import replace_table, spread, steps_to

ROUNDS = (0, 1, 2, 3, 4, 8)
GRID = {20: (1e-2,)}
"""Dampings by deflation."""
FEW = 20
"""Steps of the table of rounds."""


def of_rounds(runs: Runs, seeds: list[int]) -> str:
    """Error after the steps, by deflation, damping and rounds."""
    lines = ["| deflation | damping | " + " | ".join(f"{k} rounds" for k in ROUNDS) + " |"]
    lines.append("|---" * (2 + len(ROUNDS)) + "|")
    for deflation, dampings in GRID.items():
        for damping in dampings:
            setups = [Setup(damping, FEW, rounds=k, tolerance=None, deflation=deflation) for k in ROUNDS]
            found = runs.of(setups, seeds)
            cells = []
            for setup in setups:
                values = [run["evaluations"][-1][1] for run in found[setup]]
                failed = sum(run["retried"] for run in found[setup]) / (FEW * len(seeds))
                cells.append(spread(values, ".1e") + (f", {100 * failed:.0f} % retried" if failed else ""))
            lines.append(f"| {deflation} | {damping:g} | " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    return "\n".join(lines)


NEEDED = {1e-3: 0.03, 1e-5: 1e-5}
"""Dampings with which an ideal device reaches an error within 100 steps, by the error."""
DEFLATIONS = (0, 5, 10, 20, 30, 40)
BITS = range(3, 25)


def of_needed_bits(runs: Runs, seeds: list[int]) -> str:
    """Fewest bits by the law, for each error and number of deflated eigenvectors; beside the products of CG without a die."""
    K, b = system()
    largest = float(torch.linalg.eigvalsh(K)[-1])
    lines = ["| deflation | products for it | " + " | ".join(f"bits for {error:g}" for error in NEEDED) + " |"]
    lines.append("|---" * (2 + len(NEEDED)) + "|")
    for deflation in DEFLATIONS:
        cells = []
        for damping in NEEDED.values():

            def suffices(bits: int, deflation: int = deflation, damping: float = damping) -> bool:
                return by_law(of_bits(bits, deflation, damping), K).damping * largest <= damping

            found = bisect.bisect_left(BITS, True, key=suffices)
            cells.append(f"{BITS[found]}" if found < len(BITS) else f"above {BITS[-1]}")
        lines.append(f"| {deflation} | {3 * deflation + 10 if deflation else 0} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    alone = [
        Refined(NoDie(), 2 * CELLS, 1e-2, method="fcg").solve(damped(K, value), b, 1.0) for value in NEEDED.values()
    ]
    products = [one.refinement.products for one in alone if one.refinement is not None]
    lines.append("| conjugate gradients without a die, products | | " + " | ".join(map(str, products)) + " |")
    return "\n".join(lines)


WAYS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "nulled": {"nulled": True},
    "verified": {"verified": True},
    "verified, nulled": {"verified": True, "nulled": True},
    "verified, nulled, two slices, leak compensated": {"verified": True, "nulled": True, "slices": 2, "leak": True},
    "and 8 drive ranges": {"verified": True, "nulled": True, "slices": 2, "leak": True, "ranges": 8},
}
IDEAL = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-5, 1e-6)
"""Dampings of the ideal device's trainings."""


def of_ways(runs: Runs, seeds: list[int]) -> str:
    """The integrated preset's smallest damping by the law, and the error that an ideal device reaches with it."""
    K, _ = system()
    largest = float(torch.linalg.eigvalsh(K)[-1])
    trained = runs.of([Setup(damping, 100, "ideal") for damping in IDEAL], seeds)
    errors = [
        statistics.median(run["evaluations"][-1][1] for run in trained[Setup(one, 100, "ideal")]) for one in IDEAL
    ]
    lines = ["| | " + " | ".join(f"deflation {m}" for m in DEFLATIONS) + " |", "|---" * (1 + len(DEFLATIONS)) + "|"]
    for name, way in WAYS.items():
        cells = []
        for deflation in DEFLATIONS:
            law = by_law(Setup(0.0, 0, "preset", deflation=deflation, **way), K)
            damping = law.damping * largest
            log = np.interp(math.log(damping), np.log(IDEAL[::-1]), np.log(errors[::-1]))
            cells.append(f"{damping:.1g} ({law.limit}): {math.exp(log):.0e}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    lines.insert(2, "")
    ideal = ["| damping | " + " | ".join(f"{one:g}" for one in IDEAL) + " |", "|---" * (1 + len(IDEAL)) + "|"]
    ideal.append("| error of an ideal device | " + " | ".join(f"{error:.1e}" for error in errors) + " |")
    del lines[2]
    return "\n".join([*ideal, "", *lines])


def of_dies(runs: Runs, seeds: list[int]) -> str:
    """Dies that should do, by the law, trained; and the same host without a die."""
    lines = [
        "| die | deflation | damping | error | to 1e-3 | to 1e-5 | rounds | runs | products | retried |",
        "|---" * 10 + "|",
    ]
    for name, setup in DIES.items():
        found = runs.of([setup], seeds)[setup]
        cells = [spread([run["evaluations"][-1][1] for run in found], ".1e")]
        cells += [spread([steps_to(run, target) for run in found], ".0f") for target in TARGETS]
        cells += [f"{statistics.median(run[key] for run in found):.0f}" for key in ("rounds", "attempts", "products")]
        cells.append(f"{sum(run['retried'] for run in found)}")
        lines.append(f"| {name} | {setup.deflation} | {setup.damping:g} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


DIES = {
    "integrated, calibrated": Setup(1e-2, 24, deflation=25),
    "integrated, calibrated, further": Setup(1e-5, deflation=45),
    "none": Setup(1e-2, 24, "none", rounds=100),
    "none, deflated": Setup(1e-2, 24, "none", deflation=20, rounds=60),
    "none, further": Setup(1e-5, 40, "none", rounds=100),
    "6 bits": of_bits(6, 30, 0.03, 30),
    "preset": Setup(0.03, 30, "preset", deflation=10),
    "preset, offsets nulled": Setup(0.03, 30, "preset", deflation=10, nulled=True),
    "preset, verified and nulled": Setup(0.03, 30, "preset", deflation=10, nulled=True, verified=True),
}


TABLES = {"rounds": of_rounds, "bits": of_needed_bits, "ways": of_ways, "dies": of_dies}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/poisson_die"), help="folder that keeps the runs")
    parser.add_argument("--docs", type=Path, help="page whose tables are replaced")
    arguments = parser.parse_args()
    runs = Runs(arguments.out, DeviceCard.read(arguments.card), arguments.workers)
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    for name in arguments.tables.split(","):
        text = TABLES[name](runs, seeds)
        print(f"\n{name}\n\n{text}\n", flush=True)
        if arguments.docs is not None:
            replace_table(arguments.docs, f"die {name}", text)


if __name__ == "__main__":
    main()
