"""The smallest damping at which a solve reaches 1e-2, over dies: predicted and measured, with the wall that limits it.

    python benchmarks/devicemodel/smallest_damping.py [--dies 20] [--unknowns 96] [--gains 2e3,1e5] [--plot docs/limits.png]

K + damping for the Gram matrix K of a physics-informed network after 24 Levenberg-Marquardt steps (`pinn`), on dies of the integrated
preset and on the same with better amplifiers; runs of eight slowest time constants; dampings as shares of the largest eigenvalue. Measured
is, for each die, the damping down to which |b - A x| <= 1e-2 |b| by at most 20 rounds, to a factor of 1.2; predicted that of
`smallest_damping`. Rows:

    walls            one imperfection at a time, all else perfect: the law's own test
    bare             one reading of the matrix as it is
    one reading      of unit diagonal, at +b and -b, uncorrected
    refined          corrected (Richardson)
    fcg              flexible CG with the die as preconditioner
    ways             refined, with each of the ways of `ways` and all of them

Without dies (--dies 0) there are predictions alone. Products are those at the damping of the median die, beside the products of plain
CG on the unit-diagonal matrix, which needs no die. Last, what ways of programming are worth where nothing else is wrong, by the law.
Runs are stored one by one: an interrupted table resumes, and more dies are added to it. Of two slices, measured cell
by cell at 128 levels, there are fewer dies.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pinn import Poisson
from torch import Tensor
from ways import WAYS, Bench, Way, control, damped

from thermograd.circuits.files import output_folder
from thermograd.circuits.job_store import JobStore, job_key
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.devicemodel.device import Solution
from thermograd.devicemodel.host.refine import MAX_ROUNDS, Refined
from thermograd.devicemodel.limits import Imperfections, SmallestDamping, smallest_damping
from thermograd.devicemodel.systems import Dense

TARGET, TIME_CONSTANTS = 1e-2, 8.0
STEPS, SHARE = 24, 1e-5
"""Of the training before: steps, with a damping of that share of the largest eigenvalue."""
FACTOR, HALVINGS = 2.0, 2
"""Steps of the search, and of the bisection after it: to a factor of 2^(1/4)."""
LARGEST, SMALLEST = 30.0, 1e-9
INTEGRATED = preset("integrated")
PERFECT = preset("ideal").replace(
    resistors__unit=INTEGRATED.resistors.unit, capacitors__unit=INTEGRATED.capacitors.unit
)
ALONE = {
    "codes": PERFECT.replace(resistors__bits=INTEGRATED.resistors.bits),
    "mismatch": PERFECT.replace(resistors__tolerance=INTEGRATED.resistors.tolerance),
    "leak": PERFECT.replace(opamp__gain=INTEGRATED.opamp.gain),
    "offset": PERFECT.replace(opamp__offset=INTEGRATED.opamp.offset, dac__offset=INTEGRATED.dac.offset),
    "converters": PERFECT.replace(dac__bits=INTEGRATED.dac.bits, adc__bits=INTEGRATED.adc.bits),
}
"""Technologies with one thing wrong."""


@dataclass(frozen=True)
class Row:
    """A reading of a technology.

    Attributes:
        wall: the only one, for which it is a test; "": all.
    """

    name: str
    technology: Technology
    kind: str = "refined"
    way: Way = WAYS[0]
    wall: str = ""

    def solve(self, bench: Bench, die: int, system: Dense, b: Tensor) -> Solution:
        """A solve on a fresh die."""
        device = bench.device(self.way, die)
        duration = TIME_CONSTANTS / system.floor
        if self.kind == "bare":
            return device.solve(system, b, duration)
        if self.kind == "one":
            return Refined(device, 0).solve(system, b, duration)
        method: Any = "fcg" if self.kind == "fcg" else "richardson"
        return Refined(device, MAX_ROUNDS, TARGET, method=method, deflation=self.way.deflation).solve(
            system, b, duration
        )

    def predicted(self, K: Tensor, bench: Bench) -> SmallestDamping | None:
        """By the law; None where there is none."""
        if self.kind in ("bare", "fcg"):
            return None
        now = Imperfections.of(
            self.technology.replace(resistors__slices=self.way.slices, resistors__drive_ranges=self.way.ranges)
        )
        if self.way.verified:
            tables = [table for (slices, _), table in bench.tables.items() if slices == self.way.slices]
            now = now.verified(float(np.median([table.repeatability for table in tables])) if tables else 0.0)
        now = now.leak_compensated() if self.way.leak else now
        now = now.offsets_nulled() if self.way.nulled else now
        rounds = 0 if self.kind == "one" else MAX_ROUNDS
        return smallest_damping(K.numpy(), now, target=TARGET, rounds=rounds, deflation=self.way.deflation)


def rows(gain: float, walls: bool) -> Iterator[Row]:
    """Of one table."""
    if walls:
        for name, technology in ALONE.items():
            yield Row(f"{name} alone", technology, wall=name)
    technology = INTEGRATED.replace(opamp__gain=gain)
    for kind in ("bare", "one", "refined", "fcg"):
        yield Row({"one": "one reading"}.get(kind, kind), technology, kind)
    for way in WAYS[1:]:
        yield Row(way.name, technology, way=way)


def reaches(row: Row, bench: Bench, die: int, K: Tensor, b: Tensor, share: float) -> tuple[bool, int]:
    """Whether the residual is small enough, and the products with A that it took."""
    system = damped(K, share)
    found = row.solve(bench, die, system, b)
    if not found.outcome.readable:
        return False, 0
    residual = float((b - system.A @ found.x).norm() / b.norm())
    return residual <= TARGET * (1 + 1e-9), 1 if found.refinement is None else found.refinement.products


def threshold(reached: Callable[[float], tuple[bool, int]], start: float) -> tuple[float, int]:
    """(damping, products): the smallest one, searched from `start` by factors; 0 or inf beyond the ends."""
    good, took = reached(start)
    high, low = (start, 0.0) if good else (math.inf, start)
    while not math.isfinite(high) or low == 0:
        share = high / FACTOR if math.isfinite(high) else low * FACTOR
        if not SMALLEST <= share <= LARGEST:
            return (0.0, took) if math.isfinite(high) else (math.inf, 0)
        good, products = reached(share)
        if good:
            high, took = share, products
        else:
            low = share
    for _ in range(HALVINGS):
        share = math.sqrt(low * high)
        good, products = reached(share)
        if good:
            high, took = share, products
        else:
            low = share
    return high, took


def measure(
    rows: list[Row], size: int, dies: list[int], fewer: int, store: JobStore[Any], K: Tensor, b: Tensor
) -> dict[str, Any]:
    """Of each row the prediction and every die's (damping, products); of `fewer` dies where measuring one takes long."""
    found: dict[str, Any] = {}
    # Dies of one technology are measured once for all rows.
    benches: dict[str, Bench] = {}
    for row in rows:
        bench = benches.setdefault(row.technology.model_dump_json(), Bench(row.technology, size))
        if row.way.verified and dies:
            bench.device(row.way, dies[0])
        law = row.predicted(K, bench)
        start = law.damping if law is not None and 0 < law.damping < LARGEST else 1e-2
        if row.wall and law is not None:
            start = law.walls[row.wall]

        def one(die: int, row: Row = row, bench: Bench = bench, start: float = start) -> tuple[float, int]:
            return threshold(lambda share: reaches(row, bench, die, K, b, share), start)

        jobs = {
            job_key(row.technology.model_dump_json(), row.kind, repr(row.way), size, STEPS, FACTOR, HALVINGS, die): die
            for die in (dies[:fewer] if row.way.verified and row.way.slices == 2 else dies)
        }
        measured = dict(store.map(one, jobs, 1))
        # The middle of the last interval.
        middle = FACTOR ** (-0.5 / 2**HALVINGS)
        found[row.name] = (row, law, [(measured[key][0] * middle, measured[key][1]) for key in jobs])
        print(line(row, law, found[row.name][2], K, b), flush=True)
    return found


