"""The main job, end to end on real data: matrix, netlist, ngspice, calibration, training, SPICE in the loop, first studies.

Every figure of the report is computed here; `run_demo` writes `report.json`, `report.html` and its first picture, the netlist, the
program and the card.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from scipy.interpolate import CubicSpline

from ..circuits.files import write_file, write_text
from ..circuits.linear.statespace import StateSpace, extract
from ..circuits.ngspice.run import run
from ..circuits.technology.technology import Technology
from ..circuits.version import __version__
from ..compiler.compile import compile_matrix
from ..compiler.fabrics.base import rails
from ..compiler.h_matrix import lambda_star
from ..compiler.passes.verify import verify
from ..devicemodel.calibration.calibrate import Calibration, calibrate_with_evidence
from ..devicemodel.card import DeviceCard
from ..devicemodel.cost.model import step_time
from ..devicemodel.device import Outcome
from ..devicemodel.devices.ideal import IdealDevice
from ..devicemodel.devices.spice import SpiceDevice, transient
from ..devicemodel.devices.surrogate import SurrogateDevice
from ..devicemodel.ou import transition
from ..devicemodel.systems import Dense
from ..optim.codesign.knobs import KNOBS
from ..optim.codesign.study import run_study
from ..optim.tasks.digits import digits
from ..optim.training.curvature_systems import CurvatureSystem, RecordingDevice, curvature_systems
from ..optim.training.train import History, train
from .demo_page import write_overview, write_report

TECHNOLOGY = "integrated"
DIES = (1, 2, 3)
SEEDS = (0, 1, 2)
STEPS = 300
BATCH = 8
DAMPING = 0.3
ANALOG_TIME = 20.0
"""tau: six times the slowest time constant 1 / damping."""
SETTINGS: dict[str, dict[str, Any]] = {
    "sgd": {"lr": 0.3},
    "adam": {"lr": 0.005},
    "ngd": {"lr": 0.3, "damping": DAMPING},
    "tngd": {"lr": 0.3, "damping": DAMPING, "duration": ANALOG_TIME},
}
"""Of each optimizer, from the grid of `benchmarks/optim/tune_digits.py`; TNGD takes over what was found for exact NGD.

For NGD the runner-up, within a standard error of the best: at the best one's damping of 0.1 the calibrated dies do not train at all."""
SHOWN_IMAGES = 7
"""Images behind the system that is shown: 7 images of 9 independent logit directions are 63 unknowns."""
EVALUATE_EVERY = 20

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done, total)."""


def run_demo(out: str | Path = "out/demo", progress: Progress | None = None, workers: int = 2) -> dict[str, Any]:
    """Run everything and write the report into a folder.

    Args:
        out: folder, made if need be. Finished training runs of the studies in it are used again.
        progress: called with (stage, done, total).
        workers: processes for training and simulation.

    Returns:
        The results as written to report.json.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    report = progress or (lambda stage, done, total: None)
    technology, seconds = Technology.preset(TECHNOLOGY), _Clock()
    results: dict[str, Any] = {}
    with seconds("a real curvature matrix"):
        report("a real curvature matrix", 0, 1)
        system = curvature_systems(digits(), [5], SHOWN_IMAGES, settings=SETTINGS["tngd"])[0]
        results["matrix"] = matrix_stage(system, technology, folder)
        report("a real curvature matrix", 1, 1)
    with seconds("ngspice with thermal noise"):
        report("ngspice with thermal noise", 0, 1)
        results["transient"] = transient_stage(system, technology, DIES[0])
        report("ngspice with thermal noise", 1, 1)
    with seconds("calibration"):
        calibration = calibration_stage(technology, system, workers, report)
        calibration.card.write(folder / "card.json")
        results["calibration"] = calibration_results(calibration)
    with seconds("training"):
        results["training"], systems = training_stage(calibration.card, workers, report)
    with seconds("SPICE in the loop"):
        results["loop"] = loop_stage(calibration.card, systems, report)
    with seconds("studies"):
        results["studies"] = studies_stage(calibration.card, folder, workers, report)
    results["meta"] = {
        "version": __version__,
        "seed": SEEDS[0],
        "python": platform.python_version(),
        "torch": torch.__version__,
        "ngspice": results["transient"]["ngspice"],
        "cores": os.cpu_count(),
        "seconds": seconds.spent,
        "total_seconds": sum(seconds.spent.values()),
        "command": "thermograd demo",
    }
    write_text(folder / "report.json", json.dumps(results))
    write_report(results, folder / "report.html")
    write_file(folder / "overview.png", lambda path: write_overview(results, path))
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


