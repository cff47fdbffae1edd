"""The first stages: a curvature matrix as a circuit, and its noisy transient in ngspice compared with the exact law."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from ...circuits.amplifiers.models import OnePole
from ...circuits.files import write_text
from ...circuits.linear.statespace import StateSpace, state_space
from ...circuits.ngspice.run import run
from ...circuits.technology.die import Die
from ...circuits.technology.technology import Technology
from ...compiler.compile import compile_matrix
from ...compiler.fabrics.requirements import array_for
from ...compiler.h_matrix import lambda_star
from ...compiler.passes.verify import verify
from ...devicemodel.devices.circuit_noise import SimulatedCircuit
from ...devicemodel.devices.spice import transient
from ...devicemodel.ou.doubling import transition
from ...optim.training.curvature_systems import CurvatureSystem
from .settings import SHOWN_IMAGES, Plan


def matrix_stage(system: CurvatureSystem, technology: Technology, plan: Plan, folder: Path) -> dict[str, Any]:
    """Compile the system, verify the netlist and write it."""
    program = compile_matrix(system.matrix, "auto", technology, b=system.b, check=False)
    verified = verify(program)
    netlist = program.to_spice(system.b)
    write_text(folder / "curvature.cir", netlist)
    program.save(folder / "curvature")
    lines = netlist.splitlines()
    undamped = system.matrix - plan.damping * np.eye(len(system.b))
    return {
        "source": (
            f"The dual curvature system of a batch of {SHOWN_IMAGES} handwritten digits after {system.step} natural-gradient steps: "
            f"{SHOWN_IMAGES} images times 9 independent directions of the 10 logits. It is the largest such system below 65 unknowns, "
            "a size that ngspice simulates in seconds, and its solution mapped back is exactly the natural-gradient step of that batch."
        ),
        "unknowns": program.size,
        "batch": SHOWN_IMAGES,
        "damping": plan.damping,
        "step": system.step,
        "A": system.matrix.tolist(),
        "b": system.b.tolist(),
        "eigenvalues": np.linalg.eigvalsh(system.matrix).tolist(),
        "lambda_star": lambda_star(undamped),
        "mean_diagonal": float(np.diag(undamped).mean()),
        "program": program.report.to_dict(),
        "passive": not program.fabric.active,
        "reason": program.reason,
        "netlist": "\n".join(lines[:60]),
        "netlist_lines": len(lines),
        "netlist_file": "curvature.cir",
        "verified": verified,
    }


def transient_stage(
    system: CurvatureSystem, technology: Technology, plan: Plan, die: int, shown: int = 6
) -> dict[str, Any]:
    """One noisy ngspice transient from the gradient to the solution on a die, and the exact law of the same netlist.

    Without the amplifiers' 1/f noise, most of which is slower than the run and no noise in it.
    """
    n = len(system.b)
    technology = technology.replace(opamp__noise_voltage_corner=0.0, opamp__noise_current_corner=0.0)
    program = compile_matrix(system.matrix, array_for(technology), technology, b=system.b, check=False)
    program = program.on(Die(technology, die))
    program = program.at_scale(
        min(program.volts_per_unit, 0.5 * technology.opamp.output_limit / float(np.abs(system.b).max()))
    )
    duration = plan.duration
    circuit = program.netlist(system.b, x0=system.b)
    analysis = transient(program, duration, johnson_noise=True)
    noise = SimulatedCircuit(program).noise(float(analysis.step or 0.0))
    result = run(circuit, analysis, seed=die, timeout=600.0, currents=noise)
    x = program.decode(result.voltages)
    noisy = OnePole(technology.opamp, noisy=True) if program.fabric.active else None
    space = state_space(
        program.netlist(system.b, x0=system.b, amplifier=noisy),
        {f"x{i + 1}": pair for i, pair in enumerate(program.readouts)},
    )
    scale = (program.scaling / program.volts_per_unit)[:, None]
    grid = result.time[:: max(1, len(result.time) // 400)]
    law_mean, law_std = (rows.T * scale for rows in _exact_law(space, grid))
    mean_at = CubicSpline(grid, law_mean, axis=1)(result.time)
    # By then the fast modes, which the noise grid resolves least, have decayed.
    late = result.time > result.time[-1] / 2
    at_rest = np.sqrt(np.diag(space.covariance()))[:, None] * scale
    scaled = (x - mean_at)[:, late] / at_rest
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
    drift, forcing = torch.from_numpy(space.F), torch.from_numpy(space.B @ space.nominal)
    first, step = (transition(drift, forcing, float(span), spread) for span in (times[0], times[1] - times[0]))
    covariance = first.covariance
    stds = []
    for _ in times:
        assert covariance is not None
        assert step.covariance is not None
        stds.append(np.sqrt(np.maximum(np.diag(space.H @ covariance.numpy() @ space.H.T), 0.0)))
        covariance = step.covariance + step.propagator @ covariance @ step.propagator.mT
    return space.transition(times), np.array(stds)
