"""What a calibration simulates: random and real systems, split into those that are fitted and those that are held out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch

from ...circuits.errors import InputError
from ...circuits.technology.technology import Technology
from ...compiler.compile import lay_out
from ...compiler.fabrics.base import Fabric
from ...compiler.fabrics.registry import fabric_named
from ...compiler.linear_system import LinearSystem
from ...compiler.passes.damp import damp
from ...compiler.program import AnalogProgram
from ...compiler.validate import validate, validate_drive
from ..systems import Dense, Kronecker, LowRank

Given: TypeAlias = np.ndarray | LowRank | Kronecker
"""A system as a fabric takes it: a matrix (n, n), or its factors."""

FLOOR = 1e-9
"""Share of the smallest eigenvalue by which its lower bound is smaller, so that it is one in spite of rounding."""
TRANSIENT = 0.5, 2.0
"""Times of runs of circuits that are at rest with nothing to read, as `spu` is under a constant drive, tau."""


@dataclass(frozen=True)
class Case:
    """One system for one die.

    Attributes:
        given: the system as it is programmed: its matrix A, (n, n), or one by its factors. b: (n,). duration: tau.
        slow: slowest time constant of the nominal circuit, tau.
        floor: what the host knows that no eigenvalue is below, where the fabric needs that; else 0.
    """

    given: Given
    b: np.ndarray
    duration: float
    die: int
    slow: float
    floor: float = 0.0
    real: bool = False

    @cached_property
    def matrix(self) -> np.ndarray:
        """A, (n, n)."""
        return written_out(self.given)

    @property
    def solution(self) -> np.ndarray:
        """A^-1 b, the reference against which both devices' errors are taken."""
        return np.linalg.solve(self.matrix, self.b)

    @property
    def system(self) -> Dense | LowRank | Kronecker:
        """What is programmed."""
        return Dense(torch.from_numpy(self.given), self.floor) if isinstance(self.given, np.ndarray) else self.given

    def laid_out(self, fabric: str, technology: Technology) -> AnalogProgram:
        """The nominal program."""
        return lay_out(self.given, fabric, technology, floor=self.floor)


def written_out(given: Given) -> np.ndarray:
    """The matrix of a system, (n, n)."""
    return given if isinstance(given, np.ndarray) else given.dense().detach().cpu().double().numpy()


def random_system(n: int, condition: float, passive: bool, rng: np.random.Generator) -> np.ndarray:
    """A random symmetric positive definite matrix (n, n) of mixed signs, with mean diagonal one.

    Eigenvalues are log-uniform over the condition number in a random basis; `passive` scales the couplings until positive resistors
    can realise the matrix, which bounds its condition.
    """
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    eigenvalues = np.concatenate([[1.0, condition], condition ** rng.uniform(size=max(0, n - 2))])[:n]
    a = (basis * eigenvalues) @ basis.T
    a *= n / np.trace(a)
    if passive:
        off = a - np.diag(np.diag(a))
        share = np.abs(off).sum(axis=1) / np.diag(a)
        a = np.diag(np.diag(a)) + off * (0.8 / max(1.0, float(share.max())))
    return (a + a.T) / 2