def matrix_stage(system: CurvatureSystem, technology: Technology, folder: Path) -> dict[str, Any]:
    """Compile the system, prove the netlist, write it."""
    program = compile_matrix(system.matrix, "auto", technology, b=system.b, check=False)
    verified = verify(program)
    netlist = program.to_spice(system.b)
    write_text(folder / "curvature.cir", netlist)
    program.save(folder / "curvature")
    lines = netlist.splitlines()
    undamped = system.matrix - DAMPING * np.eye(len(system.b))
    return {
        "source": (
            f"The dual curvature system of a batch of {SHOWN_IMAGES} handwritten digits after {system.step} natural-gradient steps: "
            f"{SHOWN_IMAGES} images times 9 independent directions of the 10 logits. It is the largest such system below 65 unknowns, "
            "a size that ngspice simulates in seconds, and its solution mapped back is exactly the natural-gradient step of that batch."
        ),
        "unknowns": program.size,
        "batch": SHOWN_IMAGES,
        "damping": DAMPING,
        "step": system.step,
        "A": system.matrix.tolist(),
        "b": system.b.tolist(),
        "eigenvalues": np.linalg.eigvalsh(system.matrix).tolist(),
        "lambda_star": lambda_star(undamped),
        "mean_diagonal": float(np.diag(undamped).mean()),
        "program": program.report.to_dict(),
        "reason": program.reason,
        "netlist": "\n".join(lines[:60]),
        "netlist_lines": len(lines),
        "netlist_file": "curvature.cir",
        "verified": verified,
    }


