"""Who makes the error of dies on the demo's system: each cause taken out, alone, and one after the other."""

from __future__ import annotations

from typing import Any

import torch

from ...devicemodel.card import DeviceCard
from ...devicemodel.error_budget.budget import Problem, error_budget
from ...devicemodel.error_budget.hardware import Hardware
from ...devicemodel.systems import Dense
from ...optim.training.curvature_systems import CurvatureSystem
from .settings import DIES, Plan, Progress


def causes_stage(system: CurvatureSystem, card: DeviceCard, plan: Plan, report: Progress) -> dict[str, Any]:
    """`ErrorBudget.to_dict()` of the calibrated surrogates of the demo's dies."""
    problem = Problem(
        Dense(torch.from_numpy(system.matrix)), torch.from_numpy(system.b), torch.from_numpy(system.start)
    )
    found = error_budget(
        Hardware(card, plan.duration),
        [problem],
        DIES,
        progress=lambda done, total: report("causes of the error", done, total),
    )
    return found.to_dict() | {"unknowns": len(system.b)}
