"""What simulating a large die costs: `SurrogateDevice` on a system of MNIST's training, in Choleskys of the same matrix.

    OMP_NUM_THREADS=1 python benchmarks/devicemodel/surrogate_speed.py --data mnist.npz [--step 25] [--rounds 15] [--fabric NAME]

The dual system of a step (576 unknowns, damping 1) on one die of the integrated preset with noise, DAC, ADC and the host's search for a
signal level, one thread. Processor time, each case and the Cholesky factorisation by torch (float64) in turn, medians of their ratios:

    programming     the matrix laid out, rounded, put on the die and judged for stability; no run
    first           programming, and one reading
    further         another drive of the loaded program; "of 2", "of 16" in one call (`solve_many`), each
    refined         `Refined(rounds=2)`: programming, six runs, three products with A

"settled" is the program as `Refined` makes it, of unit diagonal and for max A_ii times the duration: nothing of the start is left at its
end. "on the way" is the matrix itself for 20 tau, where a transient is. Each case has a device of its own, which has found its level. And
the whole step of training: seconds of the simulated device over those of the digital part (forward and backward pass, curvature, update),
refined to 1e-2.

Then `CascadeDevice` on random systems of integrated parts, with noise: the first reading and a further one of the same program, s.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.device import Solution, solve_many
from thermograd.devicemodel.devices.circuit import matrix_of
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense, Kronecker, LowRank
from thermograd.optim.optimizers.tngd import TNGD
from thermograd.optim.tasks.mnist import mnist
from thermograd.optim.tasks.task import Task
from thermograd.optim.training.train import train

DAMPING, DURATION, RATE, MOMENTUM, BATCH = 1.0, 20.0, 0.03, 0.9, 64
STEPS = 12
"""Of the training that is timed."""


class Recorder(IdealDevice):
    """Keeps the last system and drive."""

    system: Dense
    drive: Tensor

    def solve(self, system: Any, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        self.system, self.drive = Dense(system.dense().double(), floor=DAMPING), b.double()
        return super().solve(system, b, duration, x0)


def trained(task: Task, steps: int, device: Any, reading: Literal["bare", "refined"]) -> Any:
    """The history of some steps."""
    make = lambda params: TNGD(  # noqa: E731
        params, lr=RATE, damping=DAMPING, momentum=MOMENTUM, duration=DURATION, device=device, reading=reading
    )
    return train(task, make, steps, BATCH, 0, evaluate_every=0)


def ratios(cases: dict[str, Callable[[], Any]], matrix: Tensor, rounds: int) -> dict[str, list[float]]:
    """Processor time of each case over that of a Cholesky factorisation in the same round."""
    found: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        # Five of them, since one is short.
        unit = _seconds(lambda: [torch.linalg.cholesky(matrix) for _ in range(5)]) / 5
        for name, case in cases.items():
            found[name].append(_seconds(case) / unit)
    return found


def _seconds(case: Callable[[], Any]) -> float:
    start = time.process_time()
    case()
    return time.process_time() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="mnist.npz, or the folder with the IDX files")
    parser.add_argument("--step", type=int, default=25, help="of the training that the system is of")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--fabric", default="crossbar", help="or crossbar_single, whose inverters couple the cells' lags"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    task, recorder = mnist(arguments.data), Recorder()
    trained(task, arguments.step, recorder, "bare")
    system, b = recorder.system, recorder.drive
    none = torch.zeros_like(b)
    scale = system.diagonal().rsqrt()
    scaled = system.A * torch.outer(scale, scale)
    unit = Dense((scaled + scaled.mT) / 2, floor=DAMPING / float(system.diagonal().max()))
    longer = DURATION * float(system.diagonal().max())
    others = torch.randn(16, len(b), dtype=b.dtype, generator=torch.Generator().manual_seed(0))
    drives = b + 0.1 * b.norm() * others / others.norm(dim=1, keepdim=True)

    def make() -> SurrogateDevice:
        return SurrogateDevice(DeviceCard.uncalibrated(preset("integrated"), arguments.fabric), die=0)

    def fresh(given: Dense) -> Dense:
        return Dense(given.A.clone(), floor=given.floor)

    def program(device: SurrogateDevice, given: Dense) -> None:
        device.board_of(lay_out(matrix_of(given), arguments.fabric, device.technology))

    cases: dict[str, Callable[[], Any]] = {}
    for name, given, duration in (("settled", unit, longer), ("on the way", system, DURATION)):
        cases[f"{name}: programming"] = partial(program, make(), given)
        first = make()
        cases[f"{name}: first"] = lambda device=first, given=given, duration=duration: device.solve(  # type: ignore[misc]
            fresh(given), b, duration, none
        )
        for m in (1, 2, 16):
            cases[f"{name}: further of {m}"] = partial(solve_many, make(), fresh(given), drives[:m], duration)
    refined = Refined(make(), rounds=2)
    cases["refined"] = lambda: refined.solve(fresh(system), b, DURATION)
    ratios(cases, system.A, 2)
    found = ratios(cases, system.A, arguments.rounds)
    print(f"\nn = {system.size}, step {arguments.step}, medians of {arguments.rounds} rounds\n")
    print("| | Choleskys | from | to |\n|---|---|---|---|")
    for name, values in found.items():
        share = int(name.rsplit(" ", 1)[1]) if "further" in name else 1
        each = sorted(value / share for value in values)
        print(f"| {name} | {statistics.median(each):.1f} | {each[0]:.1f} | {each[-1]:.1f} |")
    solution = refined.solve(fresh(system), b, DURATION)
    assert solution.refinement is not None
    print(f"\nrefined: {solution.attempts} runs, |b - A x| / |b| = {solution.refinement.residual:.2g}")
    history = trained(task, STEPS, make(), "refined")
    digital, simulated = (statistics.median(part[2:]) for part in (history.digital_seconds, history.device_seconds))
    print(
        f"a step of training: digital part {1e3 * digital:.0f} ms, simulated device {1e3 * simulated:.0f} ms, "
        f"ratio {simulated / digital:.2f}"
    )
    print("\n| cascade | duration, tau | first, s | further, s |\n|---|---|---|---|")
    for name, system_of in (
        ("J 64 x 4000", partial(low_rank, 64, 4000)),
        ("J 320 x 2000", partial(low_rank, 320, 2000)),
        ("A (x) B, 26 x 48", partial(kronecker, 26, 48)),
    ):
        for duration in (DURATION, math.inf):
            print(f"| {name} | {duration:g} | {' | '.join(f'{one:.3f}' for one in cascade(system_of(), duration))} |")


def low_rank(rows: int, size: int) -> LowRank:
    """J^T J + 0.3 of a random J."""
    generator = torch.Generator().manual_seed(0)
    return LowRank(torch.randn(rows, size, dtype=torch.float64, generator=generator) / math.sqrt(rows), None, 0.3)


def kronecker(p: int, q: int) -> Kronecker:
    """Random factors of eigenvalues from 0.1."""
    generator, factors = torch.Generator().manual_seed(0), []
    for n in (p, q):
        root = torch.randn(n, n, dtype=torch.float64, generator=generator)
        factors.append(root @ root.mT / n + 0.1 * torch.eye(n, dtype=torch.float64))
    return Kronecker(factors[0], factors[1], 0.3)


def cascade(system: LowRank | Kronecker, duration: float) -> tuple[float, float]:
    """Processor time of a first and of further readings (median of five), s."""
    device = CascadeDevice("integrated", die=0)
    b = torch.randn(system.size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    read = partial(device.solve, system, b, duration, torch.zeros_like(b))
    return _seconds(read), statistics.median(_seconds(read) for _ in range(5))


if __name__ == "__main__":
    main()
