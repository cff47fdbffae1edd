"""Compile time relative to ngspice's time to load the result, and of a large sparse network.

    python benchmarks/compiler/compile_speed.py [--unknowns 256] [--sparse 10000] [--rounds 7]

Dense: a crossbar of n x n resistors is compiled, verified from its text and written, and the same text is loaded by libngspice
(through PySpice, as thermograd runs it), in turn, in one process each round; the ratio of the medians is printed. Sparse: an RC network
with five couplings a node. Peak memory is that of the process, imports included.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from scipy import sparse

from thermograd.circuits.ngspice.library import find_library
from thermograd.circuits.ngspice.worker import Simulator
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix

BOARD = preset("breadboard").replace(opamp__outputs=2)
"""With amplifiers that serve arrays of one rail and of two."""


def dense(n: int, fabric: str, rounds: int, simulator: Simulator) -> None:
    rng = np.random.default_rng(0)
    factor = rng.standard_normal((n, n))
    matrix, b = factor @ factor.T / n + 0.3 * np.eye(n), rng.standard_normal(n)
    ours, theirs = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        program = compile_matrix(matrix, fabric, BOARD, b=b)
        text = program.to_spice(b)
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        simulator.load(text, noisy=False)
        theirs.append(time.perf_counter() - start)
        simulator.clean()
    parts = program.report.parts
    ratio = np.median(ours) / np.median(theirs)
    print(
        f"{fabric}, {n} unknowns, {parts['resistor']} resistors: compiled, verified and written in {np.median(ours):.2f} s, "
        f"loaded by ngspice in {np.median(theirs):.2f} s, ratio {ratio:.2f} (median of {rounds}, "
        f"{min(ours) / max(theirs):.2f} to {max(ours) / min(theirs):.2f})"
    )


def large(n: int) -> None:
    rng = np.random.default_rng(0)
    i, j = rng.integers(n, size=(2, 5 * n))
    keep = i != j
    off = sparse.coo_array((-rng.uniform(0.1, 1.0, keep.sum()), (i[keep], j[keep])), shape=(n, n))
    off = sparse.csr_array(off + off.T)
    sums = -np.asarray(off.sum(axis=1)).ravel() + rng.uniform(0.05, 0.5, n)
    matrix = sparse.csr_array(off + sparse.diags_array(sums))
    start = time.perf_counter()
    program = compile_matrix(matrix, technology="breadboard")
    text = program.to_spice()
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{program.fabric_name}, {n} unknowns, {sparse.triu(matrix, 1).nnz} couplings: compiled, verified and written "
        f"({len(text) / 1e6:.1f} MB) in {seconds:.1f} s, peak memory {memory:.2f} GB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unknowns", type=int, default=256)
    parser.add_argument("--sparse", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    large(options.sparse)
    simulator = Simulator(find_library())
    for fabric in ("crossbar_single", "crossbar"):
        dense(options.unknowns, fabric, options.rounds, simulator)


if __name__ == "__main__":
    main()
