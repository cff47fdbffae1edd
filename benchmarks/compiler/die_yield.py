"""The share of stable dies that a report states, against ngspice: each of `DIES` dies is released from a small charge, and grows or decays.

    python benchmarks/compiler/die_yield.py [--dies 100] [--unknowns 6] [--errors | --macromodel | --speed]

A random system for each condition number (`matrix`), on `integrated`, fully differential, and on `breadboard` with values that are not
rounded to a series, single-ended. The netlist of each die has amplifiers of the technology's gain, gain-bandwidth product and second pole;
it is charged at random, driven by nothing, and followed by ngspice for `LONG` times the slowest nominal time constant, divided by what
tolerances make of it, until it passes `LARGE` or has fallen to `FALLEN` of what it was. The report's law judges the same dies, by their
seeds, and then 1,000 of its own.

`--errors`: the rows of the report beside direct runs of ngspice on a handful of dies: operating points with and without the dies' offsets,
and the integral of `.noise`. `--macromodel`: dies by the state space of netlists with the whole macromodel. `--speed`: CPU time of reports.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
import warnings
from collections.abc import Iterator

import numpy as np
from scipy.stats import binom

from thermograd.circuits.amplifiers.models import AmplifierCell, Macromodel
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.analyses import Noise, OperatingPoint, Transient, TransientResult
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.ngspice.run_many import Simulation, run_many
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.analysis.describe import describe
from thermograd.compiler.analysis.die_yield import die_yield, dies_for, made
from thermograd.compiler.analysis.reading_errors import reading_errors
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.program import AnalogProgram

CONDITIONS = (10.0, 100.0, 1e3, 1e4)
LONG = (30.0, 240.0, 2000.0)
"""Lengths of the first transient, and of those that follow where it left doubt."""
CHARGE, LARGE = 1e-4, 10.0
"""Rms of the charges, V, and what no decaying die reaches."""
FALLEN = 0.1
"""Of the largest |v| in the second quarter, the most in the last one of a die that decays."""
FIGURES = ("outputs", "gain", "gbw", "second_pole")
NOISE = ("noise_voltage", "noise_voltage_corner", "noise_current", "noise_current_corner")
BOARDS = {
    "integrated, `crossbar`": ("crossbar", preset("integrated")),
    "breadboard, `crossbar_single`": ("crossbar_single", preset("breadboard").replace(resistors__series=None)),
}


def matrix(unknowns: int, condition: float, seed: int) -> np.ndarray:
    """Random eigenvectors; eigenvalues from 1 to the condition number, equally spaced in their logarithms."""
    basis, _ = np.linalg.qr(np.random.default_rng([seed, unknowns]).standard_normal((unknowns, unknowns)))
    found = (basis * condition ** np.linspace(0, 1, unknowns)) @ basis.T
    return np.asarray((found + found.T) / 2)


def amplifier(technology: Technology, figures: tuple[str, ...] = FIGURES) -> AmplifierCell:
    """Linear, of the technology's gain, bandwidth and second pole; its range is too large to be met."""
    chosen = {name: getattr(technology.opamp, name) for name in figures}
    return Macromodel(type(technology.opamp)(output_limit=100.0, **chosen))


def released(program: AnalogProgram, k: int) -> np.ndarray:
    """(n,) V that the cells of a die begin at."""
    return (
        CHARGE * np.random.default_rng(k).standard_normal(program.size) / program.volts_per_unit * program.readout_scale
    )


def growing(program: AnalogProgram, dies: int) -> np.ndarray:
    """(dies,) +1 for dies that ran away, -1 for those that decayed, 0 for those that have done neither in the end."""
    found = np.zeros(dies, dtype=int)
    shortest = program.settling_time / max(1.0, describe(program, dies=0).tolerance_error)
    for long in LONG:
        left = np.flatnonzero(found == 0)
        for place, sizes in transients(program, left, long * shortest):
            quarter = len(sizes) // 4
            fallen = sizes[3 * quarter :].max() < FALLEN * sizes[quarter : 2 * quarter].max()
            found[left[place]] = (
                1 if sizes.max() > LARGE else -1 if fallen or sizes[quarter:].max() < FALLEN * CHARGE else 0
            )
    return found


