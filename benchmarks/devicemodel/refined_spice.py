"""SPICE in the loop of refinement: ngspice's readings and those of the surrogate of the same die, round by round.

    OMP_NUM_THREADS=1 python benchmarks/devicemodel/refined_spice.py        (about ten minutes on one free core)

Systems. Five dual systems for each of n = 8, 16 and 32, those of steps 2, 20, 60, 120 and 200 of a training (digits, odd or even, network
64-32-2, natural gradient with batch n, damping 0.1 and rate 0.3), each on a die of its own, technology `integrated`. Runs of seven slowest
time constants, transients in both. Refined: unit diagonal, chopped, at most `ROUNDS` rounds of Richardson's iteration.

Noise. n = 32 without Johnson noise, n = 8 and 16 with and without (`--noisy` chooses); the ADC's noise is on in all.

Agreement. The devices' solutions should differ by the card's held-out residual h (relative rms of what the surrogate leaves unexplained in
ngspice's bare readings) and by noise, and by what these make of codes and of later rounds. So d_k, the expected difference after k rounds,
is the standard error of the surrogate's own x_k over 40 noise seeds, with the power of Johnson and converter noise doubled (two devices
have it) and 2 (h V)^2 added to the variance of what the ADC converts, V the rms of the cells (both runs of a chopped pair have the same
deviation, so that half the difference does not halve its variance). The table has |x_spice - x_surrogate| over d_k. Control: ngspice's
first reading against that by the surrogate of another die.

Rounds. Predicted from the card's figures and the system, without knowing the die, by the law of the contraction (`limits.contraction`, the
factor of a round; beside it the spectral radius of the die's own I - B A), and those that ngspice and the surrogate need until their error
is below 1e-3. Control: products that plain conjugate gradients on the unit-diagonal matrix take to the same error, beside those of the
refined die.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thermograd.devicemodel.calibration.simulated import calibrate
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.device import Device, Outcome, Solution
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.limits.contraction_law import contraction, rounds_to
from thermograd.devicemodel.limits.dies import contraction_of_dies
from thermograd.devicemodel.systems import Dense
from thermograd.optim.tasks.classification import Classification
from thermograd.optim.tasks.digits import digits
from thermograd.optim.training.curvature_systems import curvature_systems

SIZES, NOISY, STEPS = (8, 16, 32), (8, 16), (2, 20, 60, 120, 200)
DAMPING, RATE = 0.1, 0.3
ROUNDS, TARGET = 5, 1e-3
TIME_CONSTANTS = 7.0
COLUMNS = (
    "n",
    "step",
    "die",
    "condition",
    "bare, ngspice",
    "error after the first reading, 1, 2, 3 rounds, ngspice / surrogate",
    "apart, largest over d_k",
    "another die",
    "rho, law / die",
    "rounds predicted",
    "needed, ngspice / surrogate",
    "ngspice's error after those predicted",
    "products: die / plain CG",
    "ngspice, s",
)
SEEDS = 40
"""Of the standard error."""


class NoDie(IdealDevice):
    """Reads what it is driven with: flexible CG preconditioned by it is plain CG."""

    def solve(self, system: Any, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        return Solution(b, Outcome.OK, 0.0)


@dataclass
class Watched:
    """A system that keeps each x whose product with A is asked for: the solutions after the first reading and each round."""

    system: Dense
    seen: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.size, self.damping, self.dtype = self.system.size, self.system.damping, self.system.dtype
        self.diagonal, self.dense = self.system.diagonal, self.system.dense

    def matvec(self, x: Tensor) -> Tensor:
        """A x."""
        self.seen.append(x)
        return self.system.matvec(x)


@dataclass(frozen=True)
class Case:
    """A system of the training, its drive, the run's length in tau, and the die."""

    system: Dense
    b: Tensor
    duration: float
    die: int

    @property
    def exact(self) -> Tensor:
        """A^-1 b: the oracle."""
        return torch.linalg.solve(self.system.A, self.b)

    def solutions(self, device: Device) -> tuple[list[Tensor], Solution]:
        """x over |A^-1 b| after the first reading and after each of `ROUNDS` rounds, and the refined solution."""
        watched, size = Watched(self.system), self.exact.norm()
        found = Refined(device, rounds=ROUNDS).solve(watched, self.b, self.duration)
        return [x / size for x in watched.seen], found

    def scatter(self, card: DeviceCard) -> list[float]:
        """d_k, relative to |A^-1 b|, of each round."""
        device, technology = SurrogateDevice(card, self.die, extrapolate=True), card.technology
        Refined(device, rounds=0).solve(self.system, self.b, self.duration)
        assert device.probe is not None
        unexplained = card.held_out.residual * float(np.sqrt(np.mean(device.probe.settled**2)))
        noise = math.sqrt(2 * technology.adc.noise**2 + 2 * unexplained**2)
        doubled = card.replace(technology=technology.replace(adc__noise=noise), noise_power=2 * card.noise_power.value)
        found = [
            self.solutions(SurrogateDevice(doubled, self.die, seed, extrapolate=True))[0]
            for seed in range(1, SEEDS + 1)
        ]
        return [float(torch.stack(list(one)).var(dim=0).sum().sqrt()) for one in zip(*found, strict=False)]


