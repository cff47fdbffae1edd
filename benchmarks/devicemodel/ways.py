"""Ways to a smaller damping, each alone and all together: what of the error is left, how far down the damping goes, and what it costs.

    python benchmarks/devicemodel/ways.py [--dies 5] [--unknowns 128] [--gain 1e5] [--steps 24]

The Gram matrix K of a physics-informed network after some Levenberg-Marquardt steps (`pinn`), K + damping with damping a share of the
largest eigenvalue, on dies of the integrated preset. Rows:

    none                  codes of 8 bits, nearest
    leak compensation     Programming(compensate_leak=True)
    deflation of m        Refined(deflation=m)
    write-and-verify      Programming(cells=measure_cells(...))
    offset nulling        ReadOut(null_offsets=True)
    second slice          resistors.slices = 2; without verifying it gains nothing
    all but deflation     together
    and 8 drive ranges    resistors.drive_ranges = 8, too: the bias of nulling and the drive are rounded to finer steps
    all                   all but deflation, and a deflation of 20

First table: spectral radius of 1 - B A, B the board's settled response without offsets and converters, with the host's part of it; below
one Richardson's iteration converges. Second: smallest share at which most dies reach a residual of 1e-2 within 8 rounds, and what such
a solve took, beside the products with A that plain CG on the unit-diagonal matrix takes without a die. Medians over dies. Third: what
write-and-verify spends once for a die. Last, programming every m-th step: K of one step after another, refined with the program of an
earlier one.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pinn import Poisson
from torch import Tensor

from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.compile import lay_out
from thermograd.compiler.programming import CellTable, Programming
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.device import Outcome, Solution
from thermograd.devicemodel.devices.cell_measurement import measure_cells
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.loaded import load
from thermograd.devicemodel.host.readout import ReadOut
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense

sys.path.append(str(Path(__file__).parents[1] / "optim"))
from dies import NoDie

SHARES = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)
TOLERANCE, ROUNDS, TIME_CONSTANTS = 1e-2, 8, 8.0


@dataclass(frozen=True)
class Way:
    """Options of one row."""

    name: str
    leak: bool = False
    deflation: int = 0
    verified: bool = False
    nulled: bool = False
    slices: int = 1
    ranges: int = 1


WAYS = (
    Way("none"),
    Way("leak compensation", leak=True),
    Way("deflation of 5", deflation=5),
    Way("deflation of 20", deflation=20),
    Way("write-and-verify", verified=True),
    Way("offset nulling", nulled=True),
    Way("second slice", slices=2),
    Way("second slice, verified", slices=2, verified=True),
    Way("all but deflation", leak=True, verified=True, nulled=True, slices=2),
    Way("and 8 drive ranges", leak=True, verified=True, nulled=True, slices=2, ranges=8),
    Way("all", leak=True, deflation=20, verified=True, nulled=True, slices=2),
)


@dataclass
class Bench:
    """Dies of one technology, and the tables measured of them."""

    technology: Technology
    size: int
    tables: dict[tuple[int, int], CellTable] = field(default_factory=dict)

    def device(self, way: Way, die: int) -> SurrogateDevice:
        """A fresh die, programmed and read in that way."""
        hardware = {"resistors__slices": way.slices, "resistors__drive_ranges": way.ranges}
        card = DeviceCard.uncalibrated(self.technology.replace(**hardware))
        cells = self.table(card, way.slices, die) if way.verified else None
        read_out = ReadOut(null_offsets=way.nulled)
        return SurrogateDevice(card, die, read_out=read_out, extrapolate=True, programming=Programming(way.leak, cells))

    def table(self, card: DeviceCard, slices: int, die: int) -> CellTable:
        """Measured once for a die; finer where a second slice is to hold what the first one lacks."""
        if (slices, die) not in self.tables:
            device = SurrogateDevice(card, die, extrapolate=True)
            self.tables[slices, die] = measure_cells(device, self.size, 32 if slices == 1 else 128)
        return self.tables[slices, die]

    def radius(self, way: Way, die: int, system: Dense) -> float:
        """Spectral radius of 1 - B A; nan where the board is unstable."""
        loaded, device = load(system, device := self.device(way, die), True, 0.0, way.deflation), device
        zero = torch.zeros(system.size, dtype=torch.float64)
        if device.solve(loaded.programmed, zero, 1.0).outcome is Outcome.UNSTABLE or device.program is None:
            return float("nan")
        inverse = torch.linalg.inv(torch.from_numpy(device.program.matrix))
        images = [loaded.answer(column, inverse @ loaded.drive(column)) for column in system.A.mT]
        left = torch.eye(system.size, dtype=torch.float64) - torch.stack(images, dim=1)
        return float(torch.linalg.eigvals(left).abs().max())

    def solve(self, way: Way, die: int, system: Dense, b: Tensor) -> Solution:
        """A refined reading."""
        refined = Refined(self.device(way, die), ROUNDS, TOLERANCE, deflation=way.deflation)
        return refined.solve(system, b, TIME_CONSTANTS / system.floor)


def damped(K: Tensor, share: float) -> Dense:
    """K + damping, the damping that share of K's largest eigenvalue."""
    damping = share * float(torch.linalg.eigvalsh(K)[-1])
    return Dense(K + damping * torch.eye(len(K), dtype=K.dtype), floor=damping)


def radii(bench: Bench, K: Tensor, dies: list[int]) -> str:
    """First table."""
    shares = SHARES[::2]
    lines = ["| way | " + " | ".join(f"{share:g}" for share in shares) + " |", "|---" * (len(shares) + 1) + "|"]
    for way in WAYS:
        row = []
        for share in shares:
            found = [bench.radius(way, die, damped(K, share)) for die in dies]
            stable = [value for value in found if np.isfinite(value)]
            text = f"{np.median(stable):.2g}" if stable else "-"
            row.append(text + (f" ({len(found) - len(stable)} unstable)" if 0 < len(stable) < len(found) else ""))
        lines.append(f"| {way.name} | " + " | ".join(row) + " |")
    return "\n".join(lines)


