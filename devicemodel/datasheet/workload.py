"""`Workload`: systems of one kind, whose solution a data sheet is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...circuits.errors import InputError
from ...compiler.fabrics.registry import fabric_named
from ...compiler.validate import validate_drive
from ..calibration.cases import system_for
from .conditions import LARGEST, DatasheetConditions


@dataclass(frozen=True, eq=False)
class Workload:
    """Systems of one kind.

    Attributes:
        name: in tables and specifications.
        unknowns: n. condition: largest condition number of the systems.
        systems: (A, b), (n, n) symmetric positive definite and (n,).
        given: whether a user gave them; else they are random.
    """

    name: str
    unknowns: int
    condition: float
    systems: tuple[tuple[np.ndarray, np.ndarray], ...]
    given: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "name": self.name,
            "unknowns": self.unknowns,
            "condition_number": self.condition,
            "systems": len(self.systems),
            "given": self.given,
        }


def workloads_of(
    conditions: DatasheetConditions, fabric: str, given: Sequence[tuple[np.ndarray, np.ndarray]] = ()
) -> list[Workload]:
    """Random systems of each size and condition number (`calibration.cases.system_for`, b standard normal), then those that were given,
    by size.

    Raises:
        InputError: a fabric whose systems have another form; no systems at all; a given one that is too large, whose b is zero, or that is
            not positive definite.
    """
    kind = fabric_named(fabric)
    if kind.takes_factors or not kind.mean or (not kind.sets_state and not kind.active):
        raise InputError(
            f"fabric {fabric} takes systems by factors, or is read by sampling, and has no data sheet yet: give a card of another one, "
            "such as crossbar"
        )
    found = []
    for n in conditions.unknowns:
        for condition in conditions.condition_numbers:
            systems = []
            for k in range(conditions.systems):
                rng = np.random.default_rng([conditions.seed, n, round(1000 * condition), k])
                systems.append((np.asarray(system_for(kind, n, condition, rng)), rng.standard_normal(n)))
            reached = max(float(np.linalg.cond(matrix)) for matrix, _ in systems)
            # Couplings of a passive fabric bound the condition number.
            of = condition if kind.active else round(reached, 1)
            found.append(Workload(f"{n} unknowns, condition {of:g}", n, of, tuple(systems)))
    sizes: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    for place, (matrix, b) in enumerate(given, 1):
        a, drive = np.asarray(matrix, dtype=float), validate_drive(b, len(matrix))
        if len(a) > LARGEST:
            raise InputError(f"system {place} has {len(a)} unknowns; a data sheet takes at most {LARGEST}")
        if not drive.any():
            raise InputError(f"system {place}: b is zero, and so is its solution, which no error is relative to")
        if not np.linalg.eigvalsh(a)[0] > 0:
            raise InputError(f"system {place}: A is not positive definite; give it damping")
        sizes.setdefault(len(a), []).append((a, drive))
    for n, systems in sorted(sizes.items()):
        reached = max(float(np.linalg.cond(matrix)) for matrix, _ in systems)
        found.append(Workload(f"given systems, {n} unknowns", n, reached, tuple(systems), given=True))
    if not found:
        raise InputError("there is nothing to solve: give unknowns, such as 8, or systems of your own")
    return found
