"""Settling time against condition number: a first-order array (`crossbar`) and coupled oscillators (`oscillator`), in ngspice.

    python benchmarks/circuits/oscillator_settling.py --plot docs/oscillators.png        (about five minutes of one core)

Systems. n = 8 unknowns, eigenvalues evenly spaced on a logarithmic scale from 1 / condition to 1, four sets of random eigenvectors and of
random coefficients of the solution in them, the same at every condition number. The circuit starts from rest at 0 V.

Settling time. The last moment at which |v(t) - v(end)| > 1e-3 |v(end)|, with v(end) the circuit's own operating point. Predicted by the
state space of the netlist (`circuits.linear.state_space`), seen in a transient of ngspice. Friction from the smallest eigenvalue itself.

Tables:

    ideal           ideal amplifiers, in tau of the program, and the log-log slopes with their standard errors over the four systems
    integrated      gain, bandwidth and supply of the `integrated` preset, unrounded parts, in us: with R_z and without; distance of the
                    operating point from the solution; noise, the rms over cells of the stationary covariance of resistors' noise
    limits          exact roots of integrators with finite bandwidth and no loads, n = 16: where a mode grows, with R_z and without
    accelerated     exact propagation of ideal arrays, n = 512: readings of first-order runs as the preconditioner of flexible CG, which
                    takes a digital product a reading, for the analog time that oscillators take to 1e-3 in one run
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.linalg import expm
from scipy.optimize import brentq

from thermograd.circuits.errors import ThermogradError
from thermograd.circuits.linear.statespace import StateSpace, state_space
from thermograd.circuits.netlist.analyses import Transient
from thermograd.circuits.ngspice.run_many import run_many
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix, lay_out
from thermograd.compiler.program import AnalogProgram
from thermograd.devicemodel.host.iterations import flexible_cg
from thermograd.report.figures.style import BLUE, ORANGE, VERMILLION, WIDE, log_ticks, save, styled

INTEGRATED = preset("integrated")
AMPLIFIERS = preset("ideal").replace(
    name="amplifiers of integrated",
    resistors__unit=INTEGRATED.resistors.unit,
    capacitors__unit=INTEGRATED.capacitors.unit,
    opamp__gain=INTEGRATED.opamp.gain,
    opamp__gbw=INTEGRATED.opamp.gbw,
    thermal__johnson_noise=True,
)
ROUGH, FEW, LEVEL = (10.0, 100.0, 1000.0, 10000.0, 100000.0), 1, 0.25
SIZE, CONDITIONS, SYSTEMS = 8, (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0), 4
TARGET = 1e-3
POINTS, TOLERANCE = 4001, 1e-6
LARGE = 512
FABRICS = ("crossbar", "oscillator")


def system(seed: int, condition: float, n: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """A, (n, n), of largest eigenvalue 1, and b = A x, (n,)."""
    rng = np.random.default_rng([seed, n])
    vectors, _ = np.linalg.qr(rng.standard_normal((n, n)))
    coefficients = rng.standard_normal(n)
    values = np.geomspace(1 / condition, 1.0, n)
    matrix = (vectors * values) @ vectors.T
    return (matrix + matrix.T) / 2, vectors @ (values * coefficients)


def settling_time(times: np.ndarray, distance: np.ndarray) -> float:
    """The last moment at which the distance, relative to the end's size, is above `TARGET`; inf: it is at the end of the record."""
    above = np.nonzero(distance > TARGET)[0]
    if len(above) == 0:
        return 0.0
    last = int(above[-1])
    if last == len(times) - 1:
        return math.inf
    ends = np.log(distance[last : last + 2])
    return float(times[last] + (times[last + 1] - times[last]) * (ends[0] - math.log(TARGET)) / (ends[0] - ends[1]))