def transient_stage(system: CurvatureSystem, technology: Technology, die: int, shown: int = 6) -> dict[str, Any]:
    """One noisy ngspice transient from the gradient to the solution on a die, beside the exact law of the same netlist."""
    n = len(system.b)
    program = compile_matrix(system.matrix, "crossbar", technology, b=system.b, check=False).on(
        technology.fabricate(die)
    )
    program = program.at_scale(min(program.volts_per_unit, 0.5 * technology.opamp.rail / float(np.abs(system.b).max())))
    duration = ANALOG_TIME
    circuit = program.netlist(system.b, x0=system.b)
    analysis = transient(program, duration, noise=True)
    result = run(circuit, analysis, seed=die, timeout=600.0)
    x = program.decode(result.voltages)
    space = extract(circuit, {f"x{i + 1}": rails(i) for i in range(n)})
    scale = (program.scaling / program.volts_per_unit)[:, None]
    grid = result.time[:: max(1, len(result.time) // 400)]
    law_mean, law_std = (rows.T * scale for rows in _exact_law(space, grid))
    mean_at = CubicSpline(grid, law_mean, axis=1)(result.time)
    # After half of the time the fast modes, which the noise grid resolves least, have died out.
    late = result.time > result.time[-1] / 2
    scaled = (x - mean_at)[:, late] / law_std[:, -1:]
    slow = 1.0 / float(-space.eigenvalues[0].real)
    independent = max(1.0, float(result.time[-1]) / 2 / (2 * slow)) * n
    exact = np.linalg.solve(system.matrix, system.b)
    order = np.argsort(-np.abs(exact - system.b))[:shown]
    thin = slice(None, None, max(1, len(result.time) // 800))
    return {
        "technology": technology.name,
        "die": die,
        "tau_seconds": program.tau,
        "time": (result.time[thin] / program.tau).tolist(),
        "law_time": (grid / program.tau).tolist(),
        "spice": x[order][:, thin].tolist(),
        "law_mean": law_mean[order].tolist(),
        "law_std": law_std[order].tolist(),
        "solution": exact[order].tolist(),
        "shown": [int(i) for i in order],
        "points": len(result.time),
        "h_seconds": analysis.step,
        "rms_over_std": float(np.sqrt(np.mean(scaled**2))),
        "rms_uncertainty": float(1.0 / np.sqrt(2 * independent)),
        "final_error": float(np.linalg.norm(x[:, -1] - exact) / np.linalg.norm(exact)),
        "ngspice": result.ngspice_version,
    }


def _exact_law(space: StateSpace, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the outputs (V) at equally spaced times, (times, outputs) each, from the initial state."""
    spread = torch.from_numpy(space.Bn @ space.noise_density @ space.Bn.T)
    drift, push = torch.from_numpy(space.F), torch.from_numpy(space.B @ space.nominal)
    first, step = (transition(drift, push, float(span), spread) for span in (times[0], times[1] - times[0]))
    covariance = first.covariance
    stds = []
    for _ in times:
        assert covariance is not None
        assert step.covariance is not None
        stds.append(np.sqrt(np.maximum(np.diag(space.H @ covariance.numpy() @ space.H.T), 0.0)))
        covariance = step.covariance + step.propagator @ covariance @ step.propagator.mT
    return space.transition(times), np.array(stds)


def calibration_stage(technology: Technology, system: CurvatureSystem, workers: int, report: Progress) -> Calibration:
    """Calibrate on random systems and on real ones of the size that training uses."""
    task = digits()
    real = curvature_systems(task, [2, 20, 60, 120, 200, 300], BATCH, seed=7, settings=SETTINGS["tngd"])
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


def training_stage(card: DeviceCard, workers: int, report: Progress) -> tuple[dict[str, Any], list[CurvatureSystem]]:
    """Three seeds of each optimizer; the systems of the last steps of the first die's run come along."""
    jobs: list[tuple[str, str, int, int | None]] = []
    for k, seed in enumerate(SEEDS):
        jobs += [("sgd", "SGD", seed, None), ("adam", "Adam", seed, None), ("ngd", "exact NGD", seed, None)]
        jobs += [("tngd", "TNGD, ideal device", seed, None)]
        jobs += [("tngd", f"TNGD, die {die}", seed, die) for die in (DIES if k == 0 else ())]
    jobs += [("tngd", f"TNGD, die {die}", seed, die) for seed in SEEDS[1:] for die in DIES]
    total, runs = len(jobs), []
    systems: list[CurvatureSystem] = []
    report("training", 0, total)
    text = card.model_dump_json()
    farm = Parallel(n_jobs=workers, return_as="generator")(delayed(_train_one)(*job, text) for job in jobs)
    for (_, _, seed, die), (record, found) in zip(jobs, farm, strict=True):
        runs.append(record)
        if seed == SEEDS[0] and die == DIES[0]:
            systems = found
        report("training", len(runs), total)
    groups = dict.fromkeys(record["group"] for record in runs)
    table = [_row(label, [record for record in runs if record["group"] == label]) for label in groups]
    note = (
        f"digits, batch {BATCH}, {STEPS} steps, network 64-32-10. Hybrid time: digital work is measured on one core of this "
        "machine (median of the steps), transfers and settling are modelled; the time that simulating the device takes is left out."
    )
    return {"task": "digits", "steps": STEPS, "batch": BATCH, "runs": runs, "table": table, "note": note}, systems


def _train_one(
    optimizer: str, label: str, seed: int, die: int | None, card_text: str
) -> tuple[dict[str, Any], list[CurvatureSystem]]:
    """One run in a worker process."""
    torch.set_num_threads(1)
    card = DeviceCard(**json.loads(card_text))
    recorder = None
    if optimizer == "tngd":
        # Systems of a training are not known before it; those beyond the card's range are counted.
        device = IdealDevice() if die is None else SurrogateDevice(card, die, seed, extrapolate=True)
        recorder = RecordingDevice(device, set(range(STEPS - 5, STEPS)))
    history = train(
        digits(),
        optimizer,
        STEPS,
        BATCH,
        seed,
        device=recorder,
        evaluate_every=EVALUATE_EVERY,
        settings=SETTINGS[optimizer],
    )
    link = Technology.preset("paper").link if die is None else card.technology.link
    parts = _step_parts(history, recorder.systems[0].b.size if recorder else 0, link)
    steps = [step for step, _ in history.evaluations]
    group = "TNGD, calibrated dies" if die is not None else label
    record = {
        "optimizer": optimizer,
        "label": label,
        "group": group,
        "die": die,
        "seed": seed,
        "steps": steps,
        "accuracy": [accuracy for _, accuracy in history.evaluations],
        "loss": [
            float(np.mean(history.loss[max(0, step - EVALUATE_EVERY) : step] or history.loss[:1])) for step in steps
        ],
        "hybrid_seconds": [step * sum(parts.values()) for step in steps],
        "seconds_per_step": parts,
        "skipped": sum(not Outcome(outcome).readable for outcome in history.outcome),
        "clipped": history.outcome.count("clipped"),
        "extrapolated": history.outcome.count("extrapolated"),
        "steps_to_95": history.steps_to(0.95),
    }
    return record, recorder.systems if recorder else []


def _step_parts(history: History, cells: int, link: Any) -> dict[str, float]:
    """Seconds of a typical step on the hybrid machine."""
    digital = float(np.median(history.digital_seconds))
    time_of = step_time(cells, float(np.mean(history.analog_seconds)), link, digital)
    return {name: getattr(time_of, name) for name in ("digital", "programming", "drive", "analog", "reading")}


def _row(label: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    final = [record["accuracy"][-1] for record in records]
    reached = [record["steps_to_95"] for record in records]
    parts = {
        key: float(np.mean([r["seconds_per_step"][key] for r in records])) for key in records[0]["seconds_per_step"]
    }
    return {
        "label": label,
        "runs": len(records),
        "accuracy_mean": float(np.mean(final)),
        "accuracy_std": float(np.std(final, ddof=1)) if len(final) > 1 else 0.0,
        "steps_to_95": None if None in reached else float(np.mean(reached)),
        "hybrid_seconds": float(np.mean([record["hybrid_seconds"][-1] for record in records])),
        "seconds_per_step": parts,
        **{end: sum(record[end] for record in records) for end in ("clipped", "skipped", "extrapolated")},
    }


def loop_stage(card: DeviceCard, systems: list[CurvatureSystem], report: Progress) -> dict[str, Any]:
    """The last systems of the finished run, once more: by ngspice and by the surrogate of the same die."""
    die = DIES[0]
    compared = []
    report("SPICE in the loop", 0, len(systems))
    for done, system in enumerate(systems, start=1):
        args = Dense(torch.from_numpy(system.matrix)), torch.from_numpy(system.b), ANALOG_TIME
        exact = np.linalg.solve(system.matrix, system.b)
        start = torch.from_numpy(system.start)
        x, spent = {}, {}
        spice = SpiceDevice(card.technology, die, card.fabric, noise=False, timeout=600.0)
        for name, device in (("spice", spice), ("surrogate", SurrogateDevice(card, die, extrapolate=True))):
            begin = time.perf_counter()
            x[name] = device.solve(*args, x0=start).x.numpy()
            spent[name] = time.perf_counter() - begin
        scale = float(np.linalg.norm(exact))
        errors = {name: (value - exact) / scale for name, value in x.items()}
        centred = errors["spice"] - errors["spice"].mean()
        left = errors["spice"] - errors["surrogate"]
        compared.append(
            {
                "step": system.step,
                "unknowns": len(exact),
                "spice_error": float(np.linalg.norm(errors["spice"])),
                "surrogate_error": float(np.linalg.norm(errors["surrogate"])),
                "difference": float(np.linalg.norm(left)),
                "explained": 1.0 - float(left @ left) / float(centred @ centred),
                "spice": x["spice"].tolist(),
                "surrogate": x["surrogate"].tolist(),
                "exact": exact.tolist(),
                "spice_seconds": spent["spice"],
                "surrogate_seconds": spent["surrogate"],
            }
        )
        report("SPICE in the loop", done, len(systems))
    return {"die": die, "technology": card.technology.name, "systems": compared}


def studies_stage(card: DeviceCard, folder: Path, workers: int, report: Progress) -> list[dict[str, Any]]:
    """The three first studies."""
    studies = []
    for name in KNOBS:
        study = run_study(
            name,
            card,
            dies=DIES,
            steps=STEPS,
            batch=BATCH,
            workers=workers,
            out=folder / "studies",
            progress=lambda done, total, name=name: report(f"study: {name}", done, total),  # type: ignore[misc]
            settings=SETTINGS["tngd"],
        )
        studies.append(study.to_dict())
    return studies
