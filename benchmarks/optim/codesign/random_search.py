"""A search for the cheapest device against a random search of the same budget: the hypervolume of their fronts.

    python benchmarks/optim/codesign/random_search.py [--repeats 5] [--trials 40] [--steps 40] [--workers 2] [--out DIR]

Digits, batch 8, exact NGD less one point, the default knobs of `thermograd codesign` around the card shipped:integrated; a design is
trained on one die with one seed. The search proposes by tree-structured Parzen estimators and climbs the ladder (solve, short training,
training); the random one draws designs evenly and trains each of them. Budget is processor time of the evaluations, that of the search:
the random one draws until it has had as much, and what it finished later does not count. Volumes are in decades of time, energy and area,
up to ten times the card as it is. Evaluations are stored: an interrupted table resumes.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path

import numpy as np
from scipy import stats

from thermograd.circuits.files import output_folder
from thermograd.optim.codesign.search.records import DesignRecord
from thermograd.optim.codesign.search.search import Found, Question, make_question, search

TARGET = "test_accuracy >= exact_ngd - 1"


def question(steps: int, seed: int, trials: int, strategy: str) -> Question:
    """Of one repeat."""
    return make_question(
        "digits", TARGET, card="shipped:integrated", knobs=None, fixed=None, readings=("refined", "bare"), dies=(1,), seeds=(0,),
        steps=steps, batch=8, settings=None, short=None, trials=trials, seed=seed, generation=8, strategy=strategy, short_loss=None,
    )  # fmt: skip


def within(records: list[DesignRecord], seconds: float) -> list[DesignRecord]:
    """Those that were finished within a budget."""
    spent = np.cumsum([one.spent for one in records])
    return [one for one, at in zip(records, spent, strict=True) if at <= seconds]


def random_search(asked: Question, folder: Path, seconds: float, workers: int) -> Found:
    """Drawn until the budget is spent."""
    trials = 0
    while True:
        trials += asked.generation
        found = search(dataclasses.replace(asked, trials=trials), folder, workers=workers)
        if math.fsum(one.spent for one in found.records) >= seconds:
            return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/random_search"))
    given = parser.parse_args()
    rows = []
    print(
        f"{'seed':>6}{'budget, s':>11}{'designs':>9}{'feasible':>10}{'volume':>8}  |{'designs':>9}{'feasible':>10}{'volume':>8}  random",
        flush=True,
    )
    for seed in range(given.repeats):
        folder = output_folder(given.out / f"search-{seed}")
        found = search(question(given.steps, seed, given.trials, "tpe"), folder, workers=given.workers)
        budget = math.fsum(one.spent for one in found.records)
        drawn_folder = output_folder(given.out / f"random-{seed}")
        drawn = random_search(question(given.steps, seed, 8, "random"), drawn_folder, budget, given.workers)
        kept = within(drawn.records, budget)
        volumes = found.volume(found.records), drawn.volume(kept)
        rows.append(volumes)
        both = [
            f"{len(records):>9}{sum(one.is_feasible for one in records):>10}{volume:>8.3f}"
            for records, volume in zip((found.records, kept), volumes, strict=True)
        ]
        print(f"{seed:>6}{budget:>11.1f}{both[0]}  |{both[1]}", flush=True)
    differences = [one - other for one, other in rows]
    half = stats.t.ppf(0.975, len(rows) - 1) * stats.sem(differences) if len(rows) > 1 else math.nan
    wins = sum(one > 0 for one in differences)
    print(f"difference {np.mean(differences):.3f} +- {half:.3f} decades^3 (95 %); larger in {wins} of {len(rows)}")


if __name__ == "__main__":
    main()