def line(row: Row, law: SmallestDamping | None, measured: list[tuple[float, int]], K: Tensor, b: Tensor) -> str:
    """Of the table."""
    shares = np.array([share for share, _ in measured])
    middle = float(np.median(shares)) if measured else math.nan
    predicted, wall, ratio = "-", "-", "-"
    if law is not None:
        value = law.walls[row.wall] if row.wall else law.damping
        predicted, wall = f"{value:.2g}", row.wall or law.limit
        if 0 < value < math.inf and 0 < middle < math.inf:
            logs = np.log(shares[(shares > 0) & np.isfinite(shares)])
            ratio = f"{value / math.exp(logs.mean()):.2f} (x{math.exp(logs.std(ddof=1)) if len(logs) > 1 else 1:.2f})"
    if not measured:
        return f"| {row.name} | {predicted} | {wall} | - | - | - | - |"
    low, high = (_text(float(np.quantile(shares, share, method="nearest"))) for share in (0.1, 0.9))
    products = f"{np.median([took for share, took in measured if math.isfinite(share)] or [0]):.0f}"
    cg = f"{control(damped(K, middle), b)}" if 0 < middle < math.inf else "-"
    return f"| {row.name} | {predicted} | {wall} | {_text(middle)} ({low} to {high}) | {ratio} | {products} | {cg} |"


def _text(share: float) -> str:
    return "none" if math.isinf(share) else f"below {SMALLEST:g}" if share == 0 else f"{share:.2g}"


