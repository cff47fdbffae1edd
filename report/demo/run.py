"""The demo, end to end on real data: matrix, netlist, ngspice, calibration, refined readings, Poisson's equation, training, SPICE
in the loop, studies.

All results of the report come from here; `run_demo` writes `report.json`, `report.html` and its first picture, the netlist, the
program and the card.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ...circuits.errors import InputError
from ...circuits.files import write_text
from ...circuits.technology.presets import preset
from ...circuits.version import __version__
from ...optim.tasks.digits import digits
from ...optim.training.curvature_systems import curvature_systems
from .calibration import calibration_results, calibration_stage
from .causes import causes_stage
from .circuit import matrix_stage, transient_stage
from .loop import loop_stage
from .page import write_overview, write_report
from .poisson import poisson_stage
from .refinement import refinement_stage
from .settings import (
    DIES,
    PLANS,
    SEEDS,
    SHOWN_IMAGES,
    TECHNOLOGY,
    Progress,
)
from .training import studies_stage, training_stage


def run_demo(
    out: str | Path = "out/demo", progress: Progress | None = None, workers: int = 2, reading: str = "both"
) -> dict[str, Any]:
    """Run everything and write the report into a folder.

    Args:
        out: folder, made if need be. Finished runs of the studies in it are reused.
        progress: called with (stage, done, total).
        workers: processes for training and simulation.
        reading: of the dies that train: "both" compares "refined" and "bare"; see `settings.PLANS`.

    Returns:
        The results as written to report.json.

    Raises:
        InputError: an unknown reading.
    """
    if reading not in PLANS:
        raise InputError(f"reading is {reading!r}: give one of {', '.join(PLANS)}")
    plan = PLANS[reading]
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    report = progress or (lambda stage, done, total: None)
    technology, seconds = preset(TECHNOLOGY), _Clock()
    results: dict[str, Any] = {}
    with seconds("a real curvature matrix"):
        report("a real curvature matrix", 0, 1)
        system = curvature_systems(digits(), [5], SHOWN_IMAGES, settings=plan.settings("tngd"))[0]
        results["matrix"] = matrix_stage(system, technology, plan, folder)
        report("a real curvature matrix", 1, 1)
    with seconds("ngspice with thermal noise"):
        report("ngspice with thermal noise", 0, 1)
        results["transient"] = transient_stage(system, technology, plan, DIES[0])
        report("ngspice with thermal noise", 1, 1)
    with seconds("calibration"):
        calibration = calibration_stage(technology, system, plan, workers, report)
        calibration.card.write(folder / "card.json")
        results["calibration"] = calibration_results(calibration)
    if "refined" in plan.readings:
        with seconds("refined readings"):
            results["refinement"] = refinement_stage(calibration.card, plan, workers, report)
    with seconds("Poisson's equation"):
        results["poisson"] = poisson_stage(calibration.card, workers, report)
    with seconds("training"):
        results["training"], systems = training_stage(calibration.card, plan, workers, report)
    with seconds("SPICE in the loop"):
        results["loop"] = loop_stage(calibration.card, systems, plan, workers, report)
    with seconds("studies"):
        results["studies"] = studies_stage(calibration.card, plan, folder, workers, report)
    with seconds("causes of the error"):
        results["causes"] = causes_stage(system, calibration.card, plan, report)
    results["meta"] = {
        "version": __version__,
        "seed": SEEDS[0],
        "python": platform.python_version(),
        "torch": torch.__version__,
        "ngspice": results["transient"]["ngspice"],
        "cores": os.cpu_count(),
        "seconds": seconds.spent,
        "total_seconds": sum(seconds.spent.values()),
        "command": "thermograd demo" + ("" if reading == "both" else f" --reading {reading}"),
    }
    write_text(folder / "report.json", json.dumps(results))
    write_report(results, folder / "report.html")
    write_overview(results, folder / "overview.png")
    return results


class _Clock:
    """Wall-clock seconds of each stage."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.spent[stage] = time.perf_counter() - start
