"""Effect of die-to-die variation, gradient and mismatch on the solution: 8 unknowns, technology `integrated`, 400 dies.

    python benchmarks/compiler/fabrication.py

Each die solves a system of its own, without rounding, drift or offsets, and is compared with the nominal parts of the same system, whose
solution is x0. Rms over dies, in percent, with standard errors: the error |x - x0| / |x0|; its part of scale, s - 1 with the factor s that
fits x best to s x0; the distortion |x - s x0| / |x0|; and the change of the slowest time constant's logarithm.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.compile import lay_out
from thermograd.compiler.program import AnalogProgram

UNKNOWNS, CONDITION, DIES = 8, 10.0, 400
FABRICS = ("crossbar", "dual_rail")
PLAIN = preset("integrated").replace(
    resistors__bits=None, resistors__tolerance=0.0, resistors__tc1=0.0, capacitors__tolerance=0.0, opamp__offset=0.0
)
DIE_TO_DIE = {"resistors__die_to_die": 0.15, "capacitors__die_to_die": 0.1}
CASES: dict[str, dict[str, Any]] = {
    "die to die 15 % of R, 10 % of C": DIE_TO_DIE,
    "gradient 1 % of R and C": {"resistors__gradient": 0.01, "capacitors__gradient": 0.01},
    "mismatch 1 % of R": {"resistors__tolerance": 0.01},
    "mismatch 1 % of C": {"capacitors__tolerance": 0.01},
    "R of 1 um^2 at 2 % um": {"resistors__pelgrom_coefficient": 2e-8, "resistors__area": 1e-12},
    "R of 4 um^2 at 2 % um": {"resistors__pelgrom_coefficient": 2e-8, "resistors__area": 4e-12},
    "R of 16 um^2 at 2 % um": {"resistors__pelgrom_coefficient": 2e-8, "resistors__area": 16e-12},
    "R of 16 um^2, die to die, gradient": {
        **DIE_TO_DIE,
        "resistors__pelgrom_coefficient": 2e-8,
        "resistors__area": 16e-12,
        "resistors__gradient": 0.01,
        "capacitors__gradient": 0.01,
    },
}


def system(fabric: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A random positive definite matrix with this condition number, and a right-hand side; diagonally dominant for `dual_rail`."""
    rng = np.random.default_rng([seed, UNKNOWNS])
    basis, _ = np.linalg.qr(rng.standard_normal((UNKNOWNS, UNKNOWNS)))
    a = (basis * np.geomspace(1.0, CONDITION, UNKNOWNS)) @ basis.T
    a = (a + a.T) / 2
    if fabric == "dual_rail":
        off = np.abs(a).sum(axis=1) - np.diag(a)
        a = a + np.diag(np.maximum(1.2 * off - np.diag(a), 0.0))
    return a, rng.standard_normal(UNKNOWNS)


def slowest(program: AnalogProgram) -> float:
    """Slowest time constant, s."""
    law = program.behaviour
    return 1.0 / float(np.linalg.eigvals(law.conductance / law.capacitance[:, None]).real.min())


def errors(fabric: str, technology: Technology, seed: int) -> tuple[float, float, float, float]:
    """Error, scale, distortion and change of the time constant of one die on its system."""
    a, b = system(fabric, seed)
    nominal = lay_out(a, fabric, technology)
    program = nominal.on(Die(technology, seed))
    x0, x = np.linalg.solve(nominal.matrix, b), np.linalg.solve(program.matrix, b)
    scale, size = float(x @ x0 / (x0 @ x0)), float(np.linalg.norm(x0))
    error, distortion = float(np.linalg.norm(x - x0)) / size, float(np.linalg.norm(x - scale * x0)) / size
    return error, scale - 1.0, distortion, float(np.log(slowest(program) / slowest(nominal)))


def rms(values: np.ndarray) -> tuple[float, float]:
    """Root mean square and its standard error; values are independent."""
    squares = values**2
    found = float(np.sqrt(squares.mean()))
    return found, float(squares.std(ddof=1)) / np.sqrt(len(values)) / (2 * found) if found > 0 else 0.0


def main() -> None:
    began = time.perf_counter()
    for fabric in FABRICS:
        print(f"{fabric}, {UNKNOWNS} unknowns, rms over {DIES} dies, %\n")
        print(f"  {'':29}{'error':>17}{'scale':>17}{'distortion':>17}{'time constant':>17}")
        for name, changes in CASES.items():
            technology = PLAIN.replace(thermal__cells=1, thermal__ambient_rms=0.0, thermal__to_hot=0.0, **changes)
            rows = np.array([errors(fabric, technology, seed) for seed in range(DIES)])
            shown = [f"{100 * value:.3f} +- {100 * std:.3f}" for value, std in map(rms, rows.T)]
            print(f"  {name:29}" + "".join(f"{text:>17}" for text in shown))
        print()
    print(f"{time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
