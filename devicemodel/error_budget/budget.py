"""`error_budget`: which cause makes how much of a device's error, read as it is and refined.

Every set of causes is tried on the same dies with the same seeds: a part keeps its deviate, and a run its noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...compiler.linear_system import LinearSystem
from ..card import DeviceCard
from ..devices.spice import SpiceDevice
from ..host.refine import ROUNDS, Refined
from .causes import Cause
from .hardware import Hardware
from .ranking import Ranking, ranked

READINGS: tuple[Literal["bare", "refined"], ...] = ("bare", "refined")
LONG = 20.0
"""Slowest time constants after which ngspice's circuits count as at rest, to e^-20 = 2e-9: at the operating point they have no noise."""


class Problem(NamedTuple):
    """A system of n unknowns that a device solves, its drive b, (n,), and the start of a bare run, (n,); None: cells at zero."""

    system: LinearSystem
    b: Tensor
    start: Tensor | None = None


@dataclass(frozen=True, eq=False)
class ErrorBudget:
    """Who makes the error, of bare and of refined readings.

    Attributes:
        bare, refined: errors are |x - A^-1 b| / |A^-1 b|.
        dies: seeds. rounds: corrections of the refined readings.
        hardware: as it is.
    """

    bare: Ranking
    refined: Ranking
    dies: tuple[int | None, ...]
    rounds: int
    hardware: Hardware

    def ranking(self, reading: str) -> Ranking:
        """Of "bare" or "refined" readings."""
        return {"bare": self.bare, "refined": self.refined}[reading]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "technology": self.hardware.technology.name,
            "device": "surrogate" if isinstance(self.hardware.made_of, DeviceCard) else "spice",
            "layout": self.hardware.layout,
            "duration_tau": self.hardware.duration,
            "dies": list(self.dies),
            "systems": int(self.bare.total.shape[1]),
            "rounds": self.rounds,
            "readings": {name: self.ranking(name).to_dict() for name in READINGS},
        }


def error_budget(
    hardware: Hardware,
    problems: Sequence[Problem],
    dies: Sequence[int | None],
    rounds: int = ROUNDS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> ErrorBudget:
    """Errors of readings with each cause taken out, and with each alone.

    Args:
        hardware: a card's surrogates, or a technology in ngspice (some hundred simulations for each die and problem).
        problems: at least one.
        dies: their seeds; None is the die of nominal parts.
        rounds: corrections of the refined readings.
        seed: of the noise.
        progress: called with (readings done, readings); each set of causes counts once.

    Raises:
        InputError: no problem or die, a die twice, b = 0, a singular system; as the device's own `solve`.
    """
    if not problems or not dies:
        raise InputError(f"{len(problems)} problems on {len(dies)} dies: give at least one of each")
    if len(set(dies)) < len(dies):
        raise InputError(f"dies are {list(dies)}: give each seed once, since its readings are the same again")
    cases = [_Case.of(problem) for problem in problems]
    causes = hardware.causes()
    planned = len(READINGS) * (2 + 2 * len(causes) + max(0, len(causes) - 3))
    done = 0

    def errors(reading: str, gone: Collection[Cause]) -> np.ndarray:
        nonlocal done
        tried = hardware.without(gone)
        found = np.array([[_error(tried, case, die, reading, rounds, seed) for case in cases] for die in dies])
        done += 1
        if progress is not None:
            progress(done, planned)
        return found

    bare = ranked(causes, lambda gone: errors("bare", gone), 1)
    refined = ranked(causes, lambda gone: errors("refined", gone), 1 + rounds)
    return ErrorBudget(bare, refined, tuple(dies), rounds, hardware)


class _Case(NamedTuple):
    """A problem, its solution (n,) and the time after which its circuit is at rest, tau."""

    problem: Problem
    exact: Tensor
    rest: float

    @classmethod
    def of(cls, problem: Problem) -> _Case:
        A, b = problem.system.dense().detach().double(), problem.b.detach().double()
        least = float(torch.linalg.eigvalsh((A + A.mT) / 2)[0])
        if not (least > 0 and bool(b.any())):
            what = "b is zero" if least > 0 else f"the smallest eigenvalue is {least:.3g}"
            raise InputError(
                f"{what}: an error needs a solution that is not zero; give a positive definite A and b != 0"
            )
        return cls(problem, torch.linalg.solve((A + A.mT) / 2, b), LONG / least)


def _error(hardware: Hardware, case: _Case, die: int | None, reading: str, rounds: int, seed: int) -> float:
    """|x - A^-1 b| / |A^-1 b| of a fresh device; inf without a reading."""
    device, problem, duration = hardware.device(die, seed), case.problem, hardware.duration
    if math.isinf(duration) and isinstance(device, SpiceDevice) and device.johnson_noise:
        duration = case.rest
    if reading == "bare":
        start = torch.zeros_like(problem.b) if problem.start is None else problem.start
        found = device.solve(problem.system, problem.b, duration, x0=start)
    else:
        found = Refined(device, rounds=rounds).solve(problem.system, problem.b, duration)
    if not found.outcome.readable:
        return math.inf
    return float((found.x.double() - case.exact).norm() / case.exact.norm())
