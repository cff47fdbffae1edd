"""What a calibration simulates: random and real systems, split into those that are fitted and those that are held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...compiler.fabrics.registry import fabric_named
from ...compiler.linear_system import LinearSystem
from ...compiler.passes.damp import damp
from ...compiler.validate import validate, validate_drive


@dataclass(frozen=True)
class Case:
    """One system for one die: A (n, n), b (n,), duration in tau."""

    matrix: np.ndarray
    b: np.ndarray
    duration: float
    die: int
    real: bool = False

    @property
    def solution(self) -> np.ndarray:
        """A^-1 b, the reference against which both devices' errors are taken."""
        return np.linalg.solve(self.matrix, self.b)


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


def make_cases(
    fabric: str,
    seed: int,
    systems: Sequence[tuple[Any, Any]],
    sizes: Sequence[int],
    dies: Sequence[int],
    new_dies: Sequence[int],
) -> tuple[list[Case], list[Case]]:
    """(fitted, held out); see `calibrate` for the arguments."""
    rng = np.random.default_rng([seed, 4242])
    fitted: list[Case] = []
    held: list[Case] = []
    count = 0
    for n in sizes:
        for k in range(4):
            matrix = random_system(int(n), float(rng.uniform(5, 100)), not fabric_named(fabric).active, rng)
            b, slow = rng.standard_normal(int(n)), 1.0 / float(np.linalg.eigvalsh(matrix)[0])
            if k < 2:
                # An early time shows capacitors and bandwidth, a late one resistors, gain and offset.
                die = dies[count % len(dies)]
                fitted += [Case(matrix, b, time, die) for time in (1.0, 8 * slow)]
            else:
                held.append(
                    Case(matrix, b, 8 * slow, dies[count % len(dies)] if k == 2 else new_dies[count % len(new_dies)])
                )
            count += 1
    for k, (system, drive) in enumerate(systems):
        given = system.dense() if isinstance(system, LinearSystem) else system
        matrix = damp(validate(given.detach().cpu().numpy() if isinstance(given, torch.Tensor) else given), 0.0)
        b = validate_drive(drive.detach().cpu().numpy() if isinstance(drive, torch.Tensor) else drive, len(matrix))
        slow = 1.0 / float(np.linalg.eigvalsh(matrix)[0])
        if k % 3 == 0:
            fitted.append(Case(matrix, b, 5 * slow, dies[k % len(dies)], real=True))
        else:
            die = dies[k % len(dies)] if k % 3 == 1 else new_dies[k % len(new_dies)]
            held.append(Case(matrix, b, 5 * slow, die, real=True))
    return fitted, held
