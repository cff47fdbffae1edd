"""What each option of a step earns on the small physics-informed network: line search, acceleration, SPRING's momentum, sketches.

    python benchmarks/optim/poisson_options.py [--rows ...] [--docs docs/residuals.md]      # five seeds, a few minutes
    python benchmarks/optim/poisson_options.py --drawn        # new points in every step
    python benchmarks/optim/poisson_options.py --many         # time to solve for a step with thousands of residuals

The task `poisson` (`optim/tasks/poisson.py`) with its residual form, one thread; a seed is that of the points and of the weights. Steps to
an error, and errors, are the median of the seeds, and in brackets the worst. Evaluations are those of the closure beside the Jacobian's;
times are processor time of a whole step.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import thermograd as tg
from thermograd.circuits.files import write_text
from thermograd.optim.optimizers.base import NaturalGradient
from thermograd.optim.optimizers.options.sketch import solve_sketched
from thermograd.optim.tasks.poisson import DAMPING, poisson, source

SEEDS, STEPS = (0, 1, 2, 3, 4), 100
TARGETS = (1e-4, 1e-5, 1e-6)
SMALL = 1e-9
MARKS = ("<!-- poisson options -->\n", "<!-- end -->")

Kind = Callable[..., NaturalGradient]
SEARCH: dict[str, Any] = {"damping": SMALL, "line_search": True}
BENT: dict[str, Any] = {**SEARCH, "geodesic": 0.75}
ROWS: dict[str, tuple[Kind, dict[str, Any]]] = {
    "Levenberg-Marquardt": (tg.NGD, {"damping": DAMPING}),
    "Levenberg-Marquardt, acceleration": (tg.NGD, {"damping": DAMPING, "geodesic": 0.75}),
    "Levenberg-Marquardt, line search": (tg.NGD, {"damping": DAMPING, "line_search": True}),
    "Levenberg-Marquardt, line search, acceleration": (
        tg.NGD,
        {"damping": DAMPING, "line_search": True, "geodesic": 0.75},
    ),
    "Levenberg-Marquardt from 1e-9, line search, acceleration": (
        tg.NGD,
        {**BENT, "damping": tg.LevenbergMarquardt(start=SMALL, factor=0.7, lowest=1e-13)},
    ),
    "damping 1e-9": (tg.NGD, {"damping": SMALL}),
    "damping 1e-9, line search": (tg.NGD, SEARCH),
    "damping 1e-9, line search, SPRING 0.3": (tg.NGD, {**SEARCH, "spring": 0.3}),
    "damping 1e-9, line search, acceleration": (tg.NGD, BENT),
    "damping 1e-9, line search, acceleration, SPRING 0.3": (tg.NGD, {**BENT, "spring": 0.3}),
    "the same as NGDWoodbury, sketch of rank 150": (tg.NGDWoodbury, {**BENT, "spring": 0.3, "sketch": 150}),
    "the same on an ideal device (TNGD, duration inf)": (tg.TNGD, {**BENT, "spring": 0.3, "duration": math.inf}),
}
DRAWN: dict[str, dict[str, Any]] = {
    "damping 1e-3, lr 0.1": {"damping": 1e-3, "lr": 0.1},
    "damping 1e-3, lr 0.1, SPRING 0.9": {"damping": 1e-3, "lr": 0.1, "spring": 0.9},
    "damping 1e-6, line search": {"damping": 1e-6, "line_search": True},
    "damping 1e-6, line search, SPRING 0.5": {"damping": 1e-6, "line_search": True, "spring": 0.5},
    "damping 1e-6, line search, acceleration": {"damping": 1e-6, "line_search": True, "geodesic": 0.75},
    "damping 1e-6, line search, acceleration, SPRING 0.5": {
        "damping": 1e-6,
        "line_search": True,
        "geodesic": 0.75,
        "spring": 0.5,
    },
}


def trained(kind: Kind, options: dict[str, Any], seed: int, steps: int) -> tuple[list[float], float, float]:
    """Errors after each step, evaluations a step, and seconds a step."""
    task = poisson(seed=seed)
    torch.manual_seed(seed)
    model = task.model()
    optimizer = kind(model.parameters(), **{"lr": 1.0, **options})
    closure = task.closure(model, 0, None, seed)
    errors, trials, spent = [], 0, 0.0
    for _ in range(steps):
        start = time.process_time()
        optimizer.step(closure)
        spent += time.process_time() - start
        trials += optimizer.last.trials
        errors.append(task.evaluate(model))
    return errors, trials / steps, spent / steps


def reached(runs: Sequence[list[float]], target: float) -> str:
    """Median of the steps to an error, and the worst."""
    found = [next((k for k, error in enumerate(errors, 1) if error <= target), math.inf) for errors in runs]
    middle, worst = statistics.median(found), max(found)
    shown = [f"{value:.0f}" if math.isfinite(value) else "-" for value in (middle, worst)]
    return f"{shown[0]} ({shown[1]})"


def options_table(names: Sequence[str]) -> str:
    """Markdown."""
    lines = [
        f"| | steps to 1e-4 | to 1e-5 | to 1e-6 | error after {STEPS} steps | evaluations a step | time of a step, ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in names:
        runs = [trained(*ROWS[name], seed, STEPS) for seed in SEEDS]
        errors = [run[0] for run in runs]
        last = sorted(one[-1] for one in errors)
        steps = " | ".join(reached(errors, target) for target in TARGETS)
        trials, spent = (statistics.median(values) for values in list(zip(*runs, strict=True))[1:])
        lines.append(f"| {name} | {steps} | {last[2]:.1e} ({last[-1]:.1e}) | {trials:.1f} | {1e3 * spent:.0f} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def interior(model: nn.Module, x: Tensor) -> Tensor:
    """-(laplace u + source) but for the sign."""
    return tg.laplacian(model, x) + source(x)


def boundary(model: nn.Module, x: Tensor) -> Tensor:
    """u."""
    return model(x)


def drawn(options: dict[str, Any], seed: int, steps: int) -> list[float]:
    """Errors with 50 points inside and 40 on the boundary, new ones in every step."""
    task = poisson(seed=seed)
    torch.manual_seed(seed)
    model, generator = task.model(), torch.Generator().manual_seed(seed)
    optimizer = tg.NGD(model.parameters(), **{"lr": 1.0, **options})
    errors = []
    for _ in range(steps):
        inside = torch.rand(50, 2, dtype=task.dtype, generator=generator)
        along, side = torch.rand(40, dtype=task.dtype, generator=generator), torch.arange(40) % 4
        across = (side % 2).to(task.dtype)
        pairs = torch.stack([along, across], 1)
        edge = torch.where((side < 2)[:, None], pairs, pairs.flip(1))
        optimizer.step(
            tg.ResidualLoss(model, residual=interior, samples=inside)
            + tg.ResidualLoss(model, residual=boundary, samples=edge, weight=task.weight)
        )
        errors.append(task.evaluate(model))
    return errors


def drawn_table() -> str:
    """Markdown."""
    counts = (50, 100, 200)
    lines = [f"| {' | '.join(['', *(f'error after {n}' for n in counts)])} |", "|---" * 4 + "|"]
    for name, options in DRAWN.items():
        runs = [drawn(options, seed, max(counts)) for seed in SEEDS]
        # of a run that jumps, the geometric mean of its last ten errors says more than the last
        means = [[statistics.geometric_mean(errors[n - 10 : n]) for errors in runs] for n in counts]
        lines.append(f"| {name} | {' | '.join(f'{statistics.median(m):.1e} ({max(m):.1e})' for m in means)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def many() -> str:
    """Markdown: seconds to solve for x, after 20 steps, and relative errors by the singular values of M."""
    lines = [
        "| residuals | K and its Cholesky factor, s | its error | rank | sketch, s | iterations | its error |",
        "|---|---|---|---|---|---|---|",
    ]
    for inside, edge in ((200, 160), (1600, 400), (3200, 800)):
        task = poisson(interior=inside, boundary=edge)
        torch.manual_seed(0)
        model = task.model()
        optimizer = tg.NGDWoodbury(model.parameters(), lr=1.0, sketch=150, **BENT)
        problem = task.closure(model, 0, None, 0)
        for _ in range(20):
            optimizer.step(problem)
        assert isinstance(problem, tg.ResidualLoss)
        linearised = problem.linearise(list(model.parameters()))
        assert linearised is not None
        _, factor = linearised
        M, s = factor.jacobian(), factor.sources
        start = time.process_time()
        K = M @ M.mT
        K.diagonal().add_(SMALL)
        root = torch.linalg.cholesky_ex(K)[0]
        formed = M.mT @ torch.cholesky_solve(s.unsqueeze(1), root).squeeze(1)
        direct = time.process_time() - start
        U, a, V = torch.linalg.svd(M, full_matrices=False)
        exact = V.mT @ (a / (a.square() + SMALL) * (U.mT @ s))
        print(f"{len(s)} residuals: eigenvalues of K from {float(a[0]) ** 2:.1e} to {float(a[-1]) ** 2:.1e}")
        size, missed = exact.norm(), (formed - exact).norm()
        for rank in (75, 150, 300):
            start = time.process_time()
            found = solve_sketched(M, s, SMALL, rank, torch.Generator().manual_seed(0))
            spent = time.process_time() - start
            assert found is not None
            error = float((found[0] - exact).norm() / size)
            lines.append(
                f"| {len(s)} | {direct:.2f} | {float(missed / size):.0e} | {rank} | {spent:.2f} | {found[1]} | {error:.0e} |"
            )
            print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", default=";".join(ROWS), help="of the table, separated by ;")
    parser.add_argument("--drawn", action="store_true", help="new points in every step instead")
    parser.add_argument("--many", action="store_true", help="times with many residuals instead")
    parser.add_argument("--docs", type=Path, help=f"page whose table after {MARKS[0].strip()} is replaced")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.drawn or arguments.many:
        print("\n" + (drawn_table() if arguments.drawn else many()))
        return
    text = options_table(arguments.rows.split(";"))
    print("\n" + text)
    if arguments.docs is not None:
        page = arguments.docs.read_text(encoding="utf-8")
        before, rest = page.split(MARKS[0])
        write_text(arguments.docs, f"{before}{MARKS[0]}{text}\n{rest[rest.index(MARKS[1]) :]}")


if __name__ == "__main__":
    main()