def programming(K: Tensor) -> str:
    """Codes and mismatch alone, predicted: what each way of programming is worth where nothing else is wrong."""
    eight = PERFECT.replace(resistors__bits=8, resistors__tolerance=0.01)
    cases = {
        "8 bits, 1 % mismatch": (Imperfections.of(eight), 0),
        "12 bits, 0.1 %": (Imperfections.of(eight.replace(resistors__bits=12, resistors__tolerance=0.001)), 0),
        "8 bits, 1 %, write-and-verify": (Imperfections.of(eight).verified(), 0),
        "two slices": (Imperfections.of(eight.replace(resistors__slices=2)), 0),
        "two slices, write-and-verify": (Imperfections.of(eight.replace(resistors__slices=2)).verified(), 0),
        "deflation of 20": (Imperfections.of(eight), 20),
        "all three": (Imperfections.of(eight.replace(resistors__slices=2)).verified(), 20),
    }
    lines = ["| programming | smallest damping |", "|---|---|"]
    for name, (now, deflation) in cases.items():
        lines.append(
            f"| {name} | {_text(smallest_damping(K.numpy(), now, target=TARGET, deflation=deflation).damping)} |"
        )
    return "\n".join(lines)


def plot(path: Path, tables: dict[float, dict[str, Any]]) -> None:
    """Dies as dots, predictions as bars across them."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    from thermograd.report.figures.style import BLUE, GREY, STYLE, VERMILLION, WIDE

    with matplotlib.rc_context(STYLE):
        names = list(next(iter(tables.values())))
        figure = Figure(figsize=(WIDE, 0.6 + 0.27 * len(names)), layout="constrained")
        for place, (axes, (gain, found)) in enumerate(
            zip(np.atleast_1d(figure.subplots(1, len(tables), sharex=True)), tables.items(), strict=True)
        ):
            for height, name in enumerate(names):
                if name not in found:
                    continue
                _, law, measured = found[name]
                row = found[name][0]
                shares = [share for share, _ in measured if 0 < share < math.inf]
                axes.plot(shares, [height] * len(shares), "o", color=BLUE, markersize=3, alpha=0.5)
                if not shares:
                    axes.text(
                        1e-4, height, "none" if measured and math.isinf(measured[0][0]) else "", color=GREY, va="center"
                    )
                if law is not None and (row.wall or math.isfinite(law.damping)):
                    value = law.walls[row.wall] if row.wall else law.damping
                    axes.plot([value] * 2, [height - 0.32, height + 0.32], color=VERMILLION, linewidth=2)
                    if not row.wall:
                        axes.text(
                            1.05, height, law.limit, color=GREY, va="center", transform=axes.get_yaxis_transform()
                        )
            axes.set_xscale("log")
            axes.set_ylim(len(names) - 0.4, -0.6)
            axes.set_yticks(range(len(names)), names if place == 0 else [""] * len(names))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}".replace("e-0", "e-")))
            axes.set_title(f"amplifiers of gain {gain:g}")
            axes.set_xlabel("smallest damping over the largest eigenvalue")
            axes.grid(axis="x", color="#EEEEEE")
        figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dies", type=int, default=20)
    parser.add_argument("--measured-dies", type=int, default=8, help="of rows whose crosspoints are measured finely")
    parser.add_argument("--unknowns", type=int, default=96)
    parser.add_argument("--gains", default="2e3,1e5")
    parser.add_argument("--only", default="", help="names of rows, separated by semicolons")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--out", type=Path, default=Path("out/smallest_damping"), help="folder that keeps the runs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    n, dies = arguments.unknowns, list(range(1, arguments.dies + 1))
    interior = 5 * n // 8
    problem = Poisson(interior, n - interior)
    for _ in range(STEPS):
        problem.step(SHARE)
    K, b = problem.step(SHARE)
    store: JobStore[Any] = JobStore(output_folder(arguments.out))
    tables = {}
    for place, gain in enumerate(float(text) for text in arguments.gains.split(",")):
        wanted = [row for row in rows(gain, place == 0) if not arguments.only or row.name in arguments.only.split(";")]
        print(f"\n{n} unknowns, gain {gain:g}, {len(dies)} dies\n")
        print(
            "| reading | predicted | wall | measured: median (10 to 90 %) | predicted / measured (spread) | products | CG |"
        )
        print("|---" * 7 + "|")
        tables[gain] = measure(wanted, n, dies, arguments.measured_dies, store, K, b)
    print("\nCodes and mismatch alone, predicted\n")
    print(programming(K))
    if arguments.plot:
        plot(arguments.plot, tables)
        print(f"\nwrote {arguments.plot}")


if __name__ == "__main__":
    main()
