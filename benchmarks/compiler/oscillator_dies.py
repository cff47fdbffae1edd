"""Stable dies of coupled oscillators and of the crossbar by condition number and mismatch: 16 unknowns, 60 dies, technology `integrated`.

    python benchmarks/compiler/oscillator_dies.py

Each die holds a system of its own, with eigenvalues 1 / condition to 1 in equal ratios, without rounding. Counted are the dies on which no
mode grows, with gain, bandwidth, second pole and each rail's parts; and of the oscillators' those whose realised matrix has no negative
eigenvalue: what is lost besides is lost to mismatch that makes modes pump one another, and to bandwidth.
"""

from __future__ import annotations

import numpy as np

from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out

UNKNOWNS, DIES = 16, 60
CONDITIONS = (100, 300, 1000, 3000, 10000)
MISMATCH = (0.01, 0.003, 0.001)


def matrix(condition: float, seed: int) -> np.ndarray:
    """A random basis with this spectrum."""
    basis, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((UNKNOWNS, UNKNOWNS)))
    a = (basis * np.geomspace(1 / condition, 1, UNKNOWNS)) @ basis.T
    return np.asarray((a + a.T) / 2)


def stable(condition: float, mismatch: float) -> tuple[int, int, int]:
    """Stable dies of the crossbar, of oscillators, and dies of oscillators with a positive matrix."""
    technology = preset("integrated").replace(resistors__bits=None, resistors__tolerance=mismatch)
    found = np.zeros(3, dtype=int)
    for seed in range(DIES):
        a, die = matrix(condition, seed), Die(technology, seed)
        crossbar = lay_out(a, "crossbar", technology).on(die)
        oscillator = lay_out(a, "oscillator", technology, floor=1 / condition).on(die)
        positive = np.linalg.eigvals(oscillator.matrix).real.min() > 0
        found += [not crossbar.grows(), not oscillator.grows(), positive]
    return tuple(found.tolist())


def main() -> None:
    print("| mismatch | condition | crossbar | oscillator | positive matrix |\n|---|---|---|---|---|")
    for mismatch in MISMATCH:
        for condition in CONDITIONS:
            crossbar, oscillator, positive = stable(condition, mismatch)
            print(f"| {100 * mismatch:g} % | {condition:,} | {crossbar} | {oscillator} | {positive} |")


if __name__ == "__main__":
    main()