def parity() -> Classification:
    """The digits task with two classes, odd and even, so that a batch of n has a dual system of n unknowns."""
    task = digits()
    return Classification(
        "digits, odd or even",
        task.train_inputs,
        task.train_targets % 2,
        task.test_inputs,
        task.test_targets % 2,
        lambda: nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 2)),
    )


def cases(n: int, seed: int = 7) -> list[Case]:
    """The systems of one size, each on a die of its own."""
    found = curvature_systems(parity(), STEPS, n, seed, settings={"damping": DAMPING, "lr": RATE})
    return [
        Case(
            Dense(torch.from_numpy(one.matrix), floor=DAMPING * 0.999),
            torch.from_numpy(one.b),
            TIME_CONSTANTS / float(np.linalg.eigvalsh(one.matrix)[0]),
            die,
        )
        for die, one in enumerate(found, start=1)
    ]


def needed(errors: list[float]) -> int | None:
    """Rounds until the error is below `TARGET`; None: not within those that there were."""
    return next((k for k, one in enumerate(errors) if one < TARGET), None)


def products_of_cg(case: Case) -> int:
    """Products with A that plain CG on the unit-diagonal matrix takes to the target."""
    for rounds in itertools.count():
        found = Refined(NoDie(), rounds=rounds, method="fcg").solve(case.system, case.b, case.duration)
        if float((found.x - case.exact).norm() / case.exact.norm()) < TARGET:
            return rounds + 1
    raise AssertionError


def compare(n: int, noisy: bool, card: DeviceCard) -> tuple[list[str], list[float]]:
    """Rows of the table, a system each, and |x_spice - x_surrogate| / d_k of all systems and rounds."""
    technology = card.technology.replace(thermal__johnson_noise=noisy)
    law = card.replace(technology=technology)
    rows, ratios, others = [], [], []
    for step, case in zip(STEPS, cases(n), strict=True):
        size = case.exact.norm()
        started = time.perf_counter()
        spice, _ = case.solutions(SpiceDevice(technology, case.die, "crossbar", timeout=900.0))
        seconds = time.perf_counter() - started
        surrogate, other = (
            case.solutions(SurrogateDevice(law, die, extrapolate=True))[0] for die in (case.die, case.die + 100)
        )
        errors = {
            name: [float((x - case.exact / size).norm()) for x in found]
            for name, found in (("spice", spice), ("surrogate", surrogate))
        }
        scale = case.scatter(law)
        apart = [float((x - y).norm()) / d for x, y, d in zip(spice, surrogate, scale, strict=False)]
        ratios += apart
        others.append(float((spice[0] - other[0]).norm()) / scale[0])
        factor = contraction(case.system.A.numpy(), law, case.duration).total
        [own] = contraction_of_dies(case.system.A.numpy(), law, [case.die])
        predicted = rounds_to(factor, TARGET)
        assert predicted is not None
        assert predicted <= ROUNDS
        bare = SpiceDevice(technology, case.die, "crossbar", timeout=900.0).solve(case.system, case.b, case.duration)
        path = ", ".join(
            f"{a:.1e} / {b:.1e}" for a, b in zip(errors["spice"][:4], errors["surrogate"][:4], strict=False)
        )
        took = {name: needed(found) for name, found in errors.items()}
        columns = [
            f"{n}{', noise' if noisy else ''}",
            f"{step}",
            f"{case.die}",
            f"{np.linalg.cond(case.system.A):.0f}",
            f"{float((bare.x - case.exact).norm() / size):.2f}",
            path,
            f"{max(apart):.1f}",
            f"{others[-1]:.0f}",
            f"{factor:.2f} / {own.radius:.2f}",
            f"{predicted}",
            f"{took['spice']} / {took['surrogate']}",
            f"{errors['spice'][min(predicted, len(spice) - 1)]:.1e}",
            f"{1 + (took['spice'] or 0)} / {products_of_cg(case)}",
            f"{seconds:.0f}",
        ]
        rows.append(f"| {' | '.join(columns)} |")
        print(rows[-1], flush=True)
    return rows, ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument(
        "--noisy", type=int, nargs="*", default=list(NOISY), help="sizes that are run with Johnson noise, too"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    card = calibrate("integrated")
    print(f"held-out residual of the card {card.held_out.residual:.2e}\n")
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    ratios = [
        ratio
        for n, noisy in [*((n, False) for n in arguments.sizes), *((n, True) for n in arguments.noisy)]
        for ratio in compare(n, noisy, card)[1]
    ]
    print(
        f"\n|x_spice - x_surrogate| over d_k: rms {np.sqrt(np.mean(np.square(ratios))):.2f}, largest {max(ratios):.2f}"
    )


if __name__ == "__main__":
    main()
