"""Overhead of the worker processes: the same netlists through the pool and through plain `ngspice -b`, two at a time.

    python benchmarks/circuits/pool_throughput.py [--jobs 12] [--rounds 3]

Each job is a transient of a resistor-capacitor network that takes ngspice about a second. The rounds alternate; the ratio of the
medians is printed with its range. `ngspice -b` writes a raw file for each job, the pool returns the vectors.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from thermograd.circuits.netlist.analyses import Transient
from thermograd.circuits.netlist.elements import Capacitor, CurrentSource, Resistor
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run_many import run_many

CORES = 2


def network(n: int, seed: int) -> Netlist:
    """A dense RC network of n nodes with currents into all of them."""
    rng = np.random.default_rng(seed)
    netlist = Netlist(f"network {seed}")
    for i in range(n):
        for j in range(i):
            netlist.add(Resistor(f"R{i}_{j}", f"n{i}", f"n{j}", float(rng.uniform(1e3, 1e5))))
        netlist.add(
            Resistor(f"RG{i}", f"n{i}", "0", 1e3),
            Capacitor(f"C{i}", f"n{i}", "0", 1e-9),
            CurrentSource(f"I{i}", "0", f"n{i}", 1e-3),
        )
    return netlist


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if shutil.which("ngspice") is None:
        sys.exit("the ngspice command is needed here: apt-get install ngspice")
    nodes, analysis = 40, Transient(60e-6, step=4e-9, nodes=("n0",))
    jobs = [(network(nodes, seed), analysis, None) for seed in range(options.jobs)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for k, (netlist, card, _) in enumerate(jobs):
            (folder / f"{k}.cir").write_text(netlist.to_spice(analysis=card).replace(".end\n", ".save v(n0)\n.end\n"))

        def plain(k: int) -> None:
            command = ["ngspice", "-b", "-r", f"{k}.raw", f"{k}.cir"]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)

        def through_pool() -> None:
            for index, result in run_many(iter(jobs), workers=CORES):
                if isinstance(result, Exception):
                    sys.exit(f"job {index}: {result}")

        def through_command() -> None:
            with ThreadPoolExecutor(CORES) as executor:
                list(executor.map(plain, range(len(jobs))))

        through_pool()  # the workers start once and stay
        times: dict[str, list[float]] = {"pool": [], "ngspice -b": []}
        for _ in range(options.rounds):
            for label, work in (("pool", through_pool), ("ngspice -b", through_command)):
                start = time.perf_counter()
                work()
                times[label].append(time.perf_counter() - start)
    each = np.median(times["ngspice -b"]) * CORES / len(jobs)
    ratio = np.median(times["pool"]) / np.median(times["ngspice -b"])
    low, high = min(times["pool"]) / max(times["ngspice -b"]), max(times["pool"]) / min(times["ngspice -b"])
    print(
        f"{len(jobs)} jobs of {each:.2f} s, {CORES} at a time: pool {np.median(times['pool']):.2f} s, "
        f"ngspice -b {np.median(times['ngspice -b']):.2f} s, ratio {ratio:.3f} ({low:.3f} to {high:.3f})"
    )


if __name__ == "__main__":
    main()
