"""Size limit of an array: the effect of its layout on A^-1 b, from the law of the extracted netlist (`compiler/layout/effect.py`).

    python benchmarks/compiler/wire_resistance.py [--plot docs/layout.png]

First table: wires alone, random systems of condition number 10 with random eigenvectors, 10 kOhm for the largest entry. Relative error of
A^-1 b, median over systems with its standard error (bootstrap) and the quartiles; the same after the one factor that fits best; and the
estimate of first order. Then: how the error grows, and the size at which it reaches 1 %; a denser kind of matrix; the effect of each
record of technology `integrated` alone, and of all together.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from scipy.sparse.linalg import splu

from thermograd.circuits.linear.descriptor import describe_netlist
from thermograd.circuits.netlist.elements import VoltageSource
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.compile import lay_out
from thermograd.compiler.layout.effect import effective_conductance, layout_matrix
from thermograd.compiler.layout.extraction import extracted_netlist
from thermograd.compiler.program import AnalogProgram
from thermograd.report.figures.style import BLACK, CYCLE, GREY, PALE, WIDE, styled

SIZES = (8, 16, 32, 64)
SEGMENTS = (0.1, 1.0, 10.0)
CONDITION = 10.0
SYSTEMS = 40
TARGET = 0.01
BEYOND, FEWER = 192, 8
"""Size and number of systems by which the extrapolation is checked, at the least segment resistance."""
WIRED = preset("ideal").replace(name="wires alone", resistors__unit=1e4)


def system(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A random positive definite matrix with this condition number, and a right-hand side."""
    rng = np.random.default_rng([seed, n])
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    a = (basis * np.geomspace(1.0, CONDITION, n)) @ basis.T
    return (a + a.T) / 2, rng.standard_normal(n)


