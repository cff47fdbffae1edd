"""The spread of Monte-Carlo decks in ngspice against the report's, and against dies of thermograd's own.

    python benchmarks/compiler/monte_carlo.py

For each circuit the relative rms error over dies, sqrt(mean |x - x_nominal|^2) / |x_nominal|, of a random system with a given condition
number and one right-hand side: as the report predicts it to first order, as `ngspice -b` finds it on `DIES` dies, and as `program.on(Die)`
makes it on as many others. The standard error of a mean of |x|^2 over N normal deviates of covariance S is sqrt(2 tr S^2 / N).
"""

from __future__ import annotations

import math
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from thermograd.circuits.linear.dc_sensitivity import DCSensitivity
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.parts import Thermal
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.analysis.die_spread import die_spread
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.decks.monte_carlo import monte_carlo_spice
from thermograd.compiler.program import AnalogProgram

DIES = 2000
UNKNOWNS = 6
CONDITION = 10.0
SHARED = {"resistors__die_to_die": 0.01, "resistors__gradient": 0.02}
CIRCUITS = {
    "breadboard, `crossbar_single`": ("crossbar_single", "breadboard", {}),
    "integrated, `crossbar`": ("crossbar", "integrated", {}),
    "integrated, `crossbar`, 1 % die to die, gradient 2 %": ("crossbar", "integrated", SHARED),
    "breadboard, `dual_rail`": ("dual_rail", "breadboard", {}),
    "breadboard, `dual_rail`, 1 % die to die, gradient 2 %": ("dual_rail", "breadboard", SHARED),
}


def system(fabric: str, rng: np.random.Generator) -> np.ndarray:
    """Random eigenvectors and eigenvalues; for a passive network couplings small enough for it."""
    basis, _ = np.linalg.qr(rng.standard_normal((UNKNOWNS, UNKNOWNS)))
    exponents = np.concatenate([[0.0, 1.0], rng.uniform(size=UNKNOWNS - 2)])
    matrix = (basis * CONDITION**exponents) @ basis.T
    if fabric == "dual_rail":
        off = matrix - np.diag(np.diag(matrix))
        matrix = off + np.diag(np.abs(off).sum(axis=1) * (1 + 2 / CONDITION))
    return (matrix + matrix.T) / 2


def in_ngspice(program: AnalogProgram, b: np.ndarray) -> np.ndarray:
    """(DIES, n), by a deck as it is emitted."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "deck.mc.cir").write_text(monte_carlo_spice(program, b, DIES, seed=1), encoding="utf-8")
        subprocess.run(["ngspice", "-b", "deck.mc.cir"], cwd=folder, capture_output=True, check=True)
        return np.loadtxt(Path(folder, "dies.txt"), skiprows=1)[:, 1:]


def on_dies(program: AnalogProgram, b: np.ndarray) -> np.ndarray:
    """(DIES, n), by the netlists of as many dies."""
    scale = program.readout_scale / program.volts_per_unit
    dies = (program.on(Die(program.technology, seed)) for seed in range(DIES))
    return np.array([DCSensitivity(die.netlist(b), die.readouts).volts * scale for die in dies])


def main() -> None:
    print(f"{UNKNOWNS} unknowns, {DIES} dies; relative rms error over dies in %, with one standard error")
    print("| circuit | report | ngspice | dies |")
    print("|---|---|---|---|")
    for name, (fabric, board, changes) in CIRCUITS.items():
        rng = np.random.default_rng(0)
        technology: Technology = preset(board).replace(thermal=Thermal(), **changes)
        matrix, b = system(fabric, rng), rng.standard_normal(UNKNOWNS)
        program = compile_matrix(matrix, fabric, technology, b=b)
        spread = die_spread(program, b)
        size = np.linalg.norm(spread.nominal)
        covariance = spread.covariance / size**2
        # Of a root of a mean: half of the mean's own error over the root.
        error = math.sqrt(2 * np.trace(covariance @ covariance) / DIES) / (2 * spread.relative_error)
        found = [
            math.sqrt((((of(program, b) - spread.nominal) / size) ** 2).sum(axis=1).mean())
            for of in (in_ngspice, on_dies)
        ]
        shown = " | ".join(f"{100 * value:.3f} +- {100 * error:.3f}" for value in found)
        print(f"| {name} | {100 * spread.relative_error:.3f} | {shown} |")


if __name__ == "__main__":
    main()
