"""Speed of many dies: one system on 1,000 dies in one call, bare and refined, and the same statistics from ngspice.

    OMP_NUM_THREADS=1 python benchmarks/devicemodel/die_batch.py        (about two minutes)

A card is calibrated for technology `integrated` (fabric crossbar), and a random system of condition number 20 is solved for 20 tau on each
die, with noise, DAC, ADC and the host's search for a signal level. The dies are drawn once, before the calls that are timed: the first
reading of a program, a further drive of it, and a reading refined by two rounds with the program that it takes (six runs or more, chopped,
unit diagonal). Round-robin, the median and the range of the rounds, in seconds of processor time. Against ngspice (`SpiceDevice`, one
process), in seconds by the clock:

    dies     one die's run with noise, times the number of dies
    noise    the covariance of the noise at rest on one die: exact from the law, against a transient so long that its variances are known
             to 5 %, T = 2 tau_slow / 0.05^2 (its time is scaled from the runs that were measured: it would take hours)
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from thermograd.circuits.technology.die import Die
from thermograd.compiler.compile import lay_out
from thermograd.devicemodel.batch.die_batch import DieBatch
from thermograd.devicemodel.calibration.cases import random_system
from thermograd.devicemodel.calibration.simulated import calibrate
from thermograd.devicemodel.device import BatchSolution
from thermograd.devicemodel.devices.cell_law import propagate
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense

DIES, DURATION, CONDITION, ROUNDS = 1000, 20.0, 20.0, 3
SIZES = (8, 32, 64)


def main() -> None:
    """Print the table."""
    card = calibrate("integrated")
    print(f"{torch.get_num_threads()} threads, {DIES} dies, {DURATION:g} tau\n")
    print(
        "| n | drawing the dies, s | first reading, s | float32, s | a further drive, s | refined, 2 rounds, s | median residual "
        "| ngspice, s a die | dies: ngspice / first reading | noise: ngspice / law |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for n in SIZES:
        rng = np.random.default_rng(n)
        a, other = (random_system(n, CONDITION, False, rng) for _ in range(2))
        b = rng.standard_normal(n)
        double, single = (
            DieBatch(card, range(DIES), dtype, extrapolate=True) for dtype in (torch.float64, torch.float32)
        )
        system, drive = Dense(torch.from_numpy(a)), torch.from_numpy(b)
        refined = Refined(double, rounds=2)
        calls: dict[str, Callable[[], BatchSolution]] = {
            "first": partial(double.solve, a, b, DURATION),
            "further": partial(double.solve, a, -b, DURATION),
            "float32": partial(single.solve, a, b, DURATION),
            "refined": partial(refined.solve, system, drive, DURATION),
        }
        started = time.process_time()
        first = calls["first"]()
        drawn = time.process_time() - started
        calls["float32"]()
        taken: dict[str, list[float]] = {name: [] for name in calls}
        spice: list[float] = []
        for round_number in range(ROUNDS):
            # So that no program is left of the round before.
            double.solve(other, b, DURATION)
            single.solve(other, b, DURATION)
            for name, call in calls.items():
                started = time.process_time()
                found = call()
                taken[name].append(time.process_time() - started)
            if round_number < (3 if n < 64 else 1):
                device = SpiceDevice("integrated", die=round_number, fabric="crossbar", timeout=600.0)
                started = time.perf_counter()
                device.solve(system, drive, DURATION)
                spice.append(time.perf_counter() - started)
        program = lay_out(a, "crossbar", card.technology).on(Die(card.technology, 1))
        exact = []
        for _ in range(ROUNDS):
            started = time.process_time()
            propagate(program, np.zeros(n), np.zeros(n), math.inf, card, noisy=True)
            exact.append(time.process_time() - started)
        median = {name: statistics.median(times) for name, times in taken.items()}
        spans = {name: f"{median[name]:.2f} ({min(times):.2f} to {max(times):.2f})" for name, times in taken.items()}
        one, attempts = statistics.median(spice), float(first.attempts.mean())
        needed = 2.0 / float(np.linalg.eigvalsh(a)[0]) / 0.05**2  # tau
        residual = statistics.median(each.residual for each in found.refinements or () if each is not None)
        print(
            f"| {n} | {drawn - median['first']:.1f} | {spans['first']} | {spans['float32']} | {spans['further']} | {spans['refined']} | "
            f"{residual:.1e} | {one:.2f} | {one * DIES / median['first']:,.0f} | "
            f"{one / attempts / DURATION * needed / statistics.median(exact):,.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