@dataclass(frozen=True)
class Run:
    """A compiled system, its circuit's state space, and what that predicts."""

    program: AnalogProgram
    b: np.ndarray
    space: StateSpace
    end: np.ndarray
    predicted: float
    """s; inf: it does not settle."""

    @classmethod
    def of(cls, program: AnalogProgram, b: np.ndarray) -> Run:
        space = state_space(program.netlist(b), dict(zip(map(str, range(program.size)), program.readouts, strict=True)))
        end = space.equilibrium()
        if not space.is_stable:
            return cls(program, b, space, end, math.inf)
        times = np.linspace(0.0, -14.0 / float(space.eigenvalues.real[0]), POINTS)
        onward = expm(space.F * times[1])
        apart, left = space.initial + np.linalg.solve(space.F, space.B @ space.drive()), []
        for _ in times:
            left.append(np.linalg.norm(space.H @ apart))
            apart = onward @ apart
        return cls(program, b, space, end, settling_time(times, np.array(left) / np.linalg.norm(end)))

    @property
    def job(self) -> Any:
        """Netlist and transient, to a third beyond what is predicted, or until a growing mode has grown twelvefold."""
        growth = float(self.space.eigenvalues.real[0])
        stop = 1.33 * self.predicted if math.isfinite(self.predicted) else 2.5 / growth
        analysis = Transient(stop, nodes=self.program.nodes, samples=POINTS, tolerance=TOLERANCE)
        return self.program.netlist(self.b), analysis, None

    def seen(self, result: Any) -> float:
        """Settling time in ngspice, s; inf: it does not settle."""
        volts = self.program.cell_volts(result.voltages)
        return settling_time(result.time, np.linalg.norm(volts.T - self.end, axis=1) / np.linalg.norm(self.end))

    @property
    def error(self) -> float:
        """Distance of the operating point from the solution, relative to it."""
        exact = np.linalg.solve(self.program.target, self.b) * self.program.volts_per_unit / self.program.readout_scale
        return float(np.linalg.norm(self.end - exact) / np.linalg.norm(exact))

    @property
    def noise(self) -> float:
        """V rms of a cell under the resistors' noise, mean square over cells."""
        if not self.space.is_stable:
            return math.nan
        return math.sqrt(float(np.trace(self.space.covariance())) / self.program.size)


def without_compensation(program: AnalogProgram) -> AnalogProgram:
    """The same circuit without R_z."""
    parts: Any = program.parts
    return dataclasses.replace(program, parts=dataclasses.replace(parts, series=np.zeros_like(parts.series)))


def simulated(runs: Sequence[Run]) -> list[float]:
    """Settling times in ngspice, s."""
    found = dict(run_many([run.job for run in runs], workers=1, timeout=600.0))
    times = []
    for k, run in enumerate(runs):
        result = found[k]
        if isinstance(result, ThermogradError):
            raise result
        times.append(run.seen(result))
    return times


def slope(times: np.ndarray) -> tuple[float, float]:
    """Mean and standard error over systems of the log-log slope of times (systems, conditions)."""
    slopes = np.polyfit(np.log(CONDITIONS), np.log(times).T, 1)[0]
    return float(slopes.mean()), float(slopes.std(ddof=1) / math.sqrt(len(slopes)))


def ideal_table() -> dict[str, np.ndarray]:
    """Prints the table of ideal amplifiers; times in tau by fabric, (systems, conditions)."""
    seen, predicted = {}, {}
    for fabric in FABRICS:
        runs = []
        for seed in range(SYSTEMS):
            for condition in CONDITIONS:
                matrix, b = system(seed, condition)
                runs.append(Run.of(compile_matrix(matrix, fabric, "ideal", b=b, check=False), b))
        tau = np.array([run.program.tau for run in runs])
        shape = (SYSTEMS, len(CONDITIONS))
        seen[fabric] = (np.array(simulated(runs)) / tau).reshape(shape)
        predicted[fabric] = (np.array([run.predicted for run in runs]) / tau).reshape(shape)
    print(f"Ideal amplifiers, n = {SIZE}, mean of {SYSTEMS} systems, tau.\n")
    print(
        "| condition number | crossbar, predicted | seen | oscillator, predicted | seen | ratio seen |\n|---|---|---|---|---|---|"
    )
    for k, condition in enumerate(CONDITIONS):
        means = [table[fabric][:, k].mean() for fabric in FABRICS for table in (predicted, seen)]
        print(f"| {condition:,.0f} | {' | '.join(f'{value:,.4g}' for value in means)} | {means[1] / means[3]:.1f} |")
    for fabric in FABRICS:
        found = ["{:.5f} +- {:.5f}".format(*slope(table[fabric])) for table in (predicted, seen)]
        apart = np.abs(seen[fabric] / predicted[fabric] - 1).max()
        print(f"\n{fabric}: slope {found[1]} seen, {found[0]} predicted; single times apart by at most {apart:.1e}")
    return seen


