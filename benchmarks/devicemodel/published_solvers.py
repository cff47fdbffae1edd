"""Refined readings beside published machines: the same sizes, bits and condition numbers, to the precision that they state.

    OMP_NUM_THREADS=1 python benchmarks/devicemodel/published_solvers.py        (about three minutes on one free core)

A. "Achieving high precision in analog in-memory computing systems", npj Unconventional Computing 2 (2025), s44335-025-00044-2, figure 6:
   50 x 50 systems, (b) a 6-bit solver with residuals of 12 to 32 bits and (c) solvers of 5 to 10 bits with residuals of 32, condition
   number 50, (d) a 6-bit solver with residuals of 32 bits, condition numbers 10 to 100. Its caption states these settings; what it draws,
   relative errors over iterations, has no numbers in the text that could be read here, and how a bit of the solver is meant is not said.
B. P. Zuo et al., "Precise and scalable analogue matrix equation solving using resistive random-access memory chips", Nature Electronics 8
   (2025) 1222, s41928-025-01477-0: a 16 x 16 inversion to 24-bit fixed-point precision with 3-bit cells of 0.5 to 35 uS (70 times), which
   takes at most 10 iterations (so summaries of the paper, of which only the beginning could be read here; they have converters of 4 bits,
   beside which 8 are tried). The matrix is not known here: random ones of condition number 2 to 10, and the Gram matrix of a channel of 128
   antennas and 8 users, as in its application to signal detection.
C. P. Mannocci et al., "A fully integrated analogue closed-loop in-memory computing accelerator based on static random-access memory",
   Nature Electronics (2026): two arrays of 64 x 64 in 90 nm CMOS with amplifiers and converters on the chip, "accuracy ... equivalent
   integrated circuit precision". Only the abstract could be read here: the size is theirs; condition number 100 and 1e-7 are ours.

Ours. Random symmetric positive definite matrices (a circuit that relaxes needs them) with log-uniform eigenvalues, five of each kind,
each on a die of its own; `Refined(SurrogateDevice)`, unit diagonal, chopped, runs of ten slowest time constants, the refinement by
Richardson's iteration and by flexible CG.

    codes    resistors, DAC and ADC of b bits and nothing else wrong: technology `ideal`
    die      technology `integrated` with b bits: 1 % mismatch, amplifiers of gain 2,000, offsets, noise

A residual of b bits is the host's: entries of A and of x as fixed-point numbers of b bits of the largest one's, their product in a wide
accumulator, rounded to b bits of b's largest entry. (What the DAC makes of a residual is the device's: it has the solver's bits.)

Counted are iterations, the first reading included, until |x - A^-1 b| <= target |A^-1 b| (B: 2^-24 of the largest entry of A^-1 b, in
each entry); each takes two runs or more, and a product with A. The control is plain CG on the unit-diagonal matrix with the same products,
the die replaced by the identity. Seconds are those of the simulated circuit (`Solution.seconds`) and joules those of `cost.step_cost` with
the figures of the preset, a projection: analog runs, converters, programming once, and the host's products.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.devicemodel.calibration.cases import random_system
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.cost.compiled import compiled_array
from thermograd.devicemodel.cost.digital_host import DigitalHost, HostWork
from thermograd.devicemodel.cost.model import step_cost
from thermograd.devicemodel.device import Device, Outcome, Solution
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense

SYSTEMS, MOST, TIME_CONSTANTS = 5, 60, 10.0
ANTENNAS = 128
"""Of the receiver in part B's channel, with 8 users: 16 real unknowns."""
Method = Literal["richardson", "fcg"]
Error = Callable[[Tensor, Tensor], float]
"""Of x, with A^-1 b."""


def relative(x: Tensor, exact: Tensor) -> float:
    """|x - A^-1 b| / |A^-1 b|."""
    return float((x - exact).norm() / exact.norm())


def fixed_point(x: Tensor, exact: Tensor) -> float:
    """Largest error of an entry over the largest entry."""
    return float((x - exact).abs().max() / exact.abs().max())


def rounded(values: Tensor, bits: int | None, largest: float) -> Tensor:
    """To multiples of 2 largest / (2^bits - 1), in a word that is wide enough for larger ones, too; None: as they are."""
    if bits is None or largest == 0:
        return values
    step = 2 * largest / (2**bits - 1)
    return (values / step).round() * step


