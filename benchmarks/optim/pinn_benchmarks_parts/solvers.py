"""Time to solve for a step of the large network by the Gram matrix, and by sketches of it, on the way of a run."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

import thermograd as tg
from thermograd.optim.curvature.residuals.residual_loss import ResidualLoss
from thermograd.optim.optimizers.dual_solve import solve_dual
from thermograd.optim.optimizers.options.sketch import solve_sketched
from thermograd.optim.tasks.poisson_cube import poisson_cube

STEPS, RANKS = (5, 12, 20), (150, 300, 600, 1200)


def solvers(steps: Sequence[int] = STEPS, ranks: Sequence[int] = RANKS) -> str:
    """Markdown: processor seconds, and iterations of the sketches, at the damping of the run's own step."""
    task = poisson_cube("5d-large")
    torch.manual_seed(0)
    model = task.model()
    optimizer = tg.NGD(model.parameters(), **task.plan.settings["ngd"])
    lines = [
        "| after step | damping | M | Gram matrix, factor, solution | sketch of rank | s | iterations | difference of x |",
        "|---" * 8 + "|",
    ]
    for number in range(max(steps) + 1):
        closure = task.closure(model, number, None, 0)
        if number in steps:
            damping = optimizer.last.damping
            assert isinstance(closure, ResidualLoss)
            start = time.process_time()
            found = closure.linearise(list(model.parameters()))
            rows = time.process_time() - start
            assert found is not None
            factor = found[1]
            start = time.process_time()
            exact = solve_dual(factor, damping)
            direct = time.process_time() - start
            assert exact is not None
            x, M = torch.cat([part.reshape(-1) for part in exact]), factor.jacobian()
            for rank in ranks:
                start = time.process_time()
                sketched = solve_sketched(M, factor.sources, damping, rank, torch.Generator().manual_seed(0))
                spent = time.process_time() - start
                iterations = "over 500" if sketched is None else str(sketched[1])
                off = "-" if sketched is None else f"{float((sketched[0] - x).norm() / x.norm()):.0e}"
                lines.append(
                    f"| {number} | {damping:.1e} | {rows:.2f} | {direct:.2f} | {rank} | {spent:.2f} | {iterations} | {off} |"
                )
                print(lines[-1], flush=True)
        optimizer.step(closure)
    return "\n".join(lines)
