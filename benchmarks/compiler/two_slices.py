"""What a second slice is worth: the smallest damping that a programmed die bears, with and without knowing its cells.

    python benchmarks/compiler/two_slices.py [--unknowns 64] [--dies 7]

A curvature-like matrix, eigenvalues from 1 down to 1e-8 in equal ratios, with damping d, scaled to a unit diagonal, is programmed on dies
of the `integrated` preset's crossbar (8 bits, 1 %) with ideal amplifiers. Printed is the smallest d, of ten a decade, at which
||I - A M^-1||_2 < 0.9 for the matrix M that a die holds, so that iterative refinement converges; largest of the dies. The cells' factors
are known exactly, or as a measurement finds them, to a relative error of 4e-4; those of the second slice never. The last columns have in
M, one at a time, what the layout adds and the codes do not know of: leakage of open switches, on-resistance of closed ones, wires.

The second table is of dies of the whole preset whose cells are measured through their own DACs and ADCs (`measure_cells`): ||I - A M^-1||
for a system of 12 unknowns and condition 200 (before the unit diagonal), and the error of its reading after two rounds of refinement, with
one input resistor and with eight ranges of it; medians over the dies.
"""

from __future__ import annotations

import argparse
import dataclasses
import math

import numpy as np
import torch

from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.compile import lay_out
from thermograd.compiler.fabrics.array import ArrayParts
from thermograd.compiler.layout.effect import layout_matrix
from thermograd.compiler.passes.slices import choose_codes
from thermograd.compiler.program import AnalogProgram
from thermograd.compiler.programming import Programming
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.cell_measurement import measure_cells
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense

BORNE = 0.9
"""Norm below which a die counts as bearing a system."""
GRID = 10.0 ** (-np.arange(1, 81) / 10)
"""Dampings that are tried, from the largest."""
MEASURED = 4e-4
"""Relative standard error of a measured cell."""


def scaled_to_unit_diagonal(n: int, damping: float) -> np.ndarray:
    """(n, n), of one basis for all dampings."""
    basis, _ = np.linalg.qr(np.random.default_rng([n, 1]).standard_normal((n, n)))
    a = (basis * np.geomspace(1e-8, 1.0, n)) @ basis.T + damping * np.eye(n)
    d = 1 / np.sqrt(np.diag(a))
    return d[:, None] * (a + a.T) / 2 * d


def cells_of(program: AnalogProgram, die: Die, error: float) -> np.ndarray:
    """(1, n, n) factors of the first slice's cells, with a relative error."""
    n = program.size
    ones = program.parts.with_entries([np.ones((n, n))] * program.technology.resistors.slices).on_die(die)
    assert isinstance(ones, ArrayParts)
    first = ones.coupling.mean(axis=0)
    return (first * (1 + error * np.random.default_rng([die.seed or 0, 5]).standard_normal((n, n))))[None]


def programmed(a: np.ndarray, technology: Technology, die: Die, error: float | None) -> AnalogProgram:
    """The program on a die, of codes that know its cells to a relative error; None: that know nothing."""
    nominal = lay_out(a, "crossbar", technology)
    if error is not None:
        factors = cells_of(nominal, die, error)
        # No cell is asked for more than it has.
        scale = 1 / float((np.abs(a) / np.abs(a).max() / factors[0]).max())
        unit = scale * nominal.conductance_unit
        codes = choose_codes(unit * a, technology.resistors, factors)
        nominal = dataclasses.replace(nominal, parts=nominal.parts.with_entries(codes), conductance_unit=unit)
    return nominal.on(die)


def smallest_damping(n: int, technology: Technology, dies: int, error: float | None, layout: bool = False) -> float:
    """The largest over dies of the smallest damping of `GRID` down to which each is borne."""
    found = []
    for seed in range(dies):
        die, borne = Die(technology, seed), np.inf
        for damping in GRID:
            a = scaled_to_unit_diagonal(n, float(damping))
            program = programmed(a, technology, die, error)
            held = layout_matrix(program) if layout else program.matrix
            if not np.linalg.norm(np.eye(n) - a @ np.linalg.inv(held), 2) < BORNE:
                break
            borne = float(damping)
        found.append(borne)
    return max(found)


def measured_dies(technology: Technology, dies: int, levels: int | None) -> tuple[float, float]:
    """Medians over dies of ||I - A M^-1|| and of the error of a reading refined twice.

    Args:
        levels: of `measure_cells`; None: the codes know nothing of the cells.
    """
    n, card = 12, DeviceCard.uncalibrated(technology)
    rng = np.random.default_rng(5)
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    a = (basis * np.geomspace(1.0, 200.0, n)) @ basis.T
    d = 1 / np.sqrt(np.diag(a))
    a = d[:, None] * (a + a.T) / 2 * d
    b, contractions, errors = rng.standard_normal(n), [], []
    for die in range(dies):
        cells = None if levels is None else measure_cells(SurrogateDevice(card, die, extrapolate=True), n, levels)
        programming = Programming(compensate_leak=True, cells=cells)
        device = SurrogateDevice(card, die, extrapolate=True, programming=programming)
        refined = Refined(device, rounds=2, equilibrate=False)
        x = refined.solve(Dense(torch.from_numpy(a)), torch.from_numpy(b), math.inf).x.numpy()
        exact = np.linalg.solve(a, b)
        assert device.program is not None
        contractions.append(float(np.linalg.norm(np.eye(n) - a @ np.linalg.inv(device.program.matrix), 2)))
        errors.append(float(np.linalg.norm(x - exact) / np.linalg.norm(exact)))
    return float(np.median(contractions)), float(np.median(errors))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unknowns", type=int, default=64)
    parser.add_argument("--dies", type=int, default=7)
    given = parser.parse_args()
    still = preset("ideal").thermal
    base = preset("integrated").replace(opamp=preset("ideal").opamp, thermal=still)
    bare = base.replace(wires={}, switches={})
    layouts = [
        None,
        bare.replace(switches__leakage=base.switches.leakage),
        bare.replace(switches__on_resistance=base.switches.on_resistance),
        bare.replace(wires__segment_resistance=base.wires.segment_resistance),
    ]
    print("| codes know of the cells | slices | codes and mismatch | and leakage | and on-resistance | and wires |")
    print("|---|---|---|---|---|---|")
    for words, error in (("nothing", None), (f"factors to {MEASURED:g}", MEASURED), ("factors", 0.0)):
        for slices in (1, 2):
            row = []
            for one in layouts:
                technology = (one or bare).replace(resistors__slices=slices)
                row.append(smallest_damping(given.unknowns, technology, given.dies, error, one is not None))
            print(f"| {words} | {slices} | " + " | ".join(f"{d:.1e}" for d in row) + " |", flush=True)
    print("\n| cells | slices | contraction | error after two rounds | with eight drive ranges |")
    print("|---|---|---|---|---|")
    for words, levels in (("not measured", None), ("32 levels", 32), ("256 levels", 256)):
        for slices in (1, 2):
            technology = preset("integrated").replace(resistors__slices=slices)
            ranges = [technology.replace(resistors__drive_ranges=count) for count in (1, 8)]
            (contraction, error), (_, ranged) = (measured_dies(one, given.dies, levels) for one in ranges)
            print(f"| {words} | {slices} | {contraction:.2g} | {error:.2g} | {ranged:.2g} |", flush=True)


if __name__ == "__main__":
    main()