def random_factors(n: int, condition: float, kind: int, rng: np.random.Generator) -> LowRank | Kronecker:
    """A random system of n unknowns by its factors, with mean diagonal one and the smallest eigenvalue its damping.

    Args:
        kind: remainder by 3: J^T J with half as many rows as unknowns, J^T H J, or A (x) B; of a prime n the second in place of the third.
    """
    sides = [p for p in range(2, n) if n % p == 0 and p * p <= n]
    if kind % 3 == 2 and sides:
        p = sides[-1]
        outer, inner = (torch.from_numpy(random_system(side, math.sqrt(condition), False, rng)) for side in (p, n // p))
        largest = float(torch.linalg.eigvalsh(outer)[-1] * torch.linalg.eigvalsh(inner)[-1])
        return Kronecker(outer, inner, largest / condition)
    rows = max(1, n // 2)
    J = rng.standard_normal((rows, n))
    core = random_system(rows, 3.0, False, rng) if kind % 3 else np.eye(rows)
    product = J.T @ core @ J
    damping = float(np.linalg.eigvalsh(product)[-1]) / condition
    scale = n / (np.trace(product) + n * damping)
    factor = torch.from_numpy(math.sqrt(scale) * J)
    return LowRank(factor, torch.from_numpy(core) if kind % 3 else None, scale * damping)


def system_for(fabric: Fabric, n: int, condition: float, rng: np.random.Generator, kind: int = 0) -> Given:
    """A random system that a fabric holds: as `random_system`, in a passive one of single nodes with couplings of one sign; of a fabric
    that takes factors as `random_factors` of that kind."""
    if fabric.takes_factors:
        return random_factors(n, condition, kind, rng)
    matrix = random_system(n, condition, not fabric.active, rng)
    if fabric.scaling(matrix)[0] is not None:
        return matrix
    return 2 * np.diag(np.diag(matrix)) - np.abs(matrix)


class Problem:
    """A system of a fabric, with what is known of its nominal circuit.

    Attributes:
        floor: see `Case`. slow: slowest time constant, tau; 1 / lambda_min of cells of first order.
        times: tau; an early one, which shows capacitors, inductors and bandwidth, and a late one, at rest where that has something to read.
    """

    def __init__(self, fabric: Fabric, technology: Technology, given: Given, b: np.ndarray) -> None:
        self.fabric, self.technology, self.given, self.b = fabric, technology, given, b
        smallest = float(np.linalg.eigvalsh(written_out(given))[0])
        self.floor, self.slow = smallest * (1 - FLOOR) if fabric.needs_floor else 0.0, 1.0 / smallest
        if fabric.has_linear_law:
            program = lay_out(given, fabric.name, technology, floor=self.floor)
            self.slow = program.settling_time / program.tau
        self.times = (1.0, 8 * self.slow) if fabric.mean else TRANSIENT

    def case(self, duration: float, die: int, real: bool = False) -> Case:
        """On a die."""
        return Case(self.given, self.b, duration, die, self.slow, self.floor, real)


def rest_time(fabric: Fabric) -> float:
    """Slowest time constants after which a circuit counts as at rest: e^-t of first order is left, and (1 + t) e^-t of second order."""
    return 5.0 if fabric.states == 1 else 8.0


def make_cases(
    fabric_name: str,
    technology: Technology,
    seed: int,
    systems: Sequence[tuple[Any, Any]],
    sizes: Sequence[int],
    dies: Sequence[int],
    new_dies: Sequence[int],
) -> tuple[list[Case], list[Case]]:
    """(fitted, held out); see `calibrate` for the arguments."""
    rng, fabric = np.random.default_rng([seed, 4242]), fabric_named(fabric_name)
    fitted: list[Case] = []
    held: list[Case] = []
    count = 0
    for n in sizes:
        for k in range(4):
            given = system_for(fabric, int(n), float(rng.uniform(5, 100)), rng, count)
            problem = Problem(fabric, technology, given, rng.standard_normal(int(n)))
            if k < 2:
                fitted += [problem.case(time, dies[count % len(dies)]) for time in problem.times]
            else:
                die = dies[count % len(dies)] if k == 2 else new_dies[count % len(new_dies)]
                held.append(problem.case(problem.times[1], die))
            count += 1
    for k, (system, drive) in enumerate(systems):
        given = _real(system, fabric)
        size = len(given) if isinstance(given, np.ndarray) else given.size
        b = validate_drive(drive.detach().cpu().numpy() if isinstance(drive, torch.Tensor) else drive, size)
        problem = Problem(fabric, technology, given, b)
        time = rest_time(fabric) * problem.slow if fabric.mean else problem.times[1]
        if k % 3 == 0:
            fitted.append(problem.case(time, dies[k % len(dies)], real=True))
        else:
            held.append(problem.case(time, dies[k % len(dies)] if k % 3 == 1 else new_dies[k % len(new_dies)], True))
    return fitted, held


def _real(system: Any, fabric: Fabric) -> Given:
    """A real system as it is programmed into a fabric."""
    if fabric.takes_factors:
        if isinstance(system, LowRank | Kronecker):
            return system
        raise InputError(
            f"systems hold a {type(system).__name__}, and fabric {fabric.name} takes LowRank(J, H, damping) or Kronecker(A, B, damping): "
            "give the factors, or calibrate fabric='crossbar'"
        )
    matrix = system.dense() if isinstance(system, LinearSystem) else system
    return damp(validate(matrix.detach().cpu().numpy() if isinstance(matrix, torch.Tensor) else matrix), 0.0)