@dataclass
class FixedPoint:
    """A system of which the host computes products in fixed point, and which keeps each x that it is asked the product of."""

    system: Dense
    b: Tensor
    bits: int | None
    seen: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.size, self.damping, self.dtype = self.system.size, self.system.damping, self.system.dtype
        self.diagonal, self.dense = self.system.diagonal, self.system.dense
        self._held = rounded(self.system.A, self.bits, float(self.system.A.abs().max()))

    def matvec(self, x: Tensor) -> Tensor:
        """A x as the host computes it."""
        self.seen.append(x)
        product = self._held @ rounded(x, self.bits, float(x.abs().max()))
        return rounded(product, self.bits, float(self.b.abs().max()))


class NoDie(IdealDevice):
    """Reads what it is driven with: flexible CG preconditioned by it is plain CG."""

    def solve(self, system: Any, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        return Solution(b, Outcome.OK, 0.0)


@dataclass(frozen=True)
class Problem:
    """One random system of a size and condition number (None: the Gram matrix of a channel, `ANTENNAS`), its drive and solution."""

    n: int
    condition: float | None
    seed: int

    @property
    def parts(self) -> tuple[Dense, Tensor, Tensor, float]:
        """A, b, A^-1 b, and the length of a run in tau."""
        return _problem(self.n, self.condition, self.seed)


@cache
def _problem(n: int, condition: float | None, seed: int) -> tuple[Dense, Tensor, Tensor, float]:
    rng = np.random.default_rng([seed, n])
    if condition is None:
        real, imaginary = rng.standard_normal((2, ANTENNAS, n // 2)) / math.sqrt(2 * ANTENNAS)
        channel = np.block([[real, -imaginary], [imaginary, real]])
        matrix = channel.T @ channel
    else:
        matrix = random_system(n, condition, False, rng)
    system, b = Dense(torch.from_numpy(matrix)), torch.from_numpy(rng.standard_normal(n))
    return system, b, torch.linalg.solve(system.A, b), TIME_CONSTANTS / float(np.linalg.eigvalsh(matrix)[0])


def technology(kind: str, bits: int, converters: int | None = None, **changes: Any) -> Technology:
    """Of `bits` a conductance and `converters` bits of DAC and ADC (default: as many)."""
    base = preset({"codes": "ideal", "die": "integrated"}[kind])
    widths = dict.fromkeys(("dac__bits", "adc__bits"), converters or bits)
    return base.replace(resistors__bits=bits, **widths, **changes)


def device_of(made_of: Technology, die: int) -> SurrogateDevice:
    """A new device of this technology."""
    return SurrogateDevice(DeviceCard.uncalibrated(made_of), die, extrapolate=True)


def richardson(
    problem: Problem, made_of: Technology, bits: int | None, error: Error, target: float
) -> tuple[int | None, float]:
    """Iterations to the target (None: never), and the least error."""
    system, b, exact, duration = problem.parts
    seen = FixedPoint(system, b, bits)
    Refined(device_of(made_of, problem.seed), rounds=MOST - 1).solve(seen, b, duration)
    errors = [error(x, exact) for x in seen.seen]
    return next((k for k, one in enumerate(errors, start=1) if one <= target), None), min(errors, default=math.inf)


def least(solve: Callable[[int], Tensor | None], exact: Tensor, error: Error, target: float) -> int | None:
    """The fewest iterations k with which solve(k) is within the target, by halving; None: not with `MOST`."""

    def within(k: int) -> bool:
        x = solve(k)
        return x is not None and error(x, exact) <= target

    if not within(MOST):
        return None
    low, high = 0, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if within(middle) else (middle, high)
    return high


def refined(problem: Problem, bits: int | None, method: Method, made: Callable[[], Device], k: int) -> Solution:
    """The solution after k iterations of a new device."""
    system, b, _, duration = problem.parts
    held = system if bits is None else FixedPoint(system, b, bits)
    return Refined(made(), rounds=k - 1, method=method).solve(held, b, duration)


def flexible(problem: Problem, made_of: Technology, bits: int | None, error: Error, target: float) -> int | None:
    """Iterations of flexible CG to the target; None: never."""
    made = partial(device_of, made_of, problem.seed)
    return least(lambda k: refined(problem, bits, "fcg", made, k).x, problem.parts[2], error, target)


@cache
def plain(problem: Problem, error: Error, target: float) -> int | None:
    """Products of plain CG to the target, in double precision; None: never."""
    return least(lambda k: refined(problem, None, "fcg", NoDie, k).x, problem.parts[2], error, target)


def counted(found: list[int | None]) -> str:
    """Median and range of counts, and how many never got there."""
    there = [one for one in found if one is not None]
    if not there:
        return "never"
    spread = f"{statistics.median(there):g}" + (f" ({min(there)} to {max(there)})" if min(there) < max(there) else "")
    return spread if len(there) == len(found) else f"{spread}; {len(found) - len(there)} of {len(found)} never"


def row(
    name: str, problems: list[Problem], kind: str, made_of: Technology, bits: int | None, error: Error, target: float
) -> str:
    """A line of a table."""
    slow = [richardson(one, made_of, bits, error, target) for one in problems]
    fast = [flexible(one, made_of, bits, error, target) for one in problems]
    controls = [plain(one, error, target) for one in problems]
    floor = statistics.median(one[1] for one in slow)
    return f"| {name} | {kind} | {counted([one[0] for one in slow])} | {floor:.0e} | {counted(fast)} | {counted(controls)} |"


def cost(problem: Problem, made_of: Technology, method: Method, iterations: int) -> str:
    """Seconds of one run, seconds and joules of the whole solution."""
    device = device_of(made_of, problem.seed)
    found = refined(problem, None, method, lambda: device, iterations)
    assert device.program is not None
    assert found.refinement is not None
    n, products = problem.n, found.refinement.products
    work = HostWork(products, products * n * n, products * 8 * n * n)
    whole = step_cost(compiled_array(device.program), made_of, found.seconds, 0.0, DigitalHost(), found.attempts, work)
    return (
        f"{found.seconds / found.attempts:.1e} s a run, {found.attempts} runs, {whole.seconds:.1e} s and {whole.joules:.1e} J in all "
        f"(analog {whole.part('settling').joules:.1e} J, converters {whole.groups(energy=True)['converters']:.1e} J, "
        f"host's products {whole.part('residuals').joules:.1e} J)"
    )


HEAD = "| {} | solver | iterations, Richardson | least error | iterations, flexible CG | control: plain CG |\n|---|---|---|---|---|---|"


def figure_6() -> None:
    """Part A."""
    n, target = 50, 1e-6
    print(
        f"A. s44335-025-00044-2, figure 6: {n} x {n}, error {target:g}. Ours: simulated. Theirs: curves, whose numbers were not read.\n"
    )
    families: dict[str, list[tuple[str, int, int, float]]] = {
        "(b) bits of the residual": [(f"{bits}", 6, bits, 50.0) for bits in (12, 16, 20, 24, 32)],
        "(c) bits of the solver": [(f"{bits}", bits, 32, 50.0) for bits in (5, 6, 7, 8, 9, 10)],
        "(d) condition number": [(f"{condition:g}", 6, 32, condition) for condition in (10.0, 20.0, 50.0, 100.0)],
    }
    for title, cases in families.items():
        print(HEAD.format(title))
        for name, solver, bits, condition in cases:
            problems = [Problem(n, condition, seed) for seed in range(1, SYSTEMS + 1)]
            for kind in ("codes", "die"):
                print(row(name, problems, kind, technology(kind, solver), bits, relative, target), flush=True)
        print()


def three_bits() -> None:
    """Part B."""
    n, target = 16, 2.0**-24
    print(
        f"B. s41928-025-01477-0: {n} x {n}, 3-bit conductances, 24 bits. Theirs, measured: at most 10 iterations. Ours: simulated.\n"
    )
    print(HEAD.format("condition number"))
    ranges = {"resistors__on_off": 70.0}
    for condition in (None, 2.0, 3.0, 5.0, 10.0):
        name = f"channel of {ANTENNAS} x {n // 2}" if condition is None else f"{condition:g}"
        problems = [Problem(n, condition, seed) for seed in range(1, SYSTEMS + 1)]
        for kind, converters in (("codes", 4), ("die", 4), ("die", 8)):
            made_of = technology(kind, 3, converters, **ranges)
            solver = f"{kind}, {converters}-bit converters"
            print(row(name, problems, solver, made_of, None, fixed_point, target), flush=True)
    print(
        f"\nCondition number 3, flexible CG, 10 iterations: {cost(Problem(n, 3.0, 1), technology('die', 3, 4, **ranges), 'fcg', 10)}\n"
    )


def milan() -> None:
    """Part C."""
    n, condition, target = 64, 100.0, 1e-7
    print(f"C. Size of the 90 nm chip: {n} x {n}, condition number {condition:g}, error {target:g}. Ours: simulated.\n")
    print(HEAD.format("bits"))
    problems = [Problem(n, condition, seed) for seed in range(1, SYSTEMS + 1)]
    for bits in (6, 8):
        for kind in ("codes", "die"):
            print(row(f"{bits}", problems, kind, technology(kind, bits), None, relative, target), flush=True)
    iterations = flexible(problems[0], technology("die", 8), None, relative, target)
    assert iterations is not None
    print(
        f"\n8 bits, flexible CG, {iterations} iterations: {cost(problems[0], technology('die', 8), 'fcg', iterations)}"
    )


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    figure_6()
    three_bits()
    milan()


if __name__ == "__main__":
    main()