def reached(bench: Bench, K: Tensor, b: Tensor, dies: list[int]) -> str:
    """Second table."""
    lines = [
        "| way | smallest share | rounds | runs | analog time, us | conversions | products | CG's products | memory, kB |",
        "|---" * 9 + "|",
    ]
    for way in WAYS:
        last: tuple[float, list[Solution]] | None = None
        for share in SHARES:
            found = [bench.solve(way, die, damped(K, share), b) for die in dies]
            good = [one for one in found if one.outcome in (Outcome.OK, Outcome.EXTRAPOLATED)]
            if 2 * len(good) <= len(found):
                break
            last = share, good
        if last is None:
            lines.append(f"| {way.name} | above {SHARES[0]:g} | | | | | | | |")
            continue
        n, (share, good) = len(K), last
        took = {name: float(np.median([_figure(one, name) for one in good])) for name in ("rounds", "products")}
        runs, seconds = (float(np.median([getattr(one, name) for one in good])) for name in ("attempts", "seconds"))
        memory = 16 * n * way.deflation + (4 * n**2 if way.verified else 0)
        lines.append(
            f"| {way.name} | {share:g} | {took['rounds']:.0f} | {runs:.0f} | {1e6 * seconds:.3g} | {2 * n * runs:.0f} "
            f"| {took['products']:.0f} | {control(damped(K, share), b)} | {memory / 1e3:.3g} |"
        )
    return "\n".join(lines)


def control(system: Dense, b: Tensor) -> int:
    """Products of plain CG to the tolerance."""
    found = Refined(NoDie(), 4 * system.size, TOLERANCE, method="fcg").solve(system, b, 1.0)
    assert found.refinement is not None
    return found.refinement.products


def _figure(solution: Solution, name: str) -> Any:
    return getattr(solution.refinement, name)


def measured(bench: Bench) -> str:
    """Third table."""
    lines = [
        "| slices | runs | analog time, ms | conversions | codes written | programmings | memory, kB | standard error, its own "
        "| rms error | largest |",
        "|---" * 10 + "|",
    ]
    for (slices, die), table in sorted(bench.tables.items()):
        error = table.factors[0] / held(bench, slices, die) - 1
        lines.append(
            f"| {slices} | {table.runs} | {1e3 * table.seconds:.3g} | {table.conversions} | {table.codes} | {table.programmings} "
            f"| {table.bytes / 1e3:.3g} | {table.repeatability:.1e} | {error.std():.1e} | {np.abs(error).max():.1e} |"
        )
    return "\n".join(lines)


def held(bench: Bench, slices: int, die: int) -> np.ndarray:
    """What the parts say that the crosspoints of the first slice hold: the oracle of what was measured, (n, n)."""
    device = bench.device(Way("none", slices=slices), die)
    nominal = lay_out(0.5 * np.eye(bench.size) + 0.5, "crossbar", device.technology)
    parts, dac, adc = nominal.on(device.die).parts, device.host.dacs[0], device.host.adcs[0]
    shares = {
        kind: getattr(parts, kind).mean(axis=0) / getattr(nominal.parts, kind).mean(axis=0)
        for kind in ("coupling", "drive")
    }
    return np.asarray(shares["coupling"] / (shares["drive"] * dac._gain * adc._gain)[:, None])


def every(bench: Bench, problem: Poisson, share: float, steps: int) -> str:
    """Last table: totals over some further steps of a problem."""
    systems = []
    for _ in range(steps):
        K, r = problem.step(1e-5)
        systems.append((damped(K, share), r))
    lines = ["| program every | programmings | mean rounds | products | runs | worst residual |", "|---" * 6 + "|"]
    for m in (1, 2, 4, 8):
        refined = Refined(bench.device(WAYS[0], 1), ROUNDS, TOLERANCE, program_every=m)
        found = [refined.solve(A, b, TIME_CONSTANTS / A.floor) for A, b in systems]
        parts = [one.refinement for one in found if one.refinement is not None]
        lines.append(
            f"| {m} | {sum(one.programmings for one in parts)} | {np.mean([one.rounds for one in parts]):.1f} "
            f"| {sum(one.products for one in parts)} | {sum(one.attempts for one in found)} "
            f"| {max(one.residual for one in parts):.1e} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dies", type=int, default=5)
    parser.add_argument("--unknowns", type=int, default=128)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--gain", type=float, help="of the amplifiers; default: the preset's")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    technology = preset("integrated")
    if arguments.gain is not None:
        technology = technology.replace(opamp__gain=arguments.gain)
    n, dies = arguments.unknowns, list(range(1, arguments.dies + 1))
    interior = 5 * n // 8
    problem = Poisson(interior, n - interior)
    for _ in range(arguments.steps):
        problem.step(1e-5)
    K, b = problem.step(1e-5)
    bench = Bench(technology, n)
    print(
        f"{n} unknowns, step {arguments.steps}, gain {technology.opamp.gain:g}, {len(dies)} dies; share of the largest eigenvalue\n"
    )
    print(radii(bench, K, dies), "\n")
    print(reached(bench, K, b, dies), "\n")
    print(measured(bench), "\n")
    print("Programming every m-th step, damping 1e-2 of the largest eigenvalue, one die, the 16 steps that follow\n")
    print(every(bench, problem, 1e-2, 16))


if __name__ == "__main__":
    main()
