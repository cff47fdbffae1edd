"""Speed of many dies: one system on 1,000 dies in one call, and the same statistics from ngspice.

    python benchmarks/devicemodel/die_batch.py        (about a minute on two cores)

A card is calibrated for technology `integrated` (fabric crossbar), and a random system of condition number 20 is solved for 20 tau on each
die, with noise, DAC, ADC and the host's search for a signal level. The dies are drawn once, before the call that is timed. Round-robin, the
median and the range of the rounds. Against ngspice (`SpiceDevice`, one process):

    dies     one die's run with noise, times the number of dies
    noise    the covariance of the noise at rest on one die: exact from the law, against a transient so long that its variances are known
             to 5 %, T = 2 tau_slow / 0.05^2 (its time is scaled from the runs that were measured: it would take hours)
"""

from __future__ import annotations

import math
import statistics
import time

import numpy as np
import torch

from thermograd.circuits.technology.die import Die
from thermograd.compiler.compile import lay_out
from thermograd.devicemodel.calibration.cases import random_system
from thermograd.devicemodel.calibration.simulated import calibrate
from thermograd.devicemodel.devices.cell_law import propagate
from thermograd.devicemodel.devices.die_batch import DieBatch
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.systems import Dense

DIES, DURATION, CONDITION, ROUNDS = 1000, 20.0, 20.0, 5
SIZES = (8, 32, 64)


def main() -> None:
    """Print the table."""
    card = calibrate("integrated")
    print(f"{torch.get_num_threads()} threads, {DIES} dies, {DURATION:g} tau\n")
    print(
        "| n | drawing the dies, s | float64, s | float32, s | ngspice, s a die | dies: ngspice / float64 | noise: ngspice / law |"
    )
    print("|---|---|---|---|---|---|---|")
    for n in SIZES:
        rng = np.random.default_rng(n)
        a, b = random_system(n, CONDITION, False, rng), rng.standard_normal(n)
        batches = {
            dtype: DieBatch(card, range(DIES), dtype, extrapolate=True) for dtype in (torch.float64, torch.float32)
        }
        started = time.perf_counter()
        first = batches[torch.float64].solve(a, b, DURATION)
        drawn = time.perf_counter() - started
        batches[torch.float32].solve(a, b, DURATION)
        taken: dict[torch.dtype, list[float]] = {dtype: [] for dtype in batches}
        spice: list[float] = []
        for round_number in range(ROUNDS):
            for dtype, batch in batches.items():
                started = time.perf_counter()
                batch.solve(a, b, DURATION)
                taken[dtype].append(time.perf_counter() - started)
            if round_number < (3 if n < 64 else 1):
                device = SpiceDevice("integrated", die=round_number, fabric="crossbar", timeout=600.0)
                started = time.perf_counter()
                device.solve(Dense(torch.from_numpy(a)), torch.from_numpy(b), DURATION)
                spice.append(time.perf_counter() - started)
        program = lay_out(a, "crossbar", card.technology).on(Die(card.technology, 1))
        exact = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            propagate(program, np.zeros(n), np.zeros(n), math.inf, card, noisy=True)
            exact.append(time.perf_counter() - started)
        double, single, one = (statistics.median(times) for times in (*taken.values(), spice))
        attempts = float(first.attempts.mean())
        needed = 2.0 / float(np.linalg.eigvalsh(a)[0]) / 0.05**2  # tau
        spans = [f"{min(times):.2f} to {max(times):.2f}" for times in taken.values()]
        print(
            f"| {n} | {drawn - double:.1f} | {double:.2f} ({spans[0]}) | {single:.2f} ({spans[1]}) | {one:.2f} | "
            f"{one * DIES / double:,.0f} | {one / attempts / DURATION * needed / statistics.median(exact):,.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
