"""The stage that calibrates a surrogate, on random systems and on curvature systems of a training run."""

from __future__ import annotations

import json
from typing import Any

from ...circuits.technology.technology import Technology
from ...devicemodel.calibration.evidence import Calibration
from ...devicemodel.calibration.simulated import calibrate_with_evidence
from ...optim.tasks.digits import digits
from ...optim.training.curvature_systems import CurvatureSystem, curvature_systems
from .settings import (
    BATCH,
    DIES,
    Plan,
    Progress,
)


def calibration_stage(
    technology: Technology, system: CurvatureSystem, plan: Plan, workers: int, report: Progress
) -> Calibration:
    """Calibrate on random systems, and on curvature systems of the size that training uses."""
    task = digits()
    real = curvature_systems(task, [2, 20, 60, 120, 200, 300], BATCH, seed=7, settings=plan.settings("tngd"))
    systems = [(item.matrix, item.b) for item in [system, *real]]
    return calibrate_with_evidence(
        technology,
        systems=systems,
        dies=DIES,
        workers=workers,
        progress=lambda stage, k, n: report(f"calibration: {stage}", k, n),
    )


def calibration_results(calibration: Calibration) -> dict[str, Any]:
    """The card and the held-out comparisons as plain data."""
    card = json.loads(calibration.card.model_dump_json())
    return {
        "technology": calibration.card.technology.name,
        "card": card,
        "comparisons": [
            {
                "unknowns": len(item.case.b),
                "die": item.case.die,
                "new_die": item.new_die,
                "real": item.case.real,
                "spice": item.spice.tolist(),
                "surrogate": item.surrogate.tolist(),
            }
            for item in calibration.comparisons
        ],
    }