def integrated_table() -> dict[str, np.ndarray]:
    """Prints the table of amplifiers of finite gain and bandwidth; mean times in us by kind, (conditions,)."""
    kinds = ("crossbar", "oscillator", "bare")
    cells: dict[str, list[tuple[float, float, float, float]]] = {kind: [] for kind in kinds}
    for condition in ROUGH:
        for kind in kinds:
            runs = []
            for seed in range(FEW):
                matrix, b = system(seed, condition)
                fabric = "crossbar" if kind == "crossbar" else "oscillator"
                program = lay_out(matrix, fabric, AMPLIFIERS, floor=1 / condition)
                program = program.at_scale(LEVEL / float(np.abs(np.linalg.solve(matrix, b)).max()))
                runs.append(Run.of(without_compensation(program) if kind == "bare" else program, b))
            seen = simulated(runs)
            columns = ([run.predicted for run in runs], seen, [run.error for run in runs], [run.noise for run in runs])
            cells[kind].append(tuple(float(np.mean(column)) for column in columns))  # type: ignore[arg-type]
    print(
        f"\nAmplifiers of the integrated preset, n = {SIZE}; times in us, predicted / seen; noise in uV where the "
        f"largest cell has {LEVEL:g} V.\n"
    )
    print(
        "| condition number | crossbar | error at rest | noise | oscillator | error at rest | noise | without R_z | error at rest | noise |"
        "\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for k, condition in enumerate(ROUGH):
        texts = []
        for kind in kinds:
            predicted, seen_here, error, noise = cells[kind][k]
            times = "grows" if math.isinf(predicted) else f"{1e6 * predicted:.4g}"
            times += f" / {'grows' if math.isinf(seen_here) else f'{1e6 * seen_here:.4g}'}"
            texts += [times, f"{100 * error:.2g} %", "-" if math.isinf(predicted) else f"{1e6 * noise:.3g}"]
        print(f"| {condition:,.0f} | {' | '.join(texts)} |")
    return {kind: 1e6 * np.array([one[1] for one in rows]) for kind, rows in cells.items()}


def readings_to_target(condition: float, run: float, n: int = LARGE) -> int:
    """Readings of first-order runs of `run` tau, the preconditioner of flexible CG, until the error is 1e-3."""
    values = np.geomspace(1 / condition, 1.0, n)
    x, a = torch.from_numpy(np.random.default_rng(n).standard_normal(n)), torch.from_numpy(values)
    reading = torch.from_numpy(-np.expm1(-values * run) / values)

    iteration = flexible_cg(lambda z: a * z, a * x, 4 * n, 0.0)
    r, readings = next(iteration), 0
    # What is asked for next is the residual A (x - x_k).
    while float((r / a).norm() / x.norm()) > TARGET:
        r, readings = iteration.send(reading * r), readings + 1
    return readings


def first_order(values: np.ndarray, friction: float | None, x: np.ndarray, t: float) -> float:
    """Relative distance of exact propagation from the end after t tau; with a friction that of oscillators."""
    if friction is None:
        left = np.exp(-values * t)
    else:
        root = np.sqrt(values.astype(complex) - friction**2 / 4 + 1e-18)
        left = (np.exp(-friction * t / 2) * (np.cos(root * t) + friction / 2 * np.sin(root * t) / root)).real
    return float(np.linalg.norm(left * x) / np.linalg.norm(x))


def accelerated_table() -> list[tuple[float, int]]:
    """Prints the table of flexible CG; for each condition number its analog time (tau) and products."""
    print(f"\nExact propagation of ideal arrays, n = {LARGE}, analog time to 1e-3 in tau.\n")
    print(
        "| condition number | crossbar, one run | oscillator, one run | flexible CG at that time: length of a run | runs, and products "
        "| runs of 1 tau: runs, products and time |\n|---|---|---|---|---|---|"
    )
    found = []
    x = np.random.default_rng(LARGE).standard_normal(LARGE)
    for condition in CONDITIONS:
        values = np.geomspace(1 / condition, 1.0, LARGE)
        one = brentq(lambda t, v=values: first_order(v, None, x, t) - TARGET, 1.0, 20 * condition)
        friction, grid = 2 / math.sqrt(condition), np.linspace(0.0, 14 * math.sqrt(condition), 4001)
        two = settling_time(grid, np.array([first_order(values, friction, x, t) for t in grid]))
        # The longest runs, and so the fewest products, that take no more analog time than the oscillators.
        lengths = two / np.arange(2, 4 * LARGE)
        count = next(k for k, run in enumerate(lengths, start=2) if readings_to_target(condition, run) <= k)
        short = readings_to_target(condition, 1.0)
        found.append((two, count))
        print(f"| {condition:,.0f} | {one:,.0f} | {two:,.0f} | {two / count:.3g} | {count} | {short} |")
    products = np.array([count for _, count in found])
    print(f"\nslope of the products {np.polyfit(np.log(CONDITIONS), np.log(products), 1)[0]:.2f}")
    return found


def slowest(condition: float, bandwidth: float, compensated: bool, n: int = 16) -> float:
    """Largest Re of all roots over sqrt(lambda_min): integrators 1 / (s (1 + s / bandwidth)), times in tau, no loads; R_z adds a zero."""
    friction, one = 2 / math.sqrt(condition), np.poly1d([1 / bandwidth, 1.0, 0.0])
    zero = np.poly1d([2 / bandwidth, 1.0]) if compensated else 1.0
    roots = [
        np.roots((one * one + friction * one + value * zero).coeffs) for value in np.geomspace(1 / condition, 1.0, n)
    ]
    return float(np.concatenate(roots).real.max()) * math.sqrt(condition)


def limit_table() -> None:
    """Prints the bandwidth below which a mode grows, and how fast the slowest mode decays above it."""
    print(
        "\nomega_t tau below which a mode grows, and decay of the slowest mode over sqrt(lambda_min) at twice and ten times that.\n"
    )
    print("| condition number | without R_z | at 2 | at 10 | with R_z |\n|---|---|---|---|---|")
    for condition in (10.0, 100.0, 1000.0, 10000.0):
        ends = [
            brentq(lambda w, c=condition, r=r: slowest(c, w, r), 0.05, 5 * math.sqrt(condition)) for r in (False, True)
        ]
        shares = [-slowest(condition, factor * ends[0], False) for factor in (2, 10)]
        print(f"| {condition:,.0f} | {ends[0]:.3g} | {shares[0]:.2f} | {shares[1]:.2f} | {ends[1]:.2g} |")


@styled
def plot(path: Path, ideal: dict[str, np.ndarray], real: dict[str, np.ndarray]) -> None:
    """Both tables, log-log."""
    figure = Figure(figsize=(WIDE, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    for fabric, colour, power in (("crossbar", BLUE, 1.0), ("oscillator", VERMILLION, 0.5)):
        times, conditions = ideal[fabric], np.array(CONDITIONS)
        left.plot(conditions, times.T, "o", color=colour, markersize=3)
        line = np.exp(np.mean(np.log(times / conditions**power))) * conditions**power
        left.plot(conditions, line, color=colour, linewidth=0.8)
        left.annotate(
            f"{fabric}: slope {slope(times)[0]:.3f}", (conditions[3], line[3]), (6, -12), textcoords="offset points",
            color=colour,
        )  # fmt: skip
    left.set(title="ideal amplifiers", ylabel="settling time to 1e-3, tau")
    names = {"crossbar": ("crossbar", BLUE), "oscillator": ("oscillator", VERMILLION), "bare": ("without R_z", ORANGE)}
    for kind, (name, colour) in names.items():
        times = np.where(np.isfinite(real[kind]), real[kind], np.nan)
        right.plot(ROUGH, times, "o-", color=colour, markersize=3, linewidth=0.8, label=name)
    right.legend()
    right.set(title="amplifiers of the integrated preset", ylabel="settling time to 1e-3 of its own end, us")
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="condition number")
        log_ticks(axes.xaxis)
        log_ticks(axes.yaxis)
    save(figure, path)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ideal = ideal_table()
    limit_table()
    real = integrated_table()
    accelerated_table()
    if options.plot:
        plot(options.plot, ideal, real)


if __name__ == "__main__":
    main()