def correlated(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The same plus half of its largest entry everywhere: all entries of one order."""
    a, b = system(n, seed)
    return a + np.abs(a).max() / 2, b


def errors(program: AnalogProgram, b: np.ndarray) -> tuple[float, float]:
    """Relative error of the extracted netlist's solution, and the same after the best common factor."""
    exact, found = np.linalg.solve(program.target, b), np.linalg.solve(layout_matrix(program), b)
    scale = float(found @ exact / (found @ found))
    length = float(np.linalg.norm(exact))
    return float(np.linalg.norm(found - exact)) / length, float(np.linalg.norm(scale * found - exact)) / length


def first_order(program: AnalogProgram, b: np.ndarray) -> float:
    """Relative change of the solution by the first-order formula of `layout_law`."""
    k = np.arange(1, program.size + 1)
    size = np.abs(program.target) * program.conductance_unit
    share = np.minimum.outer(k, k) @ size + size @ (program.size + 1 - np.maximum.outer(k, k))
    exact = np.linalg.solve(program.target, b)
    lost = program.technology.wires.segment_resistance * (program.target * share) @ exact
    return float(np.linalg.norm(np.linalg.solve(program.target, lost)) / np.linalg.norm(exact))


def with_technology(program: AnalogProgram, technology: Technology) -> AnalogProgram:
    return dataclasses.replace(program, technology=technology)


def wired(program: AnalogProgram, ohm: float) -> AnalogProgram:
    return with_technology(program, program.technology.replace(wires__segment_resistance=ohm))


def median_error(values: np.ndarray) -> float:
    """Standard error of the median, from 2000 resamples."""
    rng = np.random.default_rng(0)
    return float(np.median(rng.choice(values, (2000, len(values))), axis=1).std())


def slope(x: np.ndarray, samples: np.ndarray) -> tuple[float, float]:
    """Slope of log median(samples) over log x, samples (len(x), systems), and its standard error from 2000 resamples of systems."""
    rng = np.random.default_rng(0)
    logarithm = np.log(x) - np.log(x).mean()
    picks = rng.integers(samples.shape[1], size=(2000, samples.shape[1]))
    medians = np.log(np.median(samples[:, picks], axis=2))
    slopes = logarithm @ medians / (logarithm @ logarithm)
    return float(logarithm @ np.log(np.median(samples, axis=1)) / (logarithm @ logarithm)), float(slopes.std())


def size_for(target: float, medians: np.ndarray) -> str:
    """Where log error over log n reaches the target; beyond the measured sizes along the nearest piece, and marked so."""
    sizes, heights = np.log(SIZES), np.log(medians)
    k = int(np.clip(np.searchsorted(heights, math.log(target)), 1, len(sizes) - 1))
    gradient = (heights[k] - heights[k - 1]) / (sizes[k] - sizes[k - 1])
    n = math.exp(sizes[k - 1] + (math.log(target) - heights[k - 1]) / gradient)
    if n > 4 * SIZES[-1]:
        return f"over {4 * SIZES[-1]}"
    return f"{n:.0f}" if SIZES[0] <= n <= SIZES[-1] else f"({n:.0f})"


def against_netlist(n: int) -> tuple[float, float]:
    """Largest relative difference between the law's solution and the extracted netlist's, all records at work; s that the law takes."""
    technology = preset("integrated").replace(dac__resistance=50.0)
    a, b = system(n, 0)
    program = lay_out(a, "crossbar", technology)
    netlist = extracted_netlist(program, b)
    descriptor = describe_netlist(netlist)
    drive = np.array([source.dc for source in netlist.of(VoltageSource)])
    solved = splu(descriptor.at(0.0)).solve(descriptor.input @ drive)
    found = program.decode(dict(zip(descriptor.nodes, solved, strict=False)))
    began = time.perf_counter()
    wanted = np.linalg.solve(layout_matrix(program), b)
    return float(np.abs(found - wanted).max() / np.abs(wanted).max()), time.perf_counter() - began


def effects() -> list[tuple[str, list[tuple[float, float]]]]:
    """For each record of `integrated` alone, and for all of them, the median error of A^-1 b at each size and its standard error."""
    base = preset("integrated")
    plain: dict[str, Any] = {"switches": {}, "wires": {}, "resistors__bits": None, "opamp__gain": math.inf}
    kept: dict[str, dict[str, Any]] = {
        "wires": {"wires": base.wires},
        "closed switches": {"switches": {"on_resistance": base.switches.on_resistance}},
        "open switches": {"switches": {"leakage": base.switches.leakage}},
        "amplifiers' gain": {"opamp__gain": base.opamp.gain},
        "8 bit codes": {"resistors__bits": base.resistors.bits},
    }
    cases = {name: base.replace(**plain | change) for name, change in kept.items()} | {"all": base}
    found: list[tuple[str, list[tuple[float, float]]]] = []
    for name, technology in cases.items():
        medians = []
        for n in SIZES:
            samples = []
            for seed in range(SYSTEMS // 2):
                a, b = system(n, seed)
                samples.append(errors(lay_out(a, "crossbar", technology), b)[0])
            medians.append((float(np.median(samples)), median_error(np.array(samples))))
        found.append((name, medians))
    return found


@styled
def picture(samples: np.ndarray, loss: np.ndarray) -> Figure:
    """Errors against n for each segment resistance, and the loss of each place of the largest array."""
    figure = Figure(figsize=(WIDE, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1.0))
    for k, (ohm, colour) in enumerate(zip(SEGMENTS, CYCLE, strict=False)):
        low, middle, high = 100 * np.quantile(samples[k, :, :, 0], (0.25, 0.5, 0.75), axis=1)
        left.fill_between(SIZES, low, high, color=colour, alpha=0.2, linewidth=0)
        left.plot(SIZES, middle, color=colour, marker="o", markersize=4)
        left.plot(SIZES, 100 * np.median(samples[k, :, :, 1], axis=1), color=colour, linestyle="--", linewidth=1)
        left.annotate(
            f"{ohm:g} Ω", (SIZES[-1], middle[-1]), (8, 0), textcoords="offset points", color=colour, va="center"
        )
    left.axhline(100 * TARGET, color=GREY, linewidth=0.7)
    left.set(xscale="log", yscale="log", xlim=(7.4, 92), xlabel="unknowns n", ylabel="error of A⁻¹b, %")
    left.set_title("Wires alone, 10 kΩ for the largest entry")
    left.set_xticks(SIZES, [str(n) for n in SIZES])
    left.minorticks_off()
    left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    left.grid(axis="y", color=PALE, linewidth=0.6)
    left.plot([], [], color=BLACK, marker="o", markersize=4, label="median over systems, quartiles shaded")
    left.plot([], [], color=BLACK, linestyle="--", linewidth=1, label="after one common factor")
    left.legend(loc="upper left")
    n = len(loss)
    image = right.imshow(
        100 * loss, cmap="viridis", extent=(0.5, n + 0.5, n + 0.5, 0.5), interpolation="none", vmin=0.0
    )
    right.set_title(f"What each entry loses, n = {n}, 1 Ω")
    right.set(xlabel="column j, driven at the top", ylabel="row i, amplifier at the right")
    for side in ("top", "right"):
        right.spines[side].set_visible(True)
    right.set_xticks((1, *range(16, n + 1, 16)))
    right.set_yticks((1, *range(16, n + 1, 16)))
    bar = figure.colorbar(image, ax=right, shrink=0.85)
    bar.set_label("loss of conductance, %")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plot", type=Path, help="picture to write: .png, .svg or .pdf", metavar="FILE")
    path = parser.parse_args().plot
    began = time.perf_counter()
    difference, took = against_netlist(64)
    print(f"law against extracted netlist, n = 64: {difference:.1g} (relative, largest); the law takes {took:.2g} s\n")
    samples = np.empty((len(SEGMENTS), len(SIZES), SYSTEMS, 3))
    losses = []
    for m, n in enumerate(SIZES):
        for seed in range(SYSTEMS):
            a, b = system(n, seed)
            program = lay_out(a, "crossbar", WIRED)
            for k, ohm in enumerate(SEGMENTS):
                samples[k, m, seed] = (*errors(wired(program, ohm), b), first_order(wired(program, ohm), b))
            if n == SIZES[-1]:
                coupled, signed = effective_conductance(wired(program, 1.0))[0], a * program.conductance_unit
                losses.append(1 - coupled / signed)
    print(f"wires alone: error of A^-1 b in %, medians over {SYSTEMS} systems\n")
    print(f"  {'n':>4}{'segment':>11}{'error':>22}{'quartiles':>20}{'after a factor':>22}{'first order':>14}")
    for k, ohm in enumerate(SEGMENTS):
        for m, n in enumerate(SIZES):
            own, left, formula = 100 * samples[k, m].T
            low, high = np.quantile(own, (0.25, 0.75))
            spread = f"{low:.3g} to {high:.3g}"
            print(
                f"  {n:>4}{ohm:>7g} ohm{np.median(own):>12.3g} +- {median_error(own):<6.2g}{spread:>20}"
                f"{np.median(left):>12.3g} +- {median_error(left):<6.2g}{np.median(formula):>14.3g}"
            )
    print("\n  order of growth with n, and n at which the median is 1 % (in brackets: beyond the sizes measured)\n")
    for k, ohm in enumerate(SEGMENTS):
        order, error = slope(np.array(SIZES, dtype=float), samples[k, :, :, 0])
        reached = [size_for(TARGET, np.median(samples[k, :, :, c], axis=1)) for c in (0, 1)]
        print(
            f"  {ohm:>7g} ohm   n^({order:.2f} +- {error:.2f})   1 % at n = {reached[0]}, after a factor {reached[1]}"
        )
    for m, n in enumerate(SIZES):
        order, error = slope(np.array(SEGMENTS), samples[:, m, :, 0])
        print(f"  n = {n:<4}      r^({order:.3f} +- {error:.3f})")
    large = []
    for seed in range(FEWER):
        a, b = system(BEYOND, seed)
        large.append(100 * errors(wired(lay_out(a, "crossbar", WIRED), SEGMENTS[0]), b)[0])
    print(
        f"\n  measured beyond: n = {BEYOND}, {SEGMENTS[0]:g} ohm, {FEWER} systems: "
        f"{np.median(large):.3g} +- {median_error(np.array(large)):.2g} %"
    )
    dense = np.empty((len(SIZES), SYSTEMS))
    for m, n in enumerate(SIZES):
        for seed in range(SYSTEMS):
            a, b = correlated(n, seed)
            dense[m, seed] = errors(wired(lay_out(a, "crossbar", WIRED), 0.1), b)[0]
    order, error = slope(np.array(SIZES, dtype=float), dense)
    medians = ", ".join(f"{100 * value:.3g} %" for value in np.median(dense, axis=1))
    print(f"\nall entries of one order, 0.1 ohm: {medians} for n = {SIZES}; n^({order:.2f} +- {error:.2f})")
    print(f"\ntechnology integrated, each record alone: error of A^-1 b in %, medians over {SYSTEMS // 2} systems\n")
    print(f"  {'':16}" + "".join(f"{f'n = {n}':>20}" for n in SIZES))
    for name, values in effects():
        print(f"  {name:16}" + "".join(f"{100 * value:>10.3g} +- {100 * error:<6.2g}" for value, error in values))
    if path is not None:
        picture(samples, np.median(losses, axis=0)).savefig(path, dpi=150)
        print(f"\nwrote {path}")
    print(f"\n{time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