def transients(program: AnalogProgram, dies: np.ndarray, stop: float) -> Iterator[tuple[int, np.ndarray]]:
    """Place of each die, and |v| over time, V."""
    cell = amplifier(program.technology)

    def jobs() -> Iterator[Simulation]:
        for k in dies.tolist():
            netlist = made(program, k).netlist(x0=released(program, k), amplifier=cell)
            # An offset is a drive: without it the circuit rests at zero.
            silent = netlist.with_sources(dict.fromkeys(offsets_of(netlist), 0.0))
            yield silent, Transient(stop, nodes=program.nodes, samples=101, tolerance=1e-6), None

    for place, result in run_many(jobs()):
        if isinstance(result, Exception):
            raise result
        assert isinstance(result, TransientResult)
        volts = program.cell_volts({name.lower(): wave for name, wave in result.voltages.items()})
        yield place, np.linalg.norm(volts, axis=0)


def offsets_of(netlist: Netlist) -> list[str]:
    """Names of the sources of offset."""
    return [element.name for element in netlist if element.name.startswith("VOS")]


def stability(unknowns: int, dies: int) -> None:
    """The table."""
    print(f"{unknowns} unknowns; stable dies in %, errors relative to A^-1 b, rms over b, of the 1,000")
    print(
        "| circuit | condition | report, 1,000 dies | ngspice | the law, same dies | differ | undecided | chance | ",
        end="",
    )
    print("first order | tolerances | offsets |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, (fabric, board) in BOARDS.items():
        for condition in CONDITIONS:
            program = compile_matrix(matrix(unknowns, condition, 1), fabric, board)
            stated = die_yield(program, dies=1000)
            low, high = stated.interval
            grown = growing(program, dies)
            law = np.array([made(program, k).grows() for k in range(dies)])
            sure = grown != 0
            differ = int((law != (grown > 0))[sure].sum())
            stable = int((grown < 0).sum())
            # Probability of as few, or as many, at the report's share.
            tail = min(binom.cdf(stable, dies, stated.share), binom.sf(stable - 1, dies, stated.share))
            first = describe(program, dies=0).tolerance_error
            print(
                f"| {name} | {condition:,.0f} | {100 * stated.share:.1f} ({100 * low:.1f} to {100 * high:.1f}) | {stable} of {dies} "
                f"| {int((~law).sum())} of {dies} | {differ} | {int((~sure).sum())} | {min(1.0, 2 * tail):.2f} "
                f"| {first:.3g} | {stated.parts} | {stated.offsets} |",
                flush=True,
            )


def macromodel(unknowns: int, dies: int) -> None:
    """How many dies the state space of the netlist judges otherwise, with all that an amplifier's record says, common mode too."""
    print("| circuit | condition | dies | growing, by the law | judged otherwise with the whole macromodel |")
    print("|---|---|---|---|---|")
    for name, (fabric, board) in BOARDS.items():
        cell = Macromodel(board.replace(opamp__noise_voltage=0.0, opamp__noise_current=0.0).opamp)
        for condition in CONDITIONS[2:]:
            program = compile_matrix(matrix(unknowns, condition, 1), fabric, board)
            made_dies = [made(program, k) for k in range(dies)]
            law = np.array([die.grows() for die in made_dies])
            netlists = (die.netlist(amplifier=cell).linearised() for die in made_dies)
            whole = np.array([not state_space(netlist, {}).is_stable for netlist in netlists])
            print(f"| {name} | {condition:,.0f} | {dies} | {law.sum()} | {(law != whole).sum()} |", flush=True)


def speed() -> None:
    """CPU time of a report, median of three."""
    print("| circuit | unknowns | dies | report, s | without dies, s |")
    print("|---|---|---|---|---|")
    for name, (fabric, board) in BOARDS.items():
        for unknowns in (6, 16, 64, 128):
            program, seconds = compile_matrix(matrix(unknowns, 100.0, 1), fabric, board), []
            for dies in (None, 0):
                taken = []
                for _ in range(3):
                    start = time.process_time()
                    describe(program, dies=dies)
                    taken.append(time.process_time() - start)
                seconds.append(statistics.median(taken))
            print(f"| {name} | {unknowns} | {dies_for(unknowns)} | {seconds[0]:.2f} | {seconds[1]:.2f} |", flush=True)


def errors(unknowns: int, dies: int) -> None:
    """Median over the first stable dies of each row, by the law and by ngspice, for one b; and the noise of the nominal circuit."""
    print(f"{unknowns} unknowns, the first {dies} dies, one b; median errors in %")
    print("| circuit | condition | tolerances: law | ngspice | offsets: law | ngspice | noise: law | ngspice |")
    print("|---|---|---|---|---|---|---|---|")
    for name, (fabric, board) in BOARDS.items():
        for condition in CONDITIONS[:3]:
            b = np.random.default_rng(5).standard_normal(unknowns)
            program = compile_matrix(matrix(unknowns, condition, 1), fabric, board, b=b)
            size = np.linalg.norm(np.linalg.solve(program.target, b))
            law = die_yield(program, b, dies)
            nominal = solved(program, b)
            parts, offsets = [], []
            for k in range(dies):
                die = made(program, k)
                if not die.grows():
                    with_offsets, without = solved(die, b), solved(die, b, silent=True)
                    parts.append(np.linalg.norm(without - nominal) / size)
                    offsets.append(np.linalg.norm(with_offsets - without) / size)
            assert law.parts is not None
            assert law.offsets is not None
            rows = [(law.parts.median, np.median(parts)), (law.offsets.median, np.median(offsets))]
            reading = reading_errors(program, b)
            rows.append((math.hypot(reading.johnson, reading.amplifiers), noise_of(program) / size))
            print(
                f"| {name} | {condition:,.0f} | "
                + " | ".join(f"{100 * value:.4g}" for row in rows for value in row)
                + " |"
            )


def solved(program: AnalogProgram, b: np.ndarray, silent: bool = False) -> np.ndarray:
    """x of ngspice's operating point."""
    netlist = program.netlist(b, amplifier=amplifier(program.technology))
    if silent:
        netlist = netlist.with_sources(dict.fromkeys(offsets_of(netlist), 0.0))
    return np.asarray(program.decode(run(netlist, OperatingPoint(nodes=program.nodes)).voltages))


def noise_of(program: AnalogProgram) -> float:
    """Rms length of the solution's noise, by `.noise` at each cell's output over the whole band."""
    netlist = program.netlist(amplifier=amplifier(program.technology, FIGURES + NOISE))
    drives = [next(iter(drive)) for drive in program.fabric.drives(program.parts)]
    scale = program.readout_scale / program.volts_per_unit
    opamp = program.technology.opamp
    low, high = 1e-7 * opamp.noise_voltage_corner, 1e3 * opamp.gbw
    total = 0.0
    for pair, drive, per_volt in zip(program.readouts, drives, scale, strict=True):
        result = run(netlist, Noise(pair if pair[1] != "0" else pair[0], drive, low, high))
        total += (per_volt * result.total) ** 2
    return math.sqrt(total)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--dies", type=int, default=100)
    options.add_argument("--unknowns", type=int, default=6)
    options.add_argument("--errors", action="store_true")
    options.add_argument("--macromodel", action="store_true")
    options.add_argument("--speed", action="store_true")
    given = options.parse_args()
    if given.speed:
        speed()
    elif given.macromodel:
        macromodel(given.unknowns, given.dies)
    elif given.errors:
        errors(given.unknowns, min(given.dies, 20))
    else:
        stability(given.unknowns, given.dies)


if __name__ == "__main__":
    warnings.simplefilter("ignore", RuntimeWarning)
    main()
