"""Published figures of the benchmarks, from the authors' own run histories (wall time of one GPU, absolute L2 error).

Each is the run with the least final error of its search. "Time to an error" is the time of its first logged error below.

Source: `best_runs/*_best_history.csv` in github.com/f-dangel/kfac-pinns-experiments (exp09_reproduce_poisson2d,
exp10_reproduce_poisson5d; an RTX 6000, arXiv 2405.15603) and in rla-pinns (exp1_poisson5d; arXiv 2505.12149).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One run.

    Attributes:
        label: the optimizer.
        reached: wall seconds to an error.
        best: the least error, and the seconds to it.
    """

    label: str
    reached: dict[float, float]
    best: tuple[float, float]


PUBLISHED: dict[str, tuple[Published, ...]] = {
    "2d": (
        Published("ENGD, per layer", {1e-3: 31.3, 1e-4: 40.9, 1e-5: 59.0, 1e-6: 94.1, 1e-7: 218.7}, (6.12e-8, 468.3)),
        Published("KFAC*", {1e-3: 20.3, 1e-4: 45.4, 1e-5: 87.3, 1e-6: 576.7}, (1.99e-7, 1000.0)),
        Published("Hessian-free", {1e-3: 11.0, 1e-4: 34.7, 1e-5: 84.1, 1e-6: 226.6}, (3.21e-7, 1001.2)),
        Published("Adam", {1e-3: 66.3, 1e-4: 1000.0}, (9.40e-5, 1000.0)),
    ),
    "5d": (
        Published("ENGD, full", {1e-3: 33.7, 1e-4: 43.2, 1e-5: 51.8, 1e-6: 79.7, 1e-7: 355.7}, (5.58e-8, 3000.1)),
        Published("KFAC*", {1e-3: 32.6, 1e-4: 205.7, 1e-5: 1130.6}, (2.58e-6, 2916.6)),
        Published("Hessian-free", {1e-3: 85.5, 1e-4: 179.1, 1e-5: 2055.7}, (6.10e-6, 3000.9)),
        Published("Adam", {}, (1.14e-3, 3000.0)),
    ),
    "5d-large": (
        Published("SPRING", {1e-3: 42.4, 1e-4: 89.7, 1e-5: 224.1}, (1.05e-6, 6194.3)),
        Published("ENGD by Woodbury", {1e-3: 81.0, 1e-4: 139.7, 1e-5: 324.7, 1e-6: 3812.4}, (6.81e-7, 7000.2)),
        Published("Hessian-free", {1e-3: 471.4, 1e-4: 4679.4}, (7.66e-5, 7004.0)),
        Published("Adam", {}, (3.11e-3, 7000.0)),
    ),
}
