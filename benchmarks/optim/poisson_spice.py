"""A system of a small physics-informed network in ngspice, refined, beside the surrogate of the same die.

    python benchmarks/optim/poisson_spice.py --card card.json [--dies 1,2] [--inside 12] [--boundary 8] [--deflation 10] [--damping 0.03]

The task `poisson` with few points, after 10 steps: a system K + damping, whose largest eigenvectors are deflated. The relative error
|x - A^-1 b| / |A^-1 b| and the residual |b - A x| / |b| by rounds of refinement, and the share of the variance of ngspice's error after
the first reading that the surrogate explains.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.device import Device
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.report.demo.refinement import Once

sys.path.insert(0, str(Path(__file__).resolve().parent))

from poisson_die import TIME_CONSTANTS, damped, system

STEPS, ROUNDS = 10, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--dies", default="1,2")
    parser.add_argument("--inside", type=int, default=12)
    parser.add_argument("--boundary", type=int, default=8)
    parser.add_argument("--deflation", type=int, default=10)
    parser.add_argument("--damping", type=float, default=0.03)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    card = DeviceCard.read(arguments.card)
    K, b = system(0, STEPS, arguments.inside, arguments.boundary)
    A = damped(K, arguments.damping)
    exact = torch.linalg.solve(A.A, b)
    values = torch.linalg.eigvalsh(A.A)
    print(f"{len(b)} unknowns, condition {float(values[-1] / values[0]):.2g}, deflation {arguments.deflation}\n")
    print("| die | | " + " | ".join(f"{k} rounds: error (residual)" for k in range(1 + ROUNDS)) + " | time, s |")
    print("|---" * (4 + ROUNDS) + "|")
    for die in map(int, arguments.dies.split(",")):
        devices: dict[str, Device] = {
            "ngspice": SpiceDevice(card.technology, die, card.fabric, johnson_noise=False, timeout=600.0),
            "surrogate": SurrogateDevice(card, die, extrapolate=True),
        }
        first: dict[str, torch.Tensor] = {}
        for name, device in devices.items():
            start, once, cells = time.perf_counter(), Once(device), []
            for rounds in range(1 + ROUNDS):
                found = Refined(once, rounds, deflation=arguments.deflation).solve(
                    A, b, TIME_CONSTANTS / arguments.damping
                )
                assert found.refinement is not None
                error = found.x - exact
                first.setdefault(name, error)
                cells.append(f"{float(error.norm() / exact.norm()):.1e} ({found.refinement.residual:.1e})")
            print(f"| {die} | {name} | {' | '.join(cells)} | {time.perf_counter() - start:.0f} |", flush=True)
        left = first["ngspice"] - first["surrogate"]
        spread = first["ngspice"] - first["ngspice"].mean()
        print(
            f"the surrogate explains {100 * (1 - float(left.square().sum() / spread.square().sum())):.2f} % of die {die}"
        )


if __name__ == "__main__":
    main()
